//! The pure core of teamr: teams, runners and link watches as state machines.
//!
//! Events with timestamps go in, actions come out. No code here opens a socket, reads a clock, parses
//! JSON or draws entropy, so every behaviour can be tested in virtual time and without root.
//!
//! ```
//! use runners::{
//!     Duplex, Event, HwAddr, Instant, Link, PortId, PortSettings,
//!     RunnerSettings, Team, TeamSettings,
//! };
//!
//! let hwaddr = HwAddr([2, 0, 0, 0, 0, 1]);
//! let mut team = Team::new(TeamSettings::new(RunnerSettings::Broadcast), hwaddr);
//! team.handle(
//!     Instant::ZERO,
//!     Event::PortAdded {
//!         port: PortId(1),
//!         name: "eth1".to_owned(),
//!         hwaddr,
//!         link: Link { up: true, speed: 1000, duplex: Duplex::Full },
//!         settings: PortSettings::default(),
//!         adopted: false,
//!     },
//! );
//! let actions: Vec<String> = std::iter::from_fn(|| team.poll_action())
//!     .map(|action| action.to_string())
//!     .collect();
//! assert_eq!(actions, ["forward broadcast: 1+^", "carrier true", "carrier changed to UP"]);
//! assert_eq!(team.next_deadline(), None);
//! ```
//!
//! Modules, each importing only from those above it:
//!
//! | module | contents |
//! |---|---|
//! | `ident`, `interface_name`, `time`, `buckets`, `control_frames`, `hex`, `random`, `receive_errors` | values |
//! | [`wire`] | frames as bytes |
//! | [`tx_hash`] | the hash bucket of a frame |
//! | `settings`, `event` | input of a team |
//! | `bfd` | sessions that run beside a team |
//! | `lacp_machines` | the LACP machines of one port |
//! | `lacp_status`, `keep_alive`, `exclusion` | status of lacp; what the kernel may answer; causes that keep a port from carrying traffic |
//! | `forwarding`, `action` | output of a team; [`Distributor`] applies a forwarding to frames |
//! | `link_watch`, `probe`, `port` | state of links and ports |
//! | `runner` | the choice of ports: one module for each runner |
//! | `team` | facts, and the outputs derived from them |
#![forbid(unsafe_code)]

mod action;
mod bfd;
mod buckets;
mod control_frames;
mod event;
mod exclusion;
mod forwarding;
mod hex;
mod ident;
mod interface_name;
mod keep_alive;
mod lacp_machines;
mod lacp_status;
mod link_watch;
mod port;
mod probe;
mod random;
mod receive_errors;
#[cfg(feature = "serde")]
mod recorded;
mod runner;
mod settings;
mod team;
mod time;
pub mod tx_hash;
pub mod wire;

pub use action::{Action, FailbackCause, Report};
pub use bfd::{BfdSession, BfdStatus, Verdict};
pub use control_frames::ControlFrames;
pub use event::{Event, PeerSeen, StationSeen};
pub use exclusion::Exclusion;

pub use buckets::{BUCKETS, BucketTable};
pub use forwarding::distributor::{Distributor, Selection};
pub use forwarding::source_balance::Reception;
pub use forwarding::source_balance::policy::{HostBalance, SourceBalance};
pub use forwarding::{Forwarding, PortForwarding, TxPolicy, learned_sources};
pub use ident::{Duplex, HwAddr, IpFamily, Link, ParseHwAddrError, PortId};
pub use interface_name::{
    LONGEST_INTERFACE_NAME, interface_name, interface_name_bytes, is_interface_name,
};
pub use keep_alive::KeepAlive;
pub use lacp_status::{LacpPortStatus, LacpStatus, MachineStates, PduCounters, Selected};
pub use link_watch::{LinkWatch, PingStatus, ProbeStatus, WatchProblem};
pub use port::Port;
pub use port::damping::DampingStatus;
pub use probe::{PROBE_MAGIC, Prober, is_probe};
pub use random::SplitMix64;
pub use receive_errors::{ErrorsStatus, ReceiveCounters};
#[cfg(feature = "serde")]
pub use recorded::hex_digits;
pub use runner::factory::policy_without_ports;
pub use settings::follower::{Follower, ParseFollowerError};
pub use settings::lacp::{AggSelectPolicy, FallbackMethod, LacpPortSettings, LacpSettings};
pub use settings::{
    ArpPingSettings, BfdSettings, Burst, DampingSettings, ErrorsSettings, Failback, FailbackPolicy,
    Host, HostTraffic, HwAddrPolicy, LinkWatchPolicy, LinkWatchSettings, NsnaPingSettings,
    PortSettings, ProbeSettings, Probing, RunnerSettings, TeamSettings,
};
pub use team::Team;
pub use team::failovers::FailoverTimes;
pub use time::Instant;
pub use tx_hash::{HashFields, Selector};
