//! The buffer of the process that every frame passes through, and the virtio-net header before a frame.
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
use crate::sys::packet::{Options, PacketSocket, Received, VlanTag};

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
const SIZE: usize = UNTAGGED + HEADER + LONGEST;

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

#[derive(Debug)]
#[repr(align(64))]
struct Space([u8; SIZE]);

/// Memory for one message: header and frame.
#[derive(Debug)]
pub struct FrameBuffer(Box<Space>);

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
    /// Returns an empty buffer for the longest frame.
    pub fn new() -> Self {
        FrameBuffer(Box::new(Space([0; SIZE])))
    }

    /// Memory for a message without a gap.
    pub fn whole(&mut self) -> &mut [u8] {
        &mut self.0.0[UNTAGGED..]
    }

    /// Returns the message of `length` bytes that was read into [`whole`](Self::whole).
    pub fn message(&self, length: usize) -> Option<Message<'_>> {
        Message::new(self.0.0[UNTAGGED..].get(..length)?, UNTAGGED)
    }

    /// Writes a hardware address at an offset in the frame of `message`; an address that would run
    /// past the end of the frame is not written.
    pub fn write_hwaddr(
        &mut self,
        message: Place,
        at: usize,
        hwaddr: HwAddr,
    ) -> Option<Message<'_>> {
        let bytes = self.0.0.get_mut(message.start..message.end)?;
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
        let Some(bytes) = self.0.0.get_mut(frame..message.end) else {
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

    /// Memory for a received message: before the gap, and after it.
    fn parts(&mut self) -> (&mut [u8], &mut [u8]) {
        let (head, tail) = self.0.0[TAGGED..].split_at_mut(HEADER + ADDRESSES);
        (head, &mut tail[TAG..])
    }

    /// Returns the message that was received into [`parts`](Self::parts), its tag put back; `None`
    /// if the message is cut short.
    fn restore(&mut self, received: Received) -> Option<Message<'_>> {
        if received.truncated {
            return None;
        }
        let Some(tag) = received.tag else {
            self.0.0.copy_within(TAGGED..GAP, UNTAGGED);
            return self.message(received.length);
        };
        self.insert(tag);
        Message::new(self.0.0[TAGGED..].get(..received.length + TAG)?, TAGGED)
    }

    /// Writes the tag into the gap, and adds its length to the header's offsets.
    fn insert(&mut self, tag: VlanTag) {
        let space = &mut self.0.0;
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
