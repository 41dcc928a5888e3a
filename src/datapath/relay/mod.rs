//! The data path of our own, for kernels without the team driver: a team device with frames
//! behind it that either a relay moves, by a packet socket on each port, or [`Programs`] inside
//! the kernel. One can take the other's place while the team runs.
//!
//! Owns the device, the descriptors, the filters that keep the host's stack off the ports, and
//! the note by which a later start can give ports back or go on with them. In the relay,
//! segments of 64 KiB pass whole and checksums unfinished in both directions; one frame is
//! under way at a time, in one buffer.

mod frames;
pub(super) mod port;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::{BUCKETS, Forwarding, HwAddr, Instant, PeerSeen, PortId, StationSeen, TxPolicy};

use super::ebpf::{self, Programs};
use super::{Counters, DataPath, DataPathKind, Drained, MARK, PortCare, PortInterface, closing};
use crate::netlink::{RouteSocket, link, tc};

use super::device::veth::Veth;
use super::device::{Device, DeviceOptions};
use super::port_state::PortStateFile;
use frames::Relay;
use port::Port;

/// Frames that are looked at on each port before the forwarding changes; more do not wait there
/// unless we are flooded.
const WAITING_FRAMES: usize = 1024;

/// A team device and its ports.
///
/// The first of its tokens stands for the team device, the last for frames that programs tell
/// of, the others for ports. Hand every event
/// of these tokens to [`drain_ready`](DataPath::drain_ready), errors and hang-ups too.
#[derive(Debug)]
pub struct Userspace {
    registry: Registry,
    tokens: Range<usize>,
    route: RouteSocket,
    port_state: PortStateFile,
    device: Device,
    /// Interface indices of the ports.
    members: BTreeMap<PortId, u32>,
    /// The sockets of the relay; the place of one is that of its token.
    ports: Vec<Option<Port>>,
    /// It knows the forwarding also while programs carry it out.
    relay: Relay,
    /// What moves the frames, if not the relay.
    programs: Option<Programs>,
}

impl Userspace {
    /// Creates the team device, down and without carrier, or takes it over; the relay serves
    /// it. Ports will be noted in `port_state`.
    ///
    /// # Errors
    /// `EBUSY` or `EEXIST` if the device exists and is not to be taken over, `EBUSY` if another
    /// process has it; `EINVAL` if its name belongs to an interface of another kind; `ENOENT`
    /// without `/dev/net/tun`; `EPERM` without CAP_NET_ADMIN.
    pub fn create(
        registry: Registry,
        tokens: Range<usize>,
        options: &DeviceOptions,
        port_state: PortStateFile,
    ) -> io::Result<Self> {
        let mut route = RouteSocket::open()?;
        let mut device = Device::open(&mut route, options)?;
        let fd = match &mut device {
            Device::Tap(tap) => tap.as_raw_fd(),
            Device::Veth(veth) => veth.listen()?,
        };
        let mut path = Self::new(registry, tokens, route, port_state, device);
        if options.take_over {
            path.clear_programs()?;
        }
        path.listen(fd, path.tokens.start)?;
        Ok(path)
    }

    /// Creates a veth of interfaces, one end of which is the team device, down and without
    /// carrier, or takes over the device `name` if it [`is_ours`](super::device::is_ours); programs serve it.
    ///
    /// # Errors
    /// `EEXIST` if the device exists and is not to be taken over; those of bpf(2) where
    /// programs cannot be loaded.
    pub fn create_with_programs(
        registry: Registry,
        tokens: Range<usize>,
        name: &str,
        take_over: bool,
        port_state: PortStateFile,
    ) -> io::Result<Self> {
        let mut route = RouteSocket::open()?;
        let veth = Veth::open(&mut route, name, take_over)?;
        let mut path = Self::new(registry, tokens, route, port_state, Device::Veth(veth));
        match path.load_programs() {
            Ok(programs) => path.programs = Some(programs),
            Err(error) => {
                if !take_over {
                    link::delete(&mut path.route, path.device.ifindex())?;
                }
                return Err(error);
            }
        }
        Ok(path)
    }

