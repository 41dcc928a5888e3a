//! Probes: what lies between the ports of a team.
//!
//! A probe leaves on each port and is listened for on every port. One that comes in at another
//! port proves that both lead into one network, and that nobody in between takes them for an
//! aggregate. Owns the frame (IEEE 802 local experimental EtherType 1) and what was heard; what it
//! means is for `teamrctl doctor` to say, and when the team asks by itself for
//! [`probe_times`](crate::probe::schedule).

use std::collections::BTreeSet;

pub(crate) mod schedule;

use crate::ident::{HwAddr, PortId};
use crate::wire::{Ethernet, ethertype};

/// What the payload of a probe begins with: a name, and the version of what follows.
pub const PROBE_MAGIC: [u8; 8] = *b"teamr\0\0\x01";
const BROADCAST: [u8; 6] = [0xff; 6];
/// The shortest Ethernet frame, without its checksum.
const SHORTEST: usize = 60;

/// The probes of one team.
#[derive(Debug, Default)]
pub(crate) struct Prober {
    rounds: u32,
    sent: BTreeSet<PortId>,
    heard: BTreeSet<(PortId, PortId)>,
    /// The proof of this round was told.
    told: bool,
}

impl Prober {
    /// Begins another round on these ports; the frames to be sent.
    pub(crate) fn ask(
        &mut self,
        team: HwAddr,
        ports: impl Iterator<Item = PortId>,
    ) -> Vec<(PortId, Vec<u8>)> {
        self.rounds = self.rounds.wrapping_add(1);
        self.heard.clear();
        self.told = false;
        self.sent = ports.collect();
        let probe = |port: &PortId| (*port, probe(team, self.rounds, *port));
        self.sent.iter().map(probe).collect()
    }

    /// Takes note of a frame that came in at `port`, if it is a probe of this round.
    pub(crate) fn receive(&mut self, team: HwAddr, port: PortId, frame: &[u8]) {
        let from = Ethernet::parse(frame)
            .filter(|ethernet| ethernet.ethertype == ethertype::LOCAL_EXPERIMENTAL)
            .and_then(|ethernet| ethernet.payload.strip_prefix(&PROBE_MAGIC))
            .and_then(|payload| payload.strip_prefix(&team.0))
            .and_then(|payload| payload.strip_prefix(&self.rounds.to_be_bytes()))
            .and_then(<[u8]>::first_chunk);
        let from = from.map(|from| PortId(u32::from_be_bytes(*from)));
        if let Some(from) = from.filter(|from| self.sent.contains(from)) {
            self.heard.insert((from, port));
        }
    }

    /// A probe of this round came in at another port than its own.
    pub(crate) fn crossed(&self) -> Option<(PortId, PortId)> {
        let mut heard = self.heard.iter();
        heard.find(|(from, at)| from != at).copied()
    }

    /// As [`crossed`](Self::crossed), once in each round.
    pub(crate) fn news(&mut self) -> Option<(PortId, PortId)> {
        let crossed = self.crossed().filter(|_| !self.told)?;
        self.told = true;
        Some(crossed)
    }

    /// Rounds so far.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// A probe left on this port in the last round.
    pub(crate) fn sent_on(&self, port: PortId) -> bool {
        self.sent.contains(&port)
    }

    /// Where the probe of a port came in.
    pub(crate) fn heard_at(&self, from: PortId) -> impl Iterator<Item = PortId> {
        let heard = self.heard.iter();
        heard
            .filter(move |(sender, _)| *sender == from)
            .map(|(_, at)| *at)
    }
}

/// Whether a frame is a probe, whosever it is: none is anybody else's business.
pub fn is_probe(frame: &[u8]) -> bool {
    const KIND: [u8; 2] = ethertype::LOCAL_EXPERIMENTAL.to_be_bytes();
    frame.get(12..14) == Some(&KIND) && frame.get(14..22) == Some(&PROBE_MAGIC)
}

/// The source is an address of the probe's own, another one for each port, so that a switch does
/// not take the team for having moved.
fn probe(team: HwAddr, round: u32, port: PortId) -> Vec<u8> {
    let [.., a, b, c] = team.0;
    let mut frame = Vec::with_capacity(SHORTEST);
    frame.extend(BROADCAST);
    frame.extend([0x06, 0x74, a, b, c, port.0 as u8]);
    frame.extend(ethertype::LOCAL_EXPERIMENTAL.to_be_bytes());
    frame.extend(PROBE_MAGIC);
    frame.extend(team.0);
    frame.extend(round.to_be_bytes());
    frame.extend(port.0.to_be_bytes());
    frame.resize(SHORTEST, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEAM: HwAddr = HwAddr([2, 0, 0, 1, 2, 3]);
    const A: PortId = PortId(1);
    const B: PortId = PortId(2);

    #[test]
    fn a_probe_is_known_by_team_round_and_port() {
        let mut prober = Prober::default();
        let frames = prober.ask(TEAM, [A, B].into_iter());
        assert_eq!(
            frames.iter().map(|(port, _)| *port).collect::<Vec<_>>(),
            [A, B]
        );
        assert_ne!(frames[0].1[6..12], frames[1].1[6..12], "sources");
        let old = frames[0].1.clone();
        prober.receive(TEAM, B, &old);
        assert_eq!(prober.heard_at(A).collect::<Vec<_>>(), [B]);
        assert_eq!(prober.heard_at(B).count(), 0);

        // Another round, another team, and damage.
        let frames = prober.ask(TEAM, [A].into_iter());
        assert!(prober.sent_on(A) && !prober.sent_on(B));
        prober.receive(TEAM, B, &old);
        prober.receive(HwAddr([2; 6]), B, &frames[0].1);
        for length in 0..36 {
            prober.receive(TEAM, B, &frames[0].1[..length]);
        }
        assert_eq!(prober.heard_at(A).count(), 0);
        prober.receive(TEAM, A, &frames[0].1);
        assert_eq!(prober.heard_at(A).collect::<Vec<_>>(), [A]);
    }
}
