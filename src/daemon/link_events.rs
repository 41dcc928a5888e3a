//! Link and address events of rtnetlink: parsed once and sorted by team. After lost events or a
//! failed reading everything is read anew.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::rc::Rc;
use std::time::Duration;

use mio::Registry;
use runners::Instant;

use super::Daemon;
use super::interface_map::InterfaceMap;
use super::source::{Source, TeamId};
use super::team::{Departure, DeviceState, PresentLinks, TeamLinkEvents};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkEvent};
use crate::netlink::{EventSocket, Received, address, tc};

/// Time between two resyncs. A resync may take longer than the next loss takes to come, and
/// single events are handled meanwhile.
const RESYNC_PAUSE: Duration = Duration::from_millis(50);
/// Time until a resync after a failed reading, and between two resyncs while the socket of the events
/// cannot be opened anew.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Most teams whose carriers are polled at a time; the next poll continues with the other teams.
const POLLED_TEAMS: usize = 64;

/// Time of a turn of the loop in which teams handle their link events, before timers, partners and
/// clients have their turn; the teams that are left handle theirs in the next turns.
const LINK_TIME: Duration = Duration::from_millis(5);

/// The socket of the events, the events that wait for their teams, and when to read all links anew.
#[derive(Debug)]
pub(super) struct LinkEvents {
    socket: EventSocket,
    waiting: BTreeMap<TeamId, TeamLinkEvents>,
    /// The team that has handled events last.
    last_team: TeamId,
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
    /// Indices of interfaces whose traffic control changed.
    hooks: Vec<u32>,
}

impl LinkEvents {
    /// Opens the socket and registers it.
    pub fn open(registry: &Rc<Registry>) -> io::Result<Self> {
        let mut socket = EventSocket::links()?;
        socket.register(registry, Source::LinkEvents.token())?;
        Ok(LinkEvents {
            socket,
            waiting: BTreeMap::new(),
            last_team: TeamId::FIRST,
            resynced: None,
            resync_due: None,
        })
    }

    /// Drops the events that wait for a team, which has ended.
    pub fn forget(&mut self, team: TeamId) {
        self.waiting.remove(&team);
    }

    fn add(&mut self, team: TeamId, events: TeamLinkEvents) {
        self.waiting.entry(team).or_default().merge(events);
    }

    /// Takes the events of the next team; the teams have their turn one after the other.
    fn next_team(&mut self) -> Option<(TeamId, TeamLinkEvents)> {
        let later = (Bound::Excluded(self.last_team), Bound::Unbounded);
        let next = self.waiting.range(later).next().or(self.waiting.iter().next());
        let team = next.map(|(team, _)| *team)?;
        self.last_team = team;
        self.waiting.remove_entry(&team)
    }

    /// Returns when to read all links anew after a loss.
    pub fn resync_due(&self) -> Option<Instant> {
        self.resync_due
    }

    /// Has all links read anew after a reading that failed.
    pub fn retry_reading(&mut self, now: Instant) {
        let due = self.resync_due.into_iter().chain([now + RETRY_PAUSE]);
        self.resync_due = due.min();
    }

    fn read(&mut self, now: Instant) -> Reading {
        let mut reading = Reading::default();
        let received = self.socket.drain(&mut |message| {
            match LinkEvent::parse(&message) {
                Some(event) => reading.links.push(event),
                None => {
                    reading.addresses.extend(address::changed(&message));
                    reading.hooks.extend(tc::changed(&message));
                }
            };
        });
        if received == Received::Loss {
            let earliest = self.resynced.map_or(now, |last| last + RESYNC_PAUSE);
            self.resync_due = Some(earliest.max(now));
        }
        reading
    }
}

