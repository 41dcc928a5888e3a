//! Compares teamd and teamr with lacp on the kernel's driver, with the kernel's bond as partner, in
//! one guest: time until both links carry traffic, and packets lost when the daemon restarts and
//! when the partner receives nothing. Medians, with minimum and maximum in brackets.
//!
//! A guest has one processor and is slower than its host: the columns compare, the absolute figures
//! mean little.
//!
//! `cargo bench --package integration --bench lacp`
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod columns;

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use columns::{DAEMONS, Daemon, head, millis, row};
use integration::traffic::{End, Pace, Stream};
use integration::{Lab, Ping, Process, Sharing, TeamAndBond, control, in_guest, wait_until};
use serde_json::json;

const LINKS: [&str; 2] = ["eth1", "eth2"];
const REPETITIONS: usize = 5;
/// Repetitions of measurements that wait for the partner's timeout.
const DEAF_REPETITIONS: usize = 3;
/// Time that a stream runs before and after an event.
const WINDOW: Duration = Duration::from_millis(500);
/// More than twice the timeout of either end.
const PATIENCE: Duration = Duration::from_secs(12);
/// Synchronization, Collecting and Distributing.
const CARRIES: u64 = 0x38;
/// Milliseconds between two packets of a stream. At the full rate the guest would have hardly any
/// time for bond and daemon.
const DISTANCE: f64 = 50.0;

/// Options to leave the device in place and to take it over.
const STAYS: &[&str] = &["-N", "-o"];

fn main() {
    in_guest(|_| {
        head(["teamd", "teamr"]);
        let lab = || Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let each = |measure: &dyn Fn(&TeamAndBond, Daemon) -> Vec<f64>| {
            DAEMONS.map(|daemon| measure(&TeamAndBond::new(&lab(), "lacp_rate fast"), daemon))
        };
        row("both carry after link-up, ms", each(&links_come_up));
        let restarts: [Vec<(f64, f64)>; 2] = DAEMONS
            .map(|daemon| stop_and_start(&TeamAndBond::new(&lab(), "lacp_rate fast"), daemon));
        let [carry, lost] = [0, 1].map(|figure| {
            restarts.each_ref().map(|series| {
                let figures = series.iter();
                let figures = figures.map(|(carry, lost)| [*carry, *lost][figure]);
                figures.collect()
            })
        });
        row("stop, start: both carry after, ms", carry);
        row("stop, start: lost, ms", lost);
        let anew = |crashes| {
            DAEMONS.map(|daemon| {
                let repetition =
                    |_| go_on(&TeamAndBond::new(&lab(), "lacp_rate fast"), daemon, crashes);
                (0..REPETITIONS).map(repetition).collect()
            })
        };
        row("-N, -o: lost, ms", anew(false));
        row("kill -9, -o: lost, ms", anew(true));
        row("deaf partner: lost, ms", each(&deaf_partner));
    });
}

/// A running daemon on the left host.
struct Running {
    process: Process,
    socket: PathBuf,
}

impl Running {
    fn start(bonded: &TeamAndBond, daemon: Daemon, args: &[&str]) -> Running {
        let left = &bonded.left;
        left.run("mkdir -p /run/teamd");
        let config = json!({
            "device": "team0",
            "data_path": "kernel",
            "runner": {
                "name": "lacp", "active": true, "fast_rate": true,
                "tx_hash": ["eth", "ipv4", "udp"],
            },
            "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {}, "eth2": {}},
        });
        let mut command = left.command(daemon.program());
        command.arg("-c").arg(config.to_string()).args(args);
        let process = Process::start("beside", left.folder(), command);
        let socket = format!("/proc/{}/root/run/teamd/team0.sock", process.pid());
        let running = Running {
            process,
            socket: socket.into(),
        };
        wait_until("the daemon to have its ports", || {
            running.ports(|_| true) == LINKS.len()
        });
        left.up("team0");
        running
    }

    /// Returns the number of ports whose LACP state satisfies `is_such`.
    fn ports(&self, is_such: impl Fn(u64) -> bool) -> usize {
        let Some(state) = control::state_at(&self.socket) else {
            return 0;
        };
        let state =
            |link: &&str| state["ports"][*link]["runner"]["actor_lacpdu_info"]["state"].as_u64();
        LINKS
            .iter()
            .filter_map(state)
            .filter(|state| is_such(*state))
            .count()
    }

    fn carrying(&self) -> usize {
        self.ports(|state| state & CARRIES == CARRIES)
    }

    fn wait_carrying(&self, bonded: &TeamAndBond) {
        wait_until("both ports to carry at both ends", || {
            self.carrying() == LINKS.len() && bonded.carrying() == LINKS.len()
        });
    }
}

