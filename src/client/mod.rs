//! `teamrctl`, the control client; started as `teamdctl` it is that, as `bond2team` that.
//!
//! Owns the words, the texts and the exit status; what a team is only the daemon knows. Standard:
//! libteam 1.32's teamdctl, whose output is kept byte for byte. Results go to stdout, everything
//! else to stderr; a reader that has gone away is no error.

pub mod command;
pub mod connection;
pub mod dbus;
pub mod error;
pub mod gather;
pub mod metrics;
pub mod observe;
pub mod options;
pub mod pcapng;
pub mod serve;
pub mod teams;
pub mod usock;
pub mod view;
pub mod watch;
pub mod zmq;

use std::ffi::OsString;
use std::fs;
use std::io::Write;

use serde_json::{Map, Value};

use crate::args::getopt::{Getopt, Operands};
use crate::args::{program_name, version_line};
use crate::bond::cli::Conversion;
use crate::bond::{self, bond2team};
use crate::control::ItemPath;
use crate::doctor;
use crate::files;
use command::Command;
use error::Error;
use options::{Only, Options, Style, Unavailable};
use teams::Team;

/// Runs the client with a command line that begins with the program. Returns the exit status.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    operands: Operands,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = args.first().and_then(|name| name.to_str()).unwrap_or("");
    let program = program_name(program);
    if program == "bond2team" {
        return bond2team::run(args, out, err);
    }
    let conversion = args
        .get(1)
        .and_then(|word| Conversion::from_word(word.to_str()?));
    if let Some(conversion) = conversion.filter(|_| program != "teamdctl") {
        let rest = args.iter().skip(1).cloned();
        return bond::cli::run(program, conversion, rest, &running_config, out, err);
    }
    let items = Getopt::new(&options::FLAGS, args, operands);
    let mut options = Options::new(items.argv0());
    let mut shown = String::new();
    let mut told = String::new();
    let status = match options.read(items) {
        Err(e) => {
            shown = options::help(&options.program);
            told = format!("{e}\n");
            1
        }
        Ok(Some(Unavailable(transport))) => {
            told = format!(
                "{transport} support is not compiled-in. \
                 Leave the option out: the control socket needs none.\n"
            );
            1
        }
        Ok(None) => obey(&options, &mut shown, &mut told, out),
    };
    // A closed pipe is the reader's affair.
    let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
    let _ = err.write_all(told.as_bytes());
    status
}

/// The configuration of a running team, for `export`.
fn running_config(device: &str) -> Result<Value, String> {
    let options = Options::new("teamrctl");
    let team = teams::connect(device, &options);
    team.map(|team| team.config)
        .map_err(|e| e.tell(options.style, &options.program, options.forced))
}

/// Results go to `shown`, errors to `told`, what has no end straight to `out`; returns the exit
/// status.
fn obey(options: &Options, shown: &mut String, told: &mut String, out: &mut dyn Write) -> u8 {
    let mut tell = |e: &Error| {
        *told += &e.tell(options.style, &options.program, options.forced);
        told.push('\n');
        1
    };
    match options.only {
        Some(Only::Help) => {
            *shown = options::help(&options.program);
            return 0;
        }
        Some(Only::Version) => {
            *shown = version_line(&options.program) + "\n";
            return 0;
        }
        None => {}
    }
    let (device, command) = match teams::split(&options.words, options.style) {
        Ok(split) => split,
        Err(e) => {
            if e.is_usage() {
                *shown = options::help(&options.program);
            }
            return tell(&e);
        }
    };
    if let (Command::Doctor, Some(file)) = (&command, &options.config) {
        return match fs::read(file) {
            Ok(text) => {
                let findings = doctor::judge_plan(&gather::of_plan(&text));
                observe::tell_findings(&[(file.clone(), findings)], options, shown)
            }
            Err(e) => tell(&Error::Read(file.clone(), e)),
        };
    }
    let named = match device {
        Some(device) => vec![device.to_owned()],
        None => teams::running(),
    };
    let done = match &command {
        Command::MetricsServe(address) => {
            let now = || match device {
                Some(_) => named.clone(),
                None => teams::running(),
            };
            serve::serve(address, || observe::expose_reachable(&now(), options))
                .map_err(|e| Error::Listen(address.clone(), e))
                .map(|()| 0)
        }
        _ if named.is_empty() => Err(Error::NoTeam),
        Command::Doctor => observe::examine(&named, options, shown),
        Command::Watch => observe::watch_all(&named, options, out),
        Command::Metrics => observe::expose(&named, options).map(|text| {
            *shown = text;
            0
        }),
        Command::MetricsFile(file) => observe::expose(&named, options).and_then(|text| {
            files::replace(file.as_ref(), text.as_bytes())
                .map_err(|e| Error::Write(file.clone(), e))
                .map(|()| 0)
        }),
        _ => return obey_plainly(&named, &command, options, shown, told),
    };
    done.unwrap_or_else(|e| tell(&e))
}

