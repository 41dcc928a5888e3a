//! teamd and teamr with lacp on the kernel driver and with a bond as partner, in one guest: the
//! time until both links carry traffic, and the traffic lost when the daemon restarts and when the
//! partner receives no LACPDUs. Each figure is a median, with the minimum and the maximum in
//! brackets.
//!
//! A guest has one processor and is slower than its host, so only the comparison of the columns has
//! a meaning.
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
/// Repetitions of the measurement that waits for timeouts.
const TIMEOUT_REPETITIONS: usize = 3;
/// Time that a stream runs before and after an event.
const WINDOW: Duration = Duration::from_millis(500);
/// Longer than the timeouts of both ends in a row.
const TIMEOUTS: Duration = Duration::from_secs(12);
/// Synchronization, Collecting and Distributing.
const CARRIES: u64 = 0x38;
/// Milliseconds between two packets of a stream. A faster stream would leave bond and daemon no
/// time in the guest.
const PACKET_INTERVAL: f64 = 50.0;

/// Options that leave the device in place at exit and take an existing device over.
const KEEP_DEVICE: &[&str] = &["-N", "-o"];

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
        let restarts = |crashes| {
            DAEMONS.map(|daemon| {
                let repetition =
                    |_| restart(&TeamAndBond::new(&lab(), "lacp_rate fast"), daemon, crashes);
                (0..REPETITIONS).map(repetition).collect()
            })
        };
        row("-N, -o: lost, ms", restarts(false));
        row("kill -9, -o: lost, ms", restarts(true));
        row("blocked LACPDUs: lost, ms", each(&blocked_partner));
    });
}

/// A daemon on the left host.
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
        let running = Running { process, socket: socket.into() };
        wait_until("the daemon to have its ports", || running.ports(|_| true) == LINKS.len());
        left.up("team0");
        running
    }

    /// Returns the number of ports whose Actor state passes the test.
    fn ports(&self, passes: impl Fn(u64) -> bool) -> usize {
        let Some(state) = control::state_at(&self.socket) else {
            return 0;
        };
        let state =
            |link: &&str| state["ports"][*link]["runner"]["actor_lacpdu_info"]["state"].as_u64();
        LINKS.iter().filter_map(state).filter(|state| passes(*state)).count()
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
        // A bond without links keeps its old state.
        wait_until("no port to carry", || running.carrying() == 0);
        sleep(WINDOW);
        let begin = Instant::now();
        bonded.cables.iter().for_each(|cable| cable.put_back());
        running.wait_carrying(bonded);
        millis(begin.elapsed())
    };
    (0..REPETITIONS).map(repetition).collect()
}

/// Starts one stream in each direction.
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

/// Returns the larger loss of the streams, in milliseconds.
fn lost<const N: usize>(streams: [Stream; N]) -> f64 {
    let lost = |stream: Stream| stream.finish().lost().len();
    let lost = streams.map(lost).into_iter().max();
    lost.unwrap_or_default() as f64 * PACKET_INTERVAL
}

/// Returns the time until both links carry again and the traffic lost, for each restart.
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

/// Returns the traffic lost across a restart that keeps the device.
fn restart(bonded: &TeamAndBond, daemon: Daemon, crashes: bool) -> f64 {
    let mut running = Running::start(bonded, daemon, KEEP_DEVICE);
    bonded.left.address("team0", "10.0.0.1/24");
    running.wait_carrying(bonded);
    let streams = streams(bonded);
    match crashes {
        true => running.process.kill(),
        false => assert!(running.process.stop().success()),
    }
    running = Running::start(bonded, daemon, KEEP_DEVICE);
    // A loss may start with a timeout of the partner.
    sleep(TIMEOUTS / 2);
    let lost = lost(streams);
    drop(running);
    lost
}

/// Returns the traffic lost on eth2 when the partner receives no LACPDUs there.
fn blocked_partner(bonded: &TeamAndBond, daemon: Daemon) -> Vec<f64> {
    let running = Running::start(bonded, daemon, &[]);
    bonded.left.address("team0", "10.0.0.1/24");
    bonded.right.run("tc qdisc add dev eth2 clsact");
    let right = End::new(&bonded.right, "bond0", "10.0.0.2:7000");
    let mut figures = Vec::new();
    for _ in 0..TIMEOUT_REPETITIONS {
        running.wait_carrying(bonded);
        let stream = stream_on_eth2(bonded, &right);
        let drop_lacpdus = "tc filter add dev eth2 ingress protocol 0x8809 matchall action drop";
        bonded.right.run(drop_lacpdus);
        sleep(TIMEOUTS);
        figures.push(lost([stream]));
        bonded.right.run("tc filter del dev eth2 ingress");
    }
    figures
}

/// Starts a stream from the left host whose frames leave on eth2.
fn stream_on_eth2(bonded: &TeamAndBond, right: &End) -> Stream {
    Ping::run(&bonded.left, "10.0.0.2", 3, "");
    let sent = || bonded.left.statistics("eth2")["tx"]["packets"].as_u64();
    for port in 7001..7100 {
        let left = End::new(&bonded.left, "team0", &format!("10.0.0.1:{port}"));
        let stream = Stream::start_at(Pace::Gentle, &left, right, None, 100);
        let before = sent();
        sleep(WINDOW);
        // One or two LACPDUs leave in the same time.
        if sent() > before.map(|before| before + 4) {
            return stream;
        }
        stream.finish();
    }
    panic!("no flow leaves on eth2");
}
