//! What carries the control methods to one team: its socket, the system bus, ZeroMQ.
//!
//! Owns which of them there are, their tokens, and when a lost bus is looked for.

use std::time::Duration;

use mio::{Registry, Token};
use runners::Instant;

use super::start::{StartError, StartOptions};
use crate::control::dbus::{self, BusAbsence, DbusService};
use crate::control::zmq::ZmqServer;
use crate::control::{TeamControl, UsockServer};
use crate::datapath::Drained;

/// Between two attempts to find a bus that is gone.
const BUS_RETRY: Duration = Duration::from_secs(1);

/// The transports of one team. The bus name goes first, then the sockets.
///
/// Of their tokens the control socket's come first, then ZeroMQ's, then the bus's.
pub struct Transports {
    dbus: Option<DbusService>,
    usock: Option<UsockServer>,
    zmq: Option<ZmqServer>,
    bus_token: Token,
    bus_retry: Option<Instant>,
}

impl Transports {
    /// Opens what the options ask for, with tokens from `first` on. On the bus nobody knows of it
    /// before [`announce`](Self::announce).
    pub fn open(
        options: &StartOptions,
        bus_absence: BusAbsence,
        registry: &Registry,
        first: Token,
    ) -> Result<Self, StartError> {
        let path = options.run_dir.join(format!("{}.sock", options.device));
        let usock = options
            .usock
            .then(|| UsockServer::bind(&path, registry, first))
            .transpose()
            .map_err(|error| StartError::new("Failed to init unix domain socket.", error))?;
        let zmq_token = Token(first.0 + UsockServer::TOKENS);
        let zmq = options
            .zmq
            .clone()
            .map(|endpoint| ZmqServer::bind(endpoint, registry, zmq_token))
            .transpose()
            .map_err(|error| {
                StartError::new("zmq: Failed to bind socket.", error).then("Failed to init zmq.")
            })?;
        let bus_token = Token(zmq_token.0 + ZmqServer::TOKENS);
        let name = match options.dbus {
            true => valid_bus_name(&options.device),
            false => None,
        };
        let dbus = name
            .map(|name| DbusService::connect(name, registry, bus_token, bus_absence))
            .transpose()
            .map_err(|error| {
                let name = error.name();
                let attempt = format!("dbus: Could not acquire the system bus: {name} - {error}");
                StartError::new(attempt, error.errno().into()).then("Failed to init dbus.")
            })?;
        Ok(Transports {
            dbus,
            usock,
            zmq,
            bus_token,
            bus_retry: None,
        })
    }

    /// Whether there is D-Bus.
    pub fn has_dbus(&self) -> bool {
        self.dbus.is_some()
    }

    /// Takes the bus name, on which others wait for the team to be ready. Returns the token that
    /// is to be served next.
    pub fn announce(&mut self) -> Result<Option<Token>, StartError> {
        let Some(dbus) = &mut self.dbus else {
            return Ok(None);
        };
        dbus.take_name().map_err(|error| {
            let cause = error.errno().into();
            StartError::new(error.to_string(), cause).then("Failed to expose dbus name.")
        })?;
        Ok(Some(self.bus_token))
    }

    /// One step for whoever this token stands for.
    pub fn serve(&mut self, token: Token, now: Instant, team: &mut dyn TeamControl) -> Drained {
        if token != self.bus_token {
            // Each knows its own tokens. What remains of requests causes another event.
            if let Some(usock) = &mut self.usock {
                usock.ready(token, team);
            }
            if let Some(zmq) = &mut self.zmq {
                zmq.ready(token, team);
            }
            return Drained::Dry;
        }
        match self.dbus.as_mut().map(|dbus| dbus.step(team)) {
            Some(dbus::Step::More) => Drained::More,
            Some(dbus::Step::Lost) => {
                self.bus_retry = Some(now + BUS_RETRY);
                Drained::Dry
            }
            Some(dbus::Step::Wait) | None => Drained::Dry,
        }
    }

    /// When [`deadline_reached`](Self::deadline_reached) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.bus_retry
    }

    /// Looks for the bus.
    pub fn deadline_reached(&mut self, now: Instant) {
        let found = self.dbus.as_mut().is_none_or(DbusService::reconnect);
        self.bus_retry = (!found).then(|| now + BUS_RETRY);
    }
}

fn valid_bus_name(device: &str) -> Option<String> {
    let name = dbus::bus_name(device);
    if name.is_none() {
        log::warn!(
            "dbus: \"{device}\" cannot be part of a bus name, \
             so this team is not on D-Bus; its control socket serves it."
        );
    }
    name
}
