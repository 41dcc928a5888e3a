//! What a team and its ports are told to do; the typed image of the configuration.
//!
//! Ranges are checked where the configuration is read; here every value makes sense.

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
    /// Which runner decides, with its own keys.
    pub runner: RunnerSettings,
    /// `hwaddr`: an address given explicitly is never replaced by a port's.
    pub hwaddr: Option<HwAddr>,
    /// `link_watch_policy`.
    pub link_watch_policy: LinkWatchPolicy,
    /// `notify_peers`: gratuitous ARP and unsolicited NA when a port becomes enabled.
    pub notify_peers: Burst,
    /// `mcast_rejoin`: multicast membership reports when a port becomes enabled.
    pub mcast_rejoin: Burst,
    /// `runner.min_ports`: usable ports needed for the team device's carrier; 1 by default.
    pub min_ports: u32,
    /// `probe`: the team looks by itself for ports that lead into one network, where that is
    /// wrong for its runner.
    #[cfg_attr(feature = "serde", serde(default))]
    pub probe: bool,
}

impl TeamSettings {
    /// The defaults of teamd around `runner`, which never probes.
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
        /// `runner.packets_per_port`: frames that leave on a port before it is the next one's
        /// turn.
        packets_per_port: NonZeroU32,
    },
    /// A port by chance.
    Random {
        /// Start of the sequence; equal seeds give equal choices.
        seed: u64,
    },
    /// One port carries everything, the others wait.
    ActiveBackup {
        /// `runner.hwaddr_policy`.
        hwaddr_policy: HwAddrPolicy,
        /// `runner.failback` and `runner.failback_delay`.
        #[cfg_attr(feature = "serde", serde(default))]
        failback: Failback,
    },
    /// A flow keeps to one port.
    LoadBalance {
        /// `runner.tx_hash`.
        tx_hash: HashFields,
        /// `runner.tx_balancer`: how often buckets may move to even out the load; none is off.
        balancing_interval: Option<Duration>,
    },
    /// Ports that agree with one partner carry together.
    Lacp(LacpSettings),
    /// A source address keeps to one port, on a switch without an aggregate.
    Slb {
        /// What happens to the traffic of the team itself: the runners tlb and alb.
        host: HostTraffic,
        /// `runner.tx_balancer`, as with loadbalance.
        balancing_interval: Option<Duration>,
        /// `runner.lp_interval` of tlb and alb: how often each port shows the switch its address;
        /// none is never.
        #[cfg_attr(feature = "serde", serde(default))]
        learning_interval: Option<Duration>,
    },
}

/// What slb and its kin do with the traffic of the team itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum HostTraffic {
    /// slb: all of it is on the designated port.
    #[default]
    OnePort,
    /// tlb: what is sent is spread by peer; what is received comes to the designated port.
    Sent,
    /// alb: both are spread by peer.
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
    /// The team takes the active port's address.
    ByActive,
    /// Only the active port carries the team's address; the others keep their own.
    OnlyActive,
}

/// When a better port takes over from an active one that works; from one that failed it does at
/// once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Failback {
    /// `runner.failback`.
    pub policy: FailbackPolicy,
    /// `runner.failback_delay`: the better port must have been the best one this long.
    pub delay: Duration,
}

/// `runner.failback` of activebackup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum FailbackPolicy {
    /// Whenever it is better by prio, speed or duplex, in this order.
    #[default]
    Always,
    /// If it is better in this order, and faster, or as fast with a better duplex.
    Better,
    /// Never.
    Failure,
}

/// How the verdicts of several watches on one port become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum LinkWatchPolicy {
    /// One watch that is up suffices.
    #[default]
    Any,
    /// Every watch must be up.
    All,
}

/// A repeated announcement: `count` times, `interval` apart. A count of 0 is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Burst {
    /// How many times.
    pub count: u32,
    /// The pause between two of them.
    pub interval: Duration,
}

/// Settings of one port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct PortSettings {
    /// `prio`: higher is preferred by activebackup.
    pub prio: i32,
    /// `sticky`: once active, stays so while its link is up.
    pub sticky: bool,
    /// `queue_id`: transmit queue that is steered to this port, where the data path can.
    pub queue_id: Option<u32>,
    /// Keys that lacp reads.
    pub lacp: LacpPortSettings,
    /// The port's own watches, then the team's. Read once, when the port is taken.
    pub link_watches: Vec<LinkWatchSettings>,
}

/// One link watch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum LinkWatchSettings {
    /// Follows the carrier.
    Ethtool {
        /// The carrier must have been there this long before the watch says up.
        delay_up: Duration,
        /// The carrier must have been gone this long before the watch says down.
        delay_down: Duration,
    },
    /// Asks an IPv4 neighbour by ARP.
    ArpPing(ArpPingSettings),
    /// Asks an IPv6 neighbour by neighbour discovery.
    NsnaPing(NsnaPingSettings),
    /// Follows the TIPC links over a bearer.
    Tipc {
        /// `tipc_bearer`: its interface part.
        bearer: String,
    },
}

/// The rhythm of a watch that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Probing {
    /// `interval` between two questions, more than 0.
    pub interval: Duration,
    /// `init_wait` before the first.
    pub init_wait: Duration,
    /// `missed_max`: as many intervals in a row may stay without an answer.
    pub missed_max: u32,
}

/// A host as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Host<A> {
    /// As it is written there.
    pub name: String,
    /// The address that it is; none for a name that has to be resolved.
    pub address: Option<A>,
}

/// `arp_ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ArpPingSettings {
    /// When to ask.
    pub probing: Probing,
    /// `target_host`: who is asked.
    pub target_host: Host<Ipv4Addr>,
    /// `source_host`: in whose name; none is 0.0.0.0.
    pub source_host: Option<Host<Ipv4Addr>>,
    /// `vlanid` of the tag around the questions, and of what is heard; none is untagged.
    pub vlanid: Option<u16>,
    /// `validate_active`: on an enabled port only the target's answer counts.
    pub validate_active: bool,
    /// `validate_inactive`: so on the others.
    pub validate_inactive: bool,
    /// `send_always`: the others ask as an enabled port does.
    pub send_always: bool,
}

/// `nsna_ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NsnaPingSettings {
    /// When to ask.
    pub probing: Probing,
    /// `target_host`: who is asked.
    pub target_host: Host<Ipv6Addr>,
}
