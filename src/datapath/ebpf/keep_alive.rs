//! The program that answers a port's LACP partner while the daemon is away, frozen or late.
//!
//! The program is attached to the ingress hook of the port, on every data path. After each LACPDU
//! that the daemon sends, the daemon writes the [`KeepAlive`] of the port into the map of the
//! program. The program answers a received frame under these conditions:
//!
//! - The daemon's next LACPDU is overdue, and the limit is not reached.
//! - The frame is the LACPDU that the answer requires.
//! - The last answer is older than the least pause.
//! - The team device takes a copy of the frame, which it does only while it exists and is up.
//!
//! For an answer, the program overwrites the frame and sends the frame back out of the port. All
//! other frames go on to the next program.
//!
//! Owns the instructions, the map of each port, and the attachment. When the daemon ends, the map
//! stays with the attached program, and the next daemon continues the counters of the map.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use runners::wire::ethertype;
use runners::{Instant, KeepAlive, PortId};

use super::assembler::{Alu, Assembler, Helper, If, Label, Reg, Size};
use super::context;
use super::headers::half;
use super::hook::{self, AttachMode, AttachPoint, AttachedProgram};
use super::layout::read_u64;
use super::source_maps::nanoseconds;
use super::team_hook::Redirect;
use crate::datapath::{KeptAlive, MARK};
use crate::netlink::RouteSocket;
use crate::netlink::tc::Role;
use crate::sys::bpf::{Hook, Map, MapKind, Program};
use crate::sys::clock;
use crate::sys::packet::PRIORITY_CONTROL;

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

const NAME: &str = "teamr_keepalive";
/// A later daemon finds the map by this name, which never changes.
const MAP: &str = "teamr_keepalive";

/// Bytes of a frame with an LACPDU.
const FRAME: usize = 124;
/// Bytes of the frame that are copied to the stack for the comparison.
const COPIED: i32 = 56;

/// Key of the value that the daemon writes.
const DAEMON_VALUE: u32 = 0;
/// Key of the value that the program writes.
const PROGRAM_VALUE: u32 = 1;

// Offsets in the daemon's value. Times are nanoseconds of `CLOCK_BOOTTIME`, durations nanoseconds.

/// Time of the last LACPDU that the port sent; 0 for no answers.
const SENT: i16 = 0;
/// Least age of this LACPDU at which the program answers.
const OVERDUE: i16 = 8;
/// Greatest age of this LACPDU at which the program answers.
const LIMIT: i16 = 16;
/// Least pause between two answers.
const PAUSE: i16 = 24;
/// The frame that an answer requires.
const EXPECTED: i16 = 32;
/// The frame of the answer.
const ANSWER: i16 = 160;

/// Bytes of each value.
const VALUE: usize = 288;

// Offsets in the program's value.

/// Time of the last answer, in nanoseconds of `CLOCK_BOOTTIME`.
const ANSWERED_AT: i16 = 0;
/// Number of answers.
const ANSWERED: i16 = 8;

// Offsets on the stack.

/// A key of the map.
const KEY: i16 = -4;
/// The daemon's value at [`SENT`], as read first.
const SENT_BEFORE: i16 = -16;
/// The mark of the received frame.
const FORMER_MARK: i16 = -24;
/// The copy of the received frame.
const COPY: i16 = -24 - COPIED as i16;

/// The program of one port.
#[derive(Debug)]
struct PortProgram {
    map: Map,
    attached: AttachedProgram,
    /// Whether the program answers the partner's last LACPDU.
    armed: bool,
}

/// The programs of the ports of one team.
#[derive(Debug)]
pub struct KeepAlivePrograms {
    /// How programs are attached where the kernel offers both ways.
    mode: AttachMode,
    ports: BTreeMap<PortId, PortProgram>,
}

impl KeepAlivePrograms {
    /// Returns no programs yet; `mode` is how programs are attached where the kernel offers both ways.
    pub fn new(mode: AttachMode) -> Self {
        KeepAlivePrograms { mode, ports: BTreeMap::new() }
    }

