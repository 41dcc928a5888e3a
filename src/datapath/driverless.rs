//! The data path without the kernel's team driver. teamr creates the team device, and either the
//! [`Relay`] or [`Programs`] move its frames. A running team can switch between the two.
//!
//! Owns the device, the filters that keep the host's stack off the ports, the port state file, and
//! the switch between relay and programs.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use mio::{Registry, Token};
use runners::{Forwarding, Instant, PortId};

use super::device::{Device, DeviceOptions, PairedKind};
use super::ebpf::{self, Answer, AttachMode, KeepAlivePrograms, Programs, SharedPrograms};
use super::hooks_restored::{self, HooksRestored, is_removed_again};
use super::port_state::PortStateFile;
use super::relay::{Relay, StoppedOffloads};
use super::{
    Capabilities, Change, Counters, DataPath, DataPathKind, DeviceAtEnd, Drained, FlowHash, MARK,
    Owner, Polled, PortInterface, Snapshot, SnapshotPart,
};
use crate::errno::repeat;
use crate::netlink::{RouteSocket, link, tc};
use crate::sys::ethtool::switch_features;

/// Age of a port's last LACPDU up to which the kernel answers the partner while the relay moves the
/// frames. No frame passes the relay without the daemon, so the answers cover a restart and nothing
/// longer.
const RELAY_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A team device without the driver, and its ports.
///
/// The first token stands for the team device, the others for ports. Pass every event of these tokens to [`poll`](DataPath::poll), errors and hang-ups too.
#[derive(Debug)]
pub struct DriverlessTeam {
    route: RouteSocket,
    port_state: PortStateFile,
    device: Device,
    /// Interface indices of the ports.
    ports: BTreeMap<PortId, u32>,
    /// Stopped while programs move the frames.
    relay: Relay,
    shared: Rc<SharedPrograms>,
    programs: Option<Programs>,
    keep_alive: KeepAlivePrograms,
    hooks_restored: HooksRestored,
    /// [`Device::isolate`] was called.
    isolated: bool,
}

impl DriverlessTeam {
    /// Creates the team device, down and without carrier, or takes over an existing one. The relay
    /// moves its frames. `port_state` records the ports; `kept` has the descriptors that a former
    /// daemon has left open.
    ///
    /// # Errors
    /// The errors of [`Device::open`], of registering its descriptor, and of detaching the programs
    /// of a previous daemon.
    pub fn with_relay(
        registry: Rc<Registry>,
        tokens: Range<usize>,
        options: &DeviceOptions,
        port_state: PortStateFile,
        shared: Rc<SharedPrograms>,
        kept: &mut BTreeMap<String, OwnedFd>,
    ) -> io::Result<Self> {
        let mut route = RouteSocket::open()?;
        let device =
            Device::open(&mut route, options, |ifindex| kept.remove(&device_queue(ifindex)))?;
        let mut team = Self::new(Relay::new(registry, tokens), route, port_state, device, shared);
        let ports = team.port_state.ports().iter().map(|found| found.ifindex);
        team.relay.kept = ports
            .filter_map(|ifindex| Some((ifindex, kept.remove(&port_queue(ifindex))?.into())))
            .collect();
        // The relay receives before the programs of a previous daemon end, so that no frame is
        // lost.
        team.relay.start(&mut team.device, [])?;
        if options.take_over {
            team.clear_programs()?;
        }
        team.device.keep(&mut team.route, options)?;
        Ok(team)
    }

    /// Creates a netkit or, where that is not possible, a veth with the team device as one end, down and
    /// without carrier, or takes over the existing device of either kind if the device
    /// [`is_ours`](super::device::is_ours). Programs move its frames.
    ///
    /// # Errors
    /// `EEXIST` if the device exists and is not to be taken over; errors of bpf(2) where programs
    /// cannot be loaded.
    pub fn with_programs(
        registry: Rc<Registry>,
        tokens: Range<usize>,
        options: &DeviceOptions,
        port_state: PortStateFile,
        shared: Rc<SharedPrograms>,
    ) -> io::Result<Self> {
        let mut route = RouteSocket::open()?;
        let kinds: &[PairedKind] = match shared.attach_mode() {
            AttachMode::Clsact => &[PairedKind::Veth],
            // The kernel attaches to a netkit as slowly as by TCX.
            AttachMode::Tcx | AttachMode::Netkit => &[PairedKind::Netkit, PairedKind::Veth],
        };
        let device = Device::paired(&mut route, options, kinds)?;
        let mut team = Self::new(Relay::new(registry, tokens), route, port_state, device, shared);
        match team.load_programs() {
            Ok(programs) => team.programs = Some(programs),
            Err(error) => {
                if !options.take_over {
                    link::delete(&mut team.route, team.device.ifindex())?;
                }
                return Err(error);
            }
        }
        Ok(team)
    }

