//! Which teams an interface concerns: those whose device or port has its index, and those that
//! take the interface of its name as a port as soon as there is one.

use std::collections::{BTreeMap, BTreeSet};

use super::source::TeamId;

/// Teams by the interfaces that concern them.
#[derive(Debug, Default)]
pub(super) struct InterfaceMap {
    by_ifindex: BTreeMap<u32, BTreeSet<TeamId>>,
    by_name: BTreeMap<String, BTreeSet<TeamId>>,
}

impl InterfaceMap {
    /// Replaces the interfaces of a team: the indices of its device and ports, and the names of
    /// its missing ports.
    pub fn replace<'a>(
        &mut self,
        team: TeamId,
        ifindexes: impl Iterator<Item = u32>,
        names: impl Iterator<Item = &'a str>,
    ) {
        self.remove(team);
        for ifindex in ifindexes {
            self.by_ifindex.entry(ifindex).or_default().insert(team);
        }
        for name in names {
            let teams = self.by_name.entry(name.to_owned());
            teams.or_default().insert(team);
        }
    }

    /// Removes a team.
    pub fn remove(&mut self, team: TeamId) {
        fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<TeamId>>, team: TeamId) {
            map.retain(|_, teams| {
                teams.remove(&team);
                !teams.is_empty()
            });
        }
        remove(&mut self.by_ifindex, team);
        remove(&mut self.by_name, team);
    }

    /// Returns the teams whose device or port has this index.
    pub fn by_ifindex(&self, ifindex: u32) -> impl Iterator<Item = TeamId> {
        self.by_ifindex.get(&ifindex).into_iter().flatten().copied()
    }

    /// Returns the teams that take an interface of this name.
    pub fn by_name(&self, name: &str) -> impl Iterator<Item = TeamId> {
        self.by_name.get(name).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_leads_to_the_teams_that_it_concerns() {
        let (first, second) = (TeamId::FIRST, TeamId::FIRST.next());
        let mut map = InterfaceMap::default();
        map.replace(first, [3, 7].into_iter(), ["eth1"].into_iter());
        map.replace(second, [4, 7].into_iter(), ["eth1", "eth2"].into_iter());
        assert!(map.by_ifindex(3).eq([first]));
        assert!(map.by_ifindex(7).eq([first, second]));
        assert!(map.by_ifindex(5).eq([]));
        assert!(map.by_name("eth1").eq([first, second]));
        map.replace(first, [3].into_iter(), [].into_iter());
        assert!(map.by_ifindex(7).eq([second]));
        assert!(map.by_name("eth1").eq([second]));
        map.remove(second);
        assert!(map.by_ifindex(4).eq([]) && map.by_name("eth2").eq([]));
    }
}
