//! Parts of programs for the team's own traffic under tlb and alb. A frame leaves by the port of its
//! peer's bucket, with the hardware address of this port as its source; a received frame to such an
//! address gets the team's own address as its destination. Under alb, address messages (ARP, neighbour
//! discovery) announce the port's address, too, and are handed to the daemon, which learns the peers.
//!
//! The rules are those of the relay's [`Distributor`](runners::Distributor). R6 holds the context, R9
//! the start of the payload, and the stack the addresses that `source_program` has read.

use std::os::fd::AsRawFd;

use runners::wire::{ethertype, icmpv6_type, protocol};

use super::assembler::{Alu, Assembler, Helper, If, Label, Reg, Size};
use super::headers::{self, COPY, ETHERTYPE, half};
use super::host_maps::{ARP, DISCOVERY, HostMaps, IPV6, RECORD_HEAD};
use super::shared::SharedMaps;
use super::source_maps::{ADDRESSES, SourceMaps};
use super::source_program::{self, Arriving, DESTINATION, Leaving, SOURCE, if_group, key};

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// Offset on the stack, past those of [`source_program`], of a number: where in the frame an address
/// message has the announced hardware address; 0 in a frame without one.
const SENDER_AT: i16 = source_program::END - 8;
/// Offset on the stack of a number: where in the frame the checksum over this address is; 0 for none.
const CHECKSUM_AT: i16 = source_program::END - 16;
/// Offset on the stack of the record for the daemon.
const RECORD: i16 = CHECKSUM_AT - (RECORD_HEAD + IPV6 + DISCOVERY) as i16;
/// Offset on the stack of the offset of the payload in the frame: see [`keep_offset`].
const PAYLOAD: i16 = RECORD - 4;
/// Offset on the stack of the offset of the header behind IPv6 in the frame: see [`keep_offset`].
const UPPER: i16 = RECORD - 12;
/// Offset on the stack of the message in the record.
const MESSAGE: i16 = RECORD + RECORD_HEAD as i16;

/// Types of ICMPv6 that leave with the team's own address: router solicitation to redirect
/// (RFC 4861).
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
/// Offset of the sender's hardware address in an ARP message.
const ARP_SENDER: i32 = 8;
/// Offset of the checksum in an ICMPv6 message.
const ICMPV6_CHECKSUM: i32 = 2;
/// Offset of a hardware address in an option of neighbour discovery.
const OPTION_HWADDR: i32 = 2;

/// Whether the team sends or receives a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

/// Where [`read_payload`] continues.
#[derive(Clone, Copy, Debug)]
struct Payload {
    /// The frame is an address message: R7 is the bucket of the target, R8 the length of the record
    /// with the message.
    message: Label,
    /// The frame is an IP packet to the bucket in R7.
    packet: Label,
    /// The frame is anything else.
    other: Label,
}

/// Emits the instructions that decide where a frame of the team itself leaves: they continue at
/// [`Leaving::to_peer`] with the bucket in R7, or at [`Leaving::designated`].
pub fn leave(asm: &mut Assembler, host: &HostMaps, leaving: Leaving) {
    let Leaving { to_peer, designated, .. } = leaving;
    let (message, packet) = (asm.label(), asm.label());
    asm.store(Size::Double, R10, SENDER_AT, 0);
    asm.store(Size::Double, R10, CHECKSUM_AT, 0);
    read_payload(asm, host, Payload { message, packet, other: designated });
    if host.messages.is_some() {
        asm.place(message);
        report(asm, host, Direction::Sent);
    }
    asm.place(packet);
    // All stations learn the source of a broadcast: it must be the address that never moves.
    if_group(asm, DESTINATION, designated);
    asm.jump(to_peer);
}

/// Emits the instructions that write a port's address into the frame, also into an address message
/// under alb; nothing is written for a port that has the team's own address. R8 points to the
/// [`Egress`](super::layout::Egress) of the port. R7 is destroyed.
pub fn write_source(asm: &mut Assembler, shared: &SharedMaps, maps: &SourceMaps, host: &HostMaps) {
    let written = asm.label();
    asm.load(Size::Word, R2, R8, 4);
    shared.port_index(asm, R2);
    asm.alu(Alu::ShiftLeft, R2, 3);
    asm.load_value(R7, maps.policy.as_raw_fd(), ADDRESSES as i32);
    asm.alu(Alu::Add, R7, R2);
    asm.load(Size::Half, R2, R7, 6);
    asm.jump_if(If::Equal, R2, 0, written);
    asm.set(R2, 6);
    store_hwaddr(asm);
    if host.messages.is_some() {
        asm.load(Size::Double, R2, R10, SENDER_AT);
        asm.jump_if(If::Equal, R2, 0, written);
        store_hwaddr(asm);
        asm.load(Size::Double, R2, R10, CHECKSUM_AT);
        asm.jump_if(If::Equal, R2, 0, written);
        for place in [0, 2, 4] {
            asm.set(R1, R6);
            asm.load(Size::Double, R2, R10, CHECKSUM_AT);
            asm.load(Size::Half, R3, R10, SOURCE + place);
            asm.load(Size::Half, R4, R7, place);
            asm.set(R5, size_of::<u16>() as i32);
            asm.call(Helper::CorrectChecksum);
        }
    }
    asm.place(written);
}

