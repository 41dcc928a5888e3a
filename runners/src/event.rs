//! What a [`Team`](crate::Team) is told.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::forwarding::BUCKETS;
use crate::ident::{HwAddr, IpFamily, Link, PortId};
use crate::settings::PortSettings;
use crate::settings::lacp::LacpSettings;
use crate::time::Instant;

/// Something that happened; handed to [`Team::handle`](crate::Team::handle) with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Event {
    /// A port joined the team.
    PortAdded {
        /// Its new identity.
        port: PortId,
        /// Interface name.
        name: String,
        /// The address that the port had before it joined.
        hwaddr: HwAddr,
        /// The link at this moment.
        link: Link,
        /// What the configuration says of it.
        settings: PortSettings,
        /// It was in the team, and may have carried traffic, before this core began. Its
        /// watches begin with the link as it is, and the team keeps its address.
        #[cfg_attr(feature = "serde", serde(rename = "standing"))]
        adopted: bool,
    },
    /// A port left the team.
    PortRemoved {
        /// Which.
        port: PortId,
    },
    /// The interface of a port has a new name.
    PortRenamed {
        /// Which.
        port: PortId,
        /// The new name.
        name: String,
    },
    /// Carrier, speed or duplex of a port were read; may repeat what is known.
    LinkChanged {
        /// Which.
        port: PortId,
        /// The link now.
        link: Link,
    },
    /// A port's hardware address was read; may repeat what is known.
    PortHwAddrChanged {
        /// Which.
        port: PortId,
        /// The address now.
        hwaddr: HwAddr,
    },
    /// The team device's hardware address was read; may repeat what is known.
    TeamHwAddrChanged {
        /// The address now.
        hwaddr: HwAddr,
    },
    /// The link-local IPv6 address of a port was read; may repeat what is known.
    PortLinkLocalChanged {
        /// Which.
        port: PortId,
        /// One that may be used now; none if there is none.
        address: Option<Ipv6Addr>,
    },
    /// The team device's link-local IPv6 address was read; may repeat what is known.
    TeamLinkLocalChanged {
        /// One that may be used now; none if there is none.
        address: Option<Ipv6Addr>,
    },
    /// A name was resolved, or could not be; answers
    /// [`Action::ResolveHost`](crate::Action::ResolveHost).
    HostResolved {
        /// The name as it was given.
        host: String,
        /// Of which kind the address had to be.
        family: IpFamily,
        /// None if none was found.
        address: Option<IpAddr>,
    },
    /// TIPC's links were read; may repeat what is known.
    TipcBearersChanged {
        /// Interface parts of the bearers that have a link up; none if the kernel has no TIPC.
        linked: Option<BTreeSet<String>>,
    },
    /// A port's configuration was replaced: `prio` and `sticky` take effect at once,
    /// link watches when the port joins again.
    PortSettingsChanged {
        /// Which.
        port: PortId,
        /// The new settings.
        settings: PortSettings,
    },
    /// The user allows or forbids a port to carry traffic.
    PortAllowed {
        /// Which.
        port: PortId,
        /// False keeps the port out of forwarding whatever its link says.
        allowed: bool,
    },
    /// The team device was set up or down; up until told.
    TeamAdminChanged {
        /// Whether it is up now.
        up: bool,
    },
    /// lacp has these settings from now on; `tx_hash` and the balancer stay.
    LacpSettingsChanged {
        /// All of them.
        settings: LacpSettings,
    },
    /// That many ports that carry are needed for the carrier from now on.
    MinPortsChanged {
        /// At least 1.
        min_ports: u32,
    },
    /// The carrier is shown until then whatever the ports do, or until they earn it: the team was
    /// up before a restart, and is to come back without a flap.
    CarrierHeld {
        /// The end of patience.
        until: Instant,
    },
    /// The daemon is about to end and leaves everything in place: partners are told all of it once
    /// more, so that they wait for the next one as long as they would from now.
    LeftInPlace,
    /// The user chose the active port (activebackup), or the port whose aggregator carries
    /// (lacp); elsewhere without effect.
    ActivePortChosen {
        /// Which.
        port: PortId,
    },
    /// A control frame came in on a port, whether it collects or not; one of those that
    /// [`Action::Listen`](crate::Action::Listen) asked for, or any other.
    FrameReceived {
        /// Receiving port.
        port: PortId,
        /// Whole Ethernet frame, VLAN tags inside.
        #[cfg_attr(feature = "serde", serde(with = "crate::recorded::hex_digits"))]
        frame: Vec<u8>,
    },
    /// Somebody asks what lies between the ports: a probe on each that has a link.
    ProbesWanted,
    /// Bytes sent in each bucket since the team began; answers
    /// [`Action::ReadBucketCounters`](crate::Action::ReadBucketCounters).
    BucketCounters {
        /// By bucket.
        #[cfg_attr(feature = "serde", serde(with = "crate::recorded::counters"))]
        bytes: Box<[u64; BUCKETS]>,
    },
    /// Whose frames the team device has sent lately; answers
    /// [`Action::ReadStations`](crate::Action::ReadStations).
    Stations {
        /// Each address once in each VLAN.
        stations: Vec<StationSeen>,
        /// Peers that were told where the team itself is, under the runner that balances them.
        peers: Vec<PeerSeen>,
    },
    /// The deadline of [`Team::next_deadline`](crate::Team::next_deadline) has come.
    DeadlineReached,
}

/// A station whose frames the team device has sent lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StationSeen {
    /// Its address.
    pub hwaddr: HwAddr,
    /// The VLAN that it spoke in; 0 is none.
    pub vlan: u16,
    /// Its bucket; none for the team's own address.
    pub bucket: Option<u8>,
}

/// A peer that was told by ARP or neighbour discovery where the team is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerSeen {
    /// The VLAN; 0 is none.
    pub vlan: u16,
    /// The address of ours that it knows.
    pub own: IpAddr,
    /// Its own address, of the same family.
    pub ip: IpAddr,
    /// Its hardware address.
    pub hwaddr: HwAddr,
    /// We told our neighbours that we route IPv6.
    pub router: bool,
    /// Its bucket.
    pub bucket: u8,
}
