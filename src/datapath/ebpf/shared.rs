//! The maps and programs that the teams of a process share. The verifier reads a program once, and
//! not once for each team.
//!
//! A team has a [`Slot`] in [`SharedMaps`]. A program finds the slot by the index of the interface
//! of the frame: the bits above the last one are the slot's number, since the two ends of a veth
//! have indices in a row. An array takes 1 ns a frame where a hash table takes 14 ns. If there is one
//! slot, its values have constant addresses, which programs read without a lookup: 4 ns less a frame
//! in the program of a team device, nothing less in that of a port. A team whose slot is taken gets a
//! slot in other maps, which are larger than the former ones; the first ones have a slot for each team
//! at the start, up to the next power of two: one slot for a process with one team.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::tx_hash::definition;
use runners::{BUCKETS, TxPolicy};

use super::TRANSMIT;
use super::assembler::{Alu, Assembler, Helper, If, Label, Reg, Size};
use super::hook::AttachMode;
use super::layout::{Egress, VOLUME, bytes, read_volume};
use super::maps::MAX_PORTS;
use super::{context, team_program};
use crate::sys::bpf::{Map, MapKind, Program, RingBuffer};

use Reg::{R0, R1, R2, R3, R6, R10};

/// Bits of the number of slots by which each following maps are larger, and the most bits.
const GROWTH: usize = 3;
const MOST: usize = 9;
/// Least number of teams with which a process attaches programs by filters: the kernel serves the
/// attachments by TCX one after the other, and waits at each.
const MANY: usize = 17;
/// Bytes of [`CommonMaps::wakeup`]: records of 16 bytes, so that 4096 teams can wake the daemon before
/// the loop's next turn.
const WOKEN: usize = 4096 * 16;

/// Offset of the [`Egress`] of the first bucket in a team's entry; before that stands the index of
/// the team's interface.
pub const EGRESS: i32 = 8;
/// Counters of sent frames of a team: of frames without a port, then of each port.
const SENT: u32 = 1 + MAX_PORTS as u32;
/// Offset on the stack of the key of a map, and of the number that wakes the daemon. The verifier of
/// Linux 6.1 would take a number at the start of 8 bytes for a saved register.
pub const KEY: i16 = -4;

/// Returns the index in the tables of the port with this egress.
pub fn port_index(egress: Egress) -> usize {
    (egress.sent % SENT).saturating_sub(1) as usize
}

/// Maps without slots.
#[derive(Debug)]
pub struct CommonMaps {
    /// One value: the tables of the flow hash.
    pub hash: Map,
    /// Wakes the daemon with the index of a team's interface.
    pub wakeup: RingBuffer,
}

impl CommonMaps {
    /// Creates the maps.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `ENOSYS` where the kernel has no bpf(2).
    pub fn create() -> io::Result<CommonMaps> {
        let size = definition::KEY_LEN * 256 * size_of::<u32>();
        let maps = CommonMaps {
            hash: Map::create(MapKind::Array, size, 1, "teamr_hash")?,
            wakeup: RingBuffer::create("teamr_bell", WOKEN)?,
        };
        let words: Vec<u32> = definition::contributions().into_iter().flatten().collect();
        maps.hash.write(0, &bytes(&words))?;
        Ok(maps)
    }
}

/// Maps with a slot for each team, and the programs that use these maps.
#[derive(Debug)]
pub struct SharedMaps {
    /// Maps without slots.
    pub common: Rc<CommonMaps>,
    /// A power of two.
    slots: u32,
    /// By slot: the index of the team's interface, and the [`Egress`] of each bucket. Under
    /// activebackup bucket 0 has the active port.
    teams: Map,
    /// By slot: 1 if the next frame is to write to `wakeup`.
    idle: Map,
    /// By slot: how many frames roundrobin has sent.
    turns: Map,
    /// Frames and bytes sent, [`SENT`] pairs a slot.
    sent: Map,
    /// Frames and bytes sent, by slot and bucket; created for the first policy that needs them.
    buckets: OnceCell<Map>,
    taken: RefCell<BTreeSet<u32>>,
    /// Slots that a team has had; the values of all other slots are zero.
    used: RefCell<BTreeSet<u32>>,
    trial: OnceCell<Program>,
    /// Programs at work, by their instructions.
    programs: RefCell<BTreeMap<Vec<u64>, Weak<Program>>>,
}

