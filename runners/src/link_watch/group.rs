//! The link watches of one port, combined by `link_watch_policy`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::context::WatchContext;
use super::watch::{LinkWatch, WatchActions};
use crate::control_frames::ControlFrames;
use crate::ident::{IpFamily, Link};
use crate::settings::{LinkWatchPolicy, LinkWatchSettings};
use crate::time::Instant;

/// The link watches of one port.
#[derive(Debug)]
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
            list: settings
                .map(|settings| LinkWatch::new(settings, now))
                .collect(),
        }
    }

    pub(crate) fn list(&self) -> &[LinkWatch] {
        &self.list
    }

    /// Whether the watches report the port up; a port without a watch is up.
    pub(crate) fn is_up(&self) -> bool {
        let mut states = self.list.iter().map(LinkWatch::is_up);
        match self.policy {
            LinkWatchPolicy::Any => self.list.is_empty() || states.any(|up| up),
            LinkWatchPolicy::All => states.all(|up| up),
        }
    }

    /// Whether a watch asks a neighbour, so that the carrier alone does not make a link.
    pub(crate) fn pings_neighbour(&self) -> bool {
        self.list.iter().any(|watch| watch.ping_status().is_some())
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
        self.each(|watch| watch.link_adopted(link))
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

    fn each(&mut self, handle: impl FnMut(&mut LinkWatch) -> WatchActions) -> WatchActions {
        self.list.iter_mut().flat_map(handle).collect()
    }
}
