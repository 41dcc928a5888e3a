//! teamdctl's texts.

use nix::errno::Errno;

use super::Error;
use crate::client::connection::call::{CallError, Transport};
use crate::client::connection::dbus::DbusError;
use crate::control::dbus::{self, INTERFACE};
use crate::errno::strerror;

impl Error {
    /// Returns the text of teamdctl, without the last newline. `forced` is the transport that an
    /// option selects.
    pub(super) fn teamdctl_text(&self, forced: Option<Transport>) -> String {
        const FAILED: &str = "command call failed (Invalid argument)";
        match self {
            Error::Grammar(e) => e.to_string(),
            Error::NoDevice | Error::NoTeam | Error::SeveralTeams(..) => {
                "No team device specified.".to_owned()
            }
            Error::NoSuchDevice(device) => format!("Device \"{device}\" does not exist"),
            Error::Lookup(device, errno) => {
                let why = errno.desc();
                format!("Device \"{device}\" - failed to get interface index ({why})")
            }
            Error::Connect(_, path, e) if forced.is_some() => format!(
                "libteamdctl: cli_usock_init: usock: Failed to connect socket ({}).\n\
                 libteamdctl: teamdctl_connect: Failed to connect using CLI \"usock\".\n\
                 teamdctl_connect failed ({})",
                path.display(),
                strerror(e)
            ),
            Error::Connect(..) => "libteamdctl: teamdctl_connect: \
                 Failed to connect using all CLIs.\n\
                 teamdctl_connect failed (Invalid argument)"
                .to_owned(),
            Error::Bus(_, e) => bus_text(e),
            Error::FirstCall(_, e) => library_lines(e) + &failed("teamdctl_connect", e),
            Error::OtherTeam(device, other) => format!(
                "Unable to access to {device} through connected teamd daemon \
                 because it controls {other}."
            ),
            Error::Call(_, _, e) => library_lines(e) + &failed("command call", e),
            // teamdctl has no such commands.
            Error::NotChanged(..)
            | Error::NotDrained(..)
            | Error::NotKept(..)
            | Error::OnTrial(_)
            | Error::NoFile(_)
            | Error::NoKey(_)
            | Error::Flow(_)
            | Error::Demo(..)
            | Error::Lldp(_)
            | Error::AgentX(..)
            | Error::NoTerminal
            | Error::DumbTerminal
            | Error::DamagedCapture(..)
            | Error::Age(_)
            | Error::Terminal(_)
            | Error::NoFinding(..)
            | Error::NoBond(..) => FAILED.to_owned(),
            Error::NotPresent(..) => "command call failed (No such device)".to_owned(),
            Error::NotJson => format!("Failed to parse JSON dump.\n{FAILED}"),
            Error::Read(file, e) => format!("Failed to read \"{file}\": {}.", strerror(e)),
            Error::Listen(address, e) => format!("Failed to listen at \"{address}\": {e}."),
            Error::Write(file, e) => format!("Failed to write \"{file}\": {e}."),
            Error::View(missing) => format!("{missing}\n{FAILED}"),
        }
    }
}

fn bus_text(e: &DbusError) -> String {
    const INIT: &str = "libteamdctl: cli_dbus_init: dbus:";
    let why = match e {
        DbusError::Name(device) => format!(
            "{INIT} Could not validate bus name: \
             Bus name was not valid: '{INTERFACE}.{device}'\n"
        ),
        DbusError::Bus(e) => {
            let name = e.name();
            format!("{INIT} Could not acquire the system bus: {name} - {e}\n")
        }
        DbusError::Call(e) => library_lines(e),
    };
    format!(
        "{why}libteamdctl: teamdctl_connect: Failed to connect using CLI \"dbus\".\n\
         teamdctl_connect failed (Invalid argument)"
    )
}

/// Returns the lines that libteamdctl prints for an error reply; empty for another error.
fn library_lines(e: &CallError) -> String {
    let CallError::Refused { over, code, text } = e else {
        return String::new();
    };
    let (from, code) = match over {
        Transport::Usock => ("cli_usock_process_msg: usock", code.clone()),
        Transport::Dbus => ("cli_dbus_check_error_msg: dbus", dbus::error_name(code)),
    };
    format!(
        "libteamdctl: {from}: Error message received: \"{code}\"\n\
         libteamdctl: {from}: Error message content: \"{text}\"\n"
    )
}

/// Returns teamdctl's line for a failed call.
fn failed(what: &str, e: &CallError) -> String {
    let errno = match e {
        CallError::Socket(errno) => *errno,
        CallError::Refused { .. } | CallError::Malformed => Errno::EINVAL,
    };
    format!("{what} failed ({})", errno.desc())
}
