//! `teamrctl`, the control client; under the name `teamdctl` it is teamdctl, under `bond2team` it
//! is bond2team.
//!
//! Owns commands, texts and exit status. Standard: libteam 1.32's teamdctl, whose output is kept
//! byte for byte. Results go to stdout, everything else to stderr; a closed pipe is no error, a
//! full disk is one.

mod agentx;
mod bond_facts;
pub mod called_as;
mod change;
pub mod command;
pub mod connection;
mod demo;
mod directory;
mod doctor;
mod drain;
mod draw;
pub mod error;
mod explain;
mod facts;
pub mod hash;
mod keys;
mod lldp;
mod metrics;
pub mod options;
mod output;
mod overview;
pub mod pcapng;
mod query;
mod status;
mod style;
pub mod teams;
mod top;
mod view;
mod watch;

use std::ffi::OsString;
use std::io::Write;

use serde_json::Value;

use crate::args::getopt::{Getopt, Operands};
use crate::args::program_name;
use crate::bond::cli::Conversion;
use crate::bond::{self, Callbacks, bond2team};
use crate::migration;
use crate::state::schema;
use crate::text::deliver;
use command::Command;
use error::Error;
use options::{Misplaced, Options, Unavailable};
use output::Output;

/// Runs the client with a command line that begins with the program. Returns the exit status.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    operands: Operands,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = program_name(args.first().and_then(|name| name.to_str()).unwrap_or(""));
    if program == "bond2team" {
        return bond2team::run(args, out, err);
    }
    let conversion_at =
        |place: usize| args.get(place).and_then(|word| Conversion::from_word(word.to_str()?));
    let asks_help = args.get(1).is_some_and(|word| word == "help");
    let conversion = if asks_help { conversion_at(2) } else { conversion_at(1) };
    if let Some(conversion) = conversion.filter(|_| program != "teamdctl") {
        let rest: Vec<OsString> = match asks_help {
            true => vec![args[2].clone(), "--help".into()],
            false => args[1..].to_vec(),
        };
        let callbacks = Callbacks {
            running_config: &running_config,
            apply: &migration::apply,
            undo: &migration::undo,
        };
        return bond::cli::run(program, conversion, rest, &callbacks, out, err);
    }
    let items = Getopt::new(&options::FLAGS, args, operands);
    let mut options = Options::new(items.argv0());
    let mut output = Output::default();
    let status = match options.read(items) {
        Err(e) => {
            output.errors = format!("{e}\n");
            output.add_usage(&options);
            1
        }
        Ok(Some(Unavailable(transport))) => {
            output.errors = format!(
                "{transport} support is not compiled-in. \
                 Leave the option out: the control socket needs none.\n"
            );
            1
        }
        Ok(None) => execute(&options, &mut output, out),
    };
    deliver(status, &output.results, &output.errors, out, err)
}

/// Returns the configuration of a running team, for `export`.
fn running_config(device: &str) -> Result<Value, String> {
    let options = Options::new("teamrctl");
    let team = teams::connect(device, &options);
    team.map(|team| team.config).map_err(|e| e.text(&options))
}

/// Executes the command line and returns the exit status. `watch` writes to `stream`, every other
/// command to `output`.
fn execute(options: &Options, output: &mut Output, stream: &mut dyn Write) -> u8 {
    if let Some(text) = &options.text {
        output.results.clone_from(text);
        return 0;
    }
    if options.help {
        output.results = help(options);
        return 0;
    }
    let (device, command) = match teams::split(&options.words, options.called_as) {
        Ok(split) => split,
        Err(e) => {
            let status = output.add_error(&e, options);
            if e.is_usage() {
                output.add_usage(options);
            }
            return status;
        }
    };
    if let Some(Misplaced(option, other)) = options.misplaced(&command) {
        output.errors = format!("--{option} goes with \"{other}\", not with \"{command}\".\n");
        output.add_usage(options);
        return 1;
    }
    let done = match execute_without_team(&command, options, output) {
        Some(done) => done,
        None => execute_for_teams(device, &command, options, output, stream),
    };
    done.unwrap_or_else(|e| output.add_error(&e, options))
}