fn links_come_up(bonded: &TeamAndBond, daemon: Daemon) -> Vec<f64> {
    let running = Running::start(bonded, daemon, &[]);
    running.wait_carrying(bonded);
    let repetition = |_| {
        bonded.cables.iter().for_each(|cable| cable.pull());
        // A bond reports lost links late.
        wait_until("no port to carry", || running.carrying() == 0);
        sleep(WINDOW);
        let begin = Instant::now();
        bonded.cables.iter().for_each(|cable| cable.put_back());
        running.wait_carrying(bonded);
        millis(begin.elapsed())
    };
    (0..REPETITIONS).map(repetition).collect()
}

/// Returns one stream in each direction.
fn streams(bonded: &TeamAndBond) -> [Stream; 2] {
    Ping::run(&bonded.left, "10.0.0.2", 3, "");
    let left = End::new(&bonded.left, "team0", "10.0.0.1:7000");
    let right = End::new(&bonded.right, "bond0", "10.0.0.2:7000");
    let streams = [
        Stream::start_at(Pace::Gentle, &left, &right, None, 100),
        Stream::start_at(Pace::Gentle, &right, &left, None, 100),
    ];
    sleep(WINDOW);
    streams
}

/// Returns the loss of the worse stream, in milliseconds.
fn lost<const N: usize>(streams: [Stream; N]) -> f64 {
    let lost = |stream: Stream| stream.finish().lost().len();
    let lost = streams.map(lost).into_iter().max();
    lost.unwrap_or_default() as f64 * DISTANCE
}

/// Measures the time until both links carry traffic again, and the loss.
fn stop_and_start(bonded: &TeamAndBond, daemon: Daemon) -> Vec<(f64, f64)> {
    let start = || {
        let running = Running::start(bonded, daemon, &[]);
        bonded.left.address("team0", "10.0.0.1/24");
        running
    };
    let mut running = start();
    running.wait_carrying(bonded);
    let mut figures = Vec::new();
    for _ in 0..REPETITIONS {
        let streams = streams(bonded);
        let begin = Instant::now();
        running.process.stop();
        running = start();
        running.wait_carrying(bonded);
        let carry = millis(begin.elapsed());
        sleep(WINDOW);
        figures.push((carry, lost(streams)));
    }
    figures
}

fn go_on(bonded: &TeamAndBond, daemon: Daemon, crashes: bool) -> f64 {
    let mut running = Running::start(bonded, daemon, STAYS);
    bonded.left.address("team0", "10.0.0.1/24");
    running.wait_carrying(bonded);
    let streams = streams(bonded);
    match crashes {
        true => running.process.kill(),
        false => assert!(running.process.stop().success()),
    }
    running = Running::start(bonded, daemon, STAYS);
    // The effect may take up to the partner's timeout.
    sleep(PATIENCE / 2);
    let lost = lost(streams);
    drop(running);
    lost
}

/// Our LACPDUs do not reach the partner on eth2, until the partner expires that port.
fn deaf_partner(bonded: &TeamAndBond, daemon: Daemon) -> Vec<f64> {
    let running = Running::start(bonded, daemon, &[]);
    bonded.left.address("team0", "10.0.0.1/24");
    bonded.right.run("tc qdisc add dev eth2 clsact");
    let right = End::new(&bonded.right, "bond0", "10.0.0.2:7000");
    let mut figures = Vec::new();
    for _ in 0..DEAF_REPETITIONS {
        running.wait_carrying(bonded);
        let stream = stream_on_eth2(bonded, &right);
        let deaf = "tc filter add dev eth2 ingress protocol 0x8809 matchall action drop";
        bonded.right.run(deaf);
        sleep(PATIENCE);
        figures.push(lost([stream]));
        bonded.right.run("tc filter del dev eth2 ingress");
    }
    figures
}

/// Returns a stream from the left that leaves on eth2.
fn stream_on_eth2(bonded: &TeamAndBond, right: &End) -> Stream {
    Ping::run(&bonded.left, "10.0.0.2", 3, "");
    let sent = || bonded.left.statistics("eth2")["tx"]["packets"].as_u64();
    for port in 7001..7100 {
        let left = End::new(&bonded.left, "team0", &format!("10.0.0.1:{port}"));
        let stream = Stream::start_at(Pace::Gentle, &left, right, None, 100);
        let before = sent();
        sleep(WINDOW);
        // One or two PDUs are sent in any case.
        if sent() > before.map(|before| before + 4) {
            return stream;
        }
        stream.finish();
    }
    panic!("no flow leaves on eth2");
}
