//! The programs that move the frames of a team inside the kernel. One at each port's ingress hook
//! delivers received frames to the team device, one at the team device's hook chooses the port, and
//! one at the egress hook of the device's peer drops the host's own frames. The daemon decides and writes
//! tables; no frame passes through the daemon.
//!
//! Owns programs, maps and their attachment. [`driverless`](super::driverless) owns the device,
//! the filters that keep the host's stack off the ports, and the port-state file.
//!
//! Ports that a program's instructions name (broadcast, roundrobin, random) change by replacing
//! the program. Ports that a table names (activebackup, loadbalance, slb) change by one write.
//!
//! `team_program` and `source_program` write the programs, with the parts `bucket`, `innermost`,
//! `headers`, `host_program` and `neighbours`; `hook` attaches them; `refusal` says what an old kernel
//! lacks; `maps`, `source_maps`, `host_maps` and `layout` are what programs and daemon share; `shared`
//! is what the teams of a process share; `keep_alive` answers LACP partners on every data path.

pub mod assembler;
pub mod bucket;
mod context;
mod headers;
mod hook;
pub mod host_maps;
pub mod host_program;
mod innermost;
pub mod keep_alive;
pub mod layout;
mod learned_sources;
pub mod maps;
pub mod neighbours;
mod refusal;
pub mod shared;
pub mod source_maps;
pub mod source_program;
mod team_hook;
pub mod team_program;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use mio::{Registry, Token};
use runners::{BUCKETS, BucketTable, Forwarding, HashFields, PortId, TxPolicy};

use super::{PortInterface, PortTraffic, Volume};
use crate::netlink::{RouteSocket, link};
use crate::sys::bpf::Program;

pub use hook::AttachMode;
pub use keep_alive::{Answer, KeepAlivePrograms};
pub use shared::SharedPrograms;
pub use team_hook::TeamHook;

use hook::{AttachPoint, AttachedProgram};
use layout::Egress;
use maps::{ECHOES, MAX_PORTS, Maps, PortCounter, Verdict};
use shared::Slot;
use team_hook::ingress;
use team_program::ReceivingPort;

const RECEIVE: &str = "teamr_receive";
const TRANSMIT: &str = "teamr_transmit";
const GUARD: &str = "teamr_guard";

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
    /// Number of the attachment, from 1.
    attachment: u32,
    /// `None` before the first forwarding.
    program: Option<AttachedProgram>,
    /// Instructions of the program; empty without one.
    instructions: Vec<u64>,
    /// Id of a previous daemon's program.
    previous: Option<u32>,
}

/// The programs of one team.
#[derive(Debug)]
pub struct Programs {
    team: TeamHook,
    mode: AttachMode,
    maps: Maps,
    slot: Slot,
    ports: BTreeMap<PortId, Port>,
    /// Where the ring buffer of alb's address messages is registered.
    messages: Option<(Rc<Registry>, Token)>,
    /// Attachments so far.
    attachments: u32,
    /// Copies of the maps' values.
    egress: Vec<Egress>,
    source_policy: Vec<u8>,
    verdicts: Vec<u32>,
    transmit: Option<AttachedProgram>,
    guard: Option<AttachedProgram>,
    active: Option<u32>,
}

impl Programs {
    /// Creates the maps, and attaches no program. The first team of a process loads the programs that
    /// need most of the kernel as a test.
    ///
    /// # Errors
    /// The error of bpf(2): `EPERM` without CAP_BPF, `ENOSYS`, or the verifier's; on a kernel that
    /// is too old, with the one that is needed.
    pub fn new(shared: &SharedPrograms, team: TeamHook) -> io::Result<Self> {
        Self::load(shared, team).map_err(refusal::explain)
    }

    fn load(shared: &SharedPrograms, team: TeamHook) -> io::Result<Self> {
        let slot = shared.slot(team.frames_interface())?;
        Ok(Programs {
            team,
            mode: AttachMode::find(shared.attach_mode(), slot.maps().trial()?, team.attach_point()),
            maps: Maps::create()?,
            slot,
            ports: BTreeMap::new(),
            messages: None,
            attachments: 0,
            egress: vec![Egress::default(); BUCKETS],
            source_policy: Vec::new(),
            verdicts: vec![maps::UNUSED; MAX_PORTS],
            transmit: None,
            guard: None,
            active: None,
        })
    }

