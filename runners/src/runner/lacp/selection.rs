//! Selection Logic (IEEE 802.1AX-2014, 6.4.14).
//!
//! Ports of one Link Aggregation Group belong to one Aggregator. An Aggregator is named after its
//! lead port, the best of its ports.
//!
//! Deviation: in 6.4.14 each Aggregator carries the traffic of a client of its own. A team device
//! is one client, so one Aggregator is selected and carries traffic. The ports of this Aggregator
//! are Selected, the ports of the others are Standby.
//!
//! Owns the Link Aggregation Groups, their lead ports, and the choice of the selected Aggregator.
//! Each run computes all of them anew from the ports; only the selected Aggregator and the user's
//! choice are stored.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::ident::{HwAddr, PortId};
use crate::lacp_status::Selected;
use crate::wire::lacpdu::PortInfo;

use super::lag::LagId;
use super::port::LacpPort;
use super::port_map::PortMap;
use crate::lacp_machines::receive::ReceiveState;
use crate::settings::lacp::AggSelectPolicy;

/// The choice of the selected Aggregator.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) selected: Option<LagId>,
    /// Aggregator chosen by the user, until the Aggregator has no port.
    user_choice: Option<LagId>,
}

impl Selection {
    /// Assigns each port to an Aggregator and sets the variable Selected of all ports.
    pub(super) fn run(&mut self, ports: &mut PortMap, policy: AggSelectPolicy) {
        for port in ports.values_mut() {
            let lag = lag_of(port);
            // A port changes its group by way of none, so that the Mux machine detaches the port.
            let changes_lag = port.lag.is_some() && lag != port.lag;
            port.lag = lag.filter(|_| !changes_lag);
        }
        let aggregators = aggregators(ports.values());
        let has_ports = |lag: &LagId| aggregators.iter().any(|known| known.lag == *lag);
        self.user_choice = self.user_choice.filter(has_ports);
        self.selected = self.user_choice.or_else(|| self.choose(&aggregators, policy));
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
    fn choose(&self, aggregators: &[Aggregator<'_>], policy: AggSelectPolicy) -> Option<LagId> {
        let is_selected = |aggregator: &&Aggregator<'_>| Some(aggregator.lag) == self.selected;
        let selected = aggregators.iter().find(is_selected);
        if let Some(selected) = selected.filter(|selected| selected.stays_selected(policy)) {
            return Some(selected.lag);
        }
        let selected_works = selected.is_some_and(Aggregator::works);
        let partner_decides = aggregators.iter().any(Aggregator::is_choice_of_partner);
        let is_candidate = |aggregator: &&Aggregator<'_>| match (selected_works, partner_decides) {
            (true, _) => aggregator.works(),
            (false, true) => aggregator.is_choice_of_partner(),
            (false, false) => true,
        };
        let mut candidates: Vec<_> = aggregators.iter().filter(is_candidate).collect();
        // The selected Aggregator comes first, so that it wins a tie.
        candidates.sort_by_key(|aggregator| !is_selected(aggregator));
        let best =
            candidates.into_iter().reduce(|best, other| match other.is_better_than(best, policy) {
                true => other,
                false => best,
            });
        best.map(|best| best.lag)
    }

    /// Selects the Aggregator of `port` for the user. Returns whether the port has one.
    pub(super) fn choose_by_user(&mut self, port: &LacpPort) -> bool {
        self.user_choice = port.lag;
        port.lag.is_some()
    }

    /// Returns whether the user chose the Aggregator of `port`.
    pub(super) fn is_chosen(&self, port: &LacpPort) -> bool {
        port.lag.is_some() && port.lag == self.user_choice
    }

    /// Returns whether the Aggregator of `port` is the selected one.
    pub(super) fn is_selected(&self, port: &LacpPort) -> bool {
        port.lag.is_some() && port.lag == self.selected
    }
}

/// One Aggregator, with its ports in the order in which they joined.
struct Aggregator<'a> {
    lag: LagId,
    ports: Vec<&'a LacpPort>,
}

/// Returns the Aggregators of the ports, in the order of their groups.
fn aggregators<'a>(ports: impl Iterator<Item = &'a LacpPort>) -> Vec<Aggregator<'a>> {
    let mut by_lag: BTreeMap<LagId, Vec<&LacpPort>> = BTreeMap::new();
    for port in ports {
        if let Some(lag) = port.lag {
            by_lag.entry(lag).or_default().push(port);
        }
    }
    by_lag.into_iter().map(|(lag, ports)| Aggregator { lag, ports }).collect()
}

