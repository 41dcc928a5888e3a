//! How a port stops being one, and the interface gets its former state back.

use runners::{Event, Instant, PortId};

use super::ManagedTeam;
use super::ipv6::return_ipv6;
use super::ports::AttachedPort;
use crate::daemon::kernel::Kernel;
use crate::datapath::{Owner, PortInterface};
use crate::errno::strerror;
use crate::netlink::link;

impl ManagedTeam {
    /// Releases a port and takes the interface as a port no longer.
    pub fn remove_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        if let Some(attached) = self.ports.get(port) {
            let names = [attached.found.name.clone(), attached.name.clone()];
            names
                .iter()
                .for_each(|name| self.ports.expect_no_more(name));
        }
        self.release(kernel, now, port);
    }

    /// Releases all ports, the last one first.
    pub fn release_all(&mut self, kernel: &mut Kernel, now: Instant) {
        for port in self.ports.ids().into_iter().rev() {
            self.release(kernel, now, port);
        }
    }

    /// Removes a port and restores the interface as it was found.
    pub(super) fn release(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        let Some(attached) = self.ports.remove(port) else {
            return;
        };
        self.handle(kernel, now, Event::PortRemoved { port });
        if self.data_path.capabilities().ports == Owner::Daemon {
            // Down before the filters are removed: the host's stack receives nothing of the port.
            let found = PortInterface {
                name: attached.name.clone(),
                ..attached.found.clone()
            };
            restore(kernel, &found);
        }
        self.detach(port, &attached);
        return_ipv6(kernel, &attached.name, attached.found.ipv6);
    }

    /// Removes a port that vanished or that another program took, and leaves the interface as it
    /// is.
    pub(super) fn forget(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        if let Some(attached) = self.ports.remove(port) {
            self.handle(kernel, now, Event::PortRemoved { port });
            self.detach(port, &attached);
            return_ipv6(kernel, &attached.name, attached.found.ipv6);
        }
    }

    fn detach(&mut self, port: PortId, attached: &AttachedPort) {
        self.port_sockets.close(port);
        if let Err(error) = self.data_path.detach(port) {
            log::warn!(
                "{}: Failed to detach port ({}).",
                attached.name,
                strerror(&error)
            );
        }
    }
}

/// Sets an interface down, as it was found, and restores its own address and MTU.
pub fn restore(kernel: &mut Kernel, found: &PortInterface) {
    let route = &mut kernel.route;
    let steps = [
        link::set_admin_up(route, found.ifindex, false),
        link::set_hwaddr(route, found.ifindex, found.hwaddr),
        link::set_mtu(route, found.ifindex, found.mtu),
    ];
    for error in steps.into_iter().filter_map(Result::err) {
        log::warn!(
            "{}: Failed to restore the interface ({}).",
            found.name,
            strerror(&error)
        );
    }
}
