//! The team device, read anew at each link event, and its MTU on every port.

use runners::{Event, Instant};

use super::ManagedTeam;
use crate::daemon::kernel::Kernel;
use crate::errno::strerror;
use crate::netlink::link;

/// Whether the team device exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// The device exists.
    Present,
    /// Another program deleted it.
    Deleted,
}

impl ManagedTeam {
    pub(super) fn refresh_device(&mut self, kernel: &mut Kernel, now: Instant) -> DeviceState {
        match link::fetch(&mut kernel.route, self.device.ifindex) {
            Ok(device) => {
                let (hwaddr, up) = (device.hwaddr, device.admin_up);
                let mtu_before = std::mem::replace(&mut self.device, device).mtu;
                if self.cares_for_ports() && self.device.mtu != mtu_before {
                    self.spread_mtu(kernel, mtu_before);
                }
                let events = vec![
                    Event::TeamAdminChanged { up },
                    Event::TeamHwAddrChanged { hwaddr },
                ];
                self.handle_all(kernel, now, events);
                DeviceState::Present
            }
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => DeviceState::Deleted,
            Err(error) => {
                log::warn!("Failed to read the team device ({}).", strerror(&error));
                DeviceState::Present
            }
        }
    }

    /// Sets the device's MTU on every port. If one port refuses, sets `before` on the device and
    /// on all ports.
    fn spread_mtu(&mut self, kernel: &mut Kernel, before: u32) {
        let mtu = self.device.mtu;
        let refusal = self.ports.iter().find_map(|(_, attached)| {
            let refused = link::set_mtu(&mut kernel.route, attached.found.ifindex, mtu).err()?;
            Some((attached.name.clone(), refused))
        });
        let Some((name, error)) = refusal else {
            return;
        };
        log::error!(
            "{name}: Failed to set MTU {mtu} ({}), back to {before}.",
            strerror(&error)
        );
        for ifindex in self.ports.ifindexes().chain([self.device.ifindex]) {
            if let Err(error) = link::set_mtu(&mut kernel.route, ifindex, before) {
                log::warn!("Failed to set MTU {before} again ({}).", strerror(&error));
            }
        }
        self.device.mtu = before;
    }
}
