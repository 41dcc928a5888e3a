//! Parts of programs that parse the headers of a frame, as [`runners::wire`] parses them. The
//! outermost VLAN tag may be in the frame or, taken off by the kernel, in the context.
//!
//! R6 holds the context throughout, R9 the offset of the next header. A header is copied to the
//! stack, at [`COPY`], in the byte order of the frame. R0 to R5 are destroyed.

use runners::tx_hash::definition::{MAX_EXTENSIONS, MAX_TAGS};
use runners::wire::tunnel::{GRE_ETHERNET, GRE_OPTIONS, GRE_OTHER, VXLAN_HAS_ID, VXLAN_PORT};
use runners::wire::{Arp, ethertype, protocol};

use super::assembler::{Alu, Assembler, Helper, If, Label, Reg, Size};
use super::context;

use Reg::{R0, R1, R2, R3, R4, R6, R9, R10};

/// Offsets on the stack, from its end: the copied header (an IPv6 header at most), …
pub const COPY: i16 = -40;
/// … and the VLAN ids, the outermost in the top bits.
pub const TAGS: i16 = -48;
/// Offsets of numbers that are shorter than a slot of the stack and not at its start, because the
/// verifier does not follow these. It would verify all following instructions again for each value. The
/// offset of the next header, …
const OFFSET: i16 = -52;
/// … the shift of the next VLAN id, …
const SHIFT: i16 = -54;
/// … and the ethertype in network byte order, two bytes.
pub const ETHERTYPE: i16 = -58;
/// The stack beyond this offset is free.
pub const END: i16 = -64;

/// Length of a frame's addresses and ethertype.
pub const ETHERNET: i32 = 14;
/// Length of a tag.
pub const TAG: i32 = 4;
/// Shift of the outermost VLAN id.
const FIRST_SHIFT: i32 = 48;

/// Returns a number of two bytes in network byte order, as a plain load reads it.
pub fn half(value: u16) -> i32 {
    i32::from(value.to_be())
}

/// Copies `length` bytes of the frame from R9 on, or continues at `short` if there are fewer.
pub fn copy(asm: &mut Assembler, length: i32, short: Label) {
    asm.set(R1, R6);
    asm.set(R2, R9);
    asm.set(R3, R10);
    asm.alu(Alu::Add, R3, i32::from(COPY));
    asm.set(R4, length);
    asm.call(Helper::LoadBytes);
    asm.jump_if(If::NotEqual, R0, 0, short);
}

/// Parses the tags behind the copied addresses; R9 becomes the start of the payload.
pub fn tags(asm: &mut Assembler) {
    begin_tags(asm);
    let all_inside = asm.label();
    asm.load(Size::Word, R2, R6, context::VLAN_PRESENT);
    asm.jump_if(If::Equal, R2, 0, all_inside);
    asm.load(Size::Word, R2, R6, context::VLAN_TCI);
    asm.alu(Alu::And, R2, 0xfff);
    asm.alu(Alu::ShiftLeft, R2, 48);
    asm.store(Size::Double, R10, TAGS, R2);
    asm.store(Size::Half, R10, SHIFT, 32);
    asm.place(all_inside);
    tags_inside(asm);
}

fn begin_tags(asm: &mut Assembler) {
    asm.load(Size::Half, R2, R10, COPY + 12);
    asm.store(Size::Half, R10, ETHERTYPE, R2);
    asm.alu(Alu::Add, R9, ETHERNET);
    asm.store(Size::Double, R10, TAGS, 0);
    asm.store(Size::Half, R10, SHIFT, FIRST_SHIFT);
}

