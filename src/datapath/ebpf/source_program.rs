//! Parts of programs for source balancing, by the rules of the relay's
//! [`Distributor`](runners::Distributor).

use std::os::fd::AsRawFd;
use std::time::Duration;

use runners::BUCKETS;
use runners::learned_sources::{
    ECHO, HASH_MULTIPLIER, HASH_ROUNDS, HASH_SHIFT, LISTENER_DISCOVERY, LOCK,
};
use runners::wire::{Arp, ethertype, protocol};

use super::assembler::{Alu, Assembler, Helper, If, Label, Reg, Size};
use super::headers::{self, COPY, ETHERTYPE, TAGS, half};
use super::layout::Egress;
use super::shared::{EGRESS, Slot};
use super::source_maps::{COUNT, DESIGNATED, FORMER, SourceMaps, nanoseconds};
use super::{context, host_program};

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// Offset on the stack, past those of [`headers`], of the frame's source: an address and a VLAN.
pub(super) const SOURCE: i16 = headers::END - 8;
/// Offset on the stack of the frame's destination: an address and a VLAN.
pub(super) const DESTINATION: i16 = headers::END - 16;
/// Offset on the stack of the time.
const NOW: i16 = headers::END - 24;
/// Offset on the stack of the value to be written for a source.
const VALUE: i16 = headers::END - 40;
/// Offset on the stack of a number that is not 0 if the frame is an announcement, or is expected on
/// this port.
const FLAG: i16 = headers::END - 48;
/// Last offset on the stack that this module uses: the stack below is free.
pub(super) const END: i16 = FLAG;

/// The bucket that stands for the designated port under the kernel's driver, which knows buckets
/// only; no source is assigned this bucket there.
pub const DESIGNATED_BUCKET: u8 = u8::MAX;

/// Where [`leave`] continues.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// The frame leaves by the port of the bucket in R7.
    pub by_bucket: Label,
    /// The frame leaves by the designated port.
    pub designated: Label,
    /// A frame of the team itself leaves by the port of the bucket in R7, with the address of this
    /// port; used under tlb and alb only.
    pub to_peer: Label,
}

/// Emits the instructions that find the egress of the team device's frame in R6 and continue at
/// one of the labels. Sources are assigned the first `assignable` buckets.
pub fn leave(asm: &mut Assembler, maps: &SourceMaps, assignable: i32, leaving: Leaving) {
    let Leaving { by_bucket, designated, .. } = leaving;
    read_addresses(asm, designated);
    learn_source(asm, maps);
    let foreign = asm.label();
    unless_own(asm, maps, SOURCE, foreign);
    match &maps.host {
        Some(host) => host_program::leave(asm, host, leaving),
        None => asm.jump(designated),
    }

    asm.place(foreign);
    let (membership, other) = (asm.label(), asm.label());
    if_membership(asm, membership, other);
    asm.place(membership);
    // A switch that snoops sends the group to the port of the report, so it must be the one that
    // takes multicast. The station's own address must not show up there.
    asm.set(R1, R6);
    asm.set(R2, 6);
    asm.load_value(R3, maps.policy.as_raw_fd(), 0);
    asm.set(R4, 6);
    asm.set(R5, 0);
    asm.call(Helper::StoreBytes);
    asm.jump(designated);

    asm.place(other);
    assigned_bucket(asm, maps, assignable);
    asm.jump(by_bucket);
}

/// R7 becomes the bucket of the frame's source, which is assigned one if it has none.
fn assigned_bucket(asm: &mut Assembler, maps: &SourceMaps, assignable: i32) {
    let assigned = asm.label();
    bucket_entry(asm, maps, SOURCE);
    asm.load(Size::Word, R0, R8, 0);
    asm.jump_if(If::NotEqual, R0, 0, assigned);
    asm.load_value(R2, maps.assigned.as_raw_fd(), COUNT as i32);
    asm.set(R7, 1);
    asm.fetch_add(R2, R7);
    asm.alu(Alu::Mod, R7, assignable);
    asm.alu(Alu::Add, R7, 1);
    // Another processor may have assigned one meanwhile.
    asm.set(R0, 0);
    asm.compare_exchange(R8, R7);
    asm.jump_if(If::NotEqual, R0, 0, assigned);
    asm.set(R0, R7);
    asm.place(assigned);
    asm.set(R7, R0);
    asm.alu(Alu::Add, R7, -1);
    asm.alu(Alu::And, R7, i32::from(u8::MAX));
}

