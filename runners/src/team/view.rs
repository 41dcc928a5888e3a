//! The state of a team, for reading.

use std::net::Ipv6Addr;

use super::Team;
use super::failovers::FailoverTimes;
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::runner::lacp::LacpStatus;
use crate::settings::TeamSettings;
use crate::time::Instant;

impl Team {
    /// Returns all ports, in the order in which they joined.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter()
    }

    /// Returns the port with this identity.
    pub fn port(&self, port: PortId) -> Option<&Port> {
        self.ports.iter().find(|known| known.id() == port)
    }

    /// Returns the port with exactly this interface name.
    pub fn find_port(&self, name: &str) -> Option<PortId> {
        let port = self.ports.iter().find(|port| port.name() == name)?;
        Some(port.id())
    }

    /// Returns the active port of activebackup; `None` with other runners.
    pub fn active_port(&self) -> Option<PortId> {
        self.runner.active_port()
    }

    /// Returns the designated port of slb, tlb and alb; `None` with other runners.
    pub fn designated_port(&self) -> Option<PortId> {
        self.runner.designated_port()
    }

    /// Returns the status of lacp at the time `now`; `None` with other runners.
    pub fn lacp_status(&self, now: Instant) -> Option<LacpStatus> {
        let mut status = self.runner.lacp()?.status(now);
        if !self.carrier() {
            let (carry, needed) = (self.carrying(), self.settings.min_ports);
            let ready = status.ports.iter_mut().filter(|port| port.why.is_none());
            ready.for_each(|port| {
                port.why = Some(format!(
                    "ready, but the team has no carrier: {carry} of the {needed} ports carry that \
                     \"min_ports\" asks for; mend the others or set runner.min_ports to {carry}"
                ));
            });
        }
        Some(status)
    }

    /// Returns the durations of failovers.
    pub fn failover_times(&self) -> FailoverTimes {
        self.failovers.times
    }

    /// Returns the number of probe rounds.
    pub fn probe_rounds(&self) -> u32 {
        self.prober.rounds()
    }

    /// Whether the port sent a probe in the last round.
    pub fn probed(&self, port: PortId) -> bool {
        self.prober.sent_on(port)
    }

    /// Returns the ports that received the port's last probe.
    pub fn probe_heard_at(&self, port: PortId) -> impl Iterator<Item = PortId> {
        self.prober.received_at(port)
    }

    /// Whether the team device must have a carrier.
    pub fn carrier(&self) -> bool {
        self.carrier.unwrap_or(false)
    }

    /// Returns the hardware address that the team device must have.
    pub fn hwaddr(&self) -> HwAddr {
        self.hwaddr.current()
    }

    /// Returns the link-local IPv6 address of the team device, as last read.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.link_local
    }

    /// Returns the settings of the team, with the changes since its creation.
    pub fn settings(&self) -> &TeamSettings {
        &self.settings
    }
}
