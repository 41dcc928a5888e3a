//! The ports that a team has, and the interfaces that it takes as ports when they appear.

use std::collections::BTreeMap;
use std::rc::Rc;

use runners::{HwAddr, PortId};

use crate::daemon::carrier_changes::CarrierChanges;
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
    /// The configured name by which the interface was found, until the port has a link.
    pub(super) taken_as: Option<String>,
    /// Speed and duplex as read last; the core takes an unknown value for the lowest.
    pub(super) link_settings: LinkSettings,
    /// Whether the interface may send its frames through other interfaces of this namespace.
    pub(super) may_have_lowers: bool,
    /// The count of carrier changes; `None` if the kernel never delivers the link events of the
    /// interface late.
    pub(super) carrier_changes: Option<Rc<CarrierChanges>>,
}

impl AttachedPort {
    /// Opens the count of carrier changes of an interface; `None` if the kernel never delivers the link
    /// events of the interface late.
    pub(super) fn carrier_changes_of(interface: &LinkInfo) -> Option<Rc<CarrierChanges>> {
        let open = || Rc::new(CarrierChanges::open(&interface.name, interface.ifindex));
        interface.has_late_events().then(open)
    }

    /// Returns whether the carrier may have changed since the last call; false if the kernel never
    /// delivers the link events of the interface late.
    pub(super) fn may_have_other_carrier(&self) -> bool {
        self.carrier_changes.as_ref().is_some_and(|changes| changes.may_have_changed())
    }
}

