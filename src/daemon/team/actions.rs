//! The core's actions, executed on the data path, the ports, the device and the network.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use runners::{Action, Event, HwAddr, Instant, PortId, RunnerSettings};

use super::ManagedTeam;
use crate::daemon::announce::Announcement;
use crate::daemon::kernel::Kernel;
use crate::daemon::requirements;
use crate::datapath::port_socket::PortSocket;
use crate::datapath::{Owner, Snapshot, SnapshotPart};
use crate::errno::{repeat, strerror};
use crate::netlink::link;

/// Actions that may follow one event; a team of a thousand ports asks for far fewer.
const MAX_ACTIONS: usize = 1 << 16;

/// Delay of a deadline from which the daemon counts as frozen: frames of that time wait in the
/// sockets.
const LATE: Duration = Duration::from_millis(500);

/// Announcements of a team that are sent in one turn of the loop, which takes under a millisecond.
const ANNOUNCEMENTS: usize = 64;

/// Announcements that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    /// Of the last `notify_peers`.
    pub(super) peers: VecDeque<Announcement>,
    /// Of the last `mcast_rejoin`.
    pub(super) reports: VecDeque<Announcement>,
    /// `peers` is to be made once the host's network was read.
    awaits_peers: bool,
    /// `reports` is to be made once the host's network was read.
    awaits_reports: bool,
}

impl Announcements {
    /// Whether no announcement waits.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.reports.is_empty() && !self.awaits_network()
    }

    fn awaits_network(&self) -> bool {
        self.awaits_peers || self.awaits_reports
    }

    fn take_some(&mut self) -> Vec<Vec<u8>> {
        let peers = self.peers.drain(..self.peers.len().min(ANNOUNCEMENTS)).collect::<Vec<_>>();
        let left = ANNOUNCEMENTS - peers.len();
        let reports = self.reports.drain(..self.reports.len().min(left));
        peers.into_iter().chain(reports).map(Announcement::into_frame).collect()
    }
}

impl ManagedTeam {
    /// Hands the core an event and executes the actions that follow.
    pub(in crate::daemon) fn handle(&mut self, kernel: &mut Kernel, now: Instant, event: Event) {
        self.handle_all(kernel, now, vec![event]);
    }

