//! A port of a team: its facts, its link watches, and the hardware address requested for it.
//!
//! The runner and the team decide from ports; a port decides nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::control_frames::ControlFrames;
use crate::forwarding::PortForwarding;
use crate::ident::{HwAddr, IpFamily, Link, PortId};
use crate::link_watch::{LinkWatch, LinkWatches, TeamContext, WatchActions, WatchContext};
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
    /// Another port must keep the team's hardware address.
    pub(crate) hwaddr_belongs_elsewhere: bool,
    watches: LinkWatches,
    link_local: Option<Ipv6Addr>,
    /// Hardware address before the port joined.
    original_hwaddr: HwAddr,
    /// Hardware address of the port while it does not carry the team's.
    own_hwaddr: HwAddr,
    /// Hardware address as last read.
    hwaddr: HwAddr,
    /// Hardware address requested since the last read one changed.
    requested_hwaddr: Option<HwAddr>,
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
            original_hwaddr: hwaddr,
            own_hwaddr: hwaddr,
            hwaddr,
            requested_hwaddr: None,
        }
    }

    /// Returns the identity of the port.
    pub fn id(&self) -> PortId {
        self.id
    }

    /// Returns the interface name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the link state as last read.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Returns the settings of the port.
    pub fn settings(&self) -> &PortSettings {
        &self.settings
    }

    /// Whether the link watches together report the port up.
    pub fn watches_up(&self) -> bool {
        self.watches.is_up()
    }

    /// Returns the link watches, in the order of the configuration.
    pub fn watches(&self) -> &[LinkWatch] {
        self.watches.list()
    }

    /// Whether the user allows the port to carry traffic.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether frames may leave on the port.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether link watches and user allow the port to carry traffic.
    pub fn is_usable(&self) -> bool {
        self.allowed && self.watches_up()
    }

    /// Whether the port has a link in the kernel driver's sense: a carrier, without the delays of the
    /// ethtool watch, and, with watches that ask a neighbour, link watches that report it up.
    pub fn is_linked(&self) -> bool {
        self.link.up && (!self.watches.pings_neighbour() || self.watches_up())
    }

    /// Returns the hardware address as last read.
    pub fn hwaddr(&self) -> HwAddr {
        self.hwaddr
    }

    /// Returns a link-local IPv6 address of the port, as last read.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.link_local
    }

    /// Returns the hardware address before the port joined.
    pub fn original_hwaddr(&self) -> HwAddr {
        self.original_hwaddr
    }

    /// Returns identity and speed in Mbit/s, 0 if unknown.
    pub(crate) fn id_and_speed(&self) -> (PortId, u32) {
        (self.id, self.link.speed)
    }

    pub(crate) fn forwarding(&self) -> PortForwarding {
        PortForwarding {
            port: self.id,
            collecting: self.collecting,
            distributing: self.enabled,
            linked: self.is_linked(),
            link_from_watch: self.watches.pings_neighbour(),
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
        let came_up = link.up && !self.link.up;
        self.link = link;
        let watch_context = self.watch_context(context);
        self.watches
            .link_changed(now, link, came_up, &watch_context)
    }

    /// Sets the link state of an adopted port, for link watches that have just started.
    pub(crate) fn link_adopted(&mut self, link: Link) -> WatchActions {
        self.link = link;
        self.watches.link_adopted(link)
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

    /// Handles a received control frame; `ours` if the team sent it.
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
        let port_only_hwaddr = match self.own_hwaddr == context.hwaddr {
            true => self.own_hwaddr.with_local_bit_flipped(),
            false => self.own_hwaddr,
        };
        WatchContext {
            linked: self.link.up,
            enabled: self.enabled,
            someone_enabled: context.someone_enabled,
            hwaddr_belongs_elsewhere: self.hwaddr_belongs_elsewhere,
            hwaddr: self.hwaddr,
            port_only_hwaddr,
            link_local: self.link_local.or(context.link_local),
        }
    }

    /// Whether the port may send frames from this hardware address.
    pub(crate) fn sends_from(&self, hwaddr: HwAddr) -> bool {
        [
            self.hwaddr,
            self.own_hwaddr,
            self.own_hwaddr.with_local_bit_flipped(),
        ]
        .contains(&hwaddr)
    }

    /// Returns the hardware address of the port while it does not carry the team's.
    pub(crate) fn own_hwaddr(&self) -> HwAddr {
        self.own_hwaddr
    }

    /// Records the hardware address as read. A changed one ends the request; without a request,
    /// and without the team's address on the port, it becomes the port's own.
    pub(crate) fn hwaddr_changed(
        &mut self,
        hwaddr: HwAddr,
        carries_team_hwaddr: bool,
        team: HwAddr,
    ) {
        // An unchanged address says nothing: the request may be pending, or refused, and a new
        // request at an interface that refuses would never end.
        if hwaddr == self.hwaddr {
            return;
        }
        self.hwaddr = hwaddr;
        // The team's address may be the late result of a request that was withdrawn since.
        let was_requested = self.requested_hwaddr.take().is_some();
        if !was_requested && !carries_team_hwaddr && hwaddr != team {
            self.own_hwaddr = hwaddr;
        }
    }

    /// Whether `hwaddr` must be requested; records the request.
    pub(crate) fn request_hwaddr(&mut self, hwaddr: HwAddr) -> bool {
        let is_new = self.requested_hwaddr.unwrap_or(self.hwaddr) != hwaddr;
        if is_new {
            self.requested_hwaddr = Some(hwaddr);
        }
        is_new
    }
}
