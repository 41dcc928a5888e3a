//! The data path without the kernel's team driver. teamr creates the team device, and either the
//! [`Relay`] or [`Programs`] move its frames. A running team can switch between the two.
//!
//! Owns the device, the filters that keep the host's stack off the ports, the port state file, and
//! the switch between relay and programs.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::{Forwarding, Instant, PortId};

use super::device::{Device, DeviceOptions};
use super::ebpf::{self, Programs};
use super::port_state::PortStateFile;
use super::relay::Relay;
use super::{
    Capabilities, Change, Counters, DataPath, DataPathKind, Drained, MARK, Owner, Polled,
    PortInterface, Snapshot, SnapshotPart,
};
use crate::netlink::{RouteSocket, link, tc};

/// A team device without the driver, and its ports.
///
/// The first token stands for the team device, the last for the programs' wakeup, the others for
/// ports. Pass every event of these tokens to [`poll`](DataPath::poll), errors and hang-ups too.
#[derive(Debug)]
pub struct DriverlessTeam {
    wakeup_token: Token,
    route: RouteSocket,
    port_state: PortStateFile,
    device: Device,
    /// Interface indices of the ports.
    ports: BTreeMap<PortId, u32>,
    /// Stopped while programs move the frames.
    relay: Relay,
    programs: Option<Programs>,
}

impl DriverlessTeam {
    /// Creates the team device, down and without carrier, or takes over an existing one. The relay
    /// moves its frames. `port_state` records the ports.
    ///
    /// # Errors
    /// Those of [`Device::open`], of its descriptors, and of detaching the programs of a previous
    /// daemon.
    pub fn with_relay(
        registry: Registry,
        tokens: Range<usize>,
        options: &DeviceOptions,
        port_state: PortStateFile,
    ) -> io::Result<Self> {
        let mut route = RouteSocket::open()?;
        let device = Device::open(&mut route, options)?;
        let mut team = Self::new(registry, tokens, route, port_state, device);
        // The relay receives before the programs of a previous daemon end, so that no frame is
        // lost.
        team.relay.start(&mut team.device, [])?;
        if options.take_over {
            team.clear_programs()?;
        }
        Ok(team)
    }

    /// Creates a veth pair with the team device as one end, down and without carrier, or takes over
    /// the device `name` if the device [`is_ours`](super::device::is_ours). Programs move its
    /// frames.
    ///
    /// # Errors
    /// `EEXIST` if the device exists and is not to be taken over; errors of bpf(2) where programs
    /// cannot be loaded.
    pub fn with_programs(
        registry: Registry,
        tokens: Range<usize>,
        name: &str,
        take_over: bool,
        port_state: PortStateFile,
    ) -> io::Result<Self> {
        let mut route = RouteSocket::open()?;
        let device = Device::veth(&mut route, name, take_over)?;
        let mut team = Self::new(registry, tokens, route, port_state, device);
        match team.load_programs() {
            Ok(programs) => team.programs = Some(programs),
            Err(error) => {
                if !take_over {
                    link::delete(&mut team.route, team.device.ifindex())?;
                }
                return Err(error);
            }
        }
        Ok(team)
    }

