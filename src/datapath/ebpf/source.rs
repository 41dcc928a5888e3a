//! Source balancing as parts of programs: the rules of the relay's
//! [`Distributor`](runners::Distributor), carried out where frames pass.
//!
//! In `shared` is what these parts share: what the policy says, which the daemon writes, and what
//! is remembered of stations, which the programs write. Another daemon goes on with the latter,
//! so that no station changes its link.

mod shared;

use std::os::fd::AsRawFd;
use std::time::Duration;

use runners::BUCKETS;
use runners::learned_sources::{
    ECHO, HASH_MULTIPLIER, HASH_ROUNDS, HASH_SHIFT, LISTENER_DISCOVERY, LOCK,
};
use runners::wire::{Arp, ethertype, protocol};

use super::assembler::{Alu, Assembler, Helper, If, Label, Reg, Size};
use super::context;
use super::maps::Egress;
use super::walk::{self, COPY, KIND, TAGS, half};
use crate::sys::bpf::Map;

pub use shared::{Policy, SourceMaps};

use shared::{COUNT, DESIGNATED, FORMER, nanoseconds};

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// The stack, past what [`walk`] uses: the stations that sent the frame and that it is for, …
const SOURCE: i16 = walk::END - 8;
const DESTINATION: i16 = walk::END - 16;
/// … the time, …
const NOW: i16 = walk::END - 24;
/// … a station's value to be written, …
const STATION: i16 = walk::END - 40;
/// … and whether the frame is an announcement, or is to be taken here.
const FLAG: i16 = walk::END - 48;

/// The bucket of everything that leaves by the designated port, where a bucket is all that can be
/// told of it: no station is dealt that one there.
pub const DESIGNATED_BUCKET: u8 = u8::MAX;

/// The buckets that stations are dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketAssignment {
    /// All.
    All,
    /// All but [`DESIGNATED_BUCKET`].
    AllButDesignated,
}

/// How a frame leaves: what [`leave`] ends with.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// By the port of the bucket in R7.
    pub by_bucket: Label,
    /// By the designated port.
    pub designated: Label,
}

/// Emits the instructions that find how a frame of the team device leaves, in R6, and go on at
/// one of the labels.
pub fn leave(asm: &mut Assembler, maps: &SourceMaps, deal: BucketAssignment, leaving: Leaving) {
    let Leaving {
        by_bucket,
        designated,
    } = leaving;
    head(asm, designated);
    note_source(asm, maps);
    let guest = asm.label();
    unless_own(asm, maps, SOURCE, guest);
    asm.jump(designated);

    asm.place(guest);
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
    let dealt = asm.label();
    entry(asm, maps, SOURCE);
    asm.load(Size::Word, R0, R8, 0);
    asm.jump_if(If::NotEqual, R0, 0, dealt);
    asm.load_value(R2, maps.dealt.as_raw_fd(), COUNT as i32);
    asm.set(R7, 1);
    asm.fetch_add(R2, R7);
    match deal {
        BucketAssignment::All => asm.alu(Alu::And, R7, i32::from(u8::MAX)),
        BucketAssignment::AllButDesignated => asm.alu(Alu::Mod, R7, i32::from(DESIGNATED_BUCKET)),
    }
    asm.alu(Alu::Add, R7, 1);
    // Another processor may have dealt it one meanwhile.
    asm.set(R0, 0);
    asm.compare_exchange(R8, R7);
    asm.jump_if(If::NotEqual, R0, 0, dealt);
    asm.set(R0, R7);
    asm.place(dealt);
    asm.set(R7, R0);
    asm.alu(Alu::Add, R7, -1);
    asm.alu(Alu::And, R7, i32::from(u8::MAX));
    asm.jump(by_bucket);
}

/// `to` becomes the address of the designated port's exit.
pub fn designated(asm: &mut Assembler, to: Reg, maps: &SourceMaps) {
    asm.load_value(to, maps.policy.as_raw_fd(), DESIGNATED);
}

/// What becomes of a frame that came in: what [`arrive`] ends with.
#[derive(Clone, Copy, Debug)]
pub struct Arriving {
    /// It goes up.
    pub taken: Label,
    /// It is for another port to take, or for nobody.
    pub not_here: Label,
    /// It is one of our own that came back.
    pub echo: Label,
}

