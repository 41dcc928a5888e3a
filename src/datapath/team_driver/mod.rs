//! The data path of the kernel's team driver: the driver moves the frames as its options say.
//!
//! Owns a copy of the driver's options, kept up to date by the driver's events and by our own
//! writes, so that only options that differ are written. The driver sets its ports up and down,
//! gives them their MTU, restores their address, announces ports that it enables, and sets the
//! team device's carrier.
//!
//! Under slb, the program at the team device's egress writes the bucket into the frame's mark, where
//! the driver's own hash, a classic program, reads it; programs on the ports drop frames that are
//! not to be taken, before the driver sees them.
//!
//! `driver` sends requests over netlink, `options` lists the options of a forwarding,
//! `hash_program` writes the program of `tx_hash`.

mod driver;
mod hash_program;
mod options;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use mio::{Registry, Token};
use runners::{BUCKETS, Forwarding, Instant, PortForwarding, PortId, TxPolicy};

use super::ebpf::AttachMode;
use super::ebpf::keep_alive::{self, Answer, KeepAlivePrograms};
use super::ebpf::neighbours::NeighbourProgram;
use super::ebpf::source_program::DESIGNATED_BUCKET;
use super::ebpf::{Programs, SharedPrograms, TeamHook};
use super::hooks_restored::{self, HooksRestored};
use super::{
    Capabilities, Change, Counters, DataPath, DataPathKind, DeviceAtEnd, Drained, FlowHash, Owner,
    Polled, PortInterface, Requirements, Snapshot, SnapshotPart,
};
use crate::netlink::team::{OptionId, TeamOption, Value, name};
use crate::netlink::{Received, RouteSocket};

pub use hash_program::{flow_bucket, hash_program};
pub use options::{mode, supports};

use driver::{Driver, Enslaved, KernelDriver};
use options::{EnableOptions, Indices, OptionWrite, is_enable_option};

/// Kind of the driver's links.
pub const LINK_KIND: &str = "team";

/// Most options in one request: their list must stay below 64 KiB.
const MOST_OPTIONS: usize = 500;
/// Times that a request is sent before it fails.
const TRIES: usize = 8;

/// The programs of slb, and the socket that attaches them.
#[derive(Debug)]
struct SlbPrograms {
    programs: Programs,
    route: RouteSocket,
    hooks_restored: HooksRestored,
}

impl SlbPrograms {
    /// Loads the programs for the team device `ifindex`, if its policy needs them.
    fn of(shared: &SharedPrograms, policy: &TxPolicy, ifindex: u32) -> io::Result<Option<Self>> {
        if !matches!(policy, TxPolicy::SourceBalance { .. }) {
            return Ok(None);
        }
        Ok(Some(SlbPrograms {
            programs: Programs::new(shared, TeamHook::DriverEgress(ifindex))?,
            route: RouteSocket::open()?,
            hooks_restored: HooksRestored::default(),
        }))
    }

    /// Attaches again the programs of an interface that another program of the host has detached.
    fn restore(&mut self, now: Instant, ifindex: u32) -> io::Result<()> {
        self.hooks_restored.permit(now, ifindex)?;
        let restored = self.programs.restore(&mut self.route, ifindex);
        self.hooks_restored.record(&mut self.route, now, ifindex, restored)
    }

    /// Attaches again the TCX programs that another program of the host has detached.
    fn check(&mut self, now: Instant) -> io::Result<()> {
        let detached = self.programs.detached();
        hooks_restored::restore_each(detached, |ifindex| self.restore(now, ifindex))
    }
}

/// The programs of lacp, and the socket that attaches them.
#[derive(Debug)]
struct LacpPrograms {
    /// Programs that answer LACP partners.
    keep_alive: KeepAlivePrograms,
    /// Program that sends ARP and neighbour discovery on every port.
    neighbours: NeighbourProgram,
    route: RouteSocket,
    hooks_restored: HooksRestored,
}

