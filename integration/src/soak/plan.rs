//! The plan of a soak: events at random, each permitted by the world that the earlier ones made.
//! Equal seeds give equal plans.

use std::time::Duration;

use runners::SplitMix64;

use super::world::{Client, Event, PORTS, Use, World};

/// The longest pause between two events of a burst, in milliseconds.
const BURST: u64 = 300;
/// Of so many pauses one ends before the team has settled.
const ONE_BURST_IN: usize = 3;

/// Makes an event of one kind, for this port if the kind needs one.
type Draw = fn(usize, &mut SplitMix64) -> Event;

/// Kinds of events with their weights. A link returns more often than it fails, so that most ports
/// carry traffic most of the time.
const KINDS: [(u32, Draw); 24] = [
    (30, |port, _| Event::Pull(port)),
    (60, |port, _| Event::PutBack(port)),
    (6, |port, _| Event::SetDown(port)),
    (30, |port, _| Event::SetUp(port)),
    (6, |port, _| Event::Delete(port)),
    (30, |port, _| Event::Create(port)),
    (5, |port, _| Event::MoveAway(port)),
    (30, |port, _| Event::MoveBack(port)),
    (5, |port, _| Event::Rename(port)),
    (30, |port, _| Event::RenameBack(port)),
    (8, |port, _| Event::Remove(port)),
    (24, |port, _| Event::Add(port)),
    (6, |port, _| Event::Forbid(port)),
    (30, |port, _| Event::Allow(port)),
    (6, |port, random| Event::SetPrio(port, below(random, 3) as i32 * 10 - 10)),
    (6, |port, _| Event::Choose(port)),
    (3, |_, random| Event::SetHwaddr(below(random, 200) as u8)),
    (3, |_, random| Event::SetMtu([1500, 1400, 1280][below(random, 3)])),
    (3, |_, random| Event::SetAddress(10 + below(random, 200) as u8)),
    (8, |_, _| Event::Crash),
    (4, |_, _| Event::Restart),
    (6, |_, random| {
        let clients = [Client::Silent, Client::Half, Client::Garbage, Client::Deaf];
        Event::Disturb(clients[below(random, clients.len())])
    }),
    (8, |_, _| Event::Disconnect),
    (3, |_, _| Event::ChangePartner),
];

fn below(random: &mut SplitMix64, bound: usize) -> usize {
    random.below(bound)
}

/// An event, and the pause that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The event.
    pub event: Event,
    /// The time until the next event.
    pub pause: Duration,
    /// Whether the pause is long enough for the team to settle.
    pub settles: bool,
}

/// Whether the daemon is replaced during a soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemons {
    /// Crashes and restarts replace the daemon.
    Many,
    /// One daemon runs to the end, so that its memory can be judged.
    One,
}

/// The times of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The time within which the team settles.
    pub settle: Duration,
    /// The longest pause beyond `settle`.
    pub longest: Duration,
    /// The sum of all pauses.
    pub total: Duration,
}

/// The steps of a soak; an iterator that ends when the time is over.
#[derive(Clone, Debug)]
pub struct Plan {
    random: SplitMix64,
    world: World,
    daemons: Daemons,
    pauses: Pauses,
    left: Duration,
}

impl Plan {
    /// Creates the plan of a seed.
    pub fn new(seed: u64, usage: Use, daemons: Daemons, pauses: Pauses) -> Plan {
        Plan {
            random: SplitMix64::new(seed),
            world: World::new(usage),
            daemons,
            pauses,
            left: pauses.total,
        }
    }

    fn draw(&mut self) -> Event {
        let total: u32 = KINDS.iter().map(|(weight, _)| weight).sum();
        loop {
            let mut ticket = self.random.below(total as usize) as u32;
            let port = self.random.below(PORTS);
            let kind = KINDS.iter().find(|(weight, _)| {
                let found = ticket < *weight;
                ticket = ticket.wrapping_sub(*weight);
                found
            });
            let Some((_, kind)) = kind else {
                continue;
            };
            let event = kind(port, &mut self.random);
            let replaces = matches!(event, Event::Crash | Event::Restart);
            if self.world.permits(event) && !(replaces && self.daemons == Daemons::One) {
                return event;
            }
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.left.is_zero() {
            return None;
        }
        let event = self.draw();
        self.world.apply(event);
        let Pauses { settle, longest, .. } = self.pauses;
        let settles = self.random.below(ONE_BURST_IN) != 0;
        let millis = |random: &mut SplitMix64, most: u64| {
            Duration::from_millis(random.below(most as usize) as u64)
        };
        let mut pause = match settles {
            true => settle + millis(&mut self.random, longest.as_millis() as u64),
            false => millis(&mut self.random, BURST),
        };
        // The last step settles whatever its place, so that every event is checked.
        let settles = settles || pause >= self.left;
        if pause >= self.left {
            pause = pause.max(settle);
        }
        self.left = self.left.saturating_sub(pause);
        Some(Step { event, pause, settles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(5);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn plan(seed: u64, usage: Use, daemons: Daemons) -> Vec<Step> {
        let pauses = Pauses { settle: SETTLE, longest: Duration::from_secs(50), total: DAY };
        Plan::new(seed, usage, daemons, pauses).collect()
    }

    #[test]
    fn equal_seeds_give_equal_plans_and_others_do_not() {
        let first = plan(1, Use::Best, Daemons::Many);
        assert_eq!(first, plan(1, Use::Best, Daemons::Many));
        assert_ne!(first, plan(2, Use::Best, Daemons::Many));
    }

    #[test]
    fn a_day_has_every_kind_of_event_and_only_permitted_ones() {
        for usage in [Use::Best, Use::All, Use::Aggregate] {
            let steps = plan(7, usage, Daemons::Many);
            let mut world = World::new(usage);
            for step in &steps {
                assert!(world.permits(step.event), "{}", step.event);
                world.apply(step.event);
            }
            let count = |name: &str| {
                let names = steps.iter().map(|step| step.event.to_string());
                names.filter(|event| event.split('(').next() == Some(name)).count()
            };
            let only_best = ["SetPrio", "Choose"];
            for (_, kind) in KINDS {
                let event = kind(0, &mut SplitMix64::new(0)).to_string();
                let name = event.split('(').next().unwrap_or_default();
                let wanted = usage == Use::Best || !only_best.contains(&name);
                assert_eq!(count(name) > 0, wanted, "{name} with {usage:?}");
            }
            assert!(count("Pull") > 200, "{} cables pulled", count("Pull"));
        }
    }

    #[test]
    fn the_pauses_fill_the_time() {
        let steps = plan(3, Use::All, Daemons::Many);
        let total: Duration = steps.iter().map(|step| step.pause).sum();
        assert!(total >= DAY && total < DAY + Duration::from_secs(60), "{total:?}");
        assert!(steps.iter().all(|step| step.settles == (step.pause >= SETTLE)));
        assert!(steps.last().is_some_and(|step| step.settles));
    }

    #[test]
    fn one_daemon_is_never_replaced() {
        let steps = plan(5, Use::All, Daemons::One);
        assert!(steps.iter().all(|step| !matches!(step.event, Event::Crash | Event::Restart)));
    }
}
