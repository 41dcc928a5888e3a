//! arp_ping: asks an IPv4 neighbour by ARP; ARP messages show that the link works.
//!
//! Without validation any request or reply counts, as with teamd. Waiting ports rely on this rule:
//! they receive the requests of the active port through the switch. A message that the team sent
//! does not count as an answer and does not take a port up; it only keeps a waiting port up.
//!
//! A port that must not attract traffic does not send the team's addresses. A waiting port that
//! receives nothing sends probes of RFC 5227, from 0.0.0.0 and a hardware address of its own; a port
//! that must not have the team's address always does. teamd sends nothing on such ports, so its
//! preferred port may never return.
//!
//! Standards: RFC 826, RFC 5227.

use std::net::Ipv4Addr;

use super::context::WatchContext;
use super::ping_timer::PingTimer;
use super::resolved::Resolved;
use crate::ident::HwAddr;
use crate::settings::ArpPingSettings;
use crate::time::Instant;
use crate::wire::probe::arp_request;
use crate::wire::{Arp, Ethernet, ethertype};

#[derive(Clone, Debug)]
pub(crate) struct ArpPing {
    settings: ArpPingSettings,
    pub(super) target: Resolved<Ipv4Addr>,
    /// Configured source; `None` sends from 0.0.0.0.
    pub(super) source: Option<Resolved<Ipv4Addr>>,
    pub(super) timer: PingTimer,
    /// A broadcast message was received since the last request was due.
    overheard: bool,
}

impl ArpPing {
    pub(crate) fn new(settings: &ArpPingSettings, now: Instant) -> Self {
        ArpPing {
            target: Resolved::new(&settings.target_host),
            source: settings.source_host.as_ref().map(Resolved::new),
            timer: PingTimer::new(settings.probing, now),
            overheard: false,
            settings: settings.clone(),
        }
    }

    fn source_address(&self) -> Option<Ipv4Addr> {
        match &self.source {
            Some(source) => source.address(),
            None => Some(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// Returns the request to send now, if any.
    pub(crate) fn request(&mut self, now: Instant, context: &WatchContext) -> Option<Vec<u8>> {
        let overheard = std::mem::take(&mut self.overheard);
        let target = self.target.address()?;
        let source = self.source_address()?;
        if !context.linked {
            return None;
        }
        let is_silent = overheard && !self.settings.send_always;
        if context.is_waiting() && is_silent && !context.hwaddr_belongs_elsewhere {
            return None;
        }
        let (hwaddr, source) = match context.is_quiet() {
            true => (context.port_only_hwaddr, Ipv4Addr::UNSPECIFIED),
            false => (context.hwaddr, source),
        };
        self.timer.request_sent(now);
        Some(arp_request(hwaddr, source, target, self.settings.vlanid))
    }

    /// Whether `frame` shows that the link works. `ours` if the team sent it, `up` if the watch is
    /// up.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        frame: &[u8],
        ours: bool,
        context: &WatchContext,
        up: bool,
    ) -> bool {
        let Some(arp) = self.read(frame) else {
            return false;
        };
        let counts = match ours {
            true => up && context.is_waiting() && !self.settings.send_always,
            false => true,
        };
        let validates = match context.enabled {
            true => self.settings.validate_active,
            false => self.settings.validate_inactive,
        };
        let is_reply = self.is_answer(&arp);
        if !counts || (validates && !is_reply) {
            return false;
        }
        self.overheard |= is_multicast(frame);
        match is_reply {
            true => self.timer.replied(now),
            false => self.timer.answered(now),
        }
        true
    }

    /// Returns the message if it is a request or reply in the VLAN of the watch. A priority tag
    /// counts as no tag.
    fn read(&self, frame: &[u8]) -> Option<Arp> {
        let ethernet = Ethernet::parse(frame)?;
        let vlan = u64::from(self.settings.vlanid.unwrap_or(0)) << 48;
        if ethernet.ethertype != ethertype::ARP || ethernet.vlan_ids != vlan {
            return None;
        }
        let arp = Arp::parse(ethernet.payload)?;
        [Arp::REQUEST, Arp::REPLY].contains(&arp.operation).then_some(arp)
    }

    /// Whether the message is the target's reply to a request of either form.
    fn is_answer(&self, arp: &Arp) -> bool {
        let to_us =
            Some(arp.target()) == self.source_address() || arp.target() == Ipv4Addr::UNSPECIFIED;
        arp.operation == Arp::REPLY && to_us && Some(arp.sender()) == self.target.address()
    }
}

/// Whether the destination is multicast or broadcast.
fn is_multicast(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 == 1)
}

/// Whether the source of a frame, or the sender of an ARP message in it, satisfies `is_ours`.
pub(crate) fn is_sent_by(frame: &[u8], is_ours: impl Fn(HwAddr) -> bool) -> bool {
    let Some(ethernet) = Ethernet::parse(frame) else {
        return false;
    };
    let [.., a, b, c, d, e, f] = *ethernet.addresses;
    let arp =
        (ethernet.ethertype == ethertype::ARP).then(|| Arp::parse(ethernet.payload)).flatten();
    is_ours(HwAddr([a, b, c, d, e, f])) || arp.is_some_and(|arp| is_ours(arp.sender_hwaddr))
}