    /// Hands the core several events, after which it decides once, and executes the actions.
    pub(super) fn handle_all(&mut self, kernel: &mut Kernel, now: Instant, events: Vec<Event>) {
        // Whatever event comes first after a pause also ends the timers of that time.
        let is_late = self.core.next_deadline().is_some_and(|due| due + LATE <= now);
        let resumed = is_late.then_some(Event::Resumed);
        self.core.handle_all(now, resumed.into_iter().chain(events).collect());
        let next = |team: &mut Self| team.core.poll_action();
        let executed = for_each_action(self, next, |team, action| {
            team.try_execute(kernel, now, &action);
        });
        if let Err(error) = executed {
            log::error!(
                "Failed to execute all actions: {error}; the others wait for the next event."
            );
        }
        self.update_speed(kernel);
        if !self.carrier_by_daemon && self.must_set_carrier() {
            let carrier = Action::SetCarrier(self.core.carrier());
            self.try_execute(kernel, now, &carrier);
        }
        self.update_bfd(kernel, now);
        self.update_keep_alives(now);
        self.update_followers(kernel, now);
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

    /// Executes an action, and repeats it after a transient error; logs why it failed.
    pub(super) fn try_execute(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) {
        if let Err(error) = repeat(|| self.execute(kernel, now, action)) {
            log::warn!("Failed to {} ({}).", describe(action), strerror(&error));
        }
    }

    /// Returns whether the daemon must set the carrier, which ends the team driver's own rule. The
    /// rule agrees with the core while one port suffices and every port is allowed; under lacp the
    /// rule is wrong, because a link does not suffice.
    fn must_set_carrier(&self) -> bool {
        self.data_path.capabilities().carrier == Owner::Daemon
            || matches!(self.core.settings().runner, RunnerSettings::Lacp(_))
            || self.core.settings().min_ports != 1
            || self.core.ports().any(|port| !port.may_carry())
    }

    /// Sets the carrier, unless the team driver's own rule sets it. If the carrier differs from the
    /// team's, the rule has ended: another program, such as a former daemon, has set the carrier.
    fn set_carrier(&mut self, kernel: &mut Kernel, up: bool) -> io::Result<()> {
        self.carrier_by_daemon |= self.must_set_carrier()
            || link::driver_carrier(&mut kernel.route, self.device.ifindex)? != up;
        match self.carrier_by_daemon {
            true => link::set_device_carrier(&mut kernel.route, &self.device, up),
            false => Ok(()),
        }
    }

    fn execute(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) -> io::Result<()> {
        match action {
            Action::ApplyForwarding(forwarding) => {
                self.apply_forwarding(kernel, now, forwarding)?;
                self.update_speed(kernel);
                Ok(())
            }
            Action::SetPortHwAddr { port, hwaddr } => {
                self.set_port_hwaddr(kernel, now, *port, *hwaddr)
            }
            Action::SetTeamHwAddr(hwaddr) => {
                link::set_hwaddr(&mut kernel.route, self.device.ifindex, *hwaddr)?;
                kernel.forget_network();
                self.device.hwaddr = *hwaddr;
                self.ports.set_changed();
                Ok(())
            }
            Action::SetCarrier(up) => self.set_carrier(kernel, *up),
            Action::NotifyPeers => {
                self.announcements.peers.clear();
                self.announcements.awaits_peers = true;
                self.announce(kernel)
            }
            Action::RejoinMulticast => {
                self.announcements.reports.clear();
                self.announcements.awaits_reports = true;
                self.announce(kernel)
            }
            Action::Listen(frames) => self.port_sockets.listen(*frames),
            Action::SendFrame { port, frame } => self.port_sockets.send(*port, frame),
            Action::RememberPdu { port, frame } => match self.ports.get(*port) {
                Some(attached) => self.partner_state.keep_pdu(&attached.name, frame.as_deref()),
                None => Ok(()),
            },
            Action::ResolveHost { host, family } => self.resolver.resolve(host, *family),
            Action::ReadBucketCounters => {
                let bytes = self.data_path.snapshot(SnapshotPart::BucketBytes).bucket_bytes;
                self.core.handle(now, Event::BucketCounters { bytes });
                Ok(())
            }
            Action::ReadPortCounters => {
                let counters = kernel.receive_counters(now)?;
                let ids = self.ports.ids().into_iter();
                let ports = ids.filter_map(|id| Some((id, *counters.get(&self.ifindex(id)?)?)));
                let ports = ports.collect();
                self.core.handle(now, Event::PortCounters { ports });
                Ok(())
            }
            Action::ReadStations => {
                let Snapshot { stations, peers, .. } =
                    self.data_path.snapshot(SnapshotPart::Sources);
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

    /// Sets the hardware address of a port. A refusal, also of an interface that reports another
    /// address afterwards, goes to the core, and to the log if it keeps the port from carrying.
    ///
    /// # Errors
    /// Another refusal.
    fn set_port_hwaddr(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        hwaddr: HwAddr,
    ) -> io::Result<()> {
        let Some(attached) = self.ports.get(port) else { return Ok(()) };
        let ifindex = attached.found.ifindex;
        let set = link::set_hwaddr(&mut kernel.route, ifindex, hwaddr).and_then(|()| {
            match link::fetch(&mut kernel.route, ifindex)?.hwaddr == hwaddr {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)),
            }
        });
        let Err(error) = set else { return Ok(()) };
        self.core.handle(now, Event::PortHwAddrRefused { port, hwaddr });
        match self.core.port(port) {
            Some(known) if known.refuses_team_hwaddr() => {
                log::error!(
                    "{}: The interface refuses the team's hardware address {hwaddr} ({}), so the \
                     port carries no traffic; let its driver or hypervisor permit the address, or \
                     use runner activebackup with \"hwaddr_policy\": \"by_active\".",
                    known.name(),
                    strerror(&error)
                );
                Ok(())
            }
            _ => Err(error),
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

    /// Makes the announcements of the last actions once the host's network was read, and sends some.
    ///
    /// # Errors
    /// Errors of reading, and those of [`send_announcements`](Self::send_announcements); all
    /// announcements are dropped.
    pub(super) fn announce(&mut self, kernel: &mut Kernel) -> io::Result<()> {
        if self.announcements.awaits_network() {
            let made = repeat(|| self.make_announcements(kernel));
            if made.is_err() {
                self.announcements = Announcements::default();
                return made;
            }
        }
        self.send_announcements()
    }

    fn make_announcements(&mut self, kernel: &mut Kernel) -> io::Result<()> {
        let Some(network) = kernel.network()? else { return Ok(()) };
        let waiting = &mut self.announcements;
        if waiting.awaits_peers {
            waiting.peers = network.peer_notifications(self.device.ifindex);
            waiting.awaits_peers = false;
        }
        if waiting.awaits_reports {
            waiting.reports = network.membership_reports(self.device.ifindex)?;
            waiting.awaits_reports = false;
        }
        Ok(())
    }

    /// Sends some announcements that wait; the others wait for the next turn of the loop, so that
    /// thousands of them do not delay the control frames of other teams.
    ///
    /// # Errors
    /// The error of the first frame that was not sent; the others are dropped.
    pub(super) fn send_announcements(&mut self) -> io::Result<()> {
        let frames = self.announcements.take_some();
        let sent = self.send_announcement(&frames);
        if sent.is_err() {
            self.announcements = Announcements::default();
        }
        sent
    }

    /// Sends frames on the active port, or on the first enabled one with a link: every switch
    /// learns from one copy.
    fn send_announcement(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        let copied_to_all = requirements::announces(self.core.settings());
        if copied_to_all || self.core.designated_port().is_some() {
            return frames.iter().try_for_each(|frame| self.transmit(frame));
        }
        let carrying = |port: &&runners::Port| port.is_enabled() && port.is_linked();
        let first = self.core.ports().find(carrying).map(|port| port.id());
        self.send_on(self.core.active_port().or(first), frames)
    }

    /// Sends frames on a port, if there is one.
    pub(super) fn send_on(&self, port: Option<PortId>, frames: &[Vec<u8>]) -> io::Result<()> {
        let mut port = port.into_iter();
        port.try_for_each(|id| {
            frames.iter().try_for_each(|frame| self.port_sockets.send(id, frame))
        })
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
        Action::ReadPortCounters => "read the counters of the ports".to_owned(),
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
    Err(io::Error::other(format!("more than {MAX_ACTIONS} actions follow one event")))
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

    #[test]
    fn announcements_are_sent_in_slices() {
        let announcements = |count| (0..count).map(|_| Announcement::Frame(vec![1])).collect();
        let mut waiting = Announcements {
            peers: announcements(100),
            reports: announcements(40),
            ..Announcements::default()
        };
        let slices: Vec<usize> = std::iter::from_fn(|| {
            let is_empty = waiting.is_empty();
            (!is_empty).then(|| waiting.take_some().len())
        })
        .collect();
        assert_eq!(slices, [ANNOUNCEMENTS, ANNOUNCEMENTS, 140 - 2 * ANNOUNCEMENTS]);
    }
}
