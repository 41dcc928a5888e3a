//! Outputs: derived from the facts after each event. Each difference from the last request becomes an
//! action.

use std::time::Duration;

use super::Team;
use crate::action::{Action, Report};
use crate::control_frames::ControlFrames;
use crate::forwarding::Forwarding;
use crate::ident::PortId;
use crate::port::Port;
use crate::settings::RunnerSettings;
use crate::time::Instant;

/// Time for which a port still receives after its partner has stopped sending: the last frames may
/// wait in this host.
const IN_FLIGHT: Duration = Duration::from_millis(100);

impl Team {
    /// Derives all outputs and queues an action for each difference.
    pub(super) fn update_outputs(&mut self, now: Instant) {
        self.update_lacp_watches(now);
        let announcement_due = std::mem::take(&mut self.announcement_due);
        let port_enabled = self.update_forwarding(now) | announcement_due;
        // After the forwarding, which ends an interruption; addresses do not.
        self.update_addresses();
        self.update_carrier();
        self.update_probe_times(now);
        self.update_control_frames();
        let probes = self.probes.drain(..);
        self.actions.extend(probes.map(|(port, frame)| Action::SendFrame { port, frame }));
        self.actions.extend(std::iter::from_fn(|| self.runner.poll_action()));
        self.actions.extend(std::iter::from_fn(|| self.lacp_sessions.poll_action()));
        if port_enabled && self.notify_peers.start(now) {
            self.actions.push_back(Action::NotifyPeers);
        }
        if port_enabled && self.mcast_rejoin.start(now) {
            self.actions.push_back(Action::RejoinMulticast);
        }
    }

    /// Returns whether a port became enabled.
    fn update_forwarding(&mut self, now: Instant) -> bool {
        for port in &mut self.ports {
            port.refuses_team_hwaddr &= port.hwaddr() != self.hwaddr.current();
        }
        self.runner.team_changed(self.hwaddr.current(), self.admin_up);
        self.update_corrupting_ports();
        let mut policy = self.runner.decide(now, &self.ports);
        if self.update_corrupting_ports() {
            policy = self.runner.decide(now, &self.ports);
        }
        let in_force = self.runner.lacp_settings();
        if let (RunnerSettings::Lacp(known), Some(in_force)) = (&mut self.settings.runner, in_force)
        {
            // The user's retry count ends after some time.
            known.retry_count = in_force.retry_count;
        }
        let mut port_enabled = false;
        for port in &mut self.ports {
            let enabled = self.runner.enables(port);
            port_enabled |= enabled && !port.enabled;
            port.enabled = enabled;
            port.collecting = self.runner.collects(port);
            port.hwaddr_belongs_elsewhere = self.runner.hwaddr_belongs_elsewhere(port.id());
            if port.is_draining() && self.runner.partner_stopped_sending(port.id()) {
                port.complete_drain_by(now + IN_FLIGHT);
            }
        }
        let forwarding =
            Forwarding { policy, ports: self.ports.iter().map(Port::forwarding).collect() };
        if self.forwarding.as_ref() != Some(&forwarding) {
            self.failovers.forwarding_changed(now, &forwarding);
            self.forwarding = Some(forwarding.clone());
            self.actions.push_back(Action::ApplyForwarding(forwarding));
        }
        self.report_ports();
        port_enabled
    }

    /// Reports another designated or active port, and each port with a changed exclusion.
    fn report_ports(&mut self) {
        let (designated, active) = (self.runner.designated_port(), self.runner.active_port());
        let reports = [
            self.changed_port(self.designated, designated)
                .map(|port| Report::DesignatedPortChanged { port }),
            self.changed_port(self.active, active).map(|port| Report::ActivePortChanged { port }),
        ];
        (self.designated, self.active) = (designated, active);
        self.actions.extend(reports.into_iter().flatten().map(Action::Report));
        for port in &mut self.ports {
            if let Some(exclusion) = port.changed_exclusion() {
                let port = port.name().to_owned();
                let report = Report::ExclusionChanged { port, exclusion };
                self.actions.push_back(Action::Report(report));
            }
        }
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
            self.probe_times.set_linked(now, linked.map(Port::id).collect());
        }
    }

    fn update_control_frames(&mut self) {
        let probes = ControlFrames { probes: self.prober.rounds() > 0, ..ControlFrames::default() };
        let watches = self.ports.iter().map(Port::control_frames);
        let control_frames =
            watches.fold(self.runner.control_frames() | probes, |all, more| all | more);
        if self.control_frames != control_frames {
            self.control_frames = control_frames;
            self.actions.push_back(Action::Listen(control_frames));
        }
    }
}
