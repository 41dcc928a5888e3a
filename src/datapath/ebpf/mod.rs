//! The programs that move the frames of a team inside the kernel: one on each port's ingress
//! delivers received frames to the team device, one at the team device's hook chooses the port.
//! The daemon decides and writes tables; no frame passes through the daemon.
//!
//! Owns programs, maps and their attachment. [`driverless`](super::driverless) owns the device,
//! the filters that keep the host's stack off the ports, and the port-state file.
//!
//! Ports that a program's instructions name (broadcast, roundrobin, random) change by replacing
//! the program. Ports that a table names (activebackup, loadbalance, slb) change by one write.
//!
//! `team_program` and `source_program` write the programs, with the parts `bucket`, `innermost`
//! and `headers`; `hook` attaches them; `maps`, `source_maps` and `layout` are what they share
//! with the daemon.

pub mod assembler;
pub mod bucket;
mod context;
mod headers;
mod hook;
mod innermost;
pub mod layout;
mod learned_sources;
pub mod maps;
pub mod source_maps;
pub mod source_program;
mod team_hook;
mod team_program;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};

use runners::{BUCKETS, BucketTable, Forwarding, PortId, SourceBalance, TxPolicy};

use super::{PortInterface, PortTraffic, Requirements, unsupported};
use crate::netlink::{RouteSocket, link};
use crate::sys::bpf::Program;

pub use team_hook::TeamHook;

use hook::{AttachMode, AttachedProgram};
use layout::Egress;
use maps::{ECHOES, MAX_PORTS, Maps, NO_PORT, PortCounter};
use team_hook::ingress;

const RECEIVE: &str = "teamr_receive";
const TRANSMIT: &str = "teamr_transmit";

/// Identifies the programs of a previous daemon, so that a restarted daemon can take them over
/// without interrupting traffic, also without the right to look programs up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistedState {
    /// Id of each port's program, by interface index.
    pub programs: BTreeMap<u32, u32>,
    /// Interface index of the active port, under activebackup.
    pub active: Option<u32>,
}

/// A port and its program.
#[derive(Debug)]
struct Port {
    ifindex: u32,
    /// Whether the port was promiscuous before; `None` where the driver takes care of that.
    promiscuous: Option<bool>,
    /// Index of the port in the tables.
    index: usize,
    /// `None` before the first forwarding.
    program: Option<AttachedProgram>,
    /// Id of a previous daemon's program.
    previous: Option<u32>,
}

/// The program at the team device's hook.
#[derive(Debug)]
struct TransmitProgram {
    instructions: Vec<u64>,
    attached: AttachedProgram,
}

/// The programs of one team.
#[derive(Debug)]
pub struct Programs {
    team: TeamHook,
    mode: AttachMode,
    maps: Maps,
    ports: BTreeMap<PortId, Port>,
    /// Indices whose program could not be detached; no other port gets them.
    retired: BTreeSet<usize>,
    /// Copies of the maps' values.
    egress: Vec<Egress>,
    source_policy: Vec<u8>,
    verdicts: Vec<u32>,
    transmit: Option<TransmitProgram>,
    active: Option<u32>,
}

impl Programs {
    /// Creates the maps, and tries the programs that ask most of the kernel; none is attached.
    ///
    /// # Errors
    /// Those of bpf(2): `EPERM` without CAP_BPF, `ENOSYS`, or the verifier's.
    pub fn new(team: TeamHook) -> io::Result<Self> {
        let maps = Maps::create()?;
        let load = |policy| {
            let port = [Egress::default()];
            Program::load(&team_program::transmit(&policy, &port, &maps), TRANSMIT)
        };
        let program = load(TxPolicy::ActiveBackup { active: None })?;
        load(TxPolicy::RoundRobin {
            packets_per_port: NonZeroU32::MIN,
        })?;
        Ok(Programs {
            team,
            mode: AttachMode::find(&program, team.attach_point()),
            maps,
            ports: BTreeMap::new(),
            retired: BTreeSet::new(),
            egress: vec![Egress::default(); BUCKETS],
            source_policy: Vec::new(),
            verdicts: vec![maps::DROP; MAX_PORTS],
            transmit: None,
            active: None,
        })
    }

