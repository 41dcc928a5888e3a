//! The data path inside the kernel for kernels without the team driver: a program on each
//! port's receiving side hands frames to the team device, another on the team device's
//! transmitting side chooses the port. The daemon decides and writes tables; no frame passes
//! through it.
//!
//! Owns programs, maps and their attachment. The device, the filters that keep the host's
//! stack off the ports, and the note on how ports were found are those of the relay
//! ([`relay`](super::relay)), so that one can take the other's place.
//!
//! A choice among ports that the configuration settles is part of the program (broadcast,
//! roundrobin, random) and a change of it replaces the program. What a failover changes
//! (activebackup, loadbalance, slb) is in one map, so a failover is one write.

pub mod assembler;
pub mod bucket;
mod context;
mod hook;
mod innermost;
pub mod maps;
mod side;
pub mod source;
mod stations;
mod team;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};

use runners::{BUCKETS, BucketTable, Distributor, HostTraffic, PortId, RunnerSettings, Settled};

use super::{PortInterface, PortTraffic, Volume};
use crate::netlink::{RouteSocket, link};
use crate::sys::bpf::Program;

pub use side::{Target, TeamSide};

use hook::{Attached, Way};
use maps::{ECHOES, Egress, Maps, NO_PORT, Of, SLOTS};
use side::arrival;
use source::Policy;
use team::Transmit;

const RECEIVE: &str = "teamr_receive";
const TRANSMIT: &str = "teamr_transmit";

/// By what a later daemon knows the programs of one that is gone, and goes on as it did. It may
/// not have the right to look that up in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistedState {
    /// The numbers of the ports' programs, by interface index.
    pub programs: BTreeMap<u32, u32>,
    /// The interface that carries alone, under a policy with one.
    pub active: Option<u32>,
}

/// A port and its program.
#[derive(Debug)]
struct Member {
    ifindex: u32,
    /// Before it became a port, where that is for us to change.
    promiscuous: Option<bool>,
    /// Its place in the tables.
    slot: usize,
    /// None before the first forwarding.
    program: Option<Attached>,
    /// The number of one that is there already.
    left: Option<u32>,
}

/// The programs of one team.
#[derive(Debug)]
pub struct Programs {
    side: TeamSide,
    way: Way,
    maps: Maps,
    members: BTreeMap<PortId, Member>,
    /// What the maps and the hook hold.
    choice: Vec<Egress>,
    policy: Policy,
    verdicts: Vec<u32>,
    transmit: Option<(Transmit, Attached)>,
}

impl Programs {
    /// Programs for a team device, not attached yet.
    ///
    /// # Errors
    /// Those of bpf(2): `EPERM` without CAP_BPF, `ENOSYS`, or the verifier's.
    pub fn new(side: TeamSide) -> io::Result<Self> {
        let maps = Maps::create()?;
        let trial = Program::load(&team::transmit(&Transmit::One, &maps), TRANSMIT)?;
        // The one that asks most of the kernel.
        let in_turn = Transmit::InTurn {
            ports: vec![Egress::default()],
            packets_per_port: NonZeroU32::MIN,
        };
        Program::load(&team::transmit(&in_turn, &maps), TRANSMIT)?;
        Ok(Programs {
            side,
            way: Way::find(&trial, side.place()),
            maps,
            members: BTreeMap::new(),
            choice: vec![Egress::default(); BUCKETS],
            policy: Policy::default(),
            verdicts: vec![maps::DROP; SLOTS],
            transmit: None,
        })
    }

    /// Becomes readable with the next frame after [`ask_for_frames`](Self::ask_for_frames).
    pub fn wakeup(&self) -> RawFd {
        self.maps.wakeup.as_raw_fd()
    }

    /// The frame that was asked for has come.
    pub fn drain_wakeup(&self) {
        self.maps.wakeup.silence();
    }

