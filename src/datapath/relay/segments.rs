//! Segmentation of frames that were merged inside a tunnel: VXLAN, Geneve, GRE, IP in IP.
//!
//! A virtio-net header describes segments of the outermost transport protocol. For a frame that
//! was merged inside a tunnel, the kernel hands out a header that names the inner protocol, and
//! then takes the frame for one without a tunnel, which no driver can segment. The relay cuts such
//! a frame before it sends the frame: every segment gets the headers of the frame, with lengths,
//! IPv4 identification, TCP sequence number and flags of its own, and finished checksums.
//!
//! The kernel merges inside one tunnel only, so a frame has one outer and one inner IP header.
//!
//! Segments inside a tunnel over UDP are datagrams of one flow, and all but the last have one size.
//! The relay sends many of them in one message, as segments of the outer UDP. Kernels before 6.2
//! refuse such a message; for these the relay sends each segment in a message of its own.

use std::io;

use runners::wire::checksum::{self, fold, sum};
use runners::wire::{Ethernet, Ipv4, Ipv6, ethertype, protocol};

use crate::datapath::Drops;
use crate::datapath::frame_buffer::{HEADER, Message, Offload, Segmentation, udp_segments};

const TCP_FLAGS: usize = 13;
const FIN_AND_PSH: u8 = 0x09;
const CWR: u8 = 0x80;
/// First byte of a GRE header with a checksum (RFC 2784).
const GRE_HAS_CHECKSUM: u8 = 0x80;
const UDP_HEADER: usize = 8;
/// Most segments of one frame. A frame of more segments, which no host sends, would occupy the daemon
/// for too long; the relay passes the frame on as it is.
const MOST_SEGMENTS: usize = 256;

/// Most bytes of an IP packet.
const LONGEST_PACKET: usize = u16::MAX as usize;

/// Cuts frames, and owns the buffers for the segments.
#[derive(Debug)]
pub struct Segmenter {
    segment: Vec<u8>,
    /// A message whose segments are datagrams of the outer UDP.
    datagrams: Vec<u8>,
    /// Whether the kernel accepts segments of UDP; true until it refuses the first message.
    takes_datagrams: bool,
}

impl Segmenter {
    pub fn new() -> Self {
        Segmenter { segment: Vec::new(), datagrams: Vec::new(), takes_datagrams: true }
    }

    /// Calls `send` with the message, or with the segments of a frame that its header does not
    /// describe. Returns the messages that `send` failed to send.
    pub fn send(
        &mut self,
        message: Message<'_>,
        mut send: impl FnMut(Message<'_>) -> io::Result<()>,
    ) -> Drops {
        let mut drops = Drops::default();
        let Some(merged) = Merged::parse(message) else {
            drops.add_if_lost(send(message));
            return drops;
        };
        let per_message = match merged.tunnel_protocol {
            protocol::UDP if self.takes_datagrams => merged.datagrams_per_packet(),
            _ => 1,
        };
        let numbers: Vec<usize> = (0..merged.count()).collect();
        for numbers in numbers.chunks(per_message) {
            if let [_, _, ..] = numbers {
                self.write_datagrams(&merged, numbers);
                let sent = Message::new(&self.datagrams, 0).map_or(Ok(()), &mut send);
                let is_refused = |error: &io::Error| error.raw_os_error() == Some(libc::EINVAL);
                if !sent.as_ref().is_err_and(is_refused) {
                    drops.add_if_lost(sent);
                    continue;
                }
                self.takes_datagrams = false;
            }
            for number in numbers {
                merged.write_segment(&mut self.segment, *number);
                drops.add_if_lost(Message::new(&self.segment, 0).map_or(Ok(()), &mut send));
            }
        }
        drops
    }

    /// Writes these segments as one message of datagrams of the tunnel's UDP flow.
    fn write_datagrams(&mut self, merged: &Merged<'_>, numbers: &[usize]) {
        let start = HEADER + merged.tunnel + UDP_HEADER;
        self.datagrams.clear();
        for number in numbers {
            merged.write_segment(&mut self.segment, *number);
            let known = if self.datagrams.is_empty() { 0 } else { start };
            self.datagrams.extend_from_slice(&self.segment[known..]);
        }
        let size = merged.datagram_payload() as u16;
        self.datagrams[..HEADER].copy_from_slice(&udp_segments(merged.tunnel as u16, size));
        let frame = &mut self.datagrams[HEADER..];
        write_length(frame, merged.tunnel + 4, merged.tunnel);
        let pseudo = fold(merged.outer_pseudo_sum(frame));
        frame[merged.tunnel + 6..merged.tunnel + 8].copy_from_slice(&pseudo.to_be_bytes());
        finish_ip(frame, merged.outer, 0);
    }
}

/// A frame merged inside a tunnel, and the offsets of its headers.
struct Merged<'a> {
    frame: &'a [u8],
    outer: usize,
    /// Header of the tunnel's protocol.
    tunnel: usize,
    tunnel_protocol: u8,
    inner: usize,
    transport: usize,
    is_tcp: bool,
    /// Offset of the checksum, which has the sum over the pseudo-header of the merged frame.
    checksum: usize,
    payload: usize,
    /// Bytes of payload in each segment.
    size: usize,
}

