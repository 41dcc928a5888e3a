//! What is known of a team: its configuration, its state, and what the system says of its
//! interfaces.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the system says of an interface under a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardFacts {
    /// Its MTU, if it could be read.
    pub mtu: Option<u64>,
    /// The place of its network card, such as `0000:01:00`; none for a virtual interface.
    pub card: Option<String>,
    /// The NUMA node of the card.
    pub numa_node: Option<i64>,
    /// The interface that it stands on, if it is a VLAN or the like.
    pub lower: Option<String>,
}

/// What the system says of the team device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// It is set up.
    pub up: bool,
    /// The bridge or other interface that it is a port of.
    pub master: Option<String>,
    /// It is a port of a bridge.
    pub bridged: bool,
    /// Something uses it: an address, a master, an interface on top.
    pub used: bool,
    /// Its MTU.
    pub mtu: Option<u64>,
    /// Addresses that its bridge saw move to or from it while it was looked at.
    pub wandering: Vec<String>,
    /// How many NUMA nodes the machine has.
    pub numa_nodes: usize,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The configuration.
    pub config: Value,
    /// What the strict reading of the configuration complains about, one line each.
    pub complaints: Vec<String>,
    /// The state document; null if no team runs.
    pub state: Value,
    /// The team device, if there is one.
    pub device: Option<DeviceFacts>,
    /// By interface name.
    pub cards: BTreeMap<String, CardFacts>,
}

/// A port of the state document, for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port<'a> {
    pub(super) name: &'a str,
    state: &'a Value,
}

impl<'a> Port<'a> {
    fn at(self, path: &str) -> Option<&'a Value> {
        self.state.pointer(path)
    }

    pub(super) fn flag(self, path: &str) -> Option<bool> {
        self.at(path)?.as_bool()
    }

    pub(super) fn number(self, path: &str) -> u64 {
        self.at(path).and_then(Value::as_u64).unwrap_or(0)
    }

    pub(super) fn text(self, path: &str) -> Option<&'a str> {
        self.at(path)?.as_str()
    }

    pub(super) fn linked(self) -> bool {
        self.flag("/link/up") == Some(true)
    }

    pub(super) fn watched_up(self) -> bool {
        self.flag("/link_watches/up") == Some(true)
    }

    pub(super) fn allowed(self) -> bool {
        self.flag("/teamr/allowed") != Some(false)
    }

    /// Its watches, by name with the verdict of each.
    pub(super) fn watches(self) -> impl Iterator<Item = (&'a str, bool)> {
        let list = self.at("/link_watches/list").and_then(Value::as_object);
        list.into_iter()
            .flat_map(|list| list.values())
            .map(|watch| {
                (
                    watch["name"].as_str().unwrap_or_default(),
                    watch["up"] == true,
                )
            })
    }

    /// How often its watches went down.
    pub(super) fn down_count(self) -> u64 {
        let list = self.at("/link_watches/list").and_then(Value::as_object);
        let watches = list.into_iter().flat_map(|list| list.values());
        watches
            .filter_map(|watch| watch["down_count"].as_u64())
            .max()
            .unwrap_or(0)
    }

    /// A probe left on it.
    pub(super) fn probed(self) -> bool {
        self.flag("/teamr/probed") == Some(true)
    }

    /// Where that came in.
    pub(super) fn probe_heard_at(self) -> Vec<&'a str> {
        let heard = self.text("/teamr/probe_heard_at");
        heard.unwrap_or_default().split_whitespace().collect()
    }
}

impl Facts {
    pub(super) fn runner(&self) -> &str {
        let name = self.config.pointer("/runner/name").and_then(Value::as_str);
        name.unwrap_or("roundrobin")
    }

    pub(super) fn runs(&self) -> bool {
        !self.state.is_null()
    }

    pub(super) fn ports(&self) -> Vec<Port<'_>> {
        let ports = self.state.get("ports").and_then(Value::as_object);
        let ports = ports.into_iter().flatten();
        ports.map(|(name, state)| Port { name, state }).collect()
    }

    /// The names of the ports for which this holds.
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
}