    /// Asks to be told of the next frame.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn ask_for_frames(&self) -> io::Result<()> {
        self.maps.daemon_idle.write(0, &maps::bytes(&[1]))
    }

    /// Takes an interface as a port. Its frames meet a program from the next
    /// [`apply`](Self::apply) on; until then what was there before stays, if it is of ours the
    /// program with the number `left`. `promiscuous` is whether somebody else has it take in
    /// frames for any address; if none is given, whoever owns the port sees to that.
    ///
    /// # Errors
    /// `ENOSPC` beyond 256 ports.
    pub fn attach_port(
        &mut self,
        port: PortId,
        ifindex: u32,
        promiscuous: Option<bool>,
        left: Option<u32>,
    ) -> io::Result<()> {
        let taken = |slot: &usize| self.members.values().any(|member| member.slot == *slot);
        let slot = (0..SLOTS).find(|slot| !taken(slot));
        let slot = slot.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
        let member = Member {
            ifindex,
            promiscuous,
            slot,
            program: None,
            left,
        };
        self.members.insert(port, member);
        Ok(())
    }

    /// Lets go of a port; no error if it is gone.
    ///
    /// # Errors
    /// Those of taking its program away.
    pub fn detach_port(&mut self, route: &mut RouteSocket, port: PortId) -> io::Result<()> {
        match self.members.remove(&port) {
            Some(member) => member.release(route),
            None => Ok(()),
        }
    }

    /// Takes all programs away, the team device's last.
    ///
    /// # Errors
    /// The first of taking one away; the others are tried all the same.
    pub fn end(self, route: &mut RouteSocket) -> io::Result<()> {
        let mut outcome = Ok(());
        for member in self.members.into_values() {
            outcome = outcome.and(member.release(route));
        }
        match self.transmit {
            Some((_, program)) => outcome.and(program.detach(route)),
            None => outcome,
        }
    }

    /// Forwards as `distributor` would from now on; `counted` if frames are to be counted by
    /// bucket.
    ///
    /// # Errors
    /// Those of bpf(2) and of attaching.
    pub fn apply(
        &mut self,
        route: &mut RouteSocket,
        distributor: &Distributor,
        counted: bool,
    ) -> io::Result<()> {
        let settled = distributor.settled();
        let (transmit, choice) = self.choice_for(&settled, counted)?;
        if let Settled::BySource(policy) = settled {
            self.remember_sources(route)?;
            let former = self.exits(&policy.previous);
            let policy = Policy {
                hwaddr: policy.hwaddr,
                designated: self.exit(policy.designated),
                former: former.into_iter().map(|exit| exit.ifindex).collect(),
            };
            if let Some(source) = self.maps.source.as_ref().filter(|_| policy != self.policy) {
                source.write(&policy)?;
                self.policy = policy;
            }
        }
        let current = self.transmit.as_ref().map(|(current, _)| current);
        let program = match current == Some(&transmit) {
            true => None,
            false => {
                let program = match self.side {
                    TeamSide::Driver(_) => team::tell_bucket(&self.maps),
                    TeamSide::Device(_) | TeamSide::Peer(_) => {
                        team::transmit(&transmit, &self.maps)
                    }
                };
                Some(Program::load(&program, TRANSMIT)?)
            }
        };
        let verdicts = self.verdicts_for(distributor, &settled);
        if verdicts != self.verdicts {
            self.maps.verdicts.write(0, &maps::bytes(&verdicts))?;
            self.verdicts = verdicts;
        }
        if choice != self.choice {
            self.maps.choice.write(0, &Egress::bytes(&choice))?;
            self.choice = choice;
        }
        for member in self.members.values_mut() {
            if member.program.is_some() {
                continue;
            }
            let (ifindex, slot) = (member.ifindex, member.slot as u32);
            let program = team::receive(slot, ifindex, self.side.target(), &self.maps);
            let program = Program::load(&program, RECEIVE)?;
            if member.promiscuous.is_some() {
                link::set_promiscuous(route, ifindex, true)?;
            }
            let attached =
                self.way
                    .attach(route, arrival(ifindex), program, RECEIVE, None, member.left)?;
            member.program = Some(attached);
        }
        if let Some(program) = program {
            let place = self.side.place();
            let earlier = self.transmit.take().map(|(_, earlier)| earlier);
            let left = match earlier {
                Some(_) => None,
                None => self.side.left(),
            };
            let attached = self
                .way
                .attach(route, place, program, TRANSMIT, earlier, left)?;
            self.transmit = Some((transmit, attached));
        }
        Ok(())
    }

    fn verdicts_for(&self, distributor: &Distributor, settled: &Settled<'_>) -> Vec<u32> {
        let mut verdicts = vec![maps::DROP; SLOTS];
        for (port, member) in &self.members {
            verdicts[member.slot] = match settled {
                Settled::One(_) => maps::COLLECT_IF_CHOSEN,
                _ if distributor.collects(*port) => maps::COLLECT,
                _ => maps::DROP,
            };
        }
        verdicts
    }

    fn exit(&self, port: Option<PortId>) -> Egress {
        let member = port.and_then(|port| self.members.get(&port));
        member.map_or(Egress::default(), Member::exit)
    }

    /// That of each bucket.
    fn exits(&self, table: &BucketTable) -> Vec<Egress> {
        table.iter().map(|port| self.exit(*port)).collect()
    }

    fn choice_for(
        &self,
        settled: &Settled<'_>,
        counted: bool,
    ) -> io::Result<(Transmit, Vec<Egress>)> {
        let all = |ports: &[PortId]| {
            let members = ports.iter().filter_map(|port| self.members.get(port));
            members.map(Member::exit).collect()
        };
        let mut choice = vec![Egress::default(); BUCKETS];
        let transmit = match *settled {
            Settled::All(ports) => Transmit::All(all(ports)),
            Settled::InTurn {
                ports,
                packets_per_port,
            } => Transmit::InTurn {
                ports: all(ports),
                packets_per_port,
            },
            Settled::ByChance(ports) => Transmit::ByChance(all(ports)),
            Settled::One(port) => {
                choice[0] = self.exit(port);
                Transmit::One
            }
            Settled::ByBucket { fields, buckets } => {
                choice = self.exits(buckets);
                Transmit::ByBucket { fields, counted }
            }
            Settled::BySource(policy) if policy.host.is_none() => {
                choice = self.exits(&policy.buckets);
                Transmit::BySource { counted }
            }
            Settled::BySource(_) => {
                return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
            }
        };
        Ok((transmit, choice))
    }

    /// What to keep for a later daemon.
    pub fn persisted_state(&self) -> PersistedState {
        let programs = self.members.values().filter_map(|member| {
            let attached = member.program.as_ref()?;
            Some((member.ifindex, attached.id()?))
        });
        let transmit = self.transmit.as_ref().map(|(transmit, _)| transmit);
        let active = match transmit {
            Some(Transmit::One) => Some(self.choice[0].ifindex).filter(|ifindex| *ifindex != 0),
            _ => None,
        };
        PersistedState {
            programs: programs.collect(),
            active,
        }
    }

    /// Frames from the team device for which there was no port.
    pub fn tx_no_port(&self) -> u64 {
        self.count(NO_PORT)[0]
    }

    /// Frames of ours that came back, under a policy that can tell.
    pub fn rx_echoes(&self) -> u64 {
        self.count(ECHOES)[0]
    }

    /// Frames that came on ports while they did not collect.
    pub fn rx_inactive(&self) -> u64 {
        let slots = self.members.values().map(|member| member.slot as u32);
        slots
            .map(|slot| self.count(Of::Refused.slot(slot))[0])
            .sum()
    }

    /// What each port carried.
    pub fn traffic(&self) -> impl Iterator<Item = (PortId, PortTraffic)> {
        let volume = |of: Of, member: &Member| {
            let [frames, bytes] = self.count(of.slot(member.slot as u32));
            Volume { frames, bytes }
        };
        let members = self.members.iter();
        members.map(move |(port, member)| {
            let traffic = PortTraffic {
                taken: volume(Of::Taken, member),
                sent: volume(Of::Sent, member),
            };
            (*port, traffic)
        })
    }

    /// Bytes sent in each bucket while they were counted.
    pub fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        let mut bytes = Box::new([0; BUCKETS]);
        for (bucket, bytes) in bytes.iter_mut().enumerate() {
            *bytes = maps::read_pair(&self.maps.buckets, bucket as u32).map_or(0, |pair| pair[1]);
        }
        bytes
    }

    fn count(&self, key: u32) -> maps::Pair {
        // A key of ours is always there.
        maps::read_pair(&self.maps.counts, key).unwrap_or_default()
    }
}

