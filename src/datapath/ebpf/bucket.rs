//! The part of a program that computes a frame's bucket: the flow hash of
//! [`Selector`](runners::Selector), with the same tables and the same layout of the key.

use std::ops::Range;
use std::os::fd::RawFd;

use runners::HashFields;
use runners::tx_hash::definition::{self, MULTIPLIER, place};
use runners::wire::{ethertype, protocol};

use super::assembler::{Alu, Assembler, If, Label, Reg, Size};
use super::context;
use super::headers::{self, COPY, ETHERTYPE, TAG, TAGS, half};

use Reg::{R0, R2, R3, R4, R6, R7, R8, R9, R10};

/// Bytes of the table of one byte of the key.
const TABLE: usize = 256 * size_of::<u32>();
/// Bytes of a frame up to the ports, over IPv4 without options …
const COMMON_IPV4: i32 = 38;
/// … and over IPv6 without extension headers.
const COMMON_IPV6: i32 = 58;
/// Protocol numbers of IPv6 extension headers.
const EXTENSIONS: [u8; 5] = [
    protocol::HOP_BY_HOP,
    protocol::ROUTING,
    protocol::DESTINATION_OPTIONS,
    protocol::AUTHENTICATION,
    protocol::FRAGMENT,
];

/// Emits the instructions after which R7 holds the bucket.
///
/// R6 holds the context throughout. The tables are the only value of the map `hash`. With
/// [`HashFields::SOCKET`], the kernel's hash takes the place of the hash of the fields, unless the
/// kernel's hash is 0.
pub fn emit(asm: &mut Assembler, fields: HashFields, hash: RawFd) {
    let mut part = Part {
        vlan: fields.contains(HashFields::VLAN),
        encap: fields.contains(HashFields::ENCAP),
        ipv4: fields.contains(HashFields::IPV4),
        ipv6: fields.contains(HashFields::IPV6),
        eth: match (fields.contains(HashFields::ETH), fields.contains(HashFields::SRC_MAC)) {
            (true, _) => Some(place::ETH),
            (false, true) => Some(place::SRC_MAC),
            (false, false) => None,
        },
        protocols: definition::protocols_with_ports(fields).collect(),
        done: asm.label(),
        asm,
        hash,
    };
    if fields.contains(HashFields::SOCKET) {
        part.asm.load(Size::Word, R7, R6, context::HASH);
        part.asm.jump_if(If::NotEqual, R7, 0, part.done);
    }
    part.begin();
    let general = part.asm.label();
    part.common(general);
    part.asm.place(general);
    part.begin();
    part.general();
    let done = part.done;
    asm.place(done);
    asm.alu32(Alu::Mul, R7, MULTIPLIER as i32);
    asm.alu32(Alu::ShiftRight, R7, 24);
}

/// The program under construction, and the fields that count.
pub struct Part<'a> {
    pub(super) asm: &'a mut Assembler,
    hash: RawFd,
    /// The hardware addresses that count, by their place in the key and in the frame.
    eth: Option<Range<usize>>,
    vlan: bool,
    /// The innermost packet of a tunnel counts.
    encap: bool,
    pub(super) ipv4: bool,
    ipv6: bool,
    /// Protocols whose ports count.
    protocols: Vec<u8>,
    done: Label,
}

