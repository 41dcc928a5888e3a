//! How one daemon follows another: what a team begins with, and how it is left.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use runners::{Action, Event, Instant, PortId};

use super::ManagedTeam;
use super::ports::AdoptedPort;
use crate::daemon::kernel::{self, Kernel};
use crate::daemon::warm_restart::{self, PortsAtStop, WarmStart};
use crate::datapath::Owner;
use crate::errno::strerror;
use crate::netlink::link;

impl ManagedTeam {
    /// Brings the data path and the device into the core's first state. `adopted` are ports
    /// that are in the team already; the earlier, the rather they go on carrying. With `warm` the
    /// team goes on as it was left.
    ///
    /// # Errors
    /// Those of the data path for one of these ports, and settings that make no sense.
    pub fn begin(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        adopted: &[AdoptedPort],
        warm: WarmStart,
    ) -> io::Result<()> {
        self.warm = warm;
        if self.data_path.capabilities().ports == Owner::DataPath {
            let links = link::all(&mut kernel.route)?.into_iter();
            let free = links.filter(|link| link.master.is_none());
            self.own_hwaddrs = free.map(|link| (link.ifindex, link.hwaddr)).collect();
        }
        if let Some(until) = self.warm.carrier_held() {
            self.core.handle(now, Event::CarrierHeld { until });
        }
        let up = self.device.admin_up;
        self.core.handle(now, Event::TeamAdminChanged { up });
        self.recall_configs(adopted);
        for AdoptedPort { interface, found } in adopted {
            let settings = self.port_settings(interface)?;
            let port = self.attach(kernel, now, interface, found, &settings)?;
            let (name, hwaddr) = (interface.name.clone(), found.hwaddr);
            let added = Event::PortAdded {
                port,
                name,
                hwaddr,
                link: kernel::link(interface, kernel.link_settings(interface)),
                settings,
                adopted: true,
            };
            self.core.handle(now, added);
            // The partner goes on where the last daemon left it.
            let noted = self.warm.take_pdu(&interface.name, now);
            if let Some(frame) = self.partner_state.pdu(&interface.name).or(noted) {
                self.core.handle(now, Event::FrameReceived { port, frame });
            }
        }
        let hwaddr = self.device.hwaddr;
        self.core.handle(now, Event::TeamHwAddrChanged { hwaddr });
        // Nothing in between is carried out: with only some of the ports known it would
        // interrupt what goes on.
        let mut actions: Vec<Action> = std::iter::from_fn(|| self.core.poll_action()).collect();
        let (mut kept, mut spoke) = (BTreeSet::new(), BTreeSet::new());
        actions.reverse();
        actions.retain(|action| match action {
            Action::ApplyForwarding(_) => kept.insert("forwarding"),
            Action::SetCarrier(_) => kept.insert("carrier"),
            Action::SendFrame { port, .. } => spoke.insert(*port),
            _ => true,
        });
        for action in actions.iter().rev() {
            self.attempt(kernel, now, action);
        }
        self.refresh_link_locals(kernel, now);
        self.refresh_tipc(kernel, now);
        Ok(())
    }

    /// Notes in `directory` how the team is left.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn note(&self, now: Instant, directory: &Path, left: PortsAtStop) -> io::Result<()> {
        let status = self.core.lacp_status(now);
        let is_current = |port: PortId| {
            let mut ports = status.iter().flat_map(|status| &status.ports);
            ports.any(|known| known.port == port && known.state == "current")
        };
        warm_restart::write(directory, &self.device.name, &self.core, left, |port| {
            let pdu = self.partner_state.pdu(port.name());
            pdu.filter(|_| is_current(port.id()))
        })
    }

    /// Tells partners once more how everything is, which stays; what is kept for the next daemon is
    /// of the ports that there are.
    pub fn leave_in_place(&mut self, kernel: &mut Kernel, now: Instant) {
        self.tell(kernel, now, Event::LeftInPlace);
        let ports: Vec<String> = self
            .core
            .ports()
            .map(|port| port.name().to_owned())
            .collect();
        let names: Vec<&str> = ports.iter().map(String::as_str).collect();
        self.remember_only(&names);
    }

    pub(super) fn remember_only(&mut self, ports: &[&str]) {
        if let Err(error) = self.partner_state.keep_only(ports) {
            log::warn!("Failed to forget former ports ({}).", strerror(&error));
        }
    }

    /// Tells partners that the ports are about to leave, and forgets what they said.
    pub fn send_last_pdus(&mut self, kernel: &mut Kernel, now: Instant) {
        self.tell(kernel, now, Event::TeamAdminChanged { up: false });
        if let Err(error) = self.partner_state.forget() {
            log::warn!("Failed to forget the partners ({}).", strerror(&error));
        }
    }
}
