//! The eBPF programs, run by the kernel on test frames.
//!
//! Needs root; without it each test is skipped with the reason.

#[path = "../../../runners/tests/frame/mod.rs"]
mod frame;
mod instructions;
mod machine;
mod source;

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use frame::{Frame, Network};
use runners::{BUCKETS, HashFields, Selector, SplitMix64, TxPolicy};
use teamr::datapath::ebpf::assembler::{Alu, Assembler, Helper, If, Reg, Size};
use teamr::datapath::ebpf::layout::{Egress, read_volume};
use teamr::datapath::ebpf::shared::{CommonMaps, EGRESS, SharedMaps, Slot};
use teamr::datapath::ebpf::{bucket, team_program};
use teamr::sys::bpf::{Map, MapKind, Program, TestRun};

const NAMES: [&str; 9] = ["eth", "srcmac", "vlan", "ipv4", "ipv6", "tcp", "udp", "sctp", "encap"];
const FRAMES: usize = 100_000;

/// Every set of fields; with tunnels, which take the verifier long, only those that name the ports
/// of no protocol, of one, or of all.
fn sets() -> impl Iterator<Item = HashFields> {
    let ports = HashFields::TCP | HashFields::UDP | HashFields::SCTP;
    let sets = (0..1 << NAMES.len()).map(|set: usize| {
        (0..NAMES.len())
            .filter(|bit| set & (1 << bit) != 0)
            .filter_map(|bit| HashFields::from_name(NAMES[bit]))
            .fold(HashFields::NONE, |all, field| all | field)
    });
    sets.filter(move |fields| {
        let of_one = !fields.intersects(HashFields::UDP | HashFields::SCTP);
        !fields.contains(HashFields::ENCAP) || of_one || fields.contains(ports)
    })
}