fn tags_inside(asm: &mut Assembler) {
    let ended = asm.label();
    for _ in 0..MAX_TAGS {
        let tag = asm.label();
        asm.load(Size::Half, R2, R10, ETHERTYPE);
        asm.jump_if(If::Equal, R2, half(ethertype::VLAN), tag);
        asm.jump_if(If::NotEqual, R2, half(ethertype::SERVICE_VLAN), ended);
        asm.place(tag);
        asm.load(Size::Half, R2, R10, SHIFT);
        // Below 0 after the fourth tag.
        asm.jump_if(If::Greater, R2, FIRST_SHIFT, ended);
        copy(asm, TAG, ended);
        asm.load(Size::Half, R2, R10, COPY);
        asm.network_order(R2, 16);
        asm.alu(Alu::And, R2, 0xfff);
        asm.load(Size::Half, R3, R10, SHIFT);
        asm.alu(Alu::ShiftLeft, R2, R3);
        asm.load(Size::Double, R4, R10, TAGS);
        asm.alu(Alu::Or, R4, R2);
        asm.store(Size::Double, R10, TAGS, R4);
        asm.alu(Alu::Add, R3, -16);
        asm.store(Size::Half, R10, SHIFT, R3);
        asm.load(Size::Half, R2, R10, COPY + 2);
        asm.store(Size::Half, R10, ETHERTYPE, R2);
        asm.alu(Alu::Add, R9, TAG);
    }
    asm.place(ended);
    forget_offset(asm);
}

/// Has the verifier forget what R9 is.
fn forget_offset(asm: &mut Assembler) {
    asm.store(Size::Word, R10, OFFSET, R9);
    asm.load(Size::Word, R9, R10, OFFSET);
}

fn version(asm: &mut Assembler, version: i32, other: Label) {
    asm.load(Size::Byte, R2, R10, COPY);
    asm.alu(Alu::ShiftRight, R2, 4);
    asm.jump_if(If::NotEqual, R2, version, other);
}

/// Copies an IPv4 header without its options, or continues at `none` if there is no valid one.
pub fn ipv4(asm: &mut Assembler, none: Label) {
    copy(asm, 20, none);
    version(asm, 4, none);
    asm.load(Size::Byte, R2, R10, COPY);
    asm.alu(Alu::And, R2, 0x0f);
    asm.jump_if(If::Less, R2, 5, none);
}

/// Continues at `none` if the copied IPv4 header is a fragment's. Otherwise R2 becomes the protocol
/// and R9 the start of its header, which may be past the end of the frame.
pub fn ipv4_upper(asm: &mut Assembler, none: Label) {
    asm.load(Size::Half, R2, R10, COPY + 6);
    asm.jump_if(If::AnyBit, R2, half(0x3fff), none);
    asm.load(Size::Byte, R2, R10, COPY);
    asm.alu(Alu::And, R2, 0x0f);
    asm.alu(Alu::ShiftLeft, R2, 2);
    asm.alu(Alu::Add, R9, R2);
    forget_offset(asm);
    asm.load(Size::Byte, R2, R10, COPY + 9);
}

/// Copies an IPv6 header, or continues at `none` if there is none.
pub fn ipv6(asm: &mut Assembler, none: Label) {
    copy(asm, 40, none);
    version(asm, 6, none);
}

/// As [`ipv4_upper`], past the extension headers of IPv6.
pub fn ipv6_upper(asm: &mut Assembler, none: Label) {
    let upper = asm.label();
    asm.load(Size::Byte, R2, R10, COPY + 6);
    asm.alu(Alu::Add, R9, 40);
    for _ in 0..=MAX_EXTENSIONS {
        let (options, authentication) = (asm.label(), asm.label());
        let (fragment, next) = (asm.label(), asm.label());
        for (kind, label) in [
            (protocol::HOP_BY_HOP, options),
            (protocol::ROUTING, options),
            (protocol::DESTINATION_OPTIONS, options),
            (protocol::AUTHENTICATION, authentication),
            (protocol::FRAGMENT, fragment),
        ] {
            asm.jump_if(If::Equal, R2, i32::from(kind), label);
        }
        asm.jump(upper);
        for (label, first, shift) in [(options, 1, 3), (authentication, 2, 2)] {
            asm.place(label);
            copy(asm, 2, none);
            asm.load(Size::Byte, R3, R10, COPY + 1);
            asm.alu(Alu::Add, R3, first);
            asm.alu(Alu::ShiftLeft, R3, shift);
            asm.jump(next);
        }
        asm.place(fragment);
        copy(asm, 4, none);
        asm.load(Size::Half, R2, R10, COPY + 2);
        asm.jump_if(If::AnyBit, R2, half(0xfff9), none);
        asm.set(R3, 8);
        asm.place(next);
        asm.load(Size::Byte, R2, R10, COPY);
        asm.alu(Alu::Add, R9, R3);
        forget_offset(asm);
    }
    asm.jump(none);
    asm.place(upper);
}