impl Reading {
    /// Returns the events that concern each team.
    fn by_team(&self, interfaces: &InterfaceMap) -> BTreeMap<TeamId, TeamLinkEvents> {
        let mut teams: BTreeMap<TeamId, TeamLinkEvents> = BTreeMap::new();
        for event in &self.links {
            for team in interfaces.by_ifindex(event.ifindex) {
                let events = teams.entry(team).or_default();
                events.changed.insert(event.ifindex);
                if event.gone {
                    let departure = if event.moved { Departure::Moved } else { Departure::Deleted };
                    events.left.insert(event.ifindex, departure);
                }
            }
            let masters = event.master.into_iter();
            for team in masters.flat_map(|master| interfaces.by_ifindex(master)) {
                teams.entry(team).or_default().enslaved.insert(event.ifindex);
            }
            for name in event.altnames.iter().chain([&event.name]).filter(|_| !event.gone) {
                for team in interfaces.by_name(name) {
                    teams.entry(team).or_default().appeared.insert(name.clone());
                }
            }
        }
        for ifindex in &self.addresses {
            for team in interfaces.by_ifindex(*ifindex) {
                teams.entry(team).or_default().addresses = true;
            }
        }
        for ifindex in &self.hooks {
            for team in interfaces.by_ifindex(*ifindex) {
                teams.entry(team).or_default().hooks.insert(*ifindex);
            }
        }
        teams
    }
}

impl Daemon {
    /// Reads the events and sorts them by team.
    pub(super) fn read_link_events(&mut self) {
        let now = self.now();
        let reading = self.link_events.read(now);
        for event in &reading.links {
            let interfaces = &self.interfaces;
            self.kernel.own_hwaddrs.update(event, |hwaddr| interfaces.is_of_device(hwaddr));
        }
        self.carrier_watch.link_event(now);
        for (team, events) in reading.by_team(&self.interfaces) {
            self.link_events.add(team, events);
        }
        let has_master = reading.links.iter().any(|event| event.master.is_some());
        if has_master && !self.stackable.is_empty() {
            self.release_stacked_ports(now);
        }
    }

    fn release_stacked_ports(&mut self, now: Instant) {
        let links = match link::all(&mut self.kernel.route) {
            Ok(links) => links,
            Err(error) => return log::warn!("Failed to read all links ({}).", strerror(&error)),
        };
        for team in self.stackable.clone() {
            self.with_team(team, |slot, kernel| {
                slot.team.release_stacked_ports(kernel, now, &links);
            });
        }
    }

    /// Hands teams their events until [`LINK_TIME`] is over, so that the events of hundreds of teams
    /// delay no partner and no client.
    pub(super) fn handle_link_events(&mut self) {
        let end = self.now() + LINK_TIME;
        while let Some((team, events)) = self.link_events.next_team() {
            let now = self.now();
            let state =
                self.with_team(team, |slot, kernel| slot.team.links_changed(kernel, now, &events));
            if state == Some(DeviceState::Deleted) {
                self.end_orphaned_team(team);
            }
            if self.now() >= end && !self.link_events.waiting.is_empty() {
                self.ready.insert(Source::LinkEvents);
                return;
            }
        }
    }

    /// Polls the carriers of the ports whose link events the kernel may delay, for a while after a link
    /// event of any interface.
    pub(super) fn poll_delayed_carriers(&mut self) {
        let now = self.now();
        if self.delayed.is_empty() || !self.carrier_watch.is_due(now) {
            return;
        }
        let next = self.delayed.range((Bound::Excluded(self.last_polled), Bound::Unbounded));
        let others = self.delayed.range(..=self.last_polled);
        let teams: Vec<TeamId> = next.chain(others).take(POLLED_TEAMS).copied().collect();
        for team in teams {
            self.last_polled = team;
            let Some(slot) = self.teams.get_mut(&team) else { continue };
            let differing = slot.team.differing_carriers(&self.kernel);
            if !differing.is_empty() {
                let _log_scope = slot.log_scope();
                slot.team.refresh_ports(&mut self.kernel, now, &differing);
                self.touched.insert(team);
            }
        }
    }

