//! `diff`, `reload`, `try`, `set`, `keep` and `save`: another configuration for a running team.
//!
//! The daemon plans and executes a change. This module reads the file, shows the changes, and with
//! `try --until` runs a command that proves that the host can still be reached.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Shell, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::teams::Team;
use crate::control::config_answer::{ChangeOutcome, ConfigAnswer, KeyChange};
use crate::control::methods::LONGEST_TRIAL;
use crate::files;
use crate::migration;
use crate::sys::clock;
use crate::text::printable;

/// Duration in seconds of a trial without `--for`.
const TRIAL: u64 = 120;
/// Pause between two attempts of the command of `--until`.
const PAUSE: Duration = Duration::from_secs(1);

/// Executes one of the commands of this module. Adds the changes to `text`, or returns the daemon's
/// answer for `--json`, also a refusal.
///
/// # Errors
/// A file that cannot be read or written, a failed call, a refused or failed change without `--json`.
pub fn execute(
    team: &Team,
    command: &Command,
    options: &Options,
    text: &mut String,
) -> Result<Option<Value>, Error> {
    let call = |method: &str, args: &[&str]| team.call_json(command, method, args);
    let answer = match command {
        Command::Keep => {
            let imported = migration::keep(&team.device);
            let imported = imported.map_err(|why| Error::NotKept(team.device.clone(), why))?;
            if !imported {
                team.call(command, "ConfigKeep", &[])?;
            }
            return Ok(None);
        }
        Command::Save | Command::SaveAs(_) => {
            let file = file_of(team, command)?;
            return save(team, command, &file).map(|()| None);
        }
        Command::Diff | Command::DiffWith(_) => call("ConfigDiff", &[&read(team, command)?])?,
        Command::Try(_) => {
            let seconds = seconds(team, options)?.to_string();
            call("ConfigTry", &[&read(team, command)?, &seconds])?
        }
        Command::Reload | Command::ReloadFrom(_) => {
            call("ConfigReplace", &[&read(team, command)?])?
        }
        Command::Set(key, value) => call("ConfigItemSet", &[key, value])?,
        // Other modules execute the other commands.
        _ => return Ok(None),
    };
    let ConfigAnswer { changes, outcome, error, trial } =
        ConfigAnswer::deserialize(&answer).map_err(|_| Error::NotJson)?;
    if !options.json {
        write_changes(text, &changes);
        if changes.is_empty() && error.is_none() {
            *text += "nothing changes\n";
        }
    }
    if let Some(error) = error {
        return match options.json {
            true => Ok(Some(answer)),
            false => Err(Error::NotChanged(team.device.clone(), outcome, error)),
        };
    }
    if let Command::Try(_) = command {
        let mut lines = String::new();
        confirm(team, command, options, &trial.unwrap_or_default(), &mut lines)?;
        if !options.json {
            *text += &lines;
        }
    }
    Ok(options.json.then_some(answer))
}

/// Returns whether an answer in JSON says that the change was refused or failed.
pub fn is_failure(answer: &Value) -> bool {
    let outcome = ChangeOutcome::deserialize(&answer["outcome"]);
    matches!(outcome, Ok(ChangeOutcome::Refused | ChangeOutcome::Failed))
}

/// Returns the time of a trial.
///
/// # Errors
/// `--for` is no time that a trial may have.
fn seconds(team: &Team, options: &Options) -> Result<u64, Error> {
    let Some(text) = &options.time else {
        return Ok(TRIAL);
    };
    let seconds = text.parse().ok().filter(|seconds| (1..=LONGEST_TRIAL).contains(seconds));
    seconds.ok_or_else(|| {
        let why = format!("--for {text}: expected 1 to {LONGEST_TRIAL} seconds");
        Error::NotChanged(team.device.clone(), ChangeOutcome::Refused, why)
    })
}

/// Returns the file that the command names, else the file that the daemon was started with.
fn file_of(team: &Team, command: &Command) -> Result<String, Error> {
    match command {
        Command::DiffWith(file)
        | Command::ReloadFrom(file)
        | Command::Try(file)
        | Command::SaveAs(file) => Ok(file.clone()),
        _ => {
            let state = team.state(command)?;
            let file = state.teamr.and_then(|items| items.config_file);
            file.filter(|file| !file.is_empty()).ok_or(Error::NoFile(team.device.clone()))
        }
    }
}