/// Returns a program; prints the reason and returns `None` where loading it is not permitted.
fn permitted(loaded: io::Result<Program>) -> Option<Program> {
    match loaded {
        Ok(program) => Some(program),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: cannot load a program: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Instructions that the verifier of any kernel may follow in a program. Another version of the verifier
/// may follow hundred times as many, and no verifier follows more than a million.
const MOST_VERIFIED: u32 = 10_000;

/// Loads a program, which must take the verifier few steps.
fn load_soon_verified(asm: Assembler, name: &str) -> io::Result<Program> {
    let program = Program::load(&asm.finish(), name)?;
    let verified = program.info()?.verified;
    assert!(verified <= MOST_VERIFIED, "{name}: {verified} instructions");
    Ok(program)
}

/// Loads a program with the hash of these fields, without CAP_PERFMON unless tunnels count.
fn load_program(fields: HashFields, asm: Assembler, name: &str) -> io::Result<Program> {
    match fields.contains(HashFields::ENCAP) {
        true => Program::load_with_all_rights(&asm.finish(), name),
        false => load_soon_verified(asm, name),
    }
}

/// Interface of the frames of a test run.
const LOOPBACK: u32 = 1;

/// Returns the slot of a team on the loopback in maps with `slots` slots.
fn slot(slots: u32) -> io::Result<Slot> {
    let maps = Rc::new(SharedMaps::create(Rc::new(CommonMaps::create()?), slots)?);
    Ok(maps.slot(LOOPBACK)?.expect("no other team has the slot"))
}

/// Loads a program that only finds the bucket of a frame.
fn select(fields: HashFields) -> io::Result<Program> {
    let maps = CommonMaps::create()?;
    let mut asm = Assembler::default();
    asm.set(Reg::R6, Reg::R1);
    bucket::emit(&mut asm, fields, maps.hash.as_raw_fd());
    asm.set(Reg::R0, Reg::R7);
    asm.exit();
    load_program(fields, asm, "teamr_select")
}

/// User fields of the context: a tag to be kept beside the frame, protocol in the upper half, and
/// the length to cut the frame to; 0 for neither.
const TAG: i16 = 48;
const LENGTH: i16 = 52;
/// The kernel runs no program on a truncated IP header, so the program itself truncates the frame.
const SHORTEST_GIVEN: usize = 60;

/// Returns the beginning of a program under test, which changes the frame by the user fields.
fn prepare() -> Assembler {
    let mut asm = Assembler::default();
    let (whole, untagged) = (asm.label(), asm.label());
    asm.set(Reg::R6, Reg::R1);
    asm.load(Size::Word, Reg::R2, Reg::R6, LENGTH);
    asm.jump_if(If::Equal, Reg::R2, 0, whole);
    asm.set(Reg::R3, 0);
    asm.call(Helper::ChangeTail);
    asm.place(whole);
    asm.load(Size::Word, Reg::R3, Reg::R6, TAG);
    asm.jump_if(If::Equal, Reg::R3, 0, untagged);
    asm.set(Reg::R2, Reg::R3);
    asm.alu(Alu::ShiftRight, Reg::R2, 16);
    asm.network_order(Reg::R2, 16);
    asm.alu(Alu::And, Reg::R3, 0xffff);
    asm.set(Reg::R1, Reg::R6);
    asm.call(Helper::VlanPush);
    asm.place(untagged);
    asm
}

/// Loads a program that returns the bucket of a frame, by the instructions of the team's program.
fn load(fields: HashFields) -> io::Result<Program> {
    let slot = slot(8)?;
    let mut asm = prepare();
    let none = asm.label();
    bucket::emit(&mut asm, fields, slot.maps().common.hash.as_raw_fd());
    // The verifier accepts the bucket as the team's program uses it.
    slot.maps().look_up_team(&mut asm, none);
    asm.set(Reg::R8, Reg::R0);
    asm.alu(Alu::Add, Reg::R8, EGRESS);
    asm.set(Reg::R2, Reg::R7);
    asm.alu(Alu::ShiftLeft, Reg::R2, Egress::SHIFT);
    asm.alu(Alu::Add, Reg::R8, Reg::R2);
    asm.load(Size::Word, Reg::R0, Reg::R8, 0);
    asm.place(none);
    asm.set(Reg::R0, Reg::R7);
    asm.exit();
    load_program(fields, asm, "teamr_bucket")
}

/// Returns the result of a program for a frame. With `outside` the outermost tag, if complete, is
/// in the context instead of the frame.
fn run(program: &Program, frame: &[u8], outside: bool) -> u32 {
    run_whole(program, frame, outside).result
}

/// Returns the result of a program for a frame, as [`run`], and the frame that the program leaves.
fn run_whole(program: &Program, frame: &[u8], outside: bool) -> TestRun {
    let (mut given, tag) = without_tag(frame, outside);
    let length = given.len();
    given.resize(length.max(SHORTEST_GIVEN), 0xee);
    let run = program.test(&given, &context(tag, length), 1);
    run.unwrap_or_else(|error| panic!("{error}: {given:02x?}"))
}

/// Returns a frame without the outermost tag, and the tag, if the tag is complete and `outside`.
fn without_tag(frame: &[u8], outside: bool) -> (Vec<u8>, Option<(u16, u16)>) {
    match u16::from_be_bytes([frame[12], frame[13]]) {
        kind @ (0x8100 | 0x88a8) if outside && frame.len() >= 18 => {
            let content = u16::from_be_bytes([frame[14], frame[15]]);
            ([&frame[..12], &frame[16..]].concat(), Some((kind, content)))
        }
        _ => (frame.to_vec(), None),
    }
}

/// Returns the head of a `struct __sk_buff` with these user fields.
fn context(tag: Option<(u16, u16)>, length: usize) -> [u8; 68] {
    let (protocol, content) = tag.unwrap_or_default();
    let tag = u32::from(protocol) << 16 | u32::from(content);
    let mut context = [0; 68];
    for (place, value) in [(TAG as usize, tag), (LENGTH as usize, length as u32)] {
        context[place..place + 4].copy_from_slice(&value.to_ne_bytes());
    }
    context
}

/// Seeded generator of frames: the same ones in each run.
struct Random(SplitMix64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(SplitMix64::new(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.0.next_u64() as u8)
    }

    fn network(&mut self) -> Network {
        match self.below(5) {
            0 => Network::Arp { addresses: self.bytes() },
            1 | 2 => Network::Ipv4 {
                addresses: self.bytes(),
                options: self.one_of(&[0, 0, 1, 5, 10]),
                fragment: self.one_of(&[0, 0x4000, 0x4000, 0x2000, 1, 0x1fff, 0x8000]),
            },
            _ => Network::Ipv6 {
                addresses: self.bytes(),
                extensions: {
                    let length = self.one_of(&[0, 0, 1, 2, 7, 8, 9]);
                    (0..length).map(|_| self.one_of(&[0, 43, 51, 60])).collect()
                },
                fragment: match self.below(4) {
                    0 => Some(self.one_of(&[0, 1, 6, 8, 0xfff8])),
                    _ => None,
                },
            },
        }
    }

    /// Returns a tunnel's frame around a frame, or around its packet.
    fn tunnel(&mut self, inside: &[u8]) -> Vec<u8> {
        let network = self.network();
        let protocol = self.one_of(&[4, 41, 47, 47, 17, 17]);
        let outer = Frame {
            eth: self.bytes(),
            tags: Vec::new(),
            network,
            protocol,
            ports: [self.0.next_u64() as u16, self.one_of(&[4789, 4789, 4790])],
            filler: 0,
        };
        let mut bytes = outer.build();
        // Remove all that Frame adds behind the IP header.
        bytes.truncate(bytes.len().saturating_sub(32 + 4));
        let kind = [inside[12], inside[13]];
        let packet = &inside[14..];
        match protocol {
            47 => {
                let options = self.one_of(&[0, 0x80, 0x10, 0x20, 0xa0, 0xb0, 0x40]);
                let bridged = self.once_in(2);
                let version = u8::from(self.once_in(8));
                bytes.extend([options, version]);
                bytes.extend(if bridged { [0x65, 0x58] } else { kind });
                let length = 4 * (options & 0xb0_u8).count_ones();
                bytes.resize(bytes.len() + length as usize, 7);
                bytes.extend(if bridged { inside } else { packet });
            }
            17 => {
                bytes.extend(outer.ports.map(u16::to_be_bytes).concat());
                bytes.extend([0, 0, 0, 0, self.one_of(&[8, 8, 8, 0]), 0, 0, 0, 0, 0, 7, 0]);
                bytes.extend(inside);
            }
            _ => bytes.extend(packet),
        }
        bytes
    }

    /// Returns a frame: most are valid, some damaged, some truncated, some of random bytes.
    fn frame(&mut self) -> Vec<u8> {
        let tags = self.one_of(&[0, 0, 1, 2, 3, 4, 5]);
        let frame = Frame {
            eth: self.bytes(),
            tags: (0..tags)
                .map(|_| (self.one_of(&[0x8100, 0x88a8]), self.0.next_u64() as u16))
                .collect(),
            network: self.network(),
            protocol: self.one_of(&[6, 6, 17, 132, 58, 1, 0, 44, 51]),
            ports: [self.0.next_u64() as u16, self.0.next_u64() as u16],
            filler: self.0.next_u64() as u8,
        };
        let mut bytes = frame.build();
        if self.once_in(3) {
            let tunnels = 1 + self.below(6);
            bytes = (0..tunnels).fold(bytes, |inside, _| self.tunnel(&inside));
        }
        if self.once_in(8) {
            let place = 12 + self.below(bytes.len() - 12);
            bytes[place] = self.0.next_u64() as u8;
        }
        if self.once_in(4) {
            bytes.truncate(14 + self.below(bytes.len() - 13));
        }
        if self.once_in(50) {
            let length = 14 + self.below(100);
            bytes = (0..length).map(|_| self.0.next_u64() as u8).collect();
        }
        bytes
    }
}

#[test]
fn program_and_selector_agree_on_every_frame() {
    let mut pairs = Vec::new();
    for fields in sets() {
        let Some(program) = permitted(load(fields)) else {
            return;
        };
        pairs.push((program, Selector::new(fields)));
    }
    let outside = Selector::new(HashFields::IPV4 | HashFields::IPV6);
    let inside = Selector::new(HashFields::IPV4 | HashFields::IPV6 | HashFields::ENCAP);
    let mut tunnels = 0;
    let mut random = Random::new(7);
    for number in 0..FRAMES {
        let frame = random.frame();
        tunnels += usize::from(outside.bucket(&frame) != inside.bucket(&frame));
        let (program, selector) = &pairs[random.below(pairs.len())];
        let expected = selector.bucket(&frame);
        assert_eq!(
            run(program, &frame, random.once_in(2)),
            u32::from(expected),
            "{:?}, frame {number}: {frame:02x?}",
            selector.fields()
        );
    }
    assert!(tunnels > FRAMES / 20, "{tunnels} frames in tunnels");
}

/// Returns the nanoseconds that a program takes for a frame: the least of some means.
fn cost(program: &Program, frame: &[u8]) -> u32 {
    let runs = (0..9).map(|_| program.test(frame, &[], 200_000).expect("run"));
    runs.map(|run| run.nanoseconds).min().unwrap_or_default()
}

/// Loads a program that does nothing.
fn nothing() -> Option<Program> {
    let mut asm = Assembler::default();
    asm.exit_with(0);
    permitted(Program::load(&asm.finish(), "nothing"))
}

/// Prints the cost of the selection beyond a program that does nothing; the figure depends on the
/// machine and is not checked.
#[test]
fn the_cost_of_a_selection_is_printed() {
    let Some(nothing) = nothing() else {
        return;
    };
    let tcp4 = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1000, 2000]);
    let mut tcp6 = tcp4.clone();
    tcp6.network = Network::Ipv6 { addresses: [0x20; 32], extensions: Vec::new(), fragment: None };
    let tagged = Frame { tags: vec![(0x8100, 7)], ..tcp4.clone() };
    for (what, frame) in [("IPv4", tcp4), ("IPv6", tcp6), ("tagged IPv4", tagged)] {
        let frame = frame.build();
        let floor = cost(&nothing, &frame);
        for set in [
            &["eth"][..],
            &["l3"],
            &["l3", "l4"],
            &["eth", "l3"],
            &["eth", "l3", "l4"],
            &["l3", "l4", "encap"],
        ] {
            let named = set.iter().filter_map(|name| HashFields::from_name(name));
            let fields = named.fold(HashFields::NONE, |all, field| all | field);
            let Some(program) = permitted(select(fields)) else {
                return;
            };
            let net = cost(&program, &frame).saturating_sub(floor);
            println!("TCP over {what}, {set:?}: {net} ns");
        }
    }
}

