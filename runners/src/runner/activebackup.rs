//! activebackup: the best port is active and carries all traffic.
//!
//! Ports rank by prio, then speed, then duplex (teamd joins the three by "or", which lets the order
//! of joining decide). Among equals the active port stays active; without an active port the one
//! that joined first wins. A sticky active port stays active while it is usable. A port that the
//! user chose is pinned: it stays active until it fails or the user chooses another one.
//! `failback` defines when a better port replaces a usable active port.

use crate::forwarding::TxPolicy;
use crate::ident::{Duplex, PortId};
use crate::port::Port;
use crate::runner::Runner;
use crate::settings::{Failback, FailbackPolicy, HwAddrPolicy};
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct ActiveBackup {
    hwaddr_policy: HwAddrPolicy,
    failback: Failback,
    active: Option<PortId>,
    pinned: Option<PortId>,
    /// The better port that waits for `failback_delay`, and the end of the delay.
    candidate: Option<(PortId, Instant)>,
}

impl ActiveBackup {
    pub(crate) fn new(hwaddr_policy: HwAddrPolicy, failback: Failback) -> Self {
        ActiveBackup {
            hwaddr_policy,
            failback,
            active: None,
            pinned: None,
            candidate: None,
        }
    }

    /// Returns the port that should be active, apart from `failback_delay`.
    fn best(&self, active: Option<&Port>, ports: &[Port]) -> Option<PortId> {
        if let Some(active) = active.filter(|port| port.settings().sticky) {
            return Some(active.id());
        }
        let usable = ports.iter().filter(|port| port.is_usable());
        let candidates = usable.filter(|port| {
            active.is_none_or(|active| match self.failback.policy {
                FailbackPolicy::Always => true,
                FailbackPolicy::Better => quality(port) > quality(active),
                FailbackPolicy::Failure => false,
            })
        });
        // The active port, else the one that joined first, wins a tie.
        active
            .into_iter()
            .chain(candidates)
            .reduce(|best, port| if rank(port) > rank(best) { port } else { best })
            .map(Port::id)
    }

    /// Returns `best` if it has been the best port for `failback_delay`, else `active`.
    fn after_delay(&mut self, now: Instant, active: PortId, best: PortId) -> PortId {
        if best == active {
            self.candidate = None;
            return active;
        }
        let until = match self.candidate {
            Some((port, until)) if port == best => until,
            _ => now + self.failback.delay,
        };
        if now >= until {
            self.candidate = None;
            return best;
        }
        self.candidate = Some((best, until));
        active
    }
}

impl Runner for ActiveBackup {
    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        let usable = |id| {
            ports
                .iter()
                .find(|port| port.id() == id && port.is_usable())
        };
        self.pinned = self.pinned.filter(|pinned| usable(*pinned).is_some());
        let active = self.active.and_then(usable);
        let best = self.pinned.or_else(|| self.best(active, ports));
        self.active = match (active, best) {
            (Some(active), Some(best)) if self.pinned.is_none() => {
                Some(self.after_delay(now, active.id(), best))
            }
            _ => {
                self.candidate = None;
                best
            }
        };
        TxPolicy::ActiveBackup {
            active: self.active,
        }
    }

    fn enables(&self, port: &Port) -> bool {
        self.active == Some(port.id())
    }

    fn carries_team_hwaddr(&self, port: PortId) -> bool {
        match self.hwaddr_policy {
            HwAddrPolicy::SameAll => true,
            HwAddrPolicy::ByActive => false,
            HwAddrPolicy::OnlyActive => self.active == Some(port),
        }
    }

    fn hwaddr_source(&self) -> Option<PortId> {
        match self.hwaddr_policy {
            HwAddrPolicy::ByActive => self.active,
            HwAddrPolicy::SameAll | HwAddrPolicy::OnlyActive => None,
        }
    }

    fn active_port(&self) -> Option<PortId> {
        self.active
    }

    fn choose_active(&mut self, port: &Port) {
        if port.is_usable() {
            self.pinned = Some(port.id());
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.candidate.map(|(_, until)| until)
    }
}

fn rank(port: &Port) -> (i32, (u32, Duplex)) {
    (port.settings().prio, quality(port))
}

fn quality(port: &Port) -> (u32, Duplex) {
    let link = port.link();
    (link.speed, link.duplex)
}
