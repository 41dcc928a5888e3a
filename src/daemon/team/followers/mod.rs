//! `follow`: the links of interfaces and virtual functions that follow the team or a port, so that the
//! hosts and guests behind them see a lost carrier. The core decides which links are down
//! ([`Team::followers`](runners::Team::followers)); a link that follows an absent port is down, too.
//!
//! An interface loses its carrier by `IFLA_PROTO_DOWN` if the driver can do this; otherwise the daemon
//! sets it administratively down, which takes the carrier from the other end of the cable. A virtual function
//! is disabled. The daemon sets up only the links that it has set down ([`HeldLinks`]).

mod held_links;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use runners::{Follower, Instant};

pub use held_links::HeldLinks;
use held_links::{HeldLink, Hold};

use super::{ManagedTeam, TeamLinkEvents};
use crate::daemon::kernel::Kernel;
use crate::errno::{is_transient, strerror};
use crate::netlink::RouteSocket;
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::link_state::{self, VF_DISABLED};

/// Least time between two changes of a link that another program sets up again and again, so that the
/// two programs do not loop; also the time before a transient error is retried.
const PAUSE: Duration = Duration::from_secs(1);

/// A link that follows.
#[derive(Clone, Debug)]
struct Entry {
    /// Whether the core wants the link up.
    up: bool,
    /// Index of the interface; `None` while there is no such interface.
    ifindex: Option<u32>,
    /// Why the daemon leaves the link alone: the link must not follow, or has no interface.
    obstacle: Option<String>,
    /// Error of the last change; `None` after a success.
    failure: Option<String>,
    /// When to read the interface anew; `None` for no reading.
    due: Option<Instant>,
    /// When the daemon last changed or read the link.
    settled_at: Instant,
}

/// The links that follow a team.
#[derive(Debug)]
pub struct Followers {
    held: HeldLinks,
    entries: BTreeMap<Follower, Entry>,
    /// Whether the daemon sets links as the core decides: after the ports have joined.
    has_begun: bool,
}

impl Followers {
    /// Returns no followers yet, and reads from the file at `path` which links an earlier daemon left
    /// down.
    pub fn open(path: PathBuf) -> Self {
        Followers { held: HeldLinks::open(path), entries: BTreeMap::new(), has_begun: false }
    }

    /// Returns when to read an interface anew.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.due).min()
    }

    /// Returns the indices of the interfaces.
    pub(super) fn ifindexes(&self) -> impl Iterator<Item = u32> {
        self.entries.values().filter_map(|entry| entry.ifindex)
    }

    /// Returns the names of the interfaces.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(Follower::interface)
    }

    /// Returns the followers whose links the daemon holds down.
    pub fn down(&self) -> impl Iterator<Item = &Follower> {
        self.held.followers()
    }

    /// Returns the followers whose links do not follow, each with the reason.
    pub fn obstacles(&self) -> impl Iterator<Item = (&Follower, &str)> {
        let entries = self.entries.iter();
        entries.filter_map(|(follower, entry)| {
            let why = entry.obstacle.as_ref().or(entry.failure.as_ref())?;
            Some((follower, why.as_str()))
        })
    }

    /// Schedules a reading of each follower's interface that the events name.
    fn interfaces_changed(&mut self, now: Instant, events: &TeamLinkEvents) {
        for (follower, entry) in &mut self.entries {
            let known = |it: &dyn Fn(&u32) -> bool| entry.ifindex.is_some_and(|known| it(&known));
            let is_gone = known(&|ifindex| events.left.contains_key(ifindex));
            let is_changed = known(&|ifindex| events.changed.contains(ifindex));
            if is_changed || events.appeared.contains(follower.interface()) {
                // An event of a held link may come from the daemon's own change.
                let waits = self.held.get(follower).is_some() && !is_gone;
                entry.due = Some(if waits { now.max(entry.settled_at + PAUSE) } else { now });
            }
        }
    }

    /// Sets a link as the core decided. Returns whether the link has changed.
    fn set(
        &mut self,
        route: &mut RouteSocket,
        follower: &Follower,
        entry: &Entry,
    ) -> io::Result<bool> {
        let held = self.held.get(follower);
        // Another interface may have the name by now.
        let is_other = held.is_some_and(|held| Some(held.ifindex) != entry.ifindex);
        let may_be_down = !entry.up && entry.obstacle.is_none();
        if is_other || !may_be_down {
            self.held.restore(route, follower)?;
        }
        match entry.ifindex.filter(|_| may_be_down) {
            Some(ifindex) => hold_down(route, &mut self.held, follower, ifindex),
            None => Ok(held.is_some() && !is_other),
        }
    }

    /// Records the decisions of the core. Returns the links to settle: those with another decision, and
    /// those whose interface is due to be read.
    fn decide(&mut self, now: Instant, decisions: &BTreeMap<Follower, bool>) -> Vec<Follower> {
        self.entries.retain(|follower, _| decisions.contains_key(follower));
        let mut unsettled = Vec::new();
        for (follower, up) in decisions {
            let entry = self.entries.entry(follower.clone()).or_insert_with(|| Entry {
                up: !up,
                ifindex: None,
                obstacle: None,
                failure: None,
                due: Some(now),
                settled_at: now,
            });
            let is_new = std::mem::replace(&mut entry.up, *up) != *up;
            if is_new || entry.due.is_some_and(|due| due <= now) {
                unsettled.push(follower.clone());
            }
        }
        unsettled
    }
}

