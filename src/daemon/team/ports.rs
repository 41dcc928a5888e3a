//! The ports that a team has, and the interfaces that it takes as ports when they appear.

use std::collections::{BTreeMap, BTreeSet};

use runners::PortId;

use crate::datapath::PortInterface;
use crate::netlink::link::LinkInfo;
use crate::sys::ethtool::LinkSettings;

/// A port of the team.
#[derive(Clone, Debug)]
pub(super) struct AttachedPort {
    /// The interface before it was a port, to be given back in the same state.
    pub(super) found: PortInterface,
    /// The present name of the interface.
    pub(super) name: String,
    /// Speed and duplex as read last; the core takes an unknown value for the lowest.
    pub(super) link_settings: LinkSettings,
}

/// A port that was in the team before the daemon started.
#[derive(Clone, Debug)]
pub struct AdoptedPort {
    /// The interface now.
    pub interface: LinkInfo,
    /// The interface before it became a port, as far as known.
    pub found: PortInterface,
}

/// The ports of a team.
#[derive(Debug, Default)]
pub(super) struct Ports {
    attached: BTreeMap<PortId, AttachedPort>,
    /// Ports attached so far; the id of a port is the number of its attachment.
    count: u32,
    /// Names of the interfaces that become ports whenever they exist.
    expected: BTreeSet<String>,
    /// Expected interfaces that could not become ports, by name with their index; tried again only
    /// under another index.
    rejected: BTreeMap<String, u32>,
    changed: bool,
}

impl Ports {
    /// Returns the id of the next port.
    pub(super) fn next_id(&self) -> PortId {
        PortId(self.count + 1)
    }

    /// Adds a port under [`next_id`](Self::next_id).
    pub(super) fn insert(&mut self, attached: AttachedPort) {
        self.count += 1;
        self.attached.insert(PortId(self.count), attached);
        self.changed = true;
    }

    /// Removes a port and returns it.
    pub(super) fn remove(&mut self, port: PortId) -> Option<AttachedPort> {
        self.changed = true;
        self.attached.remove(&port)
    }

    pub(super) fn get(&self, port: PortId) -> Option<&AttachedPort> {
        self.attached.get(&port)
    }

    pub(super) fn get_mut(&mut self, port: PortId) -> Option<&mut AttachedPort> {
        self.attached.get_mut(&port)
    }

    /// Returns the ports in the order in which they were attached.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (PortId, &AttachedPort)> {
        self.attached
            .iter()
            .map(|(port, attached)| (*port, attached))
    }

    /// Returns the ids in the order in which the ports were attached.
    pub(super) fn ids(&self) -> Vec<PortId> {
        self.attached.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// Returns the interface indices of the ports.
    pub(super) fn ifindexes(&self) -> impl Iterator<Item = u32> {
        self.iter().map(|(_, attached)| attached.found.ifindex)
    }

    /// Returns the port with this interface index.
    pub(super) fn by_ifindex(&self, ifindex: u32) -> Option<PortId> {
        let mut ports = self.iter();
        let found = ports.find(|(_, attached)| attached.found.ifindex == ifindex);
        found.map(|(port, _)| port)
    }

    /// Returns the ports with these interface indices, in the order in which they were attached.
    pub(super) fn among(&self, ifindexes: &BTreeSet<u32>) -> Vec<PortId> {
        let among = |attached: &AttachedPort| ifindexes.contains(&attached.found.ifindex);
        let ports = self.iter().filter(|(_, attached)| among(attached));
        ports.map(|(port, _)| port).collect()
    }

    /// Takes the interface `name` as a port from now on, whenever it exists.
    pub(super) fn expect(&mut self, name: &str) {
        self.changed |= self.expected.insert(name.to_owned());
    }

    /// Takes the interface `name` as a port no longer.
    pub(super) fn expect_no_more(&mut self, name: &str) {
        self.changed |= self.expected.remove(name);
    }

    /// Returns the names of the expected ports.
    pub(super) fn expected(&self) -> impl Iterator<Item = &str> {
        self.expected.iter().map(String::as_str)
    }

    /// Returns whether the interface `name` is expected and no port has its name.
    pub(super) fn is_missing(&self, name: &str) -> bool {
        self.expected.contains(name) && !self.iter().any(|(_, attached)| attached.name == name)
    }

    /// Records that the interface could not become a port.
    pub(super) fn reject(&mut self, name: &str, ifindex: u32) {
        self.rejected.insert(name.to_owned(), ifindex);
    }

    /// Returns whether this very interface was rejected.
    pub(super) fn is_rejected(&self, name: &str, ifindex: u32) -> bool {
        self.rejected.get(name) == Some(&ifindex)
    }

    /// Forgets that an interface of this name was rejected.
    pub(super) fn accept(&mut self, name: &str) {
        self.rejected.remove(name);
    }

    /// Returns whether ports or expected ports changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}
