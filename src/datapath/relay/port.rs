//! One port of the relay: its socket and its counters.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use runners::PortId;
use runners::wire::{Ethernet, MAX_TAGS, ethertype};

use super::offloads::{MERGING, Offloads, StoppedOffloads};
use super::segments::Segmenter;
use crate::datapath::frame_buffer::{ETHERNET, HEADER, Message, SOCKET_OPTIONS};
use crate::datapath::{Drops, MARK, PortTraffic};
use crate::netlink::bpf::{
    AND, Instruction, JUMP_EQUAL, LOAD_HALF, OUTSIDE_TAG, OUTSIDE_TAG_PRESENT, RETURN,
};
use crate::sys::ethtool::switch_features;
use crate::sys::packet::PacketSocket;
use crate::sys::packet_ring::PacketRing;

/// Rejects slow protocols without a VLAN, which the port socket receives. The relay would drop them
/// itself; rejected here, a flood of them costs the daemon nothing.
pub(super) const WITHOUT_SLOW_PROTOCOLS: [Instruction; 9] = [
    (LOAD_HALF, 0, 0, 12),
    (JUMP_EQUAL, 0, 6, ethertype::SLOW_PROTOCOLS as u32),
    (LOAD_HALF, 0, 0, OUTSIDE_TAG_PRESENT),
    (JUMP_EQUAL, 3, 0, 0),
    (LOAD_HALF, 0, 0, OUTSIDE_TAG),
    (AND, 0, 0, 0x0fff),
    (JUMP_EQUAL, 0, 1, 0),
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, u32::MAX),
];

/// Most bytes of the tags of a frame.
const TAGS: usize = 4 * MAX_TAGS;

/// A port whose frames are relayed.
#[derive(Debug)]
pub struct Port {
    pub(super) id: PortId,
    ifindex: u32,
    pub(super) socket: PacketSocket,
    offloads: Offloads,
    /// Sends full frames with tags that the socket refuses; opened for the first one.
    ring: Option<PacketRing>,
    /// Whether the last received frame was short: more of them may be queued, to be read together.
    pub(super) receives_short_frames: bool,
    pub(super) tx_dropped: Drops,
    pub(super) traffic: PortTraffic,
    /// The kernel resets its count when the count is read.
    rx_missed: Cell<u64>,
}

impl Port {
    /// Opens the socket, or takes the socket that a former daemon has left open; received frames
    /// queue in the socket from now on. The former daemon has switched the offloads `stopped` off.
    ///
    /// # Errors
    /// The errors of [`PacketSocket::open`].
    pub fn open(
        id: PortId,
        ifindex: u32,
        kept: Option<PacketSocket>,
        stopped: StoppedOffloads,
    ) -> io::Result<Self> {
        let socket = match kept.filter(|socket| socket.is_bound_to(ifindex)) {
            Some(socket) => socket,
            None => PacketSocket::open(ifindex, SOCKET_OPTIONS)?,
        };
        socket.filter(&WITHOUT_SLOW_PROTOCOLS)?;
        Ok(Port {
            id,
            ifindex,
            socket,
            offloads: Offloads::without(stopped),
            ring: None,
            receives_short_frames: true,
            tx_dropped: Drops::default(),
            traffic: PortTraffic::default(),
            rx_missed: Cell::new(0),
        })
    }

    /// Sends these messages in order, and counts the frames sent and lost: short frames without
    /// segments together in one call, other frames alone, cut by `segmenter` if necessary.
    pub fn send_all(&mut self, messages: &[Message<'_>], segmenter: &mut Segmenter) {
        let mut rest = messages;
        while let [first, others @ ..] = rest {
            let count = rest.iter().take_while(|message| message.is_batchable()).count();
            let batch = if count > 1 { &rest[..count] } else { &[] };
            match self.send_batch(batch) {
                // The first message sent alone has the error.
                0 => {
                    let drops = segmenter.send(*first, |message| self.send(message));
                    self.tx_dropped.merge(drops);
                    rest = others;
                }
                sent => rest = &rest[sent..],
            }
        }
    }

    /// Sends messages until one fails; returns how many were sent.
    fn send_batch(&mut self, batch: &[Message<'_>]) -> usize {
        if batch.is_empty() {
            return 0;
        }
        let sent = self.socket.send_all(batch.iter().map(Message::bytes)).unwrap_or(0);
        for message in &batch[..sent] {
            self.traffic.sent.add(message.frame().len());
        }
        sent
    }

    /// Sends one frame and counts it. The relay does not wait for a full queue.
    ///
    /// # Errors
    /// The errors of [`PacketSocket::send`]; the frame is lost and not counted.
    pub fn send(&mut self, message: Message<'_>) -> io::Result<()> {
        match self.socket.send(message.bytes()) {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => self.send_tagged(message),
            sent => sent,
        }?;
        self.traffic.sent.add(message.frame().len());
        Ok(())
    }

    /// Sends a frame whose tags make it longer than the socket permits.
    ///
    /// # Errors
    /// `EMSGSIZE` for a frame beyond the MTU without its tags; the errors of [`PacketRing`].
    fn send_tagged(&mut self, message: Message<'_>) -> io::Result<()> {
        let mtu = self.socket.mtu(self.ifindex)? as usize;
        let payload = Ethernet::parse(message.frame()).map(|frame| frame.payload.len());
        if payload.is_none_or(|length| length > mtu) {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let fits = |ring: &PacketRing| ring.has_room_for(message.bytes().len());
        let ring = match self.ring.take().filter(fits) {
            Some(ring) => ring,
            None => PacketRing::open(self.ifindex, MARK, HEADER + ETHERNET + TAGS + mtu)?,
        };
        self.ring.insert(ring).send(message.bytes())
    }

    /// Has the interface merge no frames of the kind that has just been lost.
    pub fn stop_merging(&mut self) {
        let (socket, ifindex) = (&self.socket, self.ifindex);
        self.offloads.stop(&MERGING, |features, on| switch_features(socket, ifindex, features, on));
    }

    /// Returns the index of the interface, and the offloads that the relay has switched off.
    pub fn stopped_offloads(&self) -> (u32, StoppedOffloads) {
        (self.ifindex, self.offloads.stopped())
    }

    /// Expects no more frames from before [`stop_merging`](Self::stop_merging): the queue is empty.
    pub fn queue_emptied(&mut self) {
        self.offloads.queue_emptied();
    }

    /// Has the interface merge frames as before.
    pub fn resume_merging(&mut self) {
        let (socket, ifindex) = (&self.socket, self.ifindex);
        self.offloads.resume(|features, on| switch_features(socket, ifindex, features, on));
    }

    /// Returns the interface index, and the descriptor in which received frames queue.
    pub fn queue(&self) -> (u32, BorrowedFd<'_>) {
        (self.ifindex, self.socket.as_fd())
    }

    /// Frames lost so far because the receive buffer was full.
    pub fn rx_missed(&self) -> u64 {
        // A socket that cannot be read any more has been counted before.
        let new = self.socket.take_missed().unwrap_or(0);
        self.rx_missed.set(self.rx_missed.get() + u64::from(new));
        self.rx_missed.get()
    }
}