impl Part<'_> {
    /// Sets a register to 0, as the entry of a zero byte: the verifier does not know the number.
    ///
    /// Without CAP_PERFMON the verifier refuses an addition to a pointer whose summand is a constant
    /// on one path only.
    fn unknown_zero(&mut self, to: Reg) {
        self.asm.load_value(to, self.hash, 0);
        self.asm.load(Size::Word, to, to, 0);
    }

    /// Sets R7 to the CRC of the key that is all zeros.
    fn begin(&mut self) {
        self.unknown_zero(R7);
        self.asm.alu32(Alu::Xor, R7, definition::zero_key() as i32);
    }

    pub(super) fn ports(&self) -> bool {
        !self.protocols.is_empty()
    }

    /// Adds `length` bytes at `base` and `offset` to the CRC, with the tables from `place` on.
    /// R3, R4 and R8 are destroyed.
    ///
    /// Loading each byte takes one instruction less than cutting it out of a word.
    pub(super) fn fold(&mut self, place: usize, length: usize, base: Reg, offset: i16) {
        self.asm.load_value(R8, self.hash, (place * TABLE) as i32);
        for at in 0..length {
            self.asm.load(Size::Byte, R3, base, offset + at as i16);
            self.asm.alu32(Alu::ShiftLeft, R3, 2);
            self.asm.alu(Alu::Add, R3, R8);
            self.asm.load(Size::Word, R3, R3, (at * TABLE) as i16);
            // Two sums, so that no addition waits for another.
            match at {
                0 => self.asm.alu32(Alu::Move, R4, R3),
                _ if at % 2 == 0 => self.asm.alu32(Alu::Xor, R4, R3),
                _ => self.asm.alu32(Alu::Xor, R7, R3),
            }
            self.asm.meeting_point();
        }
        self.asm.alu32(Alu::Xor, R7, R4);
    }

    /// Adds the IPv4 addresses at `base` and `offset`, as [`fold`](Self::fold) does, if they count.
    pub(super) fn fold_ipv4(&mut self, base: Reg, offset: i16) {
        if self.ipv4 {
            self.fold(place::IPV4.start, place::IPV4.len(), base, offset);
        }
    }

    /// Adds the IPv6 addresses at `base` and `offset`, as [`fold`](Self::fold) does, if they
    /// count. A word of the copied header that is not used later is overwritten.
    pub(super) fn fold_ipv6(&mut self, base: Reg, offset: i16) {
        const FOLDED: i16 = COPY + 8;
        if !self.ipv6 {
            return;
        }
        for (at, weight) in (0..).zip(definition::IPV6_WEIGHTS) {
            self.asm.load(Size::Word, R3, base, offset + 4 * at);
            self.asm.little_endian(R3, 32);
            self.asm.alu(Alu::Mul, R3, weight as i32);
            match at {
                0 => self.asm.set(R4, R3),
                _ => self.asm.alu(Alu::Add, R4, R3),
            }
        }
        let shift = definition::IPV6_SHIFT as i32;
        self.asm.alu(Alu::ShiftRight, R4, shift);
        self.asm.little_endian(R4, 32);
        self.asm.store(Size::Word, R10, FOLDED, R4);
        self.fold(place::IPV6.start, place::IPV6.len(), R10, FOLDED);
    }

    /// Adds the hardware addresses of a frame that starts at `base` and `offset`.
    fn eth(&mut self, base: Reg, offset: i16) {
        if let Some(eth) = self.eth.clone() {
            self.fold(eth.start, eth.len(), base, offset + eth.start as i16);
        }
    }

    /// Handles most frames without copying: unfragmented IP with one tag in the frame at most,
    /// without options or extension headers, in contiguous memory. Continues at `general` with the
    /// other frames, where the hash starts from the beginning.
    fn common(&mut self, general: Label) {
        self.asm.load(Size::Word, R0, R6, context::DATA);
        self.asm.load(Size::Word, R9, R6, context::DATA_END);
        self.whole(COMMON_IPV4, general);
        self.eth(R0, 0);
        if self.vlan {
            self.tag_beside();
        }
        let (tag, ipv4, ipv6) = (self.asm.label(), self.asm.label(), self.asm.label());
        let by_kind = |asm: &mut Assembler| {
            asm.load(Size::Half, R2, R0, 12);
            asm.jump_if(If::Equal, R2, half(ethertype::IPV4), ipv4);
            asm.jump_if(If::Equal, R2, half(ethertype::IPV6), ipv6);
        };
        by_kind(self.asm);
        self.asm.jump_if(If::Equal, R2, half(ethertype::VLAN), tag);
        self.asm.jump_if(If::NotEqual, R2, half(ethertype::SERVICE_VLAN), general);
        self.asm.place(tag);
        if self.vlan {
            self.tag_inside();
        }
        self.asm.alu(Alu::Add, R0, TAG);
        self.whole(COMMON_IPV4, general);
        by_kind(self.asm);
        self.asm.jump(general);

        self.asm.place(ipv6);
        self.whole(COMMON_IPV6, general);
        self.asm.load(Size::Byte, R2, R0, 14);
        self.asm.alu(Alu::ShiftRight, R2, 4);
        self.asm.jump_if(If::NotEqual, R2, 6, general);
        self.asm.load(Size::Byte, R2, R0, 20);
        for extension in EXTENSIONS {
            self.asm.jump_if(If::Equal, R2, i32::from(extension), general);
        }
        self.unless_tunnel(20, general);
        self.fold_ipv6(R0, 22);
        self.common_ports(20, 54);

        self.asm.place(ipv4);
        self.asm.load(Size::Byte, R2, R0, 14);
        self.asm.jump_if(If::NotEqual, R2, 0x45, general);
        self.asm.load(Size::Half, R2, R0, 20);
        self.asm.jump_if(If::AnyBit, R2, half(0x3fff), general);
        self.unless_tunnel(23, general);
        self.fold_ipv4(R0, 26);
        self.common_ports(23, 34);
    }

    /// Continues at `short` unless `length` bytes from R0 on lie before R9.
    fn whole(&mut self, length: i32, short: Label) {
        self.asm.set(R2, R0);
        self.asm.alu(Alu::Add, R2, length);
        self.asm.jump_if(If::Greater, R2, R9, short);
    }

    /// Adds the id of the tag that the kernel keeps in the context.
    fn tag_beside(&mut self) {
        let untagged = self.asm.label();
        self.asm.load(Size::Word, R2, R6, context::VLAN_PRESENT);
        self.asm.jump_if(If::Equal, R2, 0, untagged);
        self.asm.load(Size::Word, R2, R6, context::VLAN_TCI);
        self.asm.alu(Alu::And, R2, 0xfff);
        self.asm.network_order(R2, 16);
        self.vlan_id(0);
        self.asm.place(untagged);
    }

    /// Adds the id of the first tag in the frame at R0.
    fn tag_inside(&mut self) {
        let (outermost, added) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::Word, R4, R6, context::VLAN_PRESENT);
        self.asm.load(Size::Half, R2, R0, 14);
        self.asm.alu(Alu::And, R2, half(0x0fff));
        self.asm.jump_if(If::Equal, R4, 0, outermost);
        self.vlan_id(1);
        self.asm.jump(added);
        self.asm.place(outermost);
        self.vlan_id(0);
        self.asm.place(added);
    }

    /// Adds the VLAN id in R2, in network byte order, with `outer` tags around it.
    fn vlan_id(&mut self, outer: usize) {
        let place = place::VLAN.start + 2 * outer;
        self.asm.store(Size::Half, R10, TAGS, R2);
        self.fold(place, 2, R10, TAGS);
    }

    /// Continues at `general` if tunnels count and the protocol at R0 and an offset may be a
    /// tunnel's.
    fn unless_tunnel(&mut self, protocol: i16, general: Label) {
        if self.encap {
            self.asm.load(Size::Byte, R2, R0, protocol);
            let tcp = i32::from(protocol::TCP);
            self.asm.jump_if(If::NotEqual, R2, tcp, general);
        }
    }

    /// Adds the ports, if those of the protocol count, and ends; both are at R0 and an offset.
    fn common_ports(&mut self, protocol: i16, ports: i16) {
        if self.ports() {
            self.asm.load(Size::Byte, R2, R0, protocol);
            let named = self.if_named();
            self.asm.place(named);
            self.fold(place::PORTS.start, place::PORTS.len(), R0, ports);
        }
        self.asm.jump(self.done);
    }

    /// Continues at the returned label if the ports of the protocol in R2 count, else ends.
    fn if_named(&mut self) -> Label {
        let named = self.asm.label();
        for protocol in &self.protocols {
            self.asm.jump_if(If::Equal, R2, i32::from(*protocol), named);
        }
        self.asm.jump(self.done);
        named
    }

    fn general(&mut self) {
        let done = self.done;
        self.asm.set(R9, 0);
        headers::copy(self.asm, headers::ETHERNET, done);
        self.eth(R10, COPY);
        if self.vlan || self.ipv4 || self.ipv6 || self.ports() {
            self.tags();
            match self.encap {
                true => self.innermost(),
                false => self.network(),
            }
        }
    }

    /// Adds the VLAN ids; R9 becomes the start of the payload.
    fn tags(&mut self) {
        headers::tags(self.asm);
        if self.vlan {
            let none = self.asm.label();
            self.asm.load(Size::Double, R2, R10, TAGS);
            self.asm.jump_if(If::Equal, R2, 0, none);
            self.asm.network_order(R2, 64);
            self.unknown_zero(R3);
            self.asm.alu(Alu::Or, R2, R3);
            self.asm.store(Size::Double, R10, TAGS, R2);
            self.fold(place::VLAN.start, place::VLAN.len(), R10, TAGS);
            self.asm.place(none);
        }
    }

    fn network(&mut self) {
        let ports = self.asm.label();
        let kinds = [
            (ethertype::IPV4, self.ipv4 || self.ports(), Part::ipv4 as fn(&mut Self, Label)),
            (ethertype::IPV6, self.ipv6 || self.ports(), Part::ipv6),
            (ethertype::ARP, self.ipv4, Part::arp),
        ];
        self.asm.load(Size::Half, R2, R10, ETHERTYPE);
        let mut parts = Vec::new();
        for (kind, _, part) in kinds.into_iter().filter(|(_, wanted, _)| *wanted) {
            let label = self.asm.label();
            self.asm.jump_if(If::Equal, R2, half(kind), label);
            parts.push((label, part));
        }
        self.asm.jump(self.done);
        for (label, part) in parts {
            self.asm.place(label);
            part(self, ports);
        }
        if self.ports() {
            self.asm.place(ports);
            self.named_ports();
        }
    }

    /// Adds the ports at R9, if those of the protocol in R2 count.
    pub(super) fn named_ports(&mut self) {
        let named = self.if_named();
        self.asm.place(named);
        headers::copy(self.asm, place::PORTS.len() as i32, self.done);
        self.fold(place::PORTS.start, place::PORTS.len(), R10, COPY);
    }

    /// Adds the IPv4 addresses; at `ports` R2 holds the protocol and R9 the start of its header.
    fn ipv4(&mut self, ports: Label) {
        headers::ipv4(self.asm, self.done);
        self.fold_ipv4(R10, COPY + 12);
        self.upper(headers::ipv4_upper, ports);
    }

    /// As [`ipv4`](Self::ipv4), for IPv6.
    fn ipv6(&mut self, ports: Label) {
        headers::ipv6(self.asm, self.done);
        self.fold_ipv6(R10, COPY + 8);
        self.upper(headers::ipv6_upper, ports);
    }

    fn upper(&mut self, find: fn(&mut Assembler, Label), ports: Label) {
        if self.ports() {
            find(self.asm, self.done);
            self.asm.jump(ports);
        } else {
            self.asm.jump(self.done);
        }
    }

    fn arp(&mut self, _: Label) {
        headers::arp(self.asm, self.done);
        self.arp_addresses(self.done);
        self.asm.jump(self.done);
    }

    /// Adds the addresses of the complete ARP message at R9.
    pub(super) fn arp_addresses(&mut self, short: Label) {
        // The verifier wants aligned words: each address is copied by itself.
        for (place, step) in [(place::IPV4.start, 14), (place::IPV4.start + 4, 10)] {
            self.asm.alu(Alu::Add, R9, step);
            headers::copy(self.asm, 4, short);
            self.fold(place, 4, R10, COPY);
        }
    }
}
