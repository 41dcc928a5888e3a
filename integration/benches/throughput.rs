//! One TCP stream through a team, against the same kind of veth pair without a team.
//!
//! Both paths stand all the time. A sample is a pair of runs, one right after the other, the
//! path that goes first changing each time; the ratio is taken within the pair, so that a load
//! from outside meets both. All of it runs with real-time priority (round robin) where that is
//! permitted, daemon included, so that the scheduler's choices are not what is measured. CPU
//! seconds are all that the machine was busy, per 10^9 bytes.
//!
//! `cargo bench --package integration --bench throughput -- [PAIRS] [programs] [tap]`; `tap` has
//! the programs take the relay's place on its device.

use std::fs;
use std::process::{Command, ExitCode};

use integration::{
    CableKind, DataPath, Lab, Namespace, Process, Sharing, Teamr, team_config, wait_until,
};

/// The far end's address on each path, and the port of its server.
const DIRECT: (&str, &str) = ("10.1.0.2", "5201");
const TEAM: (&str, &str) = ("10.2.0.2", "5202");

struct Sample {
    gbits: f64,
    cpu_per_gb: f64,
}

fn main() -> ExitCode {
    // What is started from here inherits it.
    let own = std::process::id().to_string();
    let real_time = Command::new("chrt")
        .args(["--rr", "--pid", "1", &own])
        .status();
    if !real_time.is_ok_and(|status| status.success()) {
        println!("without real-time priority");
    }
    let pairs = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(9);
    let lab = match Lab::try_open(Sharing::Alone) {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("throughput: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    lab.cable((&near, "direct0"), (&far, "direct0"), CableKind::Virtual);
    far.ip("link add name br0 type bridge");
    for port in ["eth1", "eth2"] {
        lab.cable((&near, port), (&far, port), CableKind::Virtual);
        far.ip(&format!("link set dev {port} master br0 up"));
    }
    let config = team_config(
        "team0",
        "activebackup",
        DataPath::from_args(),
        &["eth1", "eth2"],
    );
    let team = Teamr::start(&near, &config);
    if std::env::args().any(|arg| arg == "tap") {
        team.ask("state item set teamr.data_path programs");
    }
    let ends = [(&near, "direct0", "10.1.0.1"), (&far, "direct0", DIRECT.0)];
    for (host, interface, address) in ends
        .into_iter()
        .chain([(&near, "team0", "10.2.0.1"), (&far, "br0", TEAM.0)])
    {
        host.up(interface);
        host.address(interface, &format!("{address}/24"));
    }
    for port in ["eth1", "eth2"] {
        team.wait_port(port, true);
    }
    let _servers = [DIRECT, TEAM].map(|(address, port)| serve(&near, &far, address, port));

    for (way, reverse) in [("sending", ""), ("receiving", "--reverse")] {
        println!("{way}: Gbit/s and CPU s/GB, without a team and through it");
        let mut samples = Vec::new();
        for pair in 0..pairs {
            let (direct, team) = if pair % 2 == 0 {
                let direct = run(&near, DIRECT, reverse);
                (direct, run(&near, TEAM, reverse))
            } else {
                let team = run(&near, TEAM, reverse);
                (run(&near, DIRECT, reverse), team)
            };
            println!(
                "  {:6.2} {:5.2}   {:6.2} {:5.2}   ratio {:.2}",
                direct.gbits,
                direct.cpu_per_gb,
                team.gbits,
                team.cpu_per_gb,
                team.gbits / direct.gbits
            );
            samples.push((direct, team));
        }
        let median_of =
            |value: &dyn Fn(&(Sample, Sample)) -> f64| median(samples.iter().map(value).collect());
        println!(
            "  median ratio {:.2}; CPU s/GB {:.2} without, {:.2} through, {:.2} times",
            median_of(&|(direct, team)| team.gbits / direct.gbits),
            median_of(&|(direct, _)| direct.cpu_per_gb),
            median_of(&|(_, team)| team.cpu_per_gb),
            median_of(&|(direct, team)| team.cpu_per_gb / direct.cpu_per_gb),
        );
    }
    println!("flood of pings: answers a second, without a team and through it");
    let ratios = (0..pairs).map(|pair| {
        let flood = |address| {
            let line = format!("ping -f -q -c 20000 {address}");
            20000.0 / (elapsed_ms(&near.run(&line)) / 1e3)
        };
        let (direct, team) = if pair % 2 == 0 {
            let direct = flood(DIRECT.0);
            (direct, flood(TEAM.0))
        } else {
            let team = flood(TEAM.0);
            (flood(DIRECT.0), team)
        };
        println!("  {direct:7.0} {team:7.0}   ratio {:.2}", team / direct);
        team / direct
    });
    println!("  median ratio {:.2}", median(ratios.collect()));
    ExitCode::SUCCESS
}

/// From `20000 packets transmitted, 20000 received, 0% packet loss, time 199ms`.
fn elapsed_ms(summary: &str) -> f64 {
    let (_, rest) = summary.split_once("loss, time ").unwrap_or_default();
    let digits = rest.split("ms").next().unwrap_or_default();
    digits.parse().unwrap_or(f64::NAN)
}

/// Starts a server and waits until it can be reached.
fn serve(near: &Namespace, far: &Namespace, address: &str, port: &str) -> Process {
    let server = far.start(&format!("iperf3 --server --bind {address} --port {port}"));
    wait_until("the server to be reached", || {
        near.try_run(&format!(
            "iperf3 --client {address} --port {port} --bytes 1K"
        ))
        .status
        .success()
    });
    server
}

/// One stream for a second, each end pinned to a core of its own where there are two.
fn run(near: &Namespace, (address, port): (&str, &str), reverse: &str) -> Sample {
    let affinity = if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        "--affinity 0,1"
    } else {
        ""
    };
    let busy = busy_seconds();
    let report = near.run_json(&format!(
        "iperf3 --client {address} --port {port} --time 1 --json {affinity} {reverse}"
    ));
    let busy = busy_seconds() - busy;
    let received = &report["end"]["sum_received"];
    let number = |key: &str| received[key].as_f64().expect("a number from iperf3");
    Sample {
        gbits: number("bits_per_second") / 1e9,
        cpu_per_gb: busy / (number("bytes") / 1e9),
    }
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
