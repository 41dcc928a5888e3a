//! A port: what is known of it, and which address was asked for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::control_frames::ControlFrames;
use crate::forwarding::PortForwarding;
use crate::ident::{HwAddr, IpFamily, Link, PortId};
use crate::link_watch::{LinkWatch, LinkWatches, WatchActions, WatchContext};
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
    /// The team's own address belongs on another port.
    pub(crate) hwaddr_belongs_elsewhere: bool,
    watches: LinkWatches,
    link_local: Option<Ipv6Addr>,
    original: HwAddr,
    /// What it carries when it need not carry the team's.
    own: HwAddr,
    /// As last read.
    hwaddr: HwAddr,
    /// Asked for since then.
    requested: Option<HwAddr>,
}

/// What the watches of a port have to know of the context of the team.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TeamContext {
    pub(crate) someone_enabled: bool,
    /// The team device's.
    pub(crate) hwaddr: HwAddr,
    /// The team device's.
    pub(crate) link_local: Option<Ipv6Addr>,
}

impl Port {
    pub(crate) fn new(
        id: PortId,
        name: String,
        hwaddr: HwAddr,
        settings: PortSettings,
        policy: LinkWatchPolicy,
        now: Instant,
    ) -> Self {
        Port {
            id,
            name,
            link: Link::default(),
            watches: LinkWatches::new(policy, &settings.link_watches, now),
            link_local: None,
            settings,
            allowed: true,
            enabled: false,
            collecting: false,
            hwaddr_belongs_elsewhere: false,
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
    pub fn watches_up(&self) -> bool {
        self.watches.is_up()
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
        self.allowed && self.watches_up()
    }

    /// It has a link in the kernel driver's sense: with the ethtool watch alone the carrier
    /// itself, without the watch's delays; where watches ask a neighbour, their verdict too.
    pub fn is_linked(&self) -> bool {
        self.link.up && (!self.watches.ask_neighbours() || self.watches_up())
    }

    /// Its hardware address as last read.
    pub fn hwaddr(&self) -> HwAddr {
        self.hwaddr
    }

    /// A link-local IPv6 address of its own, as last read.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.link_local
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
            link_from_watch: self.watches.ask_neighbours(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.watches.next_deadline()
    }

    pub(crate) fn control_frames(&self) -> ControlFrames {
        self.watches.control_frames()
    }

    pub(crate) fn link_changed(
        &mut self,
        now: Instant,
        link: Link,
        context: TeamContext,
    ) -> WatchActions {
        let came = link.up && !self.link.up;
        self.link = link;
        let watch_context = self.watch_context(context);
        self.watches.link_changed(now, link, came, &watch_context)
    }

    /// The link as it was found, for watches that have seen nothing yet.
    pub(crate) fn link_found(&mut self, link: Link) -> WatchActions {
        self.link = link;
        self.watches.link_found(link)
    }

    pub(crate) fn link_local_changed(&mut self, address: Option<Ipv6Addr>) {
        self.link_local = address;
    }

    pub(crate) fn expire(
        &mut self,
        due: Instant,
        now: Instant,
        context: TeamContext,
    ) -> WatchActions {
        let watch_context = self.watch_context(context);
        self.watches.expire(due, now, &watch_context)
    }

    /// A control frame came in, one of the team's own if `ours`.
    pub(crate) fn frame_received(
        &mut self,
        now: Instant,
        frame: &[u8],
        ours: bool,
        context: TeamContext,
    ) -> WatchActions {
        let watch_context = self.watch_context(context);
        self.watches
            .frame_received(now, frame, ours, &watch_context)
    }

    pub(crate) fn host_resolved(
        &mut self,
        now: Instant,
        host: &str,
        family: IpFamily,
        address: Option<IpAddr>,
        context: TeamContext,
    ) -> WatchActions {
        let watch_context = self.watch_context(context);
        self.watches
            .host_resolved(now, host, family, address, &watch_context)
    }

    pub(crate) fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) -> WatchActions {
        self.watches.bearers_changed(linked)
    }

    fn watch_context(&self, context: TeamContext) -> WatchContext {
        let spare_hwaddr = match self.own == context.hwaddr {
            true => self.own.with_local_bit_flipped(),
            false => self.own,
        };
        WatchContext {
            linked: self.link.up,
            enabled: self.enabled,
            someone_enabled: context.someone_enabled,
            hwaddr_belongs_elsewhere: self.hwaddr_belongs_elsewhere,
            hwaddr: self.hwaddr,
            spare_hwaddr,
            link_local: self.link_local.or(context.link_local),
        }
    }

    /// Frames from this address may be its own.
    pub(crate) fn sends_from(&self, hwaddr: HwAddr) -> bool {
        [self.hwaddr, self.own, self.own.with_local_bit_flipped()].contains(&hwaddr)
    }

    /// The address that it carries while it need not carry the team's.
    pub(crate) fn own_hwaddr(&self) -> HwAddr {
        self.own
    }

    /// The address was read. Another one than before ends what was asked for; if nothing was,
    /// and the port is not `carries_team_hwaddr` in the `team`'s address, this is its own from now on.
    pub(crate) fn hwaddr_changed(
        &mut self,
        hwaddr: HwAddr,
        carries_team_hwaddr: bool,
        team: HwAddr,
    ) {
        // The same as before tells nothing: a request may have failed or not be carried out
        // yet. Asking again would never end at an interface that refuses.
        if hwaddr == self.hwaddr {
            return;
        }
        self.hwaddr = hwaddr;
        // The team's address may be late news of a request that was taken back since.
        if self.requested.take().is_none() && !carries_team_hwaddr && hwaddr != team {
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
