//! BFD control packets (RFC 5880 section 4.1), and the frames that carry them: single-hop sessions
//! (RFC 5881) and the micro sessions of a link aggregate (RFC 7130).

use std::net::IpAddr;
use std::time::Duration;

use crate::ident::HwAddr;
use crate::wire::build::{self, ethernet};
use crate::wire::{Ethernet, Ipv4, Ipv6, checksum, ethertype, protocol};

/// UDP port of single-hop sessions (RFC 5881 section 4).
pub const SINGLE_HOP_PORT: u16 = 3784;
/// UDP port of micro sessions (RFC 7130 section 2.2).
pub const MICRO_PORT: u16 = 6784;
/// Destination of the packets of a micro session whose peer's address is not known yet (RFC 7130
/// section 2.3).
pub const MICRO_GROUP: HwAddr = HwAddr([0x01, 0x00, 0x5e, 0x90, 0x00, 0x01]);

/// TTL or hop limit of every packet: one from behind a router is less (RFC 5881 section 5).
const HOP_LIMIT: u8 = 255;
/// Traffic class CS6, network control.
const TRAFFIC_CLASS: u8 = 0xc0;
const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// State of a session (section 4.1, "Sta").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BfdState {
    /// The session is held down by its administrator.
    AdminDown,
    /// The session is down, or has just begun.
    #[default]
    Down,
    /// The peer is heard, and does not hear this system yet.
    Init,
    /// Both hear each other.
    Up,
}

impl BfdState {
    const BITS: [BfdState; 4] = [BfdState::AdminDown, BfdState::Down, BfdState::Init, BfdState::Up];

    /// Returns the name of the state in RFC 5880.
    pub fn name(self) -> &'static str {
        match self {
            BfdState::AdminDown => "AdminDown",
            BfdState::Down => "Down",
            BfdState::Init => "Init",
            BfdState::Up => "Up",
        }
    }
}

/// A control packet without authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdControl {
    /// Why the sender's session changed last (section 4.1, "Diag"), below 32.
    pub diagnostic: u8,
    /// State of the sender's session.
    pub state: BfdState,
    /// The sender asks for a packet with `is_final`.
    pub poll: bool,
    /// The packet answers one with `poll`.
    pub is_final: bool,
    /// The sender wants no periodic packets.
    pub demand: bool,
    /// Intervals without a packet that end the session, above 0.
    pub detect_multiplier: u8,
    /// Discriminator of the sender, above 0.
    pub my_discriminator: u32,
    /// Discriminator of the receiver; 0 if the sender does not know it.
    pub your_discriminator: u32,
    /// Least interval between packets that the sender wants to send.
    pub desired_min_tx: Duration,
    /// Least interval between packets that the sender can receive; zero for no periodic packets.
    pub required_min_rx: Duration,
}

impl BfdControl {
    /// Bytes of a packet without authentication.
    pub const LENGTH: usize = 24;

