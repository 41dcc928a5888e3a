//! Two ends, the LACPDUs in flight between them, and the moves from one state to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::action::Action;
use crate::exclusion::Exclusion;
use crate::ident::{Duplex, HwAddr, Link, PortId};
use crate::port::Port;
use crate::port::drain::Drain;
use crate::runner::Runner;
use crate::runner::lacp::Lacp;
use crate::runner::lacp::churn::ChurnMachine;
use crate::runner::lacp::mux::MuxState;
use crate::runner::lacp::port_map::PortMap;
use crate::runner::lacp::receive_limit::ReceiveLimit;
use crate::runner::lacp::selection::Selection;
use crate::settings::lacp::{LacpPortSettings, LacpSettings};
use crate::settings::{LinkWatchPolicy, PortSettings};
use crate::time::Instant;
use crate::wire::lacpdu::{Lacpdu, StateBits};
use crate::wire::slow_protocol;

pub const FAST_PERIODIC_TIME: Duration = Duration::from_secs(1);

pub const SENDS_ONLY_TO_COLLECTING_PARTNER: &str =
    "no end sends frames to a Partner that does not collect by the last LACPDU heard";
pub const EXCLUDED_SENDS_NOTHING: &str =
    "an excluded port sends no frames, and is out of sync in its LACPDUs";
pub const ONLY_TIMER_ATTACHES: &str = "only a timer attaches a port whose Partner is out of sync";

/// A defect that a search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    None,
    /// The Mux machine takes each Partner for collecting, as a machine with coupled control does.
    PartnerCollectsUnheard,
    /// `wait_while_timer` expires at once.
    NoWaitWhile,
}

/// One step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// An LACPDU arrives.
    Deliver(usize),
    /// An LACPDU arrives, and another copy is still in flight.
    Duplicate(usize),
    /// An LACPDU is lost.
    Lose(usize),
    /// The link of a port goes down at one end and comes up again.
    Flap(usize, PortId),
    /// The first port of an end begins a drain, is excluded (by a gate or a complete drain), or may
    /// carry traffic again.
    Exclude(usize, Option<Exclusion>),
    /// The next timer of an end expires.
    Expire(usize),
}

/// An LACPDU in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// The receiving end.
    pub end: usize,
    pub port: PortId,
    pub pdu: Lacpdu,
    frame: Vec<u8>,
}

/// The machines of one end.
#[derive(Clone, Debug)]
pub struct EndState {
    pub ports: PortMap,
    pub selection: Selection,
    /// Whether the Partner collects by the last LACPDU heard since the link came up.
    collects_by_last_pdu: BTreeMap<PortId, bool>,
}

/// One state.
#[derive(Clone, Debug)]
pub struct World {
    pub now: Instant,
    pub ends: [EndState; 2],
    /// The LACPDUs in flight, sorted: each may arrive next.
    pub in_flight: Vec<InFlight>,
    /// Flaps that may still happen.
    pub flaps: u8,
    /// Exclusions of a port that may still happen.
    pub exclusions: u8,
}

impl EndState {
    /// Returns the exclusion of the first port.
    fn exclusion(&self) -> Option<Exclusion> {
        self.ports.values().next().and_then(|port| port.exclusion)
    }
}

impl World {
    /// Returns every move from this state.
    pub fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for at in 0..self.in_flight.len() {
            if at > 0 && self.in_flight[at] == self.in_flight[at - 1] {
                continue;
            }
            moves.extend([Move::Deliver(at), Move::Duplicate(at), Move::Lose(at)]);
        }
        for end in 0..2 {
            let ports = self.ends[end].ports.ids().filter(|_| self.flaps > 0);
            moves.extend(ports.map(|port| Move::Flap(end, port)));
            let (draining, drained) = (Some(Exclusion::Draining), Some(Exclusion::Drained));
            let exclusions: &[_] = match self.ends[end].exclusion() {
                None if self.exclusions > 0 => &[draining, drained],
                None => &[],
                Some(Exclusion::Draining) => &[drained, None],
                Some(_) => &[None],
            };
            moves.extend(exclusions.iter().map(|exclusion| Move::Exclude(end, *exclusion)));
        }
        let deadlines = self.deadlines();
        let next = deadlines.into_iter().flatten().min();
        for (end, deadline) in deadlines.into_iter().enumerate() {
            if deadline.is_some() && deadline == next {
                moves.push(Move::Expire(end));
            }
        }
        moves
    }

    /// Returns the next deadline of each end.
    fn deadlines(&self) -> [Option<Instant>; 2] {
        self.ends.each_ref().map(|end| {
            let deadlines = end.ports.values().filter_map(|port| {
                let timers = [
                    port.receive.deadline(),
                    port.periodic.deadline(),
                    port.mux.deadline(),
                    port.transmit.deadline(FAST_PERIODIC_TIME),
                ];
                timers.into_iter().flatten().min()
            });
            deadlines.min()
        })
    }

    /// Returns whether both ends distribute on all ports.
    pub fn carries_everywhere(&self) -> bool {
        let mut ports = self.ends.iter().flat_map(|end| end.ports.values());
        ports.all(|port| port.mux.state() == MuxState::Distributing)
    }
}

