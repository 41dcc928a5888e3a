//! The seam between a team's decisions and the frames.
//!
//! A data path carries out a [`Forwarding`]; it never decides. Team-device address, MTU and
//! carrier are not its business: they go through rtnetlink for every backend. Nor are the frames
//! that the daemon itself sends and reads: they have a [`PortSocket`] on each port.
//!
//! [`PortSocket`]: port_socket::PortSocket

pub mod closing;
pub mod device;
pub mod ebpf;
mod frame_buffer;
pub mod port_socket;
pub mod port_state;
pub mod relay;
pub mod team_driver;

use std::io;

use json_config::DataPathChoice;
use mio::Token;
use runners::{BUCKETS, Forwarding, HwAddr, Instant, PeerSeen, PortId, PortSettings, StationSeen};

/// Mark of the frames that we send on a port; the filters of [`crate::netlink::tc`] let only
/// frames with this mark leave.
pub const MARK: u32 = 0x7ea3_0001;

/// What a data path must know of an interface to take it as a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInterface {
    /// Kernel's interface index.
    pub ifindex: u32,
    /// Interface name now.
    pub name: String,
    /// Address now.
    pub hwaddr: HwAddr,
    /// MTU now, in bytes.
    pub mtu: u32,
    /// The host may speak IPv6 on it.
    pub ipv6: bool,
    /// Somebody has it take in frames for any address.
    pub promiscuous: bool,
}

/// Who brings ports into the state that a team needs, and back: up, with the team's MTU, and in
/// the end down, with their own address and MTU. Who takes care of that also announces ports
/// that begin to carry, and lets the team's carrier follow theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCare {
    /// The daemon, over rtnetlink; the interface stays without a master.
    Daemon,
    /// The data path; the team device becomes the interface's master.
    DataPath,
}

/// Whether a source has more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Read to `WouldBlock`: the next readiness event will come.
    Dry,
    /// The budget ended first: call again, no event will come.
    More,
}

/// So much traffic. A segment of 64 KiB that passes whole is one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Frames.
    pub frames: u64,
    /// Their bytes, Ethernet header included.
    pub bytes: u64,
}

impl Volume {
    /// One frame more, of so many bytes.
    pub fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }
}

/// What a port carried for the team device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortTraffic {
    /// Received there and taken up.
    pub taken: Volume,
    /// Handed to the port.
    pub sent: Volume,
}

/// What a data path has counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By port, since it became one: what it carried. Ports are missing where it is not known.
    pub traffic: Vec<(PortId, PortTraffic)>,
    /// By port: frames that could not be sent because its queue was full or it was down.
    pub tx_dropped: Vec<(PortId, u64)>,
    /// Frames from the team device for which no port could be chosen, or that it could not
    /// hand over.
    pub tx_no_port: u64,
    /// By port: frames lost before they could be read, because its receive buffer was full.
    pub rx_missed: Vec<(PortId, u64)>,
    /// Frames received on a port that does not collect.
    pub rx_inactive: u64,
    /// Frames of our own that came back, under a policy that can tell.
    pub rx_echoes: u64,
    /// Frames that the team device would not take (down, or malformed), or that a port could
    /// not hand over whole.
    pub rx_dropped: u64,
    /// Times that the data path lost news and read everything anew.
    pub resyncs: u64,
}

/// What moves the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPathKind {
    /// The kernel's team driver.
    Kernel,
    /// Programs of ours inside the kernel.
    Programs,
    /// The daemon itself.
    Relay,
}

impl DataPathKind {
    /// The word of the configuration and of the state.
    pub fn name(self) -> &'static str {
        match self {
            DataPathKind::Kernel => DataPathChoice::Kernel.word(),
            DataPathKind::Programs => DataPathChoice::Programs.word(),
            DataPathKind::Relay => DataPathChoice::Relay.word(),
        }
    }

    /// The mover that a word names.
    pub fn from_name(name: &str) -> Option<DataPathKind> {
        [
            DataPathKind::Kernel,
            DataPathKind::Programs,
            DataPathKind::Relay,
        ]
        .into_iter()
        .find(|mover| mover.name() == name)
    }
}

/// One way of moving frames between a team device and its ports.
///
/// Calls are idempotent and never wait. An error leaves things as they were before the call,
/// but for [`detach_port`](Self::detach_port).
pub trait DataPath {
    /// Who takes care of the ports; never changes.
    fn port_care(&self) -> PortCare;

    /// What moves the frames now.
    fn mover(&self) -> DataPathKind;

    /// Whether it may yet load programs into the kernel.
    fn loads_programs(&self) -> bool {
        self.port_care() == PortCare::Daemon
    }

    /// Has something else move the frames from now on; the team device stays as it is.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if this team device cannot have it; otherwise why it does not work here.
    /// Everything then goes on as before.
    fn switch_to(&mut self, mover: DataPathKind) -> io::Result<()> {
        match mover == self.mover() {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        }
    }

    /// Takes an interface as a port; it stays silent until a forwarding enables it, where the
    /// data path can have it so.
    fn attach_port(&mut self, port: PortId, interface: &PortInterface) -> io::Result<()>;

    /// Gives an interface back as it was found; `Ok` also if it has vanished meanwhile. After an
    /// error the port is no longer served either; what could not be undone is in the error.
    fn detach_port(&mut self, port: PortId) -> io::Result<()>;

    /// Takes away, before the device goes or somebody else has it, what would stay.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Heeds what the configuration says of a port, as far as it concerns the data path.
    fn configure_port(&mut self, _port: PortId, _settings: &PortSettings) -> io::Result<()> {
        Ok(())
    }

    /// The priority that a port has in the data path, where others may change it there.
    fn priority(&self, _port: PortId) -> Option<i32> {
        None
    }

    /// Forwards like this from now on.
    fn apply_forwarding(&mut self, forwarding: &Forwarding) -> io::Result<()>;

    /// The time of what follows, for a data path that remembers frames for a while.
    fn set_time(&mut self, _now: Instant) {}

    /// Moves up to `budget` frames from the source that `token` names.
    fn drain_ready(&mut self, token: Token, budget: usize) -> io::Result<Drained>;

    /// Has the next frame cause an event, for a data path that moves frames unseen.
    fn ask_for_frames(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What was counted; read for the state and the tests.
    fn counters(&self) -> Counters;

    /// Whose frames the team device has sent lately, where the policy needs to know.
    fn stations(&self) -> Vec<StationSeen> {
        Vec::new()
    }

    /// Peers that were told by ARP where the team is, where the policy needs to know.
    fn peers(&self) -> Vec<PeerSeen> {
        Vec::new()
    }

    /// Bytes sent in each bucket, counted while the forwarding says `balanced`.
    fn bucket_bytes(&self) -> Box<[u64; BUCKETS]>;
}
