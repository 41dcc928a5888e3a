//! The relay of frames by the daemon itself: between the team device and a packet socket on each
//! port. Segments of 64 KiB pass whole and checksums unfinished, in both directions. Short frames are
//! received from a port and sent on a port several at a time, in the buffer of the process.
//!
//! Owns the sockets of the ports, the choice of a port for each frame, and the counters. A lost
//! frame is counted and never an error. The relay knows the forwarding also while it is stopped.

mod offloads;
mod port;
mod segments;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::wire::{Ethernet, ethertype};
use runners::{BUCKETS, Distributor, Forwarding, PortId, Reception, is_probe};

use super::device::Device;
use super::frame_buffer::{BATCH, FrameBuffer, Place, with_buffer};
use super::{Counters, Drained, closing};
use crate::errno::strerror;
use crate::netlink::bpf::{Instruction, RETURN};
use crate::sys::packet::{PacketSocket, Received};
use offloads::Offloads;
pub use offloads::StoppedOffloads;
use port::Port;
use segments::Segmenter;

/// Offsets of the addresses in a frame.
const DESTINATION: usize = 0;
const SOURCE: usize = 6;

/// Most frames that are read from each port before the forwarding changes; more are queued only
/// in a flood.
const QUEUED_FRAMES: usize = 1024;

/// More frames than a receive buffer holds: reading so many empties a queue that receives no more.
const WHOLE_QUEUE: usize = 1 << 16;

/// Offloads of a team device that no header describes on any kernel: finished checksums are those of
/// TCP and UDP.
const NEVER_DESCRIBED: [&str; 2] = ["tx-checksum-sctp", "tx-sctp-segmentation"];
/// Offloads of a team device that only some kernels describe.
const SOMETIMES_DESCRIBED: [&[&str]; 1] = [&["tx-udp-segmentation"]];

/// Filter of a socket that accepts no frame.
const NOTHING: [Instruction; 1] = [(RETURN, 0, 0, 0)];
/// Filter of a socket that accepts every frame.
const EVERYTHING: [Instruction; 1] = [(RETURN, 0, 0, u32::MAX)];

/// The relay of one team. The first of its tokens stands for the team device, the others for
/// ports.
#[derive(Debug)]
pub struct Relay {
    /// Where the sources of the team are registered.
    pub registry: Rc<Registry>,
    tokens: Range<usize>,
    /// Sockets of ports that a former daemon has left open, by interface index. Their frames wait for
    /// the first forwarding.
    pub kept: BTreeMap<u32, PacketSocket>,
    /// Whether a forwarding has been applied.
    has_forwarding: bool,
    segmenter: Segmenter,
    /// Offloads of the team device.
    offloads: Offloads,
    /// Offloads of a port may have been switched off since the last
    /// [`take_stopped_offloads`](Self::take_stopped_offloads).
    has_stopped_offloads: bool,
    /// Chooses ports, and has the applied forwarding, [resolved](Forwarding::resolve).
    pub distributor: Distributor,
    /// The place of a port is that of its token.
    ports: Vec<Option<Port>>,
    /// Frames to be sent on each of `ports`.
    chosen: Vec<Vec<Place>>,
    /// Whether bytes are counted by bucket.
    balanced: bool,
    /// Bytes sent in each bucket while the policy was balanced; `None` before the first frame.
    pub bucket_bytes: Option<Box<[u64; BUCKETS]>>,
    /// The counts that belong to no port.
    counters: Counters,
}

/// Whether a frame is LACP, a marker or a probe of ours, which the port socket receives. A tag that
/// only carries a priority makes no difference.
fn is_for_port_socket(frame: &[u8]) -> bool {
    let is_slow_protocol = Ethernet::parse(frame)
        .is_some_and(|frame| frame.ethertype == ethertype::SLOW_PROTOCOLS && frame.vlan_ids == 0);
    is_slow_protocol || is_probe(frame)
}

/// Whether a frame was lost because no virtio-net header describes it.
fn is_undescribed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL)
}

