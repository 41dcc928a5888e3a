//! Single measurements on one path between two hosts.

use std::fs;
use std::hint::black_box;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Instant;

use integration::{Namespace, Process, wait_until};
use runners::{HashFields, Selector};
use serde_json::Value;
use teamr::datapath::programs::assembler::{Assembler, Reg};
use teamr::datapath::programs::{bucket, maps::Maps};
use teamr::sys::bpf::Program;

/// A path: the host that asks, and the address and port of the server at the far end.
pub struct Route {
    near: Namespace,
    address: String,
    port: u16,
    _server: Process,
}

impl Route {
    /// Starts a server at `address` and waits until it can be reached.
    pub fn new(near: &Namespace, far: &Namespace, address: &str, port: u16) -> Route {
        let server = far.start(&format!("iperf3 --server --bind {address} --port {port}"));
        let route = Route {
            near: near.clone(),
            address: address.to_owned(),
            port,
            _server: server,
        };
        wait_until("the server to be reached", || {
            near.try_run(&route.client("--bytes 1K")).status.success()
        });
        route
    }

    fn client(&self, options: &str) -> String {
        let Route { address, port, .. } = self;
        format!("iperf3 --client {address} --port {port} {options}")
    }

    /// One run of a second, each end pinned to a core of its own where there are two.
    fn run(&self, options: &str) -> Value {
        let cores = std::thread::available_parallelism();
        let affinity = if cores.is_ok_and(|cores| cores.get() > 1) {
            "--affinity 0,1"
        } else {
            ""
        };
        let options = format!("--time 1 --json {affinity} {options}");
        self.near.run_json(&self.client(&options))
    }

    /// One TCP stream: Gbit/s, and the seconds that all processors were busy for 10^9 bytes.
    pub fn tcp(&self, options: &str) -> [f64; 2] {
        let busy = busy_seconds();
        let report = self.run(options);
        let busy = busy_seconds() - busy;
        let received = &report["end"]["sum_received"];
        let number = |key: &str| received[key].as_f64().expect("a number from iperf3");
        [
            number("bits_per_second") / 1e9,
            busy / (number("bytes") / 1e9),
        ]
    }

    /// UDP with 64 bytes of payload, as many as go: thousands a second that arrived. No number
    /// where a flood leaves no room for what the two ends tell each other.
    pub fn small_udp(&self, options: &str) -> f64 {
        let report = self.run(&format!("--udp --bitrate 0 --length 64 {options}"));
        let sum = &report["end"]["sum"];
        let number = |key: &str| sum[key].as_f64().unwrap_or(f64::NAN);
        (number("packets") - number("lost_packets")) / number("seconds") / 1e3
    }

    /// A flood of pings: thousands of answers a second.
    pub fn ping_flood(&self) -> f64 {
        let line = format!("ping -f -q -c 20000 {}", self.address);
        // `20000 packets transmitted, 20000 received, 0% packet loss, time 199ms`
        20000.0 / number_after(&self.near.run(&line), "loss, time ")
    }

    /// Mean round trip of single pings in microseconds.
    pub fn round_trip(&self) -> f64 {
        let line = format!("ping -q -i 0.01 -c 100 {}", self.address);
        // `rtt min/avg/max/mdev = 0.029/0.040/0.051/0.004 ms`
        let summary = self.near.run(&line);
        let (_, times) = summary.split_once("mdev = ").unwrap_or_default();
        let (_, mean) = times.split_once('/').unwrap_or_default();
        number_after(mean, "") * 1e3
    }
}

/// The number that follows `mark`.
fn number_after(text: &str, mark: &str) -> f64 {
    let (_, rest) = text.split_once(mark).unwrap_or_default();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    let digits = &rest[..end.unwrap_or(rest.len())];
    digits.parse().unwrap_or(f64::NAN)
}

/// What all processors have spent on anything but waiting, in seconds.
fn busy_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").expect("read /proc/stat");
    let ticks: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq; what follows is in part counted twice.
    let busy: f64 = ticks.iter().take(7).sum::<f64>() - ticks[3] - ticks[4];
    busy / ticks_per_second()
}

fn ticks_per_second() -> f64 {
    let output = Command::new("getconf").arg("CLK_TCK").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(100.0)
}

/// How long a process has run so far, in seconds.
pub fn own_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    number_after(&text, "") / 1e9
}

/// TCP over IPv4, as short as it gets.
fn frame() -> [u8; 60] {
    let mut frame = [0; 60];
    frame[12..15].copy_from_slice(&[8, 0, 0x45]);
    frame[23] = 6;
    for (place, byte) in frame[26..38].iter_mut().enumerate() {
        *byte = 17 * place as u8;
    }
    frame
}

/// How often the choice of a port is repeated, and how often that is timed; the best counts.
const CHOICES: u32 = 1_000_000;
const TIMES: usize = 9;

fn fields() -> HashFields {
    let named = ["l3", "l4"].into_iter().filter_map(HashFields::from_name);
    named.fold(HashFields::NONE, |all, field| all | field)
}

/// Nanoseconds that the relay takes to find the bucket of a frame.
pub fn selector_cost() -> f64 {
    let (selector, frame) = (Selector::new(fields()), frame());
    let times = (0..TIMES).map(|_| {
        let begun = Instant::now();
        for _ in 0..CHOICES {
            black_box(selector.bucket(black_box(&frame)));
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(CHOICES)
    });
    times.fold(f64::INFINITY, f64::min)
}

/// The same of the programs, by the kernel's own test run, less that of a program which does
/// nothing; none where it may not be loaded.
pub fn program_cost() -> Option<f64> {
    let maps = Maps::create().ok()?;
    let mut select = Assembler::new();
    select.set(Reg::R6, Reg::R1);
    bucket::emit(&mut select, fields(), maps.hash.as_raw_fd());
    select.set(Reg::R0, Reg::R7);
    select.exit();
    let mut nothing = Assembler::new();
    nothing.exit_with(0);
    let cost = |program: Assembler| {
        let program = Program::load(&program.finish(), "teamr_cost").ok()?;
        let times = (0..TIMES).filter_map(|_| program.test(&frame(), &[], CHOICES).ok());
        times.map(|run| run.nanoseconds).min()
    };
    Some(f64::from(cost(select)?) - f64::from(cost(nothing)?))
}
