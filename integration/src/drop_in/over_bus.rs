//! The same D-Bus calls to both daemons: introspection, every method, and malformed calls.

use std::path::Path;

use teamr::control::dbus::connection::{ADDRESS_VARIABLE, Connection};
use teamr::control::dbus::message::{Kind, Message, Value};
use teamr::control::dbus::{INTERFACE, PATH};

use super::answer::Answer;
use super::suite::{Suite, create_cables, wait_state};
use crate::bus::Bus;
use crate::scenario::{PORTS, Scenario, TEAM};
use crate::wait::wait_until;

/// A bus that allows all calls: a system bus forbids introspection of services that do not ask for
/// it.
pub const PERMISSIVE: &str =
    "<policy context=\"default\"><allow send_type=\"method_call\"/></policy>";

/// Milliseconds to wait for a reply.
const PATIENCE: u16 = 20_000;

/// The scenario of the compared daemons.
pub static OVER_BUS: Scenario = Scenario {
    name: "over D-Bus",
    config: r#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {"prio": 9}, "eth2": {}}}"#,
    steps: &[],
};

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Path, interface if any, method, arguments; an argument of digits only is a number.
type Call = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CALLS: &[Call] = &[
    (PATH, INTROSPECTABLE, "Introspect", &[]),
    ("/", INTROSPECTABLE, "Introspect", &[]),
    ("/org/libteam", INTROSPECTABLE, "Introspect", &[]),
    (PATH, PEER, "Ping", &[]),
    ("/", PEER, "Ping", &[]),
    (PATH, PROPERTIES, "GetAll", &[INTERFACE]),
    (PATH, INTERFACE, "Nonsense", &[]),
    (PATH, "", "Nonsense", &[]),
    (PATH, "org.example", "StateDump", &[]),
    ("/", INTERFACE, "StateDump", &[]),
    (PATH, INTERFACE, "StateDump", &[]),
    (PATH, "", "StateItemValueGet", &["runner.active_port"]),
    (PATH, INTERFACE, "StateDump", &["surplus"]),
    (PATH, INTERFACE, "ConfigDump", &[]),
    (PATH, INTERFACE, "ConfigDumpActual", &[]),
    (PATH, INTERFACE, "PortConfigDump", &[]),
    (PATH, INTERFACE, "PortConfigDump", &["eth1"]),
    (PATH, INTERFACE, "PortConfigDump", &["nowhere"]),
    (PATH, INTERFACE, "PortConfigDump", &["1"]),
    (PATH, INTERFACE, "PortConfigUpdate", &["eth1"]),
    (PATH, INTERFACE, "PortConfigUpdate", &["eth1", "{"]),
    (PATH, INTERFACE, "PortConfigUpdate", &["eth1", "{\"prio\": 8}"]),
    (PATH, INTERFACE, "PortConfigUpdate", &["nowhere", "{}"]),
    (PATH, INTERFACE, "PortConfigDump", &["eth1"]),
    (PATH, INTERFACE, "StateItemValueGet", &[]),
    (PATH, INTERFACE, "StateItemValueGet", &["runner.active_port"]),
    (PATH, INTERFACE, "StateItemValueGet", &["nowhere"]),
    (PATH, INTERFACE, "StateItemValueSet", &["runner.active_port"]),
    (PATH, INTERFACE, "StateItemValueSet", &["setup.pid", "x"]),
    (PATH, INTERFACE, "StateItemValueSet", &["runner.active_port", "nowhere"]),
    (PATH, INTERFACE, "PortAdd", &[]),
    (PATH, INTERFACE, "PortAdd", &["nowhere"]),
    (PATH, INTERFACE, "PortAdd", &["eth1"]),
    (PATH, INTERFACE, "PortRemove", &[]),
    (PATH, INTERFACE, "PortRemove", &["nowhere"]),
    (PATH, INTERFACE, "PortRemove", &["lo"]),
    (PATH, INTERFACE, "PortRemove", &["eth2"]),
];

impl Suite {
    /// Starts the daemon on `bus` and returns its answers to all calls.
    pub fn run_over_bus(&self, bus: &Bus, folder: &Path) -> Vec<Answer> {
        create_cables();
        let mut command = self.daemon_command(OVER_BUS.config);
        command.arg("-D").env(ADDRESS_VARIABLE, bus.address());
        let (mut daemon, numbers) = self.start(OVER_BUS.name, command, folder);
        wait_state("the ports", |state| {
            let up = |port: &&str| state["ports"][*port]["link_watches"]["up"] == true;
            PORTS[..2].iter().all(up) && state["runner"]["active_port"] == "eth1"
        });
        let mut connection = bus.connect();
        let mut owned = || {
            let name = Value::Text(format!("{INTERFACE}.{TEAM}"));
            let serial = connection.call_bus("NameHasOwner", &[name]);
            connection.wait_reply(serial, PATIENCE).expect("the bus answers")
        };
        wait_until("the name", || owned().kind == Kind::Return);
        let mut answers: Vec<Answer> =
            CALLS.iter().map(|call| ask(&mut connection, *call).masked(&numbers)).collect();
        answers.push(Answer {
            question: "stop".to_owned(),
            status: daemon.stop().code(),
            stdout: String::new(),
            stderr: String::new(),
        });
        answers
    }
}

fn ask(connection: &mut Connection, (path, interface, method, args): Call) -> Answer {
    let values = args.iter().map(|arg| match arg.parse() {
        Ok(number) => Value::Number(number),
        Err(_) => Value::Text((*arg).to_owned()),
    });
    let serial = connection.queue(Message {
        interface: (!interface.is_empty()).then(|| interface.to_owned()),
        body: values.collect(),
        ..Message::call(&format!("{INTERFACE}.{TEAM}"), path, INTERFACE, method)
    });
    let reply = connection.wait_reply(serial, PATIENCE).expect("an answer");
    let body = reply.body.iter().map(|value| match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => format!("number {number}"),
    });
    let body: Vec<String> = body.collect();
    let question = format!("{path} {interface} {method} {}", args.join(" "));
    let text = body.join("\n");
    let question = question.trim_end().to_owned();
    match reply.error {
        None => Answer { question, status: Some(0), stdout: text, stderr: String::new() },
        Some(error) => Answer {
            question,
            status: Some(1),
            stdout: String::new(),
            stderr: format!("{error}: {text}\n"),
        },
    }
}
