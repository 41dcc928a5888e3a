//! A test whether the switch forwards on a port again, before the traffic returns to the port.
//!
//! A switch may give a port its link long before it forwards there: a bridge waits for its forward
//! delay (IEEE 802.1D-2004, 17.14), twice 15 s by default. The test is a probe that the returning
//! port sends and the active port receives. Ports in separate networks never receive each other's
//! probes, so a failback waits only if a probe passed between both ports before.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::action::{Action, FailbackCause, Report};
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::probe::Prober;
use crate::probe::schedule::{ProbeTimes, SPANNING_TREE};
use crate::time::Instant;

/// Interval of the probes of a returning port, and so the longest delay that the test adds.
const INTERVAL: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Default)]
pub(crate) struct FailbackProbe {
    team: HwAddr,
    prober: Prober,
    times: ProbeTimes,
    /// Pairs of ports, the lower id first, of which one has received a probe of the other.
    connected: BTreeSet<(PortId, PortId)>,
    wait: Option<Wait>,
    actions: VecDeque<Action>,
}

/// The wait for a probe from the returning port to the active port.
#[derive(Clone, Debug)]
struct Wait {
    returning: PortId,
    active: PortId,
    next_probe: Instant,
    until: Instant,
    /// Whether the active port received the probe.
    has_passed: bool,
}

impl FailbackProbe {
    /// Sets the hardware address of the team device, which the probes contain.
    pub(crate) fn set_team(&mut self, hwaddr: HwAddr) {
        self.team = hwaddr;
    }

    /// Sets the ports of the team.
    pub(crate) fn set_ports(&mut self, now: Instant, ports: &[Port]) {
        let is_port = |id: PortId| ports.iter().any(|port| port.id() == id);
        self.connected.retain(|(lower, higher)| is_port(*lower) && is_port(*higher));
        let linked = ports.iter().filter(|port| port.is_linked()).map(Port::id);
        self.times.set_linked(now, linked.collect());
    }

    /// Returns whether the traffic may move from the port `active` to the port `returning`: a probe
    /// passed, none can pass between the two, or none has passed for [`SPANNING_TREE`].
    pub(crate) fn may_return(&mut self, now: Instant, active: &Port, returning: &Port) -> bool {
        let (port, active_name) = (returning.name().to_owned(), active.name().to_owned());
        let (active, returning) = (active.id(), returning.id());
        let known = self.wait.take().filter(|it| (it.active, it.returning) == (active, returning));
        let wait = match known {
            Some(wait) => wait,
            None if self.connected.contains(&pair(active, returning)) => {
                let waits = Report::FailbackWaits { port: port.clone(), active: active_name };
                self.actions.push_back(Action::Report(waits));
                self.start_round(BTreeSet::from([returning]));
                let (next_probe, until) = (now + INTERVAL, now + SPANNING_TREE);
                Wait { returning, active, next_probe, until, has_passed: false }
            }
            None => return true,
        };
        if wait.until <= now {
            self.connected.remove(&pair(active, returning));
        }
        let cause = match wait.has_passed {
            true => FailbackCause::ProbeReceived,
            false if wait.until <= now => FailbackCause::TimeOver(SPANNING_TREE),
            false => {
                self.wait = Some(wait);
                return false;
            }
        };
        self.actions.push_back(Action::Report(Report::FailbackGoesOn { port, cause }));
        true
    }

    /// Ends the wait: no port returns.
    pub(crate) fn stop(&mut self) {
        self.wait = None;
    }

    /// Returns the port that waits for its probe to pass.
    pub(crate) fn waiting_port(&self) -> Option<PortId> {
        self.wait.as_ref().map(|wait| wait.returning)
    }

    /// Whether the team has sent a probe.
    pub(crate) fn has_sent(&self) -> bool {
        self.prober.rounds() > 0
    }

    /// Handles a frame that `port` received.
    pub(crate) fn receive(&mut self, port: PortId, frame: &[u8]) {
        self.prober.receive(self.team, port, frame);
        for (from, at) in self.prober.crossings() {
            self.connected.insert(pair(from, at));
            if let Some(wait) = &mut self.wait {
                wait.has_passed |= (from, at) == (wait.returning, wait.active);
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waits = self.wait.iter().filter(|wait| !wait.has_passed);
        waits.map(|wait| wait.next_probe.min(wait.until)).chain(self.times.next_deadline()).min()
    }

    /// Handles the deadline `due`; `now` may be later.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant) {
        let linked = self.times.linked().clone();
        let unknown = linked.iter().any(|one| {
            linked.iter().any(|other| one < other && !self.connected.contains(&(*one, *other)))
        });
        if self.times.expire(due, now, !unknown) && unknown {
            self.start_round(linked);
        }
        let Some(wait) = &mut self.wait else { return };
        if wait.next_probe <= due {
            wait.next_probe = now + INTERVAL;
            let (port, frame) = (wait.returning, self.prober.repeat(self.team, wait.returning));
            self.actions.push_back(Action::SendFrame { port, frame });
        }
    }

    /// Returns the next probe to send, or the next line for the log.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn start_round(&mut self, ports: BTreeSet<PortId>) {
        let probes = self.prober.start_round(self.team, ports.into_iter());
        let frames = probes.into_iter().map(|(port, frame)| Action::SendFrame { port, frame });
        self.actions.extend(frames);
    }
}

fn pair(one: PortId, other: PortId) -> (PortId, PortId) {
    (one.min(other), one.max(other))
}
