//! Probes: frames that show which ports of a team lead into one network.
//!
//! Each port sends a probe, and every port receives them. A probe at another port than its sender's
//! proves that both lead into one network and that no switch aggregates them.
//!
//! Owns the frame (IEEE 802 local experimental EtherType 1) and the received probes of a round.
//! [`schedule`] owns when a team probes by itself; `teamrctl doctor` interprets the result.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::BTreeSet;

pub(crate) mod schedule;

use crate::ident::{HwAddr, PortId};
use crate::wire::path_probe::LEAST_LENGTH;
use crate::wire::{Ethernet, ethertype};

pub use crate::wire::path_probe::PROBE_MAGIC;

/// The probes of one team.
#[derive(Clone, Debug, Default)]
pub struct Prober {
    rounds: u32,
    sent: BTreeSet<PortId>,
    /// Sending and receiving port of each received probe of this round.
    received: BTreeSet<(PortId, PortId)>,
    /// A crossed probe of this round was reported.
    reported: bool,
}

impl Prober {
    /// Starts another round on `ports`. Returns the frames to send.
    pub fn start_round(
        &mut self,
        team: HwAddr,
        ports: impl Iterator<Item = PortId>,
    ) -> Vec<(PortId, Vec<u8>)> {
        self.rounds = self.rounds.wrapping_add(1);
        self.received.clear();
        self.reported = false;
        self.sent = ports.collect();
        let probe = |port: &PortId| (*port, probe(team, self.rounds, *port));
        self.sent.iter().map(probe).collect()
    }

    /// Records a frame that `port` received, if it is a probe of this round.
    pub fn receive(&mut self, team: HwAddr, port: PortId, frame: &[u8]) {
        let from = Ethernet::parse(frame)
            .filter(|ethernet| ethernet.ethertype == ethertype::LOCAL_EXPERIMENTAL)
            .and_then(|ethernet| ethernet.payload.strip_prefix(&PROBE_MAGIC))
            .and_then(|payload| payload.strip_prefix(&team.0))
            .and_then(|payload| payload.strip_prefix(&self.rounds.to_be_bytes()))
            .and_then(<[u8]>::first_chunk::<5>);
        // The frames of the watch probe have another kind than 0.
        let from = from.filter(|[.., kind]| *kind == 0);
        let from = from.map(|[a, b, c, d, _]| PortId(u32::from_be_bytes([*a, *b, *c, *d])));
        if let Some(from) = from.filter(|from| self.sent.contains(from)) {
            self.received.insert((from, port));
        }
    }

    /// Returns the probe that `port` sends in this round, to be sent again.
    pub(crate) fn repeat(&self, team: HwAddr, port: PortId) -> Vec<u8> {
        probe(team, self.rounds, port)
    }

    /// Returns sender and receiver of each probe of this round that another port received.
    pub(crate) fn crossings(&self) -> impl Iterator<Item = (PortId, PortId)> {
        self.received.iter().filter(|(from, at)| from != at).copied()
    }

    /// Returns the first of [`crossings`](Self::crossings).
    pub(crate) fn crossed(&self) -> Option<(PortId, PortId)> {
        self.crossings().next()
    }

    /// Like [`crossed`](Self::crossed), once a round.
    pub(crate) fn take_crossed(&mut self) -> Option<(PortId, PortId)> {
        let crossed = self.crossed().filter(|_| !self.reported)?;
        self.reported = true;
        Some(crossed)
    }

    /// Returns the number of rounds.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Whether the port sent a probe in the last round.
    pub(crate) fn sent_on(&self, port: PortId) -> bool {
        self.sent.contains(&port)
    }

    /// Returns the ports that received the probe of a port.
    pub fn received_at(&self, from: PortId) -> impl Iterator<Item = PortId> {
        let received = self.received.iter();
        received.filter(move |(sender, _)| *sender == from).map(|(_, at)| *at)
    }
}

/// Whether a frame is a probe of any team. A probe is for no other receiver.
pub fn is_probe(frame: &[u8]) -> bool {
    const KIND: [u8; 2] = ethertype::LOCAL_EXPERIMENTAL.to_be_bytes();
    frame.get(12..14) == Some(&KIND) && frame.get(14..22) == Some(&PROBE_MAGIC)
}

/// Builds a probe. Its source address belongs to no interface and differs from port to port, so that
/// no switch learns an address of the team from it.
fn probe(team: HwAddr, round: u32, port: PortId) -> Vec<u8> {
    let [.., a, b, c] = team.0;
    let mut frame = Vec::with_capacity(LEAST_LENGTH);
    frame.extend(HwAddr::BROADCAST.0);
    frame.extend([0x06, 0x74, a, b, c, port.0 as u8]);
    frame.extend(ethertype::LOCAL_EXPERIMENTAL.to_be_bytes());
    frame.extend(PROBE_MAGIC);
    frame.extend(team.0);
    frame.extend(round.to_be_bytes());
    frame.extend(port.0.to_be_bytes());
    frame.resize(LEAST_LENGTH, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEAM: HwAddr = HwAddr([2, 0, 0, 1, 2, 3]);
    const A: PortId = PortId(1);
    const B: PortId = PortId(2);

    #[test]
    fn a_probe_counts_for_its_team_round_and_port() {
        let mut prober = Prober::default();
        let frames = prober.start_round(TEAM, [A, B].into_iter());
        assert_eq!(frames.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [A, B]);
        assert_ne!(frames[0].1[6..12], frames[1].1[6..12], "sources");
        let old = frames[0].1.clone();
        prober.receive(TEAM, B, &old);
        assert_eq!(prober.received_at(A).collect::<Vec<_>>(), [B]);
        assert_eq!(prober.received_at(B).count(), 0);

        // Another round, another team, and truncated frames.
        let frames = prober.start_round(TEAM, [A].into_iter());
        assert!(prober.sent_on(A) && !prober.sent_on(B));
        prober.receive(TEAM, B, &old);
        prober.receive(HwAddr([2; 6]), B, &frames[0].1);
        for length in 0..36 {
            prober.receive(TEAM, B, &frames[0].1[..length]);
        }
        assert_eq!(prober.received_at(A).count(), 0);
        prober.receive(TEAM, A, &frames[0].1);
        assert_eq!(prober.received_at(A).collect::<Vec<_>>(), [A]);
    }
}
