//! The programs of a team: one for frames that a port receives, one for frames that the team device
//! sends, and one that keeps the host's own frames from the way between them.

use std::os::fd::AsRawFd;

use runners::wire::ethertype;
use runners::{BUCKETS, PROBE_MAGIC, TxPolicy};

use super::assembler::{Alu, Assembler, Helper, If, Label, Operand, Reg, Size};
use super::layout::Egress;
use super::maps::{ECHOES, Maps, PortCounter, Verdict};
use super::shared::{EGRESS, KEY, SharedMaps, Slot};
use super::source_maps::SourceMaps;
use super::source_program::{self, Arriving, DESIGNATED_BUCKET, Leaving};
use super::team_hook::Redirect;
use super::{bucket, context, headers, host_program, neighbours};
use crate::datapath::MARK;
use crate::sys::bpf::Map;

use Reg::{R0, R1, R2, R3, R6, R7, R8, R9, R10};

/// A port as the program for its received frames knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivingPort {
    /// Interface index.
    pub ifindex: u32,
    /// Index of the port in the tables.
    pub index: u32,
    /// Number of the attachment, from 1.
    pub attachment: u32,
}

/// Returns the program for frames that a port receives.
///
/// The daemon receives slow protocols and probes by its port socket. Link-local control frames go
/// to the team device and to the port's own listeners; the filter that comes next lets no other
/// frames pass.
///
/// Without a `team` to redirect to, frames that are taken go on to the driver, and so do those
/// protocols; there are no filters, so the program drops all others.
pub fn receive(port: ReceivingPort, team: Option<Redirect>, maps: &Maps, slot: &Slot) -> Vec<u64> {
    let ReceivingPort { ifindex, index, attachment } = port;
    let word = |verdict: Verdict| verdict.word(attachment) as i32;
    let mut asm = Assembler::default();
    let (collects, idle, if_active) = (asm.label(), asm.label(), asm.label());
    let (next, refused) = (asm.label(), asm.label());
    asm.set(R6, R1);
    asm.load(Size::Word, R2, R6, context::PROTOCOL);
    let slow = i32::from(ethertype::SLOW_PROTOCOLS.to_be());
    asm.jump_if(If::Equal, R2, slow, next);
    unless_probe(&mut asm, refused);
    if team.is_none() {
        let other = asm.label();
        unless_link_local(&mut asm, other);
        asm.jump(next);
        asm.place(other);
    }
    let verdict = index as i32 * size_of::<u32>() as i32;
    asm.load_value(R1, maps.verdicts.as_raw_fd(), verdict);
    asm.load(Size::Word, R1, R1, 0);
    asm.jump_if(If::Equal, R1, word(Verdict::Collect), collects);
    asm.jump_if(If::Equal, R1, word(Verdict::CollectIfActive), if_active);
    asm.jump_if(If::Equal, R1, word(Verdict::Drop), idle);
    // The interface is no port any more.
    asm.jump(next);

    asm.place(if_active);
    slot.look_up_team(&mut asm, idle);
    asm.load(Size::Word, R1, R0, EGRESS as i16);
    asm.jump_if(If::NotEqual, R1, ifindex as i32, idle);

    asm.place(collects);
    if let Some(source) = &maps.source {
        let arriving = Arriving { taken: asm.label(), not_here: idle, echo: asm.label() };
        source_program::arrive(&mut asm, source, slot, ifindex, arriving);
        asm.place(arriving.echo);
        count(&mut asm, &maps.counters, ECHOES);
        asm.jump(refused);
        asm.place(arriving.taken);
    }
    count(&mut asm, &maps.counters, PortCounter::Received.key(index));
    deliver(&mut asm, team, slot, next);

    asm.place(idle);
    count(&mut asm, &maps.counters, PortCounter::Refused.key(index));
    asm.place(refused);
    if team.is_none() {
        asm.exit_with(context::DROP);
    }
    asm.place(next);
    asm.exit_with(context::NEXT);
    asm.finish()
}

