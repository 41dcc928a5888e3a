//! Selection Logic (IEEE 802.1AX-2014, 6.4.14).
//!
//! Ports of one Link Aggregation Group belong to one Aggregator. One Aggregator of a team device
//! carries traffic: its ports are Selected, the ports of the others are Standby. An Aggregator is
//! named after its lead port, the best of its ports.
//!
//! Owns the Link Aggregation Groups, their lead ports, and the choice of the selected Aggregator.
//! Each run computes all of them anew from the ports; only the selected Aggregator and the user's
//! choice are stored.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::ident::{HwAddr, PortId};
use crate::wire::lacpdu::{PortInfo, StateBits};

use super::mux::Selected;
use super::port::LacpPort;
use super::receive::ReceiveState;
use crate::settings::lacp::AggSelectPolicy;

/// Link Aggregation Group Identifier (6.3.6): equal for ports that aggregate.
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
    fn of(port: &LacpPort) -> Self {
        let partner = &port.partner;
        let is_individual = !partner.state.has(StateBits::AGGREGATION) && !port.fallback;
        LagId {
            actor_key: port.actor().key,
            partner_system_priority: partner.system_priority,
            partner_system: partner.system,
            partner_key: partner.key,
            individual: is_individual.then_some(port.id),
            fallback: port.fallback,
        }
    }
}

/// The choice of the selected Aggregator.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    selected: Option<LagId>,
    /// Aggregator chosen by the user, until the Aggregator has no port.
    user_choice: Option<LagId>,
}

/// Ports of each Aggregator, in the order in which they joined.
type Aggregators<'a> = BTreeMap<LagId, Vec<&'a LacpPort>>;

impl Selection {
    /// Assigns each port to an Aggregator and sets the variable Selected of all ports.
    pub(super) fn run(&mut self, ports: &mut BTreeMap<PortId, LacpPort>, policy: AggSelectPolicy) {
        for port in ports.values_mut() {
            let lag = lag_of(port);
            // A port changes its group by way of none, so that the Mux machine detaches the port.
            let changes_lag = port.lag.is_some() && lag != port.lag;
            port.lag = lag.filter(|_| !changes_lag);
        }
        let mut aggregators = Aggregators::new();
        for port in ports.values() {
            if let Some(lag) = port.lag {
                aggregators.entry(lag).or_default().push(port);
            }
        }
        let has_ports = |lag: &LagId| aggregators.contains_key(lag);
        self.user_choice = self.user_choice.filter(has_ports);
        self.selected = self.selected.filter(has_ports);
        self.selected = self
            .user_choice
            .or_else(|| self.choose(&aggregators, policy));
        for port in ports.values_mut() {
            port.selected = match port.lag {
                None => Selected::Unselected,
                lag if lag == self.selected => Selected::Selected,
                Some(_) => Selected::Standby,
            };
        }
    }

    /// Returns the Aggregator to select.
    ///
    /// An Aggregator that works, with a Partner in sync, is only replaced by a better one that
    /// works. If none works, the system with the higher priority decides (6.4.14.1), so a port
    /// with a better Partner follows that Partner.
    fn choose(&self, aggregators: &Aggregators<'_>, policy: AggSelectPolicy) -> Option<LagId> {
        let any_port = |lag: &LagId, test: &dyn Fn(&LacpPort) -> bool| {
            aggregators
                .get(lag)
                .is_some_and(|ports| ports.iter().any(|port| test(port)))
        };
        let keeps_selected = |lag: &LagId| match policy {
            AggSelectPolicy::LacpPrioStable => true,
            AggSelectPolicy::PortConfig => any_port(lag, &|port| port.sticky),
            AggSelectPolicy::LacpPrio | AggSelectPolicy::Bandwidth | AggSelectPolicy::Count => {
                false
            }
        };
        if let Some(selected) = self.selected.filter(keeps_selected) {
            return Some(selected);
        }
        let works = |lag: &LagId| any_port(lag, &LacpPort::partner_in_sync);
        let partner_decides = |lag: &LagId| {
            let first = aggregators.get(lag).and_then(|ports| ports.first());
            first.is_some_and(|port| system_id(&port.partner) < system_id(&port.actor()))
        };
        let partner_decided = |lag: &LagId| works(lag) && partner_decides(lag);
        let selected_works = self.selected.as_ref().is_some_and(works);
        let follows_partner = !selected_works && aggregators.keys().any(partner_decided);
        let mut candidates: Vec<LagId> = aggregators.keys().copied().collect();
        candidates.retain(|lag| match selected_works {
            true => works(lag),
            false => !follows_partner || partner_decided(lag),
        });
        // The selected Aggregator comes first, so that it wins a tie.
        candidates.sort_by_key(|lag| self.selected != Some(*lag));
        candidates.into_iter().reduce(|best, lag| {
            match is_better(aggregators, &lag, &best, policy) {
                true => lag,
                false => best,
            }
        })
    }

