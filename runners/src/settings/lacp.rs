//! Settings of the runner lacp and of its ports; the option names are teamd's.

use std::time::Duration;

use crate::tx_hash::HashFields;
use crate::wire::lacpdu::STANDARD_RETRIES;

/// Settings of the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct LacpSettings {
    /// `active`: LACP_Activity of the Actor.
    pub active: bool,
    /// `fast_rate`: LACP_Timeout of the Actor. With Short Timeout the Partner sends an LACPDU each
    /// `fast_period` instead of each 30 s.
    pub fast_rate: bool,
    /// `fast_period`: Fast_Periodic_Time, 100 ms to 1 s. Both ends need the same value.
    pub fast_period: Duration,
    /// `sys_prio`: system priority; the system with the lower value decides.
    pub sys_prio: u16,
    /// `agg_select_policy`: rule for the Aggregator that carries traffic.
    pub agg_select_policy: AggSelectPolicy,
    /// `fallback`: ports carry traffic without a Partner.
    pub fallback: bool,
    /// `fallback_method`: ports that carry traffic without a Partner.
    pub fallback_method: FallbackMethod,
    /// `fallback_delay`: time in DEFAULTED before a port carries traffic.
    pub fallback_delay: Duration,
    /// `enable_retry_count`: LACPDUs may contain retry counts.
    pub enable_retry_count: bool,
    /// `retry_count`: number of this team's LACPDUs in a row that the Partner may miss, 3 to 255.
    pub retry_count: u8,
    /// `marker`, `marker_timeout`: longest wait for the response to a marker before a flow moves to
    /// another port. With `None` flows move at once.
    pub marker_timeout: Option<Duration>,
    /// `keepalive`: time after the last LACPDU of this team in which the kernel answers the Partner
    /// in place of the daemon; zero for never.
    pub keepalive: Duration,
    /// `broadcast_neighbor`: ARP and neighbour discovery leave on every port of the Aggregator.
    pub broadcast_neighbor: bool,
    /// `tx_hash`: fields of the flow hash.
    pub tx_hash: HashFields,
    /// `tx_balancer`: interval between moves of buckets to balance the load. `None` disables the
    /// balancer.
    pub balancing_interval: Option<Duration>,
}

impl Default for LacpSettings {
    fn default() -> Self {
        LacpSettings {
            active: true,
            fast_rate: false,
            fast_period: Duration::from_secs(1),
            sys_prio: 65535,
            agg_select_policy: AggSelectPolicy::LacpPrio,
            fallback: false,
            fallback_method: FallbackMethod::Single,
            fallback_delay: Duration::ZERO,
            enable_retry_count: true,
            retry_count: STANDARD_RETRIES,
            marker_timeout: None,
            keepalive: Duration::from_secs(600),
            broadcast_neighbor: false,
            tx_hash: HashFields::ETH | HashFields::IPV4 | HashFields::IPV6,
            balancing_interval: None,
        }
    }
}

/// `runner.agg_select_policy`: rule for the Aggregator that carries traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AggSelectPolicy {
    /// The Aggregator with the best LACP priority.
    #[default]
    LacpPrio,
    /// As `LacpPrio`, but the selected Aggregator stays selected as long as it has a port.
    LacpPrioStable,
    /// The Aggregator with the largest sum of port speeds.
    Bandwidth,
    /// The Aggregator with the most ports.
    Count,
    /// The Aggregator with the highest sum of its ports' LACP priorities; among equal sums the one
    /// with more ports, then with more bandwidth. As in bonding, and against 802.1AX, a higher
    /// priority value is better for this policy.
    ActorPortPrio,
    /// The Aggregator with the highest `prio` of a port; a `sticky` port keeps its Aggregator
    /// selected.
    PortConfig,
}

impl AggSelectPolicy {
    /// All policies with their names in the configuration.
    pub const NAMED: [(Self, &'static str); 6] = [
        (Self::LacpPrio, Self::LacpPrio.name()),
        (Self::LacpPrioStable, Self::LacpPrioStable.name()),
        (Self::Bandwidth, Self::Bandwidth.name()),
        (Self::Count, Self::Count.name()),
        (Self::ActorPortPrio, Self::ActorPortPrio.name()),
        (Self::PortConfig, Self::PortConfig.name()),
    ];

    /// Returns the policy with this name, or `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::NAMED.iter().find(|(_, known)| *known == name);
        named.map(|(policy, _)| *policy)
    }

    /// Returns the name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LacpPrio => "lacp_prio",
            Self::LacpPrioStable => "lacp_prio_stable",
            Self::Bandwidth => "bandwidth",
            Self::Count => "count",
            Self::ActorPortPrio => "actor_port_prio",
            Self::PortConfig => "port_config",
        }
    }
}

/// `runner.fallback_method`: ports that carry traffic without a Partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum FallbackMethod {
    /// The port with the best LACP priority. Safe with a Partner that does not aggregate.
    #[default]
    Single,
    /// All ports, as a static aggregate.
    All,
}

impl FallbackMethod {
    /// Returns the method with this name, or `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Single, Self::All].into_iter().find(|method| method.name() == name)
    }

    /// Returns the name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::All => "all",
        }
    }
}

/// Settings of one port of the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct LacpPortSettings {
    /// `lacp_prio`: port priority; lower values are preferred.
    pub prio: u16,
    /// `lacp_key`: operational key; only ports with equal keys aggregate.
    pub key: u16,
    /// Port number in LACPDUs, not 0. The daemon derives the number from the interface.
    pub number: u16,
}

impl Default for LacpPortSettings {
    fn default() -> Self {
        LacpPortSettings { prio: 255, key: 0, number: 1 }
    }
}
