//! The link, name and address of a port, read anew at each link event of its interface.

use std::io;

use runners::{Event, Instant, Link, PortId};

use super::ManagedTeam;
use super::ports::AttachedPort;
use crate::daemon::kernel::{self, Kernel};
use crate::datapath::Owner;
use crate::netlink::link::{self, LinkInfo};

impl ManagedTeam {
    /// Reads the interface of a port and hands the core what it reads, in one step.
    pub(super) fn refresh_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        let Some(attached) = self.ports.get(port) else {
            return;
        };
        let master = match self.data_path.capabilities().ports {
            Owner::Daemon => None,
            Owner::DataPath => Some(self.device.ifindex),
        };
        let interface = match link::fetch(&mut kernel.route, attached.found.ifindex) {
            Ok(interface) if interface.master == master => interface,
            gone_or_moved => return self.port_left(kernel, now, port, gone_or_moved),
        };
        if self.release_misnamed(kernel, now, port, &interface) {
            return;
        }
        let Some(attached) = self.ports.get_mut(port) else {
            return;
        };
        let is_changed = attached.carrier_changes.is_some() != interface.has_late_events();
        if is_changed {
            attached.carrier_changes = AttachedPort::carrier_changes_of(&interface);
        }
        attached.link_settings = kernel.link_settings(&interface);
        let link = kernel::link(&interface, attached.link_settings);
        let mut events = Vec::new();
        if attached.name != interface.name {
            attached.name.clone_from(&interface.name);
            events.push(Event::PortRenamed { port, name: interface.name.clone() });
        }
        events.push(Event::PortHwAddrChanged { port, hwaddr: interface.hwaddr });
        events.push(Event::LinkChanged { port, link });
        if is_changed {
            self.ports.set_changed();
        }
        self.handle_all(kernel, now, events);
        if link.up {
            if let Some(frame) = self.warm.take_pdu(&interface.name, now) {
                self.handle(kernel, now, Event::FrameReceived { port, frame });
            }
        }
    }

    /// Takes down a port whose interface left the network namespace, or forgets the port if the
    /// interface has another master now, as `read` says.
    fn port_left(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        read: io::Result<LinkInfo>,
    ) {
        let Some(attached) = self.ports.get(port) else {
            return;
        };
        let name = attached.name.clone();
        match read {
            Ok(interface) => {
                // Another program wants the interface elsewhere.
                let names = [interface.name, attached.found.name.clone()];
                names.iter().for_each(|name| self.ports.expect_no_more(name));
                log::info!("{name}: The port was taken out of the team.");
                self.forget(kernel, now, port);
            }
            // The kernel's next event of the interface tells a deletion from a move.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                self.handle(kernel, now, Event::LinkChanged { port, link: Link::default() });
            }
            Err(error) => kernel.reading_failed(&format!("the link of {name}"), &error),
        }
    }
}