impl SharedMaps {
    /// Creates maps with `slots` slots, a power of two.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `ENOSYS` where the kernel has no bpf(2).
    pub fn create(common: Rc<CommonMaps>, slots: u32) -> io::Result<SharedMaps> {
        let array = |size, name| Map::create(MapKind::Array, size, slots, name);
        // A running daemon may find the maps of an earlier version: the names never change.
        Ok(SharedMaps {
            common,
            slots,
            teams: array(EGRESS as usize + (BUCKETS << Egress::SHIFT), "teamr_choice")?,
            idle: array(size_of::<u32>(), "teamr_asleep")?,
            turns: array(size_of::<u64>(), "teamr_turn")?,
            sent: Map::create(MapKind::PerCpuArray, VOLUME, slots * SENT, "teamr_sent")?,
            buckets: OnceCell::new(),
            taken: RefCell::default(),
            used: RefCell::default(),
            trial: OnceCell::new(),
            programs: RefCell::default(),
        })
    }

    /// Returns the slot of the team whose interface has this index; `None` if another team has it.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn slot(self: &Rc<Self>, ifindex: u32) -> io::Result<Option<Slot>> {
        let number = ifindex >> 1 & (self.slots - 1);
        if !self.taken.borrow_mut().insert(number) {
            return Ok(None);
        }
        let slot = Slot { maps: Rc::clone(self), number, ifindex };
        slot.write(&[Egress::default(); BUCKETS])?;
        if !self.used.borrow_mut().insert(number) {
            slot.clear()?;
        }
        Ok(Some(slot))
    }

    /// Returns the program with these instructions: the one at work, or a new one that `load` loads.
    ///
    /// # Errors
    /// Those of `load`.
    pub(super) fn program(
        &self,
        instructions: Vec<u64>,
        load: impl FnOnce(&[u64]) -> io::Result<Program>,
    ) -> io::Result<Rc<Program>> {
        let mut programs = self.programs.borrow_mut();
        // A program at work keeps its maps open, so a descriptor in its instructions is no other map's.
        if let Some(program) = programs.get(&instructions).and_then(Weak::upgrade) {
            return Ok(program);
        }
        let program = Rc::new(load(&instructions)?);
        programs.retain(|_, program| program.strong_count() > 0);
        programs.insert(instructions, Rc::downgrade(&program));
        Ok(program)
    }

    /// Returns a program that is attached to nothing. The first call loads the programs that need most
    /// of the kernel as a test.
    ///
    /// # Errors
    /// Those of bpf(2) and of the verifier.
    pub(super) fn trial(&self) -> io::Result<&Program> {
        if let Some(program) = self.trial.get() {
            return Ok(program);
        }
        let load = |policy| {
            let port = [Egress::default()];
            Program::load(&team_program::transmit(&policy, &port, self, None), TRANSMIT)
        };
        load(TxPolicy::RoundRobin { packets_per_port: NonZeroU32::MIN })?;
        let program = load(TxPolicy::ActiveBackup { active: None })?;
        Ok(self.trial.get_or_init(|| program))
    }

    /// Emits the instructions after which `to` holds the slot of the frame's interface; R6 holds the
    /// context.
    fn load_number(&self, asm: &mut Assembler, to: Reg) {
        if self.slots == 1 {
            return asm.set(to, 0);
        }
        asm.load(Size::Word, to, R6, context::IFINDEX);
        asm.alu(Alu::ShiftRight, to, 1);
        asm.alu(Alu::And, to, self.slots as i32 - 1);
    }

    /// Emits the instructions after which R0 points to the value of `map` for the slot of the
    /// frame's interface. R1 to R5 are destroyed.
    fn look_up(&self, asm: &mut Assembler, map: &Map, none: Label) {
        if self.slots == 1 {
            return asm.load_value(R0, map.as_raw_fd(), 0);
        }
        self.load_number(asm, R2);
        asm.store(Size::Word, R10, KEY, R2);
        look_up(asm, map, none);
    }

    /// Emits the instructions after which R0 points to the entry of the frame's interface, or that
    /// continue at `none` if the team has no entry: its interface may have moved to another
    /// namespace, where other interfaces have the indices. R1 to R5 are destroyed.
    pub fn look_up_team(&self, asm: &mut Assembler, none: Label) {
        self.look_up(asm, &self.teams, none);
        asm.load(Size::Word, R2, R0, 0);
        asm.load(Size::Word, R3, R6, context::IFINDEX);
        asm.jump_if(If::NotEqual, R2, R3, none);
    }

    /// Emits the instructions after which R0 points to the number of frames that roundrobin has
    /// sent. R1 to R5 are destroyed.
    pub(super) fn look_up_turn(&self, asm: &mut Assembler, none: Label) {
        self.look_up(asm, &self.turns, none);
    }

    /// Emits the instructions that store the key of the counters of frames without a port on the
    /// stack.
    pub(super) fn store_no_port(&self, asm: &mut Assembler) -> &Map {
        self.load_number(asm, R2);
        asm.alu(Alu::Mul, R2, SENT as i32);
        asm.store(Size::Word, R10, KEY, R2);
        &self.sent
    }

    /// Emits the instructions that turn the key of a port's counters, an [`Egress::sent`], into the
    /// index of the port in the tables, below [`MAX_PORTS`].
    pub(super) fn port_index(&self, asm: &mut Assembler, key: Reg) {
        asm.alu(Alu::Mod, key, SENT as i32);
        asm.alu(Alu::Add, key, -1);
        asm.alu(Alu::And, key, MAX_PORTS as i32 - 1);
    }

    /// Counters by [`Egress::sent`].
    pub fn sent(&self) -> &Map {
        &self.sent
    }

    /// Emits the instructions that store the key of the counters of the bucket in R7 on the stack.
    /// `None` if no policy needs the counters.
    pub(super) fn store_bucket(&self, asm: &mut Assembler, bucket: Reg) -> Option<&Map> {
        let buckets = self.buckets.get()?;
        self.load_number(asm, R2);
        asm.alu(Alu::Mul, R2, BUCKETS as i32);
        asm.alu(Alu::Add, R2, bucket);
        asm.store(Size::Word, R10, KEY, R2);
        Some(buckets)
    }

    /// Emits the instructions that wake the daemon with the frame's interface, if the daemon waits
    /// for a frame. R0 to R5 and R8 are destroyed.
    pub(super) fn wake_daemon(&self, asm: &mut Assembler) {
        let awake = asm.label();
        self.look_up(asm, &self.idle, awake);
        self.wake_if_idle(asm, awake, |asm| {
            asm.load(Size::Word, R2, R6, context::IFINDEX);
            asm.store(Size::Word, R10, KEY, R2);
        });
        asm.place(awake);
    }

    fn wake_if_idle(&self, asm: &mut Assembler, awake: Label, store: impl FnOnce(&mut Assembler)) {
        const FORCE_WAKEUP: i32 = 2;
        asm.load(Size::Word, R2, R0, 0);
        asm.jump_if(If::Equal, R2, 0, awake);
        asm.set(Reg::R8, R0);
        asm.store(Size::Word, Reg::R8, 0, 0);
        store(asm);
        asm.load_map(R1, self.common.wakeup.as_raw_fd());
        asm.set(R2, R10);
        asm.alu(Alu::Add, R2, i32::from(KEY));
        asm.set(R3, size_of::<u32>() as i32);
        asm.set(Reg::R4, FORCE_WAKEUP);
        asm.call(Helper::RingOutput);
        asm.jump_if(If::Equal, R0, 0, awake);
        // The ring buffer is full: the next frame tries again.
        asm.store(Size::Word, Reg::R8, 0, 1);
    }
}