/// Emits the instructions that write the hardware address at R7 into the frame at the offset in R2.
fn store_hwaddr(asm: &mut Assembler) {
    asm.set(R1, R6);
    asm.set(R3, R7);
    asm.set(R4, 6);
    asm.set(R5, 0);
    asm.call(Helper::StoreBytes);
}

/// Emits the instructions for a received frame. A frame from an address of the team on any port is an
/// echo. A frame to such an address gets the team's own address as destination if `ifindex` is the
/// interface that receives for the address, and otherwise is not for this port. The instructions behind
/// these handle all other frames.
pub fn arrive(
    asm: &mut Assembler,
    maps: &SourceMaps,
    host: &HostMaps,
    ifindex: u32,
    arriving: Arriving,
) {
    let (foreign, other) = (asm.label(), asm.label());
    look_up_address(asm, host, SOURCE, foreign);
    asm.jump(arriving.echo);
    asm.place(foreign);
    if host.messages.is_some() {
        let (message, none) = (asm.label(), asm.label());
        read_payload(asm, host, Payload { message, packet: none, other: none });
        asm.place(message);
        report(asm, host, Direction::Received);
        asm.place(none);
        asm.load(Size::Word, R9, R10, PAYLOAD);
    }
    if_group(asm, DESTINATION, other);
    look_up_address(asm, host, DESTINATION, other);
    asm.load(Size::Word, R1, R0, 0);
    asm.jump_if(If::NotEqual, R1, ifindex as i32, arriving.not_here);
    asm.set(R1, R6);
    asm.set(R2, 0);
    asm.load_value(R3, maps.policy.as_raw_fd(), 0);
    asm.set(R4, 6);
    asm.set(R5, 0);
    asm.call(Helper::StoreBytes);
    asm.jump(arriving.taken);
    asm.place(other);
}

/// R0 becomes a pointer to the entry of the hardware address at the offset `address` of the stack;
/// continues at `none` if the team has the address on no port.
fn look_up_address(asm: &mut Assembler, host: &HostMaps, address: i16, none: Label) {
    asm.load_map(R1, host.addresses.as_raw_fd());
    key(asm, address);
    asm.call(Helper::MapLookup);
    asm.jump_if(If::Equal, R0, 0, none);
}

/// Stores R9 on the stack at `at`, which is no multiple of 8, and loads R9 again, so that the verifier
/// no longer knows the value of R9. Without CAP_PERFMON the verifier would otherwise verify all following
/// instructions again for each value of R9.
fn keep_offset(asm: &mut Assembler, at: i16) {
    asm.store(Size::Word, R10, at, R9);
    asm.load(Size::Word, R9, R10, at);
}

/// Reads the payload at R9, and continues at one of the labels of `to`; only under alb at
/// [`Payload::message`]. R8 and R9 are destroyed; the start of the payload stays at [`PAYLOAD`].
fn read_payload(asm: &mut Assembler, host: &HostMaps, to: Payload) {
    keep_offset(asm, PAYLOAD);
    let (ipv4, ipv6) = (asm.label(), asm.label());
    asm.load(Size::Half, R2, R10, ETHERTYPE);
    asm.jump_if(If::Equal, R2, half(ethertype::IPV4), ipv4);
    asm.jump_if(If::Equal, R2, half(ethertype::IPV6), ipv6);
    if host.messages.is_some() {
        asm.jump_if(If::NotEqual, R2, half(ethertype::ARP), to.other);
        read_arp(asm, to);
    } else {
        asm.jump(to.other);
    }

    asm.place(ipv4);
    headers::ipv4(asm, to.other);
    asm.load(Size::Word, R7, R10, COPY + 16);
    fold(asm, &[16, 8]);
    asm.jump(to.packet);

    asm.place(ipv6);
    headers::ipv6(asm, to.other);
    asm.load(Size::Double, R7, R10, COPY + 24);
    asm.load(Size::Double, R2, R10, COPY + 32);
    asm.alu(Alu::Xor, R7, R2);
    fold(asm, &[32, 16, 8]);
    headers::ipv6_upper(asm, to.packet);
    keep_offset(asm, UPPER);
    asm.jump_if(If::NotEqual, R2, i32::from(protocol::ICMPV6), to.packet);
    headers::copy(asm, 1, to.packet);
    asm.load(Size::Byte, R2, R10, COPY);
    asm.jump_if(If::Less, R2, i32::from(*NEIGHBOUR_DISCOVERY.start()), to.packet);
    asm.jump_if(If::Greater, R2, i32::from(*NEIGHBOUR_DISCOVERY.end()), to.packet);
    match host.messages {
        Some(_) => read_discovery(asm, to),
        None => asm.jump(to.other),
    }
}

