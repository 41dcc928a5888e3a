//! Duration of failovers: from the event about a lost link to the forwarding without its port. The
//! time before the event is unknown here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::forwarding::{Forwarding, TxPolicy};
use crate::ident::PortId;
use crate::time::Instant;

/// Durations of the failovers of a team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailoverTimes {
    /// Number of failovers.
    pub count: u64,
    /// Sum of all durations.
    pub total: Duration,
    /// Duration of the last failover.
    pub last: Duration,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Failovers {
    pub(crate) times: FailoverTimes,
    /// Ports in the forwarding that lost their link, with the time of the loss.
    lost: BTreeMap<PortId, Instant>,
}

impl Failovers {
    /// Records a lost or returned link of a port that `forwarding` uses.
    pub(crate) fn link_changed(
        &mut self,
        now: Instant,
        port: PortId,
        up: bool,
        forwarding: Option<&Forwarding>,
    ) {
        if up {
            self.lost.remove(&port);
        } else if forwarding.is_some_and(|forwarding| carries(forwarding, port)) {
            self.lost.entry(port).or_insert(now);
        }
    }

    /// Records a new forwarding. A lost port that it leaves out was a failover if another port
    /// carries.
    pub(crate) fn forwarding_changed(&mut self, now: Instant, forwarding: &Forwarding) {
        let lost = &self.lost;
        let mut ports = forwarding.ports.iter();
        let continues = ports.any(|port| {
            port.linked && !lost.contains_key(&port.port) && carries(forwarding, port.port)
        });
        self.lost.retain(|port, since| {
            let left_out = !carries(forwarding, *port);
            if left_out && continues {
                let time = now.saturating_since(*since);
                self.times.count += 1;
                self.times.total += time;
                self.times.last = time;
            }
            !left_out
        });
    }
}

/// Whether frames may leave on the port. Under broadcast, round-robin and random the data path skips
/// a port without a link.
fn carries(forwarding: &Forwarding, port: PortId) -> bool {
    let skips_dead = match forwarding.policy {
        TxPolicy::Broadcast | TxPolicy::RoundRobin { .. } | TxPolicy::Random { .. } => true,
        TxPolicy::ActiveBackup { .. }
        | TxPolicy::LoadBalance { .. }
        | TxPolicy::SourceBalance { .. } => false,
    };
    let mut ports = forwarding.ports.iter();
    ports.any(|known| known.port == port && known.distributing && (known.linked || !skips_dead))
}
