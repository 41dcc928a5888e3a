//! Hardware addresses: events about them, and which address team device and ports must have.

use std::net::Ipv6Addr;

use super::Team;
use crate::action::Action;
use crate::ident::{HwAddr, PortId};
use crate::settings::{HwAddrPolicy, RunnerSettings, TeamSettings};

/// Hardware address of the team device.
#[derive(Clone, Debug)]
pub(super) struct TeamHwAddr {
    /// Last requested address, or one that was read since.
    current: HwAddr,
    last_read: HwAddr,
    /// Last requested address; `None` once another one was read.
    requested: Option<HwAddr>,
    /// The port that the address was last taken from, with its address then.
    source: Option<(PortId, HwAddr)>,
    /// Address of a device to which neither the settings nor the active port give one.
    default: Option<HwAddr>,
}

impl TeamHwAddr {
    pub(super) fn new(hwaddr: HwAddr) -> Self {
        TeamHwAddr {
            current: hwaddr,
            last_read: hwaddr,
            requested: Some(hwaddr),
            source: None,
            default: None,
        }
    }

    pub(super) fn current(&self) -> HwAddr {
        self.current
    }

    /// Sets the address that the device has once neither the settings nor the active port give one;
    /// keeps an address that was set before.
    pub(super) fn set_default(&mut self, hwaddr: HwAddr) {
        self.default.get_or_insert(hwaddr);
    }

    /// Records the address as read. An unchanged one may be older than the last request.
    pub(super) fn read(&mut self, hwaddr: HwAddr) {
        if hwaddr != self.last_read {
            self.last_read = hwaddr;
            self.current = hwaddr;
            self.requested = self.requested.filter(|requested| *requested == hwaddr);
        }
    }

    /// Returns whether another program has set the address since the last request.
    pub(super) fn is_set_by_others(&self) -> bool {
        self.requested.is_none()
    }

    /// Whether `hwaddr` must be requested; records the request. The last read address does not
    /// count, since it may be older than the last request.
    fn request(&mut self, hwaddr: HwAddr) -> bool {
        self.current = hwaddr;
        self.requested.replace(hwaddr) != Some(hwaddr)
    }
}

/// Returns whether the settings or the active port give the device its address.
pub(super) fn is_hwaddr_given(settings: &TeamSettings) -> bool {
    let by_active = HwAddrPolicy::ByActive;
    settings.hwaddr.is_some()
        || matches!(settings.runner, RunnerSettings::ActiveBackup { hwaddr_policy, .. }
            if hwaddr_policy == by_active)
}

impl Team {
    /// Requests the address that `settings` give the device, or the default address if the former
    /// settings gave one and `settings` give none.
    pub(super) fn replace_hwaddr(&mut self, settings: &TeamSettings) {
        let before = self.settings.hwaddr;
        match (is_hwaddr_given(&self.settings), is_hwaddr_given(settings)) {
            (false, true) => self.hwaddr.default = Some(self.hwaddr.current),
            (true, false) => {
                if let Some(default) = self.hwaddr.default.take() {
                    self.set_hwaddr(default);
                }
            }
            _ => {}
        }
        match settings.hwaddr {
            Some(hwaddr) if before != Some(hwaddr) => self.set_hwaddr(hwaddr),
            // Requests the active port's address again, if the policy is `by_active`.
            None if before.is_some() => self.hwaddr.source = None,
            _ => {}
        }
    }

    pub(super) fn port_hwaddr_changed(&mut self, port: PortId, hwaddr: HwAddr) {
        if let Some(at) = self.position(port) {
            let carries_team_hwaddr = self.runner.carries_team_hwaddr(port);
            self.ports[at].hwaddr_changed(hwaddr, carries_team_hwaddr, self.hwaddr.current());
        }
    }

    /// Keeps a port that refuses the team's address out of forwarding: frames to that address would
    /// not reach the team.
    pub(super) fn port_hwaddr_refused(&mut self, port: PortId, hwaddr: HwAddr) {
        if let Some(at) = self.position(port) {
            self.ports[at].refuses_team_hwaddr = hwaddr == self.hwaddr.current();
        }
    }

    /// Requests a refused address again, after a change that may have ended the cause.
    pub(super) fn retry_hwaddr(&mut self, at: usize) {
        let carries_team_hwaddr = self.runner.carries_team_hwaddr(self.ports[at].id());
        self.ports[at].retry_hwaddr(carries_team_hwaddr);
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