/// Why an expected interface is no port, with the index of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The interface could not become a port, and is not tried again.
    Failed(u32),
    /// Another device has the interface as its port; the interface is tried again.
    Owned(u32),
    /// The interface with this index could not become a port while another device released it; the
    /// number counts the attempts.
    Contended(u32, u8),
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
    /// Names of the interfaces that become ports when they appear, and why the present interface of
    /// the name is no port.
    expected: BTreeMap<String, Option<Rejection>>,
    /// Former ports in other network namespaces, by name, as they were before they were ports.
    moved: BTreeMap<String, PortInterface>,
    /// [`take_changed`](Self::take_changed) has reported the present ports and expected ports.
    is_reported: bool,
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
        self.is_reported = false;
    }

    /// Keeps the former state of a port that was moved to another network namespace, while the team
    /// expects the interface back.
    pub(super) fn remember_moved(&mut self, found: PortInterface) {
        if self.expected.contains_key(&found.name) {
            self.moved.insert(found.name.clone(), found);
        }
    }

    /// Returns the former state of an interface that comes back from another network namespace with
    /// the address `team` of a port; else `found`.
    pub(super) fn recall_moved(&mut self, found: PortInterface, team: HwAddr) -> PortInterface {
        match self.moved.remove(&found.name) {
            Some(before) if found.hwaddr == team => {
                PortInterface { ifindex: found.ifindex, ipv6: found.ipv6, ..before }
            }
            _ => found,
        }
    }

    /// Removes a port and returns it.
    pub(super) fn remove(&mut self, port: PortId) -> Option<AttachedPort> {
        self.is_reported = false;
        self.attached.remove(&port)
    }

    /// Has [`take_changed`](Self::take_changed) report the ports anew.
    pub(super) fn set_changed(&mut self) {
        self.is_reported = false;
    }

    pub(super) fn get(&self, port: PortId) -> Option<&AttachedPort> {
        self.attached.get(&port)
    }

    pub(super) fn get_mut(&mut self, port: PortId) -> Option<&mut AttachedPort> {
        self.attached.get_mut(&port)
    }

    /// Returns the ports in the order in which they were attached.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (PortId, &AttachedPort)> {
        self.attached.iter().map(|(port, attached)| (*port, attached))
    }

    /// Returns the ids in the order in which the ports were attached.
    pub(super) fn ids(&self) -> Vec<PortId> {
        self.attached.keys().copied().collect()
    }

    /// Returns the interface indices of the ports, in the order in which they were attached.
    pub(super) fn ifindexes(&self) -> impl Iterator<Item = u32> {
        self.iter().map(|(_, attached)| attached.found.ifindex)
    }

    /// Takes the interface `name` as a port from now on, whenever it exists.
    pub(super) fn expect(&mut self, name: &str) {
        self.is_reported &= self.expected.contains_key(name);
        self.expected.entry(name.to_owned()).or_default();
    }

    /// Takes the interface `name` as a port no longer.
    pub(super) fn expect_no_more(&mut self, name: &str) {
        self.is_reported &= self.expected.remove(name).is_none();
        self.moved.remove(name);
    }

    /// Returns whether the interface `name` becomes a port when it appears.
    pub(super) fn is_expected(&self, name: &str) -> bool {
        self.expected.contains_key(name)
    }

    /// Returns the names of the expected ports.
    pub(super) fn expected(&self) -> impl Iterator<Item = &str> {
        self.expected.keys().map(String::as_str)
    }

    /// Returns whether the interface is expected and did not fail, and no port has its name or its
    /// index.
    pub(super) fn is_awaited(&self, name: &str, ifindex: u32) -> bool {
        let is_port = |port: &AttachedPort| port.name == name || port.found.ifindex == ifindex;
        self.expected.get(name).is_some_and(|it| *it != Some(Rejection::Failed(ifindex)))
            && !self.attached.values().any(is_port)
    }

    /// Records why the expected interface `name` is no port; `None` if it is one. Returns whether
    /// the reason is new.
    pub(super) fn reject(&mut self, name: &str, rejection: Option<Rejection>) -> bool {
        let known = self.expected.get_mut(name);
        let is_new = known.is_some_and(|known| std::mem::replace(known, rejection) != rejection);
        self.is_reported &= !is_new;
        is_new
    }

    /// Permits another attempt with the expected interface `name` after a failure.
    pub(super) fn try_again(&mut self, name: &str) {
        if let Some(rejection) = self.expected.get_mut(name) {
            *rejection = rejection.filter(|it| !matches!(it, Rejection::Failed(_)));
        }
    }

    /// Returns whether the expected interface `name` could not become a port.
    pub(super) fn has_failed(&self, name: &str) -> bool {
        matches!(self.expected.get(name), Some(Some(Rejection::Failed(_))))
    }

    /// Returns the indices of the expected interfaces that are ports of another device.
    pub(super) fn all_owned_elsewhere(&self) -> impl Iterator<Item = u32> {
        self.expected.values().filter_map(|rejection| match rejection {
            Some(Rejection::Owned(ifindex) | Rejection::Contended(ifindex, _)) => Some(*ifindex),
            _ => None,
        })
    }

    /// Returns the name of an expected interface that is a port of another device.
    pub(super) fn owned_elsewhere(&self, ifindex: u32) -> Option<String> {
        let mut expected = self.expected.iter();
        let is_of = |it: &Option<Rejection>| matches!(it, Some(Rejection::Owned(of) | Rejection::Contended(of, _)) if *of == ifindex);
        let (name, _) = expected.find(|(_, it)| is_of(it))?;
        Some(name.clone())
    }

    /// Returns the rejection of an interface that could not become a port. Another device that
    /// releases the interface changes it in several steps, and each step permits another attempt.
    pub(super) fn after_failure(&self, name: &str, ifindex: u32) -> Rejection {
        /// Most attempts.
        const ATTEMPTS: u8 = 16;
        match self.expected.get(name) {
            Some(Some(Rejection::Owned(of))) if *of == ifindex => Rejection::Contended(ifindex, 1),
            Some(Some(Rejection::Contended(of, times))) if *of == ifindex && *times < ATTEMPTS => {
                Rejection::Contended(ifindex, times + 1)
            }
            _ => Rejection::Failed(ifindex),
        }
    }

    /// Returns whether ports or expected ports changed since the last call; true at first.
    pub(super) fn take_changed(&mut self) -> bool {
        !std::mem::replace(&mut self.is_reported, true)
    }
}
