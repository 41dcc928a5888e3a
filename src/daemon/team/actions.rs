//! The core's actions, executed on the data path, the ports, the device and the network.

use std::io;

use runners::{Action, Event, Instant, RunnerSettings};

use super::ManagedTeam;
use crate::daemon::announce;
use crate::daemon::kernel::Kernel;
use crate::datapath::port_socket::PortSocket;
use crate::datapath::{Owner, Snapshot, SnapshotPart};
use crate::errno::strerror;
use crate::netlink::link;

/// Actions that may follow one event; a team of a thousand ports asks for far fewer.
const MAX_ACTIONS: usize = 1 << 16;

impl ManagedTeam {
    /// Hands the core an event and executes the actions that follow.
    pub(in crate::daemon) fn handle(&mut self, kernel: &mut Kernel, now: Instant, event: Event) {
        self.handle_all(kernel, now, vec![event]);
    }

    /// Hands the core several events, after which it decides once, and executes the actions.
    pub(super) fn handle_all(&mut self, kernel: &mut Kernel, now: Instant, events: Vec<Event>) {
        self.core.handle_all(now, events);
        let next = |team: &mut Self| team.core.poll_action();
        let executed = for_each_action(self, next, |team, action| {
            team.try_execute(kernel, now, &action);
        });
        if let Err(error) = executed {
            log::error!(
                "Failed to execute all actions: {error}; the others wait for the next event."
            );
        }
    }

    /// Takes the actions of the core without executing them.
    ///
    /// # Errors
    /// The error of [`for_each_action`].
    pub(super) fn take_actions(&mut self) -> io::Result<Vec<Action>> {
        let mut actions = Vec::new();
        let next = |team: &mut Self| team.core.poll_action();
        for_each_action(self, next, |_, action| actions.push(action))?;
        Ok(actions)
    }

    /// Executes an action; logs why it failed.
    pub(super) fn try_execute(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) {
        if let Err(error) = self.execute(kernel, now, action) {
            log::warn!("Failed to {} ({}).", describe(action), strerror(&error));
        }
    }

    /// Returns whether the daemon sets the carrier. The team driver's own rule, which setting the
    /// carrier ends, equals the core's while one port suffices and every port is allowed; but not
    /// with lacp, where a link does not suffice.
    fn sets_carrier(&mut self) -> bool {
        self.carrier_by_daemon |= self.data_path.capabilities().carrier == Owner::Daemon
            || matches!(self.core.settings().runner, RunnerSettings::Lacp(_))
            || self.core.settings().min_ports != 1
            || self.core.ports().any(|port| !port.is_allowed());
        self.carrier_by_daemon
    }

    fn execute(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) -> io::Result<()> {
        let sets_carrier = self.sets_carrier();
        match action {
            Action::ApplyForwarding(forwarding) => self.apply_forwarding(kernel, now, forwarding),
            Action::SetPortHwAddr { port, hwaddr } => match self.ports.get(*port) {
                Some(attached) => {
                    link::set_hwaddr(&mut kernel.route, attached.found.ifindex, *hwaddr)
                }
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
            Action::Listen(frames) => self.port_sockets.listen(*frames),
            Action::SendFrame { port, frame } => self.port_sockets.send(*port, frame),
            Action::RememberPdu { port, frame } => match self.ports.get(*port) {
                Some(attached) => {
                    let name = &attached.name;
                    self.partner_state.keep_pdu(name, frame.as_deref())
                }
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
                let seen = Event::Stations { stations, peers };
                self.core.handle(now, seen);
                Ok(())
            }
            Action::TransmitFrame { frame } => self.transmit(frame),
            Action::Report(report) => {
                log::info!("{report}");
                Ok(())
            }
        }
    }

    /// Sends a frame on the team device.
    fn transmit(&mut self, frame: &[u8]) -> io::Result<()> {
        let socket = match &mut self.device_socket {
            Some(socket) => socket,
            none => none.insert(PortSocket::open(self.device.ifindex, self.device.hwaddr)?),
        };
        match socket.send(frame) {
            // A device that is down has no stations behind it.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => Ok(()),
            sent => sent,
        }
    }

    /// Sends frames on the active port, or on the first enabled one with a link: every switch
    /// learns from one copy.
    fn send_announcement(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        if self.core.designated_port().is_some() {
            return frames.iter().try_for_each(|frame| self.transmit(frame));
        }
        let carrying = |port: &&runners::Port| port.is_enabled() && port.is_linked();
        let first = self.core.ports().find(carrying).map(|port| port.id());
        if let Some(port) = self.core.active_port().or(first) {
            for frame in frames {
                self.port_sockets.send(port, frame)?;
            }
        }
        Ok(())
    }
}

/// Returns what an action does, as words that follow "Failed to".
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
        Action::RememberPdu { .. } => "persist the partner's LACPDU".to_owned(),
        Action::ResolveHost { host, .. } => format!("resolve host \"{host}\""),
        Action::ReadBucketCounters => "read the load of the buckets".to_owned(),
        Action::ReadStations => "read the stations of the team device".to_owned(),
        Action::TransmitFrame { .. } => "announce a station".to_owned(),
        Action::Report(_) => "report".to_owned(),
    }
}

/// Calls `execute` for each action of `next` until none is left; an action may lead to others.
///
/// # Errors
/// After [`MAX_ACTIONS`], so that a core that never stops does not hang the daemon.
fn for_each_action<T>(
    team: &mut T,
    next: impl Fn(&mut T) -> Option<Action>,
    mut execute: impl FnMut(&mut T, Action),
) -> io::Result<()> {
    for _ in 0..MAX_ACTIONS {
        match next(team) {
            Some(action) => execute(team, action),
            None => return Ok(()),
        }
    }
    Err(io::Error::other(format!(
        "more than {MAX_ACTIONS} actions follow one event"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_never_stops_acting_does_not_hang_the_daemon() {
        let mut executed = 0;
        // Each action leads to another one, as counters that are read again and again.
        let next = |waiting: &mut usize| {
            let action = waiting.checked_sub(1);
            action.map(|left| *waiting = left)?;
            Some(Action::ReadBucketCounters)
        };
        let endless = for_each_action(&mut 1, next, |waiting, _| {
            *waiting += 1;
            executed += 1;
        });
        assert!(endless.is_err());
        assert_eq!(executed, MAX_ACTIONS);
        let mut waiting = 3;
        for_each_action(&mut waiting, next, |_, _| ()).expect("three actions");
        assert_eq!(waiting, 0);
    }
}
