//! IPv6 on the ports: disabled while an interface is a port.
//!
//! With IPv6 the host would give the port a link-local address and routes and send packets of the
//! team by them. A packet from the port with the team's address would make a switch send the
//! team's frames to this port, which may not collect. The team driver disables IPv6 by itself
//! since Linux 6.3.

use std::io;

use super::ManagedTeam;
use crate::daemon::kernel::Kernel;
use crate::datapath::PortInterface;
use crate::errno::strerror;

impl ManagedTeam {
    /// Returns the names of the ports that had IPv6 before they were ports.
    pub fn ports_with_ipv6(&self) -> Vec<String> {
        let ports = self.ports.iter().map(|(_, attached)| attached);
        let disabled = ports.filter(|attached| attached.found.ipv6);
        disabled.map(|attached| attached.name.clone()).collect()
    }
}

/// Disables IPv6 on an interface that becomes a port.
pub(super) fn disable_ipv6(kernel: &Kernel, found: &PortInterface) {
    if found.ipv6 {
        if let Err(error) = kernel.set_ipv6(&found.name, false) {
            let name = &found.name;
            log::warn!("{name}: Failed to disable IPv6 ({}).", strerror(&error));
        }
    }
}

/// Enables IPv6 again on an interface that is no port any more, if it `had_ipv6` before.
pub fn return_ipv6(kernel: &Kernel, name: &str, had_ipv6: bool) {
    if had_ipv6 {
        match kernel.set_ipv6(name, true) {
            // The interface has vanished.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => log::warn!("{name}: Failed to enable IPv6 ({}).", strerror(&error)),
            Ok(()) => (),
        }
    }
}