/// Returns the frames that a test run's program has counted as sent under a key.
fn sent(slot: &Slot, key: u32) -> u64 {
    read_volume(slot.maps().sent(), key).frames
}

#[test]
fn a_shared_program_sends_the_frames_of_a_team_by_the_slot_of_the_team() {
    const REDIRECT: u32 = 7;
    const DROP: u32 = 2;
    let Some(_) = nothing() else {
        return;
    };
    let slot = slot(8).expect("a slot");
    let policy = TxPolicy::ActiveBackup { active: None };
    let instructions = team_program::transmit(&policy, &[], slot.maps(), None);
    let program = Program::load(&instructions, "teamr_transmit").expect("a program");
    let frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1000, 2000]).build();
    let result = || program.test(&frame, &[], 1).expect("run").result;
    assert_eq!(result(), DROP, "no port");
    slot.write(&[Egress { ifindex: 41, sent: 5 }; BUCKETS]).expect("written");
    assert_eq!((result(), sent(&slot, 5)), (REDIRECT, 1));

    // Another team has the same number.
    let maps = slot.shared();
    assert!(maps.slot(LOOPBACK + 16).expect("maps").is_none());
    drop(slot);
    let other = maps.slot(LOOPBACK + 16).expect("maps").expect("the slot is free");
    other.write(&[Egress { ifindex: 42, sent: 6 }; BUCKETS]).expect("written");
    assert_eq!((result(), sent(&other, 6)), (DROP, 0), "the frame of another interface");
}

