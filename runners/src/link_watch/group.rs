//! The link watches of one port, combined by `link_watch_policy`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::context::WatchContext;
use super::watch::{LinkWatch, WatchActions};
use crate::control_frames::ControlFrames;
use crate::ident::{IpFamily, Link};
use crate::receive_errors::{ErrorsStatus, ReceiveCounters};
use crate::settings::lacp::LacpSettings;
use crate::settings::{BfdSettings, LinkWatchPolicy, LinkWatchSettings};
use crate::time::Instant;

/// The link watches of one port.
#[derive(Clone, Debug)]
pub(crate) struct LinkWatches {
    policy: LinkWatchPolicy,
    list: Vec<LinkWatch>,
}

impl LinkWatches {
    pub(crate) fn new(
        policy: LinkWatchPolicy,
        settings: &[LinkWatchSettings],
        now: Instant,
    ) -> Self {
        let settings = settings.iter().cloned();
        LinkWatches {
            policy,
            list: settings.map(|settings| LinkWatch::new(settings, now)).collect(),
        }
    }

    /// Replaces policy and watches. A watch with the same settings goes on. A new one that follows
    /// the carrier begins with the carrier `link`; another new one begins up only if the port was
    /// up, so that a neighbour that does not answer brings no port up. A new watch that agrees with
    /// the former ones reports nothing.
    pub(crate) fn replace(
        &mut self,
        now: Instant,
        policy: LinkWatchPolicy,
        settings: &[LinkWatchSettings],
        link: Link,
    ) -> WatchActions {
        let port_was_up = self.is_up_with(link.up);
        let mut former = std::mem::take(&mut self.list);
        let mut actions = WatchActions::new();
        for settings in settings {
            let known = former.iter().position(|watch| watch.settings() == settings);
            self.list.push(match known {
                Some(at) => former.remove(at),
                None => {
                    let mut watch = LinkWatch::new(settings.clone(), now);
                    let up = match settings {
                        LinkWatchSettings::Ethtool { .. } => link.up,
                        LinkWatchSettings::Errors(_) => true,
                        _ => link.up && port_was_up,
                    };
                    let reports = watch.begin(up);
                    actions.extend(reports.into_iter().filter(|_| up != port_was_up));
                    watch
                }
            });
        }
        self.policy = policy;
        actions
    }

    pub(crate) fn list(&self) -> &[LinkWatch] {
        &self.list
    }

    /// Whether the watches report the port up; a port without a watch is up.
    pub(crate) fn is_up(&self) -> bool {
        self.combine(LinkWatch::is_up)
    }

    /// Whether the watches report a port up whose carrier is `carrier`. Without a carrier no answer
    /// of a neighbour can arrive, so a watch that asks counts as down before its requests are missed.
    pub(crate) fn is_up_with(&self, carrier: bool) -> bool {
        self.combine(|watch| watch.is_up() && (carrier || watch.ping_status().is_none()))
    }

    /// Combines the states of the watches by the policy. The watch errors has no part in the link:
    /// the team decides what follows from it.
    fn combine(&self, is_up: impl Fn(&LinkWatch) -> bool) -> bool {
        let watches = self.list.iter().filter(|watch| watch.errors_status().is_none());
        let mut states = watches.map(is_up).peekable();
        match self.policy {
            LinkWatchPolicy::Any => states.peek().is_none() || states.any(|up| up),
            LinkWatchPolicy::All => states.all(|up| up),
        }
    }

    /// Returns the greatest share of corrupted frames, in millionths, that a watch errors which is
    /// down has found.
    pub(crate) fn corruption(&self) -> Option<u32> {
        let down = self.list.iter().filter(|watch| !watch.is_up());
        down.filter_map(|watch| Some(watch.errors_status()?.ratio)).max()
    }

    /// Whether a watch asks a neighbour, so that the carrier alone does not make a link.
    pub(crate) fn pings_neighbour(&self) -> bool {
        self.list.iter().any(|watch| {
            watch.ping_status().is_some()
                || watch.bfd_settings().is_some()
                || watch.lacp_settings().is_some()
        })
    }

