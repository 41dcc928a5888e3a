//! Each system call of the loop fails once: the daemon goes on, and without another event its state is
//! that of the links soon.
//!
//! A library between the daemon and the C library (`fail.c`) counts the calls of each kind and lets
//! one of them fail. A first round without a failure counts the calls of a fixed scenario: a pulled
//! cable, the failover, the cable plugged in again, another MTU, a port that vanishes and returns.
//! Then, for each kind and each error number, one call fails in a round of its own. The failing
//! calls of a kind are spread evenly over the scenario.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::{
    CableKind, DataPath, HostAndPeer, LIMIT, Lab, Preload, Sharing, Teamr, control,
    in_virtual_time, on_own_data_paths, team_config, teamr_command, wait_until,
};
use serde_json::Value;

/// The kinds of `fail.c`, in its order.
const KINDS: [&str; 29] = [
    "accept",
    "accept4",
    "bind",
    "bpf",
    "close",
    "connect",
    "epoll_ctl",
    "epoll_wait",
    "fcntl",
    "getsockopt",
    "ioctl",
    "open",
    "read",
    "readv",
    "recv",
    "recvmmsg",
    "recvmsg",
    "rename",
    "send",
    "sendmmsg",
    "sendmsg",
    "setsockopt",
    "socket",
    "stat",
    "statx",
    "timerfd_settime",
    "unlink",
    "write",
    "writev",
];
const ERRORS: [i32; 6] =
    [libc::EINTR, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM, libc::EMSGSIZE, libc::EPERM];
/// Kinds of calls that only the loop makes, for no client. The daemon counts their failures, other
/// than interruptions. The relay also receives frames by `recvmmsg`, and counts these failures as lost
/// frames.
const LOOP: [&str; 3] = ["epoll_wait", "recvmmsg", "timerfd_settime"];
const PORTS: [&str; 2] = ["eth1", "eth2"];
/// The peer's bridge; a bridge has the address of a port otherwise.
const PEER_HWADDR: &str = "02:00:00:00:00:02";

/// The words of `fail.c`; the calls of each kind follow.
const KIND: usize = 0;
const PASSING: usize = 1;
const ERROR: usize = 2;
const FAILED: usize = 3;
const CALLS: usize = 4;
/// The value of [`KIND`] with which no call fails.
const NONE: i64 = -1;

struct Site {
    pair: HostAndPeer,
    lab: Lab,
    team: Teamr,
    calls: Preload,
    mtu: u32,
}

impl Site {
    fn new(lab: Lab, data_path: DataPath) -> Site {
        let pair = HostAndPeer::new(&lab, &PORTS);
        let calls = Preload::new(&lab, "tests/fault_points/fail.c", CALLS + KINDS.len());
        calls.set(KIND, NONE);
        let mut command = teamr_command(&pair.host);
        calls.apply(&mut command);
        let config = team_config("team0", "activebackup", data_path, &PORTS);
        let team = Teamr::start_config(&pair.host, &config, command);
        pair.host.up("team0");
        pair.host.address("team0", "10.0.0.1/24");
        pair.peer.ip(&format!("link add br0 address {PEER_HWADDR} type bridge"));
        pair.peer.up("br0");
        for port in PORTS {
            pair.peer.ip(&format!("link set dev {port} master br0"));
        }
        pair.peer.address("br0", "10.0.0.2/24");
        // Address resolution waits for a second after a lost request.
        for (host, interface, address, hwaddr) in [
            (&pair.host, "team0", "10.0.0.2", PEER_HWADDR.to_owned()),
            (&pair.peer, "br0", "10.0.0.1", pair.host.hwaddr("team0")),
        ] {
            host.ip(&format!(
                "neighbour replace {address} lladdr {hwaddr} dev {interface} nud permanent"
            ));
        }
        team.wait_ports_up(&PORTS);
        Site { pair, lab, team, calls, mtu: 1500 }
    }

    /// Returns the calls of each kind so far.
    fn counts(&self) -> [i64; KINDS.len()] {
        std::array::from_fn(|kind| self.calls.get(CALLS + kind))
    }

    /// Returns what the daemon has counted: calls that it made again, and readings of everything.
    fn counted(&self) -> u64 {
        let items = &self.team.state_at_socket()["teamr"];
        ["failed_calls", "resyncs"].map(|item| items[item].as_u64().expect("a count")).iter().sum()
    }

