//! Link and address events of rtnetlink: parsed once, sorted by team, and made good when the
//! kernel dropped some.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use runners::Instant;

use super::Daemon;
use super::interface_map::InterfaceMap;
use super::source::TeamId;
use super::team::{DeviceState, TeamLinkEvents};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkEvent};
use crate::netlink::{EventSocket, Received, address};

/// Time between two resyncs. A resync may take longer than the next loss takes to come, and
/// single events are handled meanwhile.
const RESYNC_PAUSE: Duration = Duration::from_millis(50);

/// The socket of the events, and when to read all links anew.
#[derive(Debug)]
pub(super) struct LinkEvents {
    socket: EventSocket,
    resynced: Option<Instant>,
    /// Events were lost since `resynced`.
    resync_due: Option<Instant>,
}

/// One reading of the socket.
#[derive(Debug, Default)]
struct Reading {
    links: Vec<LinkEvent>,
    /// Indices of interfaces whose addresses changed.
    addresses: Vec<u32>,
}

impl LinkEvents {
    /// Opens the socket.
    pub fn open() -> io::Result<Self> {
        Ok(LinkEvents {
            socket: EventSocket::links()?,
            resynced: None,
            resync_due: None,
        })
    }

    /// Returns when to read all links anew after a loss.
    pub fn resync_due(&self) -> Option<Instant> {
        self.resync_due
    }

    fn read(&mut self, now: Instant) -> io::Result<Reading> {
        let mut reading = Reading::default();
        let received = self.socket.drain(&mut |message| {
            match LinkEvent::parse(&message) {
                Some(event) => reading.links.push(event),
                None => reading.addresses.extend(address::changed(&message)),
            };
        })?;
        if received == Received::Overflow {
            let earliest = self.resynced.map_or(now, |last| last + RESYNC_PAUSE);
            self.resync_due = Some(earliest.max(now));
        }
        Ok(reading)
    }
}

impl AsRawFd for LinkEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Reading {
    /// Returns the events that concern each team.
    fn by_team(&self, interfaces: &InterfaceMap) -> BTreeMap<TeamId, TeamLinkEvents> {
        let mut teams: BTreeMap<TeamId, TeamLinkEvents> = BTreeMap::new();
        for event in &self.links {
            for team in interfaces.by_ifindex(event.ifindex) {
                teams.entry(team).or_default().changed.insert(event.ifindex);
            }
            let masters = event.master.into_iter();
            for team in masters.flat_map(|master| interfaces.by_ifindex(master)) {
                let enslaved = &mut teams.entry(team).or_default().enslaved;
                enslaved.insert(event.ifindex);
            }
            for team in interfaces.by_name(&event.name).filter(|_| !event.gone) {
                let appeared = &mut teams.entry(team).or_default().appeared;
                appeared.insert(event.name.clone());
            }
        }
        for ifindex in &self.addresses {
            for team in interfaces.by_ifindex(*ifindex) {
                teams.entry(team).or_default().addresses = true;
            }
        }
        teams
    }
}

impl Daemon {
    /// Reads the events and hands each team its own.
    pub(super) fn handle_link_events(&mut self) -> io::Result<()> {
        let now = self.now();
        let reading = self.link_events.read(now)?;
        for event in &reading.links {
            let teams = &self.teams;
            self.kernel.own_hwaddrs.update(event, |hwaddr| {
                let mut devices = teams.values().map(|slot| &slot.team.device);
                devices.any(|device| device.hwaddr == hwaddr)
            });
        }
        for (team, slot) in &mut self.teams {
            slot.team.expect_delayed_events(now);
            if slot.team.polls_carriers() {
                self.touched.insert(*team);
            }
        }
        for (team, events) in reading.by_team(&self.interfaces) {
            let state = self.with_team(team, |slot, kernel| {
                slot.team.links_changed(kernel, now, &events)
            });
            if state == Some(DeviceState::Deleted) {
                self.end_orphaned_team(team);
            }
        }
        Ok(())
    }

    /// Reads all links anew for every team, if events were lost.
    pub(super) fn resync_if_due(&mut self) {
        let now = self.now();
        if self.link_events.resync_due.is_none_or(|due| due > now) {
            return;
        }
        self.link_events.resync_due = None;
        log::warn!("Link events were lost; reading all links anew.");
        match link::all(&mut self.kernel.route) {
            Ok(links) => {
                self.kernel.own_hwaddrs.read(&links);
                let teams: Vec<TeamId> = self.teams.keys().copied().collect();
                for team in teams {
                    let state =
                        self.with_team(team, |slot, kernel| slot.team.resync(kernel, now, &links));
                    if state == Some(DeviceState::Deleted) {
                        self.end_orphaned_team(team);
                    }
                }
            }
            Err(error) => {
                log::warn!("Failed to read all links ({}).", strerror(&error));
                self.link_events.resync_due = Some(now + RESYNC_PAUSE);
            }
        }
        self.link_events.resynced = Some(self.now());
    }
}

#[cfg(test)]
mod tests {
    use runners::HwAddr;

    use super::*;

    #[test]
    fn an_event_goes_to_the_teams_that_its_interface_concerns() {
        let (first, second) = (TeamId::FIRST, TeamId::FIRST.next());
        let mut interfaces = InterfaceMap::default();
        interfaces.replace(first, [3, 5].into_iter(), ["eth9"].into_iter());
        interfaces.replace(second, [4, 6].into_iter(), [].into_iter());
        let event = |ifindex, name: &str, master, gone| LinkEvent {
            ifindex,
            name: name.to_owned(),
            hwaddr: HwAddr::default(),
            master,
            gone,
        };
        let reading = Reading {
            links: vec![
                event(7, "other", None, false),
                event(5, "eth1", Some(4), false),
                event(5, "eth1", Some(4), false),
                event(8, "eth9", None, false),
                event(9, "eth9", None, true),
            ],
            addresses: vec![6, 7],
        };
        let teams = reading.by_team(&interfaces);
        assert_eq!(teams.len(), 2);
        assert!(teams[&first].changed.iter().eq(&[5]));
        assert!(teams[&first].appeared.iter().eq(["eth9"]));
        assert!(teams[&first].enslaved.is_empty() && !teams[&first].addresses);
        assert!(teams[&second].enslaved.iter().eq(&[5]));
        assert!(teams[&second].addresses);
        let gone = Reading {
            links: vec![event(9, "eth9", None, true)],
            addresses: vec![7],
        };
        assert!(gone.by_team(&interfaces).is_empty());
    }
}
