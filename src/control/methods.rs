//! The methods of the control interface, for every transport: teamd's nine, and the added ones.
//!
//! Owns names, arguments, results and the order in which errors are checked. Standard: libteam
//! 1.32's control methods; all arguments and results are strings.

use std::fmt;
use std::time::Duration;

use runners::hex_digits;
use serde_json::Value;

use super::config_answer::ConfigAnswer;
use super::item_path::ItemPath;
use super::protocol::MAX_REQUEST;

/// The operations of a team that the methods call, one at a time.
pub trait TeamControl {
    /// Returns the configuration with defaults and updates, in teamd's layout.
    fn config_dump(&self) -> String;
    /// Returns the configuration with exactly the ports that are attached now.
    fn config_dump_actual(&self) -> String;
    /// Returns the settings of an attached port. `NoSuchDev` without such an interface,
    /// `ConfigDumpFail` if the interface is no port.
    fn port_config_dump(&self, port: &str) -> Result<String, Failure>;
    /// Replaces the settings of a port, attached or not. `NoSuchDev`, `ConfigUpdateFail`.
    fn port_config_update(&mut self, port: &str, config: &str) -> Result<(), Failure>;
    /// Makes an interface a port. `NoSuchDev`, `PortAddFail`.
    fn port_add(&mut self, port: &str) -> Result<(), Failure>;
    /// Releases a port. `NoSuchDev` if the interface is no port of this team, `PortRemoveFail`.
    fn port_remove(&mut self, port: &str) -> Result<(), Failure>;
    /// Moves the flows off a port until [`port_undrain`](Self::port_undrain). `NoSuchDev` if the
    /// interface is no port of this team; without `force`, `PortDrainRefused` if the team would lose
    /// its carrier.
    fn port_drain(&mut self, port: &str, force: bool) -> Result<(), Failure>;
    /// Ends the drain of a port. `NoSuchDev` if the interface is no port of this team.
    fn port_undrain(&mut self, port: &str) -> Result<(), Failure>;
    /// Returns the state document.
    fn state(&self) -> Value;
    /// Returns the state document as a JSON text.
    fn state_text(&self) -> String {
        json_config::to_text(&self.state())
    }
    /// Returns the last events and decisions, a [`Recording`](crate::recording::Recording).
    fn recording(&self) -> Value;
    /// Returns the ports that would send these frames of the team device now, as a list with an
    /// object for each frame: `ports` (names), `rule` (`active`, `all`, `next`, `random`, `flow`,
    /// `station`, `peer`, `designated`, `driver`, `socket` or `none`), and where they apply `bucket` and
    /// `source`, the source address that the team writes into the frame.
    fn frame_ports(&self, frames: &[Vec<u8>]) -> Value;
    /// Returns the changes that another configuration would make.
    fn config_diff(&mut self, config: &str) -> ConfigAnswer;
    /// Replaces the configuration, or only until `trial` has passed; returns the changes and the id of
    /// the trial.
    fn config_replace(&mut self, config: &str, trial: Option<Duration>) -> ConfigAnswer;
    /// Sets one key of the configuration to a value, JSON or a bare word, if the change loses no
    /// frame; returns the changes.
    fn config_item_set(&mut self, key: &str, value: &str) -> ConfigAnswer;
    /// Ends the running trial, or only the one with this id, and keeps its configuration. `NoTrial`
    /// without such a trial.
    fn config_keep(&mut self, trial: Option<&str>) -> Result<(), Failure>;
    /// Requests that the daemon read its directory of configurations anew after this call.
    /// `OpNotSupp` if the configuration does not come from a directory.
    fn reread_directory(&mut self) -> Result<(), Failure>;
    /// Returns the outcome of the last reading of the directory, as JSON text: by device or file an
    /// object with `outcome` (`done`, `started`, `ended`, `failed` or `refused`), and `changes` or
    /// `error`.
    fn reread_outcome(&self) -> String;
    /// Sets the LACPDU statistics of a port, or of all ports, to zero. `OpNotSupp` with another
    /// runner than lacp, `NoSuchDev` for an interface that is no port.
    fn clear_statistics(&mut self, port: Option<&str>) -> Result<(), Failure>;
    /// Sets an item of [`state`](Self::state). `OpNotSupp`, `ItemValueSetFail`,
    /// `ItemValueRefused`.
    fn set_state_item(&mut self, path: &ItemPath, value: &str) -> Result<(), Failure>;
}