    /// Plays the scenario while the call number `at` of a kind fails. Returns whether a call failed.
    fn scenario_with(&mut self, kind: usize, at: i64, error: i32) -> bool {
        let failed = self.calls.get(FAILED);
        self.calls.set(PASSING, at);
        self.calls.set(ERROR, error.into());
        self.calls.set(KIND, i64::try_from(kind).expect("a small number"));
        self.scenario();
        self.calls.set(KIND, NONE);
        self.calls.get(FAILED) > failed
    }

    /// Waits for a state, at most [`LIMIT`]: a daemon that has lost an event never reaches the state,
    /// since nothing but another event would tell it. A request for the state may be the call that fails.
    fn settles(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let end = Instant::now() + LIMIT;
        let mut last = Value::Null;
        loop {
            if let Some(state) = control::state_at(&self.team.control_socket()) {
                if holds(&state) {
                    return;
                }
                last = state;
            }
            assert!(Instant::now() < end, "no {what} in time: {last:#}\n{}", self.team.log());
            sleep(Duration::from_millis(3));
        }
    }

    fn is_up(port: &str) -> impl Fn(&Value) -> bool {
        move |state| state["ports"][port]["link_watches"]["up"] == true
    }

    /// Has a cable pulled and plugged in, the MTU changed, and a port vanish and return.
    fn scenario(&mut self) {
        let [first, second] = PORTS;
        for (pulled, other) in [(first, second), (second, first)] {
            self.pair.peer.down(pulled);
            self.settles("failover", |state| {
                state["runner"]["active_port"] == other && !Site::is_up(pulled)(state)
            });
            self.pair.peer.up(pulled);
            self.settles("link", Site::is_up(pulled));
        }
        self.mtu = 2900 - self.mtu;
        self.pair.host.ip(&format!("link set dev team0 mtu {}", self.mtu));
        self.settles("MTU", |_| {
            PORTS.iter().all(|port| self.pair.host.link(port)["mtu"] == self.mtu)
        });
        self.pair.host.ip("link delete dev eth2");
        self.settles("vanished port", |state| state["ports"].get(second).is_none());
        self.lab.cable((&self.pair.host, second), (&self.pair.peer, second), CableKind::Virtual);
        self.pair.peer.ip(&format!("link set dev {second} master br0"));
        self.pair.peer.up(second);
        self.settles("returned port", Site::is_up(second));
        // The peer's kernel forwards up to a second after the link is up.
        wait_until("the peer's bridge to forward", || {
            let ports = self.pair.peer.run_json("bridge -json link show");
            let ports = ports.as_array().expect("a list");
            ports.iter().all(|port| port["state"] == "forwarding")
        });
        let ping = || self.pair.host.try_run("ping -c 1 -W 0.2 10.0.0.2").status.success();
        self.settles("frames", |_| ping());
    }
}

fn each_call_fails_once(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let mut site = Site::new(lab, data_path);
    site.scenario();
    let before = site.counts();
    site.scenario();
    let after = site.counts();
    let mut points = 0;
    for (kind, name) in KINDS.iter().enumerate() {
        let calls = after[kind] - before[kind];
        // A kind without calls has no round.
        let rounds = (0..).zip(ERRORS).filter(|_| calls > 0);
        for (round, error) in rounds {
            let at = calls * round / ERRORS.len() as i64;
            println!("{name}: call {at} of {calls} fails with {error}");
            // The number of calls differs a little from round to round.
            let before = site.counted();
            let has_failed = site.scenario_with(kind, at, error);
            points += i64::from(has_failed);
            // The kernel answers a reading of an empty queue with EAGAIN, too.
            let is_failure = match error {
                libc::EINTR => false,
                libc::EAGAIN => *name != "recvmmsg",
                _ => true,
            };
            let is_counted = site.counted() > before;
            let of_relay = data_path == DataPath::Userspace && *name == "recvmmsg";
            let must_count = has_failed && is_failure && LOOP.contains(name) && !of_relay;
            assert!(is_counted || !must_count, "{name} is not counted");
        }
    }
    println!("{points} calls failed");
    assert!(points > 0);
    assert!(site.team.stop().success());
}

on_own_data_paths! {
    each_call_fails_once
}

#[test]
fn each_call_fails_once_with_the_kernels_driver() {
    in_virtual_time(|_| each_call_fails_once(DataPath::Kernel));
}
