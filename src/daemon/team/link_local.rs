//! The link-local addresses that watches ask from, kept in step with the kernel's.

use std::collections::BTreeSet;

use runners::{Event, Instant, LinkWatchSettings, Port, PortId};

use super::super::kernel::Kernel;
use super::ManagedTeam;
use crate::errno::strerror;
use crate::netlink::address;

impl ManagedTeam {
    /// Addresses of these interfaces have changed.
    pub fn addresses_changed(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        concerned: &BTreeSet<u32>,
    ) {
        let is_ours = |ifindex: u32| concerned.contains(&ifindex);
        if is_ours(self.device.ifindex) || !self.held_by_ifindex(is_ours).is_empty() {
            self.refresh_link_locals(kernel, now);
        }
    }

    /// Reads the link-local addresses anew, if a watch asks from one.
    pub(super) fn refresh_link_locals(&mut self, kernel: &mut Kernel, now: Instant) {
        if !self.core.ports().any(solicits) {
            return;
        }
        let found = match address::link_locals(&mut kernel.route) {
            Ok(found) => found,
            Err(error) => {
                log::warn!("Failed to read addresses ({}).", strerror(&error));
                return;
            }
        };
        let address = found.get(&self.device.ifindex).copied();
        if address != self.core.link_local() {
            self.tell(kernel, now, Event::TeamLinkLocalChanged { address });
        }
        let ports: Vec<PortId> = self.ports.keys().copied().collect();
        for port in ports {
            let ifindex = self.ifindex(port);
            let address = ifindex.and_then(|ifindex| found.get(&ifindex)).copied();
            let known = self.core.port(port).and_then(Port::link_local);
            if address != known {
                self.tell(kernel, now, Event::PortLinkLocalChanged { port, address });
            }
        }
    }
}

fn solicits(port: &Port) -> bool {
    let mut watches = port.watches().iter();
    watches.any(|watch| matches!(watch.settings(), LinkWatchSettings::NsnaPing(_)))
}
