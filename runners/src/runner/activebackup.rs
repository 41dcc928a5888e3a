//! activebackup: the best port is active and carries all traffic.
//!
//! Ports rank by prio, then speed, then duplex (teamd joins the three by "or", which lets the order
//! of joining decide). Among equals the active port stays active; without an active port the one
//! that joined first wins. A sticky active port stays active while it is usable. A port that the
//! user chose is pinned: it stays active until it fails or the user chooses another one.
//! `failback` defines when a better port replaces a usable active port. `failback_probe` also waits
//! until the switch forwards on the better port.

use crate::action::Action;
use crate::control_frames::ControlFrames;
use crate::forwarding::TxPolicy;
use crate::ident::{Duplex, HwAddr, PortId};
use crate::port::Port;
use crate::runner::Runner;
use crate::runner::failback_probe::FailbackProbe;
use crate::settings::{Failback, FailbackPolicy, HwAddrPolicy, RunnerSettings};
use crate::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct ActiveBackup {
    hwaddr_policy: HwAddrPolicy,
    failback: Failback,
    active: Option<PortId>,
    pinned: Option<PortId>,
    /// The better port that waits for `failback_delay`, and the end of the delay.
    candidate: Option<(PortId, Instant)>,
    /// `None` without `failback_probe`.
    probe: Option<FailbackProbe>,
}

impl ActiveBackup {
    pub(crate) fn new(hwaddr_policy: HwAddrPolicy, failback: Failback) -> Self {
        let probe = failback.probe.then(FailbackProbe::default);
        ActiveBackup { hwaddr_policy, failback, active: None, pinned: None, candidate: None, probe }
    }

    /// Returns the port that should be active, apart from `failback_delay` and `failback_probe`.
    fn best<'a>(&self, active: Option<&'a Port>, ports: &'a [Port]) -> Option<&'a Port> {
        if let Some(active) = active.filter(|port| port.settings().sticky) {
            return Some(active);
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
        let all = active.into_iter().chain(candidates);
        all.reduce(|best, port| if rank(port) > rank(best) { port } else { best })
    }

    /// Ends the wait for a better port.
    fn forget_candidate(&mut self) {
        self.candidate = None;
        self.probe.iter_mut().for_each(FailbackProbe::stop);
    }

    /// Returns `best` if it has been the best port for `failback_delay` and its switch forwards,
    /// else `active`.
    fn after_wait(&mut self, now: Instant, active: &Port, best: &Port) -> PortId {
        if best.id() == active.id() {
            self.forget_candidate();
            return active.id();
        }
        let until = match self.candidate {
            Some((port, until)) if port == best.id() => until,
            _ => now + self.failback.delay,
        };
        let mut probe = self.probe.as_mut();
        if now >= until && probe.as_mut().is_none_or(|it| it.may_return(now, active, best)) {
            self.candidate = None;
            return best.id();
        }
        self.candidate = Some((best.id(), until));
        active.id()
    }
}

impl Runner for ActiveBackup {
    fn team_changed(&mut self, hwaddr: HwAddr, _up: bool) {
        self.probe.iter_mut().for_each(|probe| probe.set_team(hwaddr));
    }

    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        self.probe.iter_mut().for_each(|probe| probe.set_ports(now, ports));
        let usable = |id| ports.iter().find(|port| port.id() == id && port.is_usable());
        self.pinned = self.pinned.filter(|pinned| usable(*pinned).is_some());
        let active = self.active.and_then(usable);
        let best = self.pinned.and_then(usable).or_else(|| self.best(active, ports));
        self.active = match (active, best) {
            (Some(active), Some(best)) if self.pinned.is_none() => {
                Some(self.after_wait(now, active, best))
            }
            _ => {
                self.forget_candidate();
                best.map(Port::id)
            }
        };
        TxPolicy::ActiveBackup { active: self.active }
    }

    fn enables(&self, port: &Port) -> bool {
        self.active == Some(port.id())
    }

    /// A backup port receives the broadcasts that the active port receives as well. Therefore a
    /// drained port does not collect.
    fn collects(&self, port: &Port) -> bool {
        self.enables(port)
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

    /// Keeps the active port; the wait for a better port begins anew.
    fn settings_changed(&mut self, _now: Instant, settings: &RunnerSettings) -> bool {
        let RunnerSettings::ActiveBackup { hwaddr_policy, failback } = settings else {
            return false;
        };
        self.forget_candidate();
        (self.hwaddr_policy, self.failback) = (*hwaddr_policy, *failback);
        let probe = self.probe.take().unwrap_or_default();
        self.probe = failback.probe.then_some(probe);
        true
    }

    fn waiting_port(&self) -> Option<PortId> {
        self.probe.as_ref().and_then(FailbackProbe::waiting_port)
    }

    fn chosen_port(&self) -> Option<PortId> {
        self.pinned
    }

    fn choose_active(&mut self, port: &Port) {
        if port.is_usable() {
            self.pinned = Some(port.id());
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let probe = self.probe.as_ref();
        let is_delayed = self.waiting_port().is_none();
        let delay = self.candidate.filter(|_| is_delayed).map(|(_, until)| until);
        delay.into_iter().chain(probe.and_then(FailbackProbe::next_deadline)).min()
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        self.probe.iter_mut().for_each(|probe| probe.expire(due, now));
    }

    fn control_frames(&self) -> ControlFrames {
        let probes = self.probe.as_ref().is_some_and(FailbackProbe::has_sent);
        ControlFrames { probes, ..ControlFrames::default() }
    }

    fn frame_received(&mut self, _now: Instant, port: &Port, frame: &[u8]) {
        self.probe.iter_mut().for_each(|probe| probe.receive(port.id(), frame));
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.probe.as_mut()?.poll_action()
    }
}

fn rank(port: &Port) -> (i32, (u32, Duplex)) {
    (port.settings().prio, quality(port))
}

fn quality(port: &Port) -> (u32, Duplex) {
    let link = port.link();
    (link.speed, link.duplex)
}
