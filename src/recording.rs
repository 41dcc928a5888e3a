//! A recording: the events that one team handled and the actions that it asked for, as one JSON
//! document.
//!
//! The core is a pure state machine, so a replay needs nothing but its events: a recording from
//! the field is a test. The daemon makes recordings in [`crate::daemon`].

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::time::Duration;

use runners::{Action, Event, HwAddr, Instant, PortId, Report, Team, TeamSettings};
use serde::{Deserialize, Serialize};

/// Part of the life of one team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Team device.
    pub device: String,
    /// Unix time of [`Instant::ZERO`], in nanoseconds.
    pub origin: u64,
    /// True if nothing is missing before the first entry: a replay decides exactly the same. If
    /// false, the first entries describe the ports at that time, and a replay ends in the same
    /// state.
    pub whole: bool,
    /// The settings of the team at the beginning.
    pub settings: TeamSettings,
    /// The team device's address at the beginning.
    pub hwaddr: HwAddr,
    /// Number of entries at the beginning that describe the state of the ports, not events.
    #[serde(default)]
    pub opening: usize,
    /// Number of entries since the start of the team that precede the first one after the opening.
    #[serde(default)]
    pub begin: u64,
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// The last received frames that changed nothing, oldest first; a replay does not need them.
    #[serde(default)]
    pub noise: Vec<Entry>,
}

/// Something at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Nanoseconds on the daemon's clock.
    pub at: Instant,
    /// The team handled this event together with the next entry's, and decided once after both.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// The event or action.
    #[serde(flatten)]
    pub what: What,
}

/// An event, or an action that followed the events before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The team handled this event.
    Event(Event),
    /// The team asked for an action that has no variant of its own; the action's text.
    Action(String),
    /// The team asked for a forwarding; the forwarding's text.
    Forward(String),
    /// A failover ended with the next entry's forwarding.
    Failover(Failover),
    /// The team announced the station with this address.
    Announce(HwAddr),
    /// The team wrote a line to the log.
    Report {
        /// Subject of the line.
        kind: ReportKind,
        /// The line.
        text: String,
    },
    /// The team sent a frame.
    Sent {
        /// On this port.
        port: PortId,
        /// The whole frame, as hexadecimal digits.
        #[serde(with = "runners::hex_digits")]
        frame: Vec<u8>,
    },
}

/// A failover, as the core measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// Number of ports that the forwarding no longer uses.
    pub ports: u64,
    /// Time from the event of the last lost link to the forwarding without its port.
    pub took: Duration,
}

/// Finds the failovers of a team among its actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailoverDetector {
    count: u64,
}

impl FailoverDetector {
    /// Returns the failover that ends with `action`, which `team` has just returned.
    pub fn detect(&mut self, team: &Team, action: &Action) -> Option<Failover> {
        let times = team.failover_times();
        let ports = times.count.saturating_sub(self.count);
        if ports == 0 || !matches!(action, Action::ApplyForwarding(_)) {
            return None;
        }
        self.count = times.count;
        Some(Failover { ports, took: times.last })
    }
}

/// Subject of a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// A link watch went up or down.
    Watch,
    /// Runner activebackup has another active port.
    ActivePort,
    /// A wait of runner activebackup for the failback probe begins or ends.
    Failback,
    /// Runner lacp has a port in another state.
    LacpState,
    /// Runners slb, tlb and alb have another designated port.
    DesignatedPort,
    /// Ports lead into one network without an aggregate.
    PlainSwitch,
    /// A gate, damping, a drain or corrupted frames begin or cease to keep a port from carrying
    /// traffic.
    Exclusion,
    /// The team device has another carrier.
    Carrier,
}

impl From<&Report> for ReportKind {
    fn from(report: &Report) -> Self {
        match report {
            Report::WatchChanged { .. } => ReportKind::Watch,
            Report::ActivePortChanged { .. } => ReportKind::ActivePort,
            Report::FailbackWaits { .. } | Report::FailbackGoesOn { .. } => ReportKind::Failback,
            Report::LacpStateChanged { .. } => ReportKind::LacpState,
            Report::DesignatedPortChanged { .. } => ReportKind::DesignatedPort,
            Report::PlainSwitch { .. } => ReportKind::PlainSwitch,
            Report::ExclusionChanged { .. } => ReportKind::Exclusion,
            Report::CarrierChanged { .. } => ReportKind::Carrier,
        }
    }
}

impl Entry {
    /// Returns an entry that is not joined with the next one.
    pub fn new(at: Instant, what: What) -> Entry {
        Entry { at, joined: false, what }
    }

    /// Returns the entries of an action that `team` has just returned: the failover that ends with
    /// the action, if one does, and the action.
    pub fn of(
        at: Instant,
        action: &Action,
        failovers: &mut FailoverDetector,
        team: &Team,
    ) -> impl Iterator<Item = Entry> + use<> {
        let failover = failovers.detect(team, action).map(What::Failover);
        let whats = failover.into_iter().chain([What::of(action)]);
        whats.map(move |what| Entry::new(at, what))
    }
}

impl What {
    /// Returns the part of an action that a recording keeps.
    fn of(action: &Action) -> What {
        match action {
            Action::ApplyForwarding(forwarding) => What::Forward(forwarding.to_string()),
            Action::TransmitFrame { frame } => {
                let source = frame.get(6..).and_then(<[u8]>::first_chunk);
                What::Announce(HwAddr(source.copied().unwrap_or_default()))
            }
            Action::Report(report) => {
                What::Report { kind: report.into(), text: report.to_string() }
            }
            Action::SendFrame { port, frame } => What::Sent { port: *port, frame: frame.clone() },
            other => What::Action(other.to_string()),
        }
    }
}

impl Recording {
    /// Hands the events to a new team and returns them with the actions that this team asks for.
    ///
    /// Actions are taken after the last of several events in a row, as they were when the events
    /// were recorded.
    pub fn replay(&self) -> Recording {
        let mut team = Team::new(self.settings.clone(), self.hwaddr);
        let mut failovers = FailoverDetector::default();
        let mut entries = Vec::new();
        let mut joined = Vec::new();
        let events = |entry: &Entry| matches!(entry.what, What::Event(_));
        for (place, entry) in self.entries.iter().enumerate() {
            let What::Event(event) = &entry.what else {
                continue;
            };
            entries.push(entry.clone());
            joined.push(event.clone());
            if entry.joined {
                continue;
            }
            team.handle_all(entry.at, joined.drain(..));
            if self.entries.get(place + 1).is_some_and(events) {
                continue;
            }
            while let Some(action) = team.poll_action() {
                entries.extend(Entry::of(entry.at, &action, &mut failovers, &team));
            }
        }
        Recording { entries, ..self.clone() }
    }
}
