//! Link events: which interfaces of the team they name, and what is read anew for them.

use std::collections::BTreeSet;

use runners::{Instant, PortId};

use super::{DeviceState, ManagedTeam};
use crate::daemon::kernel::Kernel;
use crate::datapath::PortCare;
use crate::errno::strerror;
use crate::netlink::link::LinkInfo;

/// The link and address events of one reading that concern a team. Several events of an interface
/// are one: the interface is read anew.
#[derive(Debug, Default)]
pub struct TeamLinkEvents {
    /// Indices of the device and of ports that changed.
    pub changed: BTreeSet<u32>,
    /// Indices of interfaces whose master is the device.
    pub enslaved: BTreeSet<u32>,
    /// Names of interfaces that exist and that the team takes as ports.
    pub appeared: BTreeSet<String>,
    /// The addresses of the device or of a port changed.
    pub addresses: bool,
}

impl ManagedTeam {
    /// Reads anew what the events name.
    pub fn links_changed(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        events: &TeamLinkEvents,
    ) -> DeviceState {
        if events.changed.contains(&self.device.ifindex)
            && self.refresh_device(kernel, now) == DeviceState::Deleted
        {
            return DeviceState::Deleted;
        }
        for port in self.ports.among(&events.changed) {
            self.refresh_port(kernel, now, port);
        }
        if self.data_path.port_care() == PortCare::DataPath {
            for ifindex in &events.enslaved {
                self.adopt(kernel, now, *ifindex);
            }
        }
        for name in &events.appeared {
            self.take_appeared_port(kernel, now, name);
        }
        if events.addresses {
            self.refresh_link_locals(kernel, now);
        }
        DeviceState::Present
    }

    /// Reads everything of the team anew after events were lost; `links` are all interfaces.
    pub fn resync(&mut self, kernel: &mut Kernel, now: Instant, links: &[LinkInfo]) -> DeviceState {
        self.resyncs += 1;
        self.carrier_watch.link_event(now);
        let ours = Some(self.device.ifindex);
        let enslaved = links.iter().filter(|link| link.master == ours);
        let everything = TeamLinkEvents {
            changed: self.interfaces().collect(),
            enslaved: enslaved.map(|link| link.ifindex).collect(),
            appeared: self.ports.expected().map(str::to_owned).collect(),
            addresses: true,
        };
        let state = self.links_changed(kernel, now, &everything);
        if state == DeviceState::Present {
            self.refresh_tipc(kernel, now);
        }
        state
    }

    /// Returns the indices of the device and of the ports.
    pub fn interfaces(&self) -> impl Iterator<Item = u32> {
        self.ports.ifindexes().chain([self.device.ifindex])
    }

    /// Returns the names of the interfaces that the team takes as ports whenever they exist.
    pub fn expected_ports(&self) -> impl Iterator<Item = &str> {
        self.ports.expected()
    }

    /// Returns whether the ports or the expected ports changed since the last call.
    pub fn take_interfaces_changed(&mut self) -> bool {
        self.ports.take_changed()
    }

    /// Returns whether the daemon asks the drivers for carriers: the kernel never delays the link
    /// events of the team driver's ports.
    pub fn polls_carriers(&self) -> bool {
        self.cares_for_ports() && !self.ports.is_empty()
    }

    /// Notes that a link event of any interface was read: later events may be delayed.
    pub fn expect_delayed_events(&mut self, now: Instant) {
        self.carrier_watch.link_event(now);
    }

    /// Asks the drivers for the carriers, ahead of the kernel's link events.
    pub(super) fn poll_carriers(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.carrier_watch.ends_soon(now) {
            if let Err(error) = self.data_path.ask_for_frames() {
                log::warn!("Failed to ask for frames ({}).", strerror(&error));
            }
        }
        let differs = |port: &&runners::Port| {
            kernel
                .carrier(port.name())
                .is_ok_and(|carrier| carrier != port.link().up)
        };
        let changed: Vec<PortId> = self
            .core
            .ports()
            .filter(differs)
            .map(|port| port.id())
            .collect();
        for port in changed {
            self.refresh_port(kernel, now, port);
        }
    }
}