/// Delivers the frame to the team device, or continues at `next` where the driver does. Link-local
/// control frames continue at `next`, too.
fn deliver(asm: &mut Assembler, team: Option<Redirect>, slot: &Slot, next: Label) {
    let Some(team) = team else {
        return asm.jump(next);
    };
    let other = asm.label();
    slot.wake_daemon(asm);
    set_tc_index(asm, R6, DELIVERED);
    unless_link_local(asm, other);
    send_copy(asm, team);
    set_tc_index(asm, R6, 0);
    asm.jump(next);
    asm.place(other);
    asm.set(R1, team.ifindex as i32);
    redirect(asm, team.ingress);
}

/// Continues at `other` unless the frame's destination is a link-local control address.
fn unless_link_local(asm: &mut Assembler, other: Label) {
    asm.load(Size::Word, R2, R6, context::DATA);
    asm.load(Size::Word, R3, R6, context::DATA_END);
    asm.set(R1, R2);
    asm.alu(Alu::Add, R1, 6);
    asm.jump_if(If::Greater, R1, R3, other);
    let parts = [(If::NotEqual, 0x0180), (If::NotEqual, 0xc200), (If::AnyBit, 0xfff0)];
    for (place, (differs, part)) in (0..).zip(parts) {
        asm.load(Size::Half, R1, R2, 2 * place);
        asm.jump_if(differs, R1, headers::half(part), other);
    }
}

/// Continues at `probe` if the frame is a probe; R2 holds the frame's ethertype.
fn unless_probe(asm: &mut Assembler, probe: Label) {
    let other = asm.label();
    let kind = headers::half(ethertype::LOCAL_EXPERIMENTAL);
    asm.jump_if(If::NotEqual, R2, kind, other);
    asm.set(R9, headers::ETHERNET);
    headers::copy(asm, PROBE_MAGIC.len() as i32, other);
    headers::unless_copied(asm, &PROBE_MAGIC, other);
    asm.jump(probe);
    asm.place(other);
}

/// `tc_index` of a received frame on the way to the team device.
const DELIVERED: i32 = 0x7ea3;

fn set_tc_index(asm: &mut Assembler, context: Reg, number: i32) {
    asm.set(R2, number);
    asm.store(Size::Word, context, context::TC_INDEX, R2);
}

/// Returns the program for frames that a veth's peer sends to the team device: received frames and
/// those of the daemon pass. Frames that the host sends, forwards or bridges there are dropped.
pub fn guard() -> Vec<u64> {
    let mut asm = Assembler::default();
    let (delivered, pass) = (asm.label(), asm.label());
    asm.load(Size::Word, R2, R1, context::TC_INDEX);
    asm.jump_if(If::Equal, R2, DELIVERED, delivered);
    asm.load(Size::Word, R2, R1, context::MARK);
    asm.jump_if(If::Equal, R2, MARK as i32, pass);
    asm.exit_with(context::DROP);
    asm.place(delivered);
    set_tc_index(&mut asm, R1, 0);
    asm.place(pass);
    asm.exit_with(context::PASS);
    asm.finish()
}

