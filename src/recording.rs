//! A recording: what a team was told and what it decided, as one JSON document.
//!
//! The core is a pure state machine, so its events are all that a replay needs: a recording
//! from the field is a test. The daemon makes recordings.

mod decision;

use runners::{Action, Event, HwAddr, Instant, PortId, Team, TeamSettings};
use serde::{Deserialize, Serialize};

pub use decision::{Failover, FailoverDetector, ReportKind};

/// Part of the life of one team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Team device.
    pub device: String,
    /// Unix time of [`Instant::ZERO`], in nanoseconds.
    pub origin: u64,
    /// Nothing is missing before the first entry, so a replay decides exactly the same. If
    /// not, the first entries tell how the ports stood, and a replay ends in the same way.
    pub whole: bool,
    /// What the team was told to do.
    pub settings: TeamSettings,
    /// The team device's address at the beginning.
    pub hwaddr: HwAddr,
    /// Oldest first.
    pub entries: Vec<Entry>,
}

/// Something at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Nanoseconds on the daemon's clock.
    pub at: Instant,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// An event, or what came of the events before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The team was told this.
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

impl What {
    /// Returns the entry of an action.
    pub fn of(action: &Action) -> What {
        match action {
            Action::ApplyForwarding(forwarding) => What::Forward(forwarding.to_string()),
            Action::TransmitFrame { frame } => {
                let source = frame.get(6..).and_then(<[u8]>::first_chunk);
                What::Announce(HwAddr(source.copied().unwrap_or_default()))
            }
            Action::Report(report) => What::Report {
                kind: report.into(),
                text: report.to_string(),
            },
            Action::SendFrame { port, frame } => What::Sent {
                port: *port,
                frame: frame.clone(),
            },
            other => What::Action(other.to_string()),
        }
    }
}

impl Recording {
    /// The same events handed to a new team: what comes of them. Events that follow one another
    /// are all told before the team is asked what is to be done, as when they were recorded.
    pub fn replay(&self) -> Recording {
        let mut team = Team::new(self.settings.clone(), self.hwaddr);
        let mut failovers = FailoverDetector::default();
        let mut entries = Vec::new();
        let mut coming = self.entries.iter().peekable();
        while let Some(entry) = coming.next() {
            let What::Event(event) = &entry.what else {
                continue;
            };
            let at = entry.at;
            team.handle(at, event.clone());
            entries.push(entry.clone());
            if coming
                .peek()
                .is_some_and(|next| matches!(next.what, What::Event(_)))
            {
                continue;
            }
            while let Some(action) = team.poll_action() {
                let failover = failovers.detect(&team, &action).map(What::Failover);
                let whats = failover.into_iter().chain([What::of(&action)]);
                entries.extend(whats.map(|what| Entry { at, what }));
            }
        }
        Recording {
            entries,
            ..self.clone()
        }
    }
}
