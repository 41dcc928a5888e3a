//! nsna_ping: asks an IPv6 neighbour by solicitations; its advertisements show that the link works.
//!
//! A neighbour advertises to the sender of the solicitation only, so every port asks for itself. A
//! port that must not attract traffic sends from addresses of its own. teamd asks on enabled ports
//! alone and keeps all others down.
//!
//! Standard: RFC 4861.

use std::net::Ipv6Addr;

use super::context::WatchContext;
use super::ping_timer::PingTimer;
use super::resolved::Resolved;
use crate::ident::HwAddr;
use crate::settings::NsnaPingSettings;
use crate::time::Instant;
use crate::wire::probe::neighbour_solicitation;
use crate::wire::{Ethernet, NeighbourAdvertisement, ethertype};

#[derive(Clone, Debug)]
pub(crate) struct NsnaPing {
    pub(super) target: Resolved<Ipv6Addr>,
    pub(super) timer: PingTimer,
    /// The last request was sent from a derived address that the host does not have.
    pub(super) lacks_link_local: bool,
}

impl NsnaPing {
    pub(crate) fn new(settings: &NsnaPingSettings, now: Instant) -> Self {
        NsnaPing {
            target: Resolved::new(&settings.target_host),
            timer: PingTimer::new(settings.probing, now),
            lacks_link_local: false,
        }
    }

    /// Returns the request to send now, if any.
    pub(crate) fn request(&mut self, now: Instant, context: &WatchContext) -> Option<Vec<u8>> {
        let target = self.target.address()?;
        let quiet = context.is_quiet();
        self.lacks_link_local = !quiet && context.link_local.is_none();
        if !context.linked {
            return None;
        }
        let (hwaddr, source) = match context.link_local {
            _ if quiet => (context.port_only_hwaddr, link_local_of(context.port_only_hwaddr)),
            Some(link_local) => (context.hwaddr, link_local),
            None => (context.hwaddr, link_local_of(context.hwaddr)),
        };
        self.timer.request_sent(now);
        Some(neighbour_solicitation(hwaddr, source, target))
    }

    /// Whether `frame` is an untagged advertisement of the target.
    pub(crate) fn receive(&mut self, now: Instant, frame: &[u8], ours: bool) -> bool {
        let is_answer = !ours
            && Ethernet::parse(frame).is_some_and(|ethernet| {
                ethernet.ethertype == ethertype::IPV6
                    && ethernet.vlan_ids == 0
                    && NeighbourAdvertisement::parse(ethernet.payload)
                        .is_some_and(|found| Some(found.target) == self.target.address())
            });
        if is_answer {
            self.timer.replied(now);
        }
        is_answer
    }
}

/// Derives the link-local address of a hardware address (RFC 4291 appendix A).
fn link_local_of(hwaddr: HwAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = hwaddr.0;
    let word = |high, low| u16::from_be_bytes([high, low]);
    let [first, second] = [word(a ^ 2, b), word(c, 0xff)];
    Ipv6Addr::new(0xfe80, 0, 0, 0, first, second, word(0xfe, d), word(e, f))
}
