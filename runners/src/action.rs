//! What a [`Team`](crate::Team) wants done.

use std::fmt;

use crate::control_frames::ControlFrames;
use crate::forwarding::Forwarding;
use crate::hex::Hex;
use crate::ident::{HwAddr, IpFamily, PortId};

/// A wish of the team. All are idempotent; the caller carries them out in order and reports
/// what came of it through the ordinary events (a changed address comes back as one).
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the data path forward like this; the whole desired state.
    ApplyForwarding(Forwarding),
    /// Give a port this address.
    SetPortHwAddr {
        /// Which.
        port: PortId,
        /// The address.
        hwaddr: HwAddr,
    },
    /// Give the team device this address.
    SetTeamHwAddr(HwAddr),
    /// Set the team device's carrier.
    SetCarrier(bool),
    /// Send one round of gratuitous ARP and unsolicited neighbour advertisements.
    NotifyPeers,
    /// Send one round of multicast membership reports.
    RejoinMulticast,
    /// Hear these control frames on every port from now on.
    Listen(ControlFrames),
    /// Send this frame on a port, whether it distributes or not.
    SendFrame {
        /// Which.
        port: PortId,
        /// Whole Ethernet frame, VLAN tags inside.
        frame: Vec<u8>,
    },
    /// Keep this LACPDU for a daemon that takes the team over, who hands it in as
    /// [`Event::FrameReceived`](crate::Event::FrameReceived); none forgets the port's.
    RememberPdu {
        /// The port that it came in on.
        port: PortId,
        /// Whole Ethernet frame.
        frame: Option<Vec<u8>>,
    },
    /// Resolve a name, without haste, and hand the outcome in as
    /// [`Event::HostResolved`](crate::Event::HostResolved), also if there is no address.
    ResolveHost {
        /// The name.
        host: String,
        /// The kind of address that is needed.
        family: IpFamily,
    },
    /// Read the data path's bucket counters and hand them in as
    /// [`Event::BucketCounters`](crate::Event::BucketCounters).
    ReadBucketCounters,
    /// Read whose frames the team device has sent lately, and hand them in as
    /// [`Event::Stations`](crate::Event::Stations).
    ReadStations,
    /// Send this announcement of a station as if the team device had: its port is the station's.
    TransmitFrame {
        /// Whole Ethernet frame, VLAN tags inside.
        frame: Vec<u8>,
    },
    /// Tell the user.
    Report(Report),
}

/// One line, short enough to be compared by eye in a test or a recording.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::ApplyForwarding(forwarding) => write!(f, "forward {forwarding}"),
            Action::SetPortHwAddr { port, hwaddr } => write!(f, "port {port} hwaddr {hwaddr}"),
            Action::SetTeamHwAddr(hwaddr) => write!(f, "team hwaddr {hwaddr}"),
            Action::SetCarrier(up) => write!(f, "carrier {up}"),
            Action::NotifyPeers => f.write_str("notify peers"),
            Action::RejoinMulticast => f.write_str("rejoin multicast"),
            Action::Listen(frames) => write!(f, "listen{frames}"),
            Action::SendFrame { port, frame } => {
                write!(f, "port {port} sends {}", Hex(frame))
            }
            Action::RememberPdu { port, frame } => {
                let verb = if frame.is_some() {
                    "remembers"
                } else {
                    "forgets"
                };
                write!(f, "port {} {verb} an LACPDU", port.0)
            }
            Action::ResolveHost { host, family } => write!(f, "resolve {host} {family:?}"),
            Action::ReadBucketCounters => f.write_str("read counters"),
            Action::ReadStations => f.write_str("read stations"),
            Action::TransmitFrame { frame } => {
                let source = frame.get(6..).and_then(<[u8]>::first_chunk);
                write!(
                    f,
                    "announce {}",
                    HwAddr(source.copied().unwrap_or_default())
                )
            }
            Action::Report(report) => report.fmt(f),
        }
    }
}

/// A line for the log, worded as teamd's (people search for them).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A watch changed its verdict.
    WatchChanged {
        /// Interface name.
        port: String,
        /// Name of the watch, such as `ethtool`.
        watch: &'static str,
        /// The new verdict.
        up: bool,
    },
    /// activebackup chose a port.
    ActivePortChanged {
        /// Interface name.
        port: String,
    },
    /// lacp: a port has another state, by teamd's words.
    LacpStateChanged {
        /// Interface name.
        port: String,
        /// The state before.
        from: &'static str,
        /// The state now.
        to: &'static str,
    },
    /// slb chose the port that broadcasts are taken from.
    DesignatedPortChanged {
        /// Interface name.
        port: String,
    },
    /// Ports that the runner needs apart, or aggregated, lead into one network one by one.
    PlainSwitch {
        /// Interface name of the port that a probe left on.
        from: String,
        /// That of the port where it came in.
        at: String,
    },
    /// The team device's carrier changed.
    CarrierChanged {
        /// The new carrier.
        up: bool,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::WatchChanged { port, watch, up } => {
                let direction = if *up { "up" } else { "down" };
                write!(f, "{port}: {watch}-link went {direction}.")
            }
            Report::ActivePortChanged { port } => write!(f, "Changed active port to \"{port}\"."),
            Report::LacpStateChanged { port, from, to } => {
                write!(f, "{port}: Changed port state: \"{from}\" -> \"{to}\"")
            }
            Report::DesignatedPortChanged { port } => {
                write!(f, "Changed designated port to \"{port}\".")
            }
            Report::PlainSwitch { from, at } => write!(
                f,
                "What leaves on \"{from}\" comes in on \"{at}\": on plain ports of one network this \
                 runner doubles and loses frames; see teamrctl doctor."
            ),
            Report::CarrierChanged { up } => {
                write!(f, "carrier changed to {}", if *up { "UP" } else { "DOWN" })
            }
        }
    }
}