    /// Descriptor that becomes readable with the next frame after
    /// [`wake_on_frame`](Self::wake_on_frame).
    pub fn wakeup(&self) -> RawFd {
        self.maps.wakeup.as_raw_fd()
    }

    /// Makes [`wakeup`](Self::wakeup) unreadable again.
    pub fn drain_wakeup(&self) {
        self.maps.wakeup.drain();
    }

    /// Has the next frame make [`wakeup`](Self::wakeup) readable.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn wake_on_frame(&self) -> io::Result<()> {
        self.maps.daemon_idle.write(0, &layout::bytes(&[1]))
    }

    /// Adds a port. The next [`apply`](Self::apply) attaches its program; until then a previous
    /// daemon's program, with the id `previous`, stays. `promiscuous` is whether the interface was
    /// promiscuous before; `None` leaves that to the driver.
    ///
    /// # Errors
    /// `ENOSPC` beyond [`MAX_PORTS`] ports.
    pub fn attach(
        &mut self,
        port: PortId,
        ifindex: u32,
        promiscuous: Option<bool>,
        previous: Option<u32>,
    ) -> io::Result<()> {
        let taken = |index: &usize| self.ports.values().any(|port| port.index == *index);
        let index = (0..MAX_PORTS).find(|index| !taken(index) && !self.retired.contains(index));
        let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
        let added = Port {
            ifindex,
            promiscuous,
            index,
            program: None,
            previous,
        };
        self.ports.insert(port, added);
        Ok(())
    }

    /// Removes a port and its program; success if the interface is gone.
    ///
    /// # Errors
    /// The first step that fails; the port's frames are dropped all the same.
    pub fn detach(&mut self, route: &mut RouteSocket, port: PortId) -> io::Result<()> {
        let Some(port) = self.ports.remove(&port) else {
            return Ok(());
        };
        let mut verdicts = self.verdicts.clone();
        verdicts[port.index] = maps::DROP;
        let dropped = self.write_verdicts(verdicts);
        let released = port.release(route);
        if released.is_err() {
            self.retired.insert(port.index);
        }
        dropped.and(released)
    }

    /// Detaches the team device's program, so that the relay may send the device's frames.
    ///
    /// # Errors
    /// Those of detaching; the programs then forward as before.
    pub fn detach_transmit(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        if let Some(transmit) = &self.transmit {
            transmit.attached.detach(route)?;
        }
        self.transmit = None;
        Ok(())
    }

    /// Detaches all programs. A program that cannot be detached delivers no more frames; the
    /// relay's socket on the port receives them all the same.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn close(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        let mut outcome = self.detach_transmit(route);
        outcome = outcome.and(self.write_verdicts(vec![maps::DROP; MAX_PORTS]));
        for port in std::mem::take(&mut self.ports).into_values() {
            outcome = outcome.and(port.release(route));
        }
        outcome
    }

    /// Forwards like this, [resolved](Forwarding::resolve), from now on.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a policy that only the relay has; those of bpf(2) and of attaching.
    pub fn apply(&mut self, route: &mut RouteSocket, forwarding: &Forwarding) -> io::Result<()> {
        let policy = &forwarding.policy;
        if !has_policy(policy) {
            return Err(unsupported());
        }
        if let TxPolicy::SourceBalance { ports, .. } = policy {
            self.create_source_maps(route)?;
            self.write_source_policy(ports)?;
        }
        let usable = forwarding.usable();
        let usable = usable.iter().filter_map(|port| self.ports.get(port));
        let usable: Vec<Egress> = usable.map(Port::egress).collect();
        let instructions = match self.team {
            TeamHook::DriverEgress(_) => team_program::mark_bucket(&self.maps),
            TeamHook::TapEgress(_) | TeamHook::PeerIngress(_) => {
                team_program::transmit(policy, &usable, &self.maps)
            }
        };
        let current = self.transmit.as_ref().map(|current| &current.instructions);
        let program = match current == Some(&instructions) {
            true => None,
            false => Some(Program::load(&instructions, TRANSMIT)?),
        };
        self.write_verdicts(self.verdicts_for(forwarding))?;
        self.write_egress(policy)?;
        self.attach_receive_programs(route)?;
        match program {
            Some(program) => self.attach_transmit_program(route, program, instructions),
            None => Ok(()),
        }
    }

    fn write_source_policy(&mut self, policy: &SourceBalance) -> io::Result<()> {
        let value = source_maps::policy_value(policy, |port| self.egress_of(port));
        if let Some(source) = self
            .maps
            .source
            .as_ref()
            .filter(|_| value != self.source_policy)
        {
            source.policy.write(0, &value)?;
            self.source_policy = value;
        }
        Ok(())
    }

    fn write_verdicts(&mut self, verdicts: Vec<u32>) -> io::Result<()> {
        if verdicts != self.verdicts {
            self.maps.verdicts.write(0, &layout::bytes(&verdicts))?;
            self.verdicts = verdicts;
        }
        Ok(())
    }

    fn verdicts_for(&self, forwarding: &Forwarding) -> Vec<u32> {
        let collecting = forwarding.collecting();
        let mut verdicts = vec![maps::DROP; MAX_PORTS];
        for (id, port) in &self.ports {
            verdicts[port.index] = match forwarding.policy {
                TxPolicy::ActiveBackup { .. } => maps::COLLECT_IF_ACTIVE,
                _ if collecting.contains(id) => maps::COLLECT,
                _ => maps::DROP,
            };
        }
        verdicts
    }

    fn write_egress(&mut self, policy: &TxPolicy) -> io::Result<()> {
        let table = |table: &BucketTable| table.map(|port| self.egress_of(port)).to_vec();
        let mut active = None;
        let egress = match policy {
            TxPolicy::LoadBalance { buckets, .. } => table(buckets),
            TxPolicy::SourceBalance { ports, .. } => table(&ports.buckets),
            TxPolicy::ActiveBackup { active: port } => {
                let mut table = vec![Egress::default(); BUCKETS];
                table[0] = self.egress_of(*port);
                active = Some(table[0].ifindex).filter(|ifindex| *ifindex != 0);
                table
            }
            TxPolicy::Broadcast | TxPolicy::RoundRobin { .. } | TxPolicy::Random { .. } => {
                vec![Egress::default(); BUCKETS]
            }
        };
        if egress != self.egress {
            self.maps.egress.write(0, &Egress::bytes(&egress))?;
            self.egress = egress;
        }
        self.active = active;
        Ok(())
    }

    /// Attaches the programs of ports that have none yet.
    fn attach_receive_programs(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        for port in self.ports.values_mut() {
            if port.program.is_some() {
                continue;
            }
            let (ifindex, index) = (port.ifindex, port.index as u32);
            let program = team_program::receive(index, ifindex, self.team.redirect(), &self.maps);
            let program = Program::load(&program, RECEIVE)?;
            if port.promiscuous.is_some() {
                link::set_promiscuous(route, ifindex, true)?;
            }
            let at = ingress(ifindex);
            let attached = self
                .mode
                .attach(route, at, program, RECEIVE, port.previous)?;
            port.program = Some(attached);
        }
        Ok(())
    }

    fn attach_transmit_program(
        &mut self,
        route: &mut RouteSocket,
        program: Program,
        instructions: Vec<u64>,
    ) -> io::Result<()> {
        match &mut self.transmit {
            Some(transmit) => {
                transmit.attached.replace(route, program, TRANSMIT)?;
                transmit.instructions = instructions;
            }
            None => {
                let (at, previous) = (self.team.attach_point(), self.team.previous_id());
                let attached = self.mode.attach(route, at, program, TRANSMIT, previous)?;
                self.transmit = Some(TransmitProgram {
                    instructions,
                    attached,
                });
            }
        }
        Ok(())
    }

    /// The egress of a port; all zeros without one.
    fn egress_of(&self, port: Option<PortId>) -> Egress {
        let port = port.and_then(|port| self.ports.get(&port));
        port.map_or(Egress::default(), Port::egress)
    }

    /// Returns the state by which a later daemon finds these programs.
    pub fn persisted_state(&self) -> PersistedState {
        let programs = self.ports.values().filter_map(|port| {
            let attached = port.program.as_ref()?;
            Some((port.ifindex, attached.id()?))
        });
        PersistedState {
            programs: programs.collect(),
            active: self.active,
        }
    }

    /// Frames of the team device that had no port.
    pub fn tx_no_port(&self) -> u64 {
        self.frames(NO_PORT)
    }

    /// Frames of the team itself that came back, under source balancing.
    pub fn rx_echoes(&self) -> u64 {
        self.frames(ECHOES)
    }

    /// Frames received on ports while these did not collect.
    pub fn rx_inactive(&self) -> u64 {
        let ports = self.ports.values();
        ports
            .map(|port| self.frames(PortCounter::Refused.key(port.index as u32)))
            .sum()
    }

    /// The traffic of each port.
    pub fn traffic(&self) -> impl Iterator<Item = (PortId, PortTraffic)> {
        // A key of ours is always there.
        let volume = |counter: PortCounter, port: &Port| {
            let key = counter.key(port.index as u32);
            layout::read_volume(&self.maps.counters, key).unwrap_or_default()
        };
        self.ports.iter().map(move |(id, port)| {
            let traffic = PortTraffic {
                received: volume(PortCounter::Received, port),
                sent: volume(PortCounter::Sent, port),
            };
            (*id, traffic)
        })
    }

    /// Bytes sent in each bucket while they were counted.
    pub fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        let mut bytes = Box::new([0; BUCKETS]);
        for (bucket, bytes) in (0..).zip(bytes.iter_mut()) {
            let volume = layout::read_volume(&self.maps.buckets, bucket);
            *bytes = volume.map_or(0, |volume| volume.bytes);
        }
        bytes
    }

    fn frames(&self, key: u32) -> u64 {
        let volume = layout::read_volume(&self.maps.counters, key);
        volume.map_or(0, |volume| volume.frames)
    }
}

