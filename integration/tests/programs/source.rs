//! Source balancing by programs and by the relay gives the same result for every frame.
#![allow(
    clippy::disallowed_methods,
    reason = "a test waits for and measures real daemons"
)]

use std::io;
use std::time::{Duration, Instant as Clock};

use runners::learned_sources::LearnedSources;
use runners::{
    BUCKETS, Distributor, Forwarding, HwAddr, Instant, PortForwarding, PortId, Reception,
    SourceBalance, TxPolicy,
};
use teamr::datapath::ebpf::assembler::Reg;
use teamr::datapath::ebpf::layout::Egress;
use teamr::datapath::ebpf::maps::Maps;
use teamr::datapath::ebpf::source_maps::{SourceMaps, policy_value};
use teamr::datapath::ebpf::source_program::{self, Arriving, Leaving};
use teamr::sys::bpf::Program;

use crate::frame::{Frame, Network};
use crate::{Random, cost, nothing, permitted, prepare, run};

const FRAMES: usize = 50_000;
/// Results of the programs: of the team device's beside a bucket, and of a port's.
const DESIGNATED: u32 = 256;
const TAKEN: u32 = 0;
const NOT_HERE: u32 = 1;
const ECHO: u32 = 2;

const TEAM: HwAddr = HwAddr([2, 0, 0, 0, 0, 0xdd]);
const PORTS: [PortId; 2] = [PortId(1), PortId(2)];

fn ifindex(port: PortId) -> u32 {
    40 + port.0
}

fn egress(port: Option<PortId>) -> Egress {
    port.map_or(Egress::default(), |port| Egress {
        ifindex: ifindex(port),
        port_index: port.0,
    })
}

/// The programs of a team with two ports.
struct Programs {
    maps: SourceMaps,
    leave: Program,
    arrive: [Program; 2],
}

impl Programs {
    fn load(policy: &SourceBalance) -> io::Result<Programs> {
        let shared = Maps::create()?;
        let table = Egress::bytes(&policy.buckets.map(egress));
        shared.egress.write(0, &table)?;
        let maps = SourceMaps::create(&[])?;
        maps.policy.write(0, &policy_value(policy, egress))?;

        let mut asm = prepare();
        let (by_bucket, designated) = (asm.label(), asm.label());
        let leaving = Leaving {
            by_bucket,
            designated,
        };
        source_program::leave(&mut asm, &maps, BUCKETS as i32, leaving);
        asm.place(by_bucket);
        asm.set(Reg::R0, Reg::R7);
        asm.exit();
        asm.place(designated);
        asm.exit_with(DESIGNATED as i32);
        let leave = Program::load(&asm.finish(), "teamr_leave")?;

        let arrive = |port| {
            let mut asm = prepare();
            let (taken, not_here, echo) = (asm.label(), asm.label(), asm.label());
            let arriving = Arriving {
                taken,
                not_here,
                echo,
            };
            source_program::arrive(&mut asm, &maps, &shared.egress, ifindex(port), arriving);
            for (label, code) in [(taken, TAKEN), (not_here, NOT_HERE), (echo, ECHO)] {
                asm.place(label);
                asm.exit_with(code as i32);
            }
            Program::load(&asm.finish(), "teamr_arrive")
        };
        let arrive = [arrive(PORTS[0])?, arrive(PORTS[1])?];
        Ok(Programs {
            maps,
            leave,
            arrive,
        })
    }
}

/// Returns a policy with buckets on both ports, some without a port, some that have just moved.
fn policy() -> SourceBalance {
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
        host: None,
    }
}

fn distributor(policy: SourceBalance) -> Distributor {
    let mut distributor = Distributor::new();
    distributor.apply(&Forwarding {
        policy: TxPolicy::SourceBalance {
            ports: policy,
            balanced: false,
        },
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
        match self.below(16) {
            0 => TEAM.0,
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
                ports: [
                    u16::from(self.one_of(&[130, 131, 132, 143, 135_u8])) << 8,
                    0,
                ],
                filler: self.0.next_u64() as u8,
            }
            .build();
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

#[test]
fn programs_and_relay_agree_on_every_frame() {
    let programs = match Programs::load(&policy()) {
        Ok(programs) => programs,
        Err(error) => {
            assert!(permitted(Err(error)).is_none());
            return;
        }
    };
    let mut relay = distributor(policy());
    let started = Clock::now();
    let mut random = Random::new(11);
    let mut seen = [0; 6];
    for number in 0..FRAMES {
        relay.set_time(Instant::ZERO + started.elapsed());
        let frame = random.among_sources();
        let outside = random.once_in(2);
        let place = random.below(4);
        let (found, expected) = match PORTS.get(place) {
            Some(port) => {
                let expected = match relay.receive(*port, &frame) {
                    Reception::Taken => TAKEN,
                    Reception::NotHere => NOT_HERE,
                    Reception::Echo => ECHO,
                    Reception::TakenAs(_) => panic!("the host is not balanced"),
                };
                seen[expected as usize] += 1;
                (run(&programs.arrive[place], &frame, outside), expected)
            }
            None => {
                let selection = relay.select(&frame);
                let expected = selection.bucket.map_or(DESIGNATED, u32::from);
                let kind = match (selection.bucket, selection.source) {
                    (Some(_), _) => 3,
                    (None, None) => 4,
                    (None, Some(_)) => 5,
                };
                seen[kind] += 1;
                (run(&programs.leave, &frame, outside), expected)
            }
        };
        assert_eq!(found, expected, "frame {number}, {place}: {frame:02x?}");
    }
    assert!(seen.iter().all(|times| *times > 300), "{seen:?}");
    assert_alike(&programs, &relay);
}

/// Prints the cost of source balancing; the figure depends on the machine and is not checked.
#[test]
fn the_cost_of_source_balancing_is_printed() {
    let (Some(nothing), Ok(programs)) = (nothing(), Programs::load(&policy())) else {
        return;
    };
    let mut frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1000, 2000]);
    let out = frame.build();
    // The answer of the peer.
    frame.eth.rotate_left(6);
    let back = frame.build();
    let floor = cost(&nothing, &out);
    for (what, program, frame) in [
        ("sent", &programs.leave, &out),
        ("received", &programs.arrive[0], &back),
    ] {
        println!("{what}: {} ns", cost(program, frame).saturating_sub(floor));
    }
}

#[test]
fn learned_sources_pass_between_programs_and_relay() {
    let loaded = Programs::load(&policy()).and_then(|first| {
        let second = Programs::load(&policy())?;
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
    let mut relay = distributor(policy());
    relay.set_time(Instant::ZERO + Duration::from_secs(1000));
    relay.restore_sources(first.maps.read().expect("read the maps"));
    assert_alike(&first, &relay);
    let memory = relay.learned_sources().expect("learned sources");
    second.maps.write(&memory).expect("write the maps");
    assert_alike(&second, &relay);
}