impl ManagedTeam {
    /// Begins to set the links that follow, after the ports have joined.
    pub fn begin_following(&mut self, kernel: &mut Kernel, now: Instant) {
        self.followers.held.keep_present(&mut kernel.route);
        self.followers.has_begun = true;
        self.update_followers(kernel, now);
    }

    /// Sets all links up again that the daemon holds down.
    pub fn end_following(&mut self, kernel: &mut Kernel) {
        self.followers.has_begun = false;
        self.followers.entries.clear();
        self.followers.held.restore_all(&mut kernel.route);
    }

    /// Reads the interfaces of followers that the events name, and sets their links.
    pub(super) fn follower_links_changed(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        events: &TeamLinkEvents,
    ) {
        self.followers.interfaces_changed(now, events);
        self.update_followers(kernel, now);
    }

    /// Sets the links that follow, as the core decides.
    pub(super) fn update_followers(&mut self, kernel: &mut Kernel, now: Instant) {
        if !self.followers.has_begun {
            return;
        }
        let decisions = self.core.followers().into_iter();
        let mut decisions: BTreeMap<Follower, bool> =
            decisions.map(|(follower, up)| (follower.clone(), up)).collect();
        decisions.extend(self.followers_of_absent_ports().map(|follower| (follower, false)));
        let known = self.followers.entries.len();
        let unsettled = self.followers.decide(now, &decisions);
        if known != decisions.len() {
            self.ports.set_changed();
        }
        let held = self.followers.held.followers();
        let released = held.filter(|follower| !decisions.contains_key(*follower)).cloned();
        for follower in released.collect::<Vec<_>>() {
            if let Err(error) = self.followers.held.restore(&mut kernel.route, &follower) {
                let why = strerror(&error);
                log::warn!("{follower}: Failed to set the link up again ({why}).");
            }
        }
        for follower in unsettled {
            self.settle(kernel, now, &follower);
        }
    }

    /// Returns the links that follow configured ports which do not exist.
    fn followers_of_absent_ports(&self) -> impl Iterator<Item = Follower> {
        let has_all = self.ports.iter().count() >= self.ports.expected().count();
        let expected = self.ports.expected().filter(move |_| !has_all);
        let absent = expected.filter(|name| self.core.find_port(name).is_none());
        let settings = absent.filter_map(|name| self.config.port(name).ok());
        settings.flat_map(|port| port.follow)
    }

    /// Sets one link as the core decided last; reads its interface anew if that is due.
    fn settle(&mut self, kernel: &mut Kernel, now: Instant, follower: &Follower) {
        let Some(mut entry) = self.followers.entries.get(follower).cloned() else { return };
        if entry.due.take_if(|due| *due <= now).is_some() {
            self.read_follower(kernel, follower, &mut entry);
        }
        entry.settled_at = now;
        entry.failure = None;
        match self.followers.set(&mut kernel.route, follower, &entry) {
            Ok(is_changed) => log_change(follower, entry.up, is_changed),
            Err(error) => {
                let state = if entry.up { "up" } else { "down" };
                let why = strerror(&error);
                log::warn!("{follower}: Failed to set the link {state} ({why}).");
                entry.failure = Some(why);
                entry.due = is_transient(&error).then_some(now + PAUSE);
            }
        }
        self.followers.entries.insert(follower.clone(), entry);
    }

