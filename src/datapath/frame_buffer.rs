//! The buffer of the process that every frame passes through, and the virtio-net header before a frame.
//!
//! The buffer has room for several messages, because one system call can receive or send several.
//! Memory that no frame has reached costs nothing.
//!
//! TAP and packet sockets use the same header, so that a message passes unchanged from one to the
//! other, with one exception: a packet socket hands out the VLAN tag beside the frame, and the TAP
//! takes the tag inside. A received message has a gap at the tag's place: either the tag fills the
//! gap, or the few bytes before the gap move up.
//!
//! Header: `struct virtio_net_hdr` (VIRTIO 1.2, 5.1.6), in the byte order of this machine.

use std::cell::RefCell;
use std::io;

use runners::HwAddr;
use runners::wire::checksum::corrected;

use super::MARK;
use crate::sys::packet::{MOST_MESSAGES, Options, PacketSocket, Received, VlanTag};

/// A packet socket that carries the frames of a port or of a veth's peer.
pub const SOCKET_OPTIONS: Options = Options {
    mark: MARK,
    // A frame of 64 KiB counts for more than its length: this is room for about 100.
    receive_buffer: 8 << 20,
    // The default holds three frames of 64 KiB.
    send_buffer: 4 << 20,
};

/// Bytes of the header.
pub const HEADER: usize = 10;
/// Bytes of an Ethernet header without tags; nothing shorter is a frame.
pub const ETHERNET: usize = 14;
/// Bytes of the two addresses; the tag follows them.
const ADDRESSES: usize = 12;
const TAG: usize = 4;
/// The longest frame: 64 KiB of IP packet, Ethernet header, tags.
const LONGEST: usize = 65536 + 64;

/// Offset of a message with a tag. After the header and 70 bytes of Ethernet, tag, IPv4 and TCP
/// with timestamps, the payload of a segment starts on a cache line: the kernel copies it a tenth
/// faster.
const TAGGED: usize = 48;
/// Offset of the gap for a tag.
const GAP: usize = TAGGED + HEADER + ADDRESSES;
/// Offset of a message without a tag.
const UNTAGGED: usize = TAGGED + TAG;
/// Bytes of a slot: memory for one message of any length.
const SLOT: usize = (UNTAGGED + HEADER + LONGEST).next_multiple_of(ALIGNMENT);
/// Bytes of a cache line.
const ALIGNMENT: usize = 64;

/// Most messages that the buffer holds.
pub const BATCH: usize = MOST_MESSAGES;
/// A message of more bytes is moved alone: beside the cost of its bytes that of a system call is
/// small, and the memory of one slot stays in the processor's cache.
const SHORT: usize = 4096;

/// Flag of the header: the sender has to finish the checksum.
const NEEDS_CHECKSUM: u8 = 1;
/// Kinds of segmentation in the header, and the flag for segments with ECN.
const TCP_IPV4: u8 = 1;
const TCP_IPV6: u8 = 4;
const UDP_SEGMENTS: u8 = 5;
const ECN: u8 = 0x80;

/// Returns the header of segments of UDP: `udp` is the offset of the UDP header, `size` the payload
/// of a datagram.
pub fn udp_segments(udp: u16, size: u16) -> [u8; HEADER] {
    const UDP_HEADER: u16 = 8;
    const CHECKSUM: u16 = 6;
    let mut header = [NEEDS_CHECKSUM, UDP_SEGMENTS, 0, 0, 0, 0, 0, 0, 0, 0];
    for (field, value) in
        header[2..].chunks_exact_mut(2).zip([udp + UDP_HEADER, size, udp, CHECKSUM])
    {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    header
}

/// Memory for [`BATCH`] messages, each with header and frame. The methods read and write one message
/// at a time, in the slot that [`select_slot`](Self::select_slot) has chosen.
#[derive(Debug)]
pub struct FrameBuffer {
    memory: Vec<u8>,
    /// Offset of the first slot: the start of a cache line.
    first: usize,
    /// Offset of the present slot.
    slot: usize,
}

thread_local! {
    static BUFFER: RefCell<FrameBuffer> = RefCell::new(FrameBuffer::new());
}

/// Calls `act` with the buffer of this thread, which all teams use one after the other. `act` must
/// not call this function.
pub fn with_buffer<T>(act: impl FnOnce(&mut FrameBuffer) -> T) -> T {
    BUFFER.with_borrow_mut(act)
}

/// A header and the frame that it describes.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start: usize,
}