/// Emits the instructions that judge a frame which came in on the port `ifindex`, in R6, and go
/// on at one of the labels. `choice` is the map of the buckets' ports.
pub fn arrive(
    asm: &mut Assembler,
    maps: &SourceMaps,
    choice: &Map,
    ifindex: u32,
    arriving: Arriving,
) {
    let Arriving {
        taken,
        not_here,
        echo,
    } = arriving;
    head(asm, not_here);
    let foreign = asm.label();
    unless_own(asm, maps, SOURCE, foreign);
    asm.jump(echo);
    asm.place(foreign);
    note_expected(asm, maps, choice, ifindex);

    let (silent, suspect, credible) = (asm.label(), asm.label(), asm.label());
    asm.load_map(R1, maps.stations.as_raw_fd());
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
    // The station may have moved away; who is there tells everybody.
    asm.load(Size::Double, R2, R10, FLAG);
    asm.jump_if(If::Equal, R2, 0, echo);
    let announces = asm.label();
    if_announcement(asm, announces, echo);
    asm.place(announces);
    asm.load(Size::Double, R0, R10, NOW);
    asm.load(Size::Double, R2, R8, 8);
    asm.jump_if(If::Less, R0, R2, echo);
    asm.load_map(R1, maps.stations.as_raw_fd());
    key(asm, SOURCE);
    asm.call(Helper::MapDelete);
    asm.jump(taken);

    asm.place(silent);
    // Locked: whatever it sends must be what was sent.
    asm.load(Size::Double, R2, R8, 8);
    asm.jump_if(If::Less, R0, R2, echo);
    asm.place(credible);
    asm.load(Size::Double, R2, R10, FLAG);
    asm.jump_if(If::Equal, R2, 0, not_here);
    asm.jump(taken);
}

/// Reads who speaks to whom: the stations on the stack, the ethertype behind the tags, R9 where
/// the payload starts.
fn head(asm: &mut Assembler, short: Label) {
    asm.set(R9, 0);
    walk::copy(asm, walk::ETHERNET, short);
    for (to, from) in [(DESTINATION, COPY), (SOURCE, COPY + 6)] {
        for place in [0, 2, 4] {
            asm.load(Size::Half, R2, R10, from + place);
            asm.store(Size::Half, R10, to + place, R2);
        }
    }
    walk::tags(asm);
    // The outermost tag: the network that the switch learns the address in.
    asm.load(Size::Double, R2, R10, TAGS);
    asm.alu(Alu::ShiftRight, R2, 48);
    for station in [DESTINATION, SOURCE] {
        asm.store(Size::Half, R10, station + 6, R2);
    }
}

/// R2 becomes the address of a station on the stack.
fn key(asm: &mut Assembler, station: i16) {
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, i32::from(station));
}

fn add_time(asm: &mut Assembler, to: Reg, time: Duration) {
    asm.set_wide(R3, nanoseconds(time));
    asm.alu(Alu::Add, to, R3);
}

/// Goes on at `other` unless a station on the stack has the team's own address.
fn unless_own(asm: &mut Assembler, maps: &SourceMaps, station: i16, other: Label) {
    asm.load_value(R8, maps.policy.as_raw_fd(), 0);
    for place in [0, 2, 4] {
        asm.load(Size::Half, R2, R8, place);
        asm.load(Size::Half, R3, R10, station + place);
        asm.jump_if(If::NotEqual, R2, R3, other);
    }
}

/// Goes on at `group` if the station on the stack is a group.
fn if_group(asm: &mut Assembler, station: i16, group: Label) {
    asm.load(Size::Byte, R2, R10, station);
    asm.jump_if(If::AnyBit, R2, 1, group);
}

/// R8 becomes the address of the entry in the table of buckets for a station on the stack.
fn entry(asm: &mut Assembler, maps: &SourceMaps, station: i16) {
    asm.load(Size::Double, R2, R10, station);
    asm.network_order(R2, 64);
    asm.alu(Alu::ShiftRight, R2, 16);
    asm.load(Size::Half, R3, R10, station + 6);
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
    asm.load_value(R8, maps.dealt.as_raw_fd(), 0);
    asm.alu(Alu::Add, R8, R2);
}

