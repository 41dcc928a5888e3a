//! The daemon: one thread, one loop, any number of teams.
//!
//! The loop alone waits, and only in `poll`. Each turn serves, in this order: signals,
//! deadlines, link events, control frames, then frames and control clients with a budget each
//! and one for all, so that bulk traffic starves neither timers nor links nor partners, however
//! many teams have it. This is the only place that reads a clock.

mod announce;
mod carrier_watch;
mod device_lock;
mod kernel;
mod lacp_state;
mod recorder;
mod resolver;
mod setup;
mod start;
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
use std::time::{Duration, SystemTime};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use runners::Instant;

pub use start::{StartError, StartOptions};

use self::kernel::Kernel;
use self::team::{DeviceState, ManagedTeam};
use self::team_slot::{TEAM_TOKENS, TeamSlot, is_control_frame_token};
use crate::datapath::Drained;
use crate::errno::strerror;
use crate::netlink::link::{self, LinkEvent};
use crate::netlink::{EventSocket, Received, address};
use crate::process::service_manager::ServiceManager;
use crate::process::signals::{Asked, Signals};

/// Events taken from the kernel in one turn.
const EVENTS: usize = 64;

/// What bulk traffic and clients may have of a turn before timers and partners are looked at
/// again; who got nothing is first in the next one.
const BULK_TIME: Duration = Duration::from_millis(2);

/// Between two readings of everything after losses. Each may take longer than the next loss takes
/// to come, and nobody else would have a turn; single events are heeded meanwhile.
const RESYNC_PAUSE: Duration = Duration::from_millis(50);

const SIGNALS: Token = Token(0);
const LINKS: Token = Token(1);
const RESOLVED: Token = Token(2);

/// The daemon.
pub struct Daemon {
    poll: Poll,
    kernel: Kernel,
    link_events: EventSocket,
    /// When everything was last read anew.
    resynced: Option<Instant>,
    /// Events were lost since, so everything is to be read again then.
    resync_due: Option<Instant>,
    signals: Signals,
    /// What a signal has asked for.
    asked: Option<Asked>,
    /// Told when a name has been resolved.
    resolved: Arc<Waker>,
    manager: ServiceManager,
    started: std::time::Instant,
    /// The same moment in Unix time, in nanoseconds.
    started_unix: u64,
    /// By the number of their block of tokens, from 1.
    teams: BTreeMap<usize, Box<TeamSlot>>,
    /// Sources that may have more to give; readiness is told only once.
    ready: BTreeSet<Token>,
    /// The source of bulk traffic that was served last.
    last_served: Token,
}

