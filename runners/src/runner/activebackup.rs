//! activebackup: the best port carries everything, the others wait.
//!
//! Best is the highest prio, then speed, then duplex, in this order (teamd joins the three by
//! "or", which lets the order of joining decide). Among equals the active port stays; with none
//! active the one that joined first is taken. A sticky active port stays while it is usable,
//! and so does one that the user chose: the choice is a pin, it ends when the port fails or
//! another is chosen. `failback` says when a better port takes over from one that works.

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
    /// The port that waits to take over from one that works, and until when.
    challenger: Option<(PortId, Instant)>,
}

impl ActiveBackup {
    pub(crate) fn new(hwaddr_policy: HwAddrPolicy, failback: Failback) -> Self {
        ActiveBackup {
            hwaddr_policy,
            failback,
            active: None,
            pinned: None,
            challenger: None,
        }
    }

    /// The port that should be active, if none had to wait.
    fn best(&self, active: Option<&Port>, ports: &[Port]) -> Option<PortId> {
        if let Some(active) = active.filter(|port| port.settings().sticky) {
            return Some(active.id());
        }
        let usable = ports.iter().filter(|port| port.is_usable());
        let challengers = usable.filter(|port| {
            active.is_none_or(|active| match self.failback.policy {
                FailbackPolicy::Always => true,
                FailbackPolicy::Better => quality(port) > quality(active),
                FailbackPolicy::Failure => false,
            })
        });
        // Only a strictly better port displaces: the active one, else the earliest, keeps a tie.
        active
            .into_iter()
            .chain(challengers)
            .reduce(|best, port| if rank(port) > rank(best) { port } else { best })
            .map(Port::id)
    }

    /// Lets `best` take over from the `active` port when it has waited long enough.
    fn admit(&mut self, now: Instant, active: PortId, best: PortId) -> PortId {
        if best == active {
            self.challenger = None;
            return active;
        }
        let until = match self.challenger {
            Some((port, until)) if port == best => until,
            _ => now + self.failback.delay,
        };
        if now >= until {
            self.challenger = None;
            return best;
        }
        self.challenger = Some((best, until));
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
                Some(self.admit(now, active.id(), best))
            }
            _ => {
                self.challenger = None;
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
        self.challenger.map(|(_, until)| until)
    }
}

fn rank(port: &Port) -> (i32, (u32, Duplex)) {
    (port.settings().prio, quality(port))
}

fn quality(port: &Port) -> (u32, Duplex) {
    let link = port.link();
    (link.speed, link.duplex)
}
