//! The watch errors with every runner: bad ports leave, the worst first, while enough others carry.

use std::time::Duration;

use runners::{
    ErrorsSettings, Event, Exclusion, HwAddrPolicy, LinkWatchSettings, PortId, PortSettings,
    ReceiveCounters, RunnerSettings, TeamSettings,
};

use crate::play::*;

/// Seconds of a hold.
const HOLD: u64 = 30;

fn watched() -> PortSettings {
    let errors = LinkWatchSettings::Errors(ErrorsSettings {
        interval: Duration::from_secs(1),
        error_ratio: 1000,
        min_errors: 10,
        hold_time: Duration::from_secs(HOLD),
    });
    PortSettings { link_watches: vec![ethtool(0, 0), errors], ..PortSettings::default() }
}

/// A team whose ports receive frames.
struct Links {
    play: Play,
    /// Corrupted frames a second of each port among 10,000 good ones.
    corrupted: Vec<u64>,
    counters: Vec<ReceiveCounters>,
    second: u64,
    /// Lines of the log and forwardings.
    lines: Vec<String>,
}

impl Links {
    fn new(runner: RunnerSettings, min_ports: u32, ports: usize) -> Links {
        let mut play = Play::new(TeamSettings { min_ports, ..TeamSettings::new(runner) });
        for number in 1..=ports {
            play.skip(0, added(number as u32, UP, watched()));
        }
        Links {
            play,
            corrupted: vec![0; ports],
            counters: vec![ReceiveCounters::default(); ports],
            second: 0,
            lines: Vec::new(),
        }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            for (counters, corrupted) in self.counters.iter_mut().zip(&self.corrupted) {
                counters.good += 10_000;
                counters.corrupted += corrupted;
            }
            let millis = self.second * 1000;
            let due = self.play.shown(millis, Event::DeadlineReached);
            let readings = due.iter().filter(|line| *line == "read port counters").count();
            assert_eq!(readings, 1, "one reading for all ports, at {millis} ms: {due:?}");
            let ports = self.counters.iter().zip(1..);
            let ports = ports.map(|(counters, number)| (PortId(number), *counters)).collect();
            self.lines.extend(due);
            self.lines.extend(self.play.shown(millis, Event::PortCounters { ports }));
        }
    }

    /// Returns the numbers of the ports that are out.
    fn out(&self) -> Vec<u32> {
        let out = |port: &&runners::Port| port.exclusion() == Some(Exclusion::Corrupting);
        self.play.team.ports().filter(out).map(|port| port.id().0).collect()
    }
}

fn every_runner() -> [RunnerSettings; 4] {
    [
        RunnerSettings::Broadcast,
        ROUNDROBIN,
        RunnerSettings::Random { seed: 7 },
        backed_up(HwAddrPolicy::SameAll),
    ]
}

#[test]
fn a_corrupting_port_leaves_and_returns_after_a_clean_hold_time() {
    for runner in every_runner() {
        let mut links = Links::new(runner.clone(), 1, 2);
        links.pass(5);
        links.corrupted[0] = 100;
        links.pass(1);
        assert_eq!(links.out(), [1], "{runner:?}");
        let port = links.play.team.port(PortId(1)).expect("a port");
        assert!(!port.is_enabled() && port.watches_up(), "the link itself stays up");
        assert_eq!(port.watches()[1].errors_status().map(|status| status.ratio), Some(9900));
        assert!(links.play.team.carrier());
        links.corrupted[0] = 0;
        links.pass(HOLD - 1);
        assert_eq!(links.out(), [1]);
        links.pass(1);
        assert_eq!(links.out(), [0; 0]);
        let log: Vec<&String> =
            links.lines.iter().filter(|line| line.starts_with("eth1:")).collect();
        let expected = [
            "eth1: errors-link went down.",
            "eth1: Carries no traffic: it corrupts frames, and enough others carry.",
            "eth1: errors-link went up.",
            "eth1: May carry traffic again.",
        ];
        assert_eq!(log, expected);
    }
}

#[test]
fn of_several_corrupting_ports_the_worst_leave_while_enough_others_carry() {
    for (min_ports, corrupted, out) in [
        (1, [20, 300, 40, 0], vec![1, 2, 3]),
        (1, [20, 300, 40, 50], vec![2, 3, 4]),
        (2, [20, 300, 40, 0], vec![2, 3]),
        (2, [0, 300, 40, 0], vec![2, 3]),
        (3, [20, 300, 40, 50], vec![2]),
        (4, [20, 300, 40, 50], vec![]),
    ] {
        let mut links = Links::new(ROUNDROBIN, min_ports, 4);
        links.corrupted = corrupted.to_vec();
        links.pass(5);
        assert_eq!(links.out(), out, "{min_ports} of {corrupted:?}");
    }
}

#[test]
fn the_least_bad_port_returns_when_another_is_lost() {
    let mut links = Links::new(backed_up(HwAddrPolicy::SameAll), 1, 3);
    links.corrupted = vec![300, 20, 0];
    links.pass(2);
    assert_eq!((links.out(), links.play.team.active_port()), (vec![1, 2], Some(PortId(3))));
    links.play.skip(links.second * 1000 + 1, link_is(3, DOWN));
    assert_eq!((links.out(), links.play.team.active_port()), (vec![1], Some(PortId(2))));
    links.play.skip(links.second * 1000 + 2, link_is(3, UP));
    assert_eq!(links.out(), [1, 2]);
}

#[test]
fn the_only_port_stays_and_two_alike_do_not_take_turns() {
    let mut links = Links::new(ROUNDROBIN, 1, 1);
    links.corrupted = vec![5000];
    links.pass(10);
    assert_eq!((links.out(), links.play.team.carrier()), (vec![], true));

    let mut links = Links::new(ROUNDROBIN, 1, 2);
    links.corrupted = vec![100, 101];
    links.pass(2);
    assert_eq!(links.out(), [2]);
    links.lines.clear();
    for second in 0..200 {
        links.corrupted = vec![100 + second % 7, 104];
        links.pass(1);
    }
    assert_eq!(links.out(), [2]);
    assert!(!links.lines.iter().any(|line| line.starts_with("forward")), "{:?}", links.lines);
    // A port that is far worse takes the place.
    links.corrupted = vec![1000, 101];
    links.pass(2);
    assert_eq!(links.out(), [1]);
}