/// Copies an ARP message for IPv4 over Ethernet, or continues at `none` if there is none.
pub fn arp(asm: &mut Assembler, none: Label) {
    copy(asm, 28, none);
    unless_copied(asm, &Arp::ETHERNET_IPV4, none);
}

/// Continues at `other` unless what was copied begins with these bytes, an even number.
pub fn unless_copied(asm: &mut Assembler, expected: &[u8], other: Label) {
    for (place, pair) in (0..).zip(expected.chunks_exact(2)) {
        asm.load(Size::Half, R2, R10, COPY + 2 * place);
        asm.jump_if(If::NotEqual, R2, i32::from(u16::from_ne_bytes([pair[0], pair[1]])), other);
    }
}

/// Enters the tunnel whose protocol is in R2 and whose header is at R9, as [`ipv4_upper`] leaves
/// them: R9 becomes the start of the packet inside, whose ethertype is stored. Continues at `none`
/// if the protocol is no tunnel.
pub fn inner(asm: &mut Assembler, none: Label) {
    let (ipv4, ipv6) = (asm.label(), asm.label());
    let (gre, frame, found) = (asm.label(), asm.label(), asm.label());
    for (protocol, label) in [(protocol::IPV4, ipv4), (protocol::IPV6, ipv6), (protocol::GRE, gre)]
    {
        asm.jump_if(If::Equal, R2, i32::from(protocol), label);
    }
    asm.jump_if(If::NotEqual, R2, i32::from(protocol::UDP), none);
    copy(asm, 16, none);
    asm.load(Size::Half, R2, R10, COPY + 2);
    asm.jump_if(If::NotEqual, R2, half(VXLAN_PORT), none);
    asm.load(Size::Byte, R2, R10, COPY + 8);
    asm.jump_if(If::NotEqual, R2, i32::from(VXLAN_HAS_ID), none);
    asm.alu(Alu::Add, R9, 16);
    asm.jump(frame);

    asm.place(gre);
    copy(asm, 4, none);
    asm.load(Size::Half, R2, R10, COPY);
    asm.jump_if(If::AnyBit, R2, half(GRE_OTHER), none);
    asm.alu(Alu::Add, R9, 4);
    for bit in (0..u16::BITS).map(|bit| GRE_OPTIONS & 1 << bit) {
        if bit != 0 {
            let absent = asm.label();
            asm.set(R3, R2);
            asm.alu(Alu::And, R3, half(bit));
            asm.jump_if(If::Equal, R3, 0, absent);
            asm.alu(Alu::Add, R9, 4);
            asm.place(absent);
        }
    }
    asm.load(Size::Half, R2, R10, COPY + 2);
    asm.store(Size::Half, R10, ETHERTYPE, R2);
    asm.jump_if(If::NotEqual, R2, half(GRE_ETHERNET), found);

    asm.place(frame);
    copy(asm, ETHERNET, none);
    begin_tags(asm);
    tags_inside(asm);
    asm.jump(found);

    asm.place(ipv4);
    asm.store(Size::Half, R10, ETHERTYPE, half(ethertype::IPV4));
    asm.jump(found);
    asm.place(ipv6);
    asm.store(Size::Half, R10, ETHERTYPE, half(ethertype::IPV6));
    asm.place(found);
}
