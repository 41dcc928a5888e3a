//! The link-local IPv6 addresses that nsna_ping sends from, read anew when addresses change.

use runners::{Event, Instant, LinkWatchSettings, Port};

use super::ManagedTeam;
use crate::daemon::kernel::Kernel;
use crate::netlink::address;

impl ManagedTeam {
    /// Reads the link-local addresses of the device and the ports, if a link watch needs them.
    pub(super) fn refresh_link_locals(&mut self, kernel: &mut Kernel, now: Instant) {
        if !self.has_watch(|watch| matches!(watch, LinkWatchSettings::NsnaPing(_))) {
            return;
        }
        let found = match address::link_locals(&mut kernel.route) {
            Ok(found) => found,
            Err(error) => return kernel.reading_failed("addresses", &error),
        };
        let mut events = Vec::new();
        let address = found.get(&self.device.ifindex).copied();
        if address != self.core.link_local() {
            events.push(Event::TeamLinkLocalChanged { address });
        }
        for (port, attached) in self.ports.iter() {
            let address = found.get(&attached.found.ifindex).copied();
            if address != self.core.port(port).and_then(Port::link_local) {
                events.push(Event::PortLinkLocalChanged { port, address });
            }
        }
        self.handle_all(kernel, now, events);
    }
}
