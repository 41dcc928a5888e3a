//! The core's actions carried out: on the data path, the ports, the device and the network.

use std::io;

use runners::{Action, Event, Instant, RunnerSettings};

use super::ManagedTeam;
use crate::daemon::announce;
use crate::daemon::kernel::Kernel;
use crate::datapath::port_socket::PortSocket;
use crate::datapath::{Owner, Snapshot, SnapshotPart};
use crate::errno::strerror;
use crate::netlink::link;

impl ManagedTeam {
    /// Tells the core of an event and carries out what it wants, until it wants nothing more.
    pub(in crate::daemon) fn tell(&mut self, kernel: &mut Kernel, now: Instant, event: Event) {
        self.core.handle(now, event);
        while let Some(action) = self.core.poll_action() {
            self.attempt(kernel, now, &action);
        }
    }

    pub(super) fn attempt(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) {
        if let Err(error) = self.execute(kernel, now, action) {
            log::warn!("Failed to {} ({}).", describe(action), strerror(&error));
        }
    }

    /// Whether the carrier is ours to set. The driver's own rule, which setting it would end,
    /// is the core's as long as one port suffices and every port may carry; but not with lacp,
    /// where a link is not enough.
    fn sets_carrier(&mut self) -> bool {
        self.carrier_by_hand |= self.data_path.capabilities().carrier == Owner::Daemon
            || matches!(self.core.settings().runner, RunnerSettings::Lacp(_))
            || self.core.settings().min_ports != 1
            || self.core.ports().any(|port| !port.is_allowed());
        self.carrier_by_hand
    }

    fn execute(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) -> io::Result<()> {
        let sets_carrier = self.sets_carrier();
        match action {
            Action::ApplyForwarding(forwarding) => self.apply_forwarding(kernel, now, forwarding),
            Action::SetPortHwAddr { port, hwaddr } => match self.ports.get(port) {
                Some(held) => link::set_hwaddr(&mut kernel.route, held.found.ifindex, *hwaddr),
                None => Ok(()),
            },
            Action::SetTeamHwAddr(hwaddr) => {
                link::set_hwaddr(&mut kernel.route, self.device.ifindex, *hwaddr)?;
                self.device.hwaddr = *hwaddr;
                Ok(())
            }
            Action::SetCarrier(_) if !sets_carrier => Ok(()),
            Action::SetCarrier(up) => {
                link::set_device_carrier(&mut kernel.route, &self.device, *up)
            }
            Action::NotifyPeers => {
                let frames = announce::peer_notifications(&mut kernel.route, self.device.ifindex)?;
                self.send_announcement(&frames)
            }
            Action::RejoinMulticast => {
                let frames = announce::membership_reports(&mut kernel.route, self.device.ifindex)?;
                self.send_announcement(&frames)
            }
            Action::Listen(frames) => self.control.listen(*frames),
            Action::SendFrame { port, frame } => self.control.send(*port, frame),
            Action::RememberPdu { port, frame } => match self.ports.get(port) {
                Some(held) => self.partner_state.keep_pdu(&held.name, frame.as_deref()),
                None => Ok(()),
            },
            Action::ResolveHost { host, family } => self.resolver.resolve(host, *family),
            Action::ReadBucketCounters => {
                let bytes = self
                    .data_path
                    .snapshot(SnapshotPart::BucketBytes)
                    .bucket_bytes;
                self.core.handle(now, Event::BucketCounters { bytes });
                Ok(())
            }
            Action::ReadStations => {
                let Snapshot {
                    stations, peers, ..
                } = self.data_path.snapshot(SnapshotPart::Sources);
                self.core.handle(now, Event::Stations { stations, peers });
                Ok(())
            }
            Action::TransmitFrame { frame } => self.transmit(frame),
            Action::Report(report) => {
                log::info!("{report}");
                Ok(())
            }
        }
    }

    /// Sends a frame as the team device.
    fn transmit(&mut self, frame: &[u8]) -> io::Result<()> {
        let socket = match &mut self.own_socket {
            Some(socket) => socket,
            none => none.insert(PortSocket::open(self.device.ifindex, self.device.hwaddr)?),
        };
        match socket.send(frame) {
            // A device that is down has nobody behind it.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => Ok(()),
            sent => sent,
        }
    }

    /// Sends on the active port, or on the first that carries: one copy is enough for every
    /// switch to learn from.
    fn send_announcement(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        if self.core.designated_port().is_some() {
            return frames.iter().try_for_each(|frame| self.transmit(frame));
        }
        let carrying = |port: &&runners::Port| port.is_enabled() && port.is_linked();
        let first = self.core.ports().find(carrying).map(|port| port.id());
        if let Some(port) = self.core.active_port().or(first) {
            for frame in frames {
                self.control.send(port, frame)?;
            }
        }
        Ok(())
    }
}

/// What an action was for, to follow "Failed to".
fn describe(action: &Action) -> String {
    match action {
        Action::ApplyForwarding(_) => "apply the forwarding".to_owned(),
        Action::SetPortHwAddr { hwaddr, .. } => format!("set a port's hardware address {hwaddr}"),
        Action::SetTeamHwAddr(hwaddr) => format!("set the team's hardware address {hwaddr}"),
        Action::SetCarrier(_) => "set the team's carrier".to_owned(),
        Action::NotifyPeers => "notify peers".to_owned(),
        Action::RejoinMulticast => "rejoin multicast groups".to_owned(),
        Action::Listen(_) => "listen for control frames".to_owned(),
        Action::SendFrame { .. } => "send a control frame".to_owned(),
        Action::RememberPdu { .. } => "remember the partner".to_owned(),
        Action::ResolveHost { host, .. } => format!("resolve host \"{host}\""),
        Action::ReadBucketCounters => "read the load of the buckets".to_owned(),
        Action::ReadStations => "read who is behind the team".to_owned(),
        Action::TransmitFrame { .. } => "announce a station".to_owned(),
        Action::Report(_) => "report".to_owned(),
    }
}