impl LacpPrograms {
    /// Returns no programs yet for the team device `ifindex`; `mode` is how programs are attached
    /// where the kernel offers both ways.
    fn open(ifindex: u32, mode: AttachMode) -> io::Result<Self> {
        Ok(LacpPrograms {
            keep_alive: KeepAlivePrograms::new(mode),
            neighbours: NeighbourProgram::new(ifindex, mode),
            route: RouteSocket::open()?,
            hooks_restored: HooksRestored::default(),
        })
    }

    /// Attaches again the programs of an interface that another program of the host has detached.
    fn restore(&mut self, now: Instant, ifindex: u32) -> io::Result<()> {
        self.hooks_restored.permit(now, ifindex)?;
        let of_port = self.keep_alive.restore(&mut self.route, ifindex);
        let of_device = self.neighbours.restore(&mut self.route, ifindex);
        let restored = of_port.and_then(|port| of_device.map(|device| port | device));
        self.hooks_restored.record(&mut self.route, now, ifindex, restored)
    }

    /// Attaches again the TCX programs that another program of the host has detached.
    fn check(&mut self, now: Instant) -> io::Result<()> {
        let mut detached = self.keep_alive.detached();
        detached.extend(self.neighbours.detached());
        hooks_restored::restore_each(detached, |ifindex| self.restore(now, ifindex))
    }

    /// Returns whether the kernel does not report that another program of the host has detached a
    /// program.
    fn detach_silently(&self) -> bool {
        self.keep_alive.detach_silently() || self.neighbours.detaches_silently()
    }

    fn close(&mut self) -> io::Result<()> {
        let keep_alive = self.keep_alive.close(&mut self.route);
        self.neighbours.close(&mut self.route).and(keep_alive)
    }
}

/// A team device of the kernel's driver.
#[derive(Debug)]
pub struct KernelTeam<D = KernelDriver> {
    driver: D,
    /// The driver's options, as last read or written.
    options: BTreeMap<OptionId, Value>,
    ports: Indices,
    forwarding: Option<Forwarding>,
    shared: Rc<SharedPrograms>,
    slb: Option<SlbPrograms>,
    /// Programs of lacp; `None` until lacp needs one.
    lacp: Option<LacpPrograms>,
    /// Times that events were lost and all options were read again.
    resyncs: u64,
}

impl KernelTeam {
    /// Opens the driver of the team device `ifindex` and sets the mode of the policy. `token`
    /// stands for the driver's events.
    ///
    /// # Errors
    /// `ENOENT` if the driver has no generic netlink family, `EPERM` for root of a user
    /// namespace, `EINVAL` if the kernel lacks the mode or the device is no team, `EBUSY` if it
    /// has ports and another mode.
    pub fn open(
        registry: &Rc<Registry>,
        token: Token,
        ifindex: u32,
        requirements: &Requirements,
        shared: Rc<SharedPrograms>,
    ) -> io::Result<Self> {
        if let Some(shortfall) = options::shortfall(&requirements.policy) {
            log::warn!("{shortfall}.");
        }
        let slb = SlbPrograms::of(&shared, &requirements.policy, ifindex)?;
        let mut driver = KernelDriver::open(ifindex)?;
        if slb.is_none() {
            driver.clear_device()?;
        }
        driver.register(registry, token)?;
        Ok(KernelTeam { slb, ..KernelTeam::with(driver, requirements, shared)? })
    }
}

impl<D: Driver> KernelTeam<D> {
    fn with(
        driver: D,
        requirements: &Requirements,
        shared: Rc<SharedPrograms>,
    ) -> io::Result<Self> {
        let mut team = KernelTeam {
            driver,
            options: BTreeMap::new(),
            ports: Indices::new(),
            forwarding: None,
            shared,
            slb: None,
            lacp: None,
            resyncs: 0,
        };
        team.read_options()?;
        team.write_options(options::team(requirements))?;
        Ok(team)
    }

    /// Interface index of the active port under activebackup, whoever chose it.
    pub fn active_ifindex(&self) -> Option<u32> {
        match self.options.get(&OptionId::team(name::ACTIVEPORT)) {
            Some(Value::U32(ifindex)) => Some(*ifindex).filter(|ifindex| *ifindex != 0),
            _ => None,
        }
    }

