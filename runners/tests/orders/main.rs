//! Random orders of events end in the state that the final facts alone would give.
//!
//! A small kernel carries out what the team asks for and tells of it late; a user changes
//! facts. After each step the invariants are checked, at the end the whole outcome against a
//! model that knows the facts and nothing of how they came about. Where history may decide
//! (equal ports, sticky, a pin) the model names the one right answer from the port that was
//! active before.

mod checks;
mod dice;
mod world;

use std::num::NonZeroU32;
use std::time::Duration;

use runners::{Event, Failback, HashFields, HostTraffic, HwAddrPolicy, RunnerSettings};

use world::World;

/// For each of the tests, each with seeds of its own.
const ORDERS: u64 = 1_500;
const STEPS: usize = 30;

/// Names the seed if an order fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

fn orders(first_seed: u64, runner: &RunnerSettings) {
    for seed in first_seed..first_seed + ORDERS {
        let seed = Seed(seed);
        let mut world = World::new(runner.clone(), seed.0);
        world.tell(Event::DeadlineReached);
        for _ in 0..STEPS {
            world.step();
        }
        world.check_end();
        world.check_against_fresh();
    }
}

fn activebackup(first_seed: u64, hwaddr_policy: HwAddrPolicy) {
    let runner = RunnerSettings::ActiveBackup {
        hwaddr_policy,
        failback: Failback::default(),
    };
    orders(first_seed, &runner);
}

fn loadbalance(first_seed: u64, balancing_interval: Option<Duration>) {
    let runner = RunnerSettings::LoadBalance {
        tx_hash: HashFields::ETH,
        balancing_interval,
    };
    orders(first_seed, &runner);
}

fn source_balance(first_seed: u64, host: HostTraffic) {
    let balancing_interval = None;
    let runner = RunnerSettings::Slb {
        host,
        balancing_interval,
        learning_interval: None,
    };
    orders(first_seed, &runner);
}

#[test]
fn broadcast() {
    orders(100_000, &RunnerSettings::Broadcast);
}

#[test]
fn roundrobin() {
    let packets_per_port = NonZeroU32::MIN;
    orders(200_000, &RunnerSettings::RoundRobin { packets_per_port });
}

#[test]
fn random() {
    orders(300_000, &RunnerSettings::Random { seed: 1 });
}

#[test]
fn activebackup_same_all() {
    activebackup(400_000, HwAddrPolicy::SameAll);
}

#[test]
fn activebackup_by_active() {
    activebackup(500_000, HwAddrPolicy::ByActive);
}

#[test]
fn activebackup_only_active() {
    activebackup(600_000, HwAddrPolicy::OnlyActive);
}

#[test]
fn loadbalance_even() {
    loadbalance(700_000, None);
}

#[test]
fn loadbalance_by_load() {
    loadbalance(800_000, Some(Duration::from_millis(100)));
}

#[test]
fn slb() {
    source_balance(900_000, HostTraffic::OnePort);
}

#[test]
fn alb() {
    source_balance(1_000_000, HostTraffic::Both);
}
