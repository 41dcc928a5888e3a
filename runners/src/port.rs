//! A port: what is known of it, and which address was asked for.

use crate::forwarding::PortForwarding;
use crate::ident::{HwAddr, Link, PortId};
use crate::link_watch::{Change, LinkWatch, LinkWatches};
use crate::settings::{LinkWatchPolicy, PortSettings};
use crate::time::Instant;

/// One port of a [`Team`](crate::Team), for reading.
#[derive(Debug)]
pub struct Port {
    id: PortId,
    pub(crate) name: String,
    link: Link,
    pub(crate) settings: PortSettings,
    pub(crate) allowed: bool,
    pub(crate) enabled: bool,
    pub(crate) collecting: bool,
    watches: LinkWatches,
    original: HwAddr,
    /// What it carries when it need not carry the team's.
    own: HwAddr,
    /// As last read.
    hwaddr: HwAddr,
    /// Asked for since then.
    requested: Option<HwAddr>,
}

impl Port {
    pub(crate) fn new(
        id: PortId,
        name: String,
        hwaddr: HwAddr,
        settings: PortSettings,
        policy: LinkWatchPolicy,
    ) -> Self {
        Port {
            id,
            name,
            link: Link::default(),
            watches: LinkWatches::new(policy, &settings.link_watches),
            settings,
            allowed: true,
            enabled: false,
            collecting: false,
            original: hwaddr,
            own: hwaddr,
            hwaddr,
            requested: None,
        }
    }

    /// Its identity.
    pub fn id(&self) -> PortId {
        self.id
    }

    /// The interface name now.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The link as last read.
    pub fn link(&self) -> Link {
        self.link
    }

    /// What the configuration says of it.
    pub fn settings(&self) -> &PortSettings {
        &self.settings
    }

    /// The verdict of its watches together.
    pub fn verdict(&self) -> bool {
        self.watches.verdict()
    }

    /// Its watches, in the order of the configuration.
    pub fn watches(&self) -> &[LinkWatch] {
        self.watches.list()
    }

    /// The user lets it carry traffic.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Frames may leave on it.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Its watches and the user let it carry traffic.
    pub fn is_usable(&self) -> bool {
        self.allowed && self.verdict()
    }

    /// It has a link in the kernel driver's sense: with the ethtool watch alone the carrier
    /// itself, without the watch's delays.
    pub fn is_linked(&self) -> bool {
        self.link.up
    }

    /// Its hardware address as last read.
    pub fn hwaddr(&self) -> HwAddr {
        self.hwaddr
    }

    /// The address that it had before it joined.
    pub fn original_hwaddr(&self) -> HwAddr {
        self.original
    }

    pub(crate) fn forwarding(&self) -> PortForwarding {
        PortForwarding {
            port: self.id,
            collecting: self.collecting,
            distributing: self.enabled,
            linked: self.is_linked(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.watches.next_deadline()
    }

    pub(crate) fn link_changed(&mut self, now: Instant, link: Link) -> Vec<Change> {
        self.link = link;
        self.watches.link_changed(now, link)
    }

    /// The link as it was found, for watches that have seen nothing yet.
    pub(crate) fn link_found(&mut self, link: Link) -> Vec<Change> {
        self.link = link;
        self.watches.link_found(link)
    }

    pub(crate) fn expire(&mut self, due: Instant) -> Vec<Change> {
        self.watches.expire(due)
    }

    /// The address that it carries while it need not carry the team's.
    pub(crate) fn own_hwaddr(&self) -> HwAddr {
        self.own
    }

    /// The address was read. Another one than before ends what was asked for; if nothing was,
    /// and the port is not `dressed` in the `team`'s address, this is its own from now on.
    pub(crate) fn hwaddr_changed(&mut self, hwaddr: HwAddr, dressed: bool, team: HwAddr) {
        // The same as before tells nothing: a request may have failed or not be carried out
        // yet. Asking again would never end at an interface that refuses.
        if hwaddr == self.hwaddr {
            return;
        }
        self.hwaddr = hwaddr;
        // The team's address may be late news of a request that was taken back since.
        if self.requested.take().is_none() && !dressed && hwaddr != team {
            self.own = hwaddr;
        }
    }

    /// Whether `hwaddr` has to be asked for; from now on it was.
    pub(crate) fn request_hwaddr(&mut self, hwaddr: HwAddr) -> bool {
        let asks = self.requested.unwrap_or(self.hwaddr) != hwaddr;
        if asks {
            self.requested = Some(hwaddr);
        }
        asks
    }
}