    /// Selects the Aggregator of `port` for the user. Returns whether the port has one.
    pub(super) fn choose_by_user(&mut self, port: &LacpPort) -> bool {
        self.user_choice = port.lag;
        port.lag.is_some()
    }

    /// Returns whether the Aggregator of `port` is the selected one.
    pub(super) fn is_selected(&self, port: &LacpPort) -> bool {
        port.lag.is_some() && port.lag == self.selected
    }
}

/// Effect of a port's state on its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Membership {
    /// The port has no group.
    None,
    /// The port stays in the group in which it is.
    Unchanged,
    /// The port belongs to the group of its Partner.
    OfPartner,
}

impl Membership {
    fn of(state: ReceiveState, fallback: bool) -> Self {
        match (state, fallback) {
            (ReceiveState::PortDisabled | ReceiveState::LacpDisabled, _) => Membership::None,
            (ReceiveState::Expired, _) => Membership::Unchanged,
            (ReceiveState::Defaulted, false) => Membership::None,
            (ReceiveState::Defaulted, true) => Membership::OfPartner,
            (ReceiveState::Current, _) => Membership::OfPartner,
        }
    }
}

/// Returns the group of a port, or `None` if the port must not aggregate.
fn lag_of(port: &LacpPort) -> Option<LagId> {
    if !port.allowed || port.is_looped_back() {
        return None;
    }
    match Membership::of(port.receive.state(), port.fallback) {
        Membership::None => None,
        Membership::Unchanged => port.lag,
        Membership::OfPartner => Some(LagId::of(port)),
    }
}

/// Returns the lead port of an Aggregator with these ports.
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

/// Returns whether the Aggregator `lag` is better than `other` under `policy`.
fn is_better(
    aggregators: &Aggregators<'_>,
    lag: &LagId,
    other: &LagId,
    policy: AggSelectPolicy,
) -> bool {
    let ports = |lag: &LagId| aggregators.get(lag).into_iter().flatten().copied();
    let lead = |lag: &LagId| lead(ports(lag), policy);
    let count = |lag: &LagId| ports(lag).count();
    match policy {
        AggSelectPolicy::LacpPrio | AggSelectPolicy::LacpPrioStable => {
            lead(lag).map(rank) < lead(other).map(rank)
        }
        AggSelectPolicy::Bandwidth => {
            let speed = |lag| ports(lag).map(|port| u64::from(port.speed)).sum::<u64>();
            // Drivers may report no speed; then the number of ports decides.
            (speed(lag), count(lag)) > (speed(other), count(other))
        }
        AggSelectPolicy::Count => count(lag) > count(other),
        AggSelectPolicy::PortConfig => {
            let prio = |lag| lead(lag).map(|port| port.prio);
            prio(lag) > prio(other)
        }
    }
}

/// Returns the System Identifier (6.3.2); the lower one has the higher priority.
fn system_id(info: &PortInfo) -> (u16, HwAddr) {
    (info.system_priority, info.system)
}

/// Returns the rank of a port; the lowest rank is the best. The end with the better System
/// Identifier ranks the ports (6.4.14.1), so both ends agree.
fn rank(port: &LacpPort) -> (u16, HwAddr, u16, u16, PortId) {
    let (actor, partner) = (port.actor(), port.partner);
    let decider = match system_id(&actor) < system_id(&partner) || port.fallback {
        true => actor,
        false => partner,
    };
    let (priority, address) = system_id(&decider);
    (
        priority,
        address,
        decider.port_priority,
        decider.port,
        port.id,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receive_state_with_and_without_fallback() {
        use ReceiveState::{Current, Defaulted, Expired, LacpDisabled, PortDisabled};
        let table = [
            (PortDisabled, [Membership::None; 2]),
            (LacpDisabled, [Membership::None; 2]),
            (Expired, [Membership::Unchanged; 2]),
            (Defaulted, [Membership::None, Membership::OfPartner]),
            (Current, [Membership::OfPartner; 2]),
        ];
        for (state, row) in table {
            for (fallback, expected) in [false, true].into_iter().zip(row) {
                assert_eq!(Membership::of(state, fallback), expected, "{state:?}");
            }
        }
    }
}
