//! The commands that call the daemon of one team, or of several teams one after the other.

use std::fs;

use json_config::Config;
use serde_json::{Map, Value};

use super::called_as::CalledAs;
use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::output::Output;
use super::teams::{self, Team};
use super::{change, drain, hash, keys, pcapng, view};
use crate::control::ItemPath;
use crate::text::printable;

/// Executes a command for these teams and returns the exit status. Of several teams each has its
/// results under its name, and an error of one does not stop the others.
pub fn execute(
    devices: &[String],
    command: &Command,
    options: &Options,
    output: &mut Output,
) -> u8 {
    match devices {
        [] => output.add_error(&Error::NoTeam, options),
        [device] => {
            let answer = teams::connect(device, options).and_then(|team| {
                let answer = ask(&team, command, options, &mut output.results, 0)?;
                if options.called_as == CalledAs::Teamrctl {
                    output.errors += &warnings(&team, command);
                }
                Ok(answer)
            });
            match answer {
                Ok(Some(answer)) => {
                    output.add_json(&answer, options);
                    let asks_presence = matches!(command, Command::PortPresent(_));
                    let is_absent = asks_presence && answer == false;
                    u8::from(is_absent || change::is_failure(&answer))
                }
                Ok(None) => 0,
                Err(e) => output.add_error(&e, options),
            }
        }
        several if command.suits_several_teams() => ask_several(several, command, options, output),
        several => {
            let e = Error::SeveralTeams(command.clone(), several.to_vec());
            output.add_error(&e, options)
        }
    }
}

/// Returns one line for each key or value of a port's new configuration that the daemon ignores.
fn warnings(team: &Team, command: &Command) -> String {
    let Command::PortConfigUpdate(port, text) = command else {
        return String::new();
    };
    let config = Config::parse(team.config.to_string().as_bytes());
    let updated = config.and_then(|mut config| {
        config.update_port(port, text.as_bytes())?;
        Ok(config)
    });
    let warnings = updated.map(|config| config.port_warnings(port)).unwrap_or_default();
    warnings
        .iter()
        .map(|warning| format!("warning: {}\n", printable(&warning.to_string())))
        .collect()
}

fn ask_several(
    devices: &[String],
    command: &Command,
    options: &Options,
    output: &mut Output,
) -> u8 {
    let mut texts = String::new();
    let (answers, status) = teams::read_each(devices, options, output, |team| {
        let mut text = String::new();
        let answer = ask(&team, command, options, &mut text, 1);
        // A view that lacks an item shows the items before it.
        if !text.is_empty() {
            texts += &format!("{}:\n{text}", printable(&team.device));
        }
        answer.map(|answer| Some((team.device, answer?)))
    });
    output.results += &texts;
    let answers: Map<String, Value> = answers.into_iter().flatten().collect();
    if !answers.is_empty() {
        output.add_json(&Value::Object(answers), options);
    }
    status
}

/// Executes a command for one team. An answer in JSON is returned, one in text is added to
/// `text` with the indentation of `level`.
fn ask(
    team: &Team,
    command: &Command,
    options: &Options,
    text: &mut String,
    level: usize,
) -> Result<Option<Value>, Error> {
    let call = |method: &str, args: &[&str]| team.call(command, method, args);
    let json = |method: &str, args: &[&str]| team.call_json(command, method, args);
    let done = |method: &str, args: &[&str]| call(method, args).map(|_| None);
    match command {
        Command::ConfigDump => Ok(Some(team.config.clone())),
        Command::ConfigDumpNoPorts => {
            let mut config = team.config.clone();
            if let Some(config) = config.as_object_mut() {
                config.shift_remove("ports");
            }
            Ok(Some(config))
        }
        Command::ConfigDumpActual => json("ConfigDumpActual", &[]).map(Some),
        Command::StateDump => json("StateDump", &[]).map(Some),
        Command::State | Command::StateView if options.json => json("StateDump", &[]).map(Some),
        Command::State | Command::StateView => {
            let state = team.state(command)?;
            let written = view::write(text, &state, options.called_as, options.verbose, level);
            written.map(|()| None).map_err(Error::View)
        }
        Command::StateItemGet(path) => {
            let value = call("StateItemValueGet", &[path])?;
            if options.json {
                // The daemon's answer lacks the type that the item has in JSON.
                let state = json("StateDump", &[])?;
                let item = ItemPath::parse(path).ok().and_then(|path| path.find(&state).cloned());
                return Ok(item.or(Some(value.into())));
            }
            *text += &format!("{:indent$}{}\n", "", printable(&value), indent = 2 * level);
            Ok(None)
        }
        Command::StateItemSet(path, value) => done("StateItemValueSet", &[path, value]),
        Command::PortAdd(port) => done("PortAdd", &[port]),
        Command::PortRemove(port) => done("PortRemove", &[port]),
        Command::PortDrain(port) => drain::execute(team, command, port, options),
        Command::PortUndrain(port) => done("PortUndrain", &[port]),
        Command::PortPresent(port) => {
            let state = team.state(command)?;
            let present = state.ports().any(|(name, _)| name == port);
            if options.json {
                return Ok(Some(present.into()));
            }
            let absent = || Error::NotPresent(team.device.clone(), port.clone());
            present.then_some(None).ok_or_else(absent)
        }
        Command::PortConfigUpdate(port, config) => done("PortConfigUpdate", &[port, config]),
        Command::PortConfigDump(port) => json("PortConfigDump", &[port]).map(Some),
        Command::ClearStatistics => done("StatisticsClear", &[]),
        Command::ClearPortStatistics(port) => done("PortStatisticsClear", &[port]),
        Command::Get | Command::GetKey(_) | Command::Values(_) => {
            keys::execute(team, command, options, text, level)
        }
        hash if hash.asks_for_ports() => hash::execute(team, hash, options, text),
        Command::RecordDump => json("RecordingDump", &[]).map(Some),
        Command::RecordPcap(file) => write_pcap(&call("RecordingDump", &[])?, file).map(|()| None),
        other => change::execute(team, other, options, text),
    }
}

fn write_pcap(recording: &str, file: &str) -> Result<(), Error> {
    let recording = serde_json::from_str(recording).map_err(|_| Error::NotJson)?;
    fs::write(file, pcapng::write(&recording)).map_err(|e| Error::Write(file.to_owned(), e.into()))
}
