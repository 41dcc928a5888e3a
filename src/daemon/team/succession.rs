//! How one daemon follows another: the state that a team starts with, and the state that it leaves.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use runners::{Action, Event, Instant};

use super::ManagedTeam;
use super::ports::AdoptedPort;
use crate::daemon::kernel::{self, Kernel};
use crate::daemon::warm_restart::{self, PortsAtStop, WarmStart};
use crate::datapath::{DeviceAtEnd, Owner};
use crate::errno::strerror;
use crate::netlink::link;

impl ManagedTeam {
    /// Brings the data path and the device into the core's first state. `adopted` are the ports
    /// that are in the team already; among equal ports the first goes on as the active one. With
    /// `warm` the team goes on as the former daemon left it.
    ///
    /// # Errors
    /// Errors of the data path for one of these ports, and invalid settings.
    pub fn begin(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        adopted: &[AdoptedPort],
        warm: WarmStart,
    ) -> io::Result<()> {
        self.warm = warm;
        if self.data_path.capabilities().ports == Owner::DataPath {
            let links = link::all(&mut kernel.route)?;
            kernel.own_hwaddrs.read(&links);
        }
        if let Some(until) = self.warm.carrier_held() {
            self.core.handle(now, Event::CarrierHeld { until });
        }
        self.core.handle(now, Event::TeamAdminChanged { up: self.device.admin_up });
        self.recall_configs(adopted);
        for port in adopted {
            self.add_adopted_port(kernel, now, port)?;
        }
        self.core.handle(now, Event::TeamHwAddrChanged { hwaddr: self.device.hwaddr });
        for action in last_of_each(self.take_actions()?) {
            self.try_execute(kernel, now, &action);
        }
        self.update_keep_alives(now);
        self.refresh_link_locals(kernel, now);
        self.refresh_tipc(kernel, now);
        Ok(())
    }

    /// Attaches a port that is in the team already and hands it to the core, whose actions wait.
    fn add_adopted_port(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        adopted: &AdoptedPort,
    ) -> io::Result<()> {
        let AdoptedPort { interface, found } = adopted;
        let settings = self.port_settings(interface)?;
        let port = self.attach(kernel, now, interface, found, &settings)?;
        let added = Event::PortAdded {
            port,
            name: interface.name.clone(),
            hwaddr: found.hwaddr,
            link: kernel::link(interface, kernel.link_settings(interface)),
            settings,
            adopted: true,
        };
        let exclusions = self.persisted_exclusion_events(port, &interface.name);
        self.core.handle_all(now, [added].into_iter().chain(exclusions).collect());
        // The last PDU of the former daemon's partner: LACP goes on where that daemon ended.
        let warm = self.warm.take_pdu(&interface.name, now);
        if let Some(frame) = self.partner_state.pdu(&interface.name).or(warm) {
            self.core.handle(now, Event::FrameReceived { port, frame });
        }
        Ok(())
    }

    /// Writes the files for a warm restart into `directory`.
    ///
    /// # Errors
    /// Errors of writing a file.
    pub fn save_for_warm_restart(
        &self,
        now: Instant,
        directory: &Path,
        ports: PortsAtStop,
    ) -> io::Result<()> {
        let status = self.core.lacp_status(now);
        warm_restart::write(directory, &self.device.name, &self.core, ports, |port| {
            let mut known = status.iter().flat_map(|status| &status.ports);
            let current = known.any(|known| known.port == port.id() && known.state == "current");
            self.partner_state.pdu(port.name()).filter(|_| current)
        })
    }

    /// Sends partners the present state once more, and drops the persisted state of former ports.
    pub fn leave_in_place(&mut self, kernel: &mut Kernel, now: Instant) {
        self.handle(kernel, now, Event::LeftInPlace);
        self.hold_bfd_down(now);
        let ports: Vec<String> = self.core.ports().map(|port| port.name().to_owned()).collect();
        self.keep_partner_state_of(&ports);
    }

    /// Drops the persisted state of all interfaces but the ports `ports`.
    pub(super) fn keep_partner_state_of(&mut self, ports: &[String]) {
        if let Err(error) = self.partner_state.keep_only(ports) {
            log::warn!("Failed to remove the state of former ports ({}).", strerror(&error));
        }
    }

    /// Sends partners the last PDU before the ports leave, and drops the persisted state. The carrier and
    /// the forwarding of a device that is deleted stay as they are.
    pub fn send_last_pdus(&mut self, kernel: &mut Kernel, now: Instant, device: DeviceAtEnd) {
        let down = Event::TeamAdminChanged { up: false };
        match device {
            DeviceAtEnd::Stays => self.handle(kernel, now, down),
            DeviceAtEnd::Deleted => {
                self.core.handle(now, down);
                for action in self.take_actions().unwrap_or_default() {
                    if matches!(action, Action::SendFrame { .. } | Action::Report(_)) {
                        self.try_execute(kernel, now, &action);
                    }
                }
                self.hold_bfd_down(now);
            }
        }
        if let Err(error) = self.partner_state.forget() {
            log::warn!("Failed to remove the partners' state ({}).", strerror(&error));
        }
    }
}

/// Drops all but the last forwarding, the last carrier, and the last frame on each port: an action
/// of the time when only some adopted ports were known would interrupt their traffic.
fn last_of_each(mut actions: Vec<Action>) -> impl Iterator<Item = Action> {
    let (mut kept, mut sent) = (BTreeSet::new(), BTreeSet::new());
    actions.reverse();
    actions.retain(|action| match action {
        Action::ApplyForwarding(_) => kept.insert("forwarding"),
        Action::SetCarrier(_) => kept.insert("carrier"),
        Action::SendFrame { port, .. } => sent.insert(*port),
        _ => true,
    });
    actions.into_iter().rev()
}

#[cfg(test)]
mod tests {
    use runners::PortId;

    use super::*;

    #[test]
    fn of_several_carriers_and_frames_the_last_is_executed() {
        let frame = |port, byte| Action::SendFrame { port: PortId(port), frame: vec![byte] };
        let actions = vec![
            Action::SetCarrier(false),
            frame(1, 1),
            frame(2, 2),
            Action::NotifyPeers,
            Action::SetCarrier(true),
            frame(1, 3),
        ];
        let last = [frame(2, 2), Action::NotifyPeers, Action::SetCarrier(true), frame(1, 3)];
        assert!(last_of_each(actions).eq(last));
    }
}
