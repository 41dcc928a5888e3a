//! Link Aggregation Group identification (IEEE 802.1AX-2014, 6.3.6).

use crate::ident::{HwAddr, PortId};
use crate::wire::lacpdu::{PortInfo, StateBits};

/// Link Aggregation Group Identifier: equal for ports that aggregate. The Actor's system and
/// priority are the same for all ports of a team, so they are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LagId {
    actor_key: u16,
    partner_system_priority: u16,
    partner_system: HwAddr,
    partner_key: u16,
    /// A port with an individual Partner is alone in its group (6.3.6.1).
    individual: Option<PortId>,
    /// Ports in fallback aggregate without a Partner.
    fallback: bool,
}

impl LagId {
    /// Returns the group of a port with this Partner.
    pub(super) fn with_partner(actor_key: u16, partner: &PortInfo, port: PortId) -> Self {
        let is_individual = !partner.state.has(StateBits::AGGREGATION);
        LagId {
            actor_key,
            partner_system_priority: partner.system_priority,
            partner_system: partner.system,
            partner_key: partner.key,
            individual: is_individual.then_some(port),
            fallback: false,
        }
    }

    /// Returns the group of all ports in fallback with this key.
    pub(super) fn in_fallback(actor_key: u16) -> Self {
        LagId {
            actor_key,
            partner_system_priority: 0,
            partner_system: HwAddr::default(),
            partner_key: 0,
            individual: None,
            fallback: true,
        }
    }
}
