//! What the runner and its ports are told to do.

use std::time::Duration;

use crate::tx_hash::HashFields;
use crate::wire::lacpdu::STANDARD_RETRIES;

/// Settings of the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct LacpSettings {
    /// `active`: LACPDUs leave unasked.
    pub active: bool,
    /// `fast_rate`: the partner is asked for one LACPDU each `fast_period`, not one in 30 s.
    pub fast_rate: bool,
    /// `fast_period`: Fast_Periodic_Time, 100 ms to 1 s. Both ends must agree on it.
    pub fast_period: Duration,
    /// `sys_prio`: the system with the lower one decides.
    pub sys_prio: u16,
    /// `agg_select_policy`.
    pub agg_select_policy: AggSelectPolicy,
    /// `fallback`: ports carry although no partner speaks.
    pub fallback: bool,
    /// `fallback_method`.
    pub fallback_method: FallbackMethod,
    /// `fallback_delay`: how long no partner must have spoken.
    pub fallback_delay: Duration,
    /// `enable_retry_count`: LACPDUs may tell how many of them may be missed.
    pub enable_retry_count: bool,
    /// `retry_count`: LACPDUs in a row that the partner lets us miss, 3 to 255.
    pub retry_count: u8,
    /// `marker`, `marker_timeout`: flows that move to another port wait until the partner has
    /// answered a marker, for so long at most; none moves them at once.
    pub marker_timeout: Option<Duration>,
    /// `tx_hash`.
    pub tx_hash: HashFields,
    /// `tx_balancer`: how often buckets may move to even out the load; none is off.
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
            tx_hash: HashFields::ETH | HashFields::IPV4 | HashFields::IPV6,
            balancing_interval: None,
        }
    }
}

/// `runner.agg_select_policy`: which aggregator carries the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AggSelectPolicy {
    /// The one of the best LACP priority.
    #[default]
    LacpPrio,
    /// The same, but the present one stays as long as it has a port.
    LacpPrioStable,
    /// The fastest.
    Bandwidth,
    /// The one with the most ports.
    Count,
    /// By `prio` and `sticky` of the ports.
    PortConfig,
}

impl AggSelectPolicy {
    /// All of them with the words of the configuration.
    pub const NAMED: [(Self, &'static str); 5] = [
        (Self::LacpPrio, "lacp_prio"),
        (Self::LacpPrioStable, "lacp_prio_stable"),
        (Self::Bandwidth, "bandwidth"),
        (Self::Count, "count"),
        (Self::PortConfig, "port_config"),
    ];

    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::NAMED.iter().find(|(_, known)| *known == name);
        named.map(|(policy, _)| *policy)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LacpPrio => "lacp_prio",
            Self::LacpPrioStable => "lacp_prio_stable",
            Self::Bandwidth => "bandwidth",
            Self::Count => "count",
            Self::PortConfig => "port_config",
        }
    }
}

/// `runner.fallback_method`: which ports carry while no partner speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum FallbackMethod {
    /// The one of the best LACP priority: safe with a partner that does not aggregate.
    #[default]
    Single,
    /// All of them, as a static aggregate.
    All,
}

/// Settings of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct LacpPortSettings {
    /// `lacp_prio`: lower is preferred.
    pub prio: u16,
    /// `lacp_key`: only equal keys aggregate.
    pub key: u16,
    /// The port number in LACPDUs; not 0. The daemon takes it from the interface index.
    pub number: u16,
}

impl Default for LacpPortSettings {
    fn default() -> Self {
        LacpPortSettings {
            prio: 255,
            key: 0,
            number: 1,
        }
    }
}
