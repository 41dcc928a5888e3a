//! Source balancing by programs and by the relay gives the same result for every frame.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::io;
use std::time::{Duration, Instant as Clock};

use runners::learned_sources::LearnedSources;
use runners::{
    BUCKETS, Distributor, Forwarding, HostBalance, HwAddr, Instant, PortForwarding, PortId,
    Reception, Selection, SourceBalance, TxPolicy,
};
use teamr::datapath::ebpf::assembler::{Alu, Reg};
use teamr::datapath::ebpf::host_maps::{HostMaps, receivers};
use teamr::datapath::ebpf::host_program;
use teamr::datapath::ebpf::layout::Egress;
use teamr::datapath::ebpf::shared::EGRESS;
use teamr::datapath::ebpf::source_maps::{SourceMaps, policy_value};
use teamr::datapath::ebpf::source_program::{self, Arriving, Leaving};
use teamr::sys::bpf::Program;

use crate::frame::{Frame, Network};
use crate::{
    Random, cost, load_soon_verified, nothing, permitted, prepare, run, run_whole, slot,
    without_tag,
};

const FRAMES: usize = 100_000;
/// Results of the programs: of the team device's beside a bucket, and of a port's.
const DESIGNATED: u32 = 256;
const TO_PEER: u32 = 512;
const TAKEN: u32 = 0;
const NOT_HERE: u32 = 1;
const ECHO: u32 = 2;

const TEAM: HwAddr = HwAddr([2, 0, 0, 0, 0, 0xdd]);
const PORTS: [PortId; 2] = [PortId(1), PortId(2)];
/// The addresses of the team on the ports, and on a port that has failed.
const ADDRESSES: [HwAddr; 3] =
    [HwAddr([2, 0, 0, 0, 0, 1]), HwAddr([2, 0, 0, 0, 0, 2]), HwAddr([2, 0, 0, 0, 0, 3])];

fn ifindex(port: PortId) -> u32 {
    40 + port.0
}

fn egress(port: Option<PortId>) -> Egress {
    port.map_or(Egress::default(), |port| Egress { ifindex: ifindex(port), sent: port.0 })
}

/// The programs of a team with two ports.
struct Programs {
    maps: SourceMaps,
    leave: Program,
    arrive: [Program; 2],
}

impl Programs {
    fn load(policy: &SourceBalance) -> io::Result<Programs> {
        let slot = slot(1)?;
        slot.write(&policy.buckets.map(egress))?;
        let mut maps = SourceMaps::create(&[])?;
        maps.policy.write(0, &policy_value(policy, egress))?;
        if let Some(host) = &policy.host {
            let receives = |port| PORTS.contains(&port).then(|| ifindex(port));
            let mut created = HostMaps::create(host.receive)?;
            let designated = egress(policy.designated).ifindex;
            created.write_addresses(receivers(host, receives, designated))?;
            maps.host = Some(created);
        }

        let mut asm = prepare();
        let (by_bucket, designated, to_peer) = (asm.label(), asm.label(), asm.label());
        let leaving = Leaving { by_bucket, designated, to_peer };
        source_program::leave(&mut asm, &maps, BUCKETS as i32, leaving);
        if let Some(host) = &maps.host {
            asm.place(to_peer);
            let none = asm.label();
            asm.set(Reg::R9, Reg::R7);
            slot.maps().look_up_team(&mut asm, none);
            asm.set(Reg::R8, Reg::R0);
            asm.alu(Alu::Add, Reg::R8, EGRESS);
            asm.alu(Alu::ShiftLeft, Reg::R7, Egress::SHIFT);
            asm.alu(Alu::Add, Reg::R8, Reg::R7);
            host_program::write_source(&mut asm, slot.maps(), &maps, host);
            asm.place(none);
            asm.set(Reg::R0, Reg::R9);
            asm.alu(Alu::Add, Reg::R0, TO_PEER as i32);
            asm.exit();
        }
        asm.place(by_bucket);
        asm.set(Reg::R0, Reg::R7);
        asm.exit();
        asm.place(designated);
        asm.exit_with(DESIGNATED as i32);
        let leave = load_soon_verified(asm, "teamr_leave")?;

        let arrive = |port| {
            let mut asm = prepare();
            let (taken, not_here, echo) = (asm.label(), asm.label(), asm.label());
            let arriving = Arriving { taken, not_here, echo };
            source_program::arrive(&mut asm, &maps, &slot, ifindex(port), arriving);
            for (label, code) in [(taken, TAKEN), (not_here, NOT_HERE), (echo, ECHO)] {
                asm.place(label);
                asm.exit_with(code as i32);
            }
            load_soon_verified(asm, "teamr_arrive")
        };
        let arrive = [arrive(PORTS[0])?, arrive(PORTS[1])?];
        Ok(Programs { maps, leave, arrive })
    }
}

