//! The daemon: one thread, one loop, any number of teams.
//!
//! The loop waits in `poll` only. Each turn handles, in this order: signals, deadlines, link
//! events, control frames, then bulk frames and control clients. Each bulk source has a budget of
//! frames, and all bulk sources together have `BULK_TIME` per turn, so that bulk traffic delays
//! neither timers nor link events nor LACPDUs, however many teams have bulk traffic.
//!
//! `interface_map` finds the teams of an interface, and `deadlines` has one queue for all teams: the
//! cost of a turn depends on the teams with an event only.

mod announce;
mod carrier_changes;
mod carrier_watch;
mod deadlines;
mod device_lock;
mod directory;
mod directory_watch;
mod frame_choice;
mod hook_checks;
mod interface_map;
mod kernel;
mod lacp_state;
mod link_events;
mod own_hwaddrs;
mod recorder;
mod requirements;
mod resolver;
mod source;
mod start;
mod start_options;
mod state;
mod status_text;
mod team;
mod team_api;
mod team_slot;
mod tipc;
mod transports;
mod udev;
mod wake_timer;
mod warm_restart;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use mio::{Events, Poll, Registry, Waker};
use runners::{Instant, LinkWatch, Port, RunnerSettings, policy_without_ports};

pub use directory::{Listing, ReadDirectory};
pub use start::left_team;
pub use start_options::{StartError, StartOptions};
// For the fuzz targets: both read files.
pub use team::PartnerStateFile;
pub use warm_restart::WarmStart;

use self::carrier_watch::CarrierWatch;
use self::deadlines::Deadlines;
use self::directory_watch::DirectoryWatch;
use self::hook_checks::HookChecks;
use self::interface_map::InterfaceMap;
use self::kernel::Kernel;
use self::link_events::LinkEvents;
use self::recorder::RecordingMemory;
use self::resolver::Answers;
use self::source::{Source, TeamId, TeamSource};
use self::status_text::{TeamStatus, status_text};
use self::team_slot::TeamSlot;
use self::wake_timer::WakeTimer;
use crate::datapath::ebpf::{self, SharedPrograms};
use crate::datapath::{Drained, SnapshotPart};
use crate::errno::{count_failed_call, strerror};
use crate::process::sandbox::ProgramRights;
use crate::process::service_manager::{PATIENCE, ServiceManager};
use crate::process::signals::{Signals, Stop};
use crate::sys::clock;

/// Readiness events taken from the kernel in one turn.
const EVENTS: usize = 64;

/// Time of a turn for bulk traffic and clients, before timers and partners have the next turn.
const BULK_TIME: Duration = Duration::from_millis(2);

/// Turns of the loop that may fail one after the other, with a pause after each; then the daemon
/// ends.
const MAX_FAILURES: u32 = 100;
const FAILURE_PAUSE_MS: u16 = 10;