    /// Makes the source `token` ready when [`take_messages`](Self::take_messages) has messages. Without
    /// this call the daemon is not woken for them, and alb learns no peers.
    pub fn with_messages(self, registry: Rc<Registry>, token: Token) -> Self {
        Programs { messages: Some((registry, token)), ..self }
    }

    /// Has the next frame wake the daemon; [`SharedPrograms::woken`] then has the index of the
    /// interface at the team's hook. Fails as bpf(2) does.
    pub fn wake_on_frame(&self) -> io::Result<()> {
        self.slot.wake_on_frame()
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
        let index = (0..MAX_PORTS).find(|index| !taken(index));
        let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
        for counter in PortCounter::ALL {
            self.maps.counters.clear(counter.key(index as u32))?;
        }
        self.slot.maps().sent().clear(self.slot.sent(index as u32))?;
        self.attachments += 1;
        let attachment = self.attachments;
        let added = Port {
            ifindex,
            promiscuous,
            index,
            attachment,
            program: None,
            instructions: Vec::new(),
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
        verdicts[port.index] = maps::UNUSED;
        self.write_verdicts(verdicts).and(port.release(route))
    }

    /// Attaches the programs of an interface again that another program of the host has detached.
    /// Returns whether any was detached.
    ///
    /// # Errors
    /// The error of attaching; the frames of the interface then pass by no program.
    pub fn restore(&self, route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
        let mut restored = false;
        for port in self.ports.values().filter(|port| port.ifindex == ifindex) {
            if let Some(program) = &port.program {
                restored |= program.restore(route, RECEIVE)?;
            }
        }
        if let Some(transmit) = &self.transmit {
            if self.team.attach_point().ifindex == ifindex {
                restored |= transmit.restore(route, TRANSMIT)?;
            }
        }
        if let (Some(guard), Some(at)) = (&self.guard, self.team.guarded_point()) {
            if at.ifindex == ifindex {
                restored |= guard.restore(route, GUARD)?;
            }
        }
        Ok(restored)
    }

    /// Returns the programs that are attached now.
    fn attached(&self) -> impl Iterator<Item = &AttachedProgram> {
        let of_ports = self.ports.values().filter_map(|port| port.program.as_ref());
        of_ports.chain(&self.transmit).chain(&self.guard)
    }

    /// Returns whether the kernel does not report that another program of the host has detached a
    /// program.
    pub fn detach_silently(&self) -> bool {
        self.attached().any(AttachedProgram::detaches_silently)
    }

    /// Returns the interfaces whose programs another program of the host has detached from TCX
    /// hooks.
    pub fn detached(&self) -> BTreeSet<u32> {
        hook::detached_silently(self.attached())
    }

    /// Detaches the team device's program, so that the relay may send the device's frames. Fails
    /// as detaching does; the programs then forward as before.
    pub fn detach_transmit(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        if let Some(transmit) = &self.transmit {
            transmit.detach(route)?;
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
        outcome = outcome.and(self.write_verdicts(vec![maps::UNUSED; MAX_PORTS]));
        for port in std::mem::take(&mut self.ports).into_values() {
            outcome = outcome.and(port.release(route));
        }
        match self.guard.take() {
            Some(guard) => outcome.and(guard.detach(route)),
            None => outcome,
        }
    }

    /// As [`close`](Self::close), for a team device that is deleted, and with it what is attached to
    /// its hooks: each detachment would wait for the frames that are under way.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn close_with_device(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        let without = Egress::default();
        let emptied = match self.egress.iter().all(|egress| *egress == without) {
            // The program itself may name ports.
            true => self.detach_transmit(route),
            false => self.write_egress(vec![without; BUCKETS]),
        };
        let mut outcome = emptied.and(self.write_verdicts(vec![maps::UNUSED; MAX_PORTS]));
        for port in std::mem::take(&mut self.ports).into_values() {
            outcome = outcome.and(port.release(route));
        }
        outcome
    }

    /// Forwards like this, [resolved](Forwarding::resolve), from now on.
    ///
    /// # Errors
    /// The error of bpf(2) or of attaching.
    pub fn apply(&mut self, route: &mut RouteSocket, forwarding: &Forwarding) -> io::Result<()> {
        let policy = &forwarding.policy;
        if let TxPolicy::SourceBalance { ports, .. } = policy {
            self.create_source_maps(route)?;
            self.write_source_policy(ports, &forwarding.collecting())?;
        } else {
            // The former programs keep the maps until the new ones take their place.
            self.maps.source = None;
            self.source_policy.clear();
        }
        let usable = forwarding.usable();
        let usable = usable.iter().filter_map(|port| self.ports.get(port));
        let usable: Vec<Egress> = usable.map(|port| self.egress(port)).collect();
        let program = self.transmit_program(policy, &usable)?;
        let is_current = |current: &AttachedProgram| Rc::ptr_eq(current.program(), &program);
        let program = Some(&program).filter(|_| !self.transmit.as_ref().is_some_and(is_current));
        self.write_verdicts(self.verdicts_for(forwarding))?;
        let (egress, active) = self.egress_for(policy);
        if let Some(program) = program {
            // The former program reads its entries until the new one takes its place.
            let kept = egress.iter().zip(&self.egress);
            let kept = kept.map(|(new, old)| if new.ifindex == 0 { *old } else { *new });
            self.write_egress(kept.collect())?;
            self.attach_receive_programs(route)?;
            self.attach_transmit_program(route, Rc::clone(program))?;
            self.write_egress(egress)?;
        } else {
            self.write_egress(egress)?;
            self.attach_receive_programs(route)?;
        }
        self.attach_guard(route)?;
        self.active = active;
        Ok(())
    }

    /// Returns the program at the team device's hook for a policy.
    fn transmit_program(&self, policy: &TxPolicy, usable: &[Egress]) -> io::Result<Rc<Program>> {
        if policy.is_balanced() {
            self.slot.count_buckets()?;
        }
        let (maps, source) = (self.slot.maps(), self.maps.source.as_ref());
        let instructions = match self.team {
            TeamHook::DriverEgress(_) => team_program::mark_bucket(source),
            TeamHook::TapEgress(_) | TeamHook::PeerIngress(_) | TeamHook::Netkit { .. } => {
                team_program::transmit(policy, usable, maps, source)
            }
        };
        maps.program(instructions, |instructions| match needs_perfmon(policy) {
            true => Program::load_with_all_rights(instructions, TRANSMIT),
            false => Program::load(instructions, TRANSMIT),
        })
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
        let mut verdicts = vec![maps::UNUSED; MAX_PORTS];
        for (id, port) in &self.ports {
            let verdict = match forwarding.policy {
                TxPolicy::ActiveBackup { .. } => Verdict::CollectIfActive,
                _ if collecting.contains(id) => Verdict::Collect,
                _ => Verdict::Drop,
            };
            verdicts[port.index] = verdict.word(port.attachment);
        }
        verdicts
    }

    /// Returns the entries of a policy, and the active port of activebackup.
    fn egress_for(&self, policy: &TxPolicy) -> (Vec<Egress>, Option<u32>) {
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
        (egress, active)
    }

    fn write_egress(&mut self, egress: Vec<Egress>) -> io::Result<()> {
        if egress != self.egress {
            self.slot.write(&egress)?;
            self.egress = egress;
        }
        Ok(())
    }

    /// Attaches the program at the device's peer, unless it is attached. The caller attaches the programs
    /// of the ports before: this program drops frames from the ports' programs of an earlier daemon.
    fn attach_guard(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        if let (None, Some(at)) = (&self.guard, self.team.guarded_point()) {
            let load = |instructions: &[u64]| Program::load(instructions, GUARD);
            let program = self.slot.maps().program(team_program::guard(), load)?;
            let previous = self.team.previous_id(at);
            self.guard = Some(self.team_mode(at).attach(route, at, program, GUARD, previous)?);
        }
        Ok(())
    }

    /// Attaches the programs of ports that have none yet, and replaces each program whose instructions
    /// have changed.
    fn attach_receive_programs(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        for port in self.ports.values_mut() {
            let team = self.team.redirect();
            let place = ReceivingPort {
                ifindex: port.ifindex,
                index: port.index as u32,
                attachment: port.attachment,
            };
            let instructions = team_program::receive(place, team, &self.maps, &self.slot);
            if port.program.is_some() && port.instructions == instructions {
                continue;
            }
            let program = Rc::new(Program::load(&instructions, RECEIVE)?);
            port.instructions = instructions;
            if let Some(attached) = &mut port.program {
                attached.replace(route, program, RECEIVE)?;
                continue;
            }
            if port.promiscuous.is_some() {
                link::set_promiscuous(route, port.ifindex, true)?;
            }
            let at = ingress(port.ifindex);
            port.program = Some(self.mode.attach(route, at, program, RECEIVE, port.previous)?);
        }
        Ok(())
    }

    fn attach_transmit_program(
        &mut self,
        route: &mut RouteSocket,
        program: Rc<Program>,
    ) -> io::Result<()> {
        if let Some(transmit) = &mut self.transmit {
            return transmit.replace(route, program, TRANSMIT);
        }
        let at = self.team.attach_point();
        let previous = self.team.previous_id(at);
        self.transmit = Some(self.team_mode(at).attach(route, at, program, TRANSMIT, previous)?);
        Ok(())
    }

    /// Returns how programs are attached to one of the team's own hooks. No other program uses the
    /// hooks of a peer, so that TCX has no advantage there, and costs time (see [`hook`]).
    fn team_mode(&self, at: AttachPoint) -> AttachMode {
        match self.team {
            TeamHook::Netkit { device, .. } if at.ifindex == device => AttachMode::Netkit,
            TeamHook::PeerIngress(_) | TeamHook::Netkit { .. } => AttachMode::Clsact,
            TeamHook::TapEgress(_) | TeamHook::DriverEgress(_) => self.mode,
        }
    }

    fn egress(&self, port: &Port) -> Egress {
        Egress { ifindex: port.ifindex, sent: self.slot.sent(port.index as u32) }
    }

    /// The egress of a port; all zeros without one.
    fn egress_of(&self, port: Option<PortId>) -> Egress {
        let port = port.and_then(|port| self.ports.get(&port));
        port.map_or(Egress::default(), |port| self.egress(port))
    }

    /// Returns the state by which a later daemon finds these programs.
    pub fn persisted_state(&self) -> PersistedState {
        let programs = self.ports.values().filter_map(|port| {
            let attached = port.program.as_ref()?;
            Some((port.ifindex, attached.id()))
        });
        PersistedState { programs: programs.collect(), active: self.active }
    }

    /// Frames of the team device that had no port.
    pub fn tx_no_port(&self) -> u64 {
        layout::read_volume(self.slot.maps().sent(), self.slot.no_port()).frames
    }

    /// Frames of the team itself that came back, under source balancing.
    pub fn rx_echoes(&self) -> u64 {
        layout::read_volume(&self.maps.counters, ECHOES).frames
    }

    /// Frames received on ports while these did not collect.
    pub fn rx_inactive(&self) -> u64 {
        let ports = self.ports.values();
        ports.map(|port| self.port_volume(port, PortCounter::Refused).frames).sum()
    }

    /// The traffic of each port.
    pub fn traffic(&self) -> impl Iterator<Item = (PortId, PortTraffic)> {
        self.ports.iter().map(|(id, port)| {
            let received = self.port_volume(port, PortCounter::Received);
            let sent = self.slot.sent(port.index as u32);
            let sent = layout::read_volume(self.slot.maps().sent(), sent);
            (*id, PortTraffic { received, sent })
        })
    }

    /// Bytes sent in each bucket while they were counted.
    pub fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        self.slot.bucket_bytes()
    }