    /// Whether a watch probe of the port is answered now.
    pub(crate) fn is_answered(&self) -> bool {
        self.list.iter().any(LinkWatch::is_answered_probe)
    }

    /// Whether a BFD session of the port is not up.
    pub(crate) fn lacks_bfd(&self) -> bool {
        self.list.iter().any(|watch| watch.bfd_settings().is_some() && !watch.is_up())
    }

    /// Returns the first watch lacp: a port has one session.
    pub(crate) fn lacp(&self) -> Option<(&LacpSettings, &LinkWatch)> {
        self.list.iter().find_map(|watch| Some((watch.lacp_settings()?, watch)))
    }

    /// Handles the verdict of the LACP session.
    pub(crate) fn partner_changed(&mut self, up: bool) -> WatchActions {
        self.each(|watch| watch.partner_changed(up))
    }

    /// Handles the verdict of a BFD session.
    pub(crate) fn path_changed(&mut self, settings: &BfdSettings, up: bool) -> WatchActions {
        self.each(|watch| watch.path_changed(settings, up))
    }

    /// Returns the classes of control frames that the watches read.
    pub(crate) fn control_frames(&self) -> ControlFrames {
        let frames = self.list.iter().map(LinkWatch::control_frames);
        frames.fold(ControlFrames::default(), |all, frames| all | frames)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(LinkWatch::next_deadline).min()
    }

    /// Handles a link state as read; `came_up` if the carrier was down before.
    pub(crate) fn link_changed(
        &mut self,
        now: Instant,
        link: Link,
        came_up: bool,
        context: &WatchContext,
    ) -> WatchActions {
        self.each(|watch| watch.link_changed(now, link, came_up, context))
    }

    /// Sets the link state of an adopted port, without delays.
    pub(crate) fn link_adopted(&mut self, link: Link) -> WatchActions {
        self.each(|watch| watch.begin(link.up))
    }

    /// Handles the deadline `due`; `now` may be later.
    pub(crate) fn expire(
        &mut self,
        due: Instant,
        now: Instant,
        context: &WatchContext,
    ) -> WatchActions {
        self.each(|watch| watch.expire(due, now, context))
    }

    /// Handles a received control frame; `ours` if the team sent it.
    pub(crate) fn frame_received(
        &mut self,
        now: Instant,
        frame: &[u8],
        ours: bool,
        context: &WatchContext,
    ) -> WatchActions {
        self.each(|watch| watch.frame_received(now, frame, ours, context))
    }

    /// Handles the end of a resolution; `address` is `None` if it failed.
    pub(crate) fn host_resolved(
        &mut self,
        now: Instant,
        host: &str,
        family: IpFamily,
        address: Option<IpAddr>,
        context: &WatchContext,
    ) -> WatchActions {
        self.each(|watch| watch.host_resolved(now, host, family, address, context))
    }

    /// Handles the TIPC bearers with a link; `None` without TIPC.
    pub(crate) fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) -> WatchActions {
        self.each(|watch| watch.bearers_changed(linked))
    }

    /// Handles the counters of the port.
    pub(crate) fn counters_read(
        &mut self,
        now: Instant,
        counters: ReceiveCounters,
    ) -> WatchActions {
        self.each(|watch| watch.counters_read(now, counters))
    }

    /// Sets the judgement of the watches errors.
    pub(crate) fn restore_errors(&mut self, status: ErrorsStatus) -> WatchActions {
        self.each(|watch| watch.restore_errors(status))
    }

    /// Sets a watch down, by its place; no effect without such a watch.
    pub(crate) fn take_down(&mut self, place: usize) -> WatchActions {
        self.list.get_mut(place).map_or_else(WatchActions::new, |watch| watch.begin(false))
    }

    fn each(&mut self, handle: impl FnMut(&mut LinkWatch) -> WatchActions) -> WatchActions {
        self.list.iter_mut().flat_map(handle).collect()
    }
}