/// Returns a policy with buckets on both ports, some without a port, some that have just moved.
/// Returns a policy. With `receive` the host's own traffic is spread over the ports: `true` is alb,
/// `false` tlb; without `receive` (slb) the traffic stays on the designated port.
fn policy(receive: Option<bool>) -> SourceBalance {
    let port = |number: usize| match number % 5 {
        0 | 2 => Some(PORTS[0]),
        1 | 3 => Some(PORTS[1]),
        _ => None,
    };
    SourceBalance {
        buckets: Box::new(std::array::from_fn(port)),
        previous: Box::new(std::array::from_fn(|number| match number % 3 {
            0 => Some(PORTS[number % 2]),
            _ => None,
        })),
        designated: Some(PORTS[0]),
        hwaddr: TEAM,
        host: receive.map(|receive| HostBalance {
            addresses: (1..).map(PortId).zip(ADDRESSES).collect(),
            receive,
        }),
    }
}

fn distributor(policy: SourceBalance) -> Distributor {
    let mut distributor = Distributor::new();
    distributor.apply(&Forwarding {
        policy: TxPolicy::SourceBalance { ports: policy, balanced: false },
        ports: PORTS
            .map(|port| PortForwarding {
                port,
                collecting: true,
                distributing: true,
                linked: true,
                link_from_watch: false,
            })
            .to_vec(),
    });
    distributor
}

impl Random {
    fn source(&mut self) -> [u8; 6] {
        let number = self.below(40) as u8;
        match self.below(20) {
            0 | 3..=6 => TEAM.0,
            7 => self.one_of(&ADDRESSES).0,
            1 => [1, 0, 0x5e, 0, 0, number],
            2 => [0xff; 6],
            _ => [2, 1, 0, 0, 0, number],
        }
    }

    /// Returns a frame between a few addresses: announcements, membership reports, and others.
    fn among_sources(&mut self) -> Vec<u8> {
        let mut frame = self.frame();
        let announcement = self.once_in(3);
        if announcement {
            let own = self.bytes::<4>();
            let asked = if self.once_in(3) { self.bytes() } else { own };
            frame = Frame {
                eth: self.bytes(),
                tags: Vec::new(),
                network: Network::Arp {
                    addresses: [own, asked].concat().try_into().expect("8 bytes"),
                },
                protocol: 0,
                ports: [0; 2],
                filler: self.0.next_u64() as u8,
            }
            .build();
            if self.once_in(4) {
                frame[12..14].copy_from_slice(&[0x80, 0x35]);
            }
        } else if self.once_in(3) {
            let ip = loop {
                match self.network() {
                    Network::Arp { .. } => {}
                    ip => break ip,
                }
            };
            let protocol = match ip {
                Network::Ipv4 { .. } => 2,
                _ => 58,
            };
            frame = Frame {
                eth: self.bytes(),
                tags: Vec::new(),
                network: ip,
                protocol,
                ports: [u16::from(self.one_of(&[130, 131, 132, 143, 135_u8])) << 8, 0],
                filler: self.0.next_u64() as u8,
            }
            .build();
        } else if self.once_in(2) {
            frame = self.discovery();
        }
        if self.once_in(8) {
            frame.truncate(14 + self.below(frame.len() - 13));
        }
        let (to, from) = (self.source(), self.source());
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&from);
        if announcement && !self.once_in(4) {
            frame[..6].fill(0xff);
        }
        // Few VLANs: full tables drop keys in different orders.
        if let Some([0x81, 0, high, low] | [0x88, 0xa8, high, low]) = frame.get_mut(12..16) {
            (*high, *low) = (*high & 0xf0, *low & 1);
        }
        if self.once_in(3) {
            let tag = [0x81, 0, 0xf0 & self.0.next_u64() as u8, self.below(2) as u8];
            frame.splice(12..12, tag);
        }
        frame
    }
}

impl Random {
    /// Returns a message of neighbour discovery among a few peers, mostly a solicitation or an
    /// advertisement with an option for the hardware address.
    fn discovery(&mut self) -> Vec<u8> {
        let kind = self.one_of(&[135, 135, 135, 136, 136, 136, 133, 137, 138_u8]);
        let mut addresses = [0; 32];
        addresses[15] = self.below(4) as u8;
        addresses[31] = self.below(40) as u8;
        let mut frame = Frame {
            eth: self.bytes(),
            tags: Vec::new(),
            network: Network::Ipv6 {
                addresses,
                extensions: if self.once_in(4) { vec![60] } else { Vec::new() },
                fragment: None,
            },
            protocol: 58,
            ports: [u16::from(kind) << 8, self.0.next_u64() as u16],
            filler: self.below(4) as u8,
        }
        .build();
        let option = frame.len() - 12;
        let length = self.one_of(&[1, 1, 1, 2]);
        frame[option..option + 2].copy_from_slice(&[kind.wrapping_sub(134), length]);
        frame
    }
}

