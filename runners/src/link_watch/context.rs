//! Facts about port and team that a link watch needs.

use std::net::Ipv6Addr;

use crate::ident::{HwAddr, PortId};
use crate::wire::path_probe::TeamPort;

/// Facts about the team.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TeamContext {
    /// At least one port is enabled.
    pub(crate) someone_enabled: bool,
    /// Number of ports that may carry traffic.
    pub(crate) usable_ports: usize,
    /// Number of ports whose watch probe is answered.
    pub(crate) answered_ports: usize,
    /// Hardware address of the team device.
    pub(crate) hwaddr: HwAddr,
    /// Link-local IPv6 address of the team device.
    pub(crate) link_local: Option<Ipv6Addr>,
}

/// Facts about the port of a watch and its team.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchContext {
    /// The port.
    pub(crate) port: PortId,
    /// Hardware address of the team device.
    pub(crate) team_hwaddr: HwAddr,
    /// The port has a carrier.
    pub(crate) linked: bool,
    /// The port is enabled.
    pub(crate) enabled: bool,
    /// At least one port of the team is enabled.
    pub(crate) someone_enabled: bool,
    /// Whether another port of the team may carry traffic.
    pub(crate) has_other_port: bool,
    /// Whether the watch probe of another port of the team is answered.
    pub(crate) has_witness: bool,
    /// Another port must keep the team's hardware address, even while this one is enabled.
    pub(crate) hwaddr_belongs_elsewhere: bool,
    /// Hardware address of the port.
    pub(crate) hwaddr: HwAddr,
    /// A hardware address that the port does not share with the team.
    pub(crate) port_only_hwaddr: HwAddr,
    /// Link-local IPv6 address of the port, else of the team device.
    pub(crate) link_local: Option<Ipv6Addr>,
}

impl WatchContext {
    /// Returns the port and its team.
    pub(super) fn own(&self) -> TeamPort {
        TeamPort { team: self.team_hwaddr, port: self.port }
    }

    /// Whether only other ports carry traffic.
    pub(super) fn is_waiting(&self) -> bool {
        !self.enabled && self.someone_enabled
    }

    /// Whether frames from the port must not attract the team's traffic.
    pub(crate) fn is_quiet(&self) -> bool {
        self.hwaddr_belongs_elsewhere || self.is_waiting()
    }
}
