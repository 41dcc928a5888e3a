//! The pure core of teamr.
//!
//! Teams, runners and link watches are state machines: events with timestamps in, a list of
//! actions out. Nothing here opens a socket, reads a clock, parses JSON or draws a random
//! number, so every behaviour can be tried under virtual time and without root.
#![forbid(unsafe_code)]

mod action;
mod activebackup;
mod announce;
mod balancer;
mod broadcast;
mod buckets;
mod control_frames;
mod distributor;
mod event;
mod failovers;
mod flow_table;
mod forwarding;
mod hex;
mod ident;
mod lacp;
mod learning;
mod link_watch;
mod loadbalance;
mod peers;
mod port;
mod probe;
mod probe_times;
mod random;
#[cfg(feature = "serde")]
mod recorded;
mod roundrobin;
mod runner;
mod settings;
mod slb;
mod source_balance;
pub mod source_memory;
mod stations;
mod team;
mod time;
pub mod tx_hash;
pub mod wire;

pub use action::{Action, Report};
pub use control_frames::ControlFrames;
pub use distributor::{Distributor, Selection, Settled};
pub use event::{Event, PeerSeen, StationSeen};
pub use failovers::FailoverTimes;
pub use forwarding::{BUCKETS, BucketTable, Forwarding, PortForwarding, TxPolicy};
pub use ident::{Duplex, HwAddr, IpFamily, Link, PortId};
pub use lacp::{
    AggSelectPolicy, FallbackMethod, LacpPortSettings, LacpPortStatus, LacpSettings, LacpStatus,
    MachineStates, PduCounters, Selected,
};
pub use link_watch::{Inquiry, LinkWatch, Obstacle};
pub use port::Port;
pub use probe::{PROBE_MAGIC, is_probe};
#[cfg(feature = "serde")]
pub use recorded::hex_digits;
pub use settings::{
    ArpPingSettings, Burst, Failback, FailbackPolicy, Host, HostTraffic, HwAddrPolicy,
    LinkWatchPolicy, LinkWatchSettings, NsnaPingSettings, PortSettings, Probing, RunnerSettings,
    TeamSettings,
};
pub use source_balance::{HostBalance, Reception, SourceBalance};
pub use team::Team;
pub use time::Instant;
pub use tx_hash::{HashFields, Selector};
