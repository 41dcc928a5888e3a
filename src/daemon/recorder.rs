//! The core of a team with a partner_state: the last events and decisions, for `teamrctl record`.
//!
//! Two halves of bounded size: when the newer one is full the older one is forgotten, and the
//! next begins with how the ports stand, so that it can be replayed alone.

use std::ops::Deref;

use runners::{Action, Event, Instant, Port, Team};

use crate::recording::{Entry, FailoverDetector, Recording, What};

/// Entries of one half …
const ENTRIES: usize = 256;
/// … and bytes of frames and counters in it, whichever is reached first.
const BYTES: usize = 32 << 10;

/// A team that remembers.
#[derive(Debug)]
pub struct RecordedTeam {
    core: Team,
    older: Option<Recording>,
    newer: Recording,
    /// How many entries of `newer` tell how the ports stood.
    opening: usize,
    /// Of frames and counters in `newer`.
    bytes: usize,
    now: Instant,
    failovers: FailoverDetector,
}

impl RecordedTeam {
    /// Remembers from the beginning of `core` on. `origin` is the Unix time of
    /// [`Instant::ZERO`], in nanoseconds.
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
            failovers: FailoverDetector::default(),
        }
    }

    /// [`Team::handle`].
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.now = now;
        let due = self.core.next_deadline().is_some_and(|due| due <= now);
        if due || !self.is_known(&event) {
            self.bytes += match &event {
                Event::FrameReceived { frame, .. } => frame.len(),
                Event::BucketCounters { bytes } => size_of_val(&**bytes),
                Event::Stations { stations, peers } => {
                    size_of_val(&stations[..]) + size_of_val(&peers[..])
                }
                _ => 0,
            };
            self.note(What::Event(event.clone()));
        }
        self.core.handle(now, event);
    }

    /// [`Team::poll_action`].
    pub fn poll_action(&mut self) -> Option<Action> {
        let Some(action) = self.core.poll_action() else {
            // Now nothing is torn apart.
            if self.newer.entries.len() > ENTRIES || self.bytes > BYTES {
                self.turn();
            }
            return None;
        };
        if let Action::SendFrame { frame, .. } = &action {
            self.bytes += frame.len();
        }
        if let Some(failover) = self.failovers.detect(&self.core, &action) {
            self.note(What::Failover(failover));
        }
        self.note(What::of(&action));
        Some(action)
    }

    /// What is remembered.
    pub fn recording(&self) -> Recording {
        let Some(older) = &self.older else {
            return self.newer.clone();
        };
        let mut recording = older.clone();
        // Who has read the older half knows how the ports stood at its end.
        let news = &self.newer.entries[self.opening..];
        recording.entries.extend_from_slice(news);
        recording
    }

    /// News of what was known already come often, and change nothing.
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

    fn note(&mut self, what: What) {
        let at = self.now;
        self.newer.entries.push(Entry { at, what });
    }

    /// Begins a new half.
    fn turn(&mut self) {
        let address = self.core.link_local();
        let link_local = address.map(|_| Event::TeamLinkLocalChanged { address });
        let opening: Vec<Entry> = self
            .core
            .ports()
            .flat_map(adopted)
            .chain(link_local)
            .map(|event| Entry {
                at: self.now,
                what: What::Event(event),
            })
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

/// The events by which a team comes to know a port as it stands.
fn adopted(port: &Port) -> impl Iterator<Item = Event> + use<> {
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
        let mut tell = |at: u64, event: Event| {
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
            tell(0, added);
        }
        let port = PortId(1);
        for flap in 0..flaps {
            let changed = |up| Event::LinkChanged {
                port,
                link: link(up),
            };
            tell(2 * flap + 1, changed(false));
            // Known already, so not worth a place.
            tell(2 * flap + 1, changed(false));
            tell(2 * flap + 2, changed(true));
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
    fn a_short_life_is_replayed_exactly() {
        let recording = flapping(3).recording();
        assert!(recording.whole);
        assert_eq!(recording.replay(), recording);
        assert_eq!(decisions(&recording).len(), 8);
        let text = serde_json::to_string(&recording).expect("written");
        let read: Recording = serde_json::from_str(&text).expect("read");
        assert_eq!(read, recording);
    }

    #[test]
    fn a_long_life_is_remembered_in_part_and_ends_the_same_when_replayed() {
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