/// Returns the program for frames that a team device sends under `policy`; `usable` are the
/// ports of a policy that names none, `source` the maps of source balancing. Programs of several
/// teams are equal if neither is given.
pub fn transmit(
    policy: &TxPolicy,
    usable: &[Egress],
    maps: &SharedMaps,
    source: Option<&SourceMaps>,
) -> Vec<u64> {
    let mut asm = Assembler::default();
    let none = asm.label();
    asm.set(R6, R1);
    // The filters on the ports let only frames with our mark leave.
    asm.set(R2, MARK as i32);
    asm.store(Size::Word, R6, context::MARK, R2);
    maps.wake_daemon(&mut asm);
    match policy {
        TxPolicy::ActiveBackup { .. } => {
            maps.look_up_team(&mut asm, none);
            to_egress(&mut asm, maps, R0, EGRESS, none);
        }
        TxPolicy::LoadBalance { fields, balanced, neighbours, .. } => {
            neighbours_to_all(&mut asm, maps, neighbours.then_some(usable), none);
            bucket::emit(&mut asm, *fields, maps.common.hash.as_raw_fd());
            to_bucket(&mut asm, maps, *balanced, none);
        }
        TxPolicy::SourceBalance { balanced, .. } => {
            if let Some(source) = source {
                by_source(&mut asm, maps, source, *balanced, none);
            }
        }
        TxPolicy::Broadcast => {
            if let Some((last, others)) = usable.split_last() {
                for port in others {
                    copy_to_port(&mut asm, maps, *port);
                }
                to_port(&mut asm, maps, *last);
                // The verifier refuses instructions that no path leads to.
                return asm.finish();
            }
        }
        TxPolicy::RoundRobin { packets_per_port } => {
            if !usable.is_empty() {
                maps.look_up_turn(&mut asm, none);
                asm.set(R7, 1);
                asm.fetch_add(R0, R7);
                if packets_per_port.get() > 1 {
                    asm.alu32(Alu::Move, R2, packets_per_port.get() as i32);
                    asm.alu(Alu::Div, R7, R2);
                }
                asm.alu(Alu::Mod, R7, usable.len() as i32);
                one_of(&mut asm, maps, usable, none);
            }
        }
        TxPolicy::Random { .. } => {
            if !usable.is_empty() {
                asm.call(Helper::Random);
                asm.set(R7, R0);
                asm.alu(Alu::Mul, R7, usable.len() as i32);
                asm.alu(Alu::ShiftRight, R7, 32);
                one_of(&mut asm, maps, usable, none);
            }
        }
    }
    asm.place(none);
    let counters = maps.store_no_port(&mut asm);
    count_at(&mut asm, counters);
    asm.exit_with(context::DROP);
    asm.finish()
}

/// Sends ARP and neighbour discovery on every one of `ports`; continues at `none` if there is no
/// port. Adds no instruction for `None`.
fn neighbours_to_all(
    asm: &mut Assembler,
    maps: &SharedMaps,
    ports: Option<&[Egress]>,
    none: Label,
) {
    let Some(ports) = ports else { return };
    let other = asm.label();
    neighbours::unless_address_resolution(asm, other);
    match ports.split_last() {
        Some((last, others)) => {
            for port in others {
                copy_to_port(asm, maps, *port);
            }
            to_port(asm, maps, *last);
        }
        None => asm.jump(none),
    }
    asm.place(other);
}

/// Sends the frame by the bucket of its source address, or continues at `none` if that has no
/// port.
fn by_source(
    asm: &mut Assembler,
    maps: &SharedMaps,
    source: &SourceMaps,
    balanced: bool,
    none: Label,
) {
    let leaving = leaving(asm);
    source_program::leave(asm, source, BUCKETS as i32, leaving);
    if let Some(host) = &source.host {
        asm.place(leaving.to_peer);
        find_bucket(asm, maps, balanced, none);
        host_program::write_source(asm, maps, source, host);
        to_egress(asm, maps, R8, 0, none);
    }
    asm.place(leaving.by_bucket);
    to_bucket(asm, maps, balanced, none);
    asm.place(leaving.designated);
    source_program::designated(asm, R8, source);
    to_egress(asm, maps, R8, 0, none);
}

fn leaving(asm: &mut Assembler) -> Leaving {
    Leaving { by_bucket: asm.label(), designated: asm.label(), to_peer: asm.label() }
}

/// Returns the program for frames that a device of the kernel's driver sends: the bucket becomes
/// the last byte of the frame's mark.
pub fn mark_bucket(source: Option<&SourceMaps>) -> Vec<u64> {
    let mut asm = Assembler::default();
    asm.set(R6, R1);
    if let Some(source) = source {
        let leaving = leaving(&mut asm);
        let assignable = i32::from(DESIGNATED_BUCKET);
        source_program::leave(&mut asm, source, assignable, leaving);
        asm.place(leaving.designated);
        asm.set(R7, i32::from(DESIGNATED_BUCKET));
        asm.place(leaving.by_bucket);
        asm.alu(Alu::Or, R7, (MARK & !0xff) as i32);
        asm.store(Size::Word, R6, context::MARK, R7);
    }
    asm.exit_with(context::NEXT);
    asm.finish()
}

