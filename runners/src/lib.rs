//! The pure core of teamr.
//!
//! Teams, runners and link watches are state machines: events with timestamps in, a list of
//! actions out. Nothing here opens a socket, reads a clock, parses JSON or draws a random
//! number, so every behaviour can be tried under virtual time and without root.
#![forbid(unsafe_code)]

mod action;
mod control_frames;
mod event;
mod forwarding;
mod ident;
mod link_watch;
mod port;
mod probe;
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

pub use forwarding::distributor::{Distributor, Selection};
pub use forwarding::source_balance::{HostBalance, Reception, SourceBalance};
pub use forwarding::{BUCKETS, BucketTable, Forwarding, PortForwarding, TxPolicy, learned_sources};
pub use ident::{Duplex, HwAddr, IpFamily, Link, PortId};
pub use link_watch::{Inquiry, LinkWatch, Obstacle};
pub use port::Port;
pub use probe::{PROBE_MAGIC, is_probe};
#[cfg(feature = "serde")]
pub use recorded::hex_digits;
pub use runner::lacp::{LacpPortStatus, LacpStatus, MachineStates, PduCounters, Selected};
pub use runner::policy_without_ports;
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