    /// Reads a UDP payload. Returns `None` for a packet that section 6.8.6 has discarded before a
    /// session is looked up, and for one with authentication.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        const AUTHENTICATION_OR_MULTIPOINT: u8 = 0b0000_0101;
        let packet = payload.first_chunk::<{ Self::LENGTH }>()?;
        let word = |at: usize| {
            let bytes = packet.get(at..)?.first_chunk()?;
            Some(u32::from_be_bytes(*bytes))
        };
        let micros = |at: usize| Some(Duration::from_micros(word(at)?.into()));
        let [first, flags, detect_multiplier, length, ..] = *packet;
        let control = BfdControl {
            diagnostic: first & 0x1f,
            state: *BfdState::BITS.get(usize::from(flags >> 6))?,
            poll: flags & 0b0010_0000 != 0,
            is_final: flags & 0b0001_0000 != 0,
            demand: flags & 0b0000_0010 != 0,
            detect_multiplier,
            my_discriminator: word(4)?,
            your_discriminator: word(8)?,
            desired_min_tx: micros(12)?,
            required_min_rx: micros(16)?,
        };
        let length = usize::from(length);
        let is_begun = matches!(control.state, BfdState::Init | BfdState::Up);
        let is_valid = first >> 5 == 1
            && (Self::LENGTH..=payload.len()).contains(&length)
            && flags & AUTHENTICATION_OR_MULTIPOINT == 0
            && detect_multiplier != 0
            && control.my_discriminator != 0
            && !(is_begun && control.your_discriminator == 0);
        is_valid.then_some(control)
    }

    /// Returns the packet as bytes. An interval beyond 71 minutes, which is the format's limit, is
    /// written as that limit.
    pub fn to_bytes(self) -> Vec<u8> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let state = BfdState::BITS.iter().position(|state| *state == self.state).unwrap_or(0) as u8;
        let flags = state << 6
            | flag(self.poll, 0b0010_0000)
            | flag(self.is_final, 0b0001_0000)
            | flag(self.demand, 0b0000_0010);
        let mut bytes = vec![1 << 5 | self.diagnostic & 0x1f, flags, self.detect_multiplier, 24];
        for word in [
            self.my_discriminator,
            self.your_discriminator,
            micros(self.desired_min_tx),
            micros(self.required_min_rx),
            0, // No echo packets.
        ] {
            bytes.extend(word.to_be_bytes());
        }
        bytes
    }
}

/// Addresses of a frame that carries a control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdAddresses {
    /// Hardware addresses of source and destination.
    pub hwaddrs: (HwAddr, HwAddr),
    /// IP addresses of source and destination, of one family.
    pub ips: (IpAddr, IpAddr),
    /// UDP ports of source and destination.
    pub ports: (u16, u16),
}

