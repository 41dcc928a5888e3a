//! The interface between a team's decisions and the data paths.
//!
//! Owns the trait [`DataPath`] and the types of its arguments and results. A data path applies a
//! [`Forwarding`] and never decides. The daemon sets the team device's address and MTU over
//! rtnetlink for every data path, and sends and receives its own frames by a [`PortSocket`] on
//! each port.
//!
//! There are two data paths: [`team_driver`] sets options of the kernel's driver; [`driverless`]
//! creates a team device, and either the [`relay`] or the programs of [`ebpf`] move its frames.
//!
//! [`PortSocket`]: port_socket::PortSocket

pub mod closing;
pub mod device;
pub mod driverless;
pub mod ebpf;
mod frame_buffer;
mod hooks_restored;
pub mod port_socket;
pub mod port_state;
pub mod relay;
pub mod team_driver;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::{fmt, io};

use json_config::DataPathChoice;
use mio::Token;
use nix::errno::Errno;
use runners::learned_sources::LearnedSources;
use runners::{
    BUCKETS, Burst, Forwarding, HwAddr, Instant, PeerSeen, PortId, PortSettings, StationSeen,
    TxPolicy,
};
use serde::{Deserialize, Serialize};

use relay::StoppedOffloads;

/// Mark of the frames that the daemon and the programs send on a port; the filters of
/// [`crate::netlink::tc`] let only frames with this mark leave.
pub const MARK: u32 = 0x7ea3_0001;

/// An interface as it is before it becomes a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInterface {
    /// Interface index.
    pub ifindex: u32,
    /// Interface name.
    pub name: String,
    /// Hardware address.
    pub hwaddr: HwAddr,
    /// MTU in bytes.
    pub mtu: u32,
    /// Whether IPv6 is enabled on the interface.
    pub ipv6: bool,
    /// Whether the interface receives frames for any address.
    pub promiscuous: bool,
    /// Offloads that the relay has switched off since the interface became a port.
    #[serde(default, skip_serializing_if = "StoppedOffloads::is_empty")]
    pub stopped_offloads: StoppedOffloads,
}

/// Who does a job that either the daemon or the data path can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The daemon, over rtnetlink and the port sockets.
    Daemon,
    /// The data path.
    DataPath,
}

/// Hash that gives the bucket of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowHash {
    /// The hash of the core, over header fields alone.
    Core,
    /// The hash of the core in a program, which also knows the hash of the sender's socket.
    Program,
    /// teamd's hash in a program that the driver runs, which also knows the hash of the sender's
    /// socket. Without a balanced table the driver chooses a port by the bucket modulo the number of its enabled ports, in an order that it does not tell.
    Driver,
}

/// Differences between data paths that the daemon acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Name for the state and the log; no decision depends on it.
    pub kind: DataPathKind,
    /// Owner of the ports, which sets them up, gives them the team's MTU, and restores them. Ports
    /// of the data path have the team device as their master; ports of the daemon have no master.
    pub ports: Owner,
    /// Sender of gratuitous ARP, unsolicited NA and membership reports when a port is enabled.
    pub announcements: Owner,
    /// Owner of the team device's carrier, which follows the ports' carriers.
    pub carrier: Owner,
    /// Whether the kernel may deliver link events of the ports late, so that polling the
    /// drivers is faster.
    pub late_link_events: bool,
    /// Whether `queue_id` of a port has an effect.
    pub queue_id: bool,
    /// Whether frames go on moving without the daemon.
    pub outlives_daemon: bool,
    /// Whether the policy may become one of another kind while there are ports.
    pub changes_policy: bool,
    /// Hash that gives the bucket of a flow.
    pub flow_hash: FlowHash,
    /// Whether the data path may still load programs into the kernel.
    pub loads_programs: bool,
    /// Whether another program of the host can detach programs of the data path without an event of
    /// the kernel; [`Change::CheckHooks`] is then due at intervals.
    pub silent_hooks: bool,
    /// Kinds that [`Change::SwitchTo`] may name.
    pub switches_to: &'static [DataPathKind],
}

impl Capabilities {
    /// Returns whether [`Change::SwitchTo`] `kind` changes anything.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a kind that is not in `switches_to`.
    fn needs_switch(&self, kind: DataPathKind) -> io::Result<bool> {
        match self.switches_to.contains(&kind) {
            true => Ok(kind != self.kind),
            false => Err(unsupported()),
        }
    }
}