/// Seconds of the longest trial of a configuration: a day.
pub const LONGEST_TRIAL: u64 = 24 * 60 * 60;

/// Why a method failed, with teamd's codes, and teamd's text where teamd refuses the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Arguments are missing or damaged.
    InvalidArgs,
    /// No such interface, or no such port.
    NoSuchDev,
    /// The interface could not become a port.
    PortAddFail,
    /// The port could not be released.
    PortRemoveFail,
    /// The port must not be drained, for this reason.
    PortDrainRefused(String),
    /// The settings were refused.
    ConfigUpdateFail,
    /// The port has no settings.
    ConfigDumpFail,
    /// No such item in the state.
    PathDoesNotExist,
    /// The path of the item to read is malformed.
    ItemValueGetFail,
    /// The item cannot be set.
    OpNotSupp,
    /// No trial runs, or another one than the client's.
    NoTrial,
    /// The path of the item to set is malformed, or the value was refused.
    ItemValueSetFail,
    /// The value was refused for this reason; teamd accepts the value or has no such item. The code
    /// is that of [`ItemValueSetFail`](Failure::ItemValueSetFail).
    ItemValueRefused(String),
    /// No such method. teamd does not reply to such a request, and its client waits.
    UnknownMethod,
    /// The request is longer than [`MAX_REQUEST`].
    RequestTooLong,
    /// The reply does not fit the send buffer of the socket.
    ReplyTooLong,
}

impl Failure {
    /// Returns the code for programs.
    pub fn code(&self) -> &'static str {
        self.code_and_text().0
    }

    fn code_and_text(&self) -> (&'static str, &'static str) {
        match self {
            Failure::InvalidArgs => ("InvalidArgs", "Did not receive correct message arguments."),
            Failure::NoSuchDev => ("NoSuchDev", "No such device."),
            Failure::PortAddFail => ("PortAddFail", "Failed to add port."),
            Failure::PortRemoveFail => ("PortRemoveFail", "Failed to del port."),
            Failure::PortDrainRefused(_) => ("PortDrainFail", "Failed to drain port."),
            Failure::ConfigUpdateFail => ("ConfigUpdateFail", "Failed to update config."),
            Failure::ConfigDumpFail => ("ConfigDumpFail", "Failed to dump config."),
            Failure::PathDoesNotExist => ("PathDoesNotExist", "Item path does not exist."),
            Failure::ItemValueGetFail => ("ItemValueGetFail", "Failed to get item value."),
            Failure::OpNotSupp => ("OpNotSupp", "Operation not supported."),
            Failure::NoTrial => ("NoTrial", "No such trial is running."),
            Failure::ItemValueSetFail | Failure::ItemValueRefused(_) => {
                ("ItemValueSetFail", "Failed to set item value.")
            }
            Failure::UnknownMethod => ("UnknownMethod", "No such method."),
            Failure::RequestTooLong => ("RequestTooLong", "Request is too long."),
            Failure::ReplyTooLong => ("ReplyTooLong", "Reply is too long for the socket."),
        }
    }
}

/// The text for people, one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code_and_text(), self) {
            ((_, text), Failure::ItemValueRefused(reason) | Failure::PortDrainRefused(reason)) => {
                write!(f, "{}: {reason}.", text.trim_end_matches('.'))
            }
            ((_, text), Failure::RequestTooLong) => {
                write!(f, "{} (the limit is {MAX_REQUEST} bytes).", text.trim_end_matches('.'))
            }
            ((_, text), _) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

/// The outcome of a method: the text of a method that returns one, or why the method failed.
pub type Outcome = Result<Option<String>, Failure>;

/// One method.
pub struct Method {
    /// Name on every transport.
    pub name: &'static str,
    /// Names of the arguments. Further arguments are ignored, as in teamd.
    pub args: &'static [&'static str],
    run: fn(&mut dyn TeamControl, &[String]) -> Outcome,
}

const fn method(
    name: &'static str,
    args: &'static [&'static str],
    run: fn(&mut dyn TeamControl, &[String]) -> Outcome,
) -> Method {
    Method { name, args, run }
}

