//! The two programs of a team: what a port's frames meet on arrival, and what those of the team
//! device meet on their way out.

use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};

use runners::wire::ethertype;
use runners::{HashFields, PROBE_MAGIC};

use super::assembler::{Alu, Assembler, Helper, If, Label, Operand, Reg, Size};
use super::maps::{COLLECT, COLLECT_IF_CHOSEN, ECHOES, Egress, Maps, NO_PORT, Of};
use super::source::{self, Arriving, BucketAssignment, DESIGNATED_BUCKET, Leaving};
use super::{Target, bucket, context, walk};
use crate::datapath::MARK;

use Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};

/// How the program on the team device's transmit side chooses. What is in here is part of the
/// program; ports in the map are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A copy on each of these.
    All(Vec<Egress>),
    /// One after the other.
    InTurn {
        /// These.
        ports: Vec<Egress>,
        /// So many frames in a row on each.
        packets_per_port: NonZeroU32,
    },
    /// Any of these.
    ByChance(Vec<Egress>),
    /// The one in the map.
    One,
    /// The one in the map, by the frame's bucket.
    ByBucket {
        /// What makes up a flow.
        fields: HashFields,
        /// Frames and bytes are counted by bucket.
        counted: bool,
    },
    /// The one in the map, by the bucket of the frame's sender, or the designated one.
    BySource {
        /// Frames and bytes are counted by bucket.
        counted: bool,
    },
}

/// The program for frames that arrive on the port `ifindex` with the slot `slot`.
///
/// Slow protocols and our own probes are the daemon's, which hears them by itself. Link-local control frames go
/// to the team device, too, but first of all to the port's own listeners; the filter that comes
/// next lets only them pass.
///
/// Without a `team` to send them to, frames that are taken go on to the driver, with those
/// protocols; there are no filters, so others are dropped here.
pub fn receive(slot: u32, ifindex: u32, team: Option<Target>, maps: &Maps) -> Vec<u64> {
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
    let verdict = slot as i32 * size_of::<u32>() as i32;
    asm.load_value(R1, maps.verdicts.as_raw_fd(), verdict);
    asm.load(Size::Word, R1, R1, 0);
    asm.jump_if(If::Equal, R1, COLLECT as i32, collects);
    asm.jump_if(If::NotEqual, R1, COLLECT_IF_CHOSEN as i32, idle);
    asm.load_value(R1, maps.choice.as_raw_fd(), 0);
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
        source::arrive(&mut asm, source, &maps.choice, ifindex, arriving);
        asm.place(echo);
        count(&mut asm, maps, ECHOES);
        asm.jump(refused);
        asm.place(taken);
    }
    count(&mut asm, maps, Of::Taken.slot(slot));
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
    count(&mut asm, maps, Of::Refused.slot(slot));
    asm.place(refused);
    if team.is_none() {
        asm.exit_with(context::DROP);
    }
    asm.place(next);
    asm.exit_with(context::NEXT);
    asm.finish()
}

/// Goes on at `other` unless the frame is for a link-local control address.
fn unless_link_local(asm: &mut Assembler, other: Label) {
    asm.load(Size::Word, R2, R6, context::DATA);
    asm.load(Size::Word, R3, R6, context::DATA_END);
    asm.set(R1, R2);
    asm.alu(Alu::Add, R1, 6);
    asm.jump_if(If::Greater, R1, R3, other);
    asm.load(Size::Half, R1, R2, 0);
    asm.jump_if(If::NotEqual, R1, walk::half(0x0180), other);
    asm.load(Size::Half, R1, R2, 2);
    asm.jump_if(If::NotEqual, R1, walk::half(0xc200), other);
    asm.load(Size::Half, R1, R2, 4);
    asm.jump_if(If::AnyBit, R1, walk::half(0xfff0), other);
}

/// Goes on at `probe` if the frame is one; R2 holds its ethertype.
fn unless_probe(asm: &mut Assembler, probe: Label) {
    let other = asm.label();
    let kind = walk::half(ethertype::LOCAL_EXPERIMENTAL);
    asm.jump_if(If::NotEqual, R2, kind, other);
    asm.set(R9, walk::ETHERNET);
    walk::copy(asm, PROBE_MAGIC.len() as i32, other);
    for (place, pair) in (0..).zip(PROBE_MAGIC.chunks_exact(2)) {
        let expected = i32::from(u16::from_ne_bytes([pair[0], pair[1]]));
        asm.load(Size::Half, R2, R10, walk::COPY + 2 * place);
        asm.jump_if(If::NotEqual, R2, expected, other);
    }
    asm.jump(probe);
    asm.place(other);
}