/// `to` becomes the address of the designated port's [`Egress`].
pub fn designated(asm: &mut Assembler, to: Reg, maps: &SourceMaps) {
    asm.load_value(to, maps.policy.as_raw_fd(), DESIGNATED);
}

/// Where [`arrive`] continues.
#[derive(Clone, Copy, Debug)]
pub struct Arriving {
    /// The frame goes up to the team device.
    pub taken: Label,
    /// Another port takes the frame, or none.
    pub not_here: Label,
    /// The team itself sent the frame.
    pub echo: Label,
}

/// Emits the instructions that decide on the frame in R6, received on the port `ifindex`, and
/// continue at one of the labels. `slot` has the buckets' ports.
pub fn arrive(
    asm: &mut Assembler,
    maps: &SourceMaps,
    slot: &Slot,
    ifindex: u32,
    arriving: Arriving,
) {
    let Arriving { taken, not_here, echo } = arriving;
    read_addresses(asm, not_here);
    let foreign = asm.label();
    unless_own(asm, maps, SOURCE, foreign);
    asm.jump(echo);
    asm.place(foreign);
    if let Some(host) = &maps.host {
        host_program::arrive(asm, maps, host, ifindex, arriving);
    }
    set_expected(asm, maps, slot, ifindex);

    let (silent, suspect, credible) = (asm.label(), asm.label(), asm.label());
    asm.load_map(R1, maps.sources.as_raw_fd());
    key(asm, SOURCE);
    asm.call(Helper::MapLookup);
    asm.jump_if(If::Equal, R0, 0, credible);
    asm.set(R8, R0);
    asm.call(Helper::Time);
    asm.store(Size::Double, R10, NOW, R0);
    asm.load(Size::Double, R2, R8, 0);
    add_time(asm, R2, ECHO);
    asm.jump_if(If::Less, R0, R2, suspect);
    asm.jump(silent);

    asm.place(suspect);
    // The source may have moved behind another port, and announces itself there.
    asm.load(Size::Double, R2, R10, FLAG);
    asm.jump_if(If::Equal, R2, 0, echo);
    let announces = asm.label();
    if_announcement(asm, announces, echo);
    asm.place(announces);
    asm.load(Size::Double, R0, R10, NOW);
    asm.load(Size::Double, R2, R8, 8);
    asm.jump_if(If::Less, R0, R2, echo);
    asm.load_map(R1, maps.sources.as_raw_fd());
    key(asm, SOURCE);
    asm.call(Helper::MapDelete);
    asm.jump(taken);

    asm.place(silent);
    // Locked: a frame from this source can only be one that the team has sent.
    asm.load(Size::Double, R2, R8, 8);
    asm.jump_if(If::Less, R0, R2, echo);
    asm.place(credible);
    asm.load(Size::Double, R2, R10, FLAG);
    asm.jump_if(If::Equal, R2, 0, not_here);
    asm.jump(taken);
}

/// Copies source and destination to the stack, with the ethertype behind the tags; R9 becomes the
/// start of the payload. R7 and R8 are destroyed.
///
/// The first two bytes of an address are stored last: the verifier of Linux 6.1 takes a small number
/// at the start of a slot for a saved register, and refuses a later write into this slot to a program
/// without CAP_PERFMON.
fn read_addresses(asm: &mut Assembler, short: Label) {
    asm.set(R9, 0);
    headers::copy(asm, headers::ETHERNET, short);
    for (to, from, first) in [(DESTINATION, COPY, R7), (SOURCE, COPY + 6, R8)] {
        asm.load(Size::Half, first, R10, from);
        for place in [2, 4] {
            asm.load(Size::Half, R2, R10, from + place);
            asm.store(Size::Half, R10, to + place, R2);
        }
    }
    headers::tags(asm);
    // The outermost tag is the VLAN that the switch learns the address in.
    asm.load(Size::Double, R2, R10, TAGS);
    asm.alu(Alu::ShiftRight, R2, 48);
    for (address, first) in [(DESTINATION, R7), (SOURCE, R8)] {
        asm.store(Size::Half, R10, address + 6, R2);
        asm.store(Size::Half, R10, address, first);
    }
}