impl Relay {
    /// Creates a relay that is stopped and forwards nothing yet.
    pub fn new(registry: Rc<Registry>, tokens: Range<usize>) -> Self {
        Relay {
            registry,
            tokens,
            kept: BTreeMap::new(),
            has_forwarding: false,
            segmenter: Segmenter::new(),
            offloads: Offloads::default(),
            has_stopped_offloads: false,
            distributor: Distributor::new(),
            ports: Vec::new(),
            chosen: Vec::new(),
            balanced: false,
            bucket_bytes: None,
            counters: Counters::default(),
        }
    }

    /// Returns the token of the team device.
    pub fn token(&self) -> Token {
        Token(self.tokens.start)
    }

    /// Starts to receive on the device and on these ports.
    ///
    /// # Errors
    /// The error of the first socket that cannot be opened; the relay is then stopped.
    pub fn start(
        &mut self,
        device: &mut Device,
        ports: impl IntoIterator<Item = (PortId, u32)>,
    ) -> io::Result<()> {
        device.start_receiving(&self.registry, self.token())?;
        self.offloads.begin_without(device.switch_offloads(&NEVER_DESCRIBED, false));
        let mut ports = ports.into_iter();
        let started =
            ports.try_for_each(|(port, ifindex)| self.attach(port, ifindex, Default::default()));
        if started.is_err() {
            self.stop(device);
        }
        started
    }

    /// Stops receiving and closes the sockets.
    pub fn stop(&mut self, device: &mut Device) {
        self.offloads.resume(|features, on| device.switch_offloads(features, on));
        device.stop_receiving(&self.registry);
        self.chosen.clear();
        for port in std::mem::take(&mut self.ports).into_iter().flatten() {
            self.close(port);
        }
    }

    /// Starts to receive on a port, whose offloads `stopped` a former daemon has switched off.
    ///
    /// # Errors
    /// The errors of opening the socket.
    pub fn attach(&mut self, id: PortId, ifindex: u32, stopped: StoppedOffloads) -> io::Result<()> {
        let free = self.ports.iter().position(Option::is_none);
        let place = free.unwrap_or(self.ports.len());
        let token = self.tokens.start + 1 + place;
        if token >= self.tokens.end {
            return Err(io::Error::other("no token is left for another port"));
        }
        let port = Port::open(id, ifindex, self.kept.remove(&ifindex), stopped)?;
        let fd = port.socket.as_raw_fd();
        self.registry.register(&mut SourceFd(&fd), Token(token), Interest::READABLE)?;
        if free.is_none() {
            self.ports.push(None);
            self.chosen.push(Vec::new());
        }
        self.ports[place] = Some(port);
        Ok(())
    }

    /// Stops receiving on a port, if it is one.
    pub fn detach(&mut self, port: PortId) {
        let mut ports = self.ports.iter_mut();
        if let Some(port) = ports.find_map(|place| place.take_if(|it| it.id == port)) {
            self.close(port);
        }
    }

    fn close(&self, mut port: Port) {
        port.resume_merging();
        let fd = port.socket.as_raw_fd();
        if let Err(error) = self.registry.deregister(&mut SourceFd(&fd)) {
            log::debug!("cannot deregister a port: {error}");
        }
        closing::close(port);
    }

    /// Forwards like this from now on.
    ///
    /// The former forwarding decides on frames that were received before the change: frames on a
    /// port that starts to collect have already come by the active port, and frames on a port that
    /// stops collecting have come by no other. The first forwarding decides on the frames that came
    /// before: a former daemon kept the sockets open for them.
    pub fn apply(&mut self, device: &Device, forwarding: &Forwarding) {
        if std::mem::replace(&mut self.has_forwarding, true) {
            self.receive_queued(device);
        }
        self.distributor.apply(forwarding);
        self.balanced = forwarding.policy.is_balanced();
    }

    /// Moves up to `budget` frames from the source that `token` names; an event may outlive its
    /// port.
    ///
    /// # Errors
    /// `EBADFD` or `EIO` once the device is gone.
    pub fn poll(&mut self, device: &Device, token: Token, budget: usize) -> io::Result<Drained> {
        match token.0.checked_sub(self.tokens.start) {
            None => Ok(Drained::Empty),
            Some(0) => self.transmit(device, budget),
            Some(place) => Ok(self.receive(device, place - 1, budget)),
        }
    }

