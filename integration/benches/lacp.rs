//! teamd and teamr with lacp on the kernel's driver, the kernel's bond as their partner, measured
//! in one guest: until both links carry, and what is lost when the daemon ends and starts anew
//! and when the partner goes deaf. Medians, in brackets the least and the most.
//!
//! A guest has one processor and is slower than its host: the columns compare, the figures by
//! themselves say little.
//!
//! `cargo bench --package integration --bench lacp`
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod columns;

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use columns::{DAEMONS, Daemon, head, millis, row};
use integration::traffic::{End, Pace, Stream};
use integration::{
    Lab, Namespace, Ping, Process, Sharing, TeamAndBond, control, in_guest, wait_until,
};
use serde_json::json;

const LINKS: [&str; 2] = ["eth1", "eth2"];
const REPETITIONS: usize = 5;
/// Of what takes a partner's patience.
const DEAF_REPETITIONS: usize = 3;
/// How long a stream runs before and after what happens to it.
const WINDOW: Duration = Duration::from_millis(500);
/// Longer than either end waits for the other, twice.
const PATIENCE: Duration = Duration::from_secs(12);
/// Synchronization, Collecting and Distributing.
const CARRIES: u64 = 0x38;
/// Between two packets of a stream. At full pace the guest would hardly have the time for
/// anything else, bond and daemon least of all.
const DISTANCE: f64 = 50.0;

/// Leaves the device in place, and takes it over.
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

    /// Ports whose LACP state is such.
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
        // A bond whose links are lost does not care to say so.
        wait_until("no port to carry", || running.carrying() == 0);
        sleep(WINDOW);
        let begin = Instant::now();
        bonded.cables.iter().for_each(|cable| cable.put_back());
        running.wait_carrying(bonded);
        millis(begin.elapsed())
    };
    (0..REPETITIONS).map(repetition).collect()
}

fn end(host: &Namespace, interface: &str, address: &str) -> End {
    End {
        host: host.clone(),
        interface: interface.to_owned(),
        address: address.parse().expect("an address"),
    }
}

/// One each way.
fn streams(bonded: &TeamAndBond) -> [Stream; 2] {
    Ping::run(&bonded.left, "10.0.0.2", 3, "");
    let left = end(&bonded.left, "team0", "10.0.0.1:7000");
    let right = end(&bonded.right, "bond0", "10.0.0.2:7000");
    let streams = [
        Stream::start_at(Pace::Gentle, &left, &right, None, 100),
        Stream::start_at(Pace::Gentle, &right, &left, None, 100),
    ];
    sleep(WINDOW);
    streams
}

/// What the stream lost that lost more, in milliseconds.
fn lost<const N: usize>(streams: [Stream; N]) -> f64 {
    let lost = |stream: Stream| stream.finish().lost().len();
    let lost = streams.map(lost).into_iter().max();
    lost.unwrap_or_default() as f64 * DISTANCE
}

/// Until both links carry again, and what is lost.
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
    // What follows may take the partner's patience to show.
    sleep(PATIENCE / 2);
    let lost = lost(streams);
    drop(running);
    lost
}

/// Our PDUs do not reach the partner on eth2. It gives that port up, and says so.
fn deaf_partner(bonded: &TeamAndBond, daemon: Daemon) -> Vec<f64> {
    let running = Running::start(bonded, daemon, &[]);
    bonded.left.address("team0", "10.0.0.1/24");
    bonded.right.run("tc qdisc add dev eth2 clsact");
    let right = end(&bonded.right, "bond0", "10.0.0.2:7000");
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

/// A stream from the left that leaves on eth2.
fn stream_on_eth2(bonded: &TeamAndBond, right: &End) -> Stream {
    Ping::run(&bonded.left, "10.0.0.2", 3, "");
    let sent = || bonded.left.statistics("eth2")["tx"]["packets"].as_u64();
    for port in 7001..7100 {
        let left = end(&bonded.left, "team0", &format!("10.0.0.1:{port}"));
        let stream = Stream::start_at(Pace::Gentle, &left, right, None, 100);
        let before = sent();
        sleep(WINDOW);
        // A PDU or two leave meanwhile in any case.
        if sent() > before.map(|before| before + 4) {
            return stream;
        }
        stream.finish();
    }
    panic!("no flow leaves on eth2");
}