/// Whether programs can do what a runner wants: who was told what by ARP only the relay knows.
pub fn can_do(runner: &RunnerSettings) -> bool {
    match runner {
        RunnerSettings::Slb { host, .. } => *host == HostTraffic::OnePort,
        RunnerSettings::LoadBalance { .. }
        | RunnerSettings::Lacp(_)
        | RunnerSettings::Broadcast
        | RunnerSettings::RoundRobin { .. }
        | RunnerSettings::Random { .. }
        | RunnerSettings::ActiveBackup { .. } => true,
    }
}

impl Member {
    fn exit(&self) -> Egress {
        Egress {
            ifindex: self.ifindex,
            slot: self.slot as u32,
        }
    }

    /// Gives the port's frames back to what else is on its hook.
    fn release(self, route: &mut RouteSocket) -> io::Result<()> {
        match self.program {
            Some(program) => program.detach(route)?,
            None => hook::clear(route, arrival(self.ifindex), RECEIVE, self.left)?,
        }
        match self.promiscuous {
            Some(before) => return_promiscuity(route, self.ifindex, before),
            None => Ok(()),
        }
    }
}

fn return_promiscuity(route: &mut RouteSocket, ifindex: u32, before: bool) -> io::Result<()> {
    match link::set_promiscuous(route, ifindex, before) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        undone => undone,
    }
}

/// Takes away what a daemon that is gone left on a port of the kernel's driver.
///
/// # Errors
/// Those of taking programs away, but for an interface that is gone.
pub fn clear_port(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    hook::clear(route, arrival(ifindex), RECEIVE, None)
}

/// Takes away what a daemon that is gone left on a team device.
///
/// # Errors
/// Those of taking programs away, but for an interface that is gone.
pub fn clear_device(route: &mut RouteSocket, side: TeamSide) -> io::Result<()> {
    hook::clear(route, side.place(), TRANSMIT, side.left())
}

/// Gives the frames of a port back that had a program of a daemon which is gone, with the number
/// `left` if that is known.
///
/// # Errors
/// Those of taking programs away, but for an interface that is gone.
pub fn clear(route: &mut RouteSocket, found: &PortInterface, left: Option<u32>) -> io::Result<()> {
    hook::clear(route, arrival(found.ifindex), RECEIVE, left)?;
    return_promiscuity(route, found.ifindex, found.promiscuous)
}
