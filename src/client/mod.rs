//! `teamrctl`, the control client; under the name `teamdctl` it is teamdctl, under `bond2team` it
//! is bond2team.
//!
//! Owns commands, texts and exit status. Standard: libteam 1.32's teamdctl, whose output is kept
//! byte for byte. Results go to stdout, everything else to stderr; a closed pipe is no error.

pub mod called_as;
pub mod command;
pub mod connection;
mod doctor;
pub mod error;
mod facts;
mod metrics;
pub mod options;
mod output;
pub mod pcapng;
mod query;
pub mod teams;
mod view;
mod watch;

use std::ffi::OsString;
use std::io::Write;

use serde_json::Value;

use crate::args::getopt::{Getopt, Operands};
use crate::args::{program_name, version_line};
use crate::bond::cli::Conversion;
use crate::bond::{self, bond2team};
use crate::state::schema::schema;
use command::Command;
use error::Error;
use options::{Only, Options, Unavailable};
use output::Output;

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
    let mut output = Output::default();
    let status = match options.read(items) {
        Err(e) => {
            output.results = options::help(&options.program);
            output.errors = format!("{e}\n");
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
    let _ = out
        .write_all(output.results.as_bytes())
        .and_then(|()| out.flush());
    let _ = err.write_all(output.errors.as_bytes());
    status
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
    match options.only {
        Some(Only::Help) => {
            output.results = options::help(&options.program);
            return 0;
        }
        Some(Only::Version) => {
            output.results = version_line(&options.program) + "\n";
            return 0;
        }
        None => {}
    }
    let (device, command) = match teams::split(&options.words, options.called_as) {
        Ok(split) => split,
        Err(e) => {
            if e.is_usage() {
                output.results = options::help(&options.program);
            }
            return output.add_error(&e, options);
        }
    };
    let done = match (&command, &options.config) {
        (Command::SchemaState, _) => {
            output.add_json(&schema(), options);
            Ok(0)
        }
        (Command::Doctor, Some(file)) => doctor::examine_file(file, options, output),
        _ => execute_for_teams(device, &command, options, output, stream),
    };
    done.unwrap_or_else(|e| output.add_error(&e, options))
}

/// Executes a command for the team of this name, or without a name for the running teams.
fn execute_for_teams(
    device: Option<&str>,
    command: &Command,
    options: &Options,
    output: &mut Output,
    stream: &mut dyn Write,
) -> Result<u8, Error> {
    let devices = || match device {
        Some(device) => vec![device.to_owned()],
        None => teams::running(),
    };
    if let Command::MetricsServe(address) = command {
        return metrics::serve(address, devices, options).map(|()| 0);
    }
    let devices = devices();
    if devices.is_empty() {
        return Err(Error::NoTeam);
    }
    match command {
        Command::Doctor => doctor::examine(&devices, options, output),
        Command::Watch => watch::follow(&devices, options, stream).map(|()| 0),
        Command::Metrics => {
            output.results = metrics::expose(&devices, options)?;
            Ok(0)
        }
        Command::MetricsFile(file) => metrics::expose_in_file(&devices, file, options).map(|()| 0),
        _ => Ok(query::execute(&devices, command, options, output)),
    }
}
