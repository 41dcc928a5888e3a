//! Interfaces below an interface. A port that is stacked on its own team would make frames loop.
//!
//! The kernel prevents such loops for its own drivers. The kernel does not know the ports of teams on
//! the other data paths; the port state files name these.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

use runners::Instant;

use super::ManagedTeam;
use super::ports::Rejection;
use crate::daemon::kernel::Kernel;
use crate::datapath::device;
use crate::datapath::device::TAP_KIND;
use crate::datapath::port_state;
use crate::netlink::link::{self, LinkInfo};

impl ManagedTeam {
    /// Returns the names of the interfaces from a future port down to the team device; `None` if
    /// the interface is not stacked on the device.
    ///
    /// # Errors
    /// The kernel's error if the interfaces cannot be read.
    pub(super) fn chain_to_team(
        &self,
        kernel: &mut Kernel,
        interface: &LinkInfo,
    ) -> io::Result<Option<String>> {
        if !may_have_lowers(kernel, interface) {
            return Ok(None);
        }
        let links = link::all(&mut kernel.route)?;
        Ok(chain(&links, |team| self.ports_of(team), interface.ifindex, self.device.ifindex))
    }

    /// Returns the names of the interfaces from the team device down to another interface; `None` if the
    /// team does not stand on the interface.
    pub(super) fn chain_from_team(&self, links: &[LinkInfo], ifindex: u32) -> Option<String> {
        chain(links, |team| self.ports_of(team), self.device.ifindex, ifindex)
    }

    /// Returns whether an interface may have been stacked on the team device after it became a
    /// port.
    pub fn may_be_stacked(&self) -> bool {
        self.ports.iter().any(|(_, attached)| attached.may_have_lowers)
    }

    /// Releases the ports that are now stacked on the team device. Called with all interfaces after an
    /// interface got a master.
    pub fn release_stacked_ports(&mut self, kernel: &mut Kernel, now: Instant, links: &[LinkInfo]) {
        for port in self.ports.ids() {
            let Some(attached) = self.ports.get(port).filter(|port| port.may_have_lowers) else {
                continue;
            };
            let (name, ifindex) = (attached.name.clone(), attached.found.ifindex);
            let ports_of = |team: &str| self.ports_of(team);
            if let Some(chain) = chain(links, ports_of, ifindex, self.device.ifindex) {
                log::error!("{name}: {}", stacked(&self.device.name, &chain));
                self.release(kernel, now, port);
                self.ports.reject(&name, Some(Rejection::Failed(ifindex)));
            }
        }
    }

    /// Returns the interface indices of the ports of a team without the kernel's driver; none for a
    /// team with another run directory.
    fn ports_of(&self, team: &str) -> Vec<u32> {
        let path = self.setup.options.run_dir.join(format!("{team}.ports"));
        port_state::recorded(&path).iter().map(|port| port.ifindex).collect()
    }
}

/// Returns the end of a message about a port that is stacked on its team: the way down, and the remedy.
pub(super) fn stacked(team: &str, chain: &str) -> String {
    format!(
        "The interface stands on \"{team}\": {chain}. As a port it would send frames round and \
         round; take one of these interfaces out of the one above it."
    )
}

/// Returns whether an interface may send its frames through other interfaces of this namespace: every
/// virtual interface may, except a veth, netkit or TAP that is no team device.
pub(super) fn may_have_lowers(kernel: &mut Kernel, interface: &LinkInfo) -> bool {
    match interface.kind.as_str() {
        "" => false,
        kind if kind == TAP_KIND || interface.has_peer() => {
            device::is_ours(&mut kernel.route, interface).unwrap_or(true)
        }
        _ => true,
    }
}

/// Returns the names on the way down from one interface to another, joined by `>`; `None` without a
/// way. `ports_of` returns the ports of a team that the kernel does not know.
fn chain(
    links: &[LinkInfo],
    ports_of: impl Fn(&str) -> Vec<u32>,
    from: u32,
    to: u32,
) -> Option<String> {
    let name = |ifindex: u32| links.iter().find(|link| link.ifindex == ifindex).map(|it| &it.name);
    // The interface above each interface that was reached.
    let mut above = BTreeMap::from([(from, from)]);
    let mut pending = vec![from];
    while let Some(upper) = pending.pop() {
        for lower in lowers(links, &ports_of, upper) {
            if let Entry::Vacant(unknown) = above.entry(lower) {
                unknown.insert(upper);
                pending.push(lower);
            }
        }
    }
    let mut names = vec![name(to)?.as_str()];
    let mut at = to;
    while at != from {
        at = *above.get(&at)?;
        names.push(name(at)?);
    }
    names.reverse();
    Some(names.join(" > "))
}

/// Returns the interfaces through which an interface sends: its lower interface and its ports.
fn lowers(links: &[LinkInfo], ports_of: &impl Fn(&str) -> Vec<u32>, upper: u32) -> Vec<u32> {
    let link = links.iter().find(|link| link.ifindex == upper);
    let ports = links.iter().filter(|link| link.master == Some(upper)).map(|link| link.ifindex);
    let mut lowers: Vec<u32> = ports.collect();
    if let Some(link) = link {
        lowers.extend(link.lower_interface());
        lowers.extend(ports_of(&link.name));
    }
    lowers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(ifindex: u32, kind: &str, master: Option<u32>, lower: Option<u32>) -> LinkInfo {
        let (name, kind) = (format!("i{ifindex}"), kind.to_owned());
        LinkInfo { ifindex, name, kind, master, lower, ..LinkInfo::default() }
    }

    #[test]
    fn a_chain_goes_down_by_lowers_and_ports_and_not_through_a_peer() {
        let links = [
            link(1, "team", None, None),
            link(2, "bridge", None, None),
            link(3, "macvlan", None, Some(2)),
            link(4, "vlan", Some(2), Some(1)),
            link(5, "veth", None, Some(1)),
            link(6, "tun", None, None),
            link(7, "", Some(1), None),
            link(8, "netkit", None, Some(1)),
        ];
        let ports_of = |team: &str| if team == "i6" { vec![3, 6] } else { vec![] };
        let chain = |from| super::chain(&links, ports_of, from, 1);
        assert_eq!(chain(3).as_deref(), Some("i3 > i2 > i4 > i1"));
        assert_eq!(chain(6).as_deref(), Some("i6 > i3 > i2 > i4 > i1"));
        assert_eq!(chain(4).as_deref(), Some("i4 > i1"));
        assert_eq!(chain(5), None, "the peer of a veth is not below it");
        assert_eq!(chain(8), None, "the peer of a netkit is not below it");
        assert_eq!(chain(7), None, "a port is below the team");
        assert_eq!(chain(9), None, "an interface that has gone");
    }
}
