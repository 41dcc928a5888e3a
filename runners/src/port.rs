//! A port of a team: its facts, its link watches, and the hardware address requested for it.
//!
//! The runner and the team decide from ports; a port decides nothing.

pub(crate) mod damping;
pub(crate) mod drain;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::control_frames::ControlFrames;
use crate::exclusion::Exclusion;
use crate::forwarding::PortForwarding;
use crate::ident::{HwAddr, IpFamily, Link, PortId};
use crate::link_watch::{LinkWatch, LinkWatches, TeamContext, WatchActions, WatchContext};
use crate::receive_errors::{ErrorsStatus, ReceiveCounters};
use crate::settings::lacp::LacpSettings;
use crate::settings::{BfdSettings, LinkWatchPolicy, PortSettings};
use crate::time::Instant;
use damping::{Damping, DampingStatus};
use drain::Drain;

/// One port of a [`Team`](crate::Team), for reading.
#[derive(Clone, Debug)]
pub struct Port {
    id: PortId,
    pub(crate) name: String,
    link: Link,
    settings: PortSettings,
    pub(crate) allowed: bool,
    /// With lacp: `false` keeps the port out of forwarding.
    pub(crate) macsec_gate: bool,
    damping: Damping,
    pub(crate) drain: Drain,
    /// Exclusion as last reported.
    reported_exclusion: Option<Exclusion>,
    pub(crate) enabled: bool,
    pub(crate) collecting: bool,
    /// Another port must keep the team's hardware address.
    pub(crate) hwaddr_belongs_elsewhere: bool,
    /// The interface must have the team's hardware address, and refuses it.
    pub(crate) refuses_team_hwaddr: bool,
    /// The team keeps the port out because of its corrupted frames.
    pub(crate) is_out_for_corruption: bool,
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
            damping: Damping::new(settings.damping),
            drain: Drain::Off,
            reported_exclusion: None,
            settings,
            allowed: true,
            macsec_gate: true,
            enabled: false,
            collecting: false,
            hwaddr_belongs_elsewhere: false,
            refuses_team_hwaddr: false,
            is_out_for_corruption: false,
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

    /// Whether the interface refuses the team's hardware address, which keeps the port out of
    /// forwarding.
    pub fn refuses_team_hwaddr(&self) -> bool {
        self.refuses_team_hwaddr
    }

    /// Whether the user opened the MACsec gate of the port, which only lacp reads.
    pub fn macsec_gate(&self) -> bool {
        self.macsec_gate
    }

    /// Whether a drain of the port is complete: the port sends nothing, and receives nothing that the
    /// runner can avoid.
    pub fn is_drained(&self) -> bool {
        self.drain == Drain::Drained
    }

    /// Whether the user drains the port; also true once the drain is complete.
    pub fn is_drain_requested(&self) -> bool {
        self.drain != Drain::Off
    }

    /// Returns the state of damping at `now`; `None` if damping is off.
    pub fn damping(&self, now: Instant) -> Option<DampingStatus> {
        self.damping.status(now)
    }

    /// Returns the cause that keeps the port from carrying traffic with every runner, whatever its
    /// link state.
    pub fn exclusion(&self) -> Option<Exclusion> {
        let lasting = [
            (self.refuses_team_hwaddr, Exclusion::RefusesHwAddr),
            (!self.allowed, Exclusion::Forbidden),
            (!self.settings.gate, Exclusion::GateClosed),
            (self.damping.is_suppressed(), Exclusion::Damped),
            (self.is_out_for_corruption, Exclusion::Corrupting),
        ];
        let lasting = lasting.into_iter().find_map(|(applies, why)| applies.then_some(why));
        lasting.or(self.drain.exclusion())
    }

    /// Returns the cause that keeps the port from carrying traffic with lacp, whatever its link
    /// state.
    pub(crate) fn lacp_exclusion(&self) -> Option<Exclusion> {
        match self.exclusion() {
            None | Some(Exclusion::Draining | Exclusion::Drained) if !self.macsec_gate => {
                Some(Exclusion::MacsecGateClosed)
            }
            exclusion => exclusion,
        }
    }

    /// Whether the port may carry traffic as soon as it has a link.
    pub fn may_carry(&self) -> bool {
        self.exclusion().is_none()
    }

