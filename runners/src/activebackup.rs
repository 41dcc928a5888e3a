//! activebackup: the best port carries everything, the others wait.
//!
//! Best is the highest prio, then speed, then duplex, in this order (teamd joins the three by
//! "or", which lets the order of joining decide). Among equals the active port stays; with none
//! active the one that joined first is taken. A sticky active port stays while it is usable,
//! and so does one that the user chose: the choice is a pin, it ends when the port fails or
//! another is chosen.

use crate::forwarding::TxPolicy;
use crate::ident::{Duplex, PortId};
use crate::port::Port;
use crate::runner::Runner;
use crate::settings::HwAddrPolicy;
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct ActiveBackup {
    hwaddr_policy: HwAddrPolicy,
    active: Option<PortId>,
    pinned: Option<PortId>,
}

impl ActiveBackup {
    pub(crate) fn new(hwaddr_policy: HwAddrPolicy) -> Self {
        ActiveBackup {
            hwaddr_policy,
            active: None,
            pinned: None,
        }
    }

    fn best(&self, ports: &[Port]) -> Option<PortId> {
        let usable = |id| {
            ports
                .iter()
                .find(|port| port.id() == id && port.is_usable())
        };
        let active = self.active.and_then(usable);
        if let Some(active) = active.filter(|port| port.settings().sticky) {
            return Some(active.id());
        }
        // Only a strictly better port displaces: the active one, else the earliest, keeps a tie.
        active
            .into_iter()
            .chain(ports.iter().filter(|port| port.is_usable()))
            .reduce(|best, port| if rank(port) > rank(best) { port } else { best })
            .map(Port::id)
    }
}

impl Runner for ActiveBackup {
    fn decide(&mut self, _now: Instant, ports: &[Port]) -> TxPolicy {
        self.pinned = self.pinned.filter(|pinned| {
            ports
                .iter()
                .any(|port| port.id() == *pinned && port.is_usable())
        });
        self.active = self.pinned.or_else(|| self.best(ports));
        TxPolicy::ActiveBackup {
            active: self.active,
        }
    }

    fn enables(&self, port: &Port) -> bool {
        self.active == Some(port.id())
    }

    fn dresses(&self, port: PortId) -> bool {
        match self.hwaddr_policy {
            HwAddrPolicy::SameAll => true,
            HwAddrPolicy::ByActive => false,
            HwAddrPolicy::OnlyActive => self.active == Some(port),
        }
    }

    fn lender(&self) -> Option<PortId> {
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
        } else {
            log::warn!("{}: cannot become the active port: not usable", port.name());
        }
    }
}

fn rank(port: &Port) -> (i32, u32, Duplex) {
    let link = port.link();
    (port.settings().prio, link.speed, link.duplex)
}
