//! The outcome: everything is decided afresh from the facts, and what differs from what was asked
//! for last leaves as an action.

use crate::action::{Action, Report};
use crate::control_frames::ControlFrames;
use crate::forwarding::Forwarding;
use crate::ident::PortId;
use crate::port::Port;
use crate::time::Instant;

use super::Team;

impl Team {
    /// Decides everything from the facts and asks for what differs.
    pub(super) fn settle(&mut self, now: Instant) {
        let enabled_one = self.settle_forwarding(now);
        self.settle_addresses();
        self.settle_carrier();
        self.settle_probing(now);
        self.settle_listening();
        let probes = self.probes.drain(..);
        self.actions
            .extend(probes.map(|(port, frame)| Action::SendFrame { port, frame }));
        self.actions
            .extend(std::iter::from_fn(|| self.runner.poll_action()));
        if enabled_one && self.notify_peers.begin(now) {
            self.actions.push_back(Action::NotifyPeers);
        }
        if enabled_one && self.mcast_rejoin.begin(now) {
            self.actions.push_back(Action::RejoinMulticast);
        }
    }

    /// Whether a port was enabled that was not before.
    fn settle_forwarding(&mut self, now: Instant) -> bool {
        self.runner.team_changed(self.hwaddr, self.admin_up);
        let policy = self.runner.decide(now, &self.ports);
        let mut enabled_one = false;
        for port in &mut self.ports {
            let enabled = self.runner.enables(port);
            enabled_one |= enabled && !port.enabled;
            port.enabled = enabled;
            port.collecting = self.runner.collects(port);
            port.hwaddr_belongs_elsewhere = self.runner.hwaddr_belongs_elsewhere(port.id());
        }
        let forwarding = Forwarding {
            policy,
            ports: self.ports.iter().map(Port::forwarding).collect(),
        };
        if self.forwarding.as_ref() != Some(&forwarding) {
            self.failovers.forwards(now, &forwarding);
            self.forwarding = Some(forwarding.clone());
            self.actions.push_back(Action::ApplyForwarding(forwarding));
        }

        let (designated, active) = (self.runner.designated_port(), self.runner.active_port());
        let news = [
            self.changed_port(self.designated, designated)
                .map(|port| Report::DesignatedPortChanged { port }),
            self.changed_port(self.active, active)
                .map(|port| Report::ActivePortChanged { port }),
        ];
        (self.designated, self.active) = (designated, active);
        self.actions
            .extend(news.into_iter().flatten().map(Action::Report));
        enabled_one
    }

    /// The name of the port that has taken another one's place.
    fn changed_port(&self, before: Option<PortId>, now: Option<PortId>) -> Option<String> {
        let port = self.port(now.filter(|_| before != now)?)?;
        Some(port.name().to_owned())
    }

    /// Asks for addresses after the forwarding, for silence ends with the latter.
    fn settle_addresses(&mut self) {
        // Followed when it changes and not held, so an address that the user gives the team
        // device stays until then.
        let hwaddr_source = self.runner.hwaddr_source().and_then(|port| self.port(port));
        let lent = hwaddr_source.map(|port| (port.id(), port.hwaddr()));
        if lent != self.lent {
            self.lent = lent;
            if let Some((_, hwaddr)) = lent {
                self.set_hwaddr(hwaddr);
            }
        }
        // A port gives the team's address back before another gets it.
        for carries_team_hwaddr in [false, true] {
            for port in &mut self.ports {
                if self.runner.carries_team_hwaddr(port.id()) != carries_team_hwaddr {
                    continue;
                }
                let hwaddr = if carries_team_hwaddr {
                    self.hwaddr
                } else {
                    port.own_hwaddr()
                };
                if port.request_hwaddr(hwaddr) {
                    let port = port.id();
                    let action = Action::SetPortHwAddr { port, hwaddr };
                    self.actions.push_back(action);
                }
            }
        }
    }

    /// The kernel driver's rule, with `min_ports` (lacp's key in teamd) for every runner: the
    /// carrier is on while that many ports have a link and may carry traffic, with lacp while
    /// they do carry. A delay of a watch does not hold it back.
    fn settle_carrier(&mut self) {
        let enough_ports = self.carrying() >= self.settings.min_ports as usize;
        if enough_ports {
            self.carrier_hold_until = None;
        }
        let up = enough_ports || self.carrier_hold_until.is_some();
        if self.carrier == Some(up) {
            return;
        }
        self.actions.push_back(Action::SetCarrier(up));
        if self.carrier() != up {
            let report = Report::CarrierChanged { up };
            self.actions.push_back(Action::Report(report));
        }
        self.carrier = Some(up);
    }

    fn settle_probing(&mut self, now: Instant) {
        if self.settings.probe && self.runner.needs_probes() {
            let ports = self.ports.iter();
            let linked = ports.filter(|port| port.is_linked() && port.enabled);
            self.probe_times.linked(now, linked.map(Port::id).collect());
        }
    }

    fn settle_listening(&mut self) {
        let probes = ControlFrames {
            probes: self.prober.rounds() > 0,
            ..ControlFrames::default()
        };
        let watched = self.ports.iter().map(Port::control_frames);
        let control_frames = watched.fold(self.runner.control_frames() | probes, |all, more| {
            all | more
        });
        if self.control_frames != control_frames {
            self.control_frames = control_frames;
            self.actions.push_back(Action::Listen(control_frames));
        }
    }
}