    /// Returns the offloads of each port that the relay has switched off, by interface index;
    /// `None` if no lost frame was a reason to switch one off since the last call.
    pub fn take_stopped_offloads(&mut self) -> Option<BTreeMap<u32, StoppedOffloads>> {
        let ports = self.ports.iter().flatten();
        std::mem::take(&mut self.has_stopped_offloads)
            .then(|| ports.map(Port::stopped_offloads).collect())
    }

    /// Moves the frames that are queued on the ports and the device. Later frames do not queue:
    /// programs move them.
    ///
    /// # Errors
    /// `EBADFD` or `EIO` once the device is gone.
    pub fn forward_last(&mut self, device: &Device) -> io::Result<()> {
        self.filter(device, &NOTHING, &NOTHING);
        for place in 0..self.ports.len() {
            self.receive(device, place, WHOLE_QUEUE);
        }
        self.transmit(device, WHOLE_QUEUE).map(drop)
    }

    /// Drops the frames that are queued on the ports and the device, uncounted: programs have moved
    /// them. Frames are queued again from now on.
    pub fn discard_queued(&mut self, device: &Device) {
        self.filter(device, &NOTHING, &NOTHING);
        let discard = |read: &dyn Fn(&mut FrameBuffer) -> bool| {
            with_buffer(|buffer| (0..WHOLE_QUEUE).take_while(|_| read(buffer)).for_each(drop));
        };
        for port in self.ports.iter().flatten() {
            discard(&|buffer| buffer.receive(&port.socket).is_ok());
        }
        discard(&|buffer| device.read(buffer).is_ok());
        self.filter(device, &port::WITHOUT_SLOW_PROTOCOLS, &EVERYTHING);
    }

    /// Sets the filters of the frames that queue on the ports and on the device.
    fn filter(&self, device: &Device, ports: &[Instruction], from_device: &[Instruction]) {
        let sockets = self.ports.iter().flatten().map(|port| port.socket.filter(ports));
        for error in sockets.chain([device.filter(from_device)]).filter_map(Result::err) {
            log::warn!("cannot set a filter of the relay: {}", strerror(&error));
        }
    }

    fn receive_queued(&mut self, device: &Device) {
        for place in 0..self.ports.len() {
            self.receive(device, place, QUEUED_FRAMES);
        }
    }

    /// Sends up to `budget` frames of the team device on the ports chosen for them.
    fn transmit(&mut self, device: &Device, budget: usize) -> io::Result<Drained> {
        with_buffer(|buffer| self.transmit_with(buffer, device, budget))
    }

