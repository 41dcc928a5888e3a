//! Outputs: derived from the facts after each event. Each difference from the last request becomes an
//! action.

use super::Team;
use crate::action::{Action, Report};
use crate::control_frames::ControlFrames;
use crate::forwarding::Forwarding;
use crate::ident::PortId;
use crate::port::Port;
use crate::time::Instant;

impl Team {
    /// Derives all outputs and queues an action for each difference.
    pub(super) fn update_outputs(&mut self, now: Instant) {
        let port_enabled = self.update_forwarding(now);
        // After the forwarding, which ends an interruption; addresses do not.
        self.update_addresses();
        self.update_carrier();
        self.update_probe_times(now);
        self.update_control_frames();
        let probes = self.probes.drain(..);
        self.actions
            .extend(probes.map(|(port, frame)| Action::SendFrame { port, frame }));
        self.actions
            .extend(std::iter::from_fn(|| self.runner.poll_action()));
        if port_enabled && self.notify_peers.start(now) {
            self.actions.push_back(Action::NotifyPeers);
        }
        if port_enabled && self.mcast_rejoin.start(now) {
            self.actions.push_back(Action::RejoinMulticast);
        }
    }

    /// Returns whether a port became enabled.
    fn update_forwarding(&mut self, now: Instant) -> bool {
        self.runner
            .team_changed(self.hwaddr.current(), self.admin_up);
        let policy = self.runner.decide(now, &self.ports);
        let mut port_enabled = false;
        for port in &mut self.ports {
            let enabled = self.runner.enables(port);
            port_enabled |= enabled && !port.enabled;
            port.enabled = enabled;
            port.collecting = self.runner.collects(port);
            port.hwaddr_belongs_elsewhere = self.runner.hwaddr_belongs_elsewhere(port.id());
        }
        let forwarding = Forwarding {
            policy,
            ports: self.ports.iter().map(Port::forwarding).collect(),
        };
        if self.forwarding.as_ref() != Some(&forwarding) {
            self.failovers.forwarding_changed(now, &forwarding);
            self.forwarding = Some(forwarding.clone());
            self.actions.push_back(Action::ApplyForwarding(forwarding));
        }
        self.report_ports();
        port_enabled
    }

    /// Reports another designated or active port.
    fn report_ports(&mut self) {
        let (designated, active) = (self.runner.designated_port(), self.runner.active_port());
        let reports = [
            self.changed_port(self.designated, designated)
                .map(|port| Report::DesignatedPortChanged { port }),
            self.changed_port(self.active, active)
                .map(|port| Report::ActivePortChanged { port }),
        ];
        (self.designated, self.active) = (designated, active);
        self.actions
            .extend(reports.into_iter().flatten().map(Action::Report));
    }

    /// Returns the name of the port `now`, if it is another one than `before`.
    fn changed_port(&self, before: Option<PortId>, now: Option<PortId>) -> Option<String> {
        let port = self.port(now.filter(|_| before != now)?)?;
        Some(port.name().to_owned())
    }

    /// Number of ports that count for the carrier.
    pub(super) fn carrying(&self) -> usize {
        let carrying = self.ports.iter().filter(|port| self.runner.carries(port));
        carrying.count()
    }

    /// The kernel driver's rule, with `min_ports` (lacp's key in teamd) for every runner: the
    /// carrier is on while at least so many ports are allowed and have a link; with lacp, while they
    /// distribute. A delay of a link watch does not delay the carrier.
    fn update_carrier(&mut self) {
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

    fn update_probe_times(&mut self, now: Instant) {
        if self.settings.probe && self.runner.needs_probes() {
            let ports = self.ports.iter();
            let linked = ports.filter(|port| port.is_linked() && port.enabled);
            self.probe_times
                .set_linked(now, linked.map(Port::id).collect());
        }
    }

    fn update_control_frames(&mut self) {
        let probes = ControlFrames {
            probes: self.prober.rounds() > 0,
            ..ControlFrames::default()
        };
        let watches = self.ports.iter().map(Port::control_frames);
        let control_frames = watches.fold(self.runner.control_frames() | probes, |all, more| {
            all | more
        });
        if self.control_frames != control_frames {
            self.control_frames = control_frames;
            self.actions.push_back(Action::Listen(control_frames));
        }
    }
}
