//! The watches of one port, and the one verdict that they come to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{LinkWatch, WatchActions, WatchContext};
use crate::control_frames::ControlFrames;
use crate::ident::{IpFamily, Link};
use crate::settings::{LinkWatchPolicy, LinkWatchSettings};
use crate::time::Instant;

/// All watches of one port.
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

    /// The port's verdict; without any watch it is up.
    pub(crate) fn is_up(&self) -> bool {
        let mut verdicts = self.list.iter().map(LinkWatch::is_up);
        match self.policy {
            LinkWatchPolicy::Any => self.list.is_empty() || verdicts.any(|up| up),
            LinkWatchPolicy::All => verdicts.all(|up| up),
        }
    }

    /// A watch asks a neighbour, so the verdict knows more of the link than its carrier does.
    pub(crate) fn ask_neighbours(&self) -> bool {
        self.list.iter().any(|watch| watch.ping_status().is_some())
    }

    /// What the watches have to receive.
    pub(crate) fn control_frames(&self) -> ControlFrames {
        let frames = self.list.iter().map(LinkWatch::control_frames);
        frames.fold(ControlFrames::default(), |all, frames| all | frames)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(LinkWatch::next_deadline).min()
    }

    /// The link was read; may repeat what is known. `came` if it was not up before.
    pub(crate) fn link_changed(
        &mut self,
        now: Instant,
        link: Link,
        came: bool,
        context: &WatchContext,
    ) -> WatchActions {
        self.each(|watch| watch.link_changed(now, link, came, context))
    }

    /// The link stood like this before the watches began: no delay applies.
    pub(crate) fn link_found(&mut self, link: Link) -> WatchActions {
        self.each(|watch| watch.link_found(link))
    }

    /// The deadline `due` has come.
    pub(crate) fn expire(
        &mut self,
        due: Instant,
        now: Instant,
        context: &WatchContext,
    ) -> WatchActions {
        self.each(|watch| watch.expire(due, now, context))
    }

    /// A control frame came in, one of the team's own if `ours`.
    pub(crate) fn frame_received(
        &mut self,
        now: Instant,
        frame: &[u8],
        ours: bool,
        context: &WatchContext,
    ) -> WatchActions {
        self.each(|watch| watch.frame_received(now, frame, ours, context))
    }

    /// A name was resolved, or could not be.
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

    /// These TIPC bearers have a link, or nobody can tell.
    pub(crate) fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) -> WatchActions {
        self.each(|watch| watch.bearers_changed(linked))
    }

    fn each(&mut self, what: impl FnMut(&mut LinkWatch) -> WatchActions) -> WatchActions {
        self.list.iter_mut().flat_map(what).collect()
    }
}
