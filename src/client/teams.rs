//! The teams: which device a command line names, which teams run, and connections to them.
//!
//! A first word that names a socket in the run directory, or an interface, is the device, even
//! if it could be a command. Otherwise, if all words select a command, there is no device.

use std::fs;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use serde_json::Value;

use super::called_as::CalledAs;
use super::command::{self, Command};
use super::connection::Connection;
use super::connection::call::{CallError, Transport};
use super::connection::dbus::Dbus;
use super::connection::usock::Usock;
use super::error::Error;
use super::options::Options;
use super::output::Output;
use crate::process::run_dir;
use crate::state::{State, definition};

/// Most teams that are asked at the same time, each over a descriptor of its own.
const AT_ONCE: usize = 64;

/// The method whose reply is the configuration.
const CONFIG: &str = "ConfigDump";
/// The method whose reply is the state.
const STATE: &str = "StateDump";

/// A running team with a connection to its daemon.
pub struct Team {
    /// Name of the team device.
    pub device: String,
    /// The connection.
    pub daemon: Connection,
    /// The reply to `ConfigDump`, whose device was compared with the name.
    pub config: Value,
}

impl Team {
    /// Calls a method on behalf of a command.
    pub fn call(&self, command: &Command, method: &str, args: &[&str]) -> Result<String, Error> {
        self.text_of(command, self.daemon.call(method, args))
    }

    fn text_of(
        &self,
        command: &Command,
        reply: Result<String, CallError>,
    ) -> Result<String, Error> {
        reply.map_err(|e| Error::Call(self.device.clone(), command.clone(), Box::new(e)))
    }

    /// Calls a method on behalf of a command and reads the reply.
    pub fn call_json(
        &self,
        command: &Command,
        method: &str,
        args: &[&str],
    ) -> Result<Value, Error> {
        let text = self.call(command, method, args)?;
        serde_json::from_str(&text).map_err(|_| Error::NotJson)
    }

    /// Reads the state on behalf of a command.
    pub fn state(&self, command: &Command) -> Result<State, Error> {
        state_of(&self.call(command, STATE, &[])?)
    }
}

fn state_of(text: &str) -> Result<State, Error> {
    definition::from_text(text).map_err(|_| Error::NotJson)
}

/// Splits the words into a device, if there is one, and a command.
pub fn split(words: &[String], called_as: CalledAs) -> Result<(Option<&str>, Command), Error> {
    let Some((first, rest)) = words.split_first() else {
        return match called_as {
            CalledAs::Teamdctl => Err(Error::NoDevice),
            CalledAs::Teamrctl => command::parse(words, called_as)
                .map(|command| (None, command))
                .map_err(Error::Grammar),
        };
    };
    let with_device =
        command::parse(rest, called_as).map(|command| (Some(first.as_str()), command));
    let is_device = || has_socket(first) || if_nametoindex(first.as_str()).is_ok();
    if called_as == CalledAs::Teamdctl || is_device() {
        return with_device.map_err(Error::Grammar);
    }
    match command::parse(words, called_as) {
        Ok(command) => Ok((None, command)),
        // A command follows the first word, so the first word is a device that does not exist.
        Err(e) => with_device.map_err(|_| Error::Grammar(e)),
    }
}

/// Connects to the team of this name.
///
/// teamdctl needs the interface. teamrctl needs it only without a control socket and without
/// `-D`: a team keeps the name of its socket when its interface is renamed.
pub fn connect(device: &str, options: &Options) -> Result<Team, Error> {
    Asked::begin(device, options, &[])?.team()
}

/// A team whose configuration was requested. The replies are not read yet.
struct Asked {
    device: String,
    daemon: Connection,
}

impl Asked {
    /// Connects to a team, and requests the configuration and then these methods.
    fn begin(device: &str, options: &Options, methods: &[&str]) -> Result<Self, Error> {
        let known = has_socket(device) || options.forced == Some(Transport::Dbus);
        if options.called_as == CalledAs::Teamdctl || !known {
            match if_nametoindex(device) {
                Ok(_) => {}
                Err(Errno::ENODEV) => return Err(Error::NoSuchDevice(device.to_owned())),
                Err(errno) => return Err(Error::Lookup(device.to_owned(), errno)),
            }
        }
        let daemon = open(device, options)?;
        let mut methods = [CONFIG].iter().chain(methods);
        let requested = methods.try_for_each(|method| daemon.request(method, &[]));
        requested.map_err(|e| Error::FirstCall(device.to_owned(), e))?;
        Ok(Asked { device: device.to_owned(), daemon })
    }

    /// Reads the configuration, and compares its device with the name of the team.
    fn team(self) -> Result<Team, Error> {
        let Asked { device, daemon } = self;
        let text = daemon.reply(CONFIG, &[]).map_err(|e| Error::FirstCall(device.to_owned(), e))?;
        let config: Value = serde_json::from_str(&text).map_err(|_| Error::NotJson)?;
        match config.get("device").and_then(Value::as_str) {
            Some(name) if name == device => Ok(Team { device, daemon, config }),
            Some(other) => Err(Error::OtherTeam(device, other.to_owned())),
            None => Err(Error::NotJson),
        }
    }
}

/// Reads the state of each team on behalf of a command, of several teams at a time: the daemons write
/// the next states while this process reads a state.
pub fn states<'a>(
    devices: &'a [String],
    command: &'a Command,
    options: &'a Options,
) -> impl Iterator<Item = (&'a str, Result<State, Error>)> {
    let ask = |device: &'a String| (device.as_str(), Asked::begin(device, options, &[STATE]));
    devices.chunks(AT_ONCE).flat_map(move |some| {
        let asked: Vec<_> = some.iter().map(ask).collect();
        asked.into_iter().map(move |(device, asked)| {
            let state = asked
                .and_then(Asked::team)
                .and_then(|team| state_of(&team.text_of(command, team.daemon.reply(STATE, &[]))?));
            (device, state)
        })
    })
}

/// Connects to each team and calls `read`. Returns the results of `read` and the exit status. If a team
/// cannot be reached, its error is added to `output`.
pub fn read_each<T>(
    devices: &[String],
    options: &Options,
    output: &mut Output,
    mut read: impl FnMut(Team) -> Result<T, Error>,
) -> (Vec<T>, u8) {
    let mut exit = 0;
    let mut answers = Vec::new();
    for device in devices {
        match connect(device, options).and_then(&mut read) {
            Ok(answer) => answers.push(answer),
            Err(e) => exit = output.add_error(&e, options),
        }
    }
    (answers, exit)
}

/// Connects over the transport that an option selects, else over the first that works.
fn open(device: &str, options: &Options) -> Result<Connection, Error> {
    let forced = options.forced;
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

/// Returns the teams with a served control socket, sorted by name. A team whose daemon hangs, and a team
/// whose socket this user may not use, are included, so that the user sees the error.
pub fn running() -> Vec<String> {
    let Ok(entries) = fs::read_dir(run_dir::path()) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".sock")?.to_owned())
        })
        .filter(|name| Usock::is_served(&run_dir::socket(name)))
        .collect();
    names.sort_unstable();
    names
}

/// Returns whether the run directory has a control socket of the device, served or not.
pub fn has_socket(device: &str) -> bool {
    fs::symlink_metadata(run_dir::socket(device)).is_ok()
}