/// Returns the invariant that the state `after`, or the move to that state, breaks.
pub fn violated_invariant(before: &World, after: &World) -> Option<&'static str> {
    let now = after.now;
    for (before, after) in before.ends.iter().zip(&after.ends) {
        for port in after.ports.values() {
            let id = port.id;
            let distributes = port.mux.state() == MuxState::Distributing;
            if distributes && !after.collects_by_last_pdu[&id] {
                return Some(SENDS_ONLY_TO_COLLECTING_PARTNER);
            }
            let in_sync = port.actor().state.has(StateBits::SYNCHRONIZATION);
            if port.exclusion.is_some() && (distributes || in_sync) {
                return Some(EXCLUDED_SENDS_NOTHING);
            }
            let mux = &before.ports.get(id).expect("the port").mux;
            let has_waited = mux.ready_n() || mux.deadline().is_some_and(|end| end <= now);
            let attaches =
                mux.state() < MuxState::Attached && port.mux.state() >= MuxState::Attached;
            if attaches && !has_waited && !port.partner_in_sync() {
                return Some(ONLY_TIMER_ATTACHES);
            }
        }
    }
    None
}

/// The two runners; a search puts the state of a [`World`] into them for each move.
pub struct Ends {
    lacps: [Lacp; 2],
    /// The team's ports at each end, with a link, in three variants: the first port is not drained,
    /// is being drained, and is drained.
    linked: [[Vec<Port>; 3]; 2],
    /// Number of LACPDUs in flight at once.
    in_flight: usize,
    /// Whether the wire takes any number of LACPDUs.
    loses_nothing: bool,
    defect: Defect,
}

impl Ends {
    pub fn new(ports: u32, in_flight: usize, defect: Defect) -> Self {
        // Distinct priorities tell the ends apart.
        let lacp = |end: usize| {
            let sys_prio = end as u16 + 1;
            let mut lacp = Lacp::new(&LacpSettings {
                fast_rate: true,
                fast_period: FAST_PERIODIC_TIME,
                sys_prio,
                ..LacpSettings::default()
            });
            lacp.team_changed(system(end), true);
            lacp
        };
        let linked = |end| {
            let draining = Drain::Draining { until: Instant::from_nanos(u64::MAX) };
            [Drain::Off, draining, Drain::Drained].map(|drain| {
                let mut ports: Vec<Port> =
                    (0..ports).map(|number| linked_port(end, number)).collect();
                ports[0].drain = drain;
                ports
            })
        };
        Ends {
            lacps: [0, 1].map(lacp),
            linked: [0, 1].map(linked),
            in_flight,
            loses_nothing: false,
            defect,
        }
    }

    /// Returns the state in which all links have just come up.
    pub fn first_world(&mut self, flaps: u8, exclusions: u8) -> World {
        let end = |end: usize| EndState {
            ports: PortMap::default(),
            selection: Selection::default(),
            collects_by_last_pdu: self.linked[end][0]
                .iter()
                .map(|port| (port.id(), false))
                .collect(),
        };
        let mut world = World {
            now: Instant::ZERO,
            ends: [0, 1].map(end),
            in_flight: Vec::new(),
            flaps,
            exclusions,
        };
        for end in 0..2 {
            self.on_end(&mut world, end, |lacp, now, ports| drop(lacp.decide(now, ports)));
        }
        world
    }

    pub fn make(&mut self, world: &mut World, step: Move) {
        match step {
            Move::Deliver(at) => {
                let arriving = world.in_flight.remove(at);
                self.deliver(world, &arriving);
            }
            Move::Duplicate(at) => {
                let arriving = world.in_flight[at].clone();
                self.deliver(world, &arriving);
            }
            Move::Lose(at) => drop(world.in_flight.remove(at)),
            Move::Flap(end, port) => {
                world.flaps -= 1;
                world.ends[end].collects_by_last_pdu.insert(port, false);
                self.on_end(world, end, |lacp, now, ports| {
                    // The machines of the other ports notice the port's absence.
                    if let Some(port) = lacp.ports.get_mut(port) {
                        let id = port.id;
                        let team = ports.iter().find(|known| known.id() == id).expect("the port");
                        port.update(now, team, lacp.system, false, &lacp.settings);
                    }
                    lacp.run_machines(now);
                    drop(lacp.decide(now, ports));
                });
            }
            Move::Exclude(end, exclusion) => {
                let is_begun = world.ends[end].exclusion().is_none();
                world.exclusions -= u8::from(is_begun);
                self.on_end_as(world, end, exclusion, |lacp, now, ports| {
                    drop(lacp.decide(now, ports));
                });
            }
            Move::Expire(end) => {
                let deadline = world.deadlines()[end].expect("a timer");
                world.now = deadline;
                self.on_end(world, end, |lacp, now, ports| {
                    lacp.expire(now, now);
                    drop(lacp.decide(now, ports));
                });
            }
        }
    }

