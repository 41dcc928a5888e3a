//! nsna_ping: solicits an IPv6 neighbour, and takes its advertisement for a sign of life.
//!
//! Advertisements go to who asked, so a waiting port would receive nothing of the active port's
//! questions: every port asks for itself. A waiting port does so from addresses of its own, and so
//! does one that the team's address is kept off, for what it says must not draw the team's traffic
//! to it. teamd asks on enabled ports alone, and
//! keeps all others down.

use std::net::Ipv6Addr;

use super::WatchContext;
use super::resolved::Resolved;
use super::rhythm::Rhythm;
use crate::ident::HwAddr;
use crate::settings::NsnaPingSettings;
use crate::time::Instant;
use crate::wire::probe::neighbour_solicitation;
use crate::wire::{Ethernet, NeighbourAdvertisement, ethertype};

#[derive(Debug)]
pub(crate) struct NsnaPing {
    pub(super) target: Resolved<Ipv6Addr>,
    pub(super) rhythm: Rhythm,
    /// The last question had to be sent from an address that the host does not have.
    pub(super) lacks_link_local: bool,
}

impl NsnaPing {
    pub(crate) fn new(settings: &NsnaPingSettings, now: Instant) -> Self {
        NsnaPing {
            target: Resolved::new(&settings.target_host),
            rhythm: Rhythm::new(settings.probing, now),
            lacks_link_local: false,
        }
    }

    /// The question, if one is to be sent now.
    pub(crate) fn ask(&mut self, now: Instant, context: &WatchContext) -> Option<Vec<u8>> {
        let target = self.target.address()?;
        let quiet = context.is_quiet();
        self.lacks_link_local = !quiet && context.link_local.is_none();
        if !context.linked {
            return None;
        }
        let (hwaddr, source) = match context.link_local {
            _ if quiet => (context.spare_hwaddr, link_local_of(context.spare_hwaddr)),
            Some(link_local) => (context.hwaddr, link_local),
            None => (context.hwaddr, link_local_of(context.hwaddr)),
        };
        self.rhythm.asked(now);
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
            self.rhythm.heard(now);
        }
        is_answer
    }
}

/// The link-local address that belongs to a hardware address (RFC 4291 appendix A): what an
/// interface has that makes none up.
fn link_local_of(hwaddr: HwAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = hwaddr.0;
    let bytes = [
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ];
    Ipv6Addr::from(bytes)
}
