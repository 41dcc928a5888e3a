//! The core of a team with a recording of its last events and actions, for `teamrctl record`.
//!
//! The recording has two halves of bounded size. When the newer half is full, the older one is
//! dropped and the next half begins with the state of the ports, so that it can be replayed alone.
//! The entries are kept as JSON text, which is smaller than values of [`Entry`] with their
//! allocations. The teams of a process share the memory of all recordings ([`RecordingMemory`]).

mod noise;
mod packed;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use runners::{Action, Event, HwAddr, Instant, LinkWatch, Port, PortId, Team, TeamSettings};

use crate::recording::{Entry, FailoverDetector, Recording};
use noise::Noise;
use packed::Packed;

/// Bytes of the recordings of all teams of a process, as far as [`LEAST`] and [`MOST`] allow.
const TOTAL: usize = 12 << 20;
/// Most bytes of a half: a half that has more ends.
const MOST: usize = 128 << 10;
/// Bytes that a half may have, however many teams share the memory.
const LEAST: usize = 6 << 10;

/// Bytes after which a half ends although the team still has actions.
const HARD_LIMIT: usize = 16 << 20;

/// The memory that the recordings of a process share. Each recording has a clone, and the number of
/// clones divides the memory.
#[derive(Clone, Debug, Default)]
pub struct RecordingMemory(Rc<()>);

impl RecordingMemory {
    /// Returns the bytes after which a half of a recording ends.
    fn half(&self) -> usize {
        (TOTAL / 2 / Rc::strong_count(&self.0)).clamp(LEAST, MOST)
    }
}

/// One half of a recording.
#[derive(Debug)]
struct Half {
    /// As in [`Recording`].
    whole: bool,
    settings: TeamSettings,
    hwaddr: HwAddr,
    /// As in [`Recording`].
    begin: u64,
    /// The entries that bring a new team into the state at the beginning.
    opening: Packed,
    /// The entries after the opening.
    entries: Packed,
}

/// A team whose events and actions are recorded.
#[derive(Debug)]
pub struct RecordedTeam {
    core: Team,
    device: String,
    /// As in [`Recording`].
    origin: u64,
    memory: RecordingMemory,
    older: Option<Box<Half>>,
    newer: Box<Half>,
    noise: Noise,
    /// The next action, if it was already taken from the core.
    next_action: Option<Action>,
    /// The last events about facts that the core does not show, for the opening.
    facts: Vec<Event>,
    /// The last LACPDU of each port, for the opening.
    pdus: BTreeMap<PortId, Vec<u8>>,
    now: Instant,
    /// The team handled an event since the last [`take_changed`](Self::take_changed).
    changed: bool,
    failovers: FailoverDetector,
}

impl RecordedTeam {
    /// Records `core` from its beginning. `origin` is the Unix time of [`Instant::ZERO`], in
    /// nanoseconds.
    pub fn new(core: Team, device: String, origin: u64, memory: &RecordingMemory) -> Self {
        let newer = Box::new(Half {
            whole: true,
            settings: core.settings().clone(),
            hwaddr: core.hwaddr(),
            begin: 0,
            opening: Packed::default(),
            entries: Packed::default(),
        });
        RecordedTeam {
            core,
            device,
            origin,
            memory: memory.clone(),
            older: None,
            newer,
            noise: Noise::default(),
            next_action: None,
            facts: Vec::new(),
            pdus: BTreeMap::new(),
            now: Instant::ZERO,
            changed: true,
            failovers: FailoverDetector::default(),
        }
    }

