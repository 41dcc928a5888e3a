//! The link, name and address of a port, read anew at each link event of its interface.

use std::io;

use runners::{Event, Instant, PortId};

use super::ManagedTeam;
use crate::daemon::kernel::{self, Kernel};
use crate::datapath::Owner;
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo};

impl ManagedTeam {
    /// Reads the interface of a port and hands the core what it reads, in one step.
    pub(super) fn refresh_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        let Some(attached) = self.ports.get_mut(port) else {
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
        let link_settings = kernel.link_settings(&interface);
        attached.link_settings = link_settings;
        let mut events = Vec::new();
        if attached.name != interface.name {
            attached.name.clone_from(&interface.name);
            let name = interface.name.clone();
            events.push(Event::PortRenamed { port, name });
        }
        let (hwaddr, link) = (interface.hwaddr, kernel::link(&interface, link_settings));
        events.push(Event::PortHwAddrChanged { port, hwaddr });
        events.push(Event::LinkChanged { port, link });
        self.handle_all(kernel, now, events);
        if link.up {
            if let Some(frame) = self.warm.take_pdu(&interface.name, now) {
                self.handle(kernel, now, Event::FrameReceived { port, frame });
            }
        }
    }

    /// Forgets a port whose interface vanished or has another master now, as `read` says.
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
        let event = match read {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                log::warn!("{name}: Failed to read link ({}).", strerror(&error));
                return;
            }
            Err(_) => "vanished",
            Ok(interface) => {
                // Another program wants the interface elsewhere.
                let names = [interface.name, attached.found.name.clone()];
                names
                    .iter()
                    .for_each(|name| self.ports.expect_no_more(name));
                "was taken out of the team"
            }
        };
        log::info!("{name}: The port {event}.");
        self.forget(kernel, now, port);
    }
}
