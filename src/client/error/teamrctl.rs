//! Texts that say what was attempted and what to do.

use std::io;

use super::Error;
use crate::client::command::Command;
use crate::client::connection::call::CallError;
use crate::client::connection::dbus::DbusError;
use crate::errno::strerror;
use crate::process::run_dir;

impl Error {
    /// Returns a text that says what was attempted and what to do, without the last newline.
    pub(super) fn teamrctl_text(&self, program: &str) -> String {
        match self {
            Error::NoDevice | Error::NoTeam => format!(
                "No team is running: there is no socket in {}.\n\
                 Start one with: teamr -f FILE",
                run_dir::path().display()
            ),
            Error::SeveralTeams(command, teams) => format!(
                "Several teams are running ({}); \"{command}\" needs one of them.\n\
                 Name it: {program} {} {command}",
                teams.join(", "),
                teams[0]
            ),
            Error::Connect(device, path, e) => format!(
                "Failed to reach the daemon of \"{device}\" at {}: {}.\n{}",
                path.display(),
                strerror(e),
                connect_advice(e)
            ),
            Error::Bus(device, e) => format!(
                "Failed to reach the daemon of \"{device}\" over D-Bus: {e}.\n{}",
                bus_advice(e)
            ),
            Error::FirstCall(device, e) => format!(
                "Failed to ask the daemon of \"{device}\" for its configuration: {e}.\n\
                 See the daemon's log."
            ),
            Error::OtherTeam(device, other) => format!(
                "Failed to use the socket of \"{device}\": the daemon behind it controls \
                 \"{other}\".\nUse that name: {program} {other} ..."
            ),
            Error::Call(device, command, e) => {
                let advice = call_advice(device, command, e, program);
                format!("Failed to do \"{command}\" with \"{device}\": {e}.\n{advice}")
            }
            Error::NotPresent(device, port) => {
                format!("\"{port}\" is no port of \"{device}\".")
            }
            Error::NoSuchDevice(_) => format!(
                "{}, and no team of that name is running.\n\
                 Show those that are: {program} state",
                self.teamdctl_text(None)
            ),
            Error::Grammar(_)
            | Error::Lookup(..)
            | Error::NotJson
            | Error::Write(..)
            | Error::Read(..)
            | Error::Listen(..)
            | Error::View(_) => self.teamdctl_text(None),
        }
    }
}

fn connect_advice(e: &io::Error) -> &'static str {
    match e.raw_os_error() {
        Some(libc::ENOENT) => "No daemon serves it; start one with: teamr -f FILE",
        Some(libc::ECONNREFUSED) => "Its daemon has died and left the socket; start it again.",
        Some(libc::EACCES | libc::EPERM) => "Teams are root's to control: try again as root.",
        _ => "See the daemon's log.",
    }
}

fn bus_advice(e: &DbusError) -> &'static str {
    match e {
        DbusError::Name(_) => "Its control socket may be there: leave -D out.",
        DbusError::Bus(_) => "The control socket needs no bus: leave -D out.",
        DbusError::Call(_) => "A daemon is on the bus if it was started with -D.",
    }
}

fn call_advice(device: &str, command: &Command, e: &CallError, program: &str) -> String {
    let code = match e {
        CallError::Refused { code, .. } => code.as_str(),
        CallError::Socket(_) | CallError::Malformed => "",
    };
    match (code, command) {
        ("NoSuchDev", Command::PortRemove(_)) => {
            format!("Show its ports with: {program} {device} state")
        }
        ("NoSuchDev", _) => "Show the interfaces with: ip link".to_owned(),
        ("PortAddFail", Command::PortAdd(port)) => {
            format!("A port must be down first: ip link set {port} down. The log says more.")
        }
        ("PathDoesNotExist", _) => {
            format!("Show the items with: {program} {device} state dump")
        }
        ("ItemValueGetFail", _) => {
            "A port name with a dot needs quotes: ports.\"eth1.5\".link.up".to_owned()
        }
        ("OpNotSupp", _) => "This item can only be read.".to_owned(),
        ("ConfigUpdateFail", _) => {
            "The settings must be a JSON object. The log says more.".to_owned()
        }
        _ => "See the daemon's log.".to_owned(),
    }
}
