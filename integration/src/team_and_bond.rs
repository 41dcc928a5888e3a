//! A host for a team, and an LACP partner: the kernel's bond in mode 802.3ad. Needs a guest with
//! the bonding driver.

use crate::cable::{Cable, CableKind};
use crate::lab::Lab;
use crate::namespace::Namespace;

/// The ports of both hosts; cables connect ports of the same name.
const LINKS: [&str; 2] = ["eth1", "eth2"];

/// Two hosts with two cables; the right host has a bond.
pub struct TeamAndBond {
    /// The host whose ports `eth1` and `eth2` become a team; both are down.
    pub left: Namespace,
    /// The host with `bond0`, up, with the address 10.0.0.2/24.
    pub right: Namespace,
    /// The cables; the bond is at the far ends.
    pub cables: [Cable; 2],
}

impl TeamAndBond {
    /// Creates hosts, cables and bond; `options` are ip-link(8)'s bond options.
    pub fn new(lab: &Lab, options: &str) -> TeamAndBond {
        let (left, right) = (lab.host("left"), lab.host("right"));
        for host in [&left, &right] {
            host.write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        }
        right.ip(&format!("link add name bond0 type bond mode 802.3ad miimon 10 {options}"));
        let cables = LINKS.map(|link| {
            let cable = lab.cable((&left, link), (&right, link), CableKind::Virtual);
            // A virtual cable comes up at its far end when the near end does.
            right.ip(&format!("link set dev {link} down"));
            right.ip(&format!("link set dev {link} master bond0"));
            cable
        });
        right.up("bond0");
        right.address("bond0", "10.0.0.2/24");
        TeamAndBond { left, right, cables }
    }

    /// Returns how many ports of the bond collect and distribute, from /proc/net/bonding.
    pub fn carrying(&self) -> usize {
        let text = self.right.run("cat /proc/net/bonding/bond0");
        let (mut of_actor, mut carrying) = (false, 0);
        for line in text.lines().map(str::trim) {
            match line {
                "details actor lacp pdu:" => of_actor = true,
                "details partner lacp pdu:" => of_actor = false,
                _ => {
                    let state = line.strip_prefix("port state: ").filter(|_| of_actor);
                    let state = state.and_then(|state| state.parse::<u8>().ok());
                    carrying += usize::from(state.is_some_and(|state| state & 0x38 == 0x38));
                }
            }
        }
        carrying
    }
}