#[test]
fn the_first_frame_after_a_request_wakes_the_daemon_with_the_interface() {
    let Some(_) = nothing() else {
        return;
    };
    let slot = slot(8).expect("a slot");
    let policy = TxPolicy::ActiveBackup { active: None };
    let instructions = team_program::transmit(&policy, &[], slot.maps(), None);
    let program = Program::load(&instructions, "teamr_transmit").expect("a program");
    let frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1000, 2000]).build();
    let run = |times| program.test(&frame, &[], times).expect("run");
    let wakeup = &slot.maps().common.wakeup;
    run(1);
    assert!(wakeup.take().is_empty(), "nobody asked");
    // More often than the ring buffer has places.
    for _ in 0..10_000 {
        slot.wake_on_frame().expect("asked");
        run(2);
        assert_eq!(wakeup.take(), [LOOPBACK.to_ne_bytes()]);
    }
    for _ in 0..10_000 {
        slot.wake_on_frame().expect("asked");
        run(1);
    }
    let queued = wakeup.take();
    assert!((1000..10_000).contains(&queued.len()), "{}", queued.len());
    run(1);
    assert_eq!(wakeup.take(), [LOOPBACK.to_ne_bytes()], "the request that found no place");
}

/// Prints the cost of finding the ports of a team, in maps that the team has alone and in shared maps;
/// the figures depend on the machine and are not checked.
#[test]
fn the_cost_of_finding_a_team_is_printed() {
    const TIMES: u32 = 10;
    let Some(nothing) = nothing() else {
        return;
    };
    let own = Map::create(MapKind::Array, BUCKETS << Egress::SHIFT, 1, "own").expect("a map");
    let slot = slot(512).expect("a slot");
    let load = |find: &dyn Fn(&mut Assembler)| {
        let mut asm = Assembler::default();
        asm.set(Reg::R6, Reg::R1);
        for _ in 0..TIMES {
            find(&mut asm);
        }
        asm.exit_with(0);
        Program::load(&asm.finish(), "teamr_find").expect("a program")
    };
    let alone = load(&|asm| {
        asm.load_value(Reg::R8, own.as_raw_fd(), 0);
        asm.load(Size::Word, Reg::R8, Reg::R8, 0);
    });
    let shared = load(&|asm| {
        let none = asm.label();
        slot.maps().look_up_team(asm, none);
        asm.load(Size::Word, Reg::R8, Reg::R0, EGRESS as i16);
        asm.place(none);
    });
    let frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1000, 2000]).build();
    let floor = cost(&nothing, &frame);
    for (what, program) in [("of its own", alone), ("shared", shared)] {
        let net = f64::from(cost(&program, &frame).saturating_sub(floor)) / f64::from(TIMES);
        println!("ports of a team in maps {what}: {net} ns");
    }
}