/// R7 becomes the bucket of an address in R7: the exclusive-or of its bytes. `halves` are the shifts in
/// bits, each by half of the former width.
fn fold(asm: &mut Assembler, halves: &[i32]) {
    for half in halves {
        asm.set(R2, R7);
        asm.alu(Alu::ShiftRight, R2, *half);
        asm.alu(Alu::Xor, R7, R2);
    }
    asm.alu(Alu::And, R7, i32::from(u8::MAX));
}

/// Reads an ARP message at R9, and continues at one of the labels of `to`.
fn read_arp(asm: &mut Assembler, to: Payload) {
    headers::arp(asm, to.other);
    keep(asm, 0, ARP as i16 - 4);
    asm.load(Size::Word, R2, R10, COPY + ARP as i16 - 4);
    asm.store(Size::Word, R10, MESSAGE + ARP as i16 - 4, R2);
    asm.set(R2, R9);
    asm.alu(Alu::Add, R2, ARP_SENDER);
    asm.store(Size::Double, R10, SENDER_AT, R2);
    asm.load(Size::Word, R7, R10, COPY + 24);
    fold(asm, &[16, 8]);
    asm.set(R8, (RECORD_HEAD + ARP) as i32);
    asm.jump(to.message);
}

/// Reads a message of neighbour discovery at R9, and continues at one of the labels of `to`. Only the
/// first option is read: all known stacks put the link-layer address there.
fn read_discovery(asm: &mut Assembler, to: Payload) {
    let (message, unannounced) = (asm.label(), asm.label());
    headers::copy(asm, DISCOVERY as i32, to.other);
    asm.load(Size::Byte, R2, R10, COPY);
    for kind in [icmpv6_type::NEIGHBOUR_SOLICITATION, icmpv6_type::NEIGHBOUR_ADVERTISEMENT] {
        asm.jump_if(If::Equal, R2, i32::from(kind), message);
    }
    asm.jump(to.other);

    asm.place(message);
    keep(asm, IPV6 as i16, DISCOVERY as i16);
    asm.alu(Alu::Add, R9, DISCOVERY as i32);
    headers::copy(asm, 8, unannounced);
    // A solicitation has an option of type 1, an advertisement one of type 2; the length is 8 bytes.
    asm.load(Size::Byte, R2, R10, MESSAGE + IPV6 as i16);
    asm.alu(Alu::Add, R2, 1 - i32::from(icmpv6_type::NEIGHBOUR_SOLICITATION));
    asm.load(Size::Byte, R3, R10, COPY);
    asm.jump_if(If::NotEqual, R3, R2, unannounced);
    asm.load(Size::Byte, R3, R10, COPY + 1);
    asm.jump_if(If::NotEqual, R3, 1, unannounced);
    asm.set(R2, R9);
    asm.alu(Alu::Add, R2, OPTION_HWADDR);
    asm.store(Size::Double, R10, SENDER_AT, R2);
    asm.set(R2, R9);
    asm.alu(Alu::Add, R2, ICMPV6_CHECKSUM - DISCOVERY as i32);
    asm.store(Size::Double, R10, CHECKSUM_AT, R2);
    asm.place(unannounced);
    asm.load(Size::Word, R9, R10, PAYLOAD);
    headers::copy(asm, IPV6 as i32, to.other);
    keep(asm, 0, IPV6 as i16);
    asm.set(R8, (RECORD_HEAD + IPV6 + DISCOVERY) as i32);
    asm.jump(to.message);
}

/// Copies the first `length` bytes of the header at [`COPY`] to the offset `place` of the message in
/// the record. `length` is a multiple of 8.
fn keep(asm: &mut Assembler, place: i16, length: i16) {
    for at in (0..length).step_by(8) {
        asm.load(Size::Double, R2, R10, COPY + at);
        asm.store(Size::Double, R10, MESSAGE + place + at, R2);
    }
}

/// Completes the record and hands its first R8 bytes to the daemon. A record is lost if the ring buffer
/// has no room.
fn report(asm: &mut Assembler, host: &HostMaps, direction: Direction) {
    const FORCE_WAKEUP: i32 = 2;
    let Some(messages) = &host.messages else { return };
    for (at, address) in [(0, DESTINATION), (8, SOURCE)] {
        asm.load(Size::Double, R2, R10, address);
        asm.store(Size::Double, R10, RECORD + at, R2);
    }
    asm.set(R3, i32::from(direction == Direction::Sent));
    asm.alu(Alu::ShiftLeft, R3, 32);
    asm.load(Size::Half, R2, R10, ETHERTYPE);
    asm.alu(Alu::Or, R2, R3);
    asm.store(Size::Double, R10, RECORD + 16, R2);
    asm.load_map(R1, messages.as_raw_fd());
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, i32::from(RECORD));
    asm.set(R3, R8);
    asm.set(R4, FORCE_WAKEUP);
    asm.call(Helper::RingOutput);
}
