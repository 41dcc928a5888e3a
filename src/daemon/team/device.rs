//! The team device, read anew at each link event, and its MTU on every port.

use runners::{Action, Event, Instant, Port, RunnerSettings};

use super::ManagedTeam;
use super::link_events::Departure;
use crate::daemon::kernel::Kernel;
use crate::datapath::device::TAP_KIND;
use crate::errno::{repeat, strerror};
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
            Ok(mut device) => {
                kernel.undo_udev(&mut device, self.device.hwaddr);
                let (hwaddr, up) = (device.hwaddr, device.admin_up);
                if self.device.hwaddr != hwaddr {
                    self.ports.set_changed();
                }
                let mtu_before = std::mem::replace(&mut self.device, device).mtu;
                if self.daemon_owns_ports() && self.device.mtu != mtu_before {
                    self.spread_mtu(kernel, mtu_before);
                }
                let hwaddr = Event::TeamHwAddrChanged { hwaddr };
                self.handle_all(kernel, now, vec![Event::TeamAdminChanged { up }, hwaddr]);
                DeviceState::Present
            }
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => DeviceState::Deleted,
            Err(error) => {
                kernel.reading_failed("the team device", &error);
                DeviceState::Present
            }
        }
    }

    /// Sets the peer of a veth up or down again after another program changed that: the team device
    /// has its carrier from the peer.
    pub(super) fn refresh_peer(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        peer: u32,
        left: Option<Departure>,
    ) {
        let carrier = self.core.carrier();
        match link::fetch(&mut kernel.route, peer) {
            Ok(found) if found.admin_up != carrier => {
                let state = if carrier { "up" } else { "down" };
                log::warn!("{}: another program changed it; it is {state} again", found.name);
                self.try_execute(kernel, now, &Action::SetCarrier(carrier));
            }
            Err(_) if left == Some(Departure::Moved) => log::error!(
                "The peer of the team device was moved to another network namespace, and no frame \
                 passes; move it back, or delete {} and start the daemon again.",
                self.device.name
            ),
            _ => (),
        }
    }

    /// Gives a TAP the speed of its ports, before its carrier: a bridge then computes its path cost.
    /// Other devices have a fixed speed.
    pub(super) fn update_speed(&mut self, kernel: &Kernel) {
        let speed = self.speed_of_ports();
        if self.device.kind != TAP_KIND || self.speed == Some(speed) {
            return;
        }
        self.speed = Some(speed);
        match repeat(|| kernel.set_speed(&self.device.name, speed)) {
            Ok(()) => (),
            // Kernels before 5.0.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => (),
            Err(error) => log::warn!("Failed to set the team's speed ({}).", strerror(&error)),
        }
    }

    /// Returns the speed of the team in Mbit/s, as bonding does: that of the active port, of the
    /// slowest port that every frame leaves on, or of all ports that carry; `None` if it is unknown.
    fn speed_of_ports(&self) -> Option<u32> {
        let active = self.core.active_port();
        let carries = |port: &&Port| {
            port.is_enabled() && port.is_linked() && active.is_none_or(|active| active == port.id())
        };
        let speeds = self.core.ports().filter(carries).map(|port| port.link().speed);
        let speeds = speeds.filter(|speed| *speed > 0);
        match self.core.settings().runner {
            RunnerSettings::Broadcast => speeds.min(),
            _ => speeds.reduce(u32::saturating_add),
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
        log::error!("{name}: Failed to set MTU {mtu} ({}), back to {before}.", strerror(&error));
        for ifindex in self.ports.ifindexes().chain([self.device.ifindex]) {
            if let Err(error) = link::set_mtu(&mut kernel.route, ifindex, before) {
                log::warn!("Failed to set MTU {before} again ({}).", strerror(&error));
            }
        }
        self.device.mtu = before;
    }
}