/// The daemon.
pub struct Daemon {
    poll: Poll,
    /// The registry of `poll`, shared by the sources: each `try_clone` of mio would open a
    /// descriptor.
    registry: Rc<Registry>,
    kernel: Kernel,
    link_events: LinkEvents,
    signals: Signals,
    /// How to end; `None` until a signal arrives.
    stop: Option<Stop>,
    /// Host names that threads have resolved.
    resolved: Answers,
    /// Descriptors of a former daemon that no team has taken yet.
    kept: BTreeMap<String, OwnedFd>,
    manager: ServiceManager,
    wake_timer: WakeTimer,
    programs: Rc<SharedPrograms>,
    recordings: RecordingMemory,
    /// [`clock::boottime`] at the start, which is [`Instant::ZERO`].
    started: Duration,
    /// The Unix time at the start.
    started_unix: Duration,
    teams: BTreeMap<TeamId, Box<TeamSlot>>,
    /// The directory of the configuration files, if they are in one.
    directory: Option<ReadDirectory>,
    /// Events of the directory (`--watch`).
    directory_watch: Option<DirectoryWatch>,
    /// Configurations whose teams did not start, for the service manager's status.
    not_started: Vec<String>,
    interfaces: InterfaceMap,
    /// The polling of carriers after a link event of any interface.
    carrier_watch: CarrierWatch,
    /// Teams with ports whose link events the kernel may delay.
    delayed: BTreeSet<TeamId>,
    /// The team of `delayed` whose carriers were polled last.
    last_polled: TeamId,
    /// Teams with ports that may be stacked on the team's own device.
    stackable: BTreeSet<TeamId>,
    deadlines: Deadlines,
    hook_checks: HookChecks,
    /// Teams that handled an event in this turn: their deadline, interfaces and status may have
    /// changed.
    touched: BTreeSet<TeamId>,
    /// The status of a team or the set of teams changed since the last status message.
    status_changed: bool,
    /// Turns that have failed since the last one that did not.
    failures: u32,
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
        let registry = Rc::new(poll.registry().try_clone()?);
        let signals = Signals::take()?;
        signals.register(&registry, Source::Signals.token())?;
        let link_events = LinkEvents::open(&registry)?;
        let resolved = Answers::new(Waker::new(&registry, Source::Resolver.token())?);
        let manager = ServiceManager::from_environment();
        let kept = manager.take_kept();
        Ok(Daemon {
            kernel: Kernel::open()?,
            kept,
            link_events,
            signals,
            stop: None,
            resolved,
            manager,
            wake_timer: WakeTimer::open(&registry, source::WAKE_TIMER)?,
            programs: Rc::new(SharedPrograms::new(
                Rc::clone(&registry),
                Source::FramesMoved.token(),
            )),
            recordings: RecordingMemory::default(),
            poll,
            registry,
            started: clock::boottime(),
            started_unix: clock::unix_time(),
            teams: BTreeMap::new(),
            directory: None,
            directory_watch: None,
            not_started: Vec::new(),
            interfaces: InterfaceMap::default(),
            carrier_watch: CarrierWatch::default(),
            delayed: BTreeSet::new(),
            last_polled: TeamId::FIRST,
            stackable: BTreeSet::new(),
            deadlines: Deadlines::default(),
            hook_checks: HookChecks::default(),
            touched: BTreeSet::new(),
            status_changed: true,
            failures: 0,
            ready: BTreeSet::new(),
            last_bulk: Source::Signals,
        })
    }

    /// Returns the time since the start; the time of a suspend counts for partners, too.
    fn now(&self) -> Instant {
        Instant::ZERO + clock::boottime().saturating_sub(self.started)
    }

    /// Returns whether there is any team.
    pub fn has_teams(&self) -> bool {
        !self.teams.is_empty()
    }

    /// Announces the number of teams that are about to start, so that their programs share maps.
    pub fn expect_teams(&self, teams: usize) {
        self.programs.expect(teams);
    }

    /// Names in the service manager's status the configurations whose teams did not start.
    pub fn set_not_started(&mut self, origins: Vec<String>) {
        self.not_started = origins;
    }

    /// Returns the rights with which data paths may still load programs into the kernel.
    pub fn program_rights(&self) -> ProgramRights {
        let answers_watch = |port: &Port| {
            let mut watches = port.watches().iter().filter_map(LinkWatch::lacp_settings);
            watches.any(|lacp| !lacp.keepalive.is_zero())
        };
        // A new file of a directory may need programs.
        let new = match self.directory {
            Some(_) => ProgramRights::Bpf,
            None => ProgramRights::None,
        };
        let teams = self.teams.values().map(|slot| {
            let runner = &slot.team.core.settings().runner;
            let policy = policy_without_ports(runner);
            let needs_programs = matches!(runner, RunnerSettings::Lacp(lacp)
                if !lacp.keepalive.is_zero() || lacp.broadcast_neighbor)
                || slot.team.core.ports().any(answers_watch);
            match slot.team.data_path.capabilities().loads_programs || needs_programs {
                false => ProgramRights::None,
                true if ebpf::needs_perfmon(&policy) => ProgramRights::BpfAndPerfmon,
                true => ProgramRights::Bpf,
            }
        });
        teams.chain([new]).max().unwrap_or(new)
    }

    /// Runs the teams until a signal ends the daemon or no team is left. Then releases every port
    /// and deletes the devices, unless the signal asks to keep them.
    ///
    /// # Errors
    /// Errors of the loop itself; ports and devices are released all the same.
    pub fn run(mut self) -> io::Result<()> {
        self.kept.clear();
        let outcome = self.run_loop();
        self.manager.stopping();
        let now = self.now();
        let stop = *outcome.as_ref().unwrap_or(&Stop::TearDown);
        if stop != Stop::TearDown {
            self.keep_descriptors();
        }
        for slot in self.teams.values_mut() {
            let _log_scope = slot.log_scope();
            slot.prepare_end(&mut self.kernel, now, stop);
        }
        log::info!("Exiting...");
        let teams = std::mem::take(&mut self.teams).into_values();
        team_slot::end(&mut self.kernel, now, teams);
        outcome.map(drop)
    }

    /// Gives the descriptors in which frames queue to the service manager, for the next daemon.
    fn keep_descriptors(&self) {
        let end = clock::monotonic() + PATIENCE;
        for slot in self.teams.values() {
            let _log_scope = slot.log_scope();
            for (name, descriptor) in slot.team.data_path.snapshot(SnapshotPart::Queues).queues {
                if let Err(error) = self.manager.keep(&name, &descriptor, end) {
                    log::warn!("Failed to keep {name} for the next daemon ({}).", strerror(&error));
                }
            }
        }
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
            let timeout = self.prepare_wait();
            self.turn(&mut events, timeout)?;
        }
        Ok(self.stop.unwrap_or(Stop::TearDown))
    }

    /// Makes one turn of the loop. A turn that fails is repeated after a pause.
    ///
    /// # Errors
    /// The error of the last of [`MAX_FAILURES`] turns that failed one after the other.
    fn turn(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.try_turn(events, timeout) {
            Ok(()) => self.failures = 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) if self.failures < MAX_FAILURES => {
                log::error!("A turn of the loop failed ({}).", strerror(&error));
                self.failures += 1;
                count_failed_call();
                // An interrupted pause is long enough.
                let _ = nix::poll::poll(&mut [], FAILURE_PAUSE_MS);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn try_turn(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.poll.poll(events, timeout)?;
        self.kernel.begin_turn();
        self.ready.extend(events.iter().filter_map(|event| Source::decode(event.token())));
        if self.ready.contains(&Source::Signals) {
            let requests = self.signals.read()?;
            self.ready.remove(&Source::Signals);
            if requests.reload {
                self.reload_configs();
            }
            self.stop = requests.stop;
            if let Some(stop) = self.stop {
                // The words for `TearDown` are teamd's.
                let signals = match stop {
                    Stop::TearDown => "SIGINT, SIGQUIT or SIGTERM",
                    Stop::SaveAndKeep => "SIGUSR1",
                    Stop::Keep => "SIGUSR2",
                };
                log::warn!("Got {signals}.");
                return Ok(());
            }
        }
        self.handle_deadlines();
        self.poll_delayed_carriers();
        if self.ready.remove(&Source::LinkEvents) {
            self.read_link_events();
        }
        self.resync_if_due();
        self.handle_link_events();
        let is_ready = self.ready.remove(&Source::Directory);
        self.reload_if_directory_changed(is_ready);
        if self.ready.remove(&Source::Resolver) {
            self.handle_resolved();
        }
        self.handle_ready_sources();
        self.update_touched_teams();
        Ok(())
    }

    /// Sets the timer for the next deadline, and returns how long to wait for events; zero while a
    /// source may have more to read, `None` without another limit than the timer.
    fn prepare_wait(&mut self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let carriers = self.carrier_watch.deadline().filter(|_| !self.delayed.is_empty());
        let deadlines = [
            self.deadlines.next(),
            self.hook_checks.deadline(),
            self.manager.deadline(),
            self.link_events.resync_due(),
            carriers,
            self.directory_watch.as_ref().and_then(DirectoryWatch::deadline),
        ];
        let deadline = deadlines.into_iter().flatten().min()?;
        let left = deadline.saturating_since(self.now());
        if left.is_zero() {
            return Some(left);
        }
        let time = self.started + deadline.saturating_since(Instant::ZERO);
        match self.wake_timer.set(time) {
            Ok(()) => None,
            Err(error) => {
                count_failed_call();
                log::debug!("Failed to set the timer ({}).", strerror(&error));
                Some(left)
            }
        }
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
        for team in self.hook_checks.due(now) {
            self.with_team(team, |slot, _| slot.team.check_hooks(now));
        }
    }

    fn handle_resolved(&mut self) {
        let now = self.now();
        for (team, answer) in self.resolved.take() {
            self.with_team(team, |slot, kernel| slot.team.resolved(kernel, now, answer));
        }
    }

    /// Has the teams whose programs moved the first frame after a pause poll their carriers.
    fn handle_frames_moved(&mut self, now: Instant) {
        for ifindex in self.programs.woken() {
            let teams: Vec<TeamId> = self.interfaces.by_ifindex(ifindex).collect();
            for team in teams {
                self.with_team(team, |slot, _| slot.team.frames_moved(now));
            }
        }
    }

    /// Handles each ready source once: sources of control frames first, then the others in turn
    /// until [`BULK_TIME`] is over or a team has a deadline.
    fn handle_ready_sources(&mut self) {
        let (urgent, mut bulk): (Vec<Source>, Vec<Source>) =
            self.ready.iter().partition(|source| source.is_urgent());
        for source in urgent {
            self.handle_source(source);
        }
        let next = bulk.partition_point(|source| *source <= self.last_bulk);
        bulk.rotate_left(next);
        self.update_touched_teams();
        let end = self.deadlines.next().into_iter().chain([self.now() + BULK_TIME]).min();
        for source in bulk {
            self.handle_source(source);
            self.last_bulk = source;
            if end.is_some_and(|end| self.now() >= end) {
                break;
            }
        }
    }

    fn handle_source(&mut self, source: Source) {
        let now = self.now();
        let drained = match source {
            Source::Team(team, of_team) => {
                self.with_team(team, |slot, kernel| slot.handle_source(kernel, now, of_team))
            }
            Source::FramesMoved => {
                self.handle_frames_moved(now);
                None
            }
            // The next turn handles these sources, ready since a team started or reloaded.
            Source::Signals | Source::LinkEvents | Source::Resolver | Source::Directory => return,
        };
        if drained != Some(Drained::More) {
            self.ready.remove(&source);
        }
        if let Source::Team(team, TeamSource::Usock(_) | TeamSource::Dbus) = source {
            let slot = self.teams.get_mut(&team);
            if slot.is_some_and(|slot| std::mem::take(&mut slot.team.reread_requested)) {
                self.reload_configs();
            }
        }
    }

    /// Updates deadline, interfaces and status of the teams that handled an event, and has
    /// everything read anew if a reading failed.
    fn update_touched_teams(&mut self) {
        if self.kernel.take_unread() {
            self.link_events.retry_reading(self.now());
        }
        for team in std::mem::take(&mut self.touched) {
            let Some(slot) = self.teams.get_mut(&team) else { continue };
            self.deadlines.set(team, slot.deadline());
            self.hook_checks.set(team, slot.team.silent_hooks());
            if slot.team.take_interfaces_changed() {
                let (watched, expected) = (slot.team.watched(), slot.team.expected_names());
                self.interfaces.replace(team, watched, expected, slot.team.device.hwaddr);
                set_member(&mut self.delayed, team, slot.team.polls_carriers());
                set_member(&mut self.stackable, team, slot.team.may_be_stacked());
            }
            self.status_changed |= slot.update_summary();
        }
    }

    fn add_team(&mut self, team: TeamId, slot: TeamSlot) {
        self.teams.insert(team, Box::new(slot));
        self.touched.insert(team);
        self.update_touched_teams();
    }

    /// Takes a team out of the loop.
    fn take_team(&mut self, team: TeamId) -> Option<Box<TeamSlot>> {
        let slot = self.teams.remove(&team)?;
        self.deadlines.set(team, None);
        self.hook_checks.set(team, 0);
        self.link_events.forget(team);
        self.interfaces.remove(team);
        self.delayed.remove(&team);
        self.stackable.remove(&team);
        self.status_changed = true;
        Some(slot)
    }

    /// Ends a team whose device was deleted.
    fn end_orphaned_team(&mut self, team: TeamId) {
        let now = self.now();
        let Some(mut slot) = self.take_team(team) else {
            return;
        };
        let _log_scope = slot.log_scope();
        log::warn!("Team device removal detected.");
        slot.device_gone();
        slot.team.end_following(&mut self.kernel);
        team_slot::end(&mut self.kernel, now, [slot]);
    }

    /// Sends the service manager the status, if it changed, and the watchdog's keep-alive.
    fn notify_manager(&mut self) {
        if std::mem::take(&mut self.status_changed) {
            let teams = self.teams.values().map(|slot| TeamStatus {
                summary: &slot.summary,
                carries: slot.team.core.carrier(),
            });
            self.manager.set_status(status_text(&self.not_started, teams));
        }
        self.manager.turn(self.now());
    }
}

/// Adds a team to a set if `is_member`, otherwise removes the team from the set.
fn set_member(set: &mut BTreeSet<TeamId>, team: TeamId, is_member: bool) {
    match is_member {
        true => set.insert(team),
        false => set.remove(&team),
    };
}