impl Aggregator<'_> {
    /// Returns whether the Partner is in sync.
    fn works(&self) -> bool {
        self.ports.iter().any(|port| port.partner_in_sync())
    }

    /// Returns whether the Aggregator works with a Partner that has the better System Identifier.
    fn is_choice_of_partner(&self) -> bool {
        let partner_is_better =
            |port: &&LacpPort| system_id(&port.partner) < system_id(&port.actor());
        self.works() && self.ports.first().is_some_and(partner_is_better)
    }

    /// Returns the sum of the ports' speeds in Mbit/s; `None` if a driver does not know one.
    fn bandwidth(&self) -> Option<u64> {
        let speed = |port: &&LacpPort| (port.speed > 0).then_some(u64::from(port.speed));
        self.ports.iter().map(speed).sum()
    }

    /// Returns the sum of the ports' own LACP priorities.
    fn priorities(&self) -> u64 {
        self.ports.iter().map(|port| u64::from(port.actor().port_priority)).sum()
    }

    /// Returns whether `policy` keeps the Aggregator selected, if it is.
    fn stays_selected(&self, policy: AggSelectPolicy) -> bool {
        match policy {
            AggSelectPolicy::LacpPrioStable => true,
            AggSelectPolicy::PortConfig => self.ports.iter().any(|port| port.sticky),
            AggSelectPolicy::LacpPrio
            | AggSelectPolicy::Bandwidth
            | AggSelectPolicy::Count
            | AggSelectPolicy::ActorPortPrio => false,
        }
    }

    fn is_better_than(&self, other: &Self, policy: AggSelectPolicy) -> bool {
        let lead = |aggregator: &Self| lead(aggregator.ports.iter().copied(), policy);
        let count = |aggregator: &Self| aggregator.ports.len();
        // An unknown speed is neither above nor below a known one.
        let speeds = || self.bandwidth().zip(other.bandwidth()).unwrap_or_default();
        match policy {
            AggSelectPolicy::LacpPrio | AggSelectPolicy::LacpPrioStable => {
                lead(self).map(rank) < lead(other).map(rank)
            }
            AggSelectPolicy::Bandwidth => {
                let (own, others) = speeds();
                (own, count(self)) > (others, count(other))
            }
            AggSelectPolicy::Count => count(self) > count(other),
            AggSelectPolicy::ActorPortPrio => {
                let (own, others) = speeds();
                (self.priorities(), count(self), own) > (other.priorities(), count(other), others)
            }
            AggSelectPolicy::PortConfig => {
                let prio = |aggregator| lead(aggregator).map(|port| port.prio);
                prio(self) > prio(other)
            }
        }
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
    WithPartner,
    /// The port belongs to the group of the ports in fallback.
    InFallback,
}

impl Membership {
    fn of(state: ReceiveState, fallback: bool) -> Self {
        match (state, fallback) {
            (ReceiveState::PortDisabled | ReceiveState::LacpDisabled, _) => Membership::None,
            (ReceiveState::Expired, _) => Membership::Unchanged,
            (ReceiveState::Defaulted, false) => Membership::None,
            (ReceiveState::Defaulted, true) => Membership::InFallback,
            (ReceiveState::Current, _) => Membership::WithPartner,
        }
    }
}

/// Returns the group of a port, or `None` if the port must not aggregate.
fn lag_of(port: &LacpPort) -> Option<LagId> {
    if !port.may_aggregate() || port.is_looped_back() {
        return None;
    }
    let actor_key = port.actor().key;
    match Membership::of(port.receive.state(), port.fallback) {
        Membership::None => None,
        Membership::Unchanged => port.lag,
        Membership::WithPartner => Some(LagId::with_partner(actor_key, &port.partner, port.id)),
        Membership::InFallback => Some(LagId::in_fallback(actor_key)),
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
        | AggSelectPolicy::Count
        | AggSelectPolicy::ActorPortPrio => ports.min_by_key(|port| rank(port)),
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
    (priority, address, decider.port_priority, decider.port, port.id)
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
            (Defaulted, [Membership::None, Membership::InFallback]),
            (Current, [Membership::WithPartner; 2]),
        ];
        for (state, row) in table {
            for (fallback, expected) in [false, true].into_iter().zip(row) {
                assert_eq!(Membership::of(state, fallback), expected, "{state:?}");
            }
        }
    }
}