fn read(team: &Team, command: &Command) -> Result<String, Error> {
    let file = file_of(team, command)?;
    let text = files::read_named(Path::new(&file), json_config::LARGEST).and_then(|text| {
        if text.trim_ascii().is_empty() {
            return Err(io::Error::other(
                "the file is empty; write the configuration into it, or {} for a team without ports",
            ));
        }
        String::from_utf8(text).map_err(|_| io::Error::other("the file is not UTF-8"))
    });
    text.map_err(|error| Error::Read(file, error))
}

/// Replaces a file, or the file behind a symbolic link, by the running configuration, and flushes it
/// to the disk.
///
/// # Errors
/// A configuration is on trial; a failed call; a file that cannot be written.
fn save(team: &Team, command: &Command, file: &str) -> Result<(), Error> {
    let state = team.state(command)?;
    if state.teamr.and_then(|items| items.trial_ends_in).is_some_and(|time| time > 0) {
        return Err(Error::OnTrial(team.device.clone()));
    }
    let config = team.call(command, "ConfigDump", &[])?;
    let path = &fs::canonicalize(file).unwrap_or_else(|_| file.into());
    let written = files::replace(path, format!("{config}\n").as_bytes(), b"");
    let flushed = written.and_then(|()| Ok(File::open(path)?.sync_all()?));
    flushed.map_err(|error| Error::Write(file.to_owned(), error))
}

/// Adds a line for each change to `text`, and a second line with the reason unless the change is
/// live.
pub fn write_changes(text: &mut String, changes: &[KeyChange]) {
    for KeyChange { key, before, after, effect, why } in changes {
        let value = |value: &Option<Value>| match value {
            None => "absent".to_owned(),
            Some(value) => value.to_string(),
        };
        let why = why.as_ref().map_or_else(String::new, |why| format!("\n            ({why})"));
        let (before, after) = (value(before), value(after));
        let line = format!("{:<11} {key}: {before} -> {after}{why}", effect.name());
        *text += &format!("{}\n", line.split('\n').map(printable).collect::<Vec<_>>().join("\n"));
    }
}

/// Runs the command of `--until` each second until it succeeds, then keeps the configuration if the
/// trial with the id `trial` still runs.
/// Without a command, adds to `text` how to keep the configuration.
///
/// # Errors
/// The command did not succeed before the end of the trial.
fn confirm(
    team: &Team,
    command: &Command,
    options: &Options,
    trial: &str,
    text: &mut String,
) -> Result<(), Error> {
    let seconds = seconds(team, options)?;
    let Some(proof) = &options.until else {
        *text += &format!(
            "on trial for {seconds} s; to keep it: {} {} keep\n",
            options.program,
            printable(&team.device)
        );
        return Ok(());
    };
    let end = clock::monotonic() + Duration::from_secs(seconds);
    while clock::monotonic() < end {
        if succeeds(proof, end) {
            team.call(command, "ConfigKeepTrial", &[trial])?;
            *text += "kept\n";
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    let why =
        format!("\"{proof}\" did not succeed in {seconds} s, the former configuration is back");
    Err(Error::NotChanged(team.device.clone(), ChangeOutcome::Failed, why))
}

/// Runs a command in a shell without input, and returns whether the command succeeds before `end`.
/// Kills the shell and its children at `end`.
fn succeeds(proof: &str, end: Duration) -> bool {
    /// Pause between two looks at the shell.
    const PAUSE: Duration = Duration::from_millis(20);
    let mut shell = Shell::new("sh");
    // A process group of its own, which can be killed as a whole, must not read from the terminal.
    shell.args(["-c", proof]).stdin(Stdio::null()).process_group(0);
    let Ok(mut shell) = shell.spawn() else {
        return false;
    };
    loop {
        match shell.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if clock::monotonic() < end => thread::sleep(PAUSE),
            _ => break,
        }
    }
    // The shell may have ended by itself meanwhile.
    let _ = i32::try_from(shell.id()).map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
    let _ = shell.wait();
    false
}