/// Emits the instructions after which R0 points to the value of the key on the stack.
fn look_up(asm: &mut Assembler, map: &Map, none: Label) {
    asm.load_map(R1, map.as_raw_fd());
    asm.set(R2, R10);
    asm.alu(Alu::Add, R2, i32::from(KEY));
    asm.call(Helper::MapLookup);
    asm.jump_if(If::Equal, R0, 0, none);
}

/// The place of a team in shared maps, free for another team when dropped. A program that is still
/// attached then goes on until another team has the place.
#[derive(Debug)]
pub struct Slot {
    maps: Rc<SharedMaps>,
    number: u32,
    ifindex: u32,
}

impl Slot {
    /// The maps.
    pub fn maps(&self) -> &SharedMaps {
        &self.maps
    }

    /// The maps, for other teams.
    pub fn shared(&self) -> Rc<SharedMaps> {
        Rc::clone(&self.maps)
    }

    /// Clears the counters that another team has left in the slot.
    fn clear(&self) -> io::Result<()> {
        self.maps.idle.clear(self.number)?;
        self.maps.sent.clear(self.number * SENT)?;
        if self.maps.buckets.get().is_some() {
            for bucket in 0..BUCKETS as u32 {
                self.maps.buckets.get().map_or(Ok(()), |map| map.clear(self.bucket(bucket)))?;
            }
        }
        Ok(())
    }

