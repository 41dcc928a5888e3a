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
    /// Filters of other programs that run before the team's, such as `flower at preference 1`.
    pub foreign_filters: Vec<String>,
    /// An `ingress` qdisc takes the place of `clsact`.
    pub ingress_qdisc: bool,
    /// Kind of the queueing discipline for the frames that the interface sends, such as `htb`.
    pub qdisc: Option<String>,
    /// Whether a program has joined a group of PTP on the interface itself.
    pub ptp: bool,
    /// IP addresses of the interface itself, without link-local ones.
    pub addresses: Vec<String>,
}

/// The team device as a port of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgePortFacts {
    /// State of the port, unless it forwards: disabled, listening, learning or blocking.
    pub not_forwarding: Option<&'static str>,
    /// Time in seconds that the port takes to forward after the carrier comes up; 0 without
    /// spanning tree.
    pub stp_delay: u64,
    /// The bridge disables the port when a BPDU comes in.
    pub bpdu_guard: bool,
    /// The bridge sends frames out on the port that they came in on.
    pub hairpin: bool,
    /// MTU of the bridge in bytes.
    pub bridge_mtu: Option<u64>,
    /// Cost of the path by the port for the spanning tree.
    pub path_cost: Option<i64>,
}

/// The team device, as the system knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// The device is administratively up.
    pub up: bool,
    /// The device has a carrier; `None` if unknown.
    pub carrier: Option<bool>,
    /// The bridge or other interface that has the device as a port.
    pub master: Option<String>,
    /// The device as a port of the master; `None` unless the master is a bridge.
    pub bridge_port: Option<BridgePortFacts>,
    /// The device has an address, a master or an interface on top.
    pub used: bool,
    /// MTU in bytes.
    pub mtu: Option<u64>,
    /// Speed that the kernel reports, in Mbit/s.
    pub speed: Option<i64>,
    /// Other interfaces with an IP address of the device: the address, the interface.
    pub addresses_elsewhere: Vec<(String, String)>,
    /// Interfaces with the hardware address of the device that are neither ports nor stacked with
    /// the device or a port.
    pub hwaddr_elsewhere: Vec<String>,
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
    /// The device is a bond that watches no link.
    pub unmonitored: bool,
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

    /// Whether neither the user nor a gate, damping, a drain or corrupted frames keep the port from
    /// carrying traffic.
    pub(super) fn admitted(self) -> bool {
        let is_out = self.gated() || self.suppressed() || self.drained() || self.corrupting();
        self.allowed() && !is_out
    }

    /// Whether the port is kept out because of its corrupted frames.
    pub(super) fn corrupting(self) -> bool {
        self.teamr.or_empty().corrupting == Some(true)
    }

    /// Returns the share of corrupted frames, in millionths, of a port whose watch errors is down.
    pub(super) fn corruption(self) -> Option<u64> {
        let mut watches = self.watches();
        let (_, watch) = watches.find(|(_, watch)| {
            watch.name.as_deref() == Some("errors") && watch.up == Some(false)
        })?;
        watch.teamr.or_empty().error_ratio
    }

    /// Whether the gate or the MACsec gate of the port is closed.
    pub(super) fn gated(self) -> bool {
        self.gate == Some(false) || self.runner.or_empty().macsec_gate == Some(false)
    }

    pub(super) fn suppressed(self) -> bool {
        self.damping.or_empty().suppressed == Some(true)
    }

    pub(super) fn drained(self) -> bool {
        self.state.drained == Some(true)
    }

    pub(super) fn hwaddr_refused(self) -> bool {
        self.teamr.or_empty().hwaddr_refused == Some(true)
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

    /// Returns the LACP key of the port; `None` without LACP.
    pub(super) fn own_key(self) -> Option<i64> {
        self.state.runner.or_empty().key
    }

    /// Returns whether the port is in the aggregate that carries traffic; `None` without LACP.
    pub(super) fn aggregator_selected(self) -> Option<bool> {
        self.state.runner.or_empty().aggregator.or_empty().selected
    }

    /// Returns the key that the LACP partner gives its port; `None` without LACP.
    pub(super) fn partner_key(self) -> Option<i64> {
        self.state.runner.or_empty().partner_lacpdu_info.or_empty().key
    }

    /// Returns the time since the last LACPDU in milliseconds; `None` without one.
    pub(super) fn last_lacpdu_ms_ago(self) -> Option<u64> {
        self.teamr.or_empty().lacp.or_empty().pdus.or_empty().heard_ago?.0
    }

    /// Returns the time between the last two LACPDUs in milliseconds; `None` before the second.
    pub(super) fn lacpdu_interval_ms(self) -> Option<u64> {
        self.teamr.or_empty().lacp.or_empty().pdus.or_empty().heard_interval?.0
    }

    /// Returns how many LACPDUs the kernel answered in place of the daemon, and the time since the
    /// last answer in milliseconds; `None` if the kernel has answered none.
    pub(super) fn kept_alive(self) -> Option<(u64, u64)> {
        let kept = self.teamr.or_empty().lacp.or_empty().keepalive.or_empty();
        kept.answered.zip(kept.answered_ago?.0)
    }

    /// Returns why the watch lacp of the port is down; `None` if the watch is up or missing.
    pub(super) fn lacp_watch_down(self) -> Option<&'a str> {
        let mut watches = self.watches();
        let is_down = watches
            .any(|(_, watch)| watch.name.as_deref() == Some("lacp") && watch.up != Some(true));
        is_down.then(|| self.state.teamr.or_empty().lacp.or_empty().why.as_deref().unwrap_or(""))
    }

    /// Returns whether the port has a LACP partner.
    pub(super) fn has_partner(self) -> bool {
        self.partner_system().is_some_and(|system| !system.is_empty())
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

    /// Returns the speed of the ports that carry traffic, in Mbit/s: of the active port, of the
    /// slowest one under broadcast, or of all together; `None` if it is unknown.
    pub(super) fn speed_of_ports(&self) -> Option<i64> {
        let runner = self.state.as_ref().and_then(|state| state.runner.as_ref());
        let active = runner.and_then(|runner| runner.active_port.as_deref());
        let carries = |port: &Port<'_>| {
            port.teamr.or_empty().enabled != Some(false)
                && active.is_none_or(|active| active == port.name)
        };
        let ports = self.linked_ports().into_iter().filter(carries);
        let speeds = ports.map(Port::speed).collect::<Option<Vec<i64>>>()?;
        match self.runner() {
            "broadcast" => speeds.into_iter().min(),
            _ => speeds.into_iter().reduce(i64::saturating_add),
        }
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
        ports.into_iter().flat_map(|ports| ports.keys().map(String::as_str)).collect()
    }

    pub(super) fn bridged(&self) -> bool {
        self.device.as_ref().is_some_and(|device| device.bridge_port.is_some())
    }

    /// Returns the name of the team device.
    pub(super) fn device_name(&self) -> &str {
        self.config["device"].as_str().unwrap_or("team0")
    }

    /// Returns the bridge or other interface that has the team device as a port.
    pub(super) fn master(&self) -> Option<&str> {
        self.device.as_ref()?.master.as_deref()
    }
}