impl<'a> Merged<'a> {
    /// Returns `None` for a frame that is not merged, or not inside a known tunnel.
    fn parse(message: Message<'a>) -> Option<Self> {
        let Offload { segmentation, size, checksum_start: transport } = message.offload()?;
        let frame = message.frame();
        let ethernet = Ethernet::parse(frame)?;
        let upper = match ethernet.ethertype {
            ethertype::IPV4 => Ipv4::parse(ethernet.payload)?.upper?,
            ethertype::IPV6 => Ipv6::parse(ethernet.payload)?.upper?,
            _ => return None,
        };
        let [outer, tunnel] =
            [ethernet.payload, upper.payload].map(|rest| frame.len() - rest.len());
        if tunnel >= transport {
            return None;
        }
        let is_tcp = segmentation == Segmentation::Tcp;
        let inner_protocol = if is_tcp { protocol::TCP } else { protocol::UDP };
        let inner = inner_header(frame, transport, inner_protocol)?;
        let tunnel_header = match upper.protocol {
            protocol::UDP => UDP_HEADER,
            protocol::GRE if frame.get(tunnel)? & GRE_HAS_CHECKSUM != 0 => 8,
            protocol::GRE => 4,
            protocol::IPV4 | protocol::IPV6 => 0,
            _ => return None,
        };
        let (length, checksum) = match is_tcp {
            true => (usize::from(*frame.get(transport + 12)? >> 4) * 4, transport + 16),
            false => (UDP_HEADER, transport + 6),
        };
        let payload = transport + length;
        let is_sound = tunnel + tunnel_header <= inner
            && checksum + 2 <= payload
            && payload < frame.len()
            && (frame.len() - payload).div_ceil(size) <= MOST_SEGMENTS;
        is_sound.then_some(Merged {
            frame,
            outer,
            tunnel,
            tunnel_protocol: upper.protocol,
            inner,
            transport,
            is_tcp,
            checksum,
            payload,
            size,
        })
    }

    /// Returns the number of segments.
    fn count(&self) -> usize {
        (self.frame.len() - self.payload).div_ceil(self.size)
    }

    /// Returns the bytes of a full segment after the tunnel's UDP header.
    fn datagram_payload(&self) -> usize {
        self.payload + self.size - self.tunnel - UDP_HEADER
    }

    /// Returns the number of full segments that one packet has room for, at least 1.
    fn datagrams_per_packet(&self) -> usize {
        let room = LONGEST_PACKET - (self.tunnel + UDP_HEADER - self.outer).min(LONGEST_PACKET);
        (room / self.datagram_payload()).max(1)
    }

    /// Writes segment `number` as a message of its own.
    fn write_segment(&self, message: &mut Vec<u8>, number: usize) {
        let payload = &self.frame[self.payload + number * self.size..];
        message.clear();
        message.resize(HEADER, 0);
        message.extend_from_slice(&self.frame[..self.payload]);
        message.extend_from_slice(&payload[..self.size.min(payload.len())]);
        self.finish(&mut message[HEADER..], number, number + 1 == self.count());
    }

    /// Returns the sum over the pseudo-header of the tunnel's UDP.
    fn outer_pseudo_sum(&self, frame: &[u8]) -> u64 {
        let addresses = match frame[self.outer] >> 4 {
            4 => self.outer + 12..self.outer + 20,
            _ => self.outer + 8..self.outer + 40,
        };
        let length = (frame.len() - self.tunnel) as u64;
        sum(&frame[addresses]) + length + u64::from(protocol::UDP)
    }

