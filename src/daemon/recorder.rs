//! The core of a team with a recording of its last events and actions, for `teamrctl record`.
//!
//! The recording has two halves of bounded size. When the newer half is full, the older one is
//! dropped and the next half begins with the state of the ports, so that it can be replayed alone.

use std::ops::Deref;

use runners::{Action, Event, Instant, Port, Team};

use crate::recording::{Entry, FailoverDetector, Recording, What};

/// Entries of one half …
const ENTRIES: usize = 256;
/// … and bytes of frames and counters in it, whichever limit is reached first.
const BYTES: usize = 32 << 10;

/// Entries after which a half ends although the team still has actions.
const HARD_LIMIT: usize = 1 << 17;

/// A team whose events and actions are recorded.
#[derive(Debug)]
pub struct RecordedTeam {
    core: Team,
    older: Option<Recording>,
    newer: Recording,
    /// Number of the first entries of `newer` that describe the ports.
    opening: usize,
    /// Bytes of frames and counters in `newer`.
    bytes: usize,
    now: Instant,
    /// The team handled an event since the last [`take_changed`](Self::take_changed).
    changed: bool,
    failovers: FailoverDetector,
}

impl RecordedTeam {
    /// Records `core` from its beginning. `origin` is the Unix time of [`Instant::ZERO`], in
    /// nanoseconds.
    pub fn new(core: Team, device: String, origin: u64) -> Self {
        let newer = Recording {
            device,
            origin,
            whole: true,
            settings: core.settings().clone(),
            hwaddr: core.hwaddr(),
            entries: Vec::new(),
        };
        RecordedTeam {
            core,
            older: None,
            newer,
            opening: 0,
            bytes: 0,
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
        if self.newer.entries.len() > HARD_LIMIT {
            self.start_half();
        }
        self.now = now;
        let due = self.core.next_deadline().is_some_and(|due| due <= now);
        if !due {
            events.retain(|event| !self.is_known(event));
        }
        let last = events.len().saturating_sub(1);
        for (place, event) in events.iter().enumerate() {
            self.bytes += size(event);
            self.newer.entries.push(Entry {
                joined: place < last,
                ..Entry::new(now, What::Event(event.clone()))
            });
        }
        if !events.is_empty() {
            self.changed = true;
            self.core.handle_all(now, events);
        }
    }

    /// [`Team::poll_action`].
    pub fn poll_action(&mut self) -> Option<Action> {
        let Some(action) = self.core.poll_action() else {
            // A half ends only between an event's last action and the next event.
            if self.newer.entries.len() > ENTRIES || self.bytes > BYTES {
                self.start_half();
            }
            return None;
        };
        if let Action::SendFrame { frame, .. } = &action {
            self.bytes += frame.len();
        }
        let failover = self.failovers.detect(&self.core, &action);
        let whats = failover.map(What::Failover).into_iter();
        let entries = whats.chain([What::of(&action)]);
        self.newer
            .entries
            .extend(entries.map(|what| Entry::new(self.now, what)));
        Some(action)
    }

    /// Returns whether the team handled an event since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Returns both halves as one recording.
    pub fn recording(&self) -> Recording {
        let Some(older) = &self.older else {
            return self.newer.clone();
        };
        let mut recording = older.clone();
        // A replay of the older half ends with the ports as the opening describes them.
        let later = &self.newer.entries[self.opening..];
        recording.entries.extend_from_slice(later);
        recording
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

    fn start_half(&mut self) {
        let address = self.core.link_local();
        let link_local = address.map(|_| Event::TeamLinkLocalChanged { address });
        let opening: Vec<Entry> = self
            .core
            .ports()
            .flat_map(port_events)
            .chain(link_local)
            .map(|event| Entry::new(self.now, What::Event(event)))
            .collect();
        self.opening = opening.len();
        self.bytes = 0;
        let newer = Recording {
            whole: false,
            hwaddr: self.core.hwaddr(),
            entries: opening,
            device: self.newer.device.clone(),
            settings: self.newer.settings.clone(),
            ..self.newer
        };
        self.older = Some(std::mem::replace(&mut self.newer, newer));
    }
}

/// Returns the bytes of a frame or of counters in an event.
fn size(event: &Event) -> usize {
    match event {
        Event::FrameReceived { frame, .. } => frame.len(),
        Event::BucketCounters { bytes } => size_of_val(&**bytes),
        Event::Stations { stations, peers } => size_of_val(&stations[..]) + size_of_val(&peers[..]),
        _ => 0,
    }
}

/// Returns the events that bring a port into a new team with its present state.
fn port_events(port: &Port) -> impl Iterator<Item = Event> + use<> {
    let id = port.id();
    let added = Event::PortAdded {
        port: id,
        name: port.name().to_owned(),
        hwaddr: port.original_hwaddr(),
        link: port.link(),
        settings: port.settings().clone(),
        adopted: true,
    };
    let hwaddr = Event::PortHwAddrChanged {
        port: id,
        hwaddr: port.hwaddr(),
    };
    let forbidden = (!port.is_allowed()).then_some(Event::PortAllowed {
        port: id,
        allowed: false,
    });
    let address = port.link_local();
    let link_local = address.map(|_| Event::PortLinkLocalChanged { port: id, address });
    [added, hwaddr]
        .into_iter()
        .chain(link_local)
        .chain(forbidden)
}

impl Deref for RecordedTeam {
    type Target = Team;

    fn deref(&self) -> &Team {
        &self.core
    }
}

#[cfg(test)]
mod tests {
    use runners::{Duplex, Failback, HwAddr, HwAddrPolicy, Link, PortId, PortSettings};
    use runners::{LinkWatchSettings, RunnerSettings, TeamSettings};
    use std::time::Duration;

    use super::*;

    /// A team with two ports, the first of which flaps `flaps` times.
    fn flapping(flaps: u64) -> RecordedTeam {
        let settings = TeamSettings::new(RunnerSettings::ActiveBackup {
            hwaddr_policy: HwAddrPolicy::SameAll,
            failback: Failback::default(),
        });
        let core = Team::new(settings, HwAddr([2, 0, 0, 0, 0, 9]));
        let mut team = RecordedTeam::new(core, "team0".to_owned(), 0);
        let mut handle = |at: u64, event: Event| {
            team.handle(Instant::from_nanos(at), event);
            while team.poll_action().is_some() {}
        };
        let link = |up: bool| Link {
            up,
            speed: if up { 1000 } else { 0 },
            duplex: if up { Duplex::Full } else { Duplex::Half },
        };
        for number in [1, 2] {
            let watch = LinkWatchSettings::Ethtool {
                delay_up: Duration::ZERO,
                delay_down: Duration::ZERO,
            };
            let added = Event::PortAdded {
                port: PortId(number),
                name: format!("eth{number}"),
                hwaddr: HwAddr([2, 0, 0, 0, 0, number as u8]),
                link: link(true),
                settings: PortSettings {
                    prio: -(number as i32),
                    link_watches: vec![watch],
                    ..PortSettings::default()
                },
                adopted: false,
            };
            handle(0, added);
        }
        let port = PortId(1);
        for flap in 0..flaps {
            let changed = |up| Event::LinkChanged {
                port,
                link: link(up),
            };
            handle(2 * flap + 1, changed(false));
            // The core knows this already; the recording does not repeat it.
            handle(2 * flap + 1, changed(false));
            handle(2 * flap + 2, changed(true));
        }
        team
    }

    fn decisions(recording: &Recording) -> Vec<String> {
        let entries = recording.entries.iter();
        entries
            .filter_map(|entry| match &entry.what {
                What::Forward(text) => Some(text.clone()),
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
        let port = PortId(1);
        let link = Link {
            up: false,
            speed: 0,
            duplex: Duplex::Half,
        };
        let down = Event::LinkChanged { port, link };
        let name = "wan".to_owned();
        let renamed = Event::PortRenamed { port, name };
        team.handle_all(Instant::from_nanos(1), vec![renamed, down]);
        while team.poll_action().is_some() {}
        let recording = team.recording();
        let joined = recording.entries.iter().filter(|entry| entry.joined);
        assert_eq!(joined.count(), 1);
        assert_eq!(recording.replay(), recording);
        let text = serde_json::to_string(&recording).expect("written");
        assert_eq!(text.matches("joined").count(), 1, "{text}");
    }

    #[test]
    fn a_partial_recording_replays_to_the_same_end() {
        for flaps in [100, 500, 1000] {
            let recording = flapping(flaps).recording();
            assert!(!recording.whole);
            let entries = recording.entries.len();
            assert!((ENTRIES..3 * ENTRIES).contains(&entries), "{entries}");
            let replayed = recording.replay();
            assert_eq!(
                decisions(&replayed).last(),
                decisions(&recording).last(),
                "after {flaps}"
            );
            let last = |recording: &Recording| recording.entries.last().cloned();
            assert_eq!(last(&replayed), last(&recording));
        }
    }
}