    fn new(
        relay: Relay,
        route: RouteSocket,
        mut port_state: PortStateFile,
        device: Device,
        shared: Rc<SharedPrograms>,
    ) -> Self {
        port_state.set_device(device.ifindex());
        let keep_alive = KeepAlivePrograms::new(shared.attach_mode());
        DriverlessTeam {
            route,
            port_state,
            device,
            ports: BTreeMap::new(),
            relay,
            shared,
            programs: None,
            keep_alive,
            hooks_restored: HooksRestored::default(),
            isolated: false,
        }
    }

    /// Returns the interface index of the team device.
    pub fn ifindex(&self) -> u32 {
        self.device.ifindex()
    }

    /// Detaches the programs of a previous daemon from the device and its ports.
    fn clear_programs(&mut self) -> io::Result<()> {
        ebpf::clear_device(&mut self.route, self.device.hook())?;
        for found in self.port_state.ports() {
            let previous = self.port_state.program(found.ifindex);
            ebpf::clear_port(&mut self.route, found, previous)?;
        }
        Ok(())
    }

    /// Loads programs that are attached to nothing yet.
    fn load_programs(&self) -> io::Result<Programs> {
        let programs = Programs::new(&self.shared, self.device.hook())?;
        let programs = programs.with_messages(Rc::clone(&self.relay.registry), self.relay.token());
        programs.wake_on_frame()?;
        Ok(programs)
    }

    /// Loads programs and attaches them for the forwarding. After an error no program is attached.
    fn attach_programs(&mut self) -> io::Result<Programs> {
        let mut programs = self.load_programs()?;
        let attached = self.fill_programs(&mut programs);
        if let Err(error) = attached {
            if let Err(error) = programs.close(&mut self.route) {
                log::warn!("cannot detach programs: {error}");
            }
            return Err(error);
        }
        Ok(programs)
    }

    fn fill_programs(&mut self, programs: &mut Programs) -> io::Result<()> {
        for (port, ifindex) in &self.ports {
            let mut found = self.port_state.ports().iter();
            let promiscuous = found.any(|port| port.ifindex == *ifindex && port.promiscuous);
            programs.attach(*port, *ifindex, Some(promiscuous), None)?;
        }
        if let Some(learned) = self.relay.distributor.learned_sources() {
            programs.write_learned_sources(&mut self.route, &learned)?;
        }
        programs.apply(&mut self.route, self.relay.distributor.forwarding())
    }

    /// Switches to programs. For some microseconds both programs and relay move frames: a frame may
    /// arrive twice, and no frame is lost.
    fn switch_to_programs(&mut self) -> io::Result<()> {
        let programs = self.attach_programs()?;
        // The programs move the frames now: no later step may fail.
        if let Err(error) = self.relay.forward_last(&self.device) {
            log::warn!("cannot relay the last frames: {error}");
        }
        self.relay.stop(&mut self.device);
        self.programs = Some(programs);
        self.save_persisted_state();
        self.save_stopped_offloads(BTreeMap::new());
        Ok(())
    }

    /// Switches to the relay, without loss like [`switch_to_programs`](Self::switch_to_programs).
    fn switch_to_relay(&mut self) -> io::Result<()> {
        let Some(mut programs) = self.programs.take() else { return Ok(()) };
        if let Err(error) = self.start_relay(&mut programs) {
            self.programs = Some(programs);
            return Err(error);
        }
        // The relay moves the frames now; a program that stays attached delivers no more frames.
        if let Err(error) = programs.close(&mut self.route) {
            log::warn!("cannot detach programs: {error}");
        }
        self.save_persisted_state();
        Ok(())
    }

