//! The client's errors.
//!
//! `teamdctl` has teamdctl's texts, which scripts know; `teamrctl` has texts that say what was
//! attempted and what to do.

mod teamdctl;
mod teamrctl;

use std::io;
use std::path::PathBuf;

use json_config::Problem;
use nix::errno::Errno;

use super::called_as::CalledAs;
use super::command::{Command, GrammarError};
use super::connection::call::CallError;
use super::connection::dbus::DbusError;
use super::options::Options;
use super::view::MissingItem;
use crate::control::config_answer::ChangeOutcome;
use crate::files::PathError;
use crate::snmp::session::SessionError;

/// Why a command failed, in whole or for one team.
#[derive(Debug)]
pub enum Error {
    /// The words select no command.
    Grammar(GrammarError),
    /// The client was called as teamdctl without a device.
    NoDevice,
    /// Neither a team nor an interface has this name.
    NoSuchDevice(String),
    /// The look-up of the interface failed.
    Lookup(String, Errno),
    /// No device was given, and no team runs.
    NoTeam,
    /// No device was given, and several teams run.
    SeveralTeams(Command, Vec<String>),
    /// The connection to the socket at this path failed.
    Connect(String, PathBuf, io::Error),
    /// The connection to the daemon over the bus failed.
    Bus(String, DbusError),
    /// The call for the configuration, which is the first one, failed.
    FirstCall(String, CallError),
    /// The socket belongs to another team.
    OtherTeam(String, String),
    /// A call of the command failed.
    Call(String, Command, Box<CallError>),
    /// `port present`: the interface is no port of the team.
    NotPresent(String, String),
    /// `port drain`: the drain of this port did not complete, for this reason.
    NotDrained(String, &'static str),
    /// A configuration was refused, or could not be carried out: device, outcome, why.
    NotChanged(String, ChangeOutcome, String),
    /// A configuration of this device is on trial, so the running one is not saved.
    OnTrial(String),
    /// The daemon of this device was started without a configuration file.
    NoFile(String),
    /// `get`, `values`: there is no such key.
    NoKey(Problem),
    /// The team of this device, on trial in place of a bond, could not be kept, for this reason.
    NotKept(String, String),
    /// The kernel has no bond of this name, for this reason.
    NoBond(String, String),
    /// `hash`: a flow or a capture file makes no sense, for this reason.
    Flow(String),
    /// `explain`: the doctor has no such finding; the nearest one, if one is near.
    NoFinding(String, Option<&'static str>),
    /// `watch --since`: the text is no age.
    Age(String),
    /// `lldp`: lldpd does not take a TLV.
    Lldp(io::Error),
    /// `agentx`: the session with the master agent at this address failed.
    AgentX(String, SessionError),
    /// `demo`: the program at this path could not be started.
    Demo(String, io::Error),
    /// `top`: standard input or output is no terminal.
    NoTerminal,
    /// `top`: the terminal obeys no escape sequences.
    DumbTerminal,
    /// A damaged capture file, the number of frames before the damage, and the damage.
    DamagedCapture(String, usize, String),
    /// `top`: the terminal failed.
    Terminal(io::Error),
    /// The daemon's text is not JSON.
    NotJson,
    /// A file could not be written.
    Write(String, PathError),
    /// A file could not be read.
    Read(String, io::Error),
    /// An address could not be listened at.
    Listen(String, PathError),
    /// The state lacks an item that the view needs.
    View(MissingItem),
}

impl Error {
    /// Returns whether the usage is shown with the error.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Grammar(_) | Error::NoDevice)
    }

    /// Returns the text for stderr, without the last newline.
    pub fn text(&self, options: &Options) -> String {
        match options.called_as {
            CalledAs::Teamdctl => self.teamdctl_text(options.forced),
            CalledAs::Teamrctl => self.teamrctl_text(&options.program),
        }
    }
}
