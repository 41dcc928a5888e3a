//! The state of a team, for reading.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use super::Team;
use super::failovers::FailoverTimes;
use crate::forwarding::Forwarding;
use crate::ident::{HwAddr, PortId};
use crate::keep_alive::KeepAlive;
use crate::lacp_status::LacpStatus;
use crate::port::Port;
use crate::settings::TeamSettings;
use crate::settings::follower::Follower;
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

    /// Returns the hardware address that requests on a port come from: one that attracts no traffic of
    /// the team to a port that carries none. `None` for an unknown port.
    pub fn request_hwaddr(&self, port: PortId) -> Option<HwAddr> {
        Some(self.port(port)?.request_hwaddr_source(self.context()))
    }

    /// Returns the active port of activebackup; `None` with other runners.
    pub fn active_port(&self) -> Option<PortId> {
        self.runner.active_port()
    }

    /// Returns the better port of activebackup that waits for the failback probe.
    pub fn waiting_port(&self) -> Option<PortId> {
        self.runner.waiting_port()
    }

    /// Returns the port that the user chose as the active one, or, with lacp, one of the aggregator
    /// that the user chose, while the choice lasts.
    pub fn chosen_port(&self) -> Option<PortId> {
        self.runner.chosen_port()
    }

    /// Returns the designated port of slb, tlb and alb; `None` with other runners.
    pub fn designated_port(&self) -> Option<PortId> {
        self.runner.designated_port()
    }

    /// Returns the status of lacp at the time `now`; `None` with other runners.
    pub fn lacp_status(&self, now: Instant) -> Option<LacpStatus> {
        let mut status = self.runner.lacp_status(now)?;
        let ready = status.ports.iter_mut().filter(|port| port.cause.is_none());
        for port in ready.filter(|status| self.port(status.port).is_some_and(Port::lacks_bfd)) {
            port.cause = Some(
                "ready, but its BFD session is not up: see that the partner has a micro session \
                 (RFC 7130) on this link, with the addresses of the watch bfd"
                    .to_owned(),
            );
        }
        if !self.carrier() {
            let (carry, needed) = (self.carrying(), self.settings.min_ports);
            let ready = status.ports.iter_mut().filter(|port| port.cause.is_none());
            ready.for_each(|port| {
                port.cause = Some(format!(
                    "ready, but the team has no carrier: {carry} of the {needed} ports carry that \
                     \"min_ports\" asks for; mend the others or set runner.min_ports to {carry}"
                ));
            });
        }
        Some(status)
    }

    /// Returns the LACPDU with which the kernel may answer the partner of a port while the daemon
    /// is away; `None` for a port without such a partner.
    pub fn keep_alive(&self, port: PortId) -> Option<KeepAlive> {
        let of_runner = self.runner.keep_alive(self.port(port)?);
        of_runner.or_else(|| self.lacp_sessions.keep_alive(port))
    }

    /// Returns the time for which the kernel may answer the partner of a port in place of the daemon;
    /// zero without LACP on the port.
    pub fn keep_alive_limit(&self, port: PortId) -> Duration {
        let settings = self.runner.lacp_settings().or_else(|| self.lacp_sessions.settings(port));
        settings.map_or(Duration::ZERO, |settings| settings.keepalive)
    }

    /// Returns the links that follow the team or a port, and whether each has to be up. A link that
    /// follows the team is up while the team device has a carrier, a link that follows a port while the
    /// port counts for this carrier, and a link of both kinds while both hold.
    pub fn followers(&self) -> BTreeMap<&Follower, bool> {
        let mut followers = BTreeMap::new();
        let of_team = (&self.settings.follow, self.carrier());
        let ports = self.ports.iter();
        let ports = ports.filter(|port| !port.settings().follow.is_empty());
        let of_ports = ports.map(|port| (&port.settings().follow, self.runner.carries(port)));
        for (list, up) in [of_team].into_iter().chain(of_ports) {
            for follower in list {
                *followers.entry(follower).or_insert(true) &= up;
            }
        }
        followers
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

    /// Whether the team device keeps its carrier if this port stops carrying traffic. Returns true as
    /// well if the port carries no traffic now, or if the team has no carrier.
    pub fn keeps_carrier_without(&self, port: PortId) -> bool {
        let carries =
            |port: &&Port| self.runner.carries(port) && (port.is_enabled() || port.is_usable());
        let (own, others): (Vec<&Port>, Vec<&Port>) =
            self.ports.iter().filter(carries).partition(|known| known.id() == port);
        own.is_empty() || !self.carrier() || others.len() >= self.settings.min_ports as usize
    }

    /// Returns the forwarding as last requested; `None` before the first event.
    pub fn forwarding(&self) -> Option<&Forwarding> {
        self.forwarding.as_ref()
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