    /// Sets the needs of the team. The driver changes its mode only without ports, and so do the
    /// programs of slb.
    fn require(&mut self, requirements: &Requirements) -> io::Result<()> {
        let needs_programs = matches!(requirements.policy, TxPolicy::SourceBalance { .. });
        let mode = mode(&requirements.policy).map(|mode| Value::Text(mode.to_owned()));
        let same_mode = self.options.get(&OptionId::team(name::MODE)) == mode.as_ref();
        if !(same_mode && needs_programs == self.slb.is_some()) {
            if !self.ports.is_empty() {
                return Err(io::Error::from_raw_os_error(libc::EBUSY));
            }
            let ifindex = self.driver.ifindex();
            let slb = SlbPrograms::of(&self.shared, &requirements.policy, ifindex)?;
            self.close(DeviceAtEnd::Stays)?;
            self.slb = slb;
            self.forwarding = None;
        }
        self.write_options(options::team(requirements))
    }

    fn read_options(&mut self) -> io::Result<()> {
        let options = self.driver.options()?;
        self.options = options.into_iter().map(|option| (option.id, option.value)).collect();
        Ok(())
    }

    /// Reads all events into the copy of the options. Returns whether the copy changed: events of
    /// our own writes change nothing.
    fn read_events(&mut self) -> io::Result<bool> {
        let options = &mut self.options;
        let mut changed = false;
        let mut joint = Vec::new();
        let received = self.driver.events(&mut |option: TeamOption| {
            if let (name::ENABLED, Some(port)) = (&*option.id.name, option.id.port) {
                joint.push(port);
            }
            if option.removed {
                changed |= options.remove(&option.id).is_some();
            } else if options.get(&option.id) != Some(&option.value) {
                changed = true;
                options.insert(option.id, option.value);
            }
        })?;
        if received == Received::Loss {
            self.resyncs += 1;
            log::warn!("news of options were lost, reading all of them anew");
            self.read_options()?;
            changed = true;
        } else if joint.into_iter().any(|port| self.is_joint_newer(port)) {
            self.read_options()?;
        }
        Ok(changed)
    }

    /// Whether `enabled` of a port contradicts the options of its two directions: another program
    /// has set both directions by the joint option.
    fn is_joint_newer(&self, port: u32) -> bool {
        let [both, rx, tx] = [name::ENABLED, name::RX_ENABLED, name::TX_ENABLED]
            .map(|name| self.options.get(&OptionId::port(name, port)));
        let is_on = |value| value == Some(&Value::Bool(true));
        rx.is_some() && is_on(both) != (is_on(rx) && is_on(tx))
    }

    /// The enable options that the driver has; the driver's version does not tell.
    fn enable_options(&self) -> EnableOptions {
        match self.options.keys().any(|id| id.name == name::TX_ENABLED) {
            true => EnableOptions::PerDirection,
            false => EnableOptions::Joint,
        }
    }

    /// Writes the options that differ from the copy, in their order.
    fn write_options(&mut self, mut options: Vec<OptionWrite>) -> io::Result<()> {
        options.retain(|option| self.differs(option));
        options::join_directions(&mut options);
        for options in options.chunks(MOST_OPTIONS) {
            self.write(options.to_vec())?;
        }
        Ok(())
    }

    fn differs(&self, (id, value): &OptionWrite) -> bool {
        self.options.get(id) != Some(value)
    }