    fn new(
        registry: Registry,
        tokens: Range<usize>,
        route: RouteSocket,
        port_state: PortStateFile,
        device: Device,
    ) -> Self {
        let last = tokens.end - 1;
        let relay = Relay::new(registry, tokens.start..last);
        DriverlessTeam {
            wakeup_token: Token(last),
            route,
            port_state,
            device,
            ports: BTreeMap::new(),
            relay,
            programs: None,
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
        let programs = Programs::new(self.device.hook())?;
        let fd = programs.wakeup();
        self.relay.registry().register(
            &mut SourceFd(&fd),
            self.wakeup_token,
            Interest::READABLE,
        )?;
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
        if let Some(learned) = self.relay.distributor().learned_sources() {
            programs.write_learned_sources(&mut self.route, &learned)?;
        }
        programs.apply(&mut self.route, self.relay.forwarding())
    }

    /// Switches from programs to the relay, or from the relay to programs.
    fn switch(&mut self) -> io::Result<()> {
        match self.programs {
            Some(_) => self.switch_to_relay(),
            None => self.switch_to_programs(),
        }
    }

    /// Switches to programs. For some microseconds both programs and relay move frames: a frame may
    /// arrive twice, and no frame is lost.
    fn switch_to_programs(&mut self) -> io::Result<()> {
        let programs = self.attach_programs()?;
        // The programs move the frames now: no later step may fail.
        if let Err(error) = self.relay.forward_queued(&self.device) {
            log::warn!("cannot relay the last frames: {error}");
        }
        self.relay.stop(&mut self.device);
        self.programs = Some(programs);
        self.save_persisted_state();
        Ok(())
    }

    /// Switches to the relay, without loss like [`switch_to_programs`](Self::switch_to_programs).
    fn switch_to_relay(&mut self) -> io::Result<()> {
        let Some(mut programs) = self.programs.take() else {
            return Ok(());
        };
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
            Ok(Some(learned)) => self.relay.distributor().restore_sources(learned),
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
        let saved = self
            .port_state
            .save_persisted_state(state.unwrap_or_default());
        if let Err(error) = saved {
            log::warn!("cannot record the programs at work: {error}");
        }
    }

    fn apply_forwarding(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        self.relay.apply(&self.device, forwarding);
        let Some(programs) = &mut self.programs else {
            return Ok(());
        };
        match programs.apply(&mut self.route, self.relay.forwarding()) {
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

    fn counters(&self) -> Counters {
        let mut counters = self.relay.counters();
        if let Some(programs) = &self.programs {
            counters.traffic = programs.traffic().collect();
            counters.tx_no_port += programs.tx_no_port();
            counters.rx_inactive += programs.rx_inactive();
            counters.rx_echoes += programs.rx_echoes();
        }
        counters
    }
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
            loads_programs: true,
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
        self.port_state.record(interface)?;
        // Without filters the host would receive each frame a second time: filters first.
        let attached =
            tc::block_host(&mut self.route, ifindex, MARK).and_then(|()| {
                match &mut self.programs {
                    Some(programs) => {
                        programs.attach(port, ifindex, Some(interface.promiscuous), previous)
                    }
                    None => self.relay.attach(port, ifindex),
                }
            });
        match &attached {
            Ok(()) => {
                self.ports.insert(port, ifindex);
            }
            Err(_) => {
                let undone = tc::unblock_host(&mut self.route, ifindex)
                    .and_then(|()| self.port_state.forget(ifindex));
                if let Err(error) = undone {
                    log::warn!("{}: cannot give back: {error}", interface.name);
                }
            }
        }
        attached
    }

    /// Restore the address and the MTU before this call, which deletes their record.
    fn detach(&mut self, port: PortId) -> io::Result<()> {
        let Some(ifindex) = self.ports.remove(&port) else {
            return Ok(());
        };
        self.relay.detach(port);
        let detached = match &mut self.programs {
            Some(programs) => programs.detach(&mut self.route, port),
            None => Ok(()),
        };
        let unblocked = tc::unblock_host(&mut self.route, ifindex);
        // If the filters stay, the record stays too: the next start restores the port.
        let forgotten = match &unblocked {
            Ok(()) => self.port_state.forget(ifindex),
            Err(_) => Ok(()),
        };
        detached.and(unblocked).and(forgotten)
    }

    fn apply(&mut self, now: Instant, change: Change<'_>) -> io::Result<()> {
        self.relay.distributor().set_time(now);
        match change {
            Change::Forwarding(forwarding) => self.apply_forwarding(forwarding),
            Change::PortSettings(..) => Ok(()),
            Change::SwitchTo(kind) => match self.capabilities().needs_switch(kind)? {
                true => self.switch(),
                false => Ok(()),
            },
            Change::WakeOnFrame => match &self.programs {
                Some(programs) => programs.wake_on_frame(),
                None => Ok(()),
            },
        }
    }

    fn poll(&mut self, now: Instant, token: Token, budget: usize) -> io::Result<Polled> {
        self.relay.distributor().set_time(now);
        if token == self.wakeup_token {
            if let Some(programs) = &self.programs {
                programs.drain_wakeup();
            }
            return Ok(Drained::Empty.into());
        }
        self.relay
            .poll(&self.device, token, budget)
            .map(Polled::from)
    }

    fn snapshot(&self, part: SnapshotPart) -> Snapshot {
        let mut snapshot = Snapshot::default();
        match part {
            SnapshotPart::Counters => snapshot.counters = self.counters(),
            SnapshotPart::BucketBytes => {
                snapshot.bucket_bytes = match &self.programs {
                    Some(programs) => programs.bucket_bytes(),
                    None => self.relay.bucket_bytes(),
                };
            }
            SnapshotPart::Sources => {
                snapshot.stations = match &self.programs {
                    Some(programs) => programs.stations(),
                    None => self.relay.stations(),
                };
                snapshot.peers = self.relay.peers();
            }
        }
        snapshot
    }

    fn close(&mut self) -> io::Result<()> {
        match self.programs.take() {
            Some(mut programs) => programs.close(&mut self.route),
            None => Ok(()),
        }
    }
}
