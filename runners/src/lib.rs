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
//! | `ident`, `time`, `buckets`, `control_frames`, `hex`, `random` | values |
//! | [`wire`] | frames as bytes |
//! | [`tx_hash`] | the hash bucket of a frame |
//! | `settings`, `event` | input of a team |
//! | `forwarding`, `action` | output of a team; [`Distributor`] applies a forwarding to frames |
//! | `link_watch`, `probe`, `port` | state of links and ports |
//! | `runner` | the choice of ports: one module for each runner |
//! | `team` | facts, and the outputs derived from them |
#![forbid(unsafe_code)]

mod action;
mod buckets;
mod control_frames;
mod event;
mod forwarding;
mod hex;
mod ident;
mod link_watch;
mod port;
mod probe;
mod random;
#[cfg(feature = "serde")]
mod recorded;
mod runner;
mod settings;
mod team;
mod time;
pub mod tx_hash;
pub mod wire;

pub use action::{Action, Report};
pub use control_frames::ControlFrames;
pub use event::{Event, PeerSeen, StationSeen};

pub use buckets::{BUCKETS, BucketTable};
pub use forwarding::distributor::{Distributor, Selection};
pub use forwarding::source_balance::Reception;
pub use forwarding::source_balance::policy::{HostBalance, SourceBalance};
pub use forwarding::{Forwarding, PortForwarding, TxPolicy, learned_sources};
pub use ident::{
    Duplex, HwAddr, IpFamily, LONGEST_INTERFACE_NAME, Link, ParseHwAddrError, PortId,
    is_interface_name,
};
pub use link_watch::{LinkWatch, PingStatus, WatchProblem};
pub use port::Port;
pub use probe::{PROBE_MAGIC, is_probe};
pub use random::SplitMix64;
#[cfg(feature = "serde")]
pub use recorded::hex_digits;
pub use runner::factory::policy_without_ports;
pub use runner::lacp::{LacpPortStatus, LacpStatus, MachineStates, PduCounters, Selected};
pub use settings::lacp::{AggSelectPolicy, FallbackMethod, LacpPortSettings, LacpSettings};
pub use settings::{
    ArpPingSettings, Burst, Failback, FailbackPolicy, Host, HostTraffic, HwAddrPolicy,
    LinkWatchPolicy, LinkWatchSettings, NsnaPingSettings, PortSettings, Probing, RunnerSettings,
    TeamSettings,
};
pub use team::Team;
pub use team::failovers::FailoverTimes;
pub use time::Instant;
pub use tx_hash::{HashFields, Selector};
