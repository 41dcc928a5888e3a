//! The transports of the control methods of one team: its socket and the system bus.
//!
//! Owns which transports there are, and when a lost bus is tried again.

use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use mio::Registry;
use runners::Instant;

use super::source::{Source, TeamId, TeamSource};
use super::start_options::{StartError, StartOptions};
use crate::control::dbus::{self, BusStart, DbusService};
use crate::control::{TeamControl, UsockServer};
use crate::datapath::Drained;

/// Time between two attempts to connect to a lost bus.
const BUS_RETRY: Duration = Duration::from_secs(1);

/// The transports of one team. The bus name is released first, then the socket.
#[derive(Default)]
pub struct Transports {
    dbus: Option<DbusService>,
    usock: Option<UsockServer>,
    bus_retry: Option<Instant>,
}

impl Transports {
    /// Opens the transports that the options name. The bus has no name of the team before
    /// [`announce`](Self::announce).
    pub fn open(
        options: &StartOptions,
        bus_start: BusStart,
        registry: &Rc<Registry>,
        team: TeamId,
    ) -> Result<Self, StartError> {
        let device = &options.device;
        let path = options.run_dir.join(format!("{device}.sock"));
        let usock = options
            .usock
            .then(|| UsockServer::bind(&path, registry, team.usock()))
            .transpose()
            .map_err(|error| StartError::new("Failed to init unix domain socket.", error))?;
        let name = options.dbus.then(|| dbus::bus_name(device)).flatten();
        if options.dbus && name.is_none() {
            log::warn!(
                "dbus: \"{device}\" cannot be part of a bus name, \
                 so this team is not on D-Bus; its control socket serves it."
            );
        }
        let token = Source::Team(team, TeamSource::Dbus).token();
        let dbus = name
            .map(|name| DbusService::connect(name, registry, token, bus_start))
            .transpose()
            .map_err(|error| {
                let name = error.name();
                let attempt = format!("dbus: Could not acquire the system bus: {name} - {error}");
                StartError::new(attempt, error.errno().into()).then("Failed to init dbus.")
            })?;
        Ok(Transports { dbus, usock, bus_retry: None })
    }

    /// Returns whether the team has D-Bus.
    pub fn has_dbus(&self) -> bool {
        self.dbus.is_some()
    }

    /// Requests the bus name, which tells other programs that the team is ready. A pending signal
    /// ends the wait for the reply; [`BusStart::Later`] does not wait. Returns the source to handle
    /// next, if there is one.
    pub fn announce(&mut self, signals: BorrowedFd<'_>) -> Result<Option<TeamSource>, StartError> {
        let Some(dbus) = &mut self.dbus else {
            return Ok(None);
        };
        dbus.take_name(signals).map_err(|error| {
            let cause = error.errno().into();
            StartError::new(error.to_string(), cause).then("Failed to expose dbus name.")
        })?;
        Ok(Some(TeamSource::Dbus))
    }

    /// Handles a ready transport once; ignores sources that are no transports.
    pub fn handle_source(
        &mut self,
        source: TeamSource,
        now: Instant,
        team: &mut dyn TeamControl,
    ) -> Drained {
        match source {
            TeamSource::Usock(token) => {
                let usock = self.usock.iter_mut();
                usock.for_each(|usock| usock.ready(token, team));
            }
            TeamSource::Dbus => match self.dbus.as_mut().map(|dbus| dbus.step(team)) {
                Some(dbus::Step::More) => return Drained::More,
                Some(dbus::Step::Lost) => self.bus_retry = Some(now + BUS_RETRY),
                Some(dbus::Step::Wait) | None => {}
            },
            TeamSource::PortSocket(_) | TeamSource::Tipc | TeamSource::DataPath(_) => {}
        }
        // A socket with more to read causes another event.
        Drained::Empty
    }

    /// Returns when to call [`deadline_reached`](Self::deadline_reached).
    pub fn deadline(&self) -> Option<Instant> {
        self.bus_retry
    }

    /// Tries to connect to the bus again.
    pub fn deadline_reached(&mut self, now: Instant) {
        let found = self.dbus.as_mut().is_none_or(DbusService::reconnect);
        self.bus_retry = (!found).then(|| now + BUS_RETRY);
    }
}
