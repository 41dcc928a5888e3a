//! Actions: the output of a [`Team`](crate::Team).

use std::fmt;
use std::time::Duration;

use crate::control_frames::ControlFrames;
use crate::exclusion::Exclusion;
use crate::forwarding::Forwarding;
use crate::hex::Hex;
use crate::ident::{HwAddr, IpFamily, PortId};

/// Output of [`Team::poll_action`](crate::Team::poll_action). The caller executes actions in order.
///
/// Actions are idempotent. The team learns of their effect by ordinary events: a changed address,
/// for example, comes back as
/// [`Event::PortHwAddrChanged`](crate::Event::PortHwAddrChanged).
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Apply this forwarding to the data path; the whole desired state.
    ApplyForwarding(Forwarding),
    /// Set the hardware address of a port.
    SetPortHwAddr {
        /// The port.
        port: PortId,
        /// The new address.
        hwaddr: HwAddr,
    },
    /// Set the hardware address of the team device.
    SetTeamHwAddr(HwAddr),
    /// Set the carrier of the team device.
    SetCarrier(bool),
    /// Send one round of gratuitous ARP and unsolicited neighbour advertisements.
    NotifyPeers,
    /// Send one round of multicast membership reports.
    RejoinMulticast,
    /// Receive these control frames on every port from now on.
    Listen(ControlFrames),
    /// Send a frame on a port, whether the port distributes or not.
    SendFrame {
        /// The port.
        port: PortId,
        /// The whole Ethernet frame, VLAN tags inside.
        frame: Vec<u8>,
    },
    /// Save the last LACPDU of a port for a daemon that takes the team over, which hands it in as
    /// [`Event::FrameReceived`](crate::Event::FrameReceived).
    RememberPdu {
        /// The receiving port.
        port: PortId,
        /// The whole Ethernet frame; `None` deletes the saved one.
        frame: Option<Vec<u8>>,
    },
    /// Resolve a host name outside the event loop and hand the outcome in as
    /// [`Event::HostResolved`](crate::Event::HostResolved), a failure too.
    ResolveHost {
        /// The name.
        host: String,
        /// Address family of the wanted address.
        family: IpFamily,
    },
    /// Read the bucket counters of the data path and hand them in as
    /// [`Event::BucketCounters`](crate::Event::BucketCounters).
    ReadBucketCounters,
    /// Read the counters of all ports and hand them in as
    /// [`Event::PortCounters`](crate::Event::PortCounters).
    ReadPortCounters,
    /// Read the stations whose frames the team device sent, and hand them in as
    /// [`Event::Stations`](crate::Event::Stations).
    ReadStations,
    /// Send the announcement of a station as if the team device had sent it: the data path
    /// chooses the port by the station's bucket.
    TransmitFrame {
        /// The whole Ethernet frame, VLAN tags inside.
        frame: Vec<u8>,
    },
    /// Write a line to the log.
    Report(Report),
}

/// One short line, for tests and recordings.
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
                let verb = if frame.is_some() { "remembers" } else { "forgets" };
                write!(f, "port {} {verb} an LACPDU", port.0)
            }
            Action::ResolveHost { host, family } => write!(f, "resolve {host} {family:?}"),
            Action::ReadBucketCounters => f.write_str("read counters"),
            Action::ReadPortCounters => f.write_str("read port counters"),
            Action::ReadStations => f.write_str("read stations"),
            Action::TransmitFrame { frame } => {
                let source = frame.get(6..).and_then(<[u8]>::first_chunk);
                write!(f, "announce {}", HwAddr(source.copied().unwrap_or_default()))
            }
            Action::Report(report) => report.fmt(f),
        }
    }
}

/// A line for the log, in teamd's words where teamd logs the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A link watch went up or down.
    WatchChanged {
        /// Interface name.
        port: String,
        /// Name of the watch, such as `ethtool`.
        watch: &'static str,
        /// Whether the watch is up now.
        up: bool,
    },
    /// activebackup has another active port.
    ActivePortChanged {
        /// Interface name.
        port: String,
    },
    /// lacp: a port has another of teamd's states.
    LacpStateChanged {
        /// Interface name.
        port: String,
        /// The state before.
        from: &'static str,
        /// The state now.
        to: &'static str,
    },
    /// A better port of activebackup begins to wait for the failback probe.
    FailbackWaits {
        /// Interface name.
        port: String,
        /// Interface name of the active port.
        active: String,
    },
    /// The wait for the failback probe ends, and the better port becomes active.
    FailbackGoesOn {
        /// Interface name of the better port.
        port: String,
        /// Why the traffic may move to the port.
        cause: FailbackCause,
    },
    /// slb has another designated port, the one port that broadcasts are received from.
    DesignatedPortChanged {
        /// Interface name.
        port: String,
    },
    /// Two ports lead into one network without an aggregate, which is wrong for the runner.
    PlainSwitch {
        /// Interface name of the port that sent the probe.
        from: String,
        /// Interface name of the port that received the probe.
        at: String,
    },
    /// A gate, damping, a drain or corrupted frames begin or cease to keep a port from carrying
    /// traffic.
    ExclusionChanged {
        /// Interface name.
        port: String,
        /// The reason now; `None` without one.
        exclusion: Option<Exclusion>,
    },
    /// The carrier of the team device changed.
    CarrierChanged {
        /// The new carrier.
        up: bool,
    },
}

/// Why a wait for the failback probe ends with a failback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailbackCause {
    /// The active port received the probe.
    ProbeReceived,
    /// The active port received no probe for the given time.
    TimeOver(Duration),
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
            Report::FailbackWaits { port, active } => write!(
                f,
                "\"{port}\" waits for its probe to reach \"{active}\", which stays active: the \
                 switch may not forward yet."
            ),
            Report::FailbackGoesOn { port, cause: FailbackCause::ProbeReceived } => {
                write!(f, "The probe of \"{port}\" came in: the switch forwards.")
            }
            Report::FailbackGoesOn { port, cause: FailbackCause::TimeOver(time) } => write!(
                f,
                "No probe of \"{port}\" came in for {} s: the failback goes on without one.",
                time.as_secs()
            ),
            Report::DesignatedPortChanged { port } => {
                write!(f, "Changed designated port to \"{port}\".")
            }
            Report::PlainSwitch { from, at } => write!(
                f,
                "What leaves on \"{from}\" comes in on \"{at}\": on plain ports of one network this \
                 runner doubles and loses frames; see teamrctl doctor."
            ),
            Report::ExclusionChanged { port, exclusion: Some(why) } => {
                write!(f, "{port}: Carries no traffic: {why}.")
            }
            Report::ExclusionChanged { port, exclusion: None } => {
                write!(f, "{port}: May carry traffic again.")
            }
            Report::CarrierChanged { up } => {
                write!(f, "carrier changed to {}", if *up { "UP" } else { "DOWN" })
            }
        }
    }
}
