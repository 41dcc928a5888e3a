//! Hardware addresses of the interfaces that are ports of nothing.
//!
//! The team driver gives a port the team's address. When another program made an interface a
//! port, the daemon learns of the port too late to read the interface's own address.

use std::collections::BTreeMap;

use runners::HwAddr;

use crate::netlink::link::{LinkEvent, LinkInfo};

/// Addresses by interface index, kept when the interface becomes a port.
#[derive(Debug, Default)]
pub struct OwnHwAddrs(BTreeMap<u32, HwAddr>);

impl OwnHwAddrs {
    /// Takes the addresses of all interfaces that have no master, and drops those of interfaces
    /// that are missing in `links`, which are all that there are.
    pub fn read(&mut self, links: &[LinkInfo]) {
        let before = std::mem::take(&mut self.0);
        let own = links.iter().filter_map(|link| match link.master {
            None => Some((link.ifindex, link.hwaddr)),
            Some(_) => before.get_key_value(&link.ifindex).map(|(k, v)| (*k, *v)),
        });
        self.0 = own.collect();
    }

    /// Takes the address in a link event, unless `is_teams` says that a team has the same: the
    /// driver may give an interface the team's address before it gives it a master.
    pub fn update(&mut self, event: &LinkEvent, is_teams: impl FnOnce(HwAddr) -> bool) {
        if event.gone {
            self.0.remove(&event.ifindex);
        } else if event.master.is_none()
            && self.0.get(&event.ifindex) != Some(&event.hwaddr)
            && !is_teams(event.hwaddr)
        {
            self.0.insert(event.ifindex, event.hwaddr);
        }
    }

    /// Returns the own address of an interface, if it was seen without a master.
    pub fn get(&self, ifindex: u32) -> Option<HwAddr> {
        self.0.get(&ifindex).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_given_by_the_team_driver_is_not_taken_for_an_own_one() {
        let [own, team] = [1, 2].map(|last| HwAddr([2, 0, 0, 0, 0, last]));
        let event = |hwaddr, master, gone| LinkEvent {
            ifindex: 5,
            name: "eth1".to_owned(),
            altnames: Vec::new(),
            hwaddr,
            master,
            gone,
            moved: false,
        };
        let mut addresses = OwnHwAddrs::default();
        let mut update = |event: LinkEvent| {
            addresses.update(&event, |hwaddr| hwaddr == team);
            addresses.get(5)
        };
        assert_eq!(update(event(own, None, false)), Some(own));
        assert_eq!(update(event(team, None, false)), Some(own));
        assert_eq!(update(event(team, Some(9), false)), Some(own));
        assert_eq!(update(event(own, None, true)), None);
    }
}