    fn new(
        registry: Registry,
        tokens: Range<usize>,
        route: RouteSocket,
        port_state: PortStateFile,
        device: Device,
    ) -> Self {
        Userspace {
            registry,
            tokens,
            route,
            port_state,
            device,
            members: BTreeMap::new(),
            ports: Vec::new(),
            relay: Relay::new(),
            programs: None,
        }
    }

    /// Takes the frames of a device and of its ports back from programs that served them for a
    /// daemon which is gone.
    fn clear_programs(&mut self) -> io::Result<()> {
        ebpf::clear_device(&mut self.route, self.device.side())?;
        for found in self.port_state.ports() {
            let program = self
                .port_state
                .persisted_state()
                .programs
                .get(&found.ifindex)
                .copied();
            ebpf::clear(&mut self.route, found, program)?;
        }
        Ok(())
    }

    /// Interface index of the team device.
    pub fn ifindex(&self) -> u32 {
        self.device.ifindex()
    }

    /// Name of the team device when it was created.
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// Address of the team device when it was created.
    pub fn hwaddr(&self) -> HwAddr {
        self.device.hwaddr()
    }

    fn listen(&self, fd: RawFd, token: usize) -> io::Result<()> {
        self.registry
            .register(&mut SourceFd(&fd), Token(token), Interest::READABLE)
    }

    fn load_programs(&self) -> io::Result<Programs> {
        let programs = Programs::new(self.device.side())?;
        self.listen(programs.wakeup(), self.wakeup_token())?;
        programs.ask_for_frames()?;
        Ok(programs)
    }

    fn was_promiscuous(&self, ifindex: u32) -> bool {
        let mut found = self.port_state.ports().iter();
        found.any(|port| port.ifindex == ifindex && port.promiscuous)
    }

    /// The last of the tokens stands for frames that programs tell of.
    fn wakeup_token(&self) -> usize {
        self.tokens.end - 1
    }

    /// Has programs move the frames. Both are at work for some microseconds, so a frame may
    /// come twice; none is lost.
    fn switch_to_programs(&mut self) -> io::Result<()> {
        let mut programs = self.load_programs()?;
        let begun = self
            .members
            .iter()
            .try_for_each(|(port, ifindex)| {
                let promiscuous = self.was_promiscuous(*ifindex);
                programs.attach_port(*port, *ifindex, Some(promiscuous), None)
            })
            .and_then(|()| {
                let (distributor, counted) = (&self.relay.distributor, self.relay.balanced);
                if let Some(memory) = distributor.learned_sources() {
                    programs.remember(&mut self.route, &memory)?;
                }
                programs.apply(&mut self.route, distributor, counted)
            });
        if let Err(error) = begun {
            programs.end(&mut self.route)?;
            return Err(error);
        }
        self.relay_waiting()?;
        for port in std::mem::take(&mut self.ports).into_iter().flatten() {
            self.close(port)?;
        }
        if let Device::Veth(veth) = &mut self.device {
            if let Some(socket) = veth.stop_receiving() {
                self.registry
                    .deregister(&mut SourceFd(&socket.as_raw_fd()))?;
                closing::close(socket);
            }
        }
        self.programs = Some(programs);
        self.save_persisted_state();
        Ok(())
    }

    /// Has the relay move the frames; as for [`switch_to_programs`](Self::switch_to_programs).
    fn switch_to_relay(&mut self) -> io::Result<()> {
        let Some(programs) = self.programs.take() else {
            return Ok(());
        };
        if let Err(error) = self.start_receiving() {
            self.programs = Some(programs);
            return Err(error);
        }
        match programs.memory() {
            Ok(Some(memory)) => self.relay.distributor.restore_sources(memory),
            Ok(None) => {}
            Err(error) => log::warn!("what programs remember of stations is lost: {error}"),
        }
        // Programs have moved these already.
        for port in self.ports.iter().flatten() {
            self.relay.discard(|buffer| port.receive(buffer).map(drop));
        }
        if let Device::Veth(veth) = &self.device {
            self.relay.discard(|buffer| veth.read(buffer).map(drop));
        }
        programs.end(&mut self.route)?;
        self.save_persisted_state();
        Ok(())
    }