/// R2 becomes a pointer to a source or destination on the stack.
pub(super) fn key(asm: &mut Assembler, address: i16) {
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, i32::from(address));
}

fn add_time(asm: &mut Assembler, to: Reg, time: Duration) {
    asm.set_wide(R3, nanoseconds(time));
    asm.alu(Alu::Add, to, R3);
}

/// Continues at `other` unless the address on the stack is the team's own.
fn unless_own(asm: &mut Assembler, maps: &SourceMaps, address: i16, other: Label) {
    asm.load_value(R8, maps.policy.as_raw_fd(), 0);
    for place in [0, 2, 4] {
        asm.load(Size::Half, R2, R8, place);
        asm.load(Size::Half, R3, R10, address + place);
        asm.jump_if(If::NotEqual, R2, R3, other);
    }
}

/// Continues at `group` if the address on the stack is a group's.
pub(super) fn if_group(asm: &mut Assembler, address: i16, group: Label) {
    asm.load(Size::Byte, R2, R10, address);
    asm.jump_if(If::AnyBit, R2, 1, group);
}

/// R8 becomes a pointer to the entry of [`SourceMaps::assigned`] for an address on the stack.
fn bucket_entry(asm: &mut Assembler, maps: &SourceMaps, address: i16) {
    asm.load(Size::Double, R2, R10, address);
    asm.network_order(R2, 64);
    asm.alu(Alu::ShiftRight, R2, 16);
    asm.load(Size::Half, R3, R10, address + 6);
    asm.alu(Alu::ShiftLeft, R3, 48);
    asm.alu(Alu::Or, R2, R3);
    asm.set_wide(R3, HASH_MULTIPLIER);
    for _ in 0..HASH_ROUNDS {
        asm.alu(Alu::Mul, R2, R3);
        asm.set(R4, R2);
        asm.alu(Alu::ShiftRight, R4, 32);
        asm.alu(Alu::Xor, R2, R4);
    }
    asm.alu(Alu::ShiftRight, R2, HASH_SHIFT as i32);
    asm.alu(Alu::And, R2, BUCKETS as i32 - 1);
    asm.alu(Alu::ShiftLeft, R2, 2);
    asm.load_value(R8, maps.assigned.as_raw_fd(), 0);
    asm.alu(Alu::Add, R8, R2);
}

/// Writes when the source sent, or that the source has announced itself.
fn learn_source(asm: &mut Assembler, maps: &SourceMaps) {
    let (ended, announces, sends) = (asm.label(), asm.label(), asm.label());
    let (fresh, known) = (asm.label(), asm.label());
    if_group(asm, SOURCE, ended);
    asm.store(Size::Double, R10, FLAG, 0);
    asm.store(Size::Double, R10, VALUE + 8, 0);
    if_announcement(asm, announces, sends);
    asm.place(announces);
    asm.store(Size::Double, R10, FLAG, 1);
    asm.place(sends);
    asm.call(Helper::Time);
    asm.set(R7, R0);
    asm.load_map(R1, maps.sources.as_raw_fd());
    key(asm, SOURCE);
    asm.call(Helper::MapLookup);
    asm.load(Size::Double, R2, R10, FLAG);
    asm.jump_if(If::NotEqual, R0, 0, known);
    asm.store(Size::Double, R10, VALUE, R7);
    asm.jump_if(If::Equal, R2, 0, fresh);
    add_time(asm, R7, LOCK);
    asm.store(Size::Double, R10, VALUE + 8, R7);
    asm.place(fresh);
    asm.load_map(R1, maps.sources.as_raw_fd());
    key(asm, SOURCE);
    asm.set(R3, R10);
    asm.alu(Alu::Add, R3, i32::from(VALUE));
    asm.set(R4, 0);
    asm.call(Helper::MapUpdate);
    asm.jump(ended);

    asm.place(known);
    let sent = asm.label();
    asm.jump_if(If::Equal, R2, 0, sent);
    add_time(asm, R7, LOCK);
    asm.store(Size::Double, R0, 8, R7);
    asm.jump(ended);
    asm.place(sent);
    asm.store(Size::Double, R0, 0, R7);
    asm.place(ended);
}