    /// [`Team::handle`].
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.handle_all(now, vec![event]);
    }

    /// [`Team::handle_all`], with at most one event about each fact.
    pub fn handle_all(&mut self, now: Instant, mut events: Vec<Event>) {
        if self.newer.entries.bytes() > HARD_LIMIT {
            self.start_half();
        }
        self.now = now;
        let due = self.core.next_deadline().is_some_and(|due| due <= now);
        if !due {
            events.retain(|event| !self.is_known(event));
        }
        let last = events.len().saturating_sub(1);
        if events.is_empty() {
            return;
        }
        let before = self.newer.entries.mark();
        for (place, event) in events.iter().enumerate() {
            self.newer.entries.push_event(now, place < last, event);
        }
        self.changed = true;
        events.iter().for_each(|event| self.keep_fact(event));
        let frame = match &events[..] {
            [Event::FrameReceived { port, frame }] if !due => Some((*port, frame.clone())),
            _ => None,
        };
        self.core.handle_all(now, events);
        self.next_action = self.next_action.take().or_else(|| self.core.poll_action());
        let Some((port, frame)) = frame.filter(|_| self.next_action.is_none()) else {
            self.noise.event_handled();
            return;
        };
        if self.noise.is_noise(now, &self.core, port, &frame) {
            let entry = self.newer.entries.cut(before);
            self.noise.push(entry, self.memory.half() / 2);
        }
    }

    /// [`Team::poll_action`].
    pub fn poll_action(&mut self) -> Option<Action> {
        let Some(action) = self.next_action.take().or_else(|| self.core.poll_action()) else {
            // A half ends only between an event's last action and the next event.
            if self.newer.entries.bytes() > self.memory.half() {
                self.start_half();
            }
            return None;
        };
        match &action {
            Action::RememberPdu { port, frame: Some(frame) } => {
                self.pdus.insert(*port, frame.clone());
            }
            Action::RememberPdu { port, frame: None } => {
                self.pdus.remove(port);
            }
            _ => {}
        }
        for entry in Entry::of(self.now, &action, &mut self.failovers, &self.core) {
            self.newer.entries.push(&entry);
        }
        Some(action)
    }

    /// Returns the time of the last event.
    pub fn time(&self) -> Instant {
        self.now
    }

    /// Returns whether the team handled an event since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Returns both halves as one recording.
    pub fn recording(&self) -> Recording {
        let first = self.older.as_ref().unwrap_or(&self.newer);
        let opening = first.opening.entries();
        let opening_length = opening.len();
        let mut entries = opening;
        // A replay of the older half ends in the state that the opening of the newer half
        // describes.
        let halves = self.older.iter().chain([&self.newer]);
        entries.extend(halves.flat_map(|half| half.entries.entries()));
        Recording {
            device: self.device.clone(),
            origin: self.origin,
            whole: first.whole,
            settings: first.settings.clone(),
            hwaddr: first.hwaddr,
            opening: opening_length,
            begin: first.begin,
            entries,
            noise: self.noise.entries(),
        }
    }

    /// Returns whether an event repeats what the core knows, which changes nothing.
    fn is_known(&self, event: &Event) -> bool {
        match event {
            Event::LinkChanged { port, link } => {
                self.core.port(*port).map(Port::link) == Some(*link)
            }
            Event::PortHwAddrChanged { port, hwaddr } => {
                self.core.port(*port).map(Port::hwaddr) == Some(*hwaddr)
            }
            _ => false,
        }
    }

    /// Keeps an event about a fact that the core does not show, in place of the former one.
    fn keep_fact(&mut self, event: &Event) {
        // True for `event` itself exactly if the event is about such a fact.
        let is_former = |known: &Event| match (known, event) {
            (Event::TeamAdminChanged { .. }, Event::TeamAdminChanged { .. })
            | (Event::TipcBearersChanged { .. }, Event::TipcBearersChanged { .. }) => true,
            (
                Event::HostResolved { host: known, family: of, .. },
                Event::HostResolved { host, family, .. },
            ) => known == host && of == family,
            _ => false,
        };
        if is_former(event) {
            self.facts.retain(|known| !is_former(known));
            self.facts.push(event.clone());
        }
    }

    /// Starts the newer half anew with the state of the team.
    fn start_half(&mut self) {
        let newer = Box::new(Half {
            whole: false,
            settings: self.core.settings().clone(),
            hwaddr: self.core.hwaddr(),
            begin: self.newer.begin + self.newer.entries.count(),
            opening: self.opening(),
            entries: Packed::default(),
        });
        self.noise.event_handled();
        self.older = Some(std::mem::replace(&mut self.newer, newer));
    }

    /// Returns the entries that bring a new team into the present state.
    fn opening(&self) -> Packed {
        let address = self.core.link_local();
        let link_local = address.map(|_| Event::TeamLinkLocalChanged { address });
        let is_current = |port: PortId| {
            let watch = self.core.lacp_watch_status(self.now, port);
            watch.is_none_or(|watch| watch.state == "current")
        };
        let pdus = self
            .pdus
            .iter()
            .filter(|(port, _)| is_current(**port))
            .map(|(port, frame)| Event::FrameReceived { port: *port, frame: frame.clone() });
        let events = self.core.ports();
        let events = events.flat_map(|port| port_events(self.now, port, self.core.hwaddr()));
        let events = events.chain(link_local).chain(self.facts.iter().cloned()).chain(pdus);
        let events = events.chain(active_port_events(&self.core));
        let mut opening = Packed::default();
        events.for_each(|event| opening.push_event(self.now, false, &event));
        opening
    }
}

