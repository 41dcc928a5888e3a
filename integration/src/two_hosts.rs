//! Two hosts connected by cables, without a switch: a team on one host or on both.

use crate::cable::{Cable, CableKind};
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::traffic::End;

/// The ports of both hosts.
const LINKS: [&str; 2] = ["eth1", "eth2"];

/// A host whose ports become a team, and a peer without a team.
pub struct HostAndPeer {
    /// The host under test; its interfaces are down.
    pub host: Namespace,
    /// The peer; its interfaces are up and have the names of the host's.
    pub peer: Namespace,
}

impl HostAndPeer {
    /// Creates both hosts, with a cable for each of `ports`.
    pub fn new(lab: &Lab, ports: &[&str]) -> HostAndPeer {
        let pair = HostAndPeer { host: lab.host("host"), peer: lab.host("peer") };
        for port in ports {
            pair.connect(lab, port);
        }
        pair
    }

    /// Adds a cable between the interfaces named `port`.
    pub fn connect(&self, lab: &Lab, port: &str) {
        lab.cable((&self.host, port), (&self.peer, port), CableKind::Virtual);
        self.peer.up(port);
    }
}

/// Two hosts that both get a team of `eth1` and `eth2`; cables connect ports of the same name.
pub struct TwoTeams {
    /// One of the hosts; its ports are down.
    pub left: Namespace,
    /// One of the hosts; its ports are down.
    pub right: Namespace,
    /// The cable of each port; the far end is on the right host.
    pub cables: [Cable; 2],
}

impl TwoTeams {
    /// Creates both hosts and the cables.
    pub fn new(lab: &Lab) -> TwoTeams {
        let (left, right) = (lab.host("left"), lab.host("right"));
        let cables = LINKS.map(|link| lab.cable((&left, link), (&right, link), CableKind::Virtual));
        TwoTeams { left, right, cables }
    }

    /// Sets `team0` up on both hosts, with 10.0.0.1/24 on the left and 10.0.0.2/24 on the right.
    pub fn set_up_teams(&self) {
        for (host, address) in [(&self.left, "10.0.0.1/24"), (&self.right, "10.0.0.2/24")] {
            host.up("team0");
            host.address("team0", address);
        }
    }

    /// Returns both ends of a flow to this port number, left and right, for teams that are up.
    pub fn ends(&self, port: u16) -> [End; 2] {
        [(&self.left, 1), (&self.right, 2)].map(|(host, number)| End {
            host: host.clone(),
            interface: "team0".to_owned(),
            address: ([10, 0, 0, number], port).into(),
        })
    }
}
