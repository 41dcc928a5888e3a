//! Link watches: what they say of a port, and how several become one verdict.
//!
//! A watch starts down and keeps its own verdict and count of failures. Each kind has its own
//! module that says when the verdict changes.

mod ethtool;

use crate::ident::Link;
use crate::settings::{LinkWatchPolicy, LinkWatchSettings};
use crate::time::Instant;
use ethtool::Ethtool;

/// One link watch on one port.
#[derive(Debug)]
pub struct LinkWatch {
    settings: LinkWatchSettings,
    up: bool,
    down_count: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Ethtool(Ethtool),
}

impl LinkWatch {
    fn new(settings: LinkWatchSettings) -> Self {
        let kind = match &settings {
            LinkWatchSettings::Ethtool {
                delay_up,
                delay_down,
            } => Kind::Ethtool(Ethtool::new(*delay_up, *delay_down)),
        };
        LinkWatch {
            settings,
            up: false,
            down_count: 0,
            kind,
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ethtool(_) => "ethtool",
        }
    }

    /// What it was told to do.
    pub fn settings(&self) -> &LinkWatchSettings {
        &self.settings
    }

    /// Its verdict.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// How often the verdict went from up to down; stops at the maximum.
    pub fn down_count(&self) -> u32 {
        self.down_count
    }

    fn next_deadline(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Ethtool(ethtool) => ethtool.next_deadline(),
        }
    }

    fn link_changed(&mut self, now: Instant, link: Link) -> Option<Change> {
        let up = match &mut self.kind {
            Kind::Ethtool(ethtool) => ethtool.carrier_changed(now, link.up, self.up),
        };
        self.set(up)
    }

    fn link_found(&mut self, link: Link) -> Option<Change> {
        match &self.kind {
            Kind::Ethtool(_) => self.set(link.up),
        }
    }

    fn expire(&mut self, due: Instant) -> Option<Change> {
        let up = match &mut self.kind {
            Kind::Ethtool(ethtool) => ethtool.expire(due, self.up),
        };
        self.set(up)
    }

    fn set(&mut self, up: bool) -> Option<Change> {
        if up == self.up {
            return None;
        }
        self.up = up;
        if !up {
            self.down_count = self.down_count.saturating_add(1);
        }
        Some(Change {
            watch: self.name(),
            up,
        })
    }
}

/// A watch changed its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) watch: &'static str,
    pub(crate) up: bool,
}

/// All watches of one port.
#[derive(Debug)]
pub(crate) struct LinkWatches {
    policy: LinkWatchPolicy,
    list: Vec<LinkWatch>,
}

impl LinkWatches {
    pub(crate) fn new(policy: LinkWatchPolicy, settings: &[LinkWatchSettings]) -> Self {
        LinkWatches {
            policy,
            list: settings.iter().cloned().map(LinkWatch::new).collect(),
        }
    }

    pub(crate) fn list(&self) -> &[LinkWatch] {
        &self.list
    }

    /// The port's verdict; without any watch it is up.
    pub(crate) fn verdict(&self) -> bool {
        let mut verdicts = self.list.iter().map(LinkWatch::is_up);
        match self.policy {
            LinkWatchPolicy::Any => self.list.is_empty() || verdicts.any(|up| up),
            LinkWatchPolicy::All => verdicts.all(|up| up),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(LinkWatch::next_deadline).min()
    }

    /// The link was read; may repeat what is known.
    pub(crate) fn link_changed(&mut self, now: Instant, link: Link) -> Vec<Change> {
        let watches = self.list.iter_mut();
        watches
            .filter_map(|watch| watch.link_changed(now, link))
            .collect()
    }

    /// The link stood like this before the watches began: no delay applies.
    pub(crate) fn link_found(&mut self, link: Link) -> Vec<Change> {
        let watches = self.list.iter_mut();
        watches.filter_map(|watch| watch.link_found(link)).collect()
    }

    /// The deadline `due` has come.
    pub(crate) fn expire(&mut self, due: Instant) -> Vec<Change> {
        let watches = self.list.iter_mut();
        watches.filter_map(|watch| watch.expire(due)).collect()
    }
}