/// All methods: teamd's in teamd's order, then the added ones.
pub const METHODS: [Method; 23] = [
    method("PortConfigUpdate", &["port_devname", "port_config"], |team, args| {
        team.port_config_update(&args[0], &args[1]).map(|()| None)
    }),
    method("PortConfigDump", &["port_devname"], |team, args| {
        team.port_config_dump(&args[0]).map(Some)
    }),
    method("PortAdd", &["port_devname"], |team, args| team.port_add(&args[0]).map(|()| None)),
    method("PortRemove", &["port_devname"], |team, args| team.port_remove(&args[0]).map(|()| None)),
    method("ConfigDump", &[], |team, _| Ok(Some(team.config_dump()))),
    method("ConfigDumpActual", &[], |team, _| Ok(Some(team.config_dump_actual()))),
    method("StateDump", &[], |team, _| Ok(Some(team.state_text()))),
    method("StateItemValueGet", &["state_item_path"], |team, args| {
        let path = ItemPath::parse(&args[0]).map_err(|_| Failure::ItemValueGetFail)?;
        path.look_up(&team.state()).map(Some).ok_or(Failure::PathDoesNotExist)
    }),
    method("StateItemValueSet", &["state_item_path", "value"], |team, args| {
        let path = ItemPath::parse(&args[0]).map_err(|_| Failure::ItemValueSetFail)?;
        path.look_up(&team.state()).ok_or(Failure::PathDoesNotExist)?;
        team.set_state_item(&path, &args[1]).map(|()| None)
    }),
    method("RecordingDump", &[], |team, _| Ok(Some(json_config::to_line(&team.recording())))),
    method("ConfigDiff", &["config"], |team, args| Ok(Some(team.config_diff(&args[0]).to_text()))),
    method("ConfigReplace", &["config"], |team, args| {
        Ok(Some(team.config_replace(&args[0], None).to_text()))
    }),
    method("ConfigTry", &["config", "seconds"], |team, args| {
        let seconds = args[1].parse().ok().filter(|seconds| (1..=LONGEST_TRIAL).contains(seconds));
        let time = Duration::from_secs(seconds.ok_or(Failure::InvalidArgs)?);
        Ok(Some(team.config_replace(&args[0], Some(time)).to_text()))
    }),
    method("ConfigKeep", &[], |team, _| team.config_keep(None).map(|()| None)),
    method("ConfigKeepTrial", &["trial"], |team, args| {
        team.config_keep(Some(&args[0])).map(|()| None)
    }),
    method("PortDrain", &["port_devname", "force"], |team, args| {
        let force = args[1].parse().map_err(|_| Failure::InvalidArgs)?;
        team.port_drain(&args[0], force).map(|()| None)
    }),
    method("PortUndrain", &["port_devname"], |team, args| {
        team.port_undrain(&args[0]).map(|()| None)
    }),
    method("ConfigItemSet", &["key", "value"], |team, args| {
        Ok(Some(team.config_item_set(&args[0], &args[1]).to_text()))
    }),
    method("DirectoryReread", &[], |team, _| team.reread_directory().map(|()| None)),
    method("DirectoryRereadOutcome", &[], |team, _| Ok(Some(team.reread_outcome()))),
    method("StatisticsClear", &[], |team, _| team.clear_statistics(None).map(|()| None)),
    method("PortStatisticsClear", &["port_devname"], |team, args| {
        team.clear_statistics(Some(&args[0])).map(|()| None)
    }),
    method("FramePorts", &["frames"], |team, args| {
        let frames = args[0].split(' ').map(hex_digits::read).collect::<Option<Vec<_>>>();
        let frames = frames.ok_or(Failure::InvalidArgs)?;
        Ok(Some(json_config::to_line(&team.frame_ports(&frames))))
    }),
];

/// Calls a method by name.
pub fn call(team: &mut dyn TeamControl, method: &str, args: &[String]) -> Outcome {
    let method = METHODS.iter().find(|known| known.name == method).ok_or(Failure::UnknownMethod)?;
    log::trace!("control: {}({})", method.name, args.join(", "));
    // The unix socket cannot carry an empty argument, so an empty argument is a missing one.
    if args.len() < method.args.len() || args[..method.args.len()].iter().any(String::is_empty) {
        return Err(Failure::InvalidArgs);
    }
    (method.run)(team, args)
}