/// Returns an untagged frame with a control packet; `None` if the IP addresses have two families.
pub fn frame(addresses: &BfdAddresses, control: BfdControl) -> Option<Vec<u8>> {
    let payload = control.to_bytes();
    let length = (UDP_HEADER + payload.len()) as u16;
    let mut udp = Vec::with_capacity(usize::from(length));
    udp.extend(addresses.ports.0.to_be_bytes());
    udp.extend(addresses.ports.1.to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let (source, destination) = addresses.hwaddrs;
    match addresses.ips {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = IPV4_HEADER as u16 + length;
            let mut header = vec![0x45, TRAFFIC_CLASS];
            header.extend(total.to_be_bytes());
            header.extend([0, 0, 0, 0, HOP_LIMIT, protocol::UDP, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            checksum::put(&mut header, 10, 0);
            // A UDP checksum of 0 is none (RFC 768); the frame's own suffices on one link.
            let mut frame = ethernet(destination, source, None, ethertype::IPV4);
            frame.extend(header);
            frame.extend(udp);
            Some(frame)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let pseudo = build::pseudo_header(from, to, udp.len(), protocol::UDP);
            checksum::put_udp(&mut udp, 6, pseudo);
            let mut frame = ethernet(destination, source, None, ethertype::IPV6);
            frame.extend([0x60 | TRAFFIC_CLASS >> 4, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([protocol::UDP, HOP_LIMIT]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            frame.extend(udp);
            Some(frame)
        }
        _ => None,
    }
}

/// Reads a frame from the same link, untagged or with a priority alone, with a control packet for one
/// of the two ports. Returns `None` for any other frame.
pub fn parse(frame: &[u8]) -> Option<(BfdAddresses, BfdControl)> {
    let ethernet = Ethernet::parse(frame).filter(|ethernet| ethernet.vlan_ids == 0)?;
    let ip = ethernet.payload;
    let (ips, upper, hop_limit) = match ethernet.ethertype {
        ethertype::IPV4 => {
            let view = Ipv4::parse(ip)?;
            let [a, b, c, d, e, f, g, h] = *view.addresses;
            let ips = (IpAddr::from([a, b, c, d]), IpAddr::from([e, f, g, h]));
            (ips, view.upper?, ip.get(8)?)
        }
        ethertype::IPV6 => {
            let view = Ipv6::parse(ip)?;
            let from: [u8; 16] = *view.addresses.first_chunk()?;
            let to: [u8; 16] = *view.addresses.last_chunk()?;
            ((IpAddr::from(from), IpAddr::from(to)), view.upper?, ip.get(7)?)
        }
        _ => return None,
    };
    let (udp, payload) = upper.payload.split_first_chunk::<UDP_HEADER>()?;
    let [s, t, p, q, high, low, ..] = *udp;
    let ports = (u16::from_be_bytes([s, t]), u16::from_be_bytes([p, q]));
    let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(UDP_HEADER)?;
    let is_ours = upper.protocol == protocol::UDP
        && *hop_limit == HOP_LIMIT
        && [SINGLE_HOP_PORT, MICRO_PORT].contains(&ports.1);
    let control = BfdControl::parse(payload.get(..length).filter(|_| is_ours)?)?;
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *ethernet.addresses;
    let hwaddrs = (HwAddr([g, h, i, j, k, l]), HwAddr([a, b, c, d, e, f]));
    Some((BfdAddresses { hwaddrs, ips, ports }, control))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const CONTROL: BfdControl = BfdControl {
        diagnostic: 3,
        state: BfdState::Up,
        poll: true,
        is_final: false,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 0x0102_0304,
        your_discriminator: 5,
        desired_min_tx: Duration::from_millis(10),
        required_min_rx: Duration::from_secs(1),
    };

    fn addresses(v6: bool) -> BfdAddresses {
        let ips = match v6 {
            false => (Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(10, 0, 0, 2).into()),
            true => (
                Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
                Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
            ),
        };
        let hwaddrs = (HwAddr([2, 0, 0, 0, 0, 1]), MICRO_GROUP);
        BfdAddresses { hwaddrs, ips, ports: (49152, MICRO_PORT) }
    }

    #[test]
    fn a_packet_has_the_bytes_of_the_standard() {
        let bytes = [
            0x23, 0xe0, 3, 24, 1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0x27, 0x10, 0, 0x0f, 0x42, 0x40, 0, 0,
            0, 0,
        ];
        assert_eq!(CONTROL.to_bytes(), bytes);
        assert_eq!(BfdControl::parse(&bytes), Some(CONTROL));
    }

    #[test]
    fn a_frame_is_read_as_it_was_written_and_another_parser_accepts_it() {
        for v6 in [false, true] {
            let frame = frame(&addresses(v6), CONTROL).expect("one family");
            assert_eq!(parse(&frame), Some((addresses(v6), CONTROL)));
            let sliced = etherparse::SlicedPacket::from_ethernet(&frame).expect("a sound frame");
            let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else {
                panic!("no UDP: {sliced:?}");
            };
            assert_eq!(udp.destination_port(), MICRO_PORT);
            for (at, byte) in [(12, 0x81), (22 - usize::from(v6), 254)] {
                let mut other = frame.clone();
                other[at] = byte;
                assert_eq!(parse(&other), None, "byte {at}");
            }
        }
    }

    #[test]
    fn a_packet_that_the_standard_has_discarded_is_no_packet() {
        let good = CONTROL.to_bytes();
        for (at, byte, why) in [
            (0, 0x03, "version 0"),
            (1, 0xe4, "authentication"),
            (1, 0xe1, "multipoint"),
            (2, 0, "detect multiplier 0"),
            (3, 23, "too short"),
            (3, 25, "longer than its datagram"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert_eq!(BfdControl::parse(&bytes), None, "{why}");
        }
        let without = |range: std::ops::Range<usize>, flags: u8| {
            let mut bytes = good.clone();
            bytes[range].fill(0);
            bytes[1] = flags;
            BfdControl::parse(&bytes).is_some()
        };
        assert!(!without(4..8, 0xe0), "no discriminator");
        assert!(!without(8..12, 0xe0) && !without(8..12, 0x80), "Up or Init for nobody");
        assert!(without(8..12, 0x40) && without(8..12, 0x00), "Down and AdminDown begin a session");
        for length in 0..good.len() {
            assert_eq!(BfdControl::parse(&good[..length]), None);
        }
    }
}