/// Protocols whose segments a header describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segmentation {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The segmentation and checksum that a frame of several segments still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Protocol of the segments.
    pub segmentation: Segmentation,
    /// Bytes of payload in a segment, above 0.
    pub size: usize,
    /// Offset of the segmented protocol's header in the frame, from which a checksum is to be made.
    pub checksum_start: usize,
}

/// The place of a message in the buffer, without borrowing its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    start: usize,
    end: usize,
}

impl<'a> Message<'a> {
    /// Returns the message at the offset `start` of a buffer; `None` if there is less than a header
    /// and an Ethernet header.
    pub fn new(bytes: &'a [u8], start: usize) -> Option<Self> {
        (bytes.len() >= HEADER + ETHERNET).then_some(Message { bytes, start })
    }

    /// Returns header and frame.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the frame alone.
    pub fn frame(&self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }

    /// Returns the offload of a frame of several segments whose checksum is not finished.
    pub fn offload(&self) -> Option<Offload> {
        let field =
            |at: usize| usize::from(u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]));
        let segmentation = match self.bytes[1] & !ECN {
            TCP_IPV4 | TCP_IPV6 => Segmentation::Tcp,
            UDP_SEGMENTS => Segmentation::Udp,
            _ => return None,
        };
        let (size, checksum_start) = (field(4), field(6));
        let is_offload = self.bytes[0] & NEEDS_CHECKSUM != 0 && size > 0;
        is_offload.then_some(Offload { segmentation, size, checksum_start })
    }

    /// Returns whether the frame may wait for others, to be sent with them: it is short and has
    /// no segments.
    pub fn is_batchable(&self) -> bool {
        self.bytes.len() <= SHORT && self.offload().is_none()
    }

    /// Returns the frame's source address.
    pub fn source(&self) -> HwAddr {
        const SOURCE: usize = 6;
        let source = self.frame().get(SOURCE..).and_then(<[u8]>::first_chunk);
        HwAddr(source.copied().unwrap_or_default())
    }

    /// Returns its place in the buffer.
    pub fn place(&self) -> Place {
        Place { start: self.start, end: self.start + self.bytes.len() }
    }
}

impl FrameBuffer {
    /// Returns an empty buffer for the longest frames.
    pub fn new() -> Self {
        let memory = vec![0; BATCH * SLOT + ALIGNMENT];
        let first = memory.as_ptr().align_offset(ALIGNMENT);
        FrameBuffer { memory, first, slot: first }
    }

    /// Chooses the slot, below [`BATCH`], of the next calls.
    pub fn select_slot(&mut self, number: usize) {
        self.slot = self.first + number % BATCH * SLOT;
    }

    /// The memory of the present slot.
    fn space(&mut self) -> &mut [u8] {
        &mut self.memory[self.slot..self.slot + SLOT]
    }