    /// Has the program of a port give this `answer`, or none, until the last LACPDU of the port is
    /// older than `limit`. Attaches the program first if the port has none. A `limit` of zero
    /// detaches the program of the port, also that of a previous daemon. The port is the interface
    /// `ifindex`; `team` takes the copies of answered frames.
    ///
    /// # Errors
    /// The errors of bpf(2) and of attaching; the port then has no program, or answers as before.
    pub fn set(
        &mut self,
        route: &mut RouteSocket,
        (port, ifindex): (PortId, u32),
        team: Redirect,
        limit: Duration,
        answer: Option<&Answer>,
    ) -> io::Result<()> {
        if limit.is_zero() {
            self.detach(route, port)?;
            return clear(route, ifindex);
        }
        let known = match self.ports.remove(&port) {
            Some(known) => known,
            None => attach(route, self.mode, ifindex, team)?,
        };
        let written = known.map.write(DAEMON_VALUE, &daemon_value(limit, answer));
        let armed = answer.is_some_and(|answer| answer.keep_alive.heard);
        self.ports.insert(port, PortProgram { armed, ..known });
        written
    }

    /// Detaches the program of a port, if there is one; success if the interface is gone.
    ///
    /// # Errors
    /// The error of detaching the program, or of clearing the daemon's value; either step alone
    /// ends the answers.
    pub fn detach(&mut self, route: &mut RouteSocket, port: PortId) -> io::Result<()> {
        match self.ports.remove(&port) {
            Some(PortProgram { map, attached, .. }) => {
                let cleared = map.clear(DAEMON_VALUE);
                attached.detach(route).and(cleared)
            }
            None => Ok(()),
        }
    }

    /// Detaches all programs.
    ///
    /// # Errors
    /// The first error of [`detach`](Self::detach).
    pub fn close(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        let mut outcome = Ok(());
        for port in self.ports.keys().copied().collect::<Vec<PortId>>() {
            outcome = outcome.and(self.detach(route, port));
        }
        outcome
    }

    /// Attaches the program of an interface again if another program of the host has detached it.
    /// Returns whether the program was detached.
    ///
    /// # Errors
    /// The error of attaching.
    pub fn restore(&self, route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
        let mut restored = false;
        for port in self.ports.values().filter(|port| port.attached.ifindex() == ifindex) {
            restored |= port.attached.restore(route, NAME)?;
        }
        Ok(restored)
    }

    /// Returns whether the kernel does not report that another program of the host has detached a
    /// program.
    pub fn detach_silently(&self) -> bool {
        self.ports.values().any(|port| port.attached.detaches_silently())
    }

    /// Returns the interfaces whose programs another program of the host has detached from TCX
    /// hooks.
    pub fn detached(&self) -> BTreeSet<u32> {
        hook::detached_silently(self.ports.values().map(|port| &port.attached))
    }

    /// Returns the answers of the program of each port.
    pub fn answered(&self) -> Vec<(PortId, KeptAlive)> {
        let now = nanoseconds(clock::boottime());
        let of = |port: &PortProgram| {
            let outcome = port.map.read(PROGRAM_VALUE).unwrap_or_default();
            let (at, answered) = outcome.split_at(outcome.len().min(ANSWERED as usize));
            let answered = read_u64(answered);
            let age = Duration::from_nanos(now.saturating_sub(read_u64(at)));
            KeptAlive { armed: port.armed, answered, age: (answered > 0).then_some(age) }
        };
        self.ports.iter().map(|(id, port)| (*id, of(port))).collect()
    }
}

/// A [`KeepAlive`] with the time of the last LACPDU on the clock of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Nanoseconds of `CLOCK_BOOTTIME` when the port sent its last LACPDU.
    sent: u64,
    keep_alive: KeepAlive,
}

impl Answer {
    /// Converts the time in `keep_alive` to the clock of the program; `now` is the present time on
    /// the clock of the core.
    pub fn new(keep_alive: KeepAlive, now: Instant) -> Answer {
        let age = nanoseconds(now.saturating_since(keep_alive.sent));
        let sent = nanoseconds(clock::boottime()).saturating_sub(age).max(1);
        Answer { sent, keep_alive }
    }
}

