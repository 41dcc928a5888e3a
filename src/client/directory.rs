//! `reload` without a device: every daemon reads its configuration files anew, a daemon of a
//! directory also new and removed ones.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::change;
use super::command::Command;
use super::connection::call::CallError;
use super::error::Error;
use super::options::Options;
use super::output::Output;
use super::query;
use super::teams::{self, Team};
use crate::control::config_answer::KeyChange;
use crate::text::printable;

/// Asks the daemons of these teams to read their files anew; returns the exit status.
pub fn reload(devices: &[String], options: &Options, output: &mut Output) -> u8 {
    let mut status = 0;
    let mut daemons = BTreeSet::new();
    let mut outcomes = Map::new();
    for device in devices {
        match reread(device, devices, options, &mut daemons) {
            Ok(Reread::Directory(of_daemon)) => outcomes.extend(of_daemon),
            Ok(Reread::SameDaemon) => {}
            Ok(Reread::OneTeam) => {
                let device = std::slice::from_ref(device);
                status |= query::execute(device, &Command::Reload, options, output);
            }
            // The daemon has ended the team, whose file is gone, and reports the end.
            Err(_) if outcomes.contains_key(device) => {}
            Err(error) => status = output.add_error(&error, options),
        }
    }
    if daemons.is_empty() {
        return status;
    }
    let is_error = |outcome: &Value| outcome["error"].is_string();
    status |= u8::from(outcomes.values().any(is_error));
    if options.json {
        output.add_json(&Value::Object(outcomes), options);
        return status;
    }
    if outcomes.is_empty() {
        output.results += "nothing changes\n";
    }
    for (name, outcome) in &outcomes {
        let word = outcome["outcome"].as_str().unwrap_or_default();
        match outcome["error"].as_str() {
            Some(error) => {
                // The lines for the log begin with the file.
                let prefix = format!("{name}: ");
                let error = error.strip_prefix(&prefix).unwrap_or(error);
                output.errors += &format!("{name}: {word}: {error}\n");
            }
            None => {
                let file = outcome["file"].as_str();
                let file =
                    file.map_or_else(String::new, |file| format!(", the file is now {file}"));
                output.results += &printable(&format!("{name}: {word}{file}\n"));
                let changes = Vec::<KeyChange>::deserialize(&outcome["changes"]);
                change::write_changes(&mut output.results, &changes.unwrap_or_default());
            }
        }
    }
    status
}

/// How a daemon reads its files.
enum Reread {
    /// The daemon has read its directory, with these outcomes.
    Directory(Map<String, Value>),
    /// The daemon is that of an earlier device, and has read its directory already.
    SameDaemon,
    /// The daemon has one team.
    OneTeam,
}

/// Asks the daemon of a team to read its directory anew, unless its pid is in `daemons`.
fn reread(
    device: &str,
    devices: &[String],
    options: &Options,
    daemons: &mut BTreeSet<i64>,
) -> Result<Reread, Error> {
    let team = teams::connect(device, options)?;
    let pid = team.state(&Command::Reload)?.setup.and_then(|setup| setup.pid).unwrap_or_default();
    if daemons.contains(&pid) {
        return Ok(Reread::SameDaemon);
    }
    match team.call(&Command::Reload, "DirectoryReread", &[]) {
        Ok(_) => {}
        Err(Error::Call(_, _, error)) if lacks_directory(&error) => return Ok(Reread::OneTeam),
        Err(error) => return Err(error),
    }
    daemons.insert(pid);
    // If the file of this team is gone, the daemon has ended the team: another team has the outcome.
    let outcome = |team: &Team| team.call_json(&Command::Reload, "DirectoryRereadOutcome", &[]);
    let other = || {
        let others = devices.iter().filter(|other| *other != device);
        let mut others = others.filter_map(|other| teams::connect(other, options).ok());
        others.find_map(|other| outcome(&other).ok())
    };
    let outcome = outcome(&team).or_else(|error| other().ok_or(error));
    match outcome {
        Ok(outcome) => Ok(Reread::Directory(outcome.as_object().cloned().unwrap_or_default())),
        // The files of all teams are gone: the daemon has ended, and removed the control sockets.
        Err(_) if !teams::has_socket(device) => {
            let ended = devices.iter().filter(|device| !teams::has_socket(device));
            let ended = ended.map(|device| (device.clone(), json!({"outcome": "ended"})));
            Ok(Reread::Directory(ended.collect()))
        }
        Err(error) => Err(error),
    }
}

/// Returns whether the daemon has no directory of configurations, or is too old to read one anew.
fn lacks_directory(error: &CallError) -> bool {
    matches!(error, CallError::Refused { code, .. } if ["OpNotSupp", "UnknownMethod"].contains(&code.as_str()))
}