    /// Adapts the headers of the merged frame to segment `number`: lengths, numbers, flags, checksums.
    fn finish(&self, segment: &mut [u8], number: usize, is_last: bool) {
        if self.is_tcp {
            let sequence = &mut segment[self.transport + 4..][..4];
            let first = u32::from_be_bytes([sequence[0], sequence[1], sequence[2], sequence[3]]);
            let own = first.wrapping_add((number * self.size) as u32);
            sequence.copy_from_slice(&own.to_be_bytes());
            let flags = &mut segment[self.transport + TCP_FLAGS];
            *flags &= if is_last { u8::MAX } else { !FIN_AND_PSH };
            *flags &= if number == 0 { u8::MAX } else { !CWR };
        } else {
            write_length(segment, self.transport + 4, self.transport);
        }
        // The partial sum has the length of the merged frame.
        let merged = (self.frame.len() - self.transport) as u32;
        let pseudo = u64::from(word(segment, self.checksum))
            + u64::from(!fold(u64::from(merged)))
            + (segment.len() - self.transport) as u64;
        let transport = &mut segment[self.transport..];
        let at = self.checksum - self.transport;
        match self.is_tcp {
            true => checksum::put(transport, at, pseudo),
            false => checksum::put_udp(transport, at, pseudo),
        }
        finish_ip(segment, self.inner, number);
        match self.tunnel_protocol {
            protocol::UDP => self.finish_udp(segment),
            protocol::GRE if segment[self.tunnel] & GRE_HAS_CHECKSUM != 0 => {
                checksum::put(&mut segment[self.tunnel..], 4, 0);
            }
            _ => (),
        }
        finish_ip(segment, self.outer, number);
    }

    /// Writes length and checksum of the tunnel's UDP header; 0 stays "no checksum".
    fn finish_udp(&self, segment: &mut [u8]) {
        write_length(segment, self.tunnel + 4, self.tunnel);
        if word(segment, self.tunnel + 6) != 0 {
            let pseudo = self.outer_pseudo_sum(segment);
            checksum::put_udp(&mut segment[self.tunnel..], 6, pseudo);
        }
    }
}

/// Returns the offset of the IP header that ends at `transport` and has the rest of the frame as
/// its payload.
fn inner_header(frame: &[u8], transport: usize, upper: u8) -> Option<usize> {
    let ipv4 = (5..=15).find_map(|words: u8| {
        let at = transport.checked_sub(usize::from(words) * 4)?;
        let header = frame.get(at..)?.first_chunk::<20>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_header = header[0] == 0x40 | words && header[9] == upper;
        (is_header && length == frame.len() - at).then_some(at)
    });
    ipv4.or_else(|| {
        let at = transport.checked_sub(40)?;
        let header = frame.get(at..)?.first_chunk::<40>()?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let is_header = header[0] >> 4 == 6 && header[6] == upper;
        (is_header && length == frame.len() - transport).then_some(at)
    })
}

/// Writes length, identification and checksum of the IP header at `at`.
fn finish_ip(segment: &mut [u8], at: usize, number: usize) {
    if segment[at] >> 4 != 4 {
        return write_length(segment, at + 4, at + 40);
    }
    write_length(segment, at + 2, at);
    let identification = word(segment, at + 4).wrapping_add(number as u16);
    segment[at + 4..at + 6].copy_from_slice(&identification.to_be_bytes());
    let end = at + usize::from(segment[at] & 0x0f) * 4;
    checksum::put(&mut segment[at..end], 10, 0);
}

