//! arp_ping: asks an IPv4 neighbour who it is, and takes ARP for a sign of life.
//!
//! Without validation any request or reply counts, as with teamd, on which waiting ports live:
//! they receive the questions of the active port through the switch. What the team itself sent
//! never answers its own question, though, and brings no dead port to life; it only keeps a
//! waiting port up.
//!
//! A port that somebody else's traffic could be drawn to must not say the team's addresses: a
//! waiting port that hears nothing asks in the form of RFC 5227, from 0.0.0.0 and an address of
//! its own, and so does always one that the team's address is kept off. teamd does not ask there at all, so its preferred port may never return.

use std::net::Ipv4Addr;

use super::WatchContext;
use super::resolved::Resolved;
use super::rhythm::Rhythm;
use crate::ident::HwAddr;
use crate::settings::ArpPingSettings;
use crate::time::Instant;
use crate::wire::probe::arp_request;
use crate::wire::{Arp, Ethernet, ethertype};

#[derive(Debug)]
pub(crate) struct ArpPing {
    settings: ArpPingSettings,
    pub(super) target: Resolved<Ipv4Addr>,
    /// None asks from 0.0.0.0.
    pub(super) source: Option<Resolved<Ipv4Addr>>,
    pub(super) rhythm: Rhythm,
    /// A message to everybody was heard since the last question was due.
    overheard: bool,
}

impl ArpPing {
    pub(crate) fn new(settings: &ArpPingSettings, now: Instant) -> Self {
        ArpPing {
            target: Resolved::new(&settings.target_host),
            source: settings.source_host.as_ref().map(Resolved::new),
            rhythm: Rhythm::new(settings.probing, now),
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

    /// The question, if one is to be sent now.
    pub(crate) fn ask(&mut self, now: Instant, context: &WatchContext) -> Option<Vec<u8>> {
        let overheard = std::mem::take(&mut self.overheard);
        let target = self.target.address()?;
        let source = self.source_address()?;
        if !context.linked {
            return None;
        }
        let waits = context.is_waiting() && !self.settings.send_always;
        if waits && overheard && !context.hwaddr_belongs_elsewhere {
            return None;
        }
        let (hwaddr, source) = match waits || context.hwaddr_belongs_elsewhere {
            true => (context.spare_hwaddr, Ipv4Addr::UNSPECIFIED),
            false => (context.hwaddr, source),
        };
        self.rhythm.asked(now);
        Some(arp_request(hwaddr, source, target, self.settings.vlanid))
    }

    /// Whether `frame`, sent by the team itself if `ours`, shows that the link is up, which it
    /// was or was not before.
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
        if !counts || (validates && !self.is_answer(&arp)) {
            return false;
        }
        self.overheard |= is_to_everybody(frame);
        self.rhythm.heard(now);
        true
    }

    /// The message, if it came in the VLAN that is watched and is a request or a reply. A tag
    /// with a priority alone is none.
    fn read(&self, frame: &[u8]) -> Option<Arp> {
        let ethernet = Ethernet::parse(frame)?;
        let vlan = u64::from(self.settings.vlanid.unwrap_or(0)) << 48;
        if ethernet.ethertype != ethertype::ARP || ethernet.vlan_ids != vlan {
            return None;
        }
        let arp = Arp::parse(ethernet.payload)?;
        [Arp::REQUEST, Arp::REPLY]
            .contains(&arp.operation)
            .then_some(arp)
    }

    /// The target's reply to a question of ours, of either form.
    fn is_answer(&self, arp: &Arp) -> bool {
        let to_us =
            Some(arp.target()) == self.source_address() || arp.target() == Ipv4Addr::UNSPECIFIED;
        arp.operation == Arp::REPLY && to_us && Some(arp.sender()) == self.target.address()
    }
}

/// Multicast or broadcast.
fn is_to_everybody(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 == 1)
}

/// Whether one of the stations that a frame names as its sender has an address like `is_ours`.
pub(crate) fn is_sent_by(frame: &[u8], is_ours: impl Fn(HwAddr) -> bool) -> bool {
    let Some(ethernet) = Ethernet::parse(frame) else {
        return false;
    };
    let [.., a, b, c, d, e, f] = *ethernet.addresses;
    let arp = (ethernet.ethertype == ethertype::ARP)
        .then(|| Arp::parse(ethernet.payload))
        .flatten();
    is_ours(HwAddr([a, b, c, d, e, f])) || arp.is_some_and(|arp| is_ours(arp.sender_hwaddr))
}