/// Sets the flag if frames for this destination are taken from the port `ifindex`.
fn set_expected(asm: &mut Assembler, maps: &SourceMaps, slot: &Slot, ifindex: u32) {
    let (to_designated, unicast, here) = (asm.label(), asm.label(), asm.label());
    let (compared, ended) = (asm.label(), asm.label());
    asm.store(Size::Double, R10, FLAG, 0);
    if_group(asm, DESTINATION, to_designated);
    unless_own(asm, maps, DESTINATION, unicast);
    asm.jump(to_designated);
    asm.place(unicast);
    bucket_entry(asm, maps, DESTINATION);
    asm.load(Size::Word, R7, R8, 0);
    // An address that never sent has no bucket: the switch floods frames for it on every link.
    asm.jump_if(If::Equal, R7, 0, to_designated);
    asm.alu(Alu::Add, R7, -1);
    asm.alu(Alu::And, R7, i32::from(u8::MAX));
    asm.alu(Alu::ShiftLeft, R7, Egress::SHIFT);
    slot.look_up_team(asm, ended);
    asm.alu(Alu::Add, R0, EGRESS);
    asm.alu(Alu::Add, R0, R7);
    asm.load(Size::Word, R1, R0, 0);
    asm.jump_if(If::Equal, R1, ifindex as i32, here);
    asm.alu(Alu::ShiftRight, R7, Egress::SHIFT - 2);
    asm.load_value(R1, maps.policy.as_raw_fd(), i32::from(FORMER));
    asm.alu(Alu::Add, R1, R7);
    asm.load(Size::Word, R1, R1, 0);
    asm.jump(compared);
    asm.place(to_designated);
    designated(asm, R1, maps);
    asm.load(Size::Word, R1, R1, 0);
    asm.place(compared);
    asm.jump_if(If::NotEqual, R1, ifindex as i32, ended);
    asm.place(here);
    asm.store(Size::Double, R10, FLAG, 1);
    asm.place(ended);
}

/// Continues at `yes` if the frame announces its sender to all (gratuitous ARP, reverse ARP), else
/// at `no`.
fn if_announcement(asm: &mut Assembler, yes: Label, no: Label) {
    for place in [0, 2, 4] {
        asm.load(Size::Half, R2, R10, DESTINATION + place);
        asm.jump_if(If::NotEqual, R2, 0xffff, no);
    }
    asm.load(Size::Half, R2, R10, ETHERTYPE);
    asm.jump_if(If::Equal, R2, half(ethertype::RARP), yes);
    asm.jump_if(If::NotEqual, R2, half(ethertype::ARP), no);
    headers::arp(asm, no);
    asm.load(Size::Half, R2, R10, COPY + 6);
    asm.jump_if(If::Equal, R2, half(Arp::REPLY), yes);
    for place in [0, 2] {
        asm.load(Size::Half, R2, R10, COPY + 14 + place);
        asm.load(Size::Half, R3, R10, COPY + 24 + place);
        asm.jump_if(If::NotEqual, R2, R3, no);
    }
    asm.jump(yes);
}

/// Continues at `yes` if switches snoop on the frame (IGMP, multicast listener discovery), else at
/// `no`.
fn if_membership(asm: &mut Assembler, yes: Label, no: Label) {
    let (group, ipv4) = (asm.label(), asm.label());
    if_group(asm, DESTINATION, group);
    asm.jump(no);
    asm.place(group);
    asm.load(Size::Half, R2, R10, ETHERTYPE);
    asm.jump_if(If::Equal, R2, half(ethertype::IPV4), ipv4);
    asm.jump_if(If::NotEqual, R2, half(ethertype::IPV6), no);
    headers::ipv6(asm, no);
    headers::ipv6_upper(asm, no);
    asm.jump_if(If::NotEqual, R2, i32::from(protocol::ICMPV6), no);
    headers::copy(asm, 1, no);
    asm.load(Size::Byte, R2, R10, COPY);
    for kind in LISTENER_DISCOVERY {
        asm.jump_if(If::Equal, R2, i32::from(kind), yes);
    }
    asm.jump(no);
    asm.place(ipv4);
    headers::ipv4(asm, no);
    headers::ipv4_upper(asm, no);
    asm.jump_if(If::NotEqual, R2, i32::from(protocol::IGMP), no);
    // A header whose options run past the end of the frame is none.
    asm.load(Size::Word, R2, R6, context::LENGTH);
    asm.jump_if(If::Greater, R9, R2, no);
    asm.jump(yes);
}