    /// Starts the relay in place of the program of the team device; after an error the programs
    /// are as before and the relay is stopped.
    fn start_relay(&mut self, programs: &mut Programs) -> io::Result<()> {
        let ports = self.ports.iter().map(|(port, ifindex)| (*port, *ifindex));
        self.relay.start(&mut self.device, ports)?;
        match programs.learned_sources() {
            Ok(Some(learned)) => self.relay.distributor.restore_sources(learned),
            Ok(None) => {}
            Err(error) => log::warn!("the learned source addresses are lost: {error}"),
        }
        // The programs have moved these frames already.
        self.relay.discard_queued(&self.device);
        let detached = programs.detach_transmit(&mut self.route);
        if detached.is_err() {
            self.relay.stop(&mut self.device);
        }
        detached
    }

    /// Saves the state of the programs for a later daemon, if the state has changed.
    fn save_persisted_state(&mut self) {
        let state = self.programs.as_ref().map(Programs::persisted_state);
        let saved = self.port_state.save_persisted_state(state.unwrap_or_default());
        if let Err(error) = saved {
            log::warn!("cannot record the programs at work: {error}");
        }
    }

    /// Records the offloads that the relay has switched off, for the daemon after a crash.
    fn save_stopped_offloads(&mut self, stopped: BTreeMap<u32, StoppedOffloads>) {
        if let Err(error) = self.port_state.save_stopped_offloads(stopped) {
            log::warn!("cannot record the offloads that are off: {error}");
        }
    }

    /// Returns the offloads of a new port that a former daemon has switched off and that stay off.
    /// Programs need no offload off, so that with programs the offloads are switched on again
    /// first.
    fn stopped_offloads(&self, interface: &PortInterface) -> StoppedOffloads {
        let stopped = interface.stopped_offloads.clone();
        if self.programs.is_none() || stopped.is_empty() {
            return stopped;
        }
        match switch_features(&self.route, interface.ifindex, &stopped.0, true) {
            Ok(_) => StoppedOffloads::default(),
            Err(error) => {
                log::warn!("{}: cannot switch offloads on again: {error}", interface.name);
                stopped
            }
        }
    }

    fn apply_forwarding(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        self.forward(forwarding)?;
        if !self.isolated {
            // The programs let their own frames pass now, also those of an earlier daemon's device.
            self.device.isolate(&mut self.route)?;
            self.isolated = true;
        }
        Ok(())
    }

    fn forward(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        self.relay.apply(&self.device, forwarding);
        let Some(programs) = &mut self.programs else { return Ok(()) };
        let forwarding = self.relay.distributor.forwarding();
        match repeat(|| programs.apply(&mut self.route, forwarding)) {
            Ok(()) => {
                self.save_persisted_state();
                Ok(())
            }
            Err(error) => {
                log::error!("programs cannot move the frames, the relay does: {error}");
                self.switch_to_relay()
            }
        }
    }

    /// Puts filters and programs of an interface back. If a program cannot be put back, the relay
    /// moves the frames from then on.
    ///
    /// # Errors
    /// `EAGAIN` if another program removes them again and again; errors of putting them back.
    fn restore_hooks(&mut self, now: Instant, ifindex: u32) -> io::Result<()> {
        self.hooks_restored.permit(now, ifindex)?;
        let restored = self.try_restore_hooks(ifindex);
        self.hooks_restored.record(&mut self.route, now, ifindex, restored)
    }

    /// Returns whether filters or programs were gone.
    fn try_restore_hooks(&mut self, ifindex: u32) -> io::Result<bool> {
        let restored = self.restore_filters(ifindex)? | self.restore_keep_alive(ifindex);
        let Some(programs) = &self.programs else { return Ok(restored) };
        match programs.restore(&mut self.route, ifindex) {
            Ok(programs) => Ok(restored | programs),
            Err(error) if is_removed_again(&error) => Err(error),
            Err(error) => {
                log::error!("cannot attach a program again, the relay moves frames: {error}");
                self.switch_to_relay()?;
                Ok(restored)
            }
        }
    }

    /// Attaches again the TCX programs that another program of the host has detached.
    fn check_hooks(&mut self, now: Instant) -> io::Result<()> {
        let mut detached = self.keep_alive.detached();
        detached.extend(self.programs.iter().flat_map(Programs::detached));
        hooks_restored::restore_each(detached, |ifindex| self.restore_hooks(now, ifindex))
    }