/// The program for frames that leave the team device.
pub fn transmit(transmit: &Transmit, maps: &Maps) -> Vec<u64> {
    let mut asm = Assembler::new();
    let none = asm.label();
    asm.set(R6, R1);
    // The filters on the ports let only frames with our mark leave.
    asm.set(R2, MARK as i32);
    asm.store(Size::Word, R6, context::MARK, R2);
    wake_daemon(&mut asm, maps);
    match transmit {
        Transmit::One => {
            asm.load_value(R8, maps.choice.as_raw_fd(), 0);
            to_exit(&mut asm, maps, none);
        }
        Transmit::ByBucket { fields, counted } => {
            bucket::emit(&mut asm, *fields, maps.hash.as_raw_fd());
            to_bucket(&mut asm, maps, *counted, none);
        }
        Transmit::BySource { counted } => {
            if let Some(source) = &maps.source {
                let (by_bucket, designated) = (asm.label(), asm.label());
                let leaving = Leaving {
                    by_bucket,
                    designated,
                };
                source::leave(&mut asm, source, BucketAssignment::All, leaving);
                asm.place(by_bucket);
                to_bucket(&mut asm, maps, *counted, none);
                asm.place(designated);
                source::designated(&mut asm, R8, source);
                to_exit(&mut asm, maps, none);
            }
        }
        Transmit::All(ports) => {
            if let Some((last, others)) = ports.split_last() {
                for port in others {
                    count(&mut asm, maps, Of::Sent.slot(port.slot));
                    let out = Target {
                        ifindex: port.ifindex,
                        ingress: false,
                    };
                    send_copy(&mut asm, out);
                }
                to_port(&mut asm, maps, *last);
                // The verifier refuses what no path leads to.
                return asm.finish();
            }
        }
        Transmit::InTurn {
            ports,
            packets_per_port,
        } => {
            if !ports.is_empty() {
                asm.load_value(R2, maps.turn.as_raw_fd(), 0);
                asm.set(R7, 1);
                asm.fetch_add(R2, R7);
                if packets_per_port.get() > 1 {
                    asm.alu32(Alu::Move, R2, packets_per_port.get() as i32);
                    asm.alu(Alu::Div, R7, R2);
                }
                asm.alu(Alu::Mod, R7, ports.len() as i32);
                one_of(&mut asm, maps, ports, none);
            }
        }
        Transmit::ByChance(ports) => {
            if !ports.is_empty() {
                asm.call(Helper::Random);
                asm.set(R7, R0);
                asm.alu(Alu::Mul, R7, ports.len() as i32);
                asm.alu(Alu::ShiftRight, R7, 32);
                one_of(&mut asm, maps, ports, none);
            }
        }
    }
    asm.place(none);
    count(&mut asm, maps, NO_PORT);
    asm.exit_with(context::DROP);
    asm.finish()
}

/// The program for frames that leave a device of the kernel's driver: the bucket of each is in the
/// last byte of its mark.
pub fn tell_bucket(maps: &Maps) -> Vec<u64> {
    let mut asm = Assembler::new();
    asm.set(R6, R1);
    if let Some(source) = &maps.source {
        let (by_bucket, designated) = (asm.label(), asm.label());
        let leaving = Leaving {
            by_bucket,
            designated,
        };
        source::leave(
            &mut asm,
            source,
            BucketAssignment::AllButDesignated,
            leaving,
        );
        asm.place(designated);
        asm.set(R7, i32::from(DESIGNATED_BUCKET));
        asm.place(by_bucket);
        asm.alu(Alu::Or, R7, (MARK & !0xff) as i32);
        asm.store(Size::Word, R6, context::MARK, R7);
    }
    asm.exit_with(context::NEXT);
    asm.finish()
}

/// Tells the daemon of the frame if it has asked to be told.
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

/// Sends the frame to the port of the bucket in R7, or goes on at `none` if it has none.
fn to_bucket(asm: &mut Assembler, maps: &Maps, counted: bool, none: Label) {
    if counted {
        count_bucket(asm, maps);
    }
    asm.load_value(R8, maps.choice.as_raw_fd(), 0);
    asm.alu(Alu::ShiftLeft, R7, Egress::SHIFT);
    asm.alu(Alu::Add, R8, R7);
    to_exit(asm, maps, none);
}

/// Sends the frame by the exit at R8, or goes on at `none` if that is no port's.
fn to_exit(asm: &mut Assembler, maps: &Maps, none: Label) {
    asm.load(Size::Word, R2, R8, 4);
    asm.load(Size::Word, R8, R8, 0);
    asm.jump_if(If::Equal, R8, 0, none);
    asm.alu(Alu::Mul, R2, Of::EACH as i32);
    asm.alu(Alu::Add, R2, Of::Sent.slot(0) as i32);
    asm.store(Size::Word, R10, KEY, R2);
    count_at(asm, maps.counts.as_raw_fd());
    asm.set(R1, R8);
    redirect(asm, false);
}

/// Sends the frame to a port.
fn to_port(asm: &mut Assembler, maps: &Maps, port: Egress) {
    count(asm, maps, Of::Sent.slot(port.slot));
    asm.set(R1, port.ifindex as i32);
    redirect(asm, false);
}

/// Sends the frame to the port whose place is in R7.
fn one_of(asm: &mut Assembler, maps: &Maps, ports: &[Egress], none: Label) {
    for (place, port) in ports.iter().enumerate() {
        let another = asm.label();
        asm.jump_if(If::NotEqual, R7, place as i32, another);
        to_port(asm, maps, *port);
        asm.place(another);
    }
    asm.jump(none);
}

/// Ends with the frame on its way to the interface in R1.
fn redirect(asm: &mut Assembler, ingress: bool) {
    asm.set(R2, i32::from(ingress));
    asm.call(Helper::Redirect);
    asm.exit();
}

fn send_copy(asm: &mut Assembler, to: Target) {
    asm.set(R1, R6);
    asm.set(R2, to.ifindex as i32);
    asm.set(R3, i32::from(to.ingress));
    asm.call(Helper::CloneRedirect);
}

/// Where the key of a pair of counters is on the stack.
const KEY: i16 = -4;

/// Counts the frame and its bytes in the pair with this key.
fn count(asm: &mut Assembler, maps: &Maps, key: u32) {
    asm.store(Size::Word, R10, KEY, key as i32);
    count_at(asm, maps.counts.as_raw_fd());
}

/// Counts the frame and its bytes for the bucket in R7.
fn count_bucket(asm: &mut Assembler, maps: &Maps) {
    asm.store(Size::Word, R10, KEY, R7);
    count_at(asm, maps.buckets.as_raw_fd());
}

/// The same in the pair of a map whose key is on the stack. R0 to R5 are destroyed.
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