impl Daemon {
    /// A daemon without teams. Signals are taken over from here on.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let signals = Signals::take()?;
        signals.register(poll.registry(), SIGNALS)?;
        let link_events = EventSocket::links()?;
        let fd = link_events.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), LINKS, Interest::READABLE)?;
        let resolved = Arc::new(Waker::new(poll.registry(), RESOLVED)?);
        Ok(Daemon {
            poll,
            kernel: Kernel::open()?,
            link_events,
            resynced: None,
            resync_due: None,
            signals,
            asked: None,
            resolved,
            manager: ServiceManager::from_environment(),
            started: std::time::Instant::now(),
            started_unix: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as u64),
            teams: BTreeMap::new(),
            ready: BTreeSet::new(),
            last_served: SIGNALS,
        })
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.started.elapsed()
    }

    /// Whether there is any team.
    pub fn has_teams(&self) -> bool {
        !self.teams.is_empty()
    }

    /// Whether a data path may yet load programs into the kernel.
    pub fn loads_programs(&self) -> bool {
        let mut teams = self.teams.values();
        teams.any(|slot| slot.team.data_path.capabilities().loads_programs)
    }

    /// Serves the teams until a signal ends the daemon or no team is left; then gives every port
    /// back and takes the devices away, unless the signal asks to leave them.
    ///
    /// # Errors
    /// A failure of the loop itself; everything has been given back all the same.
    pub fn run(mut self) -> io::Result<()> {
        let outcome = self.serve();
        self.manager.stopping();
        let now = self.now();
        for slot in self.teams.values_mut() {
            let _log_scope = slot.log_scope();
            let asked = *outcome.as_ref().unwrap_or(&Asked::End);
            slot.prepare_end(&mut self.kernel, now, asked);
            slot.release_ports(&mut self.kernel, now);
        }
        log::info!("Exiting...");
        for slot in std::mem::take(&mut self.teams).into_values() {
            let _log_scope = slot.log_scope();
            slot.end(&mut self.kernel);
        }
        outcome.map(drop)
    }

    /// Serves the teams that run already while others are yet to be started; partners wait for no
    /// start. Whether to go on starting: a signal, or a failure of the loop, may have ended that.
    pub fn catch_up(&mut self) -> bool {
        let mut events = Events::with_capacity(EVENTS);
        if let Err(error) = self.turn(&mut events, Some(Duration::ZERO)) {
            log::error!("Failed: {}", strerror(&error));
            self.asked = Some(Asked::End);
        }
        self.asked.is_none()
    }

    fn serve(&mut self) -> io::Result<Asked> {
        let mut events = Events::with_capacity(EVENTS);
        while self.asked.is_none() && !self.teams.is_empty() {
            self.tell_manager();
            let wait = self.wait();
            self.turn(&mut events, wait)?;
        }
        Ok(self.asked.unwrap_or(Asked::End))
    }

    fn turn(&mut self, events: &mut Events, wait: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        self.ready.extend(events.iter().map(|event| event.token()));
        if self.ready.remove(&SIGNALS) {
            self.asked = self.signals.asked()?;
            if let Some(asked) = self.asked {
                log::warn!("Got {}.", signals_of(asked));
                return Ok(());
            }
        }
        self.serve_deadlines();
        if self.ready.remove(&LINKS) {
            self.serve_links()?;
        }
        self.resync_if_due();
        if self.ready.remove(&RESOLVED) {
            self.serve_resolved();
        }
        self.serve_sources();
        Ok(())
    }

    /// How long to sleep; not at all while a source may have more to give.
    fn wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadlines = self
            .teams
            .values()
            .flat_map(|slot| [slot.team.deadline(), slot.transports.deadline()]);
        let deadlines = deadlines.flatten().chain(self.manager.deadline());
        let deadline = deadlines.chain(self.resync_due).min()?;
        Some(deadline.saturating_since(self.now()))
    }

    /// A line for each team, and a sign of life.
    fn tell_manager(&mut self) {
        let teams = &self.teams;
        self.manager.turn(self.now(), || {
            let lines: Vec<String> = teams.values().map(|slot| slot.team.summary()).collect();
            lines.join("; ")
        });
    }

    fn serve_deadlines(&mut self) {
        let now = self.now();
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        for slot in self.teams.values_mut() {
            let _log_scope = slot.log_scope();
            if is_due(slot.team.deadline()) {
                slot.team.deadline_reached(&mut self.kernel, now);
            }
            if is_due(slot.transports.deadline()) {
                slot.transports.deadline_reached(now);
            }
        }
    }

    fn serve_links(&mut self) -> io::Result<()> {
        let mut changed = Vec::new();
        let mut readdressed = BTreeSet::new();
        let received = self.link_events.drain(&mut |message| {
            changed.extend(LinkEvent::parse(&message));
            readdressed.extend(address::changed(&message));
        })?;
        let now = self.now();
        if received == Received::Overflow {
            let pause = self.resynced.map_or(now, |last| last + RESYNC_PAUSE);
            self.resync_due = Some(pause.max(now));
        }
        self.refresh(|team, kernel| {
            let device = team.links_changed(kernel, now, &changed);
            team.addresses_changed(kernel, now, &readdressed);
            device
        });
        Ok(())
    }

    fn resync_if_due(&mut self) {
        let now = self.now();
        if self.resync_due.is_some_and(|due| due <= now) {
            self.resync_due = None;
            log::warn!("link events were lost, reading all links anew");
            match link::all(&mut self.kernel.route) {
                Ok(links) => self.refresh(|team, kernel| team.resync(kernel, now, &links)),
                Err(error) => {
                    log::warn!("Failed to read all links ({}).", strerror(&error));
                    self.resync_due = Some(now + RESYNC_PAUSE);
                }
            }
            self.resynced = Some(self.now());
        }
    }

    /// Has every team read the kernel's state; one whose device is gone ends.
    fn refresh(&mut self, read: impl Fn(&mut ManagedTeam, &mut Kernel) -> DeviceState) {
        let now = self.now();
        let kernel = &mut self.kernel;
        let mut orphaned = Vec::new();
        for (block, slot) in &mut self.teams {
            let _log_scope = slot.log_scope();
            if read(&mut slot.team, kernel) == DeviceState::Deleted {
                orphaned.push(*block);
            }
        }
        for mut slot in orphaned.iter().filter_map(|block| self.teams.remove(block)) {
            let _log_scope = slot.log_scope();
            log::warn!("Team device removal detected.");
            // Nothing is left that could stay.
            slot.adopted_device = false;
            slot.release_ports(kernel, now);
            slot.end(kernel);
        }
    }

    fn serve_resolved(&mut self) {
        let now = self.now();
        for slot in self.teams.values_mut() {
            let _log_scope = slot.log_scope();
            slot.team.take_resolved(&mut self.kernel, now);
        }
    }

    /// One helping for each source that is ready, control frames of every team first, the
    /// others in turn until their time is over.
    fn serve_sources(&mut self) {
        let (control, mut others): (Vec<Token>, Vec<Token>) = self
            .ready
            .iter()
            .partition(|token| is_control_frame_token(**token));
        for token in control {
            self.serve_source(token);
        }
        let next = others.partition_point(|token| *token <= self.last_served);
        others.rotate_left(next);
        let end = self.now() + BULK_TIME;
        for token in others {
            self.serve_source(token);
            self.last_served = token;
            if self.now() >= end {
                break;
            }
        }
    }

    fn serve_source(&mut self, token: Token) {
        let now = self.now();
        let drained = match self.teams.get_mut(&(token.0 / TEAM_TOKENS)) {
            Some(slot) => {
                let _log_scope = slot.log_scope();
                slot.serve(&mut self.kernel, now, token)
            }
            None => Drained::Dry,
        };
        if drained == Drained::Dry {
            self.ready.remove(&token);
        }
    }
}

/// teamd's words for its own three.
fn signals_of(asked: Asked) -> &'static str {
    match asked {
        Asked::End => "SIGINT, SIGQUIT or SIGTERM",
        Asked::LeaveNoted => "SIGUSR1",
        Asked::Leave => "SIGUSR2",
    }
}