    /// Puts the filters of a port or of the device's peer back; returns whether they were gone.
    fn restore_filters(&mut self, ifindex: u32) -> io::Result<bool> {
        let route = &mut self.route;
        if self.ports.values().any(|port| *port == ifindex) {
            if !tc::is_host_blocked(route, ifindex)? {
                return tc::block_host(route, ifindex, MARK).map(|()| true);
            }
        } else if self.isolated
            && self.device.peer() == Some(ifindex)
            && !tc::is_host_blocked(route, ifindex)?
        {
            return self.device.isolate(route).map(|()| true);
        }
        Ok(false)
    }

    /// Attaches again the program that answers the LACP partner of a port. Returns whether the
    /// program was gone; `false` after a failure, which costs only the answers while the daemon is
    /// away.
    fn restore_keep_alive(&mut self, ifindex: u32) -> bool {
        self.keep_alive.restore(&mut self.route, ifindex).unwrap_or_else(|error| {
            log::debug!("cannot attach the program of keepalive again: {error}");
            false
        })
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
        let limit = match self.programs {
            Some(_) => limit,
            None => limit.min(RELAY_KEEP_ALIVE),
        };
        let team = self.device.hook().receiver();
        self.keep_alive.set(&mut self.route, (port, ifindex), team, limit, answer)
    }

    /// Returns copies of the relay's descriptors; none while programs move the frames.
    fn queues(&self) -> BTreeMap<String, OwnedFd> {
        if self.programs.is_some() {
            return BTreeMap::new();
        }
        let device = (device_queue(self.device.ifindex()), self.device.queue());
        let ports = self.relay.queues().map(|(ifindex, queue)| (port_queue(ifindex), Some(queue)));
        let copies = ports.chain([device]).filter_map(|(name, queue)| {
            let copy = queue?.try_clone_to_owned();
            copy.inspect_err(|error| log::warn!("cannot copy {name}: {error}"))
                .ok()
                .map(|it| (name, it))
        });
        copies.collect()
    }

    fn counters(&self) -> Counters {
        let mut counters = self.relay.counters();
        counters.hooks_restored = self.hooks_restored.count();
        counters.kept_alive = self.keep_alive.answered();
        if let Some(programs) = &self.programs {
            counters.traffic = programs.traffic().collect();
            counters.tx_no_port += programs.tx_no_port();
            counters.rx_inactive += programs.rx_inactive();
            counters.rx_echoes += programs.rx_echoes();
        }
        counters
    }
}

/// Names of the descriptors that the next daemon takes.
fn device_queue(ifindex: u32) -> String {
    format!("teamr-device-{ifindex}")
}

fn port_queue(ifindex: u32) -> String {
    format!("teamr-port-{ifindex}")
}

