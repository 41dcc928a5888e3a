//! Events: the input of a [`Team`](crate::Team).
//!
//! An event carries a fact that the caller has read, or a request of the user. Facts may repeat
//! what the team knows. Serialized names are part of the recording format.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::buckets::BUCKETS;
use crate::ident::{HwAddr, IpFamily, Link, PortId};
use crate::receive_errors::{ErrorsStatus, ReceiveCounters};
use crate::settings::lacp::LacpSettings;
use crate::settings::{BfdSettings, PortSettings, TeamSettings};
use crate::time::Instant;

/// Input of [`Team::handle`](crate::Team::handle), which takes the time with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Event {
    /// A port joined the team.
    PortAdded {
        /// Identity of this membership.
        port: PortId,
        /// Interface name.
        name: String,
        /// Hardware address before the port joined.
        hwaddr: HwAddr,
        /// Link state now.
        link: Link,
        /// Settings from the configuration.
        settings: PortSettings,
        /// The port was in the team, and may have carried traffic, before this `Team` was
        /// created. Its watches start with the state of the carrier, without delays, and the
        /// team device keeps its address.
        #[cfg_attr(feature = "serde", serde(rename = "standing"))]
        adopted: bool,
    },
    /// A port left the team.
    PortRemoved {
        /// The port.
        port: PortId,
    },
    /// The interface of a port has a new name.
    PortRenamed {
        /// The port.
        port: PortId,
        /// The new name.
        name: String,
    },
    /// Carrier, speed and duplex of a port were read.
    LinkChanged {
        /// The port.
        port: PortId,
        /// Link state now.
        link: Link,
    },
    /// The hardware address of a port was read.
    PortHwAddrChanged {
        /// The port.
        port: PortId,
        /// Address now.
        hwaddr: HwAddr,
    },
    /// [`Action::SetPortHwAddr`](crate::Action::SetPortHwAddr) failed, or the interface reports
    /// another address afterwards.
    PortHwAddrRefused {
        /// The port.
        port: PortId,
        /// The refused address.
        hwaddr: HwAddr,
    },
    /// The hardware address of the team device was read.
    TeamHwAddrChanged {
        /// Address now.
        hwaddr: HwAddr,
    },
    /// The link-local IPv6 address of a port was read.
    PortLinkLocalChanged {
        /// The port.
        port: PortId,
        /// An address that may be used now; `None` without one.
        address: Option<Ipv6Addr>,
    },
    /// The link-local IPv6 address of the team device was read.
    TeamLinkLocalChanged {
        /// An address that may be used now; `None` without one.
        address: Option<Ipv6Addr>,
    },
    /// The resolution of a host name ended; answers
    /// [`Action::ResolveHost`](crate::Action::ResolveHost).
    HostResolved {
        /// The name from the action.
        host: String,
        /// Address family from the action.
        family: IpFamily,
        /// Address of the host; `None` if the resolution failed.
        address: Option<IpAddr>,
    },
    /// The TIPC links of the host were read.
    TipcBearersChanged {
        /// Interface parts of the bearers with a link up; `None` without TIPC in the kernel.
        linked: Option<BTreeSet<String>>,
    },
    /// The settings of a port were replaced: `prio` and `sticky` take effect at once,
    /// link watches when the port joins again.
    PortSettingsChanged {
        /// The port.
        port: PortId,
        /// The new settings.
        settings: PortSettings,
    },
    /// The user allows or forbids a port to carry traffic.
    PortAllowed {
        /// The port.
        port: PortId,
        /// `false` keeps the port out of forwarding, whatever its link state.
        allowed: bool,
    },
    /// The user opened or closed the MACsec gate of a port, which only lacp reads.
    PortMacsecGate {
        /// The port.
        port: PortId,
        /// `false` keeps the port out of forwarding, and withdraws its Synchronization.
        open: bool,
    },
    /// The user drains a port, or ends a drain. A drained port sends nothing; the runner decides how
    /// long the port still receives.
    PortDrained {
        /// The port.
        port: PortId,
        /// Whether the port is drained.
        drained: bool,
    },
    /// State of damping that a port has at the beginning of a recording.
    PortPenalty {
        /// The port.
        port: PortId,
        /// The penalty now.
        penalty: u64,
        /// End of the suppression; `None` if the port is not suppressed.
        suppressed_until: Option<Instant>,
    },
    /// The team device was set administratively up or down; a new team counts as up.
    TeamAdminChanged {
        /// Whether the device is up now.
        up: bool,
    },
    /// The settings of lacp were replaced; other runners ignore the event.
    LacpSettingsChanged {
        /// The new settings, all of them.
        settings: LacpSettings,
    },
    /// The configuration was replaced: settings of the team and of ports. A runner or link watch
    /// goes on if the new settings permit; facts about ports stay.
    SettingsReplaced {
        /// All settings of the team.
        settings: Box<TeamSettings>,
        /// Settings of ports; the other ports keep theirs.
        ports: Vec<(PortId, PortSettings)>,
    },
    /// `min_ports` was changed.
    MinPortsChanged {
        /// Ports that must carry for the team device to have a carrier; at least 1.
        min_ports: u32,
    },
    /// The user sets the LACPDU statistics to zero; other runners than lacp ignore the event.
    StatisticsCleared {
        /// The port; `None` for all ports.
        port: Option<PortId>,
    },
    /// The team device keeps its carrier until the deadline, or until enough ports carry: the
    /// team was up before a restart, and its carrier must not flap.
    CarrierHeld {
        /// The deadline.
        until: Instant,
    },
    /// The daemon is about to end and leaves device and ports in place. lacp sends one more PDU
    /// on each port, so that partners start their timeout anew and wait for the next daemon.
    LeftInPlace,
    /// The user chose the active port (activebackup), or the port whose aggregator carries
    /// (lacp); other runners ignore the event.
    ActivePortChosen {
        /// The port.
        port: PortId,
    },
    /// A port received a frame, whether the port collects or not. The classes that
    /// [`Action::Listen`](crate::Action::Listen) names must be handed in, others may be.
    FrameReceived {
        /// The receiving port.
        port: PortId,
        /// The whole Ethernet frame, VLAN tags inside.
        #[cfg_attr(feature = "serde", serde(with = "crate::recorded::hex_digits"))]
        frame: Vec<u8>,
    },
    /// The user asks for a probe on each port with a link, to find ports in one network.
    ProbesWanted,
    /// The bucket counters of the data path were read; answers
    /// [`Action::ReadBucketCounters`](crate::Action::ReadBucketCounters).
    BucketCounters {
        /// Bytes sent since the data path started, by bucket.
        #[cfg_attr(feature = "serde", serde(with = "crate::recorded::counters"))]
        bytes: Box<[u64; BUCKETS]>,
    },
    /// The BFD session of a port says something else about its path.
    PathChanged {
        /// The port.
        port: PortId,
        /// The settings of the session.
        settings: BfdSettings,
        /// Whether frames pass in both directions.
        up: bool,
    },
    /// The counters of ports were read; answers
    /// [`Action::ReadPortCounters`](crate::Action::ReadPortCounters).
    PortCounters {
        /// Counters of each port that was read.
        ports: Vec<(PortId, ReceiveCounters)>,
    },
    /// The judgement of the watch errors that a port has at the beginning of a recording.
    PortErrors {
        /// The port.
        port: PortId,
        /// The judgement.
        status: ErrorsStatus,
    },
    /// A watch of a port that asks a neighbour is down at the beginning of a recording.
    PortWatchDown {
        /// The port.
        port: PortId,
        /// Place of the watch among the port's watches, from 0.
        place: usize,
    },
    /// The watch lacp of a port is down at the beginning of a recording.
    PortWithoutPartner {
        /// The port.
        port: PortId,
    },
    /// The stations whose frames the team device sent were read; answers
    /// [`Action::ReadStations`](crate::Action::ReadStations).
    Stations {
        /// Stations, each address once in each VLAN.
        stations: Vec<StationSeen>,
        /// Peers with an address of the team in their neighbour table; only with alb.
        peers: Vec<PeerSeen>,
    },
    /// The caller has not run since the deadline, and may still have frames of that time: lacp
    /// waits for these frames before a silent Partner times out.
    Resumed,
    /// The deadline of [`Team::next_deadline`](crate::Team::next_deadline) has come.
    DeadlineReached,
}

/// A station behind the team device, or the team itself, whose frames the team device sent in the
/// last minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StationSeen {
    /// Hardware address of the station.
    pub hwaddr: HwAddr,
    /// VLAN of the station's frames; 0 if untagged.
    pub vlan: u16,
    /// Bucket of the station; `None` for the team's own address.
    pub bucket: Option<u8>,
}

/// A peer that learned an address of the team by ARP or neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerSeen {
    /// VLAN of the exchange; 0 if untagged.
    pub vlan: u16,
    /// IP address of the team that the peer knows.
    pub own: IpAddr,
    /// IP address of the peer, of the same family.
    pub ip: IpAddr,
    /// Hardware address of the peer.
    pub hwaddr: HwAddr,
    /// Whether the team advertised itself as an IPv6 router.
    pub router: bool,
    /// Bucket of the peer.
    pub bucket: u8,
}
