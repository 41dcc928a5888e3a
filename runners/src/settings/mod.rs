//! Settings of a team and its ports: the configuration as types.
//!
//! The crate `json-config` reads the configuration and checks ranges; every value here is valid.
//! Serialized names are part of the recording format.

pub(crate) mod follower;
pub(crate) mod lacp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use crate::ident::HwAddr;
use crate::settings::follower::Follower;
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
    /// `follow`: links that follow the carrier of the team device.
    #[cfg_attr(feature = "serde", serde(default))]
    pub follow: Vec<Follower>,
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
            follow: Vec::new(),
        }
    }

    /// Allows or forbids probes, those of the runner included.
    pub fn with_probe(mut self, probe: bool) -> Self {
        self.probe = probe;
        if let RunnerSettings::ActiveBackup { failback, .. } = &mut self.runner {
            failback.probe &= probe;
        }
        self
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
    /// `runner.failback_probe`: a probe of the better port must have reached the active one, if
    /// probes pass between the two.
    #[cfg_attr(feature = "serde", serde(default))]
    pub probe: bool,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// `gate`: `false` keeps the port out of forwarding, whatever its link.
    pub gate: bool,
    /// `damping`: the port's own keys, else the team's; `None` turns damping off.
    pub damping: Option<DampingSettings>,
    /// `link_watch`: the port's own, else the team's. Read when the port joins, and with
    /// [`Event::SettingsReplaced`](crate::Event::SettingsReplaced).
    pub link_watches: Vec<LinkWatchSettings>,
    /// `follow`: links that are up only while the port counts for the carrier of the team device.
    pub follow: Vec<Follower>,
}

impl Default for PortSettings {
    fn default() -> Self {
        PortSettings {
            prio: 0,
            sticky: false,
            queue_id: None,
            lacp: LacpPortSettings::default(),
            gate: true,
            damping: None,
            link_watches: Vec::new(),
            follow: Vec::new(),
        }
    }
}

/// `damping`: thresholds and times that keep a port from carrying traffic after lost links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DampingSettings {
    /// `penalty` for each lost link.
    pub penalty: u32,
    /// `suppress`: a higher penalty suppresses the port; above `reuse`.
    pub suppress: u32,
    /// `reuse`: a penalty that has decayed to this value ends the suppression; above 0.
    pub reuse: u32,
    /// `half_life`: time in which the penalty decays by half, above 0.
    pub half_life: Duration,
    /// `max_suppress`: longest suppression after the last lost link.
    pub max_suppress: Duration,
}

impl DampingSettings {
    /// Returns the ceiling of the penalty, which decays to `reuse` in `max_suppress`.
    pub fn penalty_ceiling(&self) -> f64 {
        let half_lives = self.max_suppress.as_secs_f64() / self.half_life.as_secs_f64();
        f64::from(self.reuse) * half_lives.exp2()
    }
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
    /// Asks the ports of the team, or of other teams, by probe frames.
    Probe(ProbeSettings),
    /// Follows the TIPC links over a bearer.
    Tipc {
        /// `tipc_bearer`: interface part of the bearer.
        bearer: String,
    },
    /// Judges the port by its corrupted frames.
    Errors(ErrorsSettings),
    /// Keeps a BFD session with a peer.
    Bfd(BfdSettings),
    /// Runs LACP on the port in an aggregate of its own.
    Lacp(LacpSettings),
}

/// `bfd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BfdSettings {
    /// `single_hop`: a session of RFC 5881 instead of a micro session of RFC 7130.
    pub single_hop: bool,
    /// `local_address` that packets come from.
    pub local: IpAddr,
    /// `peer_address`, of the same family.
    pub peer: IpAddr,
    /// `interval` between two packets, in both directions; above 0.
    pub interval: Duration,
    /// `multiplier`: intervals without a packet after which the peer counts as lost; above 0.
    pub multiplier: u8,
}

/// `probe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProbeSettings {
    /// Times of the requests, without retries.
    pub probing: Probing,
    /// `group`: the ports of other teams with this number answer; 0 for the ports of the own team.
    pub group: u16,
    /// `vlanid` of the tag of requests and replies; `None` is untagged.
    pub vlanid: Option<u16>,
}

/// `errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ErrorsSettings {
    /// `interval` between two readings of the counters, above 0.
    pub interval: Duration,
    /// `error_ratio`: share of corrupted frames from which the port is bad, in millionths, above 0.
    pub error_ratio: u32,
    /// `min_errors`: corrupted frames without which no port is bad, above 0.
    pub min_errors: u32,
    /// `hold_time`: time without a bad window after which the port is good again, above 0.
    pub hold_time: Duration,
}

/// Times of a watch that asks a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Probing {
    /// `interval` between two requests, above 0.
    pub interval: Duration,
    /// `init_wait` before the first request.
    pub init_wait: Duration,
    /// `missed_max`: requests in a row without an answer that the watch tolerates.
    pub missed_max: u32,
    /// `retry_interval`: least pause between the requests that follow a request without an answer;
    /// `None` keeps all requests an interval apart.
    pub retry_interval: Option<Duration>,
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
    /// `send_always`: waiting ports send requests in every interval.
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