    fn port_volume(&self, port: &Port, counter: PortCounter) -> Volume {
        layout::read_volume(&self.maps.counters, counter.key(port.index as u32))
    }
}

/// Returns whether the programs of a policy need CAP_PERFMON to load. Without the capability the
/// verifier also follows speculative execution, and gives up on the hash of packets in tunnels.
pub fn needs_perfmon(policy: &TxPolicy) -> bool {
    matches!(policy, TxPolicy::LoadBalance { fields, .. } if fields.contains(HashFields::ENCAP))
}

impl Port {
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

/// Detaches a previous daemon's program from a port of the kernel's driver; success if the interface
/// is gone.
pub fn clear_driver_port(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    hook::clear(route, ingress(ifindex), RECEIVE, None)
}

/// Detaches a previous daemon's programs from a team device; success if the interface is gone.
pub fn clear_device(route: &mut RouteSocket, team: TeamHook) -> io::Result<()> {
    let at = team.attach_point();
    hook::clear(route, at, TRANSMIT, team.previous_id(at))?;
    match team.guarded_point() {
        Some(at) => hook::clear(route, at, GUARD, team.previous_id(at)),
        None => Ok(()),
    }
}

/// Detaches a previous daemon's program, with the id `previous` if that is known, from the port
/// `found`, and restores promiscuity; success if the interface is gone.
pub fn clear_port(
    route: &mut RouteSocket,
    found: &PortInterface,
    previous: Option<u32>,
) -> io::Result<()> {
    hook::clear(route, ingress(found.ifindex), RECEIVE, previous)?;
    restore_promiscuity(route, found.ifindex, found.promiscuous)
}
