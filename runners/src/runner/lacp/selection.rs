//! Selection Logic (802.1AX-2014, 6.4.14).
//!
//! Ports of one Link Aggregation Group belong to one aggregator; a team device has one
//! aggregator that carries, the ports of the others stand by. An aggregator is named by its lead,
//! the best of its ports.
//!
//! Owns who belongs together, who leads, and which aggregator carries. Everything is worked out
//! anew from the ports; all that is remembered is which aggregator carries, and whether the user
//! chose it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::ident::{HwAddr, PortId};
use crate::wire::lacpdu::{PortInfo, StateBits};

use super::mux::Selected;
use super::port::LacpPort;
use super::receive::Receive;
use crate::settings::lacp::AggSelectPolicy;

/// What ports must have in common to be one aggregate (6.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LagId {
    key: u16,
    partner_priority: u16,
    partner: HwAddr,
    partner_key: u16,
    /// A port of which one end is individual is alone (6.3.6.1).
    individual: Option<PortId>,
    /// Ports without a partner carry by the administrator's word.
    fallback: bool,
}

impl LagId {
    fn of(port: &LacpPort) -> Self {
        let partner = &port.partner;
        let aggregates = partner.state.has(StateBits::AGGREGATION);
        LagId {
            key: port.actor().key,
            partner_priority: partner.system_priority,
            partner: partner.system,
            partner_key: partner.key,
            individual: (!aggregates && !port.fallback).then_some(port.id),
            fallback: port.fallback,
        }
    }
}

/// Which aggregator carries.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    carrying: Option<LagId>,
    /// The user's choice; ends with the aggregator.
    pinned: Option<LagId>,
}

/// Ports of one aggregator, in the order in which they joined.
type Aggregators<'a> = BTreeMap<LagId, Vec<&'a LacpPort>>;

impl Selection {
    /// Gives each port its aggregator and says which of them carry.
    pub(super) fn run(&mut self, ports: &mut BTreeMap<PortId, LacpPort>, policy: AggSelectPolicy) {
        for port in ports.values_mut() {
            let lag = lag(port);
            // From one group to another by way of none, so that the Mux machine detaches.
            let moves = port.lag.is_some() && lag != port.lag;
            port.lag = lag.filter(|_| !moves);
        }
        let mut aggregators = Aggregators::new();
        for port in ports.values() {
            if let Some(lag) = port.lag {
                aggregators.entry(lag).or_default().push(port);
            }
        }
        self.pinned = self.pinned.filter(|lag| aggregators.contains_key(lag));
        self.carrying = self.carrying.filter(|lag| aggregators.contains_key(lag));
        self.carrying = self.pinned.or_else(|| self.choose(&aggregators, policy));
        let carrying = self.carrying;
        for port in ports.values_mut() {
            port.selected = match port.lag {
                None => Selected::Unselected,
                lag if lag == carrying => Selected::Selected,
                Some(_) => Selected::Standby,
            };
        }
    }

    /// An aggregator that carries is left only for a better one that can carry, too: its
    /// partner is in sync. Where none carries, the end with the better system decides, and
    /// the other goes where its partner is in sync.
    fn choose(&self, aggregators: &Aggregators<'_>, policy: AggSelectPolicy) -> Option<LagId> {
        let present = self.carrying;
        let works = |lag: &LagId| aggregators[lag].iter().any(|port| port.partner_in_sync());
        let stays = |lag: &LagId| match policy {
            AggSelectPolicy::LacpPrioStable => true,
            AggSelectPolicy::PortConfig => aggregators[lag].iter().any(|port| port.sticky),
            AggSelectPolicy::LacpPrio | AggSelectPolicy::Bandwidth | AggSelectPolicy::Count => {
                false
            }
        };
        if let Some(present) = present.filter(stays) {
            return Some(present);
        }
        let present_works = present.as_ref().is_some_and(works);
        let partner_decides = |lag: &LagId| {
            let first = aggregators[lag].first();
            first.is_some_and(|port| system(&port.partner) < system(&port.actor()))
        };
        let follows = |lag: &LagId| works(lag) && partner_decides(lag);
        let must_follow = !present_works && aggregators.keys().any(follows);
        let mut candidates: Vec<LagId> = aggregators.keys().copied().collect();
        candidates.retain(|lag| match present_works {
            true => works(lag),
            false => !must_follow || follows(lag),
        });
        // The present one comes first, so that it keeps a tie.
        candidates.sort_by_key(|lag| present != Some(*lag));
        candidates.into_iter().reduce(|best, lag| {
            match is_better(aggregators, &lag, &best, policy) {
                true => lag,
                false => best,
            }
        })
    }

