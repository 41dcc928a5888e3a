//! Hardware addresses: events about them, and which address team device and ports must have.

use std::net::Ipv6Addr;

use super::Team;
use crate::action::Action;
use crate::ident::{HwAddr, PortId};

/// Hardware address of the team device.
#[derive(Debug)]
pub(super) struct TeamHwAddr {
    /// Last requested address, or one that was read since.
    current: HwAddr,
    last_read: HwAddr,
    /// Last requested address; `None` once another one was read.
    requested: Option<HwAddr>,
    /// The port that the address was last taken from, with its address then.
    source: Option<(PortId, HwAddr)>,
}

impl TeamHwAddr {
    pub(super) fn new(hwaddr: HwAddr) -> Self {
        TeamHwAddr {
            current: hwaddr,
            last_read: hwaddr,
            requested: Some(hwaddr),
            source: None,
        }
    }

    pub(super) fn current(&self) -> HwAddr {
        self.current
    }

    /// Records the address as read. An unchanged one may be older than the last request.
    pub(super) fn read(&mut self, hwaddr: HwAddr) {
        if hwaddr != self.last_read {
            self.last_read = hwaddr;
            self.current = hwaddr;
            self.requested = self.requested.filter(|requested| *requested == hwaddr);
        }
    }

    /// Whether `hwaddr` must be requested; records the request. The last read address does not
    /// count, since it may be older than the last request.
    fn request(&mut self, hwaddr: HwAddr) -> bool {
        self.current = hwaddr;
        self.requested.replace(hwaddr) != Some(hwaddr)
    }
}

impl Team {
    pub(super) fn port_hwaddr_changed(&mut self, port: PortId, hwaddr: HwAddr) {
        if let Some(at) = self.position(port) {
            let carries_team_hwaddr = self.runner.carries_team_hwaddr(port);
            self.ports[at].hwaddr_changed(hwaddr, carries_team_hwaddr, self.hwaddr.current());
        }
    }

    pub(super) fn set_link_local(&mut self, port: PortId, address: Option<Ipv6Addr>) {
        if let Some(at) = self.position(port) {
            self.ports[at].link_local_changed(address);
        }
    }

    pub(super) fn set_hwaddr(&mut self, hwaddr: HwAddr) {
        if self.hwaddr.request(hwaddr) {
            self.actions.push_back(Action::SetTeamHwAddr(hwaddr));
        }
    }

    /// Whether a frame with this source address may be one of the team's own.
    pub(super) fn sends_from(&self, hwaddr: HwAddr) -> bool {
        self.hwaddr.current() == hwaddr || self.ports.iter().any(|port| port.sends_from(hwaddr))
    }

    /// Requests the addresses of team device and ports.
    pub(super) fn update_addresses(&mut self) {
        // Followed on changes only: an address that the user gives the team device stays until the
        // source port or its address changes.
        let source = self.runner.hwaddr_source().and_then(|port| self.port(port));
        let source = source.map(|port| (port.id(), port.hwaddr()));
        if source != self.hwaddr.source {
            self.hwaddr.source = source;
            if let Some((_, hwaddr)) = source {
                self.set_hwaddr(hwaddr);
            }
        }
        // One port gives up the team's address before another one takes it.
        for carries_team_hwaddr in [false, true] {
            for port in &mut self.ports {
                if self.runner.carries_team_hwaddr(port.id()) != carries_team_hwaddr {
                    continue;
                }
                let hwaddr = match carries_team_hwaddr {
                    true => self.hwaddr.current(),
                    false => port.own_hwaddr(),
                };
                if port.request_hwaddr(hwaddr) {
                    let port = port.id();
                    let action = Action::SetPortHwAddr { port, hwaddr };
                    self.actions.push_back(action);
                }
            }
        }
    }
}