/// Returns the frame as the relay sends it.
fn rewritten(frame: &[u8], selection: Selection<'_>) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let Some(source) = selection.source else {
        return frame;
    };
    if let Some(at) = selection.sender_at {
        frame[at..at + 6].copy_from_slice(&source.0);
    }
    if let Some(at) = selection.checksum_at {
        // RFC 1624, equation 3.
        let words = |bytes: &[u8]| -> Vec<u16> {
            bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
        };
        let former = words(&frame[at..at + 2])[0];
        let away = words(&frame[6..12]).into_iter().map(|word| !word);
        let terms = away.chain(words(&source.0)).chain([!former]);
        let mut sum: u32 = terms.map(u32::from).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        frame[at..at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
    frame[6..12].copy_from_slice(&source.0);
    frame
}

/// Returns the learned sources without times, and sorted.
fn comparable(memory: LearnedSources) -> LearnedSources {
    let mut stations = memory.stations;
    for station in &mut stations {
        station.silent = Duration::ZERO;
        station.locked = match station.locked {
            Duration::ZERO => Duration::ZERO,
            _ => Duration::from_secs(1),
        };
    }
    stations.sort_by_key(|station| (station.hwaddr, station.vlan));
    LearnedSources { stations, ..memory }
}

/// Asserts that both have learned the same sources.
fn assert_alike(programs: &Programs, relay: &Distributor) {
    let read = programs.maps.read().expect("read the maps");
    let relays = relay.learned_sources().expect("learned sources");
    assert_eq!(comparable(read), comparable(relays));
}

/// Kinds of frames that a run has met.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Taken,
    NotHere,
    Echo,
    ByBucket,
    Designated,
    Membership,
    /// A frame to a peer that leaves with the address of a port.
    Rewritten,
    /// A frame to a peer that leaves with the team's own address, or does not leave.
    ToPeer,
    /// A received frame to the address of a port.
    TakenAs,
    /// An address message with the address of a port.
    Announcement,
    /// An address message with a corrected checksum.
    Corrected,
}

/// Frames of each kind.
type Counts = [u32; Seen::Corrected as usize + 1];

/// The relay's decision about a frame: the result of the program, the frame afterwards, and its kinds.
type Expected = (u32, Vec<u8>, Vec<Seen>);

fn expected_on(relay: &mut Distributor, port: PortId, frame: &[u8]) -> Expected {
    let untouched = frame.to_vec();
    match relay.receive(port, frame) {
        Reception::Taken => (TAKEN, untouched, vec![Seen::Taken]),
        Reception::NotHere => (NOT_HERE, untouched, vec![Seen::NotHere]),
        Reception::Echo => (ECHO, untouched, vec![Seen::Echo]),
        Reception::TakenAs(hwaddr) => {
            (TAKEN, [&hwaddr.0, &frame[6..]].concat(), vec![Seen::TakenAs])
        }
    }
}

fn expected_of_team(relay: &mut Distributor, spread: bool, frame: &[u8]) -> Expected {
    let own = frame[6..12] == TEAM.0;
    let selection = relay.select(frame);
    let (result, kind) = match (selection.bucket.map(u32::from), selection.source) {
        (Some(bucket), None) if own && spread => (TO_PEER + bucket, Seen::ToPeer),
        (Some(bucket), Some(_)) => (TO_PEER + bucket, Seen::Rewritten),
        (Some(bucket), None) => (bucket, Seen::ByBucket),
        (None, None) => (DESIGNATED, Seen::Designated),
        (None, Some(_)) => (DESIGNATED, Seen::Membership),
    };
    let announces = selection.source.and(selection.sender_at).map(|_| Seen::Announcement);
    let corrects = selection.source.and(selection.checksum_at).map(|_| Seen::Corrected);
    let kinds = [Some(kind), announces, corrects].into_iter().flatten().collect();
    (result, rewritten(frame, selection), kinds)
}

