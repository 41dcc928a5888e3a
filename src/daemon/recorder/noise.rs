//! Noise: received frames that change nothing in the core, such as the ARP of a busy network.
//!
//! Noise has a ring of its own, so that the frames do not push decisions out of the recording. A
//! replay needs no noise.

use std::collections::{BTreeMap, VecDeque};

use runners::wire::path_probe::PathProbe;
use runners::wire::{Ethernet, ethertype};
use runners::{Instant, LinkWatch, PortId, RunnerSettings, Team};

use super::packed;
use crate::recording::Entry;

/// Most frames in the ring.
const FRAMES: usize = 64;
/// Most bytes of the ring, however much memory the recording may have.
const BYTES: usize = 16 << 10;

/// Answers of one kind that a watch takes in between two deadlines: one for this interval and one
/// for the next.
const ANSWERS: u32 = 2;

/// A kind of answer: the port, whether the frame is multicast, and the watches that it counts for.
type Answer = (PortId, bool, Vec<bool>);

/// Tells noise from other frames, and keeps the last noise.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// The text of each entry.
    ring: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Answers since the last other event.
    answers: BTreeMap<Answer, u32>,
}

impl Noise {
    /// Starts to count answers anew, because an event other than a frame without consequences was
    /// handled.
    pub(super) fn event_handled(&mut self) {
        self.answers.clear();
    }

    /// Returns whether a frame that the core has just handled, without a due deadline and without
    /// an action, changed nothing else. Counts the answers to a watch.
    pub(super) fn is_noise(
        &mut self,
        now: Instant,
        core: &Team,
        port: PortId,
        frame: &[u8],
    ) -> bool {
        let ethernet = Ethernet::parse(frame);
        let kind = ethernet.map(|ethernet| ethernet.ethertype);
        let is_path_probe = ethernet.is_some_and(|it| PathProbe::parse(&it).is_some());
        // Runner alb announces its peers anew when one of them asks.
        let is_alb = matches!(core.settings().runner, RunnerSettings::Slb { .. });
        let is_read = is_alb && frame.starts_with(&core.hwaddr().0);
        let can_be_noise = matches!(kind, Some(ethertype::ARP | ethertype::IPV6)) || is_path_probe;
        if !can_be_noise || is_read {
            return false;
        }
        let Some(watches) = core.port(port).map(|port| port.watches()) else {
            return true;
        };
        let answered = |watch: &LinkWatch| {
            watch.ping_status().is_some_and(|status| status.last_answer == Some(now))
        };
        let answered: Vec<bool> = watches.iter().map(answered).collect();
        if !answered.contains(&true) {
            return true;
        }
        let is_multicast = frame.first().is_some_and(|first| first & 1 == 1);
        let count = self.answers.entry((port, is_multicast, answered)).or_default();
        *count += 1;
        *count > ANSWERS
    }

    /// Adds an entry. Removes the oldest ones beyond [`FRAMES`] entries, [`BYTES`] or `limit`
    /// bytes.
    pub(super) fn push(&mut self, entry: Box<[u8]>, limit: usize) {
        self.bytes += entry.len();
        self.ring.push_back(entry);
        while self.ring.len() > FRAMES || self.bytes > limit.min(BYTES) {
            let Some(oldest) = self.ring.pop_front() else {
                return;
            };
            self.bytes -= oldest.len();
        }
    }

    /// Returns the kept frames, oldest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.ring.iter().flat_map(|entry| packed::read(entry)).collect()
    }
}
