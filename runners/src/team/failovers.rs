//! How long it took to go on without a port whose link was lost: from the news of it to the
//! forwarding that leaves it out. What it took until the news came, nobody here can know.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::forwarding::{Forwarding, TxPolicy};
use crate::ident::PortId;
use crate::time::Instant;

/// All failovers of a team so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailoverTimes {
    /// How many.
    pub count: u64,
    /// All of their times together.
    pub total: Duration,
    /// The time of the last one.
    pub last: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Failovers {
    pub(crate) times: FailoverTimes,
    /// Ports that carried when their links went, and still do.
    lost: BTreeMap<PortId, Instant>,
}

impl Failovers {
    /// The link of a port that may carry went or came, under the forwarding so far.
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

    /// What carries from now on. It is a failover if somebody is left who does.
    pub(crate) fn forwards(&mut self, now: Instant, forwarding: &Forwarding) {
        let lost = &self.lost;
        let mut ports = forwarding.ports.iter();
        let goes_on = ports.any(|port| {
            port.linked && !lost.contains_key(&port.port) && carries(forwarding, port.port)
        });
        self.lost.retain(|port, since| {
            let left_out = !carries(forwarding, *port);
            if left_out && goes_on {
                let time = now.saturating_since(*since);
                self.times.count += 1;
                self.times.total += time;
                self.times.last = time;
            }
            !left_out
        });
    }
}

/// Frames may leave on the port; under the plain policies the data path passes over one without
/// a link.
fn carries(forwarding: &Forwarding, port: PortId) -> bool {
    let passes_over = match forwarding.policy {
        TxPolicy::Broadcast | TxPolicy::RoundRobin { .. } | TxPolicy::Random { .. } => true,
        TxPolicy::ActiveBackup { .. }
        | TxPolicy::LoadBalance { .. }
        | TxPolicy::SourceBalance { .. } => false,
    };
    let mut ports = forwarding.ports.iter();
    ports.any(|known| known.port == port && known.distributing && (known.linked || !passes_over))
}