    /// Returns the message at a place in any slot.
    pub fn at(&self, place: Place) -> Option<Message<'_>> {
        Message::new(self.memory.get(place.start..place.end)?, place.start)
    }

    /// Memory for a message without a gap.
    pub fn whole(&mut self) -> &mut [u8] {
        &mut self.space()[UNTAGGED..]
    }

    /// Returns the message of `length` bytes that was read into [`whole`](Self::whole).
    pub fn message(&self, length: usize) -> Option<Message<'_>> {
        let fits = UNTAGGED + length <= SLOT;
        self.at(self.place(UNTAGGED, length)).filter(|_| fits)
    }

    /// Writes a hardware address at an offset in the frame of `message`; an address that would run
    /// past the end of the frame is not written.
    pub fn write_hwaddr(
        &mut self,
        message: Place,
        at: usize,
        hwaddr: HwAddr,
    ) -> Option<Message<'_>> {
        let bytes = self.memory.get_mut(message.start..message.end)?;
        if let Some(field) = bytes.get_mut(HEADER + at..HEADER + at + hwaddr.0.len()) {
            field.copy_from_slice(&hwaddr.0);
        }
        Message::new(bytes, message.start)
    }

    /// Corrects the finished Internet checksum at `checksum_at` for the change of a hardware
    /// address at an even offset in the data that the sum is over (RFC 1624).
    pub fn correct_checksum(
        &mut self,
        message: Place,
        checksum_at: usize,
        from: HwAddr,
        to: HwAddr,
    ) {
        let frame = message.start + HEADER;
        let Some(bytes) = self.memory.get_mut(frame..message.end) else {
            return;
        };
        let Some(field) = bytes.get_mut(checksum_at..).and_then(|rest| rest.first_chunk_mut::<2>())
        else {
            return;
        };
        *field = corrected(u16::from_be_bytes(*field), &from.0, &to.0).to_be_bytes();
    }

    /// Receives one message; `None` if the frame is cut short.
    ///
    /// # Errors
    /// The errors of [`PacketSocket::receive`].
    pub fn receive(&mut self, socket: &PacketSocket) -> io::Result<Option<Message<'_>>> {
        let (head, tail) = self.parts();
        let received = socket.receive(head, tail)?;
        Ok(self.restore(received))
    }

    /// Receives messages into the first slots, up to `most` and [`BATCH`]; later,
    /// [`received`](Self::received) returns each of them.
    ///
    /// # Errors
    /// The errors of [`PacketSocket::receive_all`].
    pub fn receive_all(
        &mut self,
        socket: &PacketSocket,
        most: usize,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        let slots = self.memory[self.first..].chunks_exact_mut(SLOT);
        socket.receive_all(slots.take(most.min(BATCH)).map(split), received)
    }

    /// Chooses the slot `number`, and returns the message that was received into this slot; `None`
    /// if the message is cut short.
    pub fn received(&mut self, number: usize, received: Received) -> Option<Message<'_>> {
        self.select_slot(number);
        self.restore(received)
    }

    /// The place of a message of `length` bytes at an offset in the present slot.
    fn place(&self, start: usize, length: usize) -> Place {
        Place { start: self.slot + start, end: self.slot + start + length }
    }

    /// Memory for a received message: before the gap, and after it.
    fn parts(&mut self) -> (&mut [u8], &mut [u8]) {
        split(self.space())
    }

    /// Returns the message that was received into [`parts`](Self::parts), its tag put back; `None`
    /// if the message is cut short.
    fn restore(&mut self, received: Received) -> Option<Message<'_>> {
        if received.truncated {
            return None;
        }
        let Some(tag) = received.tag else {
            self.space().copy_within(TAGGED..GAP, UNTAGGED);
            return self.message(received.length);
        };
        self.insert(tag);
        self.at(self.place(TAGGED, received.length + TAG))
    }

    /// Writes the tag into the gap, and adds its length to the header's offsets.
    fn insert(&mut self, tag: VlanTag) {
        let space = self.space();
        space[GAP..GAP + 2].copy_from_slice(&tag.tpid.to_be_bytes());
        space[GAP + 2..GAP + TAG].copy_from_slice(&tag.tci.to_be_bytes());
        let header = &mut space[TAGGED..TAGGED + HEADER];
        let hdr_len = (header[1] != 0).then_some(2);
        let csum_start = (header[0] & NEEDS_CHECKSUM != 0).then_some(6);
        for field in [hdr_len, csum_start].into_iter().flatten() {
            let offset = u16::from_ne_bytes([header[field], header[field + 1]]);
            let moved = offset.saturating_add(TAG as u16);
            header[field..field + 2].copy_from_slice(&moved.to_ne_bytes());
        }
    }
}