/// Needs of a team, known before the first [`Forwarding`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// How a port will be chosen for a frame; the policy names no ports yet.
    pub policy: TxPolicy,
    /// Whether frames of a bucket without a port must be dropped, not sent on another port.
    pub drops_unmapped: bool,
    /// Interval at which the bytes of each bucket are read; `None` without a balancer.
    pub balancing_interval: Option<Duration>,
    /// Gratuitous ARP and unsolicited NA.
    pub notify_peers: Burst,
    /// Multicast membership reports.
    pub mcast_rejoin: Burst,
}

/// A change that the daemon asks for.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Forward like this from now on.
    Forwarding(&'a Forwarding),
    /// The team has these needs from now on. Where `changes_policy` is false, a policy of another
    /// kind is refused with `EBUSY` while there are ports.
    Requirements(&'a Requirements),
    /// The port has these settings from now on.
    PortSettings(PortId, &'a PortSettings),
    /// Another backend moves the frames from now on; the team device stays as it is.
    SwitchTo(DataPathKind),
    /// The next frame wakes the daemon, also where programs move the frames.
    WakeOnFrame,
    /// The kernel gives the LACP partner of the port this answer while the daemon is away, until
    /// the last LACPDU of the port is older than `limit`.
    KeepAlive {
        /// The port.
        port: PortId,
        /// Greatest age of the last LACPDU; zero detaches the program that answers.
        limit: Duration,
        /// The answer; `None` while the port has no partner to be kept.
        answer: Option<&'a ebpf::Answer>,
    },
    /// Another program of the host may have removed filters or programs of this interface, which
    /// are put back.
    HooksChanged(u32),
    /// Another program of the host may have detached programs without an event of the kernel; these
    /// programs are attached again.
    CheckHooks,
}

/// Outcome of [`DataPath::poll`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Whether the source has more to read.
    pub drained: Drained,
    /// Priorities of ports, where other programs can change the priorities in the data path.
    pub priorities: Vec<(PortId, i32)>,
}

impl From<Drained> for Polled {
    fn from(drained: Drained) -> Self {
        Polled { drained, priorities: Vec::new() }
    }
}

/// Whether a source has more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The source was read to `WouldBlock`: the next readiness event will come.
    Empty,
    /// The budget ended first: no event will come, poll again.
    More,
}

/// A number of frames and their bytes. An unsegmented packet of 64 KiB is one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Frames.
    pub frames: u64,
    /// Bytes of the frames, Ethernet header included.
    pub bytes: u64,
}

impl Volume {
    /// Adds one frame of `bytes` bytes.
    pub fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }
}

/// Frames that a port carried for the team device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortTraffic {
    /// Received on the port and delivered to the team device.
    pub received: Volume,
    /// Sent on the port.
    pub sent: Volume,
}

/// Number of lost frames by error number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops(BTreeMap<i32, u64>);

impl Drops {
    /// Counts a frame that `error` lost.
    pub fn add(&mut self, error: &io::Error) {
        *self.0.entry(error.raw_os_error().unwrap_or_default()).or_default() += 1;
    }

    /// Counts a frame if `sent` is an error.
    pub fn add_if_lost(&mut self, sent: io::Result<()>) {
        if let Err(error) = sent {
            self.add(&error);
        }
    }

    /// Counts the frames of `others`, too.
    pub fn merge(&mut self, others: Drops) {
        for (number, count) in others.0 {
            *self.0.entry(number).or_default() += count;
        }
    }

    /// Returns the number of all lost frames.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Drops {
    /// Writes the names of the errors, each with its number of frames: `EMSGSIZE 3, ENOBUFS 1`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (number, count)) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(formatter, "{separator}{:?} {count}", Errno::from_raw(*number))?;
        }
        Ok(())
    }
}

/// The answers of the kernel to the LACP partner of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptAlive {
    /// The kernel answers the partner's last LACPDU if the daemon does not.
    pub armed: bool,
    /// Number of answers, also of former daemons.
    pub answered: u64,
    /// Time since the last answer; `None` before the first one.
    pub age: Option<Duration>,
}

/// Counters of a data path since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Traffic of each port since it was attached; the kernel's driver does not count it.
    pub traffic: Vec<(PortId, PortTraffic)>,
    /// By port: LACPDUs that the kernel sent in place of the daemon.
    pub kept_alive: Vec<(PortId, KeptAlive)>,
    /// By port: frames that were not sent because the port's queue was full or the port was down.
    pub tx_dropped: Vec<(PortId, Drops)>,
    /// Frames from the team device for which no port was available, or that were not read whole.
    pub tx_no_port: u64,
    /// By port: frames lost because the receive buffer was full.
    pub rx_missed: Vec<(PortId, u64)>,
    /// Frames received on a port that does not collect.
    pub rx_inactive: u64,
    /// Frames of the team itself that came back, under source balancing.
    pub rx_echoes: u64,
    /// Frames that the team device did not accept (down, or malformed), or that could not be
    /// read whole from a port.
    pub rx_dropped: Drops,
    /// Times that events of the driver were lost and all options were read again.
    pub resyncs: u64,
    /// Times that filters or programs removed by another program of the host were put back.
    pub hooks_restored: u64,
}