impl DataPath for DriverlessTeam {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: match self.programs {
                Some(_) => DataPathKind::Programs,
                None => DataPathKind::Relay,
            },
            ports: Owner::Daemon,
            announcements: Owner::Daemon,
            carrier: Owner::Daemon,
            late_link_events: true,
            queue_id: false,
            outlives_daemon: self.programs.is_some(),
            changes_policy: true,
            flow_hash: match self.programs {
                Some(_) => FlowHash::Program,
                None => FlowHash::Core,
            },
            loads_programs: true,
            silent_hooks: self.keep_alive.detach_silently()
                || self.programs.as_ref().is_some_and(Programs::detach_silently),
            switches_to: &[DataPathKind::Programs, DataPathKind::Relay],
        }
    }

    fn attach(&mut self, port: PortId, interface: &PortInterface) -> io::Result<()> {
        let ifindex = interface.ifindex;
        for (other, its) in &self.ports {
            match (*other == port, *its == ifindex) {
                (true, true) => return Ok(()),
                (false, false) => (),
                _ => return Err(io::Error::from_raw_os_error(libc::EBUSY)),
            }
        }
        let previous = self.port_state.program(ifindex);
        let stopped = self.stopped_offloads(interface);
        let recorded = PortInterface { stopped_offloads: stopped.clone(), ..interface.clone() };
        self.port_state.record(&recorded)?;
        // Without filters the host would receive each frame a second time: filters first.
        let blocked = tc::block_host(&mut self.route, ifindex, MARK);
        let attached = blocked.and_then(|()| match &mut self.programs {
            Some(programs) => programs.attach(port, ifindex, Some(interface.promiscuous), previous),
            None => self.relay.attach(port, ifindex, stopped),
        });
        if attached.is_ok() {
            self.ports.insert(port, ifindex);
            return attached;
        }
        let unblocked = tc::unblock_host(&mut self.route, ifindex);
        if let Err(error) = unblocked.and_then(|()| self.port_state.forget(ifindex)) {
            log::warn!("{}: cannot give back: {error}", interface.name);
        }
        attached
    }

    /// Restore the address and the MTU before this call, which deletes their record.
    fn detach(&mut self, port: PortId) -> io::Result<()> {
        let Some(ifindex) = self.ports.remove(&port) else { return Ok(()) };
        self.relay.detach(port);
        // All filters at once: without them the programs' own hooks need no further change.
        let unblocked = tc::unblock_host(&mut self.route, ifindex);
        let keep_alive = self.keep_alive.detach(&mut self.route, port);
        let detached = match &mut self.programs {
            Some(programs) => programs.detach(&mut self.route, port),
            None => Ok(()),
        };
        // If the filters stay, the record stays too: the next start restores the port.
        let restored = unblocked.and_then(|()| self.port_state.forget(ifindex));
        detached.and(keep_alive).and(restored)
    }

    fn apply(&mut self, now: Instant, change: Change<'_>) -> io::Result<()> {
        self.relay.distributor.set_time(now);
        match change {
            Change::Forwarding(forwarding) => self.apply_forwarding(forwarding),
            Change::PortSettings(..) | Change::Requirements(_) => Ok(()),
            Change::SwitchTo(kind) => match self.capabilities().needs_switch(kind)? {
                true if self.programs.is_some() => self.switch_to_relay(),
                true => self.switch_to_programs(),
                false => Ok(()),
            },
            Change::KeepAlive { port, limit, answer } => self.keep_alive(port, limit, answer),
            Change::WakeOnFrame => self.programs.as_ref().map_or(Ok(()), Programs::wake_on_frame),
            Change::HooksChanged(ifindex) => self.restore_hooks(now, ifindex),
            Change::CheckHooks => self.check_hooks(now),
        }
    }

    fn poll(&mut self, now: Instant, token: Token, budget: usize) -> io::Result<Polled> {
        self.relay.distributor.set_time(now);
        if let Some(programs) = &self.programs {
            for message in programs.take_messages() {
                self.relay.distributor.learn_peer(message.sent, &message.bytes);
            }
            return Ok(Drained::Empty.into());
        }
        let polled = self.relay.poll(&self.device, token, budget);
        if let Some(stopped) = self.relay.take_stopped_offloads() {
            self.save_stopped_offloads(stopped);
        }
        polled.map(Polled::from)
    }

    fn snapshot(&self, part: SnapshotPart) -> Snapshot {
        let mut snapshot = Snapshot::default();
        match part {
            SnapshotPart::Counters => snapshot.counters = self.counters(),
            SnapshotPart::BucketBytes => {
                snapshot.bucket_bytes = match &self.programs {
                    Some(programs) => programs.bucket_bytes(),
                    None => self.relay.bucket_bytes.clone().unwrap_or(snapshot.bucket_bytes),
                };
            }
            SnapshotPart::Sources => {
                snapshot.stations = match &self.programs {
                    Some(programs) => programs.stations(),
                    None => self.relay.distributor.stations(),
                };
                snapshot.peers = self.relay.distributor.peers();
            }
            SnapshotPart::Learned => {
                snapshot.learned = match &self.programs {
                    Some(programs) => programs.readable_sources(),
                    None => self.relay.distributor.learned_sources(),
                };
            }
            SnapshotPart::Queues => snapshot.queues = self.queues(),
        }
        snapshot
    }

    fn close(&mut self, device: DeviceAtEnd) -> io::Result<()> {
        let keep_alive = self.keep_alive.close(&mut self.route);
        let Some(mut programs) = self.programs.take() else { return keep_alive };
        let closed = match device {
            DeviceAtEnd::Stays => programs.close(&mut self.route),
            DeviceAtEnd::Deleted => programs.close_with_device(&mut self.route),
        };
        closed.and(keep_alive)
    }
}