    /// Reads the interface of a link, and whether the link may follow.
    fn read_follower(&mut self, kernel: &mut Kernel, follower: &Follower, entry: &mut Entry) {
        let found = link::find(&mut kernel.route, follower.interface());
        let ifindex = found.as_ref().ok().map(|found| found.ifindex);
        if std::mem::replace(&mut entry.ifindex, ifindex) != ifindex {
            self.ports.set_changed();
        }
        let obstacle = match &found {
            Ok(found) => self.obstacle_to_following(kernel, follower, found),
            Err(error) => Some(strerror(error)),
        };
        if let Some(why) = obstacle.as_ref().filter(|_| entry.obstacle != obstacle) {
            log::warn!("{follower}: The link does not follow: {why}.");
        }
        entry.obstacle = obstacle;
    }

    /// Returns why an interface cannot follow the team: without its link the team or a port would have
    /// no link either, and would never have one again.
    fn obstacle_to_following(
        &self,
        kernel: &mut Kernel,
        follower: &Follower,
        interface: &LinkInfo,
    ) -> Option<String> {
        let (Follower::Interface(_), device) = (follower, &self.device.name) else { return None };
        if interface.loopback {
            return Some("a loopback has no link".to_owned());
        }
        if self.interfaces().any(|ifindex| ifindex == interface.ifindex) {
            return Some(format!("the interface is a part of \"{device}\""));
        }
        let links = match link::all(&mut kernel.route) {
            Ok(links) => links,
            Err(error) => return Some(strerror(&error)),
        };
        let peers = self.ports.ifindexes().filter_map(|port| {
            links.iter().find(|link| link.ifindex == port).and_then(LinkInfo::peer)
        });
        if peers.into_iter().any(|peer| peer == interface.ifindex) {
            return Some(format!("the interface is the peer of a port of \"{device}\""));
        }
        let chain = self.chain_from_team(&links, interface.ifindex)?;
        Some(format!("\"{device}\" stands on the interface: {chain}"))
    }
}

/// Holds the link of a follower down and records how. Returns whether the link was up.
fn hold_down(
    route: &mut RouteSocket,
    links: &mut HeldLinks,
    follower: &Follower,
    ifindex: u32,
) -> io::Result<bool> {
    if let Follower::Vf { number, .. } = follower {
        let state = link_state::vf_state(route, ifindex, *number)?;
        if state == VF_DISABLED {
            return Ok(false);
        }
        links.insert(follower, HeldLink { ifindex, hold: Hold::VfDisabled(state) });
        let disabled = link_state::set_vf_state(route, ifindex, *number, VF_DISABLED);
        return disabled.map(|()| true).inspect_err(|_| links.remove(follower));
    }
    if links.get(follower).is_none_or(|held| held.hold == Hold::ProtoDown) {
        match link_state::proto_down(route, ifindex)? {
            None => (),
            Some(true) => return Ok(false),
            Some(false) => {
                links.insert(follower, HeldLink { ifindex, hold: Hold::ProtoDown });
                match link_state::set_proto_down(route, ifindex, true) {
                    Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => (),
                    set => return set.map(|()| true).inspect_err(|_| links.remove(follower)),
                }
            }
        }
        links.remove(follower);
    }
    if !link::fetch(route, ifindex)?.admin_up {
        return Ok(false);
    }
    links.insert(follower, HeldLink { ifindex, hold: Hold::AdminDown });
    let set = link::set_admin_up(route, ifindex, false);
    set.map(|()| true).inspect_err(|_| links.remove(follower))
}

fn log_change(follower: &Follower, up: bool, is_changed: bool) {
    let state = if up { "up" } else { "down" };
    if is_changed {
        log::info!("{follower}: The link is {state}, like the team or port that it follows.");
    }
}