/// Returns the daemon's value in the map.
fn daemon_value(limit: Duration, answer: Option<&Answer>) -> Vec<u8> {
    let mut value = vec![0; VALUE];
    let Some(Answer { sent, keep_alive }) = answer else {
        return value;
    };
    let mut put = |offset: i16, bytes: &[u8]| {
        let places = value.iter_mut().skip(offset as usize);
        places.zip(bytes).for_each(|(place, byte)| *place = *byte);
    };
    put(SENT, &sent.to_ne_bytes());
    // One LACPDU may be late by half a period.
    put(OVERDUE, &nanoseconds(keep_alive.period * 3 / 2).to_ne_bytes());
    put(LIMIT, &nanoseconds(limit).to_ne_bytes());
    put(PAUSE, &nanoseconds(keep_alive.pause).to_ne_bytes());
    put(EXPECTED, &keep_alive.expected());
    put(ANSWER, &keep_alive.answer());
    value
}

/// Attaches a program that gives no answers yet, in place of a previous daemon's program, and
/// continues the counters of the latter.
fn attach(
    route: &mut RouteSocket,
    preferred: AttachMode,
    ifindex: u32,
    team: Redirect,
) -> io::Result<PortProgram> {
    let at = attach_point(ifindex);
    let map = Map::create(MapKind::Array, VALUE, 2, MAP)?;
    let previous = hook::find(route, at, NAME).map_or(Vec::new(), |program| program.maps);
    let former = previous.iter().find_map(|id| Map::by_id(*id, MAP).ok()?.read(PROGRAM_VALUE).ok());
    if let Some(former) = former.filter(|outcome| outcome.len() == VALUE) {
        map.write(PROGRAM_VALUE, &former)?;
    }
    let program = Rc::new(Program::load(&program(&map, team), NAME)?);
    let mode = AttachMode::find(preferred, &program, at);
    let attached = mode.attach(route, at, program, NAME, None)?;
    Ok(PortProgram { map, attached, armed: false })
}

fn attach_point(ifindex: u32) -> AttachPoint {
    AttachPoint { ifindex, hook: Hook::Ingress, role: Role::KeepAlive }
}

/// Detaches a previous daemon's program from a port; success if the interface is gone.
///
/// # Errors
/// The error of detaching.
pub fn clear(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    hook::clear(route, attach_point(ifindex), NAME, None)
}

/// Returns the program for the frames that a port receives; `team` takes the copies of the frames
/// that are answered.
pub fn program(map: &Map, team: Redirect) -> Vec<u64> {
    let mut asm = Assembler::default();
    let next = asm.label();
    asm.set(R6, R1);
    unless_lacp(&mut asm, next);
    unless_overdue(&mut asm, map, next);
    unless_expected(&mut asm, next);
    // R8 holds the program's value from here on.
    look_up(&mut asm, map, PROGRAM_VALUE, next);
    asm.set(R8, R0);
    asm.load(Size::Double, R2, R8, ANSWERED_AT);
    asm.load(Size::Double, R3, R7, PAUSE);
    asm.alu(Alu::Add, R2, R3);
    asm.jump_if(If::Less, R9, R2, next);
    unless_team_is_up(&mut asm, team, next);
    answer(&mut asm);
    asm.place(next);
    asm.exit_with(context::NEXT);
    asm.finish()
}

/// Continues at `next` unless the frame is of a slow protocol, untagged, and at least as long as an
/// LACPDU.
fn unless_lacp(asm: &mut Assembler, next: Label) {
    asm.load(Size::Word, R2, R6, context::PROTOCOL);
    asm.jump_if(If::NotEqual, R2, half(ethertype::SLOW_PROTOCOLS), next);
    asm.load(Size::Word, R2, R6, context::VLAN_PRESENT);
    asm.jump_if(If::NotEqual, R2, 0, next);
    asm.load(Size::Word, R2, R6, context::LENGTH);
    asm.jump_if(If::Less, R2, FRAME as i32, next);
}

/// Sets R7 to the daemon's value and R9 to the time (`CLOCK_BOOTTIME`, in nanoseconds). Continues
/// at `next` unless the daemon's next LACPDU is overdue and the limit is not reached.
fn unless_overdue(asm: &mut Assembler, map: &Map, next: Label) {
    look_up(asm, map, DAEMON_VALUE, next);
    asm.set(R7, R0);
    asm.load(Size::Double, R8, R7, SENT);
    asm.jump_if(If::Equal, R8, 0, next);
    asm.store(Size::Double, R10, SENT_BEFORE, R8);
    asm.call(Helper::BootTime);
    asm.set(R9, R0);
    // A time in the future becomes a huge age, beyond the limit.
    asm.alu(Alu::Sub, R0, R8);
    asm.load(Size::Double, R2, R7, OVERDUE);
    asm.jump_if(If::Less, R0, R2, next);
    asm.load(Size::Double, R2, R7, LIMIT);
    asm.jump_if(If::Greater, R0, R2, next);
}

