//! Every reachable state of two LACP ends and the wire between them.
//!
//! A breadth-first search starts where all links of both ends have come up, and takes every move of
//! [`world`] in every state: each LACPDU in flight arrives, arrives and stays (a duplicate), or is
//! lost; a link of one end flaps; a port is drained, or excluded as by a gate; the next timer
//! expires. Both ends are the shipped machines.
//!
//! Time is the order of the timers: two states are one if their timers expire in the same order, and
//! no LACPDU takes time unless a timer expires while the LACPDU is in flight.
//!
//! In every state and move the search checks:
//!
//! - no end sends frames to a Partner that does not collect by the last LACPDU heard;
//! - an excluded port sends no frames, and is out of sync in its LACPDUs;
//! - only a timer attaches a port whose Partner is out of sync;
//! - with a wire that loses nothing, both ends carry on all ports after a bounded number of steps.
//!
//! With `TEAMR_STATES=large` three LACPDUs of one port are in flight, and links of one port flap
//! twice.

mod key;
mod world;

use std::collections::BTreeMap;

use key::Key;
use world::{Defect, Ends, Move, World};

/// Extent of a search.
#[derive(Clone, Copy, Debug)]
struct Extent {
    ports: u32,
    /// LACPDUs in flight at once; the wire loses those beyond.
    in_flight: usize,
    /// Flaps of a link in one history.
    flaps: u8,
    /// Exclusions of a port in one history.
    exclusions: u8,
}

/// Steps without a loss after which both ends carry on all ports, from every state.
const FAIR_STEPS: u32 = 60;

/// Outcome of a search.
#[derive(Debug)]
struct Explored {
    states: usize,
    moves: usize,
    /// The most steps without a loss until both ends carried.
    fair_steps: u32,
}

/// A broken invariant, and the moves that lead there.
#[derive(Debug)]
struct Violation {
    invariant: &'static str,
    history: Vec<Move>,
}

/// A breadth-first search.
struct Search {
    ends: Ends,
    /// The number of each known state.
    known: BTreeMap<Key, usize>,
    /// The state before each state and the move between the two; `None` for the first state.
    origins: Vec<Option<(usize, Move)>>,
    /// Steps without a loss from a state until both ends carry.
    fair_steps: BTreeMap<Key, u32>,
}

impl Search {
    fn run(extent: Extent, defect: Defect) -> Result<Explored, Violation> {
        let mut search = Search {
            ends: Ends::new(extent.ports, extent.in_flight, defect),
            known: BTreeMap::new(),
            origins: vec![None],
            fair_steps: BTreeMap::new(),
        };
        let first = search.ends.first_world(extent.flaps, extent.exclusions);
        search.known.insert(Key::of(&first), 0);
        let mut moves = 0;
        let mut frontier = vec![(0, first)];
        while !frontier.is_empty() {
            let mut next_frontier = Vec::new();
            for (number, world) in frontier {
                for step in world.moves() {
                    moves += 1;
                    next_frontier.extend(search.explore(number, &world, step)?);
                }
            }
            frontier = next_frontier;
        }
        let fair_steps = search.fair_steps.values().copied().max();
        let fair_steps = fair_steps.unwrap_or_default();
        Ok(Explored { states: search.known.len(), moves, fair_steps })
    }

    /// Makes one move. Returns the state after the move if the state is new.
    fn explore(
        &mut self,
        number: usize,
        world: &World,
        step: Move,
    ) -> Result<Option<(usize, World)>, Violation> {
        let mut next = world.clone();
        self.ends.make(&mut next, step);
        let violated = |search: &Self, invariant| {
            Err(Violation { invariant, history: search.history(number, step) })
        };
        if let Some(invariant) = world::violated_invariant(world, &next) {
            return violated(self, invariant);
        }
        let key = Key::of(&next);
        if self.known.contains_key(&key) {
            return Ok(None);
        }
        if !self.carries_after_fair_steps(&next, &key) {
            return violated(self, "both ends carry after a bounded number of fair steps");
        }
        let new_number = self.origins.len();
        self.known.insert(key, new_number);
        self.origins.push(Some((number, step)));
        Ok(Some((new_number, next)))
    }

    /// Returns whether both ends carry after at most `FAIR_STEPS` steps without a loss.
    fn carries_after_fair_steps(&mut self, world: &World, key: &Key) -> bool {
        let mut world = world.clone();
        let mut path = vec![key.clone()];
        let mut steps = 0;
        while let Some(last) = path.last() {
            if let Some(known) = self.fair_steps.get(last) {
                steps = *known;
                path.pop();
                break;
            }
            if world.carries_everywhere() {
                break;
            }
            if path.len() > FAIR_STEPS as usize {
                return false;
            }
            self.ends.make_fair_step(&mut world);
            path.push(Key::of(&world));
        }
        for key in path.into_iter().rev() {
            self.fair_steps.insert(key, steps);
            steps += 1;
        }
        steps <= FAIR_STEPS
    }

    /// Returns the moves to a state, and one more.
    fn history(&self, mut number: usize, last: Move) -> Vec<Move> {
        let mut history = vec![last];
        while let Some((before, step)) = self.origins[number] {
            history.push(step);
            number = before;
        }
        history.reverse();
        history
    }
}

/// Searches the shipped machines and prints the extent.
fn assert_every_state_is_safe(extent: Extent) {
    match Search::run(extent, Defect::None) {
        Ok(Explored { states, moves, fair_steps }) => {
            eprintln!("{extent:?}: {states} states, {moves} moves, {fair_steps} fair steps")
        }
        Err(violation) => panic!("{extent:?}: {violation:#?}"),
    }
}

/// Whether the long searches are asked for.
fn is_large() -> bool {
    match std::env::var("TEAMR_STATES").as_deref() {
        Ok("large") => true,
        Ok(other) => panic!("TEAMR_STATES: expected large, found {other}"),
        Err(_) => false,
    }
}

#[test]
fn every_state_of_one_port_is_safe() {
    let in_flight = if is_large() { 3 } else { 2 };
    assert_every_state_is_safe(Extent { ports: 1, in_flight, flaps: 0, exclusions: 0 });
}

#[test]
fn every_state_of_one_port_whose_links_flap_is_safe() {
    let flaps = if is_large() { 2 } else { 1 };
    assert_every_state_is_safe(Extent { ports: 1, in_flight: 1, flaps, exclusions: 0 });
}

#[test]
fn every_state_of_one_port_that_is_drained_or_gated_is_safe() {
    let exclusions = if is_large() { 2 } else { 1 };
    assert_every_state_is_safe(Extent { ports: 1, in_flight: 1, flaps: 0, exclusions });
}

#[test]
fn every_state_of_two_ports_is_safe() {
    assert_every_state_is_safe(Extent { ports: 2, in_flight: 1, flaps: 0, exclusions: 0 });
}

#[test]
fn search_finds_planted_defects() {
    let extent = Extent { ports: 1, in_flight: 2, flaps: 0, exclusions: 0 };
    for (defect, invariant) in [
        (Defect::PartnerCollectsUnheard, world::SENDS_ONLY_TO_COLLECTING_PARTNER),
        (Defect::NoWaitWhile, world::ONLY_TIMER_ATTACHES),
    ] {
        let violation = Search::run(extent, defect).expect_err("the planted defect");
        assert_eq!(violation.invariant, invariant, "{:#?}", violation.history);
    }
}
