//! What can go wrong, and how it is told: in teamdctl's words to its scripts, otherwise with what
//! was attempted and what to do about it.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::client::command::{Command, GrammarError};
use crate::client::connection::dbus::DbusError;
use crate::client::connection::{CallError, Transport};
use crate::client::options::Style;
use crate::client::view::Broken;
use crate::control::dbus::{self, INTERFACE};
use crate::errno::strerror;
use crate::files::PathError;
use crate::process::run_dir;

/// Why nothing, or not everything, was done.
#[derive(Debug)]
pub enum Error {
    /// The words make no command.
    Grammar(GrammarError),
    /// teamdctl was given no device.
    NoDevice,
    /// No such team, no such interface.
    NoSuchDevice(String),
    /// The device could not be looked up.
    Lookup(String, Errno),
    /// The device was left out, and no team runs.
    NoTeam,
    /// The device was left out, and several teams run.
    SeveralTeams(Command, Vec<String>),
    /// The socket could not be reached.
    Connect(String, PathBuf, io::Error),
    /// The daemon could not be reached over the bus.
    Bus(String, DbusError),
    /// The first call failed.
    Greeting(String, CallError),
    /// The socket is another team's.
    OtherTeam(String, String),
    /// The command's call failed.
    Call(String, Command, Box<CallError>),
    /// `port present`: it is not.
    NotPresent(String, String),
    /// What came is no JSON.
    NotJson,
    /// A file could not be written.
    Write(String, PathError),
    /// A file could not be read.
    Read(String, io::Error),
    /// Nothing could be served there.
    Listen(String, PathError),
    /// The state lacks something.
    View(Broken),
}

impl Error {
    /// Whether the help follows.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Grammar(_) | Error::NoDevice)
    }

    /// The text for stderr, without its last newline; `forced` is the transport
    /// that was asked for.
    pub fn tell(&self, style: Style, program: &str, forced: Option<Transport>) -> String {
        match style {
            Style::Teamdctl => self.as_teamdctl(forced),
            Style::Teamrctl => self.with_advice(program),
        }
    }

    fn as_teamdctl(&self, forced: Option<Transport>) -> String {
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
            Error::Bus(_, e) => {
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
            Error::Greeting(_, e) => library_lines(e) + &failed("teamdctl_connect", e),
            Error::OtherTeam(device, other) => format!(
                "Unable to access to {device} through connected teamd daemon \
                 because it controls {other}."
            ),
            Error::Call(_, _, e) => library_lines(e) + &failed("command call", e),
            Error::NotPresent(..) => "command call failed (No such device)".to_owned(),
            Error::NotJson => format!("Failed to parse JSON dump.\n{FAILED}"),
            Error::Read(file, e) => format!("Failed to read \"{file}\": {}.", strerror(e)),
            Error::Listen(address, e) => format!("Failed to listen at \"{address}\": {e}."),
            Error::Write(file, e) => format!("Failed to write \"{file}\": {e}."),
            Error::View(broken) => format!("{broken}\n{FAILED}"),
        }
    }

    fn with_advice(&self, program: &str) -> String {
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
            Error::Connect(device, path, e) => {
                let path = path.display();
                let advice = match e.raw_os_error() {
                    Some(libc::ENOENT) => "No daemon serves it; start one with: teamr -f FILE",
                    Some(libc::ECONNREFUSED) => {
                        "Its daemon has died and left the socket; start it again."
                    }
                    Some(libc::EACCES | libc::EPERM) => {
                        "Teams are root's to control: try again as root."
                    }
                    _ => "See the daemon's log.",
                };
                format!(
                    "Failed to reach the daemon of \"{device}\" at {path}: {}.\n{advice}",
                    strerror(e)
                )
            }
            Error::Bus(device, e) => {
                let advice = match e {
                    DbusError::Name(_) => "Its control socket may be there: leave -D out.",
                    DbusError::Bus(_) => "The control socket needs no bus: leave -D out.",
                    DbusError::Call(_) => "A daemon is on the bus if it was started with -D.",
                };
                format!("Failed to reach the daemon of \"{device}\" over D-Bus: {e}.\n{advice}")
            }
            Error::Greeting(device, e) => format!(
                "Failed to ask the daemon of \"{device}\" for its configuration: {e}.\n\
                 See the daemon's log."
            ),
            Error::OtherTeam(device, other) => format!(
                "Failed to use the socket of \"{device}\": the daemon behind it controls \
                 \"{other}\".\nUse that name: {program} {other} ..."
            ),
            Error::Call(device, command, e) => {
                let advice = advice(device, command, e, program);
                format!("Failed to do \"{command}\" with \"{device}\": {e}.\n{advice}")
            }
            Error::NotPresent(device, port) => {
                format!("\"{port}\" is no port of \"{device}\".")
            }
            Error::NoSuchDevice(_) => format!(
                "{}, and no team of that name is running.\n\
                 Show those that are: {program} state",
                self.as_teamdctl(None)
            ),
            Error::Grammar(_)
            | Error::Lookup(..)
            | Error::NotJson
            | Error::Write(..)
            | Error::Read(..)
            | Error::Listen(..)
            | Error::View(_) => self.as_teamdctl(None),
        }
    }
}

fn advice(device: &str, command: &Command, e: &CallError, program: &str) -> String {
    let code = match e {
        CallError::Refused { code, .. } => code.as_str(),
        CallError::Socket(_) | CallError::Garbled => "",
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

fn library_lines(e: &CallError) -> String {
    let CallError::Refused { over, code, text } = e else {
        return String::new();
    };
    let (from, code) = match over {
        Transport::Usock => ("cli_usock_process_msg: usock", code.clone()),
        Transport::Dbus => ("cli_dbus_check_error_msg: dbus", dbus::error_name(code)),
        Transport::Zmq => ("cli_zmq_process_msg: zmq", code.clone()),
    };
    format!(
        "libteamdctl: {from}: Error message received: \"{code}\"\n\
         libteamdctl: {from}: Error message content: \"{text}\"\n"
    )
}

fn failed(what: &str, e: &CallError) -> String {
    let errno = match e {
        CallError::Socket(errno) => *errno,
        CallError::Refused { .. } | CallError::Garbled => Errno::EINVAL,
    };
    format!("{what} failed ({})", errno.desc())
}