/// Returns the events that make the active port of a new team that of `core`, and pin it if the
/// user chose it. The choice among equal ports depends on the past: the others are out for a
/// moment.
fn active_port_events(core: &Team) -> Vec<Event> {
    let chosen = core.chosen_port().map(|port| Event::ActivePortChosen { port });
    let Some(active) = core.active_port() else {
        return chosen.into_iter().collect();
    };
    let others = core.ports().filter(|port| port.id() != active && port.is_allowed());
    let others: Vec<PortId> = others.map(Port::id).collect();
    let allow =
        |allowed| others.iter().map(move |port| Event::PortAllowed { port: *port, allowed });
    allow(false).chain(chosen).chain(allow(true)).collect()
}

/// Returns the events that bring a port into a new team, whose address is `team`, with its present
/// state.
fn port_events(now: Instant, port: &Port, team: HwAddr) -> impl Iterator<Item = Event> + use<> {
    let id = port.id();
    let added = Event::PortAdded {
        port: id,
        name: port.name().to_owned(),
        hwaddr: port.original_hwaddr(),
        link: port.link(),
        settings: port.settings().clone(),
        adopted: true,
    };
    let hwaddr = Event::PortHwAddrChanged { port: id, hwaddr: port.hwaddr() };
    let forbidden = (!port.is_allowed()).then_some(Event::PortAllowed { port: id, allowed: false });
    let refused = port.refuses_team_hwaddr();
    let refused = refused.then_some(Event::PortHwAddrRefused { port: id, hwaddr: team });
    let address = port.link_local();
    let link_local = address.map(|_| Event::PortLinkLocalChanged { port: id, address });
    let penalty = port.damping(now).map(|damping| Event::PortPenalty {
        port: id,
        penalty: damping.penalty,
        suppressed_until: damping.ends_in.map(|left| now + left),
    });
    let closed = (!port.macsec_gate()).then_some(Event::PortMacsecGate { port: id, open: false });
    let drained = port.is_drain_requested();
    let drained = drained.then_some(Event::PortDrained { port: id, drained: true });
    let facts = [refused, link_local, forbidden, penalty, closed, drained];
    let errors = port.watches().iter().find_map(LinkWatch::errors_status);
    let errors = errors.map(|status| Event::PortErrors { port: id, status });
    let paths = port.watches().iter().filter_map(|watch| Some((*watch.bfd_settings()?, watch)));
    let paths = paths.map(|(settings, watch)| {
        let up = watch.is_up();
        Event::PathChanged { port: id, settings, up }
    });
    let watches = port.watches().iter().enumerate();
    let down = watches.filter(|(_, watch)| watch.ping_status().is_some() && !watch.is_up());
    let down = down.map(|(place, _)| Event::PortWatchDown { port: id, place });
    let mut lacp = port.watches().iter().filter(|watch| watch.lacp_settings().is_some());
    let is_down = lacp.any(|watch| !watch.is_up());
    let partner = is_down.then_some(Event::PortWithoutPartner { port: id });
    let watches: Vec<Event> = errors.into_iter().chain(paths).chain(down).chain(partner).collect();
    [added, hwaddr].into_iter().chain(facts.into_iter().flatten()).chain(watches)
}

impl Deref for RecordedTeam {
    type Target = Team;