/// Compares programs and relay under a policy; returns the frames of each kind.
fn agree_on_every_frame(receive: Option<bool>) -> Option<Counts> {
    let programs = match Programs::load(&policy(receive)) {
        Ok(programs) => programs,
        Err(error) => {
            assert!(permitted(Err(error)).is_none());
            return None;
        }
    };
    let mut relay = distributor(policy(receive));
    // As in the daemon, which learns peers from the messages of the programs.
    let mut daemon = distributor(policy(receive));
    let started = Clock::now();
    let mut random = Random::new(11);
    let mut seen = Counts::default();
    for number in 0..FRAMES {
        let now = Instant::ZERO + started.elapsed();
        relay.set_time(now);
        daemon.set_time(now);
        let frame = random.among_sources();
        let outside = random.once_in(2);
        let place = random.below(4);
        let (program, (result, left, kinds)) = match PORTS.get(place) {
            Some(port) => (&programs.arrive[place], expected_on(&mut relay, *port, &frame)),
            None => (&programs.leave, expected_of_team(&mut relay, receive.is_some(), &frame)),
        };
        for kind in kinds {
            seen[kind as usize] += 1;
        }
        let run = run_whole(program, &frame, outside);
        assert_eq!(run.result, result, "frame {number}, {place}: {frame:02x?}");
        let left = without_tag(&left, outside).0;
        assert_eq!(run.frame, left, "frame {number}, {place}: {frame:02x?}");
        for message in programs.maps.host.iter().flat_map(HostMaps::take_messages) {
            daemon.learn_peer(message.sent, &message.bytes);
        }
    }
    assert_alike(&programs, &relay);
    assert_eq!(daemon.peers(), relay.peers());
    assert_eq!(relay.peers().len() > 100, receive == Some(true), "{}", relay.peers().len());
    Some(seen)
}

fn assert_met(seen: Counts, kinds: &[Seen]) {
    for kind in kinds {
        assert!(seen[*kind as usize] > 300, "{kind:?}: {seen:?}");
    }
}

const OF_STATIONS: [Seen; 6] =
    [Seen::Taken, Seen::NotHere, Seen::Echo, Seen::ByBucket, Seen::Designated, Seen::Membership];
const OF_PEERS: [Seen; 3] = [Seen::Rewritten, Seen::ToPeer, Seen::TakenAs];

#[test]
fn programs_and_relay_agree_on_every_frame() {
    if let Some(seen) = agree_on_every_frame(None) {
        assert_met(seen, &OF_STATIONS);
    }
}

#[test]
fn programs_and_relay_agree_on_every_frame_of_tlb() {
    if let Some(seen) = agree_on_every_frame(Some(false)) {
        assert_met(seen, &OF_STATIONS);
        assert_met(seen, &OF_PEERS);
        assert_eq!(seen[Seen::Announcement as usize], 0);
    }
}

#[test]
fn programs_and_relay_agree_on_every_frame_of_alb() {
    if let Some(seen) = agree_on_every_frame(Some(true)) {
        assert_met(seen, &OF_STATIONS);
        assert_met(seen, &OF_PEERS);
        assert_met(seen, &[Seen::Announcement, Seen::Corrected]);
    }
}

/// Prints the cost of source balancing; the figure depends on the machine and is not checked.
#[test]
fn the_cost_of_source_balancing_is_printed() {
    let mut frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1000, 2000]);
    let guests = frame.build();
    frame.eth[6..].copy_from_slice(&TEAM.0);
    let own = frame.build();
    for (runner, receive) in [("slb", None), ("tlb", Some(false)), ("alb", Some(true))] {
        let (Some(nothing), Ok(programs)) = (nothing(), Programs::load(&policy(receive))) else {
            return;
        };
        for (whose, out) in [("a guest", &guests), ("the team", &own)] {
            // The answer of the peer.
            let back = [&out[6..12], &out[..6], &out[12..]].concat();
            let floor = cost(&nothing, out);
            for (what, program, frame) in
                [("sent", &programs.leave, out), ("received", &programs.arrive[0], &back)]
            {
                let cost = cost(program, frame).saturating_sub(floor);
                println!("{runner}, {what} by {whose}: {cost} ns");
            }
        }
    }
}

#[test]
fn learned_sources_pass_between_programs_and_relay() {
    let loaded = Programs::load(&policy(None)).and_then(|first| {
        let second = Programs::load(&policy(None))?;
        Ok((first, second))
    });
    let (first, second) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(permitted(Err(error)).is_none());
            return;
        }
    };
    let mut random = Random::new(12);
    for _ in 0..1000 {
        run(&first.leave, &random.among_sources(), false);
    }
    let mut relay = distributor(policy(None));
    relay.set_time(Instant::ZERO + Duration::from_secs(1000));
    relay.restore_sources(first.maps.read().expect("read the maps"));
    assert_alike(&first, &relay);
    let memory = relay.learned_sources().expect("learned sources");
    second.maps.write(&memory).expect("write the maps");
    assert_alike(&second, &relay);
}