    fn write(&mut self, mut options: Vec<OptionWrite>) -> io::Result<()> {
        for _ in 0..TRIES {
            if options.is_empty() {
                return Ok(());
            }
            let error = match self.driver.set(&options) {
                Ok(()) => {
                    self.copy_written(options);
                    return Ok(());
                }
                Err(error) => error,
            };
            // Only a fresh reading shows how many items the driver has carried out.
            self.read_events()?;
            self.read_options()?;
            let before = options.len();
            match error.raw_os_error() {
                // The driver has done it, but no listener could take the event.
                Some(libc::ESRCH | libc::ENOBUFS) => options.retain(|option| self.differs(option)),
                // A port is leaving; the options of other ports are still to be written.
                Some(libc::ENOENT | libc::ENODEV) => {
                    options.retain(|option| self.differs(option) && self.names_team_ports(option));
                    if options.len() == before {
                        return Err(error);
                    }
                }
                _ => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    /// Copies options that the driver has set. The joint option sets both directions.
    fn copy_written(&mut self, options: Vec<OptionWrite>) {
        for (id, value) in options {
            if let (name::ENABLED, Some(port)) = (&*id.name, id.port) {
                for direction in [name::RX_ENABLED, name::TX_ENABLED] {
                    if let Some(known) = self.options.get_mut(&OptionId::port(direction, port)) {
                        known.clone_from(&value);
                    }
                }
            }
            self.options.insert(id, value);
        }
    }

    /// Whether all ports that an option names are in the team.
    fn names_team_ports(&self, (id, value): &OptionWrite) -> bool {
        let named = match (&*id.name, value) {
            (name::ACTIVEPORT | name::LB_TX_HASH_TO_PORT_MAPPING, Value::U32(port)) => Some(*port),
            _ => None,
        };
        let is_known = |port| self.options.contains_key(&OptionId::port(name::ENABLED, port));
        id.port.into_iter().chain(named).all(is_known)
    }

    /// Writes options of the forwarding again that another program has changed.
    fn restore_options(&mut self) -> io::Result<()> {
        match self.forwarding.clone() {
            Some(forwarding) if runner_enables_ports(&forwarding.policy) => {
                let enable = self.enable_options();
                self.write_options(options::forwarding(&forwarding, &self.ports, enable))
            }
            _ => Ok(()),
        }
    }

    fn forward(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        if let Some(slb) = &mut self.slb {
            slb.programs.apply(&mut slb.route, &forwarding.resolve())?;
        }
        self.broadcast_neighbours(forwarding)?;
        self.read_events()?;
        let enable = self.enable_options();
        let mut options = options::forwarding(forwarding, &self.ports, enable);
        if !runner_enables_ports(&forwarding.policy) {
            let unchanged = self.unchanged_ports(forwarding);
            options.retain(|(id, _)| {
                !(is_enable_option(id) && id.port.is_some_and(|port| unchanged.contains(&port)))
            });
        }
        self.forwarding = Some(forwarding.clone());
        self.write_options(options)
    }

    /// Interface indices of the ports that the last forwarding enabled, or disabled, likewise.
    fn unchanged_ports(&self, forwarding: &Forwarding) -> Vec<u32> {
        let enabled = |port: &PortForwarding| (port.collecting, port.distributing);
        let before = self.forwarding.iter().flat_map(|before| &before.ports);
        let unchanged = before.filter(|before| {
            let now = forwarding.ports.iter().find(|now| now.port == before.port);
            now.is_some_and(|now| enabled(now) == enabled(before))
        });
        let indices = unchanged.filter_map(|port| self.ports.get(&port.port));
        indices.copied().collect()
    }

    /// The priorities of the ports; others may have changed them.
    fn priorities(&self) -> Vec<(PortId, i32)> {
        let ports = self.ports.iter();
        let priority = |ifindex| match self.options.get(&OptionId::port(name::PRIORITY, ifindex)) {
            Some(Value::S32(priority)) => Some(*priority),
            _ => None,
        };
        ports.filter_map(|(port, ifindex)| Some((*port, priority(*ifindex)?))).collect()
    }

    /// Gives an interface back whose attachment failed; a port of before the call stays one.
    fn undo_attach(&mut self, port: PortId, ifindex: u32, enslaved: Option<Enslaved>) {
        let released = match enslaved {
            Some(Enslaved::Now) => self.driver.release(ifindex),
            Some(Enslaved::Before) | None => Ok(()),
        };
        if let Err(error) = released.and(self.detach_program(port)) {
            log::warn!("cannot give interface {ifindex} back: {error}");
        }
    }

    fn detach_program(&mut self, port: PortId) -> io::Result<()> {
        match &mut self.slb {
            Some(slb) => slb.programs.detach(&mut slb.route, port),
            None => Ok(()),
        }
    }

    /// Has the kernel answer the LACP partner of a port as [`Change::KeepAlive`] says.
    fn keep_alive(
        &mut self,
        port: PortId,
        limit: Duration,
        answer: Option<&Answer>,
    ) -> io::Result<()> {
        let ifindex = self.ports.get(&port).copied();
        let ifindex = ifindex.ok_or_else(|| io::Error::from_raw_os_error(libc::ENXIO))?;
        let team = TeamHook::DriverEgress(self.driver.ifindex()).receiver();
        if self.lacp.is_none() && limit.is_zero() {
            return keep_alive::clear(&mut RouteSocket::open()?, ifindex);
        }
        let LacpPrograms { keep_alive, route, .. } = self.lacp_programs()?;
        keep_alive.set(route, (port, ifindex), team, limit, answer)
    }

    /// Returns the programs of lacp; the first call opens their socket.
    fn lacp_programs(&mut self) -> io::Result<&mut LacpPrograms> {
        match &mut self.lacp {
            Some(programs) => Ok(programs),
            none => {
                Ok(none
                    .insert(LacpPrograms::open(self.driver.ifindex(), self.shared.attach_mode())?))
            }
        }
    }

    /// Has ARP and neighbour discovery leave on every port if the policy says so, otherwise on the
    /// port of their flow alone.
    fn broadcast_neighbours(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        if !matches!(forwarding.policy, TxPolicy::LoadBalance { neighbours: true, .. }) {
            let programs = self.lacp.as_mut();
            return programs.map_or(Ok(()), |it| it.neighbours.close(&mut it.route));
        }
        let usable = forwarding.usable();
        let ports = usable.iter().filter_map(|port| self.ports.get(port)).copied().collect();
        let LacpPrograms { neighbours, route, .. } = self.lacp_programs()?;
        neighbours.apply(route, ports)
    }

    /// Bytes by bucket as of the driver's last count, once in a balancing interval.
    fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        let mut bytes = Box::new([0; BUCKETS]);
        for (bucket, bytes) in (0_u32..).zip(bytes.iter_mut()) {
            let id = OptionId::element(name::LB_HASH_STATS, bucket);
            if let Some(Value::Binary(count)) = self.options.get(&id) {
                *bytes = count.as_slice().try_into().map_or(0, u64::from_ne_bytes);
            }
        }
        if self.slb.is_some() {
            // Frames that leave by the designated port are in none of the runner's buckets.
            bytes[usize::from(DESIGNATED_BUCKET)] = 0;
        }
        bytes
    }
}

/// Whether the runner decides which ports are enabled. Under other runners a port that the user
/// disables by the driver's option stays disabled, as under teamd.
fn runner_enables_ports(policy: &TxPolicy) -> bool {
    matches!(
        policy,
        TxPolicy::ActiveBackup { .. }
            | TxPolicy::LoadBalance { .. }
            | TxPolicy::SourceBalance { .. }
    )
}

impl<D: Driver> DataPath for KernelTeam<D> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: DataPathKind::Kernel,
            ports: Owner::DataPath,
            announcements: Owner::DataPath,
            carrier: Owner::DataPath,
            late_link_events: false,
            queue_id: true,
            outlives_daemon: true,
            changes_policy: false,
            flow_hash: FlowHash::Driver,
            loads_programs: self.slb.is_some() || self.lacp.is_some(),
            silent_hooks: self.slb.as_ref().is_some_and(|slb| slb.programs.detach_silently())
                || self.lacp.as_ref().is_some_and(LacpPrograms::detach_silently),
            switches_to: &[DataPathKind::Kernel],
        }
    }

    fn attach(&mut self, port: PortId, interface: &PortInterface) -> io::Result<()> {
        let ifindex = interface.ifindex;
        match &mut self.slb {
            Some(slb) => slb.programs.attach(port, ifindex, None, None)?,
            None => self.driver.clear_port(ifindex)?,
        }
        let mut enslaved = None;
        let attached = self.driver.enslave(ifindex).and_then(|since| {
            enslaved = Some(since);
            // The driver has just sent events of the port's options.
            self.read_events()
        });
        if let Err(error) = attached {
            self.undo_attach(port, ifindex, enslaved);
            return Err(error);
        }
        self.ports.insert(port, ifindex);
        Ok(())
    }

    fn detach(&mut self, port: PortId) -> io::Result<()> {
        let released = match self.ports.remove(&port) {
            Some(ifindex) => self.driver.release(ifindex),
            None => Ok(()),
        };
        let lacp = match &mut self.lacp {
            Some(LacpPrograms { keep_alive, route, .. }) => keep_alive.detach(route, port),
            None => Ok(()),
        };
        released.and(self.detach_program(port)).and(lacp)
    }

    fn apply(&mut self, now: Instant, change: Change<'_>) -> io::Result<()> {
        match change {
            Change::Forwarding(forwarding) => self.forward(forwarding),
            Change::Requirements(requirements) => self.require(requirements),
            Change::PortSettings(port, settings) => match self.ports.get(&port) {
                Some(ifindex) => self.write_options(options::port(*ifindex, settings)),
                None => Err(io::Error::from_raw_os_error(libc::ENXIO)),
            },
            Change::SwitchTo(kind) => self.capabilities().needs_switch(kind).map(drop),
            // The kernel delivers link events of the driver's ports in time, frames or not.
            Change::WakeOnFrame => Ok(()),
            Change::KeepAlive { port, limit, answer } => self.keep_alive(port, limit, answer),
            Change::HooksChanged(ifindex) => match (&mut self.slb, &mut self.lacp) {
                (Some(slb), _) => slb.restore(now, ifindex),
                (None, Some(lacp)) => lacp.restore(now, ifindex),
                (None, None) => Ok(()),
            },
            Change::CheckHooks => match (&mut self.slb, &mut self.lacp) {
                (Some(slb), _) => slb.check(now),
                (None, Some(lacp)) => lacp.check(now),
                (None, None) => Ok(()),
            },
        }
    }

    /// Reads the driver's events; the frames do not pass here.
    fn poll(&mut self, _now: Instant, _token: Token, _budget: usize) -> io::Result<Polled> {
        if self.read_events()? {
            self.restore_options()?;
        }
        Ok(Polled { drained: Drained::Empty, priorities: self.priorities() })
    }

    fn snapshot(&self, part: SnapshotPart) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let programs = self.slb.as_ref().map(|slb| &slb.programs);
        match part {
            SnapshotPart::Counters => {
                snapshot.counters = Counters {
                    resyncs: self.resyncs,
                    rx_echoes: programs.map_or(0, Programs::rx_echoes),
                    rx_inactive: programs.map_or(0, Programs::rx_inactive),
                    hooks_restored: self.slb.as_ref().map_or(0, |slb| slb.hooks_restored.count())
                        + self.lacp.as_ref().map_or(0, |lacp| lacp.hooks_restored.count()),
                    kept_alive: match &self.lacp {
                        Some(lacp) => lacp.keep_alive.answered(),
                        None => Vec::new(),
                    },
                    ..Counters::default()
                };
            }
            SnapshotPart::BucketBytes => snapshot.bucket_bytes = self.bucket_bytes(),
            SnapshotPart::Sources => {
                snapshot.stations = programs.map_or(Vec::new(), Programs::stations);
            }
            SnapshotPart::Learned => {
                snapshot.learned = programs.and_then(Programs::readable_sources);
            }
            // The driver moves the frames without the daemon.
            SnapshotPart::Queues => {}
        }
        snapshot
    }

    fn close(&mut self, _: DeviceAtEnd) -> io::Result<()> {
        let lacp = self.lacp.take().map_or(Ok(()), |mut lacp| lacp.close());
        let closed = self.slb.take().map_or(Ok(()), |mut slb| slb.programs.close(&mut slb.route));
        closed.and(lacp)
    }
}
