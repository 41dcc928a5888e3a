//! Which team is meant.
//!
//! A first word that names a socket in the run directory, or an interface, is the device, even
//! if it could be a command. Otherwise, if all the words make a command, the device was left out.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use serde_json::Value;

use super::command::{self, Command};
use super::connection::dbus::Dbus;
use super::connection::usock::Usock;
use super::connection::zmq::Zmq;
use super::connection::{CallError, Connection, Transport};
use super::error::Error;
use super::options::{Options, Style};
use crate::process::run_dir;

/// An open connection to the daemon that controls `device`.
pub struct Team {
    /// Its name.
    pub device: String,
    /// Its daemon.
    pub daemon: Connection,
    /// `ConfigDump`, fetched to know that the daemon is the right one.
    pub config: Value,
}

/// Tells the device, if there is one, from the command.
pub fn split(words: &[String], style: Style) -> Result<(Option<&str>, Command), Error> {
    let Some((first, rest)) = words.split_first() else {
        return match style {
            Style::Teamdctl => Err(Error::NoDevice),
            Style::Teamrctl => command::parse(words, style)
                .map(|command| (None, command))
                .map_err(Error::Grammar),
        };
    };
    let named = command::parse(rest, style).map(|command| (Some(first.as_str()), command));
    if style == Style::Teamdctl || has_socket(first) || if_nametoindex(first.as_str()).is_ok() {
        return named.map_err(Error::Grammar);
    }
    match command::parse(words, style) {
        Ok(command) => Ok((None, command)),
        // Neither a team nor a command, but followed by one: the name is what is wrong.
        Err(e) => named.map_err(|_| Error::Grammar(e)),
    }
}

/// Connects to the team of this name.
///
/// teamdctl wants the interface to exist. We do not if there is a socket, or somebody else is
/// asked: a team keeps its control name when its interface is renamed.
pub fn connect(device: &str, options: &Options) -> Result<Team, Error> {
    let elsewhere = matches!(options.forced, Some(Transport::Dbus | Transport::Zmq));
    let known = has_socket(device) || elsewhere;
    if options.style == Style::Teamdctl || !known {
        match if_nametoindex(device) {
            Ok(_) => {}
            Err(Errno::ENODEV) => return Err(Error::NoSuchDevice(device.to_owned())),
            Err(errno) => return Err(Error::Lookup(device.to_owned(), errno)),
        }
    }
    let daemon = reach(device, options)?;
    let text = daemon
        .call("ConfigDump", &[])
        .map_err(|e| Error::Greeting(device.to_owned(), e))?;
    let config: Value = serde_json::from_str(&text).map_err(|_| Error::NotJson)?;
    match config.get("device").and_then(Value::as_str) {
        Some(name) if name == device => Ok(Team {
            device: device.to_owned(),
            daemon,
            config,
        }),
        Some(other) => Err(Error::OtherTeam(device.to_owned(), other.to_owned())),
        None => Err(Error::NotJson),
    }
}

/// Reaches a daemon by the transport that was asked for, else by the first that it can be.
fn reach(device: &str, options: &Options) -> Result<Connection, Error> {
    let forced = options.forced;
    if let Some(endpoint) = &options.zmq {
        return Zmq::open(endpoint).map(Connection::Zmq).map_err(|e| {
            let errno = Errno::from_raw(e.raw_os_error().unwrap_or(libc::EINVAL));
            Error::Greeting(device.to_owned(), CallError::Socket(errno))
        });
    }
    let over_bus = || Dbus::open(device).map(Connection::Dbus);
    if forced == Some(Transport::Dbus) {
        return over_bus().map_err(|e| Error::Bus(device.to_owned(), e));
    }
    let path = run_dir::socket(device);
    match (Usock::open(&path), forced) {
        (Ok(usock), _) => Ok(Connection::Usock(usock)),
        (Err(e), None) => over_bus().map_err(|_| e),
        (Err(e), Some(_)) => Err(e),
    }
    .map_err(|e| Error::Connect(device.to_owned(), path, e))
}

/// The teams whose sockets are served, by name. One that may not be tried counts, so that its
/// error is seen.
pub fn running() -> Vec<String> {
    let Ok(entries) = fs::read_dir(run_dir::path()) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".sock")?.to_owned())
        })
        .filter(|name| is_served(name))
        .collect();
    names.sort_unstable();
    names
}

fn is_served(name: &str) -> bool {
    match Usock::open(&run_dir::socket(name)) {
        Ok(_) => true,
        Err(e) => e.kind() == io::ErrorKind::PermissionDenied,
    }
}

fn has_socket(device: &str) -> bool {
    fs::symlink_metadata(run_dir::socket(device)).is_ok()
}