/// Executes a command that needs no team and returns the exit status; `None` for another command.
fn execute_without_team(
    command: &Command,
    options: &Options,
    output: &mut Output,
) -> Option<Result<u8, Error>> {
    let schema = command.words().strip_prefix("schema ").and_then(schema::named);
    if let Some(schema) = schema {
        output.add_json(&schema, options);
        return Some(Ok(0));
    }
    Some(match (command, &options.config, &options.bond) {
        (Command::Help, ..) => {
            output.results = options::help(&options.program);
            Ok(0)
        }
        (Command::HelpOf(words), ..) => {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let help = command::help(&options.program, &words).map_err(Error::Grammar);
            help.map(|help| output.results = help).map(|()| 0)
        }
        (Command::Demo, ..) => demo::execute(None).map(|()| 0),
        (Command::DemoOf(name), ..) => demo::execute(Some(name)).map(|()| 0),
        (Command::Explain, ..) => {
            explain::list(options, output);
            Ok(0)
        }
        (Command::ExplainFinding(id), ..) => explain::execute(id, options, output).map(|()| 0),
        (Command::Doctor, _, Some(bond)) => doctor::examine_bond(bond, options, output),
        (Command::Doctor, Some(file), _) => doctor::examine_file(file, options, output),
        _ => return None,
    })
}

/// Returns the help of the command on the command line, which may begin with a device; without a
/// known command, the help of all commands.
fn help(options: &Options) -> String {
    let words = &options.words[..];
    let candidates = [words, words.get(1..).unwrap_or_default()].into_iter();
    let mut candidates = candidates.filter(|words| !words.is_empty());
    let found = candidates.find_map(|words| command::help(&options.program, words).ok());
    found.unwrap_or_else(|| options::help(&options.program))
}

/// Executes a command for the team of this name, or without a name for the running teams.
fn execute_for_teams(
    device: Option<&str>,
    command: &Command,
    options: &Options,
    output: &mut Output,
    stream: &mut dyn Write,
) -> Result<u8, Error> {
    let devices = || device.map_or_else(teams::running, |device| vec![device.to_owned()]);
    // These commands run until a signal, and read anew each time which teams run.
    match command {
        Command::MetricsServe(address) => {
            return metrics::serve(address, devices, options).map(|()| 0);
        }
        Command::Lldp => return lldp::follow(devices, options).map(|()| 0),
        Command::Agentx => return agentx::serve(agentx::MASTER, devices, options).map(|()| 0),
        Command::AgentxAt(address) => return agentx::serve(address, devices, options).map(|()| 0),
        _ => {}
    }
    let devices = devices();
    if devices.is_empty() {
        return Err(Error::NoTeam);
    }
    match command {
        Command::Reload if device.is_none() => Ok(directory::reload(&devices, options, output)),
        Command::Doctor => doctor::examine(&devices, options, output),
        Command::Status | Command::Ports => Ok(status::execute(&devices, command, options, output)),
        Command::Draw => {
            let [device] = &devices[..] else {
                return Err(Error::SeveralTeams(command.clone(), devices));
            };
            output.results = draw::execute(device, command, options)?;
            Ok(0)
        }
        Command::State if devices.len() > 1 && !options.json && !options.verbose => {
            Ok(overview::execute(&devices, command, options, output))
        }
        Command::Top => top::execute(&devices, command, options, stream).map(|()| 0),
        Command::Watch => watch::follow(&devices, options, stream).map(|()| 0),
        Command::Metrics => {
            output.results = metrics::expose(&devices, options)?;
            Ok(0)
        }
        Command::MetricsFile(file) => metrics::expose_in_file(&devices, file, options).map(|()| 0),
        _ => Ok(query::execute(&devices, command, options, output)),
    }
}