    /// Ends an exclusion, else delivers the first LACPDU in flight, or lets the next timer expire.
    pub fn make_fair_step(&mut self, world: &mut World) {
        let excluded = world.ends.iter().position(|end| end.exclusion().is_some());
        let first = excluded.map(|end| Move::Exclude(end, None));
        let first = first.or_else(|| world.in_flight.first().map(|_| Move::Deliver(0)));
        let timer = || world.moves().into_iter().find(|step| matches!(step, Move::Expire(_)));
        let step = first.or_else(timer).expect("a timer of an end with a link");
        self.loses_nothing = true;
        self.make(world, step);
        self.loses_nothing = false;
    }

    fn deliver(&mut self, world: &mut World, arriving: &InFlight) {
        let InFlight { end, port, pdu, frame } = arriving;
        let collecting = StateBits::SYNCHRONIZATION | StateBits::COLLECTING;
        let collects = pdu.actor.state.has(collecting);
        world.ends[*end].collects_by_last_pdu.insert(*port, collects);
        let frame = match self.defect {
            Defect::PartnerCollectsUnheard => {
                let mut pdu = *pdu;
                pdu.actor.state |= StateBits::COLLECTING;
                pdu.frame(HwAddr::default())
            }
            Defect::None | Defect::NoWaitWhile => frame.clone(),
        };
        self.on_end(world, *end, |lacp, now, ports| {
            let receiving = ports.iter().find(|known| known.id() == *port).expect("the port");
            lacp.frame_received(now, receiving, &frame);
            drop(lacp.decide(now, ports));
        });
    }

    /// Passes the machines of one end to `handle`, and puts the LACPDUs that the end sends onto the
    /// wire.
    fn on_end(
        &mut self,
        world: &mut World,
        end: usize,
        handle: impl FnOnce(&mut Lacp, Instant, &[Port]),
    ) {
        let exclusion = world.ends[end].exclusion();
        self.on_end_as(world, end, exclusion, handle);
    }

    /// As [`on_end`](Self::on_end), after `exclusion` becomes the exclusion of the end's first port.
    fn on_end_as(
        &mut self,
        world: &mut World,
        end: usize,
        exclusion: Option<Exclusion>,
        handle: impl FnOnce(&mut Lacp, Instant, &[Port]),
    ) {
        let linked = &self.linked[end][match exclusion {
            None => 0,
            Some(Exclusion::Draining) => 1,
            Some(_) => 2,
        }];
        let lacp = &mut self.lacps[end];
        let state = &mut world.ends[end];
        std::mem::swap(&mut lacp.ports, &mut state.ports);
        std::mem::swap(&mut lacp.selection, &mut state.selection);
        handle(lacp, world.now, linked);
        if self.defect == Defect::NoWaitWhile {
            let long_after = world.now + Duration::from_secs(60);
            lacp.ports.values_mut().for_each(|port| port.mux.expire_timer(long_after));
            drop(lacp.decide(world.now, linked));
        }
        for port in lacp.ports.values_mut() {
            port.receive_limit = ReceiveLimit::default();
            port.actor_churn = ChurnMachine::new();
            port.partner_churn = ChurnMachine::new();
        }
        std::mem::swap(&mut lacp.ports, &mut state.ports);
        std::mem::swap(&mut lacp.selection, &mut state.selection);
        while let Some(action) = lacp.poll_action() {
            let Action::SendFrame { port, frame } = action else {
                continue;
            };
            // A full wire loses the LACPDU. An older one is lost by an earlier move.
            if self.loses_nothing || world.in_flight.len() < self.in_flight {
                let payload = slow_protocol::payload(&frame).expect("a slow protocol");
                let pdu = Lacpdu::parse(payload).expect("an LACPDU");
                world.in_flight.push(InFlight { end: 1 - end, port, pdu, frame });
            }
        }
        world.in_flight.sort_by(|a, b| (a.end, a.port, &a.frame).cmp(&(b.end, b.port, &b.frame)));
    }
}

fn system(end: usize) -> HwAddr {
    HwAddr([2, 0, 0, 0, end as u8 + 1, 0])
}

fn linked_port(end: usize, number: u32) -> Port {
    let settings = PortSettings {
        lacp: LacpPortSettings { number: number as u16 + 1, ..LacpPortSettings::default() },
        ..PortSettings::default()
    };
    let hwaddr = HwAddr([2, 0, 0, 0, end as u8 + 1, number as u8 + 1]);
    let policy = LinkWatchPolicy::default();
    let mut port =
        Port::new(PortId(number), format!("p{number}"), hwaddr, settings, policy, Instant::ZERO);
    let link = Link { up: true, speed: 1000, duplex: Duplex::Full };
    drop(port.link_adopted(link));
    port
}