    /// Returns the share of corrupted frames, in millionths, of a port whose watch errors is down.
    pub(crate) fn corruption(&self) -> Option<u32> {
        self.watches.corruption()
    }

    /// Whether the port has a link, and nothing but its corrupted frames may keep it from carrying traffic.
    pub(crate) fn could_carry(&self) -> bool {
        matches!(self.exclusion(), None | Some(Exclusion::Corrupting)) && self.is_linked()
    }

    /// Whether an incomplete drain alone keeps the port from carrying traffic.
    pub(crate) fn is_draining(&self) -> bool {
        self.exclusion() == Some(Exclusion::Draining)
    }

    /// Whether a drain alone, complete or not, keeps the port from carrying traffic.
    pub(crate) fn is_only_drained(&self) -> bool {
        matches!(self.exclusion(), Some(Exclusion::Draining | Exclusion::Drained))
    }

    /// Whether the port may carry traffic, and its link watches report it up.
    pub fn is_usable(&self) -> bool {
        self.may_carry() && self.watches.is_up_with(self.link.up)
    }

    /// Whether the port has a link in the kernel driver's sense: a carrier, without the delays of the
    /// ethtool watch, and, with watches that ask a neighbour, link watches that report it up. A port
    /// that damping suppresses has no link in this sense.
    pub fn is_linked(&self) -> bool {
        let answered = !self.watches.pings_neighbour() || self.watches_up();
        self.link.up && answered && !self.damping.is_suppressed()
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
        let deadlines = [
            self.watches.next_deadline(),
            self.damping.next_deadline(),
            self.drain.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    pub(crate) fn set_settings(&mut self, now: Instant, settings: PortSettings) {
        self.damping.settings_changed(now, settings.damping);
        self.settings = settings;
    }

    /// Begins or ends a drain. The port may receive for `time` after the drain begins.
    pub(crate) fn set_drained(&mut self, now: Instant, drained: bool, time: Duration) {
        self.drain = match (drained, self.drain) {
            (false, _) => Drain::Off,
            (true, Drain::Off) if time.is_zero() => Drain::Drained,
            (true, Drain::Off) => Drain::Draining { until: now + time },
            (true, before) => before,
        };
    }

    /// Completes a drain in progress at `end` at the latest.
    pub(crate) fn complete_drain_by(&mut self, end: Instant) {
        self.drain.complete_by(end);
    }

    /// Sets the state of damping that a recording begins with.
    pub(crate) fn restore_damping(&mut self, now: Instant, penalty: u64, until: Option<Instant>) {
        self.damping.restore(now, penalty, until);
    }

    /// Returns the exclusion if it differs from the exclusion at the last call. Counts an exclusion
    /// that the daemon logs by itself as none.
    pub(crate) fn changed_exclusion(&mut self) -> Option<Option<Exclusion>> {
        let is_logged =
            |why: &Exclusion| matches!(why, Exclusion::RefusesHwAddr | Exclusion::Forbidden);
        let now = self.exclusion().filter(|why| !is_logged(why));
        let before = std::mem::replace(&mut self.reported_exclusion, now);
        (before != now).then_some(now)
    }

    /// Handles a change of the carrier or of a link watch. Adds the penalty of damping if the carrier
    /// is lost, or if the link watches of a port that keeps its carrier report the port down.
    fn handle_and_damp(
        &mut self,
        now: Instant,
        handle: impl FnOnce(&mut Self) -> WatchActions,
    ) -> WatchActions {
        let (linked, up) = (self.link.up, self.watches_up());
        let actions = handle(self);
        let lost = match self.link.up {
            true => linked && up && !self.watches_up(),
            false => linked,
        };
        if lost {
            self.damping.link_lost(now);
        }
        actions
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
        self.handle_and_damp(now, |port| {
            let came_up = link.up && !port.link.up;
            port.link = link;
            let watch_context = port.watch_context(context);
            port.watches.link_changed(now, link, came_up, &watch_context)
        })
    }

    /// Sets the link state of an adopted port, for link watches that have just started.
    pub(crate) fn link_adopted(&mut self, link: Link) -> WatchActions {
        self.link = link;
        self.watches.link_adopted(link)
    }

    /// Goes on with the link watches of the settings, combined by `policy`.
    pub(crate) fn replace_watches(
        &mut self,
        now: Instant,
        policy: LinkWatchPolicy,
    ) -> WatchActions {
        self.watches.replace(now, policy, &self.settings.link_watches, self.link)
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
        self.damping.expire(due);
        self.drain.expire(due);
        self.handle_and_damp(now, |port| {
            let watch_context = port.watch_context(context);
            port.watches.expire(due, now, &watch_context)
        })
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
        self.watches.frame_received(now, frame, ours, &watch_context)
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
        self.watches.host_resolved(now, host, family, address, &watch_context)
    }

    pub(crate) fn bearers_changed(
        &mut self,
        now: Instant,
        linked: Option<&BTreeSet<String>>,
    ) -> WatchActions {
        self.handle_and_damp(now, |port| port.watches.bearers_changed(linked))
    }

    /// Handles the verdict of a BFD session of the port.
    pub(crate) fn path_changed(
        &mut self,
        now: Instant,
        settings: &BfdSettings,
        up: bool,
    ) -> WatchActions {
        self.handle_and_damp(now, |port| port.watches.path_changed(settings, up))
    }

    /// Returns the settings of the port's watch lacp, and whether the watch is up.
    pub(crate) fn lacp_watch(&self) -> Option<(&LacpSettings, bool)> {
        let (settings, watch) = self.watches.lacp()?;
        Some((settings, watch.is_up()))
    }

    /// Handles the verdict of the port's LACP session.
    pub(crate) fn partner_changed(&mut self, now: Instant, up: bool) -> WatchActions {
        self.handle_and_damp(now, |port| port.watches.partner_changed(up))
    }

    /// Whether the watch probe of the port is answered now.
    pub(crate) fn is_answered(&self) -> bool {
        self.link.up && self.watches.is_answered()
    }

    /// Whether the port has a BFD session that is not up.
    pub fn lacks_bfd(&self) -> bool {
        self.watches.lacks_bfd()
    }

    /// Handles the counters of the port.
    pub(crate) fn counters_read(
        &mut self,
        now: Instant,
        counters: ReceiveCounters,
    ) -> WatchActions {
        self.watches.counters_read(now, counters)
    }

    /// Sets the judgement of the watch errors that a recording begins with.
    pub(crate) fn restore_errors(&mut self, status: ErrorsStatus) -> WatchActions {
        self.watches.restore_errors(status)
    }

    /// Sets a link watch down, by its place.
    pub(crate) fn take_watch_down(&mut self, place: usize) -> WatchActions {
        self.watches.take_down(place)
    }

    fn watch_context(&self, context: TeamContext) -> WatchContext {
        let port_only_hwaddr = match self.own_hwaddr == context.hwaddr {
            true => self.own_hwaddr.with_local_bit_flipped(),
            false => self.own_hwaddr,
        };
        let answered = usize::from(self.is_answered());
        WatchContext {
            port: self.id,
            team_hwaddr: context.hwaddr,
            has_witness: context.answered_ports > answered,
            linked: self.link.up,
            enabled: self.enabled,
            someone_enabled: context.someone_enabled,
            has_other_port: context.usable_ports > usize::from(self.is_usable()),
            hwaddr_belongs_elsewhere: self.hwaddr_belongs_elsewhere,
            hwaddr: self.hwaddr,
            port_only_hwaddr,
            link_local: self.link_local.or(context.link_local),
        }
    }

    /// Returns the hardware address that requests come from: one that attracts no traffic of the team
    /// to a port that carries none.
    pub(crate) fn request_hwaddr_source(&self, context: TeamContext) -> HwAddr {
        let context = self.watch_context(context);
        if context.is_quiet() { context.port_only_hwaddr } else { context.hwaddr }
    }

    /// Whether the port may send frames from this hardware address.
    pub(crate) fn sends_from(&self, hwaddr: HwAddr) -> bool {
        [self.hwaddr, self.own_hwaddr, self.own_hwaddr.with_local_bit_flipped()].contains(&hwaddr)
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

    /// Has a refused address requested again. A port that takes the team's address only while it
    /// carries traffic counts as willing until then.
    pub(crate) fn retry_hwaddr(&mut self, carries_team_hwaddr: bool) {
        if self.refuses_team_hwaddr {
            self.requested_hwaddr = None;
            self.refuses_team_hwaddr = carries_team_hwaddr;
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
