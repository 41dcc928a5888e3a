//! Random sequences of events end in the state that follows from the final facts alone.
//!
//! A model of the kernel executes actions and delivers its events late; a model of the user changes
//! facts. Invariants are checked after each step. At the end the outcome is compared with a model
//! that knows the final facts only. Where history matters (equal ports, sticky, a chosen port) the
//! model derives the one right answer from the port that was active before.

mod checks;
mod random;
mod world;

use std::num::NonZeroU32;
use std::time::Duration;

use runners::{Event, Failback, HashFields, HostTraffic, HwAddrPolicy, RunnerSettings};

use world::World;

/// Sequences of each test; every test has its own seeds.
const SEQUENCES: u64 = 1_500;
const STEPS: usize = 30;

/// Prints the seed of a failed sequence.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

fn run(first_seed: u64, runner: &RunnerSettings) {
    for seed in first_seed..first_seed + SEQUENCES {
        let seed = Seed(seed);
        let mut world = World::new(runner.clone(), seed.0);
        world.handle(Event::DeadlineReached);
        for _ in 0..STEPS {
            world.step();
        }
        world.check_end();
        world.check_against_fresh();
    }
}

fn activebackup(first_seed: u64, hwaddr_policy: HwAddrPolicy) {
    let runner = RunnerSettings::ActiveBackup { hwaddr_policy, failback: Failback::default() };
    run(first_seed, &runner);
}

fn loadbalance(first_seed: u64, balancing_interval: Option<Duration>) {
    let runner = RunnerSettings::LoadBalance { tx_hash: HashFields::ETH, balancing_interval };
    run(first_seed, &runner);
}

fn source_balance(first_seed: u64, host: HostTraffic) {
    let balancing_interval = None;
    let runner = RunnerSettings::Slb { host, balancing_interval, learning_interval: None };
    run(first_seed, &runner);
}

#[test]
fn broadcast_follows_the_facts() {
    run(100_000, &RunnerSettings::Broadcast);
}

#[test]
fn roundrobin_follows_the_facts() {
    let packets_per_port = NonZeroU32::MIN;
    run(200_000, &RunnerSettings::RoundRobin { packets_per_port });
}

#[test]
fn random_follows_the_facts() {
    run(300_000, &RunnerSettings::Random { seed: 1 });
}

#[test]
fn activebackup_same_all_follows_the_facts() {
    activebackup(400_000, HwAddrPolicy::SameAll);
}

#[test]
fn activebackup_by_active_follows_the_facts() {
    activebackup(500_000, HwAddrPolicy::ByActive);
}

#[test]
fn activebackup_only_active_follows_the_facts() {
    activebackup(600_000, HwAddrPolicy::OnlyActive);
}

#[test]
fn loadbalance_follows_the_facts() {
    loadbalance(700_000, None);
}

#[test]
fn loadbalance_with_a_balancer_follows_the_facts() {
    loadbalance(800_000, Some(Duration::from_millis(100)));
}

#[test]
fn slb_follows_the_facts() {
    source_balance(900_000, HostTraffic::OnePort);
}

#[test]
fn alb_follows_the_facts() {
    source_balance(1_000_000, HostTraffic::Both);
}