/// Writes at `at` the number of bytes from `from` to the end.
fn write_length(segment: &mut [u8], at: usize, from: usize) {
    let length = (segment.len() - from) as u16;
    segment[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: usize = 1000;
    const SIZE: u16 = 300;

    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0xff, 0xff, 0x40, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet
    }

    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((payload.len() as u16).to_be_bytes());
        packet.extend([next, 64]);
        packet.extend((0..32).map(|byte| byte * 7));
        packet.extend(payload);
        packet
    }

    /// Returns a datagram with an unfinished checksum; 0 stands for no checksum.
    fn udp(port: u16, checksum: u16, payload: &[u8]) -> Vec<u8> {
        let length = 8 + payload.len() as u16;
        let mut datagram = [49152, port, length, checksum].map(u16::to_be_bytes).concat();
        datagram.extend(payload);
        datagram
    }

    fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// Returns header and data of the inner transport, with the sum of the IPv4 pseudo-header.
    fn transport(is_tcp: bool) -> Vec<u8> {
        let data = (0..PAYLOAD).map(|at| at as u8);
        let mut bytes = match is_tcp {
            // CWR, ACK, PSH and FIN.
            true => {
                vec![0, 80, 0, 81, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 0x50, 0x99, 0, 9, 0, 0, 0, 0]
            }
            false => vec![0, 80, 0, 81, 0, 0, 0, 0],
        };
        let checksum = if is_tcp { 16 } else { 6 };
        let protocol = if is_tcp { protocol::TCP } else { protocol::UDP };
        bytes.extend(data);
        let pseudo = pseudo_sum(&ipv4(protocol, &bytes));
        bytes[checksum..checksum + 2].copy_from_slice(&fold(pseudo).to_be_bytes());
        bytes
    }

    /// Returns the sum of the pseudo-header of the packet's transport.
    fn pseudo_sum(packet: &[u8]) -> u64 {
        match packet[0] >> 4 {
            4 => sum(&packet[12..20]) + u64::from(packet[9]) + packet.len() as u64 - 20,
            _ => sum(&packet[8..40]) + u64::from(packet[6]) + packet.len() as u64 - 40,
        }
    }

    fn message(is_tcp: bool, frame: &[u8]) -> Vec<u8> {
        let length = if is_tcp { 20 } else { 8 } + PAYLOAD;
        let mut bytes = vec![1, if is_tcp { 1 } else { 5 }];
        let start = (frame.len() - length) as u16;
        let offset = if is_tcp { 16_u16 } else { 6 };
        bytes.extend([start, SIZE, start, offset].map(u16::to_ne_bytes).concat());
        bytes.extend(frame);
        bytes
    }

    /// Returns frames of every tunnel around an inner packet.
    fn tunnels(inner: &[u8]) -> Vec<Vec<u8>> {
        let inner_frame = ethernet(ethertype::IPV4, inner);
        let vxlan = |checksum| udp(4789, checksum, &[&[8; 8][..], &inner_frame].concat());
        let geneve =
            udp(6081, 0, &[&[1, 0, 0x65, 0x58, 0, 0, 7, 0, 9, 9, 9, 9][..], &inner_frame].concat());
        let gre = |head: &[u8], inner: &[u8]| ipv4(protocol::GRE, &[head, inner].concat());
        vec![
            ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &vxlan(0))),
            ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &vxlan(7))),
            ethernet(ethertype::IPV6, &ipv6(protocol::UDP, &vxlan(7))),
            ethernet(ethertype::IPV6, &ipv6(protocol::UDP, &geneve)),
            ethernet(ethertype::IPV4, &gre(&[0, 0, 8, 0], inner)),
            ethernet(ethertype::IPV4, &gre(&[0x80, 0, 0x65, 0x58, 0, 0, 0, 0], &inner_frame)),
            ethernet(ethertype::IPV4, &ipv4(protocol::IPV4, inner)),
            ethernet(ethertype::VLAN, &[&[0, 5, 8, 0][..], &ipv4(protocol::IPV4, inner)].concat()),
        ]
    }

    /// Returns the segments of a message where the kernel takes no segments of UDP.
    fn cut(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        let message = Message::new(bytes, 0).expect("a message");
        let drops = Segmenter::new().send(message, |segment| {
            if segment.bytes()[1] == 5 && segment.bytes() != bytes {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            segments.push(segment.bytes().to_vec());
            Ok(())
        });
        assert_eq!(drops.total(), 0);
        segments
    }

    /// Asserts that lengths and checksums of a frame are right, in every layer.
    fn assert_sound(frame: &[u8]) {
        let ethernet = Ethernet::parse(frame).expect("a frame");
        let mut packet = ethernet.payload;
        loop {
            let (upper, length) = match packet[0] >> 4 {
                4 => {
                    assert_eq!(fold(sum(&packet[..20])), 0xffff, "IPv4 checksum");
                    (Ipv4::parse(packet).unwrap().upper.unwrap(), word(packet, 2))
                }
                _ => (Ipv6::parse(packet).unwrap().upper.unwrap(), word(packet, 4) + 40),
            };
            assert_eq!(usize::from(length), packet.len());
            let is_sound = fold(sum(upper.payload) + pseudo_sum(packet)) == 0xffff;
            match upper.protocol {
                protocol::UDP if word(upper.payload, 2) >= 4789 => {
                    assert_eq!(usize::from(word(upper.payload, 4)), upper.payload.len());
                    assert!(is_sound || word(upper.payload, 6) == 0, "UDP checksum of the tunnel");
                    let head = if word(upper.payload, 2) == 4789 { 8 } else { 12 };
                    packet = &upper.payload[8 + head + 14..];
                }
                protocol::GRE if upper.payload[0] != 0 => {
                    assert_eq!(fold(sum(upper.payload)), 0xffff, "GRE checksum");
                    packet = &upper.payload[8 + 14..];
                }
                protocol::GRE => packet = &upper.payload[4..],
                protocol::IPV4 => packet = upper.payload,
                _ => return assert!(is_sound, "checksum of the transport"),
            }
        }
    }

    #[test]
    fn frames_merged_in_a_tunnel_become_sound_segments() {
        for is_tcp in [true, false] {
            let protocol = if is_tcp { protocol::TCP } else { protocol::UDP };
            let head = if is_tcp { 20 } else { 8 };
            for frame in tunnels(&ipv4(protocol, &transport(is_tcp))) {
                let segments = cut(&message(is_tcp, &frame));
                assert_eq!(segments.len(), 4);
                let start = frame.len() - head - PAYLOAD;
                let mut payload = Vec::new();
                for (number, segment) in segments.iter().enumerate() {
                    assert_eq!(segment[..HEADER], [0; HEADER], "nothing is left to be done");
                    let segment = &segment[HEADER..];
                    assert_sound(segment);
                    assert_eq!(word(segment, start - 16), 0xffff_u16.wrapping_add(number as u16));
                    if is_tcp {
                        let sequence = segment[start + 4..].first_chunk().expect("a TCP header");
                        let expected = 0xffff_ff00_u32.wrapping_add(300 * number as u32);
                        assert_eq!(u32::from_be_bytes(*sequence), expected);
                        let flags = [0x90, 0x10, 0x10, 0x19][number];
                        assert_eq!(segment[start + TCP_FLAGS], flags);
                    }
                    payload.extend_from_slice(&segment[start + head..]);
                }
                assert!(payload == frame[start + head..], "every byte once");
            }
        }
    }

    #[test]
    fn segments_in_udp_pass_as_datagrams_of_one_flow() {
        let inner = ipv4(protocol::TCP, &transport(true));
        for frame in &tunnels(&inner)[..4] {
            let bytes = message(true, frame);
            let mut messages = Vec::new();
            let message = Message::new(&bytes, 0).expect("a message");
            let drops = Segmenter::new().send(message, |message| {
                messages.push(message.bytes().to_vec());
                Ok(())
            });
            assert_eq!((drops.total(), messages.len()), (0, 1));
            let (header, datagrams) = messages[0].split_at(HEADER);
            let field = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
            assert_eq!(header[..2], [1, 5]);
            let (size, udp) = (field(4), field(6));
            assert_eq!((field(2), field(8)), (udp + 8, 6));
            assert_eq!(usize::from(word(datagrams, udp + 4)), datagrams.len() - udp);
            // As the kernel cuts the message, but for the outer headers.
            let own = cut(&bytes);
            assert_eq!(datagrams[udp + 8..].chunks(size).count(), own.len());
            for (datagram, segment) in datagrams[udp + 8..].chunks(size).zip(own) {
                assert!(*datagram == segment[HEADER + udp + 8..]);
            }
        }
    }

    #[test]
    fn other_messages_pass_unchanged() {
        let tcp = ipv4(protocol::TCP, &transport(true));
        let plain = message(true, &ethernet(ethertype::IPV4, &tcp));
        assert_eq!(cut(&plain), std::slice::from_ref(&plain), "no tunnel");
        let tunnel = message(true, &tunnels(&tcp)[0]);
        for (at, value, why) in [
            (0, 0, "a finished checksum"),
            (1, 0, "not merged"),
            (2 + 2, 0, "a size of 0"),
            (2 + 2, 1, "too many segments"),
        ] {
            let mut bytes = tunnel.clone();
            bytes[at] = value;
            bytes[5] &= if at == 4 { 0 } else { u8::MAX };
            assert_eq!(cut(&bytes), std::slice::from_ref(&bytes), "{why}");
        }
    }

    #[test]
    fn no_bytes_cause_a_panic() {
        for tunnel in tunnels(&ipv4(protocol::TCP, &transport(true))) {
            let whole = message(true, &tunnel);
            for length in HEADER + 14..whole.len() {
                cut(&whole[..length]);
            }
            for at in 0..whole.len() - PAYLOAD {
                for value in [0, 1, 0x45, 0x60, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = value;
                    cut(&bytes);
                }
            }
        }
    }
}
