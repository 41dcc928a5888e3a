//! The configuration as types: every key, also those whose runner or watch the core does not
//! have yet.
//!
//! Values are within the ranges of [`keys`](crate::keys) and defaults are filled in, so a reader
//! never asks whether a number makes sense. How JSON becomes these types is not told here.

use std::num::NonZeroU32;
use std::time::Duration;

use runners::{
    Burst, Failback, HashFields, HostTraffic, HwAddr, HwAddrPolicy, LacpSettings, LinkWatchPolicy,
    Probing,
};

/// What a configuration says of the team as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// `device`: name of the team device; none asks for a generated one.
    pub device: Option<String>,
    /// `debug_level`: 0 is off.
    pub debug_level: u32,
    /// `data_path`.
    pub data_path: DataPathChoice,
    /// `probe`; none if it is absent or no boolean.
    pub probe: Option<bool>,
    /// `hwaddr`: a unicast address, not all zero; none takes the first port's.
    pub hwaddr: Option<HwAddr>,
    /// `link_watch_policy`.
    pub link_watch_policy: LinkWatchPolicy,
    /// `notify_peers`: at most 2^31 - 1 times, as many milliseconds apart.
    pub notify_peers: Burst,
    /// `mcast_rejoin`: ranges as `notify_peers`.
    pub mcast_rejoin: Burst,
    /// `runner.min_ports`: 1 to 1024 usable ports, needed for a carrier.
    pub min_ports: u32,
    /// `runner`.
    pub runner: Runner,
}

/// `data_path`: what moves the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataPathChoice {
    /// The first of the others that works here, in this order.
    #[default]
    Auto,
    /// The kernel's team driver.
    Kernel,
    /// Programs that teamr loads into the kernel.
    Programs,
    /// teamr itself.
    Relay,
}

impl DataPathChoice {
    /// The words of the configuration, of `--data-path` and of the state, in the order of
    /// `CHOICES`. The last one is an older word for the relay.
    pub const WORDS: [&'static str; 5] = ["auto", "kernel", "programs", "relay", "userspace"];

    const CHOICES: [Self; 5] = [
        Self::Auto,
        Self::Kernel,
        Self::Programs,
        Self::Relay,
        Self::Relay,
    ];

    /// Returns the choice of a word; `None` for another word.
    pub fn from_word(word: &str) -> Option<Self> {
        let place = Self::WORDS.iter().position(|known| *known == word)?;
        Some(Self::CHOICES[place])
    }

    /// Returns the word of a choice.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// `runner`: which one, with its own keys.
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
        /// Which of them.
        host: HostTraffic,
        /// `runner.tx_balancer`, as in [`Hashing`].
        balancing_interval: Option<Duration>,
        /// `runner.lp_interval` of tlb and alb, given there in seconds; none if it is 0.
        learning_interval: Option<Duration>,
    },
}

/// How runners that keep a flow on one port tell flows apart and move them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// `runner.tx_hash`; no field at all makes one flow of everything.
    pub tx_hash: HashFields,
    /// `runner.tx_balancer.balancing_interval`, given there in tenths of a second; none if no
    /// balancer is on or the interval is 0.
    pub balancing_interval: Option<Duration>,
}

/// What a configuration says of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `prio`: higher is preferred.
    pub prio: i32,
    /// `sticky`: once active, stays so while its link is up.
    pub sticky: bool,
    /// `queue_id`: at most 2^31 - 1.
    pub queue_id: Option<u32>,
    /// `lacp_prio`: lower is preferred; 255 by default.
    pub lacp_prio: u16,
    /// `lacp_key`: only equal keys aggregate.
    pub lacp_key: u16,
    /// `link_watch` of the port, then that of the team; one `ethtool` if there is neither.
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
    /// `source_host`: IPv4 address or host name, not empty; none is 0.0.0.0.
    pub source_host: Option<String>,
    /// `vlanid`: 0 to 4095; none is untagged.
    pub vlanid: Option<u16>,
    /// `validate_active`: an active port needs a valid answer.
    pub validate_active: bool,
    /// `validate_inactive`: an inactive port needs a valid answer.
    pub validate_inactive: bool,
    /// `send_always`: inactive ports ask as well.
    pub send_always: bool,
}

/// Keys of the watch `nsna_ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NsnaPing {
    /// As with `arp_ping`.
    pub probing: Probing,
    /// `target_host`: IPv6 address, also with `%` and an interface, or host name; not empty.
    pub target_host: String,
}
