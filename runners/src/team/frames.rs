//! Received control frames, and the probes among them.

use super::Team;
use super::links::push_watch_actions;
use crate::action::{Action, Report};
use crate::ident::PortId;
use crate::link_watch::is_sent_by;
use crate::port::Port;
use crate::time::Instant;

impl Team {
    pub(super) fn frame_received(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        let context = self.context();
        self.prober.receive(context.hwaddr, port, frame);
        self.report_plain_switch();
        if let Some(at) = self.position(port) {
            self.runner.frame_received(now, &self.ports[at], frame);
            self.lacp_sessions.frame_received(now, port, frame);
            let ours = is_sent_by(frame, |hwaddr| self.sends_from(hwaddr));
            let actions = self.ports[at].frame_received(now, frame, ours, context);
            push_watch_actions(&mut self.actions, &self.ports[at], actions);
        }
    }

    /// Starts a round of probes on all ports with a link.
    pub(super) fn probe(&mut self) {
        let linked = self.ports.iter().filter(|port| port.is_linked());
        let hwaddr = self.hwaddr.current();
        self.probes = self.prober.start_round(hwaddr, linked.map(Port::id));
    }

    /// Reports two ports that lead into one network, once a round, if the runner needs others.
    fn report_plain_switch(&mut self) {
        if !self.runner.needs_probes() {
            return;
        }
        let crossed = self.prober.take_crossed();
        let name = |port| Some(self.port(port)?.name().to_owned());
        if let Some((from, at)) = crossed.and_then(|(from, at)| Some((name(from)?, name(at)?))) {
            let report = Report::PlainSwitch { from, at };
            self.actions.push_back(Action::Report(report));
        }
    }
}