    /// Writes the egress of each bucket.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn write(&self, egress: &[Egress]) -> io::Result<()> {
        let entry = [bytes(&[self.ifindex, 0]), Egress::bytes(egress)].concat();
        self.maps.teams.write(self.number, &entry)
    }

    /// Has the next frame wake the daemon; fails as bpf(2) does.
    pub fn wake_on_frame(&self) -> io::Result<()> {
        self.maps.idle.write(self.number, &bytes(&[1]))
    }

    /// Returns the key in `sent` for the port with this index.
    pub(super) fn sent(&self, port_index: u32) -> u32 {
        self.no_port() + 1 + port_index
    }

    /// Returns the key in `sent` for frames without a port.
    pub(super) fn no_port(&self) -> u32 {
        self.number * SENT
    }

    fn bucket(&self, bucket: u32) -> u32 {
        self.number * BUCKETS as u32 + bucket
    }

    /// Creates the counters of the buckets, unless a policy of another team has done so.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub(super) fn count_buckets(&self) -> io::Result<()> {
        if self.maps.buckets.get().is_none() {
            let entries = self.maps.slots * BUCKETS as u32;
            let map = Map::create(MapKind::PerCpuArray, VOLUME, entries, "teamr_buckets")?;
            let _ = self.maps.buckets.set(map);
        }
        Ok(())
    }

    /// Returns the bytes sent in each bucket while they were counted.
    pub(super) fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        let mut bytes = Box::new([0; BUCKETS]);
        let Some(map) = self.maps.buckets.get() else { return bytes };
        for (bucket, bytes) in (0..).zip(bytes.iter_mut()) {
            *bytes = read_volume(map, self.bucket(bucket)).bytes;
        }
        bytes
    }

    /// Emits the instructions after which R0 points to the team's entry, in a program of this team
    /// alone. R1 to R5 are destroyed.
    pub(super) fn look_up_team(&self, asm: &mut Assembler, none: Label) {
        asm.store(Size::Word, R10, KEY, self.number as i32);
        look_up(asm, &self.maps.teams, none);
    }

    /// Emits the instructions that wake the daemon, in a program of this team alone. R0 to R5 and R8
    /// are destroyed.
    pub(super) fn wake_daemon(&self, asm: &mut Assembler) {
        let awake = asm.label();
        asm.store(Size::Word, R10, KEY, self.number as i32);
        look_up(asm, &self.maps.idle, awake);
        self.maps.wake_if_idle(asm, awake, |asm| {
            asm.store(Size::Word, R10, KEY, self.ifindex as i32);
        });
        asm.place(awake);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.maps.taken.borrow_mut().remove(&self.number);
    }
}

/// The shared maps of a process.
#[derive(Debug)]
pub struct SharedPrograms {
    registry: Rc<Registry>,
    token: Token,
    common: OnceCell<Rc<CommonMaps>>,
    /// Number of teams for which the next maps have slots.
    expected: Cell<usize>,
    /// Oldest first.
    maps: RefCell<Vec<Rc<SharedMaps>>>,
}

impl SharedPrograms {
    /// Returns no maps yet. The source `token` is ready when programs have [woken](Self::woken) the
    /// daemon.
    pub fn new(registry: Rc<Registry>, token: Token) -> Self {
        SharedPrograms {
            registry,
            token,
            common: OnceCell::new(),
            expected: Cell::new(1),
            maps: RefCell::default(),
        }
    }

    /// Sets the number of teams for which the next maps have slots. The verifier reads a program
    /// once for all teams with slots in the same maps.
    pub fn expect(&self, teams: usize) {
        self.expected.set(teams);
    }

    /// Returns how programs are attached where the kernel offers both ways: by TCX, or by filters in a
    /// process with many teams.
    pub fn attach_mode(&self) -> AttachMode {
        match self.expected.get() {
            ..MANY => AttachMode::Tcx,
            _ => AttachMode::Clsact,
        }
    }

    /// Returns a slot for the team whose interface has this index.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub(super) fn slot(&self, ifindex: u32) -> io::Result<Slot> {
        for maps in self.maps.borrow().iter() {
            if let Some(slot) = maps.slot(ifindex)? {
                return Ok(slot);
            }
        }
        let expected = self.expected.get().next_power_of_two().ilog2() as usize;
        let bits = (self.maps.borrow().len() * GROWTH).max(expected).min(MOST);
        let maps = Rc::new(SharedMaps::create(self.common()?, 1 << bits)?);
        let slot = maps.slot(ifindex)?;
        self.maps.borrow_mut().push(maps);
        slot.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))
    }

    fn common(&self) -> io::Result<Rc<CommonMaps>> {
        if let Some(common) = self.common.get() {
            return Ok(Rc::clone(common));
        }
        let common = Rc::new(CommonMaps::create()?);
        let fd = common.wakeup.as_raw_fd();
        self.registry.register(&mut SourceFd(&fd), self.token, Interest::READABLE)?;
        Ok(Rc::clone(self.common.get_or_init(|| common)))
    }

    /// Takes the indices of the teams' interfaces whose next frame has come, as asked for.
    pub fn woken(&self) -> Vec<u32> {
        let records = self.common.get().map_or(Vec::new(), |common| common.wakeup.take());
        let numbers = records.iter().filter_map(|record| record.first_chunk());
        numbers.map(|number| u32::from_ne_bytes(*number)).collect()
    }
}