/// A part of a [`Snapshot`]; each part is read separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// [`Snapshot::counters`].
    Counters,
    /// [`Snapshot::bucket_bytes`].
    BucketBytes,
    /// [`Snapshot::stations`] and [`Snapshot::peers`].
    Sources,
    /// [`Snapshot::learned`].
    Learned,
    /// [`Snapshot::queues`].
    Queues,
}

/// Counts and learned addresses of the frames that a data path moved; only the requested part is
/// filled in.
#[derive(Debug)]
pub struct Snapshot {
    /// Counters since the data path was opened.
    pub counters: Counters,
    /// Bytes sent in each bucket, counted while the policy is balanced.
    pub bucket_bytes: Box<[u64; BUCKETS]>,
    /// Source addresses that the team device has sent from lately, under source balancing.
    pub stations: Vec<StationSeen>,
    /// Peers that learned the team's address by ARP, under source balancing of the host's own
    /// traffic.
    pub peers: Vec<PeerSeen>,
    /// Learned state of source balancing; `None` under other policies.
    pub learned: Option<LearnedSources>,
    /// Copies of the descriptors in which frames queue while no daemon moves them, by the name under
    /// which the next daemon's data path takes them.
    pub queues: BTreeMap<String, OwnedFd>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Snapshot {
            counters: Counters::default(),
            bucket_bytes: Box::new([0; BUCKETS]),
            stations: Vec::new(),
            peers: Vec::new(),
            learned: None,
            queues: BTreeMap::new(),
        }
    }
}

/// Names of the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPathKind {
    /// The kernel's team driver.
    Kernel,
    /// eBPF programs.
    Programs,
    /// The daemon itself.
    Relay,
}

impl DataPathKind {
    const ALL: [DataPathKind; 3] =
        [DataPathKind::Kernel, DataPathKind::Programs, DataPathKind::Relay];

    /// Returns the word of the configuration and of the state.
    pub fn name(self) -> &'static str {
        match self {
            DataPathKind::Kernel => DataPathChoice::Kernel.word(),
            DataPathKind::Programs => DataPathChoice::Programs.word(),
            DataPathKind::Relay => DataPathChoice::Relay.word(),
        }
    }

    /// Returns the kind with this name.
    pub fn from_name(name: &str) -> Option<DataPathKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The team device after the end of its data path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceAtEnd {
    /// The device is left to others.
    Stays,
    /// The caller deletes the device, and what is attached to it.
    Deleted,
}

/// One way of moving frames between a team device and its ports.
///
/// Calls are idempotent and never wait. A call that fails leaves the data path as it was, except
/// [`detach`](Self::detach).
pub trait DataPath {
    /// Returns the jobs of daemon and data path, and the supported changes. Only `kind`,
    /// `outlives_daemon` and `silent_hooks` change, after [`Change::SwitchTo`] or a failed
    /// forwarding.
    fn capabilities(&self) -> Capabilities;

    /// Makes an interface a port. The team driver enables a new port at once; elsewhere the port
    /// carries nothing until a forwarding enables it.
    ///
    /// # Errors
    /// The kernel's error; the interface is then as before the call.
    fn attach(&mut self, port: PortId, interface: &PortInterface) -> io::Result<()>;

    /// Undoes [`attach`](Self::attach); succeeds if the interface is gone.
    ///
    /// # Errors
    /// The error of the first step that fails; the port is no longer served even then.
    fn detach(&mut self, port: PortId) -> io::Result<()>;

    /// Makes a change at the time `now`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a switch to a kind that is not in `switches_to`, and for a policy that
    /// the kind does not support. After a failed switch the former kind moves the frames alone.
    fn apply(&mut self, now: Instant, change: Change<'_>) -> io::Result<()>;

    /// Moves up to `budget` frames from the source that `token` names, at the time `now`.
    ///
    /// # Errors
    /// `EBADFD` or `EIO` once the team device is gone.
    fn poll(&mut self, now: Instant, token: Token, budget: usize) -> io::Result<Polled>;

    /// Reads one part of the snapshot.
    fn snapshot(&self, part: SnapshotPart) -> Snapshot;

    /// Ends the movement of frames. Removes programs that would outlive the daemon.
    ///
    /// # Errors
    /// The first removal that fails; the other programs are removed all the same.
    fn close(&mut self, device: DeviceAtEnd) -> io::Result<()>;
}

/// The error of a change that a data path does not support.
fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}
