//! Calls over the system bus.

use std::cell::RefCell;
use std::fmt;

use super::call::{CallError, TIMEOUT_MS, Transport};
use crate::control::dbus::connection::{BusError, Connection};
use crate::control::dbus::message::{Kind, Message, Value};
use crate::control::dbus::{self, INTERFACE, PATH};

/// Why a daemon cannot be reached over the bus.
#[derive(Debug)]
pub enum DbusError {
    /// The device's name cannot be part of a bus name.
    Name(String),
    /// The bus cannot be reached.
    Bus(BusError),
    /// The first call failed.
    Call(CallError),
}

impl fmt::Display for DbusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DbusError::Name(device) => write!(f, "\"{device}\" cannot be part of a bus name"),
            DbusError::Bus(e) => e.fmt(f),
            DbusError::Call(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for DbusError {}

/// A connection to a daemon on the bus.
pub struct Dbus {
    name: String,
    bus: RefCell<Connection>,
}

impl Dbus {
    /// Connects to the bus and calls the daemon of a device once, as libteamdctl does.
    pub fn open(device: &str) -> Result<Self, DbusError> {
        let name = dbus::bus_name(device).ok_or_else(|| DbusError::Name(device.to_owned()))?;
        let bus = Connection::open().map_err(DbusError::Bus)?;
        let bus = RefCell::new(bus);
        let found = Dbus { name, bus };
        found.call("ConfigDump", &[]).map_err(DbusError::Call)?;
        Ok(found)
    }

    /// Calls a method, see [`Connection::call`](super::Connection::call).
    pub fn call(&self, method: &str, args: &[&str]) -> Result<String, CallError> {
        let body = args.iter().map(|arg| Value::Text((*arg).to_owned()));
        let call =
            Message { body: body.collect(), ..Message::call(&self.name, PATH, INTERFACE, method) };
        let mut bus = self.bus.borrow_mut();
        let serial = bus.queue(call);
        let reply = bus.wait_reply(serial, TIMEOUT_MS);
        let reply = reply.map_err(|e| CallError::Socket(e.errno()))?;
        let text = reply.text().unwrap_or_default().to_owned();
        match (reply.kind, reply.error) {
            (Kind::Return, _) => Ok(text),
            (Kind::Error, Some(name)) => Err(CallError::Refused {
                over: Transport::Dbus,
                code: dbus::error_code(&name).to_owned(),
                text,
            }),
            _ => Err(CallError::Malformed),
        }
    }
}
