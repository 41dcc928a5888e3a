//! The daemon: one thread, one loop, any number of teams.
//!
//! The loop waits in `poll` only. Each turn handles, in this order: signals, deadlines, link
//! events, control frames, then bulk frames and control clients. Each bulk source has a budget of
//! frames, and all bulk sources together have `BULK_TIME` per turn, so that bulk traffic delays
//! neither timers nor link events nor LACPDUs, however many teams have bulk traffic.
//!
//! Each source names its team (`source`), `interface_map` finds the teams of an interface, and
//! `deadlines` has one queue for all teams: the cost of a turn depends on the teams with an event
//! only.

mod announce;
mod carrier_watch;
mod deadlines;
mod device_lock;
mod interface_map;
mod kernel;
mod lacp_state;
mod link_events;
mod own_hwaddrs;
mod recorder;
mod resolver;
mod setup;
mod source;
mod start;
mod start_options;
mod state;
mod team;
mod team_api;
mod team_slot;
mod tipc;
mod transports;
mod warm_restart;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Waker};
use runners::Instant;

pub use start_options::{StartError, StartOptions};

use self::deadlines::Deadlines;
use self::interface_map::InterfaceMap;
use self::kernel::Kernel;
use self::link_events::LinkEvents;
use self::source::{Source, TeamId};
use self::team_slot::TeamSlot;
use crate::datapath::Drained;
use crate::errno::strerror;
use crate::process::service_manager::ServiceManager;
use crate::process::signals::{Signals, Stop};
use crate::sys::clock;

/// Readiness events taken from the kernel in one turn.
const EVENTS: usize = 64;

/// Time of a turn for bulk traffic and clients, before timers and partners have the next turn.
const BULK_TIME: Duration = Duration::from_millis(2);

/// The daemon.
pub struct Daemon {
    poll: Poll,
    kernel: Kernel,
    link_events: LinkEvents,
    signals: Signals,
    /// How to end; `None` until a signal arrives.
    stop: Option<Stop>,
    /// Wakes the loop when a name has been resolved.
    resolved: Arc<Waker>,
    manager: ServiceManager,
    /// The monotonic clock at the start, which is [`Instant::ZERO`].
    started: Duration,
    /// The Unix time at the start.
    started_unix: Duration,
    teams: BTreeMap<TeamId, Box<TeamSlot>>,
    interfaces: InterfaceMap,
    deadlines: Deadlines,
    /// Teams that handled an event in this turn: their deadline, interfaces and status may have
    /// changed.
    touched: BTreeSet<TeamId>,
    /// The status of a team or the set of teams changed since the last status message.
    status_changed: bool,
    /// Sources that may have more to read; mio reports readiness once.
    ready: BTreeSet<Source>,
    /// The last source of bulk traffic that had its turn.
    last_bulk: Source,
}

