//! The two programs of a team: one for frames that a port receives, one for frames that the team
//! device sends.

use std::os::fd::{AsRawFd, RawFd};

use runners::wire::ethertype;
use runners::{BUCKETS, PROBE_MAGIC, TxPolicy};

use super::assembler::{Alu, Assembler, Helper, If, Label, Operand, Reg, Size};
use super::layout::Egress;
use super::maps::{COLLECT, COLLECT_IF_ACTIVE, ECHOES, Maps, NO_PORT, PortCounter};
use super::source_program::{self, Arriving, DESIGNATED_BUCKET, Leaving};
use super::team_hook::Redirect;
use super::{bucket, context, headers};
use crate::datapath::MARK;

use Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};

/// Returns the program for frames that the port `ifindex`, with this index in the tables,
/// receives.
///
/// The daemon receives slow protocols and probes by its port socket. Link-local control frames go
/// to the team device and to the port's own listeners; the filter that comes next lets no other
/// frames pass.
///
/// Without a `team` to redirect to, frames that are taken go on to the driver, and so do those
/// protocols; there are no filters, so the program drops all others.
pub fn receive(port_index: u32, ifindex: u32, team: Option<Redirect>, maps: &Maps) -> Vec<u64> {
    let mut asm = Assembler::new();
    let (collects, idle) = (asm.label(), asm.label());
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
    let verdict = port_index as i32 * size_of::<u32>() as i32;
    asm.load_value(R1, maps.verdicts.as_raw_fd(), verdict);
    asm.load(Size::Word, R1, R1, 0);
    asm.jump_if(If::Equal, R1, COLLECT as i32, collects);
    asm.jump_if(If::NotEqual, R1, COLLECT_IF_ACTIVE as i32, idle);
    asm.load_value(R1, maps.egress.as_raw_fd(), 0);
    asm.load(Size::Word, R1, R1, 0);
    asm.jump_if(If::NotEqual, R1, ifindex as i32, idle);

    asm.place(collects);
    if let Some(source) = &maps.source {
        let (taken, echo) = (asm.label(), asm.label());
        let arriving = Arriving {
            taken,
            not_here: idle,
            echo,
        };
        source_program::arrive(&mut asm, source, &maps.egress, ifindex, arriving);
        asm.place(echo);
        count(&mut asm, maps, ECHOES);
        asm.jump(refused);
        asm.place(taken);
    }
    count(&mut asm, maps, PortCounter::Received.key(port_index));
    match team {
        Some(team) => {
            let whole = asm.label();
            wake_daemon(&mut asm, maps);
            unless_link_local(&mut asm, whole);
            send_copy(&mut asm, team);
            asm.jump(next);
            asm.place(whole);
            asm.set(R1, team.ifindex as i32);
            redirect(&mut asm, team.ingress);
        }
        None => asm.jump(next),
    }

    asm.place(idle);
    count(&mut asm, maps, PortCounter::Refused.key(port_index));
    asm.place(refused);
    if team.is_none() {
        asm.exit_with(context::DROP);
    }
    asm.place(next);
    asm.exit_with(context::NEXT);
    asm.finish()
}

/// Continues at `other` unless the frame's destination is a link-local control address.
fn unless_link_local(asm: &mut Assembler, other: Label) {
    asm.load(Size::Word, R2, R6, context::DATA);
    asm.load(Size::Word, R3, R6, context::DATA_END);
    asm.set(R1, R2);
    asm.alu(Alu::Add, R1, 6);
    asm.jump_if(If::Greater, R1, R3, other);
    asm.load(Size::Half, R1, R2, 0);
    asm.jump_if(If::NotEqual, R1, headers::half(0x0180), other);
    asm.load(Size::Half, R1, R2, 2);
    asm.jump_if(If::NotEqual, R1, headers::half(0xc200), other);
    asm.load(Size::Half, R1, R2, 4);
    asm.jump_if(If::AnyBit, R1, headers::half(0xfff0), other);
}