    /// Notes what a later daemon must know of the programs, if it has changed.
    fn save_persisted_state(&mut self) {
        let persisted_state = self.programs.as_ref().map(Programs::persisted_state);
        if let Err(error) = self
            .port_state
            .save_persisted_state(persisted_state.unwrap_or_default())
        {
            log::warn!("cannot note what programs are at work: {error}");
        }
    }

    fn start_receiving(&mut self) -> io::Result<()> {
        if let Device::Veth(veth) = &mut self.device {
            let fd = veth.listen()?;
            self.listen(fd, self.tokens.start)?;
        }
        for (port, ifindex) in self.members.clone() {
            self.open_port(port, ifindex)?;
        }
        Ok(())
    }

    /// Moves what waits on the ports and the device.
    fn relay_waiting(&mut self) -> io::Result<()> {
        for port in self.ports.iter_mut().flatten() {
            self.relay.receive(port, &self.device, WAITING_FRAMES);
        }
        self.relay
            .transmit(&self.device, &mut self.ports, WAITING_FRAMES)
            .map(drop)
    }

    fn close(&self, port: Port) -> io::Result<()> {
        let fd = port.socket.as_raw_fd();
        let deregistered = self.registry.deregister(&mut SourceFd(&fd));
        closing::close(port);
        deregistered
    }

    /// Opens a port's socket and listens to it.
    fn open_port(&mut self, id: PortId, ifindex: u32) -> io::Result<()> {
        let free = self.ports.iter().position(Option::is_none);
        let place = free.unwrap_or(self.ports.len());
        let token = self.tokens.start + 1 + place;
        if token >= self.wakeup_token() {
            return Err(io::Error::other("no token is left for another port"));
        }
        let port = Port::open(id, ifindex)?;
        self.listen(port.socket.as_raw_fd(), token)?;
        if free.is_none() {
            self.ports.push(None);
        }
        self.ports[place] = Some(port);
        Ok(())
    }
}

impl DataPath for Userspace {
    fn port_care(&self) -> PortCare {
        PortCare::Daemon
    }

    fn mover(&self) -> DataPathKind {
        match self.programs {
            Some(_) => DataPathKind::Programs,
            None => DataPathKind::Relay,
        }
    }

    fn switch_to(&mut self, mover: DataPathKind) -> io::Result<()> {
        match mover {
            _ if mover == self.mover() => Ok(()),
            DataPathKind::Programs => self.switch_to_programs(),
            DataPathKind::Relay => self.switch_to_relay(),
            DataPathKind::Kernel => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        }
    }