    fn transmit_with(
        &mut self,
        buffer: &mut FrameBuffer,
        device: &Device,
        budget: usize,
    ) -> io::Result<Drained> {
        let mut slots = 0;
        let mut outcome = Ok(Drained::More);
        for _ in 0..budget {
            buffer.select_slot(slots);
            let message = match device.read(buffer) {
                Ok(Some(message)) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.offloads.queue_emptied();
                    outcome = Ok(Drained::Empty);
                    break;
                }
                // The device is gone.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EBADFD | libc::EIO)) => {
                    outcome = Err(error);
                    break;
                }
                undelivered => {
                    if undelivered.is_err_and(|error| is_undescribed(&error)) {
                        let switch = |features: &[_], on| device.switch_offloads(features, on);
                        self.offloads.stop(&SOMETIMES_DESCRIBED, switch);
                    }
                    self.counters.tx_no_port += 1;
                    continue;
                }
            };
            let (place, waits) = (message.place(), message.is_batchable());
            self.choose_ports(buffer, place);
            slots += 1;
            if !waits || slots == BATCH {
                self.send_chosen(buffer);
                slots = 0;
            }
        }
        self.send_chosen(buffer);
        outcome
    }

    /// Chooses the ports of a frame that the team device sends, and writes the source address that
    /// the frame is to have.
    fn choose_ports(&mut self, buffer: &mut FrameBuffer, place: Place) {
        let Some(message) = buffer.at(place) else { return };
        let selection = self.distributor.select(message.frame());
        if let Some(bucket) = selection.bucket.filter(|_| self.balanced) {
            let bytes = self.bucket_bytes.get_or_insert_with(|| Box::new([0; BUCKETS]));
            bytes[usize::from(bucket)] += message.frame().len() as u64;
        }
        if selection.ports.is_empty() {
            self.counters.tx_no_port += 1;
        }
        for (port, of_port) in self.ports.iter().zip(&mut self.chosen) {
            if port.as_ref().is_some_and(|port| selection.ports.contains(&port.id)) {
                of_port.push(place);
            }
        }
        if let Some(source) = selection.source {
            let own = message.source();
            if let Some(at) = selection.sender_at {
                buffer.write_hwaddr(place, at, source);
            }
            if let Some(at) = selection.checksum_at {
                buffer.correct_checksum(place, at, own, source);
            }
            buffer.write_hwaddr(place, SOURCE, source);
        }
    }

    /// Sends the frames whose ports are chosen.
    fn send_chosen(&mut self, buffer: &FrameBuffer) {
        for (port, chosen) in self.ports.iter_mut().zip(&mut self.chosen) {
            if let (Some(port), [_, ..]) = (port, &chosen[..]) {
                let messages = chosen.iter().filter_map(|place| buffer.at(*place));
                port.send_all(&messages.collect::<Vec<_>>(), &mut self.segmenter);
            }
            chosen.clear();
        }
    }

    /// Delivers up to `budget` frames of the port at a place to the team device.
    fn receive(&mut self, device: &Device, place: usize, budget: usize) -> Drained {
        with_buffer(|buffer| self.receive_with(buffer, device, place, budget))
    }

    fn receive_with(
        &mut self,
        buffer: &mut FrameBuffer,
        device: &Device,
        place: usize,
        budget: usize,
    ) -> Drained {
        let mut received = Vec::new();
        let mut moved = 0;
        while moved < budget {
            let Some(Some(port)) = self.ports.get_mut(place) else { return Drained::Empty };
            let most = if port.receives_short_frames { budget - moved } else { 1 };
            received.clear();
            match buffer.receive_all(&port.socket, most, &mut received) {
                Ok(()) => moved += received.len(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    port.queue_emptied();
                    return Drained::Empty;
                }
                // The kernel could not describe the frame by a virtio-net header.
                Err(error) => {
                    if is_undescribed(&error) {
                        port.stop_merging();
                        self.has_stopped_offloads = true;
                    }
                    self.counters.rx_dropped.add(&error);
                    moved += 1;
                }
            };
            for (slot, received) in received.iter().enumerate() {
                self.deliver(buffer, device, place, (slot, *received));
            }
        }
        Drained::More
    }

    /// Delivers the frame that was received into a slot from the port at a place.
    fn deliver(
        &mut self,
        buffer: &mut FrameBuffer,
        device: &Device,
        place: usize,
        (slot, received): (usize, Received),
    ) {
        let Some(Some(port)) = self.ports.get_mut(place) else { return };
        // The frame is longer than the buffer; the next frame may fit.
        let Some(message) = buffer.received(slot, received) else {
            self.counters.rx_dropped.add(&io::Error::from_raw_os_error(libc::EMSGSIZE));
            return;
        };
        port.receives_short_frames = message.is_batchable();
        if is_for_port_socket(message.frame()) {
            return;
        }
        let message = match self.distributor.receive(port.id, message.frame()) {
            Reception::Taken => Some(message),
            Reception::TakenAs(hwaddr) => {
                let place = message.place();
                buffer.write_hwaddr(place, DESTINATION, hwaddr)
            }
            Reception::NotHere => {
                self.counters.rx_inactive += 1;
                return;
            }
            Reception::Echo => {
                self.counters.rx_echoes += 1;
                return;
            }
        };
        let Some(message) = message else { return };
        let drops = self.segmenter.send(message, |message| {
            device.write(message)?;
            port.traffic.received.add(message.frame().len());
            Ok(())
        });
        self.counters.rx_dropped.merge(drops);
    }

    /// Returns the interface index of each port, and the descriptor in which its frames queue.
    pub fn queues(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        self.ports.iter().flatten().map(Port::queue)
    }

    /// Returns the counters of the ports since they were attached, and the team's.
    pub fn counters(&self) -> Counters {
        let ports = || self.ports.iter().flatten();
        Counters {
            traffic: ports().map(|port| (port.id, port.traffic)).collect(),
            tx_dropped: ports().map(|port| (port.id, port.tx_dropped.clone())).collect(),
            rx_missed: ports().map(|port| (port.id, port.rx_missed())).collect(),
            ..self.counters.clone()
        }
    }
}
