//! Facts about a team: configuration, state and interfaces.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde_json::Value;

use crate::state::{self, OrEmpty, State};

/// The interface of a port, as the system knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardFacts {
    /// MTU in bytes, if it could be read.
    pub mtu: Option<u64>,
    /// Bus address of the network card, such as `0000:01:00`; `None` for a virtual interface.
    pub card: Option<String>,
    /// NUMA node of the card.
    pub numa_node: Option<i64>,
    /// The interface below a VLAN or another virtual interface.
    pub lower: Option<String>,
}

/// The team device, as the system knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// The device is administratively up.
    pub up: bool,
    /// The bridge or other interface that has the device as a port.
    pub master: Option<String>,
    /// The master is a bridge.
    pub bridged: bool,
    /// The device has an address, a master or an interface on top.
    pub used: bool,
    /// MTU in bytes.
    pub mtu: Option<u64>,
    /// Addresses that moved to or from the device in its bridge during the observation.
    pub wandering: Vec<String>,
    /// Number of NUMA nodes of the machine.
    pub numa_nodes: usize,
}

/// All facts about a team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The configuration.
    pub config: Value,
    /// Findings of the strict check of the configuration, one line each.
    pub complaints: Vec<String>,
    /// The state; `None` if no team runs.
    pub state: Option<State>,
    /// The team device, if there is one.
    pub device: Option<DeviceFacts>,
    /// The interfaces of the ports, by name.
    pub cards: BTreeMap<String, CardFacts>,
}

/// A port of the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port<'a> {
    pub(super) name: &'a str,
    state: &'a state::Port,
}

impl Deref for Port<'_> {
    type Target = state::Port;

    fn deref(&self) -> &state::Port {
        self.state
    }
}

impl<'a> Port<'a> {
    pub(super) fn linked(self) -> bool {
        self.link.or_empty().up == Some(true)
    }

    /// Returns the speed of the link in Mbit/s; `None` if it is unknown.
    pub(super) fn speed(self) -> Option<i64> {
        self.link.or_empty().speed.filter(|speed| *speed > 0)
    }

    pub(super) fn watched_up(self) -> bool {
        self.link_watches.or_empty().up == Some(true)
    }

    pub(super) fn allowed(self) -> bool {
        self.teamr.or_empty().allowed != Some(false)
    }

    /// Returns the highest down count of the watches.
    pub(super) fn down_count(self) -> i64 {
        let counts = self.watches().filter_map(|(_, watch)| watch.down_count);
        counts.max().unwrap_or(0)
    }

    /// Returns whether the port sent a probe in the last round.
    pub(super) fn probed(self) -> bool {
        self.teamr.or_empty().probed == Some(true)
    }

    /// Returns the names of the ports that received the probe of this port.
    pub(super) fn probe_heard_at(self) -> impl Iterator<Item = &'a str> {
        self.state.probe_heard_at()
    }

    /// Returns the system ID of the LACP partner; empty without a partner, `None` without LACP.
    pub(super) fn partner_system(self) -> Option<&'a str> {
        const NO_SYSTEM: &str = "00:00:00:00:00:00";
        let partner = &self.state.runner.or_empty().partner_lacpdu_info;
        let system = partner.or_empty().system.as_deref()?;
        Some(if system == NO_SYSTEM { "" } else { system })
    }

    /// Returns whether the port has a LACP partner.
    pub(super) fn has_partner(self) -> bool {
        self.partner_system()
            .is_some_and(|system| !system.is_empty())
    }
}

impl Facts {
    pub(super) fn runner(&self) -> &str {
        let name = self.config.pointer("/runner/name").and_then(Value::as_str);
        name.unwrap_or("roundrobin")
    }

    pub(super) fn ports(&self) -> Vec<Port<'_>> {
        let ports = self.state.iter().flat_map(State::ports);
        ports.map(|(name, state)| Port { name, state }).collect()
    }

    pub(super) fn linked_ports(&self) -> Vec<Port<'_>> {
        let ports = self.ports().into_iter();
        ports.filter(|port| port.linked()).collect()
    }

    /// Returns the names of the ports for which a condition holds.
    pub(super) fn named(&self, holds: impl Fn(&Port<'_>) -> bool) -> Vec<&str> {
        let ports = self.ports().into_iter();
        ports.filter(holds).map(|port| port.name).collect()
    }

    pub(super) fn configured_ports(&self) -> Vec<&str> {
        let ports = self.config.get("ports").and_then(Value::as_object);
        ports
            .into_iter()
            .flat_map(|ports| ports.keys().map(String::as_str))
            .collect()
    }

    pub(super) fn bridged(&self) -> bool {
        self.device.as_ref().is_some_and(|device| device.bridged)
    }

    /// Returns the bridge or other interface that has the team device as a port.
    pub(super) fn master(&self) -> Option<&str> {
        self.device.as_ref()?.master.as_deref()
    }
}