    /// Has every team read all links anew, if events were lost or an interface was not read.
    pub(super) fn resync_if_due(&mut self) {
        let now = self.now();
        if self.link_events.resync_due.is_none_or(|due| due > now) {
            return;
        }
        self.link_events.resync_due = None;
        self.carrier_watch.link_event(now);
        let receives = self.link_events.socket.mend();
        log::warn!("Link events or answers were lost; reading all links anew.");
        match link::all(&mut self.kernel.route) {
            Ok(links) => {
                self.kernel.own_hwaddrs.read(&links);
                let links = PresentLinks::new(&links);
                for (team, slot) in &self.teams {
                    self.link_events.add(*team, slot.team.everything(&links));
                }
            }
            Err(error) => {
                log::warn!("Failed to read all links ({}).", strerror(&error));
                self.link_events.resync_due = Some(now + RESYNC_PAUSE);
            }
        }
        self.link_events.resynced = Some(self.now());
        if !receives {
            self.link_events.resync_due = Some(now + RETRY_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use runners::HwAddr;

    use super::*;

    #[test]
    fn the_teams_handle_their_events_in_turn_and_later_events_of_a_team_join_the_first() {
        let poll = mio::Poll::new().unwrap();
        let registry = Rc::new(poll.registry().try_clone().unwrap());
        let mut events = LinkEvents::open(&registry).unwrap();
        let changed =
            |ifindex| TeamLinkEvents { changed: [ifindex].into(), ..TeamLinkEvents::default() };
        let (first, second) = (TeamId::FIRST, TeamId::FIRST.next());
        events.add(first, changed(3));
        events.add(second, changed(4));
        events.add(second, TeamLinkEvents { were_lost: true, ..changed(5) });
        let (team, of_second) = events.next_team().expect("events");
        assert_eq!((team, of_second.were_lost), (second, true));
        assert!(of_second.changed.iter().eq(&[4, 5]));
        events.add(second, changed(6));
        assert_eq!(events.next_team().map(|(team, _)| team), Some(first));
        events.forget(second);
        assert!(events.next_team().is_none());
    }

    #[test]
    fn an_event_goes_to_the_teams_that_its_interface_concerns() {
        let (first, second) = (TeamId::FIRST, TeamId::FIRST.next());
        let mut interfaces = InterfaceMap::default();
        interfaces.replace(first, [3, 5].into_iter(), ["eth9"].into_iter(), HwAddr::default());
        interfaces.replace(second, [4, 6].into_iter(), [].into_iter(), HwAddr::default());
        let event = |ifindex, name: &str, master, gone| LinkEvent {
            ifindex,
            name: name.to_owned(),
            altnames: Vec::new(),
            hwaddr: HwAddr::default(),
            master,
            gone,
            moved: false,
        };
        let reading = Reading {
            links: vec![
                event(7, "other", None, false),
                event(5, "eth1", Some(4), false),
                event(5, "eth1", Some(4), false),
                event(8, "eth9", None, false),
                event(6, "eth2", None, true),
                event(9, "eth9", None, true),
            ],
            addresses: vec![6, 7],
            hooks: vec![3, 8, 3],
        };
        let teams = reading.by_team(&interfaces);
        assert_eq!(teams.len(), 2);
        assert!(teams[&first].changed.iter().eq(&[5]));
        assert!(teams[&first].appeared.iter().eq(["eth9"]));
        assert!(teams[&first].enslaved.is_empty() && !teams[&first].addresses);
        assert!(teams[&second].enslaved.iter().eq(&[5]));
        assert!(teams[&first].left.is_empty() && teams[&second].left.keys().eq(&[6]));
        assert!(teams[&second].addresses);
        assert!(teams[&first].hooks.iter().eq(&[3]) && teams[&second].hooks.is_empty());
        let links = vec![event(9, "eth9", None, true)];
        let gone = Reading { links, addresses: vec![7], hooks: vec![8] };
        assert!(gone.by_team(&interfaces).is_empty());
    }
}