/// One round of questions to each team, one after the other.
fn obey_plainly(
    named: &[String],
    command: &Command,
    options: &Options,
    shown: &mut String,
    told: &mut String,
) -> u8 {
    let mut tell = |e: &Error| {
        *told += &e.tell(options.style, &options.program, options.forced);
        told.push('\n');
        1
    };
    match named {
        [] => tell(&Error::NoTeam),
        [device] => {
            let asked = teams::connect(device, options)
                .and_then(|team| ask(&team, command, options, shown, 0));
            match asked {
                Ok(Some(answer)) => {
                    show_json(&answer, options, shown);
                    status(command, &answer)
                }
                Ok(None) => 0,
                Err(e) => tell(&e),
            }
        }
        several if command.suits_several_teams() => {
            let mut status = 0;
            let mut answers = Map::new();
            for device in several {
                let mut part = String::new();
                let asked = teams::connect(device, options)
                    .and_then(|team| ask(&team, command, options, &mut part, 1));
                match asked {
                    Ok(Some(answer)) => {
                        answers.insert(device.clone(), answer);
                    }
                    Ok(None) => {}
                    Err(e) => status = tell(&e),
                }
                if !part.is_empty() {
                    *shown += &format!("{device}:\n{part}");
                }
            }
            if !answers.is_empty() {
                show_json(&Value::Object(answers), options, shown);
            }
            status
        }
        several => tell(&Error::SeveralTeams(command.clone(), several.to_vec())),
    }
}

/// Carries a command out. Text goes to `shown`, indented by `level`; JSON is returned.
fn ask(
    team: &Team,
    command: &Command,
    options: &Options,
    shown: &mut String,
    level: usize,
) -> Result<Option<Value>, Error> {
    let call = |method: &str, args: &[&str]| {
        let called = team.daemon.call(method, args);
        called.map_err(|e| Error::Call(team.device.clone(), command.clone(), Box::new(e)))
    };
    let json = |method: &str, args: &[&str]| -> Result<Value, Error> {
        serde_json::from_str(&call(method, args)?).map_err(|_| Error::NotJson)
    };
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
        Command::StateView => {
            let state = json("StateDump", &[])?;
            if options.json {
                return Ok(Some(state));
            }
            view::write(shown, &state, options.verbose, level).map_err(Error::View)?;
            if options.verbose && options.style == Style::Teamrctl {
                view::lacp::write(shown, &state, level);
            }
            Ok(None)
        }
        Command::StateItemGet(path) => {
            let value = call("StateItemValueGet", &[path])?;
            if options.json {
                let state = json("StateDump", &[])?;
                let item = ItemPath::parse(path).ok();
                let item = item.and_then(|path| path.find(&state).cloned());
                return Ok(Some(item.unwrap_or(Value::String(value))));
            }
            *shown += &format!("{:indent$}{value}\n", "", indent = 2 * level);
            Ok(None)
        }
        Command::StateItemSet(path, value) => {
            call("StateItemValueSet", &[path, value]).map(|_| None)
        }
        Command::PortAdd(port) => call("PortAdd", &[port]).map(|_| None),
        Command::PortRemove(port) => call("PortRemove", &[port]).map(|_| None),
        Command::PortPresent(port) => {
            let state = json("StateDump", &[])?;
            let present = state.get("ports").and_then(|ports| ports.get(port));
            match (present, options.json) {
                (_, true) => Ok(Some(Value::Bool(present.is_some()))),
                (Some(_), false) => Ok(None),
                (None, false) => Err(Error::NotPresent(team.device.clone(), port.clone())),
            }
        }
        Command::PortConfigUpdate(port, config) => {
            call("PortConfigUpdate", &[port, config]).map(|_| None)
        }
        Command::PortConfigDump(port) => json("PortConfigDump", &[port]).map(Some),
        // Told before they get here: they are no single question.
        Command::Doctor
        | Command::Watch
        | Command::Metrics
        | Command::MetricsFile(_)
        | Command::MetricsServe(_) => Ok(None),
        Command::RecordDump => json("RecordingDump", &[]).map(Some),
        Command::RecordPcap(file) => {
            let text = call("RecordingDump", &[])?;
            let recording = serde_json::from_str(&text).map_err(|_| Error::NotJson)?;
            fs::write(file, pcapng::write(&recording))
                .map_err(|e| Error::Write(file.clone(), e.into()))?;
            Ok(None)
        }
    }
}

fn show_json(answer: &Value, options: &Options, shown: &mut String) {
    *shown += &match options.oneline {
        true => json_config::to_line(answer),
        false => json_config::to_text(answer),
    };
    shown.push('\n');
}

/// `port present` answers by its exit status in JSON, too.
fn status(command: &Command, answer: &Value) -> u8 {
    let absent = matches!(command, Command::PortPresent(_)) && answer == &Value::Bool(false);
    u8::from(absent)
}
