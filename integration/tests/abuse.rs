//! Clients that abuse the control socket, and a good client that still gets its answers.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use integration::{
    DataPath, HostAndPeer, LIMIT, Lab, Sharing, Teamr, in_guest, on_own_data_paths, team_config,
    wait_until,
};
use socket2::{Domain, SockAddr, Socket, Type};

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Clients that connect and send nothing; more than the daemon accepts at a time.
const SILENT: usize = 200;
/// Clients of each other sort.
const FEW: usize = 10;
/// Bytes of garbage that the daemon reads at least while the good client asks.
const GARBAGE: usize = 1 << 20;
/// Requests of the good client at least beside each group of bad clients.
const REQUESTS: usize = 50;

const STATE_DUMP: &[u8] = b"REQUEST\nStateDump\n";
const HALF: [&[u8]; 4] = [b"R", b"REQUEST", b"REQUEST\n", b"REQUEST\nPortAdd"];

fn connect(path: &Path) -> Socket {
    let address = SockAddr::unix(path).expect("a path short enough for a socket");
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).expect("make a socket");
    socket.connect(&address).expect("connect to the daemon");
    socket
}

/// Requests that a client sends without a pause.
const BURST: usize = 16;
/// Answers after which the daemon has served every client that it can serve.
const ANSWERS: usize = 3;

/// Requests the state until `enough`, and prints the longest wait.
fn ask_before(team: &Teamr, group: &str, mut enough: impl FnMut() -> bool) {
    let mut waits = Vec::new();
    while waits.len() < REQUESTS || !enough() {
        let asked = Instant::now();
        let state = team.state_at_socket();
        waits.push(asked.elapsed());
        assert_eq!(state["setup"]["runner_name"], "activebackup", "{group}");
    }
    println!(
        "{group}: {} requests answered, the slowest after {:.1} ms",
        waits.len(),
        waits.iter().max().map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
    );
}

/// Returns a client that reads no answer, after its requests find no room any more, although the
/// daemon has answered others meanwhile.
fn never_reading(team: &Teamr, path: &Path) -> Socket {
    let client = connect(path);
    client.set_nonblocking(true).expect("not wait");
    wait_until("the daemon to read no more of a client", || {
        let was_full = (0..BURST).any(|_| is_full(&client, STATE_DUMP));
        (0..ANSWERS).for_each(|_| _ = team.state_at_socket());
        was_full && is_full(&client, STATE_DUMP)
    });
    client
}

/// Sends a packet; returns whether it found no room, which may change.
fn is_full(client: &Socket, packet: &[u8]) -> bool {
    match client.send(packet) {
        Ok(_) => false,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
        Err(error) => panic!("the daemon closed a client that does not read: {error}"),
    }
}

/// Sends garbage until `stop`.
fn send_garbage(path: &Path, sent: &AtomicUsize, stop: &AtomicBool) {
    let client = connect(path);
    // The test must end although the daemon reads nothing more.
    client.set_write_timeout(Some(Duration::from_millis(100))).expect("set a timeout");
    let mut garbage: Vec<u8> =
        (0..16_384_u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    while !stop.load(Ordering::Relaxed) {
        garbage.rotate_left(1);
        match client.send(&garbage) {
            Ok(length) => _ = sent.fetch_add(length, Ordering::Relaxed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) => panic!("the daemon closed a client that sends garbage: {error}"),
        }
    }
}

fn abuse(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = HostAndPeer::new(&lab, &PORTS).host;
    let config = team_config("team0", "activebackup", data_path, &PORTS);
    let team = Teamr::start(&host, &config);
    let path = team.control_socket();
    ask_before(&team, "no other client", || true);

    let _silent: Vec<Socket> = (0..SILENT).map(|_| connect(&path)).collect();
    ask_before(&team, "200 silent clients", || true);

    let halves: Vec<Socket> = (0..FEW).map(|_| connect(&path)).collect();
    for (client, half) in halves.iter().zip(HALF.iter().cycle()) {
        client.send(half).expect("send half a message");
    }
    ask_before(&team, "and 10 with half a message", || true);

    let unread: Vec<Socket> = (0..FEW).map(|_| never_reading(&team, &path)).collect();
    ask_before(&team, "and 10 that ask and never read", || true);

    let (sent, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..FEW {
            scope.spawn(|| send_garbage(&path, &sent, &stop));
        }
        let deadline = Instant::now() + LIMIT;
        ask_before(&team, "and 10 that send garbage", || {
            sent.load(Ordering::Relaxed) >= GARBAGE || Instant::now() >= deadline
        });
        stop.store(true, Ordering::Relaxed);
    });
    let sent = sent.into_inner();
    assert!(sent >= GARBAGE, "only {sent} bytes of garbage were read");
    println!("garbage sent meanwhile: {} kB", sent >> 10);

    // The clients that do not read are still connected and full.
    for client in &unread {
        assert!(is_full(client, STATE_DUMP), "there is room again");
    }
    drop((halves, unread));
    ask_before(&team, "most of them closed", || true);
    team.wait_ports_up(&PORTS);
    assert!(team.stop().success());
}

on_own_data_paths! { abuse }

#[test]
fn with_the_kernels_driver_too() {
    // The host's clock: clients that never wait stop a virtual one.
    in_guest(|_| abuse(DataPath::Kernel));
}
