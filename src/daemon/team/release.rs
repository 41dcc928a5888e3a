//! Ports that leave the team, and the former state of their interfaces.

use runners::{Event, Instant, PortId};

use super::ManagedTeam;
use super::link_events::Departure;
use super::ports::AttachedPort;
use crate::daemon::kernel::Kernel;
use crate::datapath::{DeviceAtEnd, PortInterface};
use crate::errno::strerror;
use crate::netlink::link;

/// A port that has left the team, and whose interface is still as the port had it.
pub struct LeftPort {
    id: PortId,
    attached: AttachedPort,
}

impl ManagedTeam {
    /// Releases a port, and no longer makes the interface a port when it appears.
    pub fn remove_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        if let Some(attached) = self.ports.get(port) {
            let names = [attached.found.name.clone(), attached.name.clone()];
            names.iter().for_each(|name| self.ports.expect_no_more(name));
        }
        self.forget_exclusions(port);
        self.release(kernel, now, port);
    }

    /// Releases all ports, the last one first.
    pub fn release_all(&mut self, kernel: &mut Kernel, now: Instant) {
        let left = self.leave_all(kernel, now, DeviceAtEnd::Stays);
        left.iter().for_each(|port| self.give_back(kernel, port));
    }

    /// Takes all ports out of the team without a change of their interfaces, the last one first. The
    /// caller [gives them back](Self::give_back). A device that is deleted needs no forwarding without
    /// ports.
    pub fn leave_all(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        device: DeviceAtEnd,
    ) -> Vec<LeftPort> {
        let ids = self.ports.ids().into_iter().rev();
        let left = ids.filter_map(|id| Some(LeftPort { id, attached: self.ports.remove(id)? }));
        let left: Vec<LeftPort> = left.collect();
        if device == DeviceAtEnd::Stays {
            let events = left.iter().map(|port| Event::PortRemoved { port: port.id });
            self.handle_all(kernel, now, events.collect());
        }
        self.close_port_sockets();
        left
    }

    /// Closes the control sockets of all ports, before the team driver sets the ports down.
    pub fn close_port_sockets(&mut self) {
        self.port_sockets.close_all();
    }

    /// Restores the interface of a port that has left the team.
    pub fn give_back(&mut self, kernel: &mut Kernel, left: &LeftPort) {
        let LeftPort { id, attached } = left;
        if self.daemon_owns_ports() {
            // Down before the filters are removed: the host's stack receives nothing of the port.
            let found = PortInterface { name: attached.name.clone(), ..attached.found.clone() };
            restore(kernel, &found);
        }
        self.detach(*id, attached);
        kernel.return_ipv6(&attached.name, attached.found.ipv6);
    }

    /// Returns the names of the ports that had IPv6 before they were ports.
    pub fn ports_with_ipv6(&self) -> Vec<String> {
        let disabled = self.ports.iter().filter(|(_, attached)| attached.found.ipv6);
        disabled.map(|(_, attached)| attached.name.clone()).collect()
    }

    /// Removes a port and restores the interface as it was found.
    pub(super) fn release(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        let Some(attached) = self.ports.remove(port) else {
            return;
        };
        self.handle(kernel, now, Event::PortRemoved { port });
        // An interface that is down does not leave the socket's addresses until it is up again.
        self.port_sockets.close(port);
        self.give_back(kernel, &LeftPort { id: port, attached });
    }

    /// Removes a port that vanished or that another program took, and leaves the interface as it
    /// is.
    pub(super) fn forget(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        if let Some(attached) = self.ports.remove(port) {
            self.handle(kernel, now, Event::PortRemoved { port });
            self.detach(port, &attached);
            kernel.return_ipv6(&attached.name, attached.found.ipv6);
        }
    }

    /// Forgets a port whose interface left the network namespace.
    ///
    /// A moved interface is down and without filters, but keeps the address, the MTU and the
    /// promiscuity of a port: no request of this namespace changes them there. The log has the
    /// command that does. An interface that comes back is restored when it leaves the team.
    pub(super) fn interface_left(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        departure: Departure,
    ) {
        let Some(AttachedPort { found, name, .. }) = self.ports.get(port).cloned() else { return };
        if self.daemon_owns_ports() && link::fetch(&mut kernel.route, found.ifindex).is_ok() {
            // The interface has come back, and becomes a port anew.
            return self.release(kernel, now, port);
        }
        self.forget(kernel, now, port);
        match departure {
            Departure::Deleted => log::info!("{name}: The port vanished."),
            Departure::Moved if self.daemon_owns_ports() => {
                log::warn!(
                    "{name}: The port was moved to another network namespace; restore it there: ip \
                     link set dev {name} address {} mtu {} promisc {}",
                    found.hwaddr,
                    found.mtu,
                    if found.promiscuous { "on" } else { "off" }
                );
                self.ports.remember_moved(found);
            }
            Departure::Moved => {
                log::info!("{name}: The port was moved to another network namespace.")
            }
        }
    }

    fn detach(&mut self, port: PortId, attached: &AttachedPort) {
        self.port_sockets.close(port);
        if let Err(error) = self.data_path.detach(port) {
            log::warn!("{}: Failed to detach port ({}).", attached.name, strerror(&error));
        }
    }
}

/// Sets an interface down, as it was found, and restores its own address, MTU and offloads.
pub fn restore(kernel: &mut Kernel, found: &PortInterface) {
    let offloads = kernel.resume_offloads(found);
    let route = &mut kernel.route;
    let steps = [
        link::set_admin_up(route, found.ifindex, false),
        link::set_hwaddr(route, found.ifindex, found.hwaddr),
        link::set_mtu(route, found.ifindex, found.mtu),
        offloads,
    ];
    for error in steps.into_iter().filter_map(Result::err) {
        log::warn!("{}: Failed to restore the interface ({}).", found.name, strerror(&error));
    }
}