/// Notes that the station was heard, or that it has announced itself.
fn note_source(asm: &mut Assembler, maps: &SourceMaps) {
    let (ended, announces, speaks) = (asm.label(), asm.label(), asm.label());
    let (fresh, known) = (asm.label(), asm.label());
    if_group(asm, SOURCE, ended);
    asm.store(Size::Double, R10, FLAG, 0);
    asm.store(Size::Double, R10, STATION + 8, 0);
    if_announcement(asm, announces, speaks);
    asm.place(announces);
    asm.store(Size::Double, R10, FLAG, 1);
    asm.place(speaks);
    asm.call(Helper::Time);
    asm.set(R7, R0);
    asm.load_map(R1, maps.stations.as_raw_fd());
    key(asm, SOURCE);
    asm.call(Helper::MapLookup);
    asm.load(Size::Double, R2, R10, FLAG);
    asm.jump_if(If::NotEqual, R0, 0, known);
    asm.store(Size::Double, R10, STATION, R7);
    asm.jump_if(If::Equal, R2, 0, fresh);
    add_time(asm, R7, LOCK);
    asm.store(Size::Double, R10, STATION + 8, R7);
    asm.place(fresh);
    asm.load_map(R1, maps.stations.as_raw_fd());
    key(asm, SOURCE);
    asm.set(R3, R10);
    asm.alu(Alu::Add, R3, i32::from(STATION));
    asm.set(R4, 0);
    asm.call(Helper::MapUpdate);
    asm.jump(ended);

    asm.place(known);
    let heard = asm.label();
    asm.jump_if(If::Equal, R2, 0, heard);
    add_time(asm, R7, LOCK);
    asm.store(Size::Double, R0, 8, R7);
    asm.jump(ended);
    asm.place(heard);
    asm.store(Size::Double, R0, 0, R7);
    asm.place(ended);
}

/// Notes whether what is sent to the destination is taken from the port `ifindex`.
fn note_expected(asm: &mut Assembler, maps: &SourceMaps, choice: &Map, ifindex: u32) {
    let (to_designated, unicast, here) = (asm.label(), asm.label(), asm.label());
    let (compared, ended) = (asm.label(), asm.label());
    asm.store(Size::Double, R10, FLAG, 0);
    if_group(asm, DESTINATION, to_designated);
    unless_own(asm, maps, DESTINATION, unicast);
    asm.jump(to_designated);
    asm.place(unicast);
    entry(asm, maps, DESTINATION);
    asm.load(Size::Word, R7, R8, 0);
    // An address that never spoke has no bucket: the switch sends to it down every link.
    asm.jump_if(If::Equal, R7, 0, to_designated);
    asm.alu(Alu::Add, R7, -1);
    asm.alu(Alu::And, R7, i32::from(u8::MAX));
    asm.alu(Alu::ShiftLeft, R7, Egress::SHIFT);
    asm.load_value(R1, choice.as_raw_fd(), 0);
    asm.alu(Alu::Add, R1, R7);
    asm.load(Size::Word, R1, R1, 0);
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

/// Whether the frame tells everybody where its sender is: a gratuitous ARP, or a reverse ARP.
fn if_announcement(asm: &mut Assembler, yes: Label, no: Label) {
    for place in [0, 2, 4] {
        asm.load(Size::Half, R2, R10, DESTINATION + place);
        asm.jump_if(If::NotEqual, R2, 0xffff, no);
    }
    asm.load(Size::Double, R2, R10, KIND);
    asm.jump_if(If::Equal, R2, half(ethertype::RARP), yes);
    asm.jump_if(If::NotEqual, R2, half(ethertype::ARP), no);
    walk::arp(asm, no);
    asm.load(Size::Half, R2, R10, COPY + 6);
    asm.jump_if(If::Equal, R2, half(Arp::REPLY), yes);
    for place in [0, 2] {
        asm.load(Size::Half, R2, R10, COPY + 14 + place);
        asm.load(Size::Half, R3, R10, COPY + 24 + place);
        asm.jump_if(If::NotEqual, R2, R3, no);
    }
    asm.jump(yes);
}

/// Whether the frame is what a switch snoops: IGMP, or multicast listener discovery.
fn if_membership(asm: &mut Assembler, yes: Label, no: Label) {
    let (group, ipv4) = (asm.label(), asm.label());
    if_group(asm, DESTINATION, group);
    asm.jump(no);
    asm.place(group);
    asm.load(Size::Double, R2, R10, KIND);
    asm.jump_if(If::Equal, R2, half(ethertype::IPV4), ipv4);
    asm.jump_if(If::NotEqual, R2, half(ethertype::IPV6), no);
    walk::ipv6(asm, no);
    walk::ipv6_upper(asm, no);
    asm.jump_if(If::NotEqual, R2, i32::from(protocol::ICMPV6), no);
    walk::copy(asm, 1, no);
    asm.load(Size::Byte, R2, R10, COPY);
    for kind in LISTENER_DISCOVERY {
        asm.jump_if(If::Equal, R2, i32::from(kind), yes);
    }
    asm.jump(no);
    asm.place(ipv4);
    walk::ipv4(asm, no);
    walk::ipv4_upper(asm, no);
    asm.jump_if(If::NotEqual, R2, i32::from(protocol::IGMP), no);
    // Options that run past the end are nothing.
    asm.load(Size::Word, R2, R6, context::LENGTH);
    asm.jump_if(If::Greater, R9, R2, no);
    asm.jump(yes);
}
