//! The frames of the watch probe: a request that a port broadcasts, and the reply of another port.
//!
//! The frames have the EtherType and the first fields of the probes of a round ([`crate::Prober`]), so
//! that every data path keeps them from the team device. A byte behind these fields, which is zero in a
//! probe of a round, tells the kinds apart.

use crate::ident::{HwAddr, PortId};
use crate::wire::build::ethernet;
use crate::wire::{Ethernet, ethertype};

/// First bytes of a probe's payload: a name, and the version of the format.
pub const PROBE_MAGIC: [u8; 8] = *b"teamr\0\0\x01";
/// Least length of an Ethernet frame, without its checksum.
pub(crate) const LEAST_LENGTH: usize = 60;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// A port of a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamPort {
    /// Hardware address of the team device.
    pub team: HwAddr,
    /// The port in its team.
    pub port: PortId,
}

/// A request, or the reply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathProbe {
    /// The port that asks.
    pub asker: TeamPort,
    /// Number of the request.
    pub number: u32,
    /// Group of the ports that answer each other.
    pub group: u16,
    /// The port that answers; `None` in a request.
    pub replier: Option<TeamPort>,
}

impl PathProbe {
    /// Reads a frame; `None` if the frame is neither a request nor a reply.
    pub fn parse(ethernet: &Ethernet<'_>) -> Option<PathProbe> {
        if ethernet.ethertype != ethertype::LOCAL_EXPERIMENTAL {
            return None;
        }
        let rest = ethernet.payload.strip_prefix(&PROBE_MAGIC)?;
        let (team, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (port, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let (group, rest) = rest.split_first_chunk()?;
        let (replier, rest) = rest.split_first_chunk()?;
        let (replier_port, _) = rest.split_first_chunk()?;
        let replier = match *kind {
            REQUEST => None,
            REPLY => Some(team_port(replier, replier_port)),
            _ => return None,
        };
        let (number, group) = (u32::from_be_bytes(*number), u16::from_be_bytes(*group));
        Some(PathProbe { asker: team_port(team, port), number, group, replier })
    }

    /// Returns the frame, with a tag if a VLAN id is given.
    pub fn frame(&self, to: HwAddr, from: HwAddr, vlan: Option<u16>) -> Vec<u8> {
        let mut frame = ethernet(to, from, vlan, ethertype::LOCAL_EXPERIMENTAL);
        frame.extend(PROBE_MAGIC);
        frame.extend(self.asker.team.0);
        frame.extend(self.number.to_be_bytes());
        frame.extend(self.asker.port.0.to_be_bytes());
        frame.push(if self.replier.is_some() { REPLY } else { REQUEST });
        frame.extend(self.group.to_be_bytes());
        let replier = self.replier.unwrap_or(TeamPort { team: HwAddr::default(), port: PortId(0) });
        frame.extend(replier.team.0);
        frame.extend(replier.port.0.to_be_bytes());
        frame.resize(frame.len().max(LEAST_LENGTH), 0);
        frame
    }
}

fn team_port(team: &[u8; 6], port: &[u8; 4]) -> TeamPort {
    TeamPort { team: HwAddr(*team), port: PortId(u32::from_be_bytes(*port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: TeamPort = TeamPort { team: HwAddr([2, 0, 0, 0, 0, 1]), port: PortId(7) };
    const REPLIER: TeamPort = TeamPort { team: HwAddr([2, 0, 0, 0, 0, 2]), port: PortId(1 << 31) };

    #[test]
    fn a_request_and_its_reply_are_read_as_written() {
        for (replier, vlan) in [(None, None), (Some(REPLIER), None), (Some(REPLIER), Some(30))] {
            let probe = PathProbe { asker: ASKER, number: 0x0102_0304, group: 513, replier };
            let frame = probe.frame(HwAddr::BROADCAST, HwAddr([2; 6]), vlan);
            let ethernet = Ethernet::parse(&frame).expect("a frame");
            assert_eq!(ethernet.vlan_ids, u64::from(vlan.unwrap_or(0)) << 48);
            assert_eq!(PathProbe::parse(&ethernet), Some(probe));
            assert!(frame.len() >= LEAST_LENGTH);
            let fields = 14 + 4 * usize::from(vlan.is_some()) + 35;
            for length in 0..fields {
                let cut = Ethernet::parse(&frame[..length]);
                assert_eq!(cut.and_then(|cut| PathProbe::parse(&cut)), None, "{length} bytes");
            }
            for kind in [0, 3, 255] {
                let mut other = frame.clone();
                other[fields - 13] = kind;
                let ethernet = Ethernet::parse(&other).expect("a frame");
                assert_eq!(PathProbe::parse(&ethernet), None, "kind {kind}");
            }
        }
    }
}