    fn deref(&self) -> &Team {
        &self.core
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
    use runners::wire::probe::arp_request;
    use runners::{
        ArpPingSettings, BfdSettings, Duplex, ErrorsSettings, Failback, Host, HwAddr, HwAddrPolicy,
        LacpSettings, Link, LinkWatchSettings, PortId, PortSettings, Probing, ReceiveCounters,
        RunnerSettings, TeamSettings,
    };

    use super::*;
    use crate::recording::What;

    const PORT: PortId = PortId(1);
    const UP: Link = Link { up: true, speed: 1000, duplex: Duplex::Full };
    const DOWN: Link = Link { up: false, speed: 0, duplex: Duplex::Half };

    fn active_backup(failback: Failback) -> RunnerSettings {
        RunnerSettings::ActiveBackup { hwaddr_policy: HwAddrPolicy::SameAll, failback }
    }

    /// A team of two ports with this watch; the second port has the priority `prio`, the first 0.
    fn team(runner: RunnerSettings, watch: &LinkWatchSettings, prio: i32) -> RecordedTeam {
        let core = Team::new(TeamSettings::new(runner), HwAddr([2, 0, 0, 0, 0, 9]));
        let mut team = RecordedTeam::new(core, "team0".to_owned(), 0, &RecordingMemory::default());
        for (number, prio) in [(1, 0), (2, prio)] {
            let settings =
                PortSettings { prio, link_watches: vec![watch.clone()], ..PortSettings::default() };
            let added = Event::PortAdded {
                port: PortId(number),
                name: format!("eth{number}"),
                hwaddr: HwAddr([2, 0, 0, 0, 0, number as u8]),
                link: UP,
                settings,
                adopted: false,
            };
            handle(&mut team, 0, added);
        }
        team
    }

    fn ethtool() -> LinkWatchSettings {
        LinkWatchSettings::Ethtool { delay_up: Duration::ZERO, delay_down: Duration::ZERO }
    }

    fn handle(team: &mut RecordedTeam, at: u64, event: Event) {
        team.handle(Instant::from_nanos(at), event);
        while team.poll_action().is_some() {}
    }

    /// A team with two ports, the first of which flaps `flaps` times.
    fn flapping(flaps: u64) -> RecordedTeam {
        let mut team = team(active_backup(Failback::default()), &ethtool(), -1);
        let mut handle = |at: u64, event: Event| handle(&mut team, at, event);
        for flap in 0..flaps {
            let changed = |link| Event::LinkChanged { port: PORT, link };
            handle(2 * flap + 1, changed(DOWN));
            // The core knows this already; the recording does not repeat it.
            handle(2 * flap + 1, changed(DOWN));
            handle(2 * flap + 2, changed(UP));
        }
        team
    }

    fn decisions(recording: &Recording) -> Vec<&str> {
        let entries = recording.entries.iter();
        entries
            .filter_map(|entry| match &entry.what {
                What::Forward(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_whole_recording_replays_exactly() {
        let recording = flapping(3).recording();
        assert!(recording.whole);
        assert_eq!(recording.replay(), recording);
        assert_eq!(decisions(&recording).len(), 8);
        let text = serde_json::to_string(&recording).expect("written");
        let read: Recording = serde_json::from_str(&text).expect("read");
        assert_eq!(read, recording);
    }

    #[test]
    fn joined_events_are_recorded_and_replayed_as_one_decision() {
        let mut team = flapping(0);
        let down = Event::LinkChanged { port: PORT, link: DOWN };
        let renamed = Event::PortRenamed { port: PORT, name: "wan".to_owned() };
        team.handle_all(Instant::from_nanos(1), vec![renamed, down]);
        while team.poll_action().is_some() {}
        let recording = team.recording();
        assert_eq!(recording.entries.iter().filter(|entry| entry.joined).count(), 1);
        assert_eq!(recording.replay(), recording);
        let text = serde_json::to_string(&recording).expect("written");
        assert_eq!(text.matches("joined").count(), 1, "{text}");
    }

    #[test]
    fn a_partial_recording_replays_to_the_same_end() {
        for flaps in [600, 1500, 3000] {
            let recording = flapping(flaps).recording();
            assert!(!recording.whole);
            let bytes = bytes(&recording);
            assert!((MOST..2 * MOST + LEAST).contains(&bytes), "{bytes}");
            let replayed = recording.replay();
            assert_eq!(decisions(&replayed).last(), decisions(&recording).last(), "after {flaps}");
            let last = |recording: &Recording| recording.entries.last().cloned();
            assert_eq!(last(&replayed), last(&recording));
        }
    }

    /// Returns the length of the entries as text, in bytes.
    fn bytes(recording: &Recording) -> usize {
        let text = |entry| serde_json::to_string(entry).expect("written").len();
        recording.entries.iter().map(text).sum()
    }

    #[test]
    fn the_teams_of_a_process_share_the_memory_of_the_recordings() {
        let mut team = flapping(3000);
        let others = vec![team.memory.clone(); 2000];
        for number in 0..1000 {
            let name = format!("eth2-{number}");
            handle(&mut team, 10_000 + number, Event::PortRenamed { port: PortId(2), name });
        }
        let bytes = bytes(&team.recording());
        assert!((LEAST..3 * LEAST).contains(&bytes), "{bytes}");
        assert_eq!(others.len(), 2000);
        // A half allocates less than twice its limit, so that 1,000 teams stay below the total.
        let kept = [&team.newer.entries, &team.newer.opening].map(Packed::capacity);
        assert!(kept.iter().sum::<usize>() < 2 * LEAST, "{kept:?}");
    }

    /// Fills both halves with events that change nothing of importance.
    fn fill(team: &mut RecordedTeam, from: u64) {
        for number in 0..4500 {
            let name = format!("eth2-{number}");
            handle(team, from + number, Event::PortRenamed { port: PortId(2), name });
        }
        assert!(!team.recording().whole);
    }

    /// Asserts that a replay of the partial recording has the active port of the team.
    fn assert_active_in_replay(team: &RecordedTeam, active: PortId) {
        assert_eq!(team.active_port(), Some(active));
        let replayed = team.recording().replay();
        let last = decisions(&replayed).last().map(|text| (*text).to_owned());
        let expected = format!("active {active}: ");
        assert!(last.as_ref().is_some_and(|last| last.starts_with(&expected)), "{last:?}");
    }

    #[test]
    fn a_partial_recording_has_the_settings_in_force() {
        let lacp = LacpSettings::default();
        let mut team = team(RunnerSettings::Lacp(lacp.clone()), &ethtool(), 0);
        let settings = LacpSettings { sys_prio: 7, ..lacp };
        handle(&mut team, 1, Event::LacpSettingsChanged { settings: settings.clone() });
        handle(&mut team, 1, Event::MinPortsChanged { min_ports: 2 });
        fill(&mut team, 2);
        let recording = team.recording();
        assert_eq!(recording.settings.runner, RunnerSettings::Lacp(settings));
        assert_eq!(recording.settings.min_ports, 2);
    }

    #[test]
    fn a_partial_recording_keeps_the_port_that_the_user_chose() {
        let mut team = team(active_backup(Failback::default()), &ethtool(), -1);
        handle(&mut team, 1, Event::ActivePortChosen { port: PortId(2) });
        fill(&mut team, 2);
        assert_active_in_replay(&team, PortId(2));
    }

    #[test]
    fn a_partial_recording_keeps_the_active_one_of_equal_ports() {
        let mut team = team(active_backup(Failback::default()), &ethtool(), 0);
        let changed = |link| Event::LinkChanged { port: PORT, link };
        handle(&mut team, 1, changed(DOWN));
        handle(&mut team, 2, changed(UP));
        fill(&mut team, 3);
        assert_active_in_replay(&team, PortId(2));
    }

    #[test]
    fn a_partial_recording_keeps_the_verdicts_of_errors_and_bfd() {
        let errors = LinkWatchSettings::Errors(ErrorsSettings {
            interval: Duration::from_secs(1),
            error_ratio: 1000,
            min_errors: 10,
            hold_time: Duration::from_secs(3600),
        });
        let mut team_of_errors = team(active_backup(Failback::default()), &errors, -1);
        for (at, corrupted) in [(1, 0), (2, 500)] {
            let ports = vec![(PORT, ReceiveCounters { good: 1000 * at, corrupted })];
            handle(&mut team_of_errors, at, Event::PortCounters { ports });
        }
        fill(&mut team_of_errors, 3);
        assert_active_in_replay(&team_of_errors, PortId(2));

        let settings = BfdSettings {
            single_hop: false,
            local: Ipv4Addr::new(10, 0, 0, 1).into(),
            peer: Ipv4Addr::new(10, 0, 0, 2).into(),
            interval: Duration::from_millis(10),
            multiplier: 3,
        };
        let bfd = LinkWatchSettings::Bfd(settings);
        let mut team_of_bfd = team(active_backup(Failback::default()), &bfd, -1);
        let port = PortId(2);
        handle(&mut team_of_bfd, 1, Event::PathChanged { port, settings, up: true });
        fill(&mut team_of_bfd, 2);
        assert_active_in_replay(&team_of_bfd, PortId(2));
    }

    /// Returns a watch that asks 192.0.2.1 each second, and validates frames if told.
    fn arp_ping(validates: bool) -> LinkWatchSettings {
        let probing = Probing {
            interval: Duration::from_secs(1),
            init_wait: Duration::ZERO,
            missed_max: 3,
            retry_interval: None,
        };
        let target = Ipv4Addr::new(192, 0, 2, 1);
        LinkWatchSettings::ArpPing(ArpPingSettings {
            probing,
            target_host: Host { name: target.to_string(), address: Some(target) },
            source_host: None,
            vlanid: None,
            validate_active: validates,
            validate_inactive: validates,
            send_always: false,
        })
    }

    #[test]
    fn a_partial_recording_keeps_the_verdict_of_arp_ping() {
        let mut team = team(active_backup(Failback::default()), &arp_ping(false), -1);
        let port = PortId(2);
        handle(&mut team, 1, Event::FrameReceived { port, frame: request(9) });
        fill(&mut team, 2);
        assert_active_in_replay(&team, port);
    }

    #[test]
    fn a_partial_recording_keeps_the_verdict_of_the_watch_lacp() {
        let settings = LacpSettings { fast_rate: true, ..LacpSettings::default() };
        let watch = LinkWatchSettings::Lacp(settings);
        let mut team = team(active_backup(Failback::default()), &watch, -1);
        let port = PortId(2);
        let actor = team.lacp_watch_status(Instant::ZERO, port).expect("a session").actor;
        let system = HwAddr([2, 0, 0, 0, 9, 9]);
        let partner = PortInfo {
            system_priority: 7,
            system,
            key: 7,
            port_priority: 7,
            port: 7,
            state: StateBits(0x3f),
        };
        let frame = Lacpdu::new(partner, actor, None).frame(system);
        handle(&mut team, 1, Event::FrameReceived { port, frame });
        fill(&mut team, 2);
        assert_active_in_replay(&team, port);
    }

    /// Returns an ARP request of a host that is no target.
    fn request(sender: u8) -> Vec<u8> {
        let address = Ipv4Addr::new(192, 0, 2, sender);
        arp_request(HwAddr([2, 0, 0, 0, 7, sender]), address, address, None)
    }

    #[test]
    fn arp_of_others_pushes_no_decision_out() {
        for validates in [true, false] {
            let mut team = team(active_backup(Failback::default()), &arp_ping(validates), -1);
            // 5000 requests a second for 4 s, and the deadlines between them.
            for number in 0..20_000_u64 {
                let at = 1_000_000 + number * 200_000;
                while let Some(due) = team.next_deadline().filter(|due| due.as_nanos() <= at) {
                    handle(&mut team, due.as_nanos(), Event::DeadlineReached);
                }
                let frame = request((number % 200) as u8);
                handle(&mut team, at, Event::FrameReceived { port: PORT, frame });
            }
            let recording = team.recording();
            assert!(recording.whole, "validates: {validates}");
            assert!(recording.entries.len() < 100, "{}", recording.entries.len());
            assert_eq!(recording.replay(), recording);
            assert!((64..=100).contains(&recording.noise.len()), "{}", recording.noise.len());
        }
    }
}
