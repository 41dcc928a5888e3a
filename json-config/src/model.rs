//! The configuration as types, one field or variant for each key.
//!
//! Values are within the ranges of [`keys`](crate::keys) and defaults are filled in, so users of
//! these types check nothing. The module `read` converts JSON to these types.

use std::num::NonZeroU32;
use std::time::Duration;

use runners::{
    Burst, Failback, HashFields, HostTraffic, HwAddr, HwAddrPolicy, LacpSettings, LinkWatchPolicy,
    Probing,
};

/// The keys of the team as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// `device`: name of the team device; `None` for a generated one.
    pub device: Option<String>,
    /// `debug_level`; 0 turns debug output off.
    pub debug_level: u32,
    /// `data_path`.
    pub data_path: DataPathChoice,
    /// `probe`; `None` if absent or not a boolean.
    pub probe: Option<bool>,
    /// `hwaddr`: a unicast address, not all zero; `None` for the first port's.
    pub hwaddr: Option<HwAddr>,
    /// `link_watch_policy`.
    pub link_watch_policy: LinkWatchPolicy,
    /// `notify_peers`: count and interval in milliseconds, each at most 2^31 - 1.
    pub notify_peers: Burst,
    /// `mcast_rejoin`: ranges as `notify_peers`.
    pub mcast_rejoin: Burst,
    /// `runner.min_ports`: 1 to 1024 ports that must carry for the team device to have a carrier.
    pub min_ports: u32,
    /// `runner`.
    pub runner: Runner,
}

/// `data_path`: the part of the system that forwards frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataPathChoice {
    /// The first of the others that works on the host, in this order.
    #[default]
    Auto,
    /// The kernel's team driver.
    Kernel,
    /// eBPF programs that teamr loads into the kernel.
    Programs,
    /// The daemon itself.
    Relay,
}

/// `runner`: the runner with its own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runner {
    /// `broadcast`
    Broadcast,
    /// `roundrobin`
    RoundRobin {
        /// `runner.packets_per_port`: 1 to 65535.
        packets_per_port: NonZeroU32,
    },
    /// `random`
    Random,
    /// `activebackup`
    ActiveBackup {
        /// `runner.hwaddr_policy`.
        hwaddr_policy: HwAddrPolicy,
        /// `runner.failback` and `runner.failback_delay`, at most 2^31 - 1 milliseconds.
        failback: Failback,
    },
    /// `loadbalance`
    LoadBalance(Hashing),
    /// `lacp`
    Lacp(LacpSettings),
    /// `slb`, `tlb` and `alb`
    Slb {
        /// Ports for the traffic of the team itself; distinguishes the three runners.
        host: HostTraffic,
        /// `runner.tx_balancer`, as in [`Hashing`].
        balancing_interval: Option<Duration>,
        /// `runner.lp_interval` of tlb and alb, in seconds in the configuration; `None` if 0.
        learning_interval: Option<Duration>,
    },
}

/// Keys of the runners that keep a flow on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// `runner.tx_hash`; the empty set makes all frames one flow.
    pub tx_hash: HashFields,
    /// `runner.tx_balancer.balancing_interval`, in tenths of a second in the configuration; `None`
    /// if 0 or without a balancer.
    pub balancing_interval: Option<Duration>,
}

/// The keys of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `prio`: the higher one is preferred.
    pub prio: i32,
    /// `sticky`: an active port stays active while its link is up.
    pub sticky: bool,
    /// `queue_id`: at most 2^31 - 1.
    pub queue_id: Option<u32>,
    /// `lacp_prio`: the lower one is preferred; 255 by default.
    pub lacp_prio: u16,
    /// `lacp_key`: only ports with equal keys form an aggregate.
    pub lacp_key: u16,
    /// `link_watch` of the port, then of the team; one `ethtool` without both.
    pub link_watches: Vec<Watch>,
}

/// One link watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// `ethtool`
    Ethtool {
        /// `delay_up`: at most 2^31 - 1 milliseconds.
        delay_up: Duration,
        /// `delay_down`: at most 2^31 - 1 milliseconds.
        delay_down: Duration,
    },
    /// `arp_ping`
    ArpPing(ArpPing),
    /// `nsna_ping`
    NsnaPing(NsnaPing),
    /// `tipc`
    Tipc {
        /// `tipc_bearer`: interface part of the bearer, 1 to 31 bytes.
        bearer: String,
    },
}

/// Keys of the watch `arp_ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArpPing {
    /// `interval`, at least 1 ms; `init_wait`; `missed_max`. All at most 2^31 - 1.
    pub probing: Probing,
    /// `target_host`: IPv4 address or host name, not empty.
    pub target_host: String,
    /// `source_host`: IPv4 address or host name, not empty; `None` stands for 0.0.0.0.
    pub source_host: Option<String>,
    /// `vlanid`: 0 to 4095; `None` is untagged.
    pub vlanid: Option<u16>,
    /// `validate_active`: on an active port only a valid answer counts.
    pub validate_active: bool,
    /// `validate_inactive`: on an inactive port only a valid answer counts.
    pub validate_inactive: bool,
    /// `send_always`: inactive ports send requests too.
    pub send_always: bool,
}

/// Keys of the watch `nsna_ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NsnaPing {
    /// `interval`, `init_wait` and `missed_max`, as with `arp_ping`.
    pub probing: Probing,
    /// `target_host`: IPv6 address, perhaps with `%` and an interface, or host name; not empty.
    pub target_host: String,
}
