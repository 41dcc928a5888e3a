//! Settings of a team and its ports: the configuration as types.
//!
//! The crate `json-config` reads the configuration and checks ranges; every value here is valid.
//! Serialized names are part of the recording format.

pub(crate) mod lacp;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use crate::ident::HwAddr;
use crate::settings::lacp::{LacpPortSettings, LacpSettings};
use crate::tx_hash::HashFields;

/// Settings of a whole team.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TeamSettings {
    /// `runner`: the runner with its own keys.
    pub runner: RunnerSettings,
    /// `hwaddr`: a configured address is never replaced by a port's.
    pub hwaddr: Option<HwAddr>,
    /// `link_watch_policy`.
    pub link_watch_policy: LinkWatchPolicy,
    /// `notify_peers`: gratuitous ARP and unsolicited NA after a port became enabled.
    pub notify_peers: Burst,
    /// `mcast_rejoin`: multicast membership reports after a port became enabled.
    pub mcast_rejoin: Burst,
    /// `runner.min_ports`: ports that must carry for the team device to have a carrier.
    pub min_ports: u32,
    /// `probe`: the team sends probes by itself, with a runner for which separate ports into one
    /// network are wrong.
    #[cfg_attr(feature = "serde", serde(default))]
    pub probe: bool,
}

impl TeamSettings {
    /// Returns the defaults of teamd for `runner`; teamd never probes.
    pub fn new(runner: RunnerSettings) -> Self {
        TeamSettings {
            runner,
            hwaddr: None,
            link_watch_policy: LinkWatchPolicy::Any,
            notify_peers: Burst::default(),
            mcast_rejoin: Burst::default(),
            min_ports: 1,
            probe: false,
        }
    }
}

/// `runner.name` with the keys that belong to that runner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RunnerSettings {
    /// A copy of each frame on every port with a link.
    Broadcast,
    /// One port after the other.
    RoundRobin {
        /// `runner.packets_per_port`: frames sent on a port in a row.
        packets_per_port: NonZeroU32,
    },
    /// A random port.
    Random {
        /// Seed of the random sequence.
        seed: u64,
    },
    /// One active port carries all traffic.
    ActiveBackup {
        /// `runner.hwaddr_policy`.
        hwaddr_policy: HwAddrPolicy,
        /// `runner.failback` and `runner.failback_delay`.
        #[cfg_attr(feature = "serde", serde(default))]
        failback: Failback,
    },
    /// A flow stays on one port.
    LoadBalance {
        /// `runner.tx_hash`.
        tx_hash: HashFields,
        /// `runner.tx_balancer`: interval of the balancer; `None` turns it off.
        balancing_interval: Option<Duration>,
    },
    /// Ports that are aggregated with one partner carry traffic.
    Lacp(LacpSettings),
    /// slb, tlb and alb: a source address stays on one port, on a switch without an aggregate.
    Slb {
        /// Ports for the traffic of the team itself.
        host: HostTraffic,
        /// `runner.tx_balancer`: interval of the balancer; `None` turns it off.
        balancing_interval: Option<Duration>,
        /// `runner.lp_interval` of tlb and alb: interval of learning packets; `None` turns them
        /// off.
        #[cfg_attr(feature = "serde", serde(default))]
        learning_interval: Option<Duration>,
    },
}

/// Ports for the traffic of the team itself, as opposed to that of guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum HostTraffic {
    /// slb: sends and receives on the designated port.
    #[default]
    OnePort,
    /// tlb: sends on the port of the peer, receives on the designated port.
    Sent,
    /// alb: sends and receives on the port of the peer.
    Both,
}

/// `runner.hwaddr_policy` of activebackup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum HwAddrPolicy {
    /// Every port carries the team's address.
    #[default]
    SameAll,
    /// The team device takes the active port's address.
    ByActive,
    /// Only the active port carries the team's address; the others keep their own.
    OnlyActive,
}

/// When a better port replaces a usable active port. A failed active port is replaced at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Failback {
    /// `runner.failback`.
    pub policy: FailbackPolicy,
    /// `runner.failback_delay`: time for which the better port must have been the best one.
    pub delay: Duration,
}

/// `runner.failback` of activebackup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum FailbackPolicy {
    /// If it ranks higher by prio, speed, duplex, in this order.
    #[default]
    Always,
    /// If it ranks higher in this order and is faster, or as fast with a better duplex.
    Better,
    /// Never.
    Failure,
}

/// `link_watch_policy`: combination of several link watches on one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum LinkWatchPolicy {
    /// The port is up while at least one watch is up.
    #[default]
    Any,
    /// The port is up while every watch is up.
    All,
}

/// A repeated announcement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Burst {
    /// Number of rounds; 0 turns the announcement off.
    pub count: u32,
    /// Pause between two rounds.
    pub interval: Duration,
}

/// Settings of one port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct PortSettings {
    /// `prio`: activebackup and slb prefer the higher one.
    pub prio: i32,
    /// `sticky`: an active port stays active while it is usable.
    pub sticky: bool,
    /// `queue_id`: transmit queue that maps to the port, on a data path that supports it.
    pub queue_id: Option<u32>,
    /// `lacp_prio`, `lacp_key` and other keys of lacp.
    pub lacp: LacpPortSettings,
    /// `link_watch`: the port's own, else the team's. Read once, when the port joins.
    pub link_watches: Vec<LinkWatchSettings>,
}

/// `link_watch`: settings of one link watch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum LinkWatchSettings {
    /// Follows the carrier.
    Ethtool {
        /// Time for which the carrier must be on before the watch goes up.
        delay_up: Duration,
        /// Time for which the carrier must be off before the watch goes down.
        delay_down: Duration,
    },
    /// Asks an IPv4 neighbour by ARP.
    ArpPing(ArpPingSettings),
    /// Asks an IPv6 neighbour by neighbour discovery.
    NsnaPing(NsnaPingSettings),
    /// Follows the TIPC links over a bearer.
    Tipc {
        /// `tipc_bearer`: interface part of the bearer.
        bearer: String,
    },
}

/// Times of a watch that asks a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Probing {
    /// `interval` between two requests, above 0.
    pub interval: Duration,
    /// `init_wait` before the first request.
    pub init_wait: Duration,
    /// `missed_max`: intervals in a row without an answer that the watch tolerates.
    pub missed_max: u32,
}

/// A host of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Host<A> {
    /// Name or address as written in the configuration.
    pub name: String,
    /// The address; `None` for a name that must be resolved.
    pub address: Option<A>,
}

/// `arp_ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ArpPingSettings {
    /// Times of the requests.
    pub probing: Probing,
    /// `target_host`: the neighbour.
    pub target_host: Host<Ipv4Addr>,
    /// `source_host`: source address of requests; `None` stands for 0.0.0.0.
    pub source_host: Option<Host<Ipv4Addr>>,
    /// `vlanid` of the tag of requests and answers; `None` is untagged.
    pub vlanid: Option<u16>,
    /// `validate_active`: on an enabled port only replies of the target count.
    pub validate_active: bool,
    /// `validate_inactive`: on other ports only replies of the target count.
    pub validate_inactive: bool,
    /// `send_always`: other ports send requests like an enabled port.
    pub send_always: bool,
}

/// `nsna_ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NsnaPingSettings {
    /// Times of the requests.
    pub probing: Probing,
    /// `target_host`: the neighbour.
    pub target_host: Host<Ipv6Addr>,
}