    /// The user wants the aggregator of `port` to carry. Whether it has one.
    pub(super) fn pin(&mut self, port: &LacpPort) -> bool {
        self.pinned = port.lag;
        port.lag.is_some()
    }

    /// Whether the aggregator of `port` carries.
    pub(super) fn carries(&self, port: &LacpPort) -> bool {
        port.lag.is_some() && port.lag == self.carrying
    }
}

/// The aggregator that a port belongs to; none if it cannot belong to any.
fn lag(port: &LacpPort) -> Option<LagId> {
    if !port.allowed || port.hears_itself() {
        return None;
    }
    match port.receive.state() {
        Receive::Current => Some(LagId::of(port)),
        // 6.4.12: who has expired stays where it was until it has no partner.
        Receive::Expired => port.lag,
        Receive::Defaulted => port.fallback.then(|| LagId::of(port)),
        Receive::PortDisabled | Receive::LacpDisabled => None,
    }
}

/// The port that an aggregator is named by.
pub(super) fn lead<'a>(
    ports: impl Iterator<Item = &'a LacpPort>,
    policy: AggSelectPolicy,
) -> Option<&'a LacpPort> {
    match policy {
        AggSelectPolicy::PortConfig => ports.min_by_key(|port| (Reverse(port.prio), rank(port))),
        AggSelectPolicy::LacpPrio
        | AggSelectPolicy::LacpPrioStable
        | AggSelectPolicy::Bandwidth
        | AggSelectPolicy::Count => ports.min_by_key(|port| rank(port)),
    }
}

fn is_better(
    aggregators: &Aggregators<'_>,
    lag: &LagId,
    other: &LagId,
    policy: AggSelectPolicy,
) -> bool {
    let ports = |lag: &LagId| aggregators[lag].iter().copied();
    let leads = |lag: &LagId| lead(ports(lag), policy);
    let best_rank = |lag: &LagId| leads(lag).map(rank);
    let count = |lag: &LagId| aggregators[lag].len();
    match policy {
        AggSelectPolicy::LacpPrio | AggSelectPolicy::LacpPrioStable => {
            best_rank(lag) < best_rank(other)
        }
        AggSelectPolicy::Bandwidth => {
            let speed = |lag| ports(lag).map(|port| u64::from(port.speed)).sum::<u64>();
            // Without known speeds the number of ports has to do.
            (speed(lag), count(lag)) > (speed(other), count(other))
        }
        AggSelectPolicy::Count => count(lag) > count(other),
        AggSelectPolicy::PortConfig => {
            let prio = |lag| leads(lag).map(|port| port.prio);
            prio(lag) > prio(other)
        }
    }
}

fn system(info: &PortInfo) -> (u16, HwAddr) {
    (info.system_priority, info.system)
}

/// Lower is better; as the end with the better system ranks its ports (6.4.14.1), so both ends
/// agree. Numbers compare as numbers.
pub(super) fn rank(port: &LacpPort) -> (u16, HwAddr, u16, u16, PortId) {
    let (actor, partner) = (port.actor(), port.partner);
    let decider = match system(&actor) < system(&partner) || port.fallback {
        true => actor,
        false => partner,
    };
    let (priority, address) = system(&decider);
    (
        priority,
        address,
        decider.port_priority,
        decider.port,
        port.id,
    )
}
