//! The teams that an interface concerns: teams whose device or port has the index of the interface,
//! teams that expect an interface of this name as a port, and teams whose device has the hardware
//! address of the interface.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use runners::HwAddr;

use super::source::TeamId;

/// A property that an interface shares with a team.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Index(u32),
    Name(String),
    HwAddr(HwAddr),
}

/// Teams by the interfaces that concern them.
#[derive(Debug, Default)]
pub(super) struct InterfaceMap {
    teams: BTreeMap<Key, BTreeSet<TeamId>>,
    /// The keys of each team in `teams`.
    keys: BTreeMap<TeamId, Vec<Key>>,
}

impl InterfaceMap {
    /// Replaces the interfaces of a team: the indices of its device and ports, the names of its
    /// missing ports, and the address of its device.
    pub fn replace<'a>(
        &mut self,
        team: TeamId,
        ifindexes: impl Iterator<Item = u32>,
        names: impl Iterator<Item = &'a str>,
        hwaddr: HwAddr,
    ) {
        self.remove(team);
        let names = names.map(|name| Key::Name(name.to_owned()));
        let keys = ifindexes.map(Key::Index).chain(names).chain([Key::HwAddr(hwaddr)]);
        let keys: Vec<Key> = keys.collect();
        for key in &keys {
            self.teams.entry(key.clone()).or_default().insert(team);
        }
        self.keys.insert(team, keys);
    }

    /// Removes a team.
    pub fn remove(&mut self, team: TeamId) {
        for key in self.keys.remove(&team).into_iter().flatten() {
            if let Entry::Occupied(mut teams) = self.teams.entry(key) {
                teams.get_mut().remove(&team);
                if teams.get().is_empty() {
                    teams.remove();
                }
            }
        }
    }

    /// Returns the teams whose device or port has this index.
    pub fn by_ifindex(&self, ifindex: u32) -> impl Iterator<Item = TeamId> {
        self.teams.get(&Key::Index(ifindex)).into_iter().flatten().copied()
    }

    /// Returns the teams that take an interface of this name.
    pub fn by_name(&self, name: &str) -> impl Iterator<Item = TeamId> + use<'_> {
        self.teams.get(&Key::Name(name.to_owned())).into_iter().flatten().copied()
    }

    /// Returns whether the device of any team has this address.
    pub fn is_of_device(&self, hwaddr: HwAddr) -> bool {
        self.teams.contains_key(&Key::HwAddr(hwaddr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_leads_to_the_teams_that_it_concerns() {
        let (first, second) = (TeamId::FIRST, TeamId::FIRST.next());
        let mut map = InterfaceMap::default();
        let [of_first, of_second] = [1, 2].map(|last| HwAddr([2, 0, 0, 0, 0, last]));
        map.replace(first, [3, 7].into_iter(), ["eth1"].into_iter(), of_first);
        map.replace(second, [4, 7].into_iter(), ["eth1", "eth2"].into_iter(), of_second);
        assert!(map.is_of_device(of_first) && map.is_of_device(of_second));
        assert!(map.by_ifindex(3).eq([first]));
        assert!(map.by_ifindex(7).eq([first, second]));
        assert!(map.by_ifindex(5).eq([]));
        assert!(map.by_name("eth1").eq([first, second]));
        map.replace(first, [3].into_iter(), [].into_iter(), of_second);
        assert!(!map.is_of_device(of_first));
        assert!(map.by_ifindex(7).eq([second]));
        assert!(map.by_name("eth1").eq([second]));
        map.remove(second);
        assert!(map.is_of_device(of_second), "the first team has the address too");
        assert!(map.by_ifindex(4).eq([]) && map.by_name("eth2").eq([]));
    }
}