impl Daemon {
    /// Returns a daemon without teams, which receives the process's signals from here on.
    ///
    /// # Errors
    /// Errors of opening its sockets.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let signals = Signals::take()?;
        signals.register(registry, Source::Signals.token())?;
        let link_events = LinkEvents::open()?;
        let fd = link_events.as_raw_fd();
        let token = Source::LinkEvents.token();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        let resolved = Arc::new(Waker::new(registry, Source::Resolver.token())?);
        Ok(Daemon {
            poll,
            kernel: Kernel::open()?,
            link_events,
            signals,
            stop: None,
            resolved,
            manager: ServiceManager::from_environment(),
            started: clock::monotonic(),
            started_unix: clock::unix_time(),
            teams: BTreeMap::new(),
            interfaces: InterfaceMap::default(),
            deadlines: Deadlines::default(),
            touched: BTreeSet::new(),
            status_changed: true,
            ready: BTreeSet::new(),
            last_bulk: Source::Signals,
        })
    }

    /// Returns the time since the start.
    fn now(&self) -> Instant {
        Instant::ZERO + clock::monotonic().saturating_sub(self.started)
    }

    /// Returns whether there is any team.
    pub fn has_teams(&self) -> bool {
        !self.teams.is_empty()
    }

    /// Returns whether a data path may still load programs into the kernel.
    pub fn loads_programs(&self) -> bool {
        let mut teams = self.teams.values();
        teams.any(|slot| slot.team.data_path.capabilities().loads_programs)
    }

    /// Runs the teams until a signal ends the daemon or no team is left. Then releases every port
    /// and deletes the devices, unless the signal asks to keep them.
    ///
    /// # Errors
    /// Errors of the loop itself; ports and devices are released all the same.
    pub fn run(mut self) -> io::Result<()> {
        let outcome = self.run_loop();
        self.manager.stopping();
        let now = self.now();
        let stop = *outcome.as_ref().unwrap_or(&Stop::TearDown);
        for slot in self.teams.values_mut() {
            let _log_scope = slot.log_scope();
            slot.prepare_end(&mut self.kernel, now, stop);
            slot.release_ports(&mut self.kernel, now);
        }
        log::info!("Exiting...");
        for slot in std::mem::take(&mut self.teams).into_values() {
            let _log_scope = slot.log_scope();
            slot.end(&mut self.kernel);
        }
        outcome.map(drop)
    }

    /// Runs one turn of the loop between the starts of two teams, so that the partners of running
    /// teams wait for no start. Returns false after a signal or a failure of the loop, which ends
    /// the daemon.
    pub fn turn_between_starts(&mut self) -> bool {
        let mut events = Events::with_capacity(EVENTS);
        if let Err(error) = self.turn(&mut events, Some(Duration::ZERO)) {
            log::error!("Failed: {}", strerror(&error));
            self.stop = Some(Stop::TearDown);
        }
        self.stop.is_none()
    }

    fn run_loop(&mut self) -> io::Result<Stop> {
        let mut events = Events::with_capacity(EVENTS);
        while self.stop.is_none() && !self.teams.is_empty() {
            self.notify_manager();
            let timeout = self.timeout();
            self.turn(&mut events, timeout)?;
        }
        Ok(self.stop.unwrap_or(Stop::TearDown))
    }

    fn turn(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let sources = events.iter().map(|event| Source::decode(event.token()));
        self.ready.extend(sources.flatten());
        if self.ready.remove(&Source::Signals) {
            self.stop = self.signals.read()?;
            if let Some(stop) = self.stop {
                log::warn!("Got {}.", signals_of(stop));
                return Ok(());
            }
        }
        self.handle_deadlines();
        if self.ready.remove(&Source::LinkEvents) {
            self.handle_link_events()?;
        }
        self.resync_if_due();
        if self.ready.remove(&Source::Resolver) {
            self.handle_resolved();
        }
        self.handle_ready_sources();
        self.update_touched_teams();
        Ok(())
    }

    /// Returns how long to wait for events; zero while a source may have more to read, `None`
    /// without a deadline.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadlines = self.deadlines.next().into_iter();
        let deadlines = deadlines.chain(self.manager.deadline());
        let deadline = deadlines.chain(self.link_events.resync_due()).min()?;
        Some(deadline.saturating_since(self.now()))
    }

    /// Calls `act` with a team; log messages begin with the team's name. Returns `None` if the
    /// team has ended.
    fn with_team<T>(
        &mut self,
        team: TeamId,
        act: impl FnOnce(&mut TeamSlot, &mut Kernel) -> T,
    ) -> Option<T> {
        let slot = self.teams.get_mut(&team)?;
        self.touched.insert(team);
        let _log_scope = slot.log_scope();
        Some(act(slot, &mut self.kernel))
    }

    fn handle_deadlines(&mut self) {
        let now = self.now();
        for team in self.deadlines.due(now) {
            self.with_team(team, |slot, kernel| slot.deadline_reached(kernel, now));
        }
    }

    fn handle_resolved(&mut self) {
        let now = self.now();
        let teams: Vec<TeamId> = self.teams.keys().copied().collect();
        for team in teams {
            self.with_team(team, |slot, kernel| slot.team.take_resolved(kernel, now));
        }
    }

    /// Handles each ready source once: sources of control frames first, then the others in turn
    /// until [`BULK_TIME`] is over.
    fn handle_ready_sources(&mut self) {
        let (urgent, mut bulk): (Vec<Source>, Vec<Source>) =
            self.ready.iter().partition(|source| source.is_urgent());
        for source in urgent {
            self.handle_source(source);
        }
        let next = bulk.partition_point(|source| *source <= self.last_bulk);
        bulk.rotate_left(next);
        let end = self.now() + BULK_TIME;
        for source in bulk {
            self.handle_source(source);
            self.last_bulk = source;
            if self.now() >= end {
                break;
            }
        }
    }

    fn handle_source(&mut self, source: Source) {
        let now = self.now();
        let drained = match source {
            Source::Team(team, of_team) => self.with_team(team, |slot, kernel| {
                slot.handle_source(kernel, now, of_team)
            }),
            Source::Signals | Source::LinkEvents | Source::Resolver => None,
        };
        if drained != Some(Drained::More) {
            self.ready.remove(&source);
        }
    }

    /// Updates deadline, interfaces and status of the teams that handled an event.
    fn update_touched_teams(&mut self) {
        for team in std::mem::take(&mut self.touched) {
            let Some(slot) = self.teams.get_mut(&team) else {
                continue;
            };
            self.deadlines.set(team, slot.deadline());
            if slot.team.take_interfaces_changed() {
                self.interfaces
                    .replace(team, slot.team.interfaces(), slot.team.expected_ports());
            }
            self.status_changed |= slot.update_summary();
        }
    }

    fn add_team(&mut self, team: TeamId, slot: TeamSlot) {
        // Also a team without ports has a device.
        self.interfaces
            .replace(team, slot.team.interfaces(), slot.team.expected_ports());
        self.teams.insert(team, Box::new(slot));
        self.touched.insert(team);
        self.update_touched_teams();
    }

    /// Ends a team whose device was deleted.
    fn end_orphaned_team(&mut self, team: TeamId) {
        let now = self.now();
        let Some(mut slot) = self.teams.remove(&team) else {
            return;
        };
        self.deadlines.set(team, None);
        self.interfaces.remove(team);
        self.status_changed = true;
        let _log_scope = slot.log_scope();
        log::warn!("Team device removal detected.");
        // There is no device to keep.
        slot.adopted_device = false;
        slot.release_ports(&mut self.kernel, now);
        slot.end(&mut self.kernel);
    }

    /// Sends the service manager the status, if it changed, and the watchdog's keep-alive.
    fn notify_manager(&mut self) {
        if std::mem::take(&mut self.status_changed) {
            let summaries = self.teams.values().map(|slot| slot.summary.as_str());
            let summaries: Vec<&str> = summaries.collect();
            self.manager.set_status(summaries.join("; "));
        }
        self.manager.turn(self.now());
    }
}

/// Returns the names of the signals that ask for `stop`; for `TearDown` in teamd's words.
fn signals_of(stop: Stop) -> &'static str {
    match stop {
        Stop::TearDown => "SIGINT, SIGQUIT or SIGTERM",
        Stop::SaveAndKeep => "SIGUSR1",
        Stop::Keep => "SIGUSR2",
    }
}
