//! Classes of control frames: the received frames that the core itself reads.

use std::fmt;
use std::ops::BitOr;

/// A set of classes of control frames. A frame may carry one VLAN tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlFrames {
    /// LACPDUs and Marker PDUs (IEEE 802.3, annex 57A). They never reach the team device.
    pub slow_protocols: bool,
    /// ARP (RFC 826).
    pub arp: bool,
    /// Neighbour solicitations and advertisements (RFC 4861).
    pub neighbour_discovery: bool,
    /// BFD control packets of micro and single-hop sessions (RFC 7130, RFC 5881).
    pub bfd: bool,
    /// Probes of teamr itself. They never reach the team device.
    pub probes: bool,
}

impl ControlFrames {
    /// Whether the set has no class.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl BitOr for ControlFrames {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        ControlFrames {
            slow_protocols: self.slow_protocols | other.slow_protocols,
            arp: self.arp | other.arp,
            neighbour_discovery: self.neighbour_discovery | other.neighbour_discovery,
            bfd: self.bfd | other.bfd,
            probes: self.probes | other.probes,
        }
    }
}

/// Writes each class with a blank before it.
impl fmt::Display for ControlFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = [
            (self.slow_protocols, "slow protocols"),
            (self.arp, "arp"),
            (self.neighbour_discovery, "neighbour discovery"),
            (self.bfd, "bfd"),
            (self.probes, "probes"),
        ];
        for (_, class) in classes.iter().filter(|(wanted, _)| *wanted) {
            write!(f, " {class}")?;
        }
        Ok(())
    }
}