    fn attach_port(&mut self, port: PortId, interface: &PortInterface) -> io::Result<()> {
        let ifindex = interface.ifindex;
        for (other, its) in &self.members {
            match (*other == port, *its == ifindex) {
                (true, true) => return Ok(()),
                (false, false) => (),
                _ => return Err(io::Error::from_raw_os_error(libc::EBUSY)),
            }
        }
        self.port_state.record(interface)?;
        // The host is silenced before the socket hears, or it would see frames twice.
        let attached =
            tc::block_host(&mut self.route, ifindex, MARK).and_then(|()| {
                match &mut self.programs {
                    Some(programs) => {
                        let left = self
                            .port_state
                            .persisted_state()
                            .programs
                            .get(&ifindex)
                            .copied();
                        programs.attach_port(port, ifindex, Some(interface.promiscuous), left)
                    }
                    None => self.open_port(port, ifindex),
                }
            });
        match &attached {
            Ok(()) => {
                self.members.insert(port, ifindex);
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

    /// Restore the address and the MTU first: the note of them goes with the port.
    fn detach_port(&mut self, port: PortId) -> io::Result<()> {
        let Some(ifindex) = self.members.remove(&port) else {
            return Ok(());
        };
        let mut closed = Ok(());
        let mut ports = self.ports.iter_mut();
        if let Some(it) = ports.find_map(|place| place.take_if(|it| it.id == port)) {
            closed = self.close(it);
        }
        if let Some(programs) = &mut self.programs {
            closed = programs.detach_port(&mut self.route, port);
        }
        tc::unblock_host(&mut self.route, ifindex)?;
        self.port_state.forget(ifindex)?;
        closed
    }

    /// What came in before the change is link_from_watch by the rule of its time: frames that wait on a
    /// port which now begins to receive were for nobody (the active port brought them already),
    /// and those on a port which ends receiving are still wanted.
    fn apply_forwarding(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        for port in self.ports.iter_mut().flatten() {
            self.relay.receive(port, &self.device, WAITING_FRAMES);
        }
        self.relay.distributor.apply(forwarding);
        self.relay.balanced = matches!(
            forwarding.policy,
            TxPolicy::LoadBalance { balanced: true, .. }
                | TxPolicy::SourceBalance { balanced: true, .. }
        );
        let Some(programs) = &mut self.programs else {
            return Ok(());
        };
        let (distributor, counted) = (&self.relay.distributor, self.relay.balanced);
        match programs.apply(&mut self.route, distributor, counted) {
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

    fn set_time(&mut self, now: Instant) {
        self.relay.distributor.set_time(now);
    }

    fn drain_ready(&mut self, token: Token, budget: usize) -> io::Result<Drained> {
        let Some(place) = token.0.checked_sub(self.tokens.start) else {
            return Ok(Drained::Dry);
        };
        if token.0 == self.wakeup_token() {
            if let Some(programs) = &self.programs {
                programs.drain_wakeup();
            }
            return Ok(Drained::Dry);
        }
        if place == 0 {
            return self.relay.transmit(&self.device, &mut self.ports, budget);
        }
        // An event may outlive its port.
        match self.ports.get_mut(place - 1) {
            Some(Some(port)) => Ok(self.relay.receive(port, &self.device, budget)),
            _ => Ok(Drained::Dry),
        }
    }

    fn ask_for_frames(&mut self) -> io::Result<()> {
        match &self.programs {
            Some(programs) => programs.ask_for_frames(),
            None => Ok(()),
        }
    }

    fn counters(&self) -> Counters {
        let ports = || self.ports.iter().flatten();
        let programs = self.programs.as_ref();
        let traffic = match programs {
            Some(programs) => programs.traffic().collect(),
            None => ports().map(|port| (port.id, port.traffic)).collect(),
        };
        Counters {
            traffic,
            tx_dropped: ports().map(|port| (port.id, port.tx_dropped)).collect(),
            tx_no_port: self.relay.tx_no_port + programs.map_or(0, Programs::tx_no_port),
            rx_inactive: self.relay.rx_inactive + programs.map_or(0, Programs::rx_inactive),
            rx_missed: ports().map(|port| (port.id, port.rx_missed())).collect(),
            rx_dropped: self.relay.rx_dropped,
            rx_echoes: self.relay.rx_echoes + programs.map_or(0, Programs::rx_echoes),
            resyncs: 0,
        }
    }

    fn stations(&self) -> Vec<StationSeen> {
        match &self.programs {
            Some(programs) => programs.stations(),
            None => self.relay.distributor.stations(),
        }
    }

    fn peers(&self) -> Vec<PeerSeen> {
        self.relay.distributor.peers()
    }

    fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        match &self.programs {
            Some(programs) => programs.bucket_bytes(),
            None => self.relay.bucket_bytes.clone(),
        }
    }
}
