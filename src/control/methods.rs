//! The methods of the control interface, for every transport: teamd's nine and RecordingDump.
//!
//! Owns names, arguments, results and the order in which errors are checked. Standard: libteam
//! 1.32's control methods; all arguments and results are strings.

use std::fmt;

use serde_json::Value;

use super::item_path::ItemPath;

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
    /// Returns the state document.
    fn state(&self) -> Value;
    /// Returns the last events and decisions, a [`Recording`](crate::recording::Recording).
    fn recording(&self) -> Value;
    /// Sets an item of [`state`](Self::state). `OpNotSupp`, `ItemValueSetFail`.
    fn set_state_item(&mut self, path: &ItemPath, value: &str) -> Result<(), Failure>;
}

/// Why a method failed, with teamd's codes and texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Arguments are missing or damaged.
    InvalidArgs,
    /// No such interface, or no such port.
    NoSuchDev,
    /// The interface could not become a port.
    PortAddFail,
    /// The port could not be released.
    PortRemoveFail,
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
    /// The path of the item to set is malformed, or the value was refused.
    ItemValueSetFail,
    /// No such method. teamd does not reply to such a request, and its client waits.
    UnknownMethod,
    /// The request is longer than [`MAX_REQUEST`](super::protocol::MAX_REQUEST).
    RequestTooLong,
    /// The reply does not fit the send buffer of the socket.
    ReplyTooLong,
}

impl Failure {
    /// Returns the code for programs.
    pub fn code(self) -> &'static str {
        self.code_and_text().0
    }

    /// Returns the text for people.
    pub fn text(self) -> &'static str {
        self.code_and_text().1
    }

    fn code_and_text(self) -> (&'static str, &'static str) {
        match self {
            Failure::InvalidArgs => ("InvalidArgs", "Did not receive correct message arguments."),
            Failure::NoSuchDev => ("NoSuchDev", "No such device."),
            Failure::PortAddFail => ("PortAddFail", "Failed to add port."),
            Failure::PortRemoveFail => ("PortRemoveFail", "Failed to del port."),
            Failure::ConfigUpdateFail => ("ConfigUpdateFail", "Failed to update config."),
            Failure::ConfigDumpFail => ("ConfigDumpFail", "Failed to dump config."),
            Failure::PathDoesNotExist => ("PathDoesNotExist", "Item path does not exist."),
            Failure::ItemValueGetFail => ("ItemValueGetFail", "Failed to get item value."),
            Failure::OpNotSupp => ("OpNotSupp", "Operation not supported."),
            Failure::ItemValueSetFail => ("ItemValueSetFail", "Failed to set item value."),
            Failure::UnknownMethod => ("UnknownMethod", "No such method."),
            Failure::RequestTooLong => ("RequestTooLong", "Request is too long."),
            Failure::ReplyTooLong => ("ReplyTooLong", "Reply is too long for the socket."),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
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
    /// Whether the method returns a text.
    pub returns: bool,
    run: fn(&mut dyn TeamControl, &[String]) -> Outcome,
}

/// All methods: teamd's in teamd's order, then the added one.
pub const METHODS: [Method; 10] = [
    Method {
        name: "PortConfigUpdate",
        args: &["port_devname", "port_config"],
        returns: false,
        run: |team, args| team.port_config_update(&args[0], &args[1]).map(|()| None),
    },
    Method {
        name: "PortConfigDump",
        args: &["port_devname"],
        returns: true,
        run: |team, args| team.port_config_dump(&args[0]).map(Some),
    },
    Method {
        name: "PortAdd",
        args: &["port_devname"],
        returns: false,
        run: |team, args| team.port_add(&args[0]).map(|()| None),
    },
    Method {
        name: "PortRemove",
        args: &["port_devname"],
        returns: false,
        run: |team, args| team.port_remove(&args[0]).map(|()| None),
    },
    Method {
        name: "ConfigDump",
        args: &[],
        returns: true,
        run: |team, _| Ok(Some(team.config_dump())),
    },
    Method {
        name: "ConfigDumpActual",
        args: &[],
        returns: true,
        run: |team, _| Ok(Some(team.config_dump_actual())),
    },
    Method {
        name: "StateDump",
        args: &[],
        returns: true,
        run: |team, _| Ok(Some(json_config::to_text(&team.state()))),
    },
    Method {
        name: "StateItemValueGet",
        args: &["state_item_path"],
        returns: true,
        run: |team, args| {
            let path = ItemPath::parse(&args[0]).map_err(|_| Failure::ItemValueGetFail)?;
            let value = path.look_up(&team.state());
            value.map(Some).ok_or(Failure::PathDoesNotExist)
        },
    },
    Method {
        name: "StateItemValueSet",
        args: &["state_item_path", "value"],
        returns: false,
        run: |team, args| {
            let path = ItemPath::parse(&args[0]).map_err(|_| Failure::ItemValueSetFail)?;
            path.look_up(&team.state())
                .ok_or(Failure::PathDoesNotExist)?;
            team.set_state_item(&path, &args[1]).map(|()| None)
        },
    },
    Method {
        name: "RecordingDump",
        args: &[],
        returns: true,
        run: |team, _| Ok(Some(json_config::to_line(&team.recording()))),
    },
];

/// Calls a method by name.
pub fn call(team: &mut dyn TeamControl, method: &str, args: &[String]) -> Outcome {
    let method = METHODS
        .iter()
        .find(|known| known.name == method)
        .ok_or(Failure::UnknownMethod)?;
    log::trace!("control: {}({})", method.name, args.join(", "));
    // The unix socket cannot carry an empty argument, so an empty argument is a missing one.
    if args.len() < method.args.len() || args[..method.args.len()].iter().any(String::is_empty) {
        return Err(Failure::InvalidArgs);
    }
    (method.run)(team, args)
}