/// Memory of a slot for a received message: before the gap, and after it.
fn split(slot: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    let (head, tail) = slot[TAGGED..].split_at_mut(HEADER + ADDRESSES);
    (head, &mut tail[TAG..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lays a message out as `receive` does.
    fn receive(buffer: &mut FrameBuffer, message: &[u8], tag: Option<VlanTag>) -> Received {
        let (head, tail) = buffer.parts();
        let cut = message.len().min(head.len());
        head[..cut].copy_from_slice(&message[..cut]);
        tail[..message.len() - cut].copy_from_slice(&message[cut..]);
        Received { length: message.len(), tag, truncated: false }
    }

    fn message(header: [u16; 5]) -> Vec<u8> {
        let mut bytes: Vec<u8> = header.iter().flat_map(|field| field.to_ne_bytes()).collect();
        bytes.extend(0..60);
        bytes
    }

    /// The first two bytes: flags and kind of segmentation.
    fn kind(flags: u8, segmentation: u8) -> u16 {
        u16::from_ne_bytes([flags, segmentation])
    }

    #[test]
    fn an_untagged_frame_is_unchanged() {
        let mut buffer = FrameBuffer::new();
        let bytes = message([kind(1, 1), 54, 1448, 34, 16]);
        let received = receive(&mut buffer, &bytes, None);
        let message = buffer.restore(received).expect("whole");
        assert_eq!(message.bytes(), bytes);
        assert_eq!(message.frame(), &bytes[HEADER..]);
    }

    #[test]
    fn a_tag_follows_the_addresses_and_moves_the_offsets() {
        let tag = VlanTag { tpid: 0x88a8, tci: 0x6064 };
        for (before, after) in [
            // Nothing to adjust.
            ([kind(0, 0), 0, 0, 0, 0], [kind(0, 0), 0, 0, 0, 0]),
            // An unfinished checksum.
            ([kind(1, 0), 0, 0, 34, 16], [kind(1, 0), 0, 0, 38, 16]),
            // A merged frame with a good checksum: no offset to move.
            ([kind(2, 1), 66, 1448, 0, 0], [kind(2, 1), 70, 1448, 0, 0]),
            // Segments to cut.
            ([kind(1, 4), 86, 1428, 54, 16], [kind(1, 4), 90, 1428, 58, 16]),
        ] {
            let mut buffer = FrameBuffer::new();
            let received = receive(&mut buffer, &message(before), Some(tag));
            let mut expected = message(after);
            let after_addresses = HEADER + ADDRESSES;
            expected.splice(after_addresses..after_addresses, [0x88, 0xa8, 0x60, 0x64]);
            let restored = buffer.restore(received).expect("whole");
            assert_eq!(restored.bytes(), expected, "{before:?}");
        }
    }

    #[test]
    fn each_slot_keeps_its_message() {
        let mut buffer = FrameBuffer::new();
        let tag = VlanTag { tpid: 0x8100, tci: 7 };
        let places: Vec<Place> = (0..BATCH)
            .map(|slot| {
                buffer.select_slot(slot);
                let mut bytes = message([0; 5]);
                bytes[HEADER] = slot as u8;
                let tag = (slot % 2 == 1).then_some(tag);
                let received = receive(&mut buffer, &bytes, tag);
                buffer.received(slot, received).expect("whole").place()
            })
            .collect();
        let to = HwAddr([2, 0, 0, 0, 0, 9]);
        buffer.write_hwaddr(places[3], 6, to);
        for (slot, place) in places.into_iter().enumerate() {
            let message = buffer.at(place).expect("a message");
            assert_eq!(usize::from(message.frame()[0]), slot);
            assert_eq!(message.source() == to, slot == 3, "{slot}");
            assert_eq!(message.frame().len(), 60 + if slot % 2 == 1 { 4 } else { 0 });
        }
    }

    #[test]
    fn only_short_frames_without_segments_are_sent_together() {
        let short = message([0; 5]);
        let segments = message([kind(1, 1), 54, 1448, 34, 16]);
        let long = vec![0; SHORT + 1];
        let is_batchable =
            |bytes: &[u8]| Message::new(bytes, 0).is_some_and(|it| it.is_batchable());
        assert!(is_batchable(&short) && is_batchable(&long[..SHORT]));
        assert!(!is_batchable(&segments) && !is_batchable(&long));
    }

    #[test]
    fn an_incomplete_message_is_none() {
        let mut buffer = FrameBuffer::new();
        for length in 0..HEADER + ETHERNET {
            let received = receive(&mut buffer, &message([0; 5])[..length], None);
            assert!(buffer.restore(received).is_none(), "{length}");
            assert!(buffer.message(length).is_none(), "{length}");
        }
        let mut cut = receive(&mut buffer, &message([0; 5]), None);
        cut.truncated = true;
        assert!(buffer.restore(cut).is_none());
        let space = buffer.whole().len();
        assert!(buffer.message(space).is_some());
        assert!(buffer.message(space + 1).is_none());
    }

    #[test]
    fn a_checksum_is_corrected_for_a_new_address() {
        use std::net::Ipv6Addr;

        use runners::wire::announce::unsolicited_na;

        let ip = Ipv6Addr::LOCALHOST;
        let (from, to) = (HwAddr([2, 0, 0, 0, 0, 1]), HwAddr([0xfe, 0xff, 0xff, 9, 0x80, 7]));
        let mut buffer = FrameBuffer::new();
        let frame = unsolicited_na(from, ip, false, None);
        buffer.whole()[HEADER..HEADER + frame.len()].copy_from_slice(&frame);
        let place = buffer.message(HEADER + frame.len()).expect("a frame").place();
        const CHECKSUM: usize = 14 + 40 + 2;
        const OPTION: usize = 14 + 40 + 26;
        buffer.write_hwaddr(place, 6, to);
        buffer.write_hwaddr(place, OPTION, to);
        buffer.correct_checksum(place, CHECKSUM, from, to);
        let message = buffer.write_hwaddr(place, 6, to).expect("a frame");
        assert_eq!(message.frame(), unsolicited_na(to, ip, false, None));
    }
}
