//! The two programs of a team: what a port's frames meet on arrival, and what those of the team
//! device meet on their way out.

use std::num::NonZeroU32;
use std::os::fd::AsRawFd;

use runners::wire::ethertype;
use runners::{HashFields, PROBE_MAGIC};

use super::assembler::{Alu, Assembler, Helper, If, Label, Reg, Size};
use super::maps::{COLLECT, COLLECT_IF_CHOSEN, ECHOES, Maps, NO_PORT, TEAM};
use super::source::{self, Arriving, DESIGNATED_BUCKET, Deal, Leaving};
use super::{Target, bucket, context, walk};
use crate::datapath::MARK;

use Reg::{R0, R1, R2, R3, R4, R6, R7, R9, R10};

/// How the program on the team device's transmit side chooses. What is in here is part of the
/// program; ports in the map are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A copy on each of these interfaces.
    All(Vec<u32>),
    /// One after the other.
    InTurn {
        /// These.
        ports: Vec<u32>,
        /// So many frames in a row on each.
        packets_per_port: NonZeroU32,
    },
    /// Any of these.
    ByChance(Vec<u32>),
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
        count(&mut asm, maps, TEAM, ECHOES);
        asm.jump(refused);
        asm.place(taken);
    }
    count(&mut asm, maps, 1 + slot, 0);
    match team {
        Some(team) => {
            let whole = asm.label();
            ring(&mut asm, maps);
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
    count(&mut asm, maps, 1 + slot, 1);
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
    ring(&mut asm, maps);
    match transmit {
        Transmit::One => {
            asm.load_value(R1, maps.choice.as_raw_fd(), 0);
            asm.load(Size::Word, R1, R1, 0);
            asm.jump_if(If::Equal, R1, 0, none);
            redirect(&mut asm, false);
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
                source::leave(&mut asm, source, Deal::All, leaving);
                asm.place(by_bucket);
                to_bucket(&mut asm, maps, *counted, none);
                asm.place(designated);
                source::designated(&mut asm, source);
                asm.jump_if(If::Equal, R1, 0, none);
                redirect(&mut asm, false);
            }
        }
        Transmit::All(ports) => {
            if let Some((last, others)) = ports.split_last() {
                for port in others {
                    let ifindex = *port;
                    send_copy(
                        &mut asm,
                        Target {
                            ifindex,
                            ingress: false,
                        },
                    );
                }
                asm.set(R1, *last as i32);
                redirect(&mut asm, false);
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
                one_of(&mut asm, ports, none);
            }
        }
        Transmit::ByChance(ports) => {
            if !ports.is_empty() {
                asm.call(Helper::Random);
                asm.set(R7, R0);
                asm.alu(Alu::Mul, R7, ports.len() as i32);
                asm.alu(Alu::ShiftRight, R7, 32);
                one_of(&mut asm, ports, none);
            }
        }
    }
    asm.place(none);
    count(&mut asm, maps, TEAM, NO_PORT);
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
        source::leave(&mut asm, source, Deal::AllButDesignated, leaving);
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
fn ring(asm: &mut Assembler, maps: &Maps) {
    const FORCE_WAKEUP: i32 = 2;
    let awake = asm.label();
    asm.load_value(R1, maps.asleep.as_raw_fd(), 0);
    asm.load(Size::Word, R2, R1, 0);
    asm.jump_if(If::Equal, R2, 0, awake);
    asm.store(Size::Word, R1, 0, 0);
    asm.store(Size::Double, R10, -8, 0);
    asm.load_map(R1, maps.bell.as_raw_fd());
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
    asm.load_value(R2, maps.choice.as_raw_fd(), 0);
    asm.alu(Alu::ShiftLeft, R7, 2);
    asm.alu(Alu::Add, R2, R7);
    asm.load(Size::Word, R1, R2, 0);
    asm.jump_if(If::Equal, R1, 0, none);
    redirect(asm, false);
}

/// Sends the frame to the port whose place is in R7.
fn one_of(asm: &mut Assembler, ports: &[u32], none: Label) {
    for (place, port) in ports.iter().enumerate() {
        let another = asm.label();
        asm.jump_if(If::NotEqual, R7, place as i32, another);
        asm.set(R1, *port as i32);
        redirect(asm, false);
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

/// Adds one to a counter of the pair with this key.
fn count(asm: &mut Assembler, maps: &Maps, key: u32, place: i16) {
    let gone = asm.label();
    asm.store(Size::Word, R10, -4, key as i32);
    asm.load_map(R1, maps.counts.as_raw_fd());
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.call(Helper::MapLookup);
    asm.jump_if(If::Equal, R0, 0, gone);
    add(asm, place * 8, 1);
    asm.place(gone);
}

/// Counts the frame and its bytes for the bucket in R7.
fn count_bucket(asm: &mut Assembler, maps: &Maps) {
    let gone = asm.label();
    asm.store(Size::Word, R10, -4, R7);
    asm.load_map(R1, maps.buckets.as_raw_fd());
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.call(Helper::MapLookup);
    asm.jump_if(If::Equal, R0, 0, gone);
    add(asm, 0, 1);
    asm.load(Size::Word, R2, R6, context::LENGTH);
    add(asm, 8, R2);
    asm.place(gone);
}

/// Adds to a counter at R0; this processor alone writes there.
fn add(asm: &mut Assembler, offset: i16, what: impl Into<super::assembler::Operand>) {
    asm.load(Size::Double, R1, R0, offset);
    asm.alu(Alu::Add, R1, what);
    asm.store(Size::Double, R0, offset, R1);
}
