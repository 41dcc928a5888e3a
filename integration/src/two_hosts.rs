//! Two hosts with nothing but cables between them: a team at one end, or a team at each.

use crate::cable::{Cable, CableKind};
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::traffic::End;

/// The ports of hosts that face each other.
const LINKS: [&str; 2] = ["eth1", "eth2"];

/// A host to team up, and a host without a team at the other end of its cables.
pub struct HostAndPeer {
    /// Its interfaces are down.
    pub host: Namespace,
    /// Its interfaces are named as those that they lead to, and up.
    pub peer: Namespace,
}

impl HostAndPeer {
    /// Builds it, with a cable for each of `ports`.
    pub fn new(lab: &Lab, ports: &[&str]) -> HostAndPeer {
        let pair = HostAndPeer {
            host: lab.host("host"),
            peer: lab.host("peer"),
        };
        for port in ports {
            pair.connect(lab, port);
        }
        pair
    }

    /// Adds a cable.
    pub fn connect(&self, lab: &Lab, port: &str) {
        lab.cable((&self.host, port), (&self.peer, port), CableKind::Virtual);
        self.peer.up(port);
    }
}

/// Two hosts that are both to have a team of `eth1` and `eth2`, each port with a cable to the
/// other's of the same name.
pub struct TwoTeams {
    /// Its ports are down.
    pub left: Namespace,
    /// Its ports are down.
    pub right: Namespace,
    /// The cable of each port; the far end is the right one.
    pub cables: [Cable; 2],
}

impl TwoTeams {
    /// Builds it.
    pub fn new(lab: &Lab) -> TwoTeams {
        let (left, right) = (lab.host("left"), lab.host("right"));
        let cables = LINKS.map(|link| lab.cable((&left, link), (&right, link), CableKind::Virtual));
        TwoTeams {
            left,
            right,
            cables,
        }
    }

    /// Sets up `team0` on both, with 10.0.0.1/24 on the left one and 10.0.0.2/24 on the right one.
    pub fn set_up_teams(&self) {
        for (host, address) in [(&self.left, "10.0.0.1/24"), (&self.right, "10.0.0.2/24")] {
            host.up("team0");
            host.address("team0", address);
        }
    }

    /// Where traffic by this port number begins and ends, left and right, once both are set up.
    pub fn ends(&self, port: u16) -> [End; 2] {
        [(&self.left, 1), (&self.right, 2)].map(|(host, number)| End {
            host: host.clone(),
            interface: "team0".to_owned(),
            address: ([10, 0, 0, number], port).into(),
        })
    }
}