/// Whether programs can do what a team needs.
pub fn supports(requirements: &Requirements) -> bool {
    has_policy(&requirements.policy)
}

/// Only the relay can rewrite ARP messages, which source balancing of host traffic needs.
fn has_policy(policy: &TxPolicy) -> bool {
    !matches!(policy, TxPolicy::SourceBalance { ports, .. } if ports.host.is_some())
}

impl Port {
    fn egress(&self) -> Egress {
        Egress {
            ifindex: self.ifindex,
            port_index: self.index as u32,
        }
    }

    /// Detaches the port's program, and a previous daemon's, and restores promiscuity.
    fn release(&self, route: &mut RouteSocket) -> io::Result<()> {
        let detached = match &self.program {
            Some(program) => program.detach(route),
            None => hook::clear(route, ingress(self.ifindex), RECEIVE, self.previous),
        };
        let restored = match self.promiscuous {
            Some(before) => restore_promiscuity(route, self.ifindex, before),
            None => Ok(()),
        };
        detached.and(restored)
    }
}

fn restore_promiscuity(route: &mut RouteSocket, ifindex: u32, before: bool) -> io::Result<()> {
    match link::set_promiscuous(route, ifindex, before) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        restored => restored,
    }
}

/// Detaches a previous daemon's program from a port of the kernel's driver.
///
/// # Errors
/// Those of detaching, but for an interface that is gone.
pub fn clear_driver_port(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    hook::clear(route, ingress(ifindex), RECEIVE, None)
}

/// Detaches a previous daemon's program from a team device.
///
/// # Errors
/// Those of detaching, but for an interface that is gone.
pub fn clear_device(route: &mut RouteSocket, team: TeamHook) -> io::Result<()> {
    hook::clear(route, team.attach_point(), TRANSMIT, team.previous_id())
}

/// Detaches a previous daemon's program, with the id `previous` if that is known, from the port
/// `found`, and restores promiscuity.
///
/// # Errors
/// Those of detaching, but for an interface that is gone.
pub fn clear_port(
    route: &mut RouteSocket,
    found: &PortInterface,
    previous: Option<u32>,
) -> io::Result<()> {
    hook::clear(route, ingress(found.ifindex), RECEIVE, previous)?;
    restore_promiscuity(route, found.ifindex, found.promiscuous)
}
