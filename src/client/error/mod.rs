//! The client's errors.
//!
//! `teamdctl` has teamdctl's texts, which scripts know; `teamrctl` has texts that say what was
//! attempted and what to do.

mod teamdctl;
mod teamrctl;

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::called_as::CalledAs;
use super::command::{Command, GrammarError};
use super::connection::call::CallError;
use super::connection::dbus::DbusError;
use super::options::Options;
use super::view::MissingItem;
use crate::files::PathError;

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
    /// Returns whether the help is shown with the error.
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
