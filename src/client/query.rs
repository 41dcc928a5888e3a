//! The commands that call the daemon of one team, or of several teams one after the other.

use std::fs;

use serde_json::{Map, Value};

use super::called_as::CalledAs;
use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::output::Output;
use super::teams::{self, Team};
use super::{pcapng, view};
use crate::control::ItemPath;
use crate::state::State;

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
            let answer = teams::connect(device, options)
                .and_then(|team| ask(&team, command, options, &mut output.results, 0));
            match answer {
                Ok(Some(answer)) => {
                    output.add_json(&answer, options);
                    status(command, &answer)
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

fn ask_several(
    devices: &[String],
    command: &Command,
    options: &Options,
    output: &mut Output,
) -> u8 {
    let mut status = 0;
    let mut answers = Map::new();
    for device in devices {
        let mut text = String::new();
        let answer = teams::connect(device, options)
            .and_then(|team| ask(&team, command, options, &mut text, 1));
        match answer {
            Ok(Some(answer)) => {
                answers.insert(device.clone(), answer);
            }
            Ok(None) => {}
            Err(e) => status = output.add_error(&e, options),
        }
        if !text.is_empty() {
            output.results += &format!("{device}:\n{text}");
        }
    }
    if !answers.is_empty() {
        output.add_json(&Value::Object(answers), options);
    }
    status
}

/// Returns the exit status of a command with an answer in JSON.
fn status(command: &Command, answer: &Value) -> u8 {
    let absent = matches!(command, Command::PortPresent(_)) && answer == &Value::Bool(false);
    u8::from(absent)
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
        Command::StateView if options.json => json("StateDump", &[]).map(Some),
        Command::StateView => {
            view_state(&team.state(command)?, options, text, level).map(|()| None)
        }
        Command::StateItemGet(path) => {
            let value = call("StateItemValueGet", &[path])?;
            if options.json {
                let state = json("StateDump", &[]);
                return state.map(|state| find_item(&state, path).or(Some(value.into())));
            }
            *text += &format!("{:indent$}{value}\n", "", indent = 2 * level);
            Ok(None)
        }
        Command::StateItemSet(path, value) => done("StateItemValueSet", &[path, value]),
        Command::PortAdd(port) => done("PortAdd", &[port]),
        Command::PortRemove(port) => done("PortRemove", &[port]),
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
        Command::RecordDump => json("RecordingDump", &[]).map(Some),
        Command::RecordPcap(file) => write_pcap(&call("RecordingDump", &[])?, file).map(|()| None),
        // Other modules execute these.
        Command::Doctor
        | Command::Watch
        | Command::Metrics
        | Command::MetricsFile(_)
        | Command::MetricsServe(_)
        | Command::SchemaState => Ok(None),
    }
}

fn view_state(
    state: &State,
    options: &Options,
    text: &mut String,
    level: usize,
) -> Result<(), Error> {
    view::write(text, state, options.verbose, level).map_err(Error::View)?;
    if options.verbose && options.called_as == CalledAs::Teamrctl {
        view::lacp::write(text, state, level);
    }
    Ok(())
}

fn write_pcap(recording: &str, file: &str) -> Result<(), Error> {
    let recording = serde_json::from_str(recording).map_err(|_| Error::NotJson)?;
    fs::write(file, pcapng::write(&recording)).map_err(|e| Error::Write(file.to_owned(), e.into()))
}

/// Returns an item with its type in JSON, which the daemon's answer lacks.
fn find_item(state: &Value, path: &str) -> Option<Value> {
    ItemPath::parse(path).ok()?.find(state).cloned()
}