/// Sends the frame to the port of the bucket in R7, or continues at `none` if the bucket has
/// none. Bytes are counted by bucket if the policy is `balanced`.
fn to_bucket(asm: &mut Assembler, maps: &SharedMaps, balanced: bool, none: Label) {
    find_bucket(asm, maps, balanced, none);
    to_egress(asm, maps, R8, 0, none);
}

/// R8 becomes a pointer to the [`Egress`] of the bucket in R7; continues at `none` if the team has no
/// entry. Bytes are counted by bucket if the policy is `balanced`.
fn find_bucket(asm: &mut Assembler, maps: &SharedMaps, balanced: bool, none: Label) {
    if let Some(counters) = balanced.then(|| maps.store_bucket(asm, R7)).flatten() {
        count_at(asm, counters);
    }
    maps.look_up_team(asm, none);
    asm.set(R8, R0);
    asm.alu(Alu::Add, R8, EGRESS);
    asm.alu(Alu::ShiftLeft, R7, Egress::SHIFT);
    asm.alu(Alu::Add, R8, R7);
}

/// Sends the frame to the port whose [`Egress`] is `offset` bytes behind the address in `base`, or
/// continues at `none` if no port has this egress.
fn to_egress(asm: &mut Assembler, maps: &SharedMaps, base: Reg, offset: i32, none: Label) {
    asm.load(Size::Word, R2, base, offset as i16 + 4);
    asm.load(Size::Word, R8, base, offset as i16);
    asm.jump_if(If::Equal, R8, 0, none);
    asm.store(Size::Word, R10, KEY, R2);
    count_at(asm, maps.sent());
    asm.set(R1, R8);
    redirect(asm, false);
}

/// Sends the frame to a port.
fn to_port(asm: &mut Assembler, maps: &SharedMaps, port: Egress) {
    count(asm, maps.sent(), port.sent);
    asm.set(R1, port.ifindex as i32);
    redirect(asm, false);
}

/// Sends the frame to the port of `ports` whose place is in R7.
fn one_of(asm: &mut Assembler, maps: &SharedMaps, ports: &[Egress], none: Label) {
    for (place, port) in ports.iter().enumerate() {
        let another = asm.label();
        asm.jump_if(If::NotEqual, R7, place as i32, another);
        to_port(asm, maps, *port);
        asm.place(another);
    }
    asm.jump(none);
}

/// Ends the program by redirecting the frame to the interface in R1.
pub(super) fn redirect(asm: &mut Assembler, ingress: bool) {
    asm.set(R2, i32::from(ingress));
    asm.call(Helper::Redirect);
    asm.exit();
}

/// Sends a copy of the frame to a port.
fn copy_to_port(asm: &mut Assembler, maps: &SharedMaps, port: Egress) {
    count(asm, maps.sent(), port.sent);
    send_copy(asm, Redirect { ifindex: port.ifindex, ingress: false });
}

/// Sends a copy of the frame in R6.
pub(super) fn send_copy(asm: &mut Assembler, to: Redirect) {
    asm.set(R1, R6);
    asm.set(R2, to.ifindex as i32);
    asm.set(R3, i32::from(to.ingress));
    asm.call(Helper::CloneRedirect);
}

/// Counts the frame and its bytes in the pair of a map with this key.
fn count(asm: &mut Assembler, counters: &Map, key: u32) {
    asm.store(Size::Word, R10, KEY, key as i32);
    count_at(asm, counters);
}

/// Counts the frame and its bytes in the pair of a map whose key is on the stack. R0 to R5 are
/// destroyed.
fn count_at(asm: &mut Assembler, counters: &Map) {
    let gone = asm.label();
    asm.load_map(R1, counters.as_raw_fd());
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, i32::from(KEY));
    asm.call(Helper::MapLookup);
    asm.jump_if(If::Equal, R0, 0, gone);
    asm.load(Size::Word, R2, R6, context::LENGTH);
    for (place, what) in [(0, Operand::Number(1)), (8, Operand::Reg(R2))] {
        // This processor alone writes there.
        asm.load(Size::Double, R1, R0, place);
        asm.alu(Alu::Add, R1, what);
        asm.store(Size::Double, R0, place, R1);
    }
    asm.place(gone);
}