/// Continues at `probe` if the frame is a probe; R2 holds the frame's ethertype.
fn unless_probe(asm: &mut Assembler, probe: Label) {
    let other = asm.label();
    let kind = headers::half(ethertype::LOCAL_EXPERIMENTAL);
    asm.jump_if(If::NotEqual, R2, kind, other);
    asm.set(R9, headers::ETHERNET);
    headers::copy(asm, PROBE_MAGIC.len() as i32, other);
    for (place, pair) in (0..).zip(PROBE_MAGIC.chunks_exact(2)) {
        let expected = i32::from(u16::from_ne_bytes([pair[0], pair[1]]));
        asm.load(Size::Half, R2, R10, headers::COPY + 2 * place);
        asm.jump_if(If::NotEqual, R2, expected, other);
    }
    asm.jump(probe);
    asm.place(other);
}

/// Returns the program for frames that the team device sends under `policy`; `usable` are the
/// ports of a policy that names none.
pub fn transmit(policy: &TxPolicy, usable: &[Egress], maps: &Maps) -> Vec<u64> {
    let mut asm = Assembler::new();
    let none = asm.label();
    asm.set(R6, R1);
    // The filters on the ports let only frames with our mark leave.
    asm.set(R2, MARK as i32);
    asm.store(Size::Word, R6, context::MARK, R2);
    wake_daemon(&mut asm, maps);
    match policy {
        TxPolicy::ActiveBackup { .. } => {
            asm.load_value(R8, maps.egress.as_raw_fd(), 0);
            to_egress(&mut asm, maps, none);
        }
        TxPolicy::LoadBalance {
            fields, balanced, ..
        } => {
            bucket::emit(&mut asm, *fields, maps.hash.as_raw_fd());
            to_bucket(&mut asm, maps, *balanced, none);
        }
        TxPolicy::SourceBalance { balanced, .. } => by_source(&mut asm, maps, *balanced, none),
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
                asm.load_value(R2, maps.turn.as_raw_fd(), 0);
                asm.set(R7, 1);
                asm.fetch_add(R2, R7);
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
    count(&mut asm, maps, NO_PORT);
    asm.exit_with(context::DROP);
    asm.finish()
}

/// Sends the frame by the bucket of its source address, or continues at `none` if that has no
/// port.
fn by_source(asm: &mut Assembler, maps: &Maps, balanced: bool, none: Label) {
    let Some(source) = &maps.source else {
        return;
    };
    let leaving = Leaving {
        by_bucket: asm.label(),
        designated: asm.label(),
    };
    source_program::leave(asm, source, BUCKETS as i32, leaving);
    asm.place(leaving.by_bucket);
    to_bucket(asm, maps, balanced, none);
    asm.place(leaving.designated);
    source_program::designated(asm, R8, source);
    to_egress(asm, maps, none);
}

/// Returns the program for frames that a device of the kernel's driver sends: the bucket becomes
/// the last byte of the frame's mark.
pub fn mark_bucket(maps: &Maps) -> Vec<u64> {
    let mut asm = Assembler::new();
    asm.set(R6, R1);
    if let Some(source) = &maps.source {
        let leaving = Leaving {
            by_bucket: asm.label(),
            designated: asm.label(),
        };
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

/// Wakes the daemon if [`Maps::daemon_idle`] asks for that.
fn wake_daemon(asm: &mut Assembler, maps: &Maps) {
    const FORCE_WAKEUP: i32 = 2;
    let awake = asm.label();
    asm.load_value(R1, maps.daemon_idle.as_raw_fd(), 0);
    asm.load(Size::Word, R2, R1, 0);
    asm.jump_if(If::Equal, R2, 0, awake);
    asm.store(Size::Word, R1, 0, 0);
    asm.store(Size::Double, R10, -8, 0);
    asm.load_map(R1, maps.wakeup.as_raw_fd());
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, -8);
    asm.set(R3, 8);
    asm.set(R4, FORCE_WAKEUP);
    asm.call(Helper::RingOutput);
    asm.place(awake);
}

/// Sends the frame to the port of the bucket in R7, or continues at `none` if the bucket has
/// none. Bytes are counted by bucket if the policy is `balanced`.
fn to_bucket(asm: &mut Assembler, maps: &Maps, balanced: bool, none: Label) {
    if balanced {
        count_bucket(asm, maps);
    }
    asm.load_value(R8, maps.egress.as_raw_fd(), 0);
    asm.alu(Alu::ShiftLeft, R7, Egress::SHIFT);
    asm.alu(Alu::Add, R8, R7);
    to_egress(asm, maps, none);
}

/// Sends the frame to the port whose [`Egress`] R8 points to, or continues at `none` if that is no
/// port's.
fn to_egress(asm: &mut Assembler, maps: &Maps, none: Label) {
    asm.load(Size::Word, R2, R8, 4);
    asm.load(Size::Word, R8, R8, 0);
    asm.jump_if(If::Equal, R8, 0, none);
    asm.alu(Alu::Mul, R2, PortCounter::COUNT as i32);
    asm.alu(Alu::Add, R2, PortCounter::Sent.key(0) as i32);
    asm.store(Size::Word, R10, KEY, R2);
    count_at(asm, maps.counters.as_raw_fd());
    asm.set(R1, R8);
    redirect(asm, false);
}

/// Sends the frame to a port.
fn to_port(asm: &mut Assembler, maps: &Maps, port: Egress) {
    count(asm, maps, PortCounter::Sent.key(port.port_index));
    asm.set(R1, port.ifindex as i32);
    redirect(asm, false);
}

/// Sends the frame to the port of `ports` whose place is in R7.
fn one_of(asm: &mut Assembler, maps: &Maps, ports: &[Egress], none: Label) {
    for (place, port) in ports.iter().enumerate() {
        let another = asm.label();
        asm.jump_if(If::NotEqual, R7, place as i32, another);
        to_port(asm, maps, *port);
        asm.place(another);
    }
    asm.jump(none);
}

/// Ends the program by redirecting the frame to the interface in R1.
fn redirect(asm: &mut Assembler, ingress: bool) {
    asm.set(R2, i32::from(ingress));
    asm.call(Helper::Redirect);
    asm.exit();
}

/// Sends a copy of the frame to a port.
fn copy_to_port(asm: &mut Assembler, maps: &Maps, port: Egress) {
    count(asm, maps, PortCounter::Sent.key(port.port_index));
    let port = Redirect {
        ifindex: port.ifindex,
        ingress: false,
    };
    send_copy(asm, port);
}

fn send_copy(asm: &mut Assembler, to: Redirect) {
    asm.set(R1, R6);
    asm.set(R2, to.ifindex as i32);
    asm.set(R3, i32::from(to.ingress));
    asm.call(Helper::CloneRedirect);
}

/// Offset on the stack of the key of a pair of counters.
const KEY: i16 = -4;

/// Counts the frame and its bytes in the pair with this key.
fn count(asm: &mut Assembler, maps: &Maps, key: u32) {
    asm.store(Size::Word, R10, KEY, key as i32);
    count_at(asm, maps.counters.as_raw_fd());
}

/// Counts the frame and its bytes for the bucket in R7.
fn count_bucket(asm: &mut Assembler, maps: &Maps) {
    asm.store(Size::Word, R10, KEY, R7);
    count_at(asm, maps.buckets.as_raw_fd());
}

/// Counts the frame and its bytes in the pair of a map whose key is on the stack. R0 to R5 are
/// destroyed.
fn count_at(asm: &mut Assembler, map: RawFd) {
    let gone = asm.label();
    asm.load_map(R1, map);
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