/// Continues at `next` unless the frame has the compared bytes of the expected one.
fn unless_expected(asm: &mut Assembler, next: Label) {
    asm.set(R1, R6);
    asm.set(R2, 0);
    asm.set(R3, R10);
    asm.alu(Alu::Add, R3, i32::from(COPY));
    asm.set(R4, COPIED);
    asm.call(Helper::LoadBytes);
    asm.jump_if(If::NotEqual, R0, 0, next);
    for range in KeepAlive::COMPARED {
        let mut place = range.start;
        while place < range.end {
            let (size, length) = match range.end - place {
                4.. => (Size::Word, 4),
                _ => (Size::Byte, 1),
            };
            asm.load(size, R2, R10, COPY + place as i16);
            asm.load(size, R3, R7, EXPECTED + place as i16);
            asm.jump_if(If::NotEqual, R2, R3, next);
            place += length;
        }
    }
}

/// Continues at `next` unless the team device takes a copy of the frame. The mark of the team's own
/// frames lets the copy pass the filters of the team.
fn unless_team_is_up(asm: &mut Assembler, team: Redirect, next: Label) {
    let taken = asm.label();
    asm.load(Size::Word, R2, R6, context::MARK);
    asm.store(Size::Double, R10, FORMER_MARK, R2);
    asm.set(R2, MARK as i32);
    asm.store(Size::Word, R6, context::MARK, R2);
    asm.set(R1, R6);
    asm.set(R2, team.ifindex as i32);
    asm.set(R3, i32::from(team.ingress));
    asm.call(Helper::CloneRedirect);
    asm.jump_if(If::Equal, R0, 0, taken);
    asm.load(Size::Double, R2, R10, FORMER_MARK);
    asm.store(Size::Word, R6, context::MARK, R2);
    asm.jump(next);
    asm.place(taken);
}

/// Overwrites the frame with the answer, counts the answer, and sends the frame out of the port.
fn answer(asm: &mut Assembler) {
    let (lost, whole) = (asm.label(), asm.label());
    asm.set(R1, R6);
    asm.set(R2, 0);
    asm.set(R3, R7);
    asm.alu(Alu::Add, R3, i32::from(ANSWER));
    asm.set(R4, FRAME as i32);
    asm.set(R5, 0);
    asm.call(Helper::StoreBytes);
    asm.jump_if(If::NotEqual, R0, 0, lost);
    // Another time shows that the daemon has sent an LACPDU meanwhile, so that the partner needs no
    // answer.
    asm.load(Size::Double, R2, R7, SENT);
    asm.load(Size::Double, R3, R10, SENT_BEFORE);
    asm.jump_if(If::NotEqual, R2, R3, lost);
    asm.load(Size::Word, R2, R6, context::LENGTH);
    asm.jump_if(If::Equal, R2, FRAME as i32, whole);
    asm.set(R1, R6);
    asm.set(R2, FRAME as i32);
    asm.set(R3, 0);
    asm.call(Helper::ChangeTail);
    asm.jump_if(If::NotEqual, R0, 0, lost);
    asm.place(whole);
    asm.store(Size::Double, R8, ANSWERED_AT, R9);
    asm.load(Size::Double, R2, R8, ANSWERED);
    asm.alu(Alu::Add, R2, 1);
    asm.store(Size::Double, R8, ANSWERED, R2);
    asm.set(R2, PRIORITY_CONTROL);
    asm.store(Size::Word, R6, context::PRIORITY, R2);
    asm.load(Size::Word, R1, R6, context::IFINDEX);
    asm.set(R2, 0);
    asm.call(Helper::Redirect);
    asm.exit();
    asm.place(lost);
    asm.exit_with(context::DROP);
}

/// Sets R0 to the value of a key; continues at `next` if the map lacks the key.
fn look_up(asm: &mut Assembler, map: &Map, key: u32, next: Label) {
    asm.store(Size::Word, R10, KEY, key as i32);
    asm.load_map(R1, map.as_raw_fd());
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, i32::from(KEY));
    asm.call(Helper::MapLookup);
    asm.jump_if(If::Equal, R0, 0, next);
}
