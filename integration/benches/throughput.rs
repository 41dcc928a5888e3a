//! Every data path that needs no driver for teams, and a plain bridge, beside a bare veth pair.
//!
//! All of them stand all the time. A sample is a pair of runs, one right after the other, bare pair
//! and path in turn the first; the ratio is taken within the pair, so that a load from outside
//! meets both. All of it runs with real-time priority (round robin) where that is permitted,
//! daemons included, so that the scheduler's choices are not what is measured. CPU seconds are all
//! that the machine was busy, per 10^9 bytes.
//!
//! `cargo bench --package integration --bench throughput -- [PAIRS] [PATH...]`; the paths are
//! `bridge`, `relay`, `programs`, and `tap`, which is left out unless named: programs that took the
//! relay's place on its device.

mod selection;

use std::fs;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::traffic::{End, Stream};
use integration::{
    Cable, CableKind, DataPath, Lab, Namespace, Ping, Process, Sharing, Teamr, team_config,
    wait_until,
};

const PATHS: [&str; 4] = ["bridge", "relay", "programs", "tap"];
const BY_DEFAULT: usize = 3;
/// How often the active port's cable is pulled, and how long streams run before and after.
const PULLS: usize = 5;
const WINDOW: Duration = Duration::from_millis(300);

/// One way from the near host to the far one.
struct Path {
    name: &'static str,
    device: String,
    far_device: String,
    /// Of the network of this path, without its last number.
    network: String,
    port: u16,
    team: Option<Teamr>,
    cables: Vec<(String, Cable)>,
}

struct Hosts {
    near: Namespace,
    far: Namespace,
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
    let pairs = std::env::args().find_map(|arg| arg.parse().ok());
    let mut names: Vec<&str> = PATHS.to_vec();
    names.retain(|name| std::env::args().any(|arg| arg == *name));
    if names.is_empty() {
        names.extend(&PATHS[..BY_DEFAULT]);
    }
    let lab = match Lab::try_open(Sharing::Alone) {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("throughput: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let hosts = Hosts {
        near: lab.host("near"),
        far: lab.host("far"),
    };
    let direct = Path::bare(&lab, &hosts);
    let paths: Vec<Path> = (1..)
        .zip(names)
        .map(|(number, name)| Path::stand(&lab, &hosts, number, name))
        .collect();
    let _servers: Vec<Process> = std::iter::once(&direct)
        .chain(&paths)
        .map(|path| path.serve(&hosts))
        .collect();
    table(&hosts, &direct, &paths, pairs.unwrap_or(9));
    ExitCode::SUCCESS
}

/// What is measured in pairs; a run gives a figure for each row.
type Measure = (&'static [&'static str], fn(&Hosts, &Path) -> Vec<f64>);

const MEASURES: [Measure; 6] = [
    (
        &["TCP, sending, Gbit/s", "  CPU seconds per GB"],
        |hosts, path| path.tcp(hosts, ""),
    ),
    (
        &["TCP, receiving, Gbit/s", "  CPU seconds per GB"],
        |hosts, path| path.tcp(hosts, "--reverse"),
    ),
    (&["UDP, 64 bytes, sending, packets/s"], |hosts, path| {
        path.udp(hosts, "")
    }),
    (&["UDP, 64 bytes, receiving, packets/s"], |hosts, path| {
        path.udp(hosts, "--reverse")
    }),
    (&["flood of pings, answers/s"], |hosts, path| {
        path.flood(hosts)
    }),
    (&["round trip of a ping, us"], |hosts, path| {
        path.round_trip(hosts)
    }),
];

fn table(hosts: &Hosts, direct: &Path, paths: &[Path], pairs: usize) {
    println!("medians of {pairs} pairs; of the paths, the ratio to the bare pair");
    print!("{:<38} {:>10}", "", direct.name);
    paths.iter().for_each(|path| print!(" {:>9}", path.name));
    println!();
    // Seconds that the daemon worked, and those that went by.
    let mut own_cpu = vec![(0.0, 0.0); paths.len()];
    for (rows, run) in MEASURES {
        let mut bare = vec![Vec::new(); rows.len()];
        let mut ratios = vec![vec![Vec::new(); paths.len()]; rows.len()];
        for pair in 0..pairs {
            for (column, path) in paths.iter().enumerate() {
                let (mut first, mut second) = (direct, path);
                if pair % 2 == 1 {
                    (first, second) = (second, first);
                }
                let mut figures = Vec::new();
                for it in [first, second] {
                    let (begin, before) = (Instant::now(), it.own_seconds());
                    figures.push(run(hosts, it));
                    if it.team.is_some() {
                        own_cpu[column].0 += it.own_seconds() - before;
                        own_cpu[column].1 += begin.elapsed().as_secs_f64();
                    }
                }
                if pair % 2 == 1 {
                    figures.swap(0, 1);
                }
                for (row, (bare, ratios)) in bare.iter_mut().zip(&mut ratios).enumerate() {
                    bare.push(figures[0][row]);
                    ratios[column].push(figures[1][row] / figures[0][row]);
                }
            }
        }
        for ((row, bare), ratios) in rows.iter().zip(bare).zip(ratios) {
            let cells = ratios
                .into_iter()
                .map(|ratios| format!("{:.2}", median(ratios)));
            line(row, &short(median(bare)), cells);
        }
    }
    let teams = |figure: &dyn Fn(&Path, &Teamr) -> String| {
        let cell = |path: &Path| {
            let team = path.team.as_ref();
            team.map_or_else(String::new, |team| figure(path, team))
        };
        paths.iter().map(cell).collect::<Vec<String>>()
    };
    let silences = teams(&|path, team| format!("{:.1}", path.silence(hosts, team)));
    line("longest silence at a pulled cable, ms", "", silences);
    let own = own_cpu
        .iter()
        .zip(paths)
        .map(|((worked, went_by), path)| match path.team {
            Some(_) => format!("{:.1}", worked / went_by * 100.0),
            None => String::new(),
        });
    line("daemon's own CPU in all these runs, %", "", own);
    for (what, frame) in selection::FRAMES {
        let relay = selection::relay(&frame());
        let programs = selection::programs(&frame());
        let cells = teams(&|path, _| match (path.name, programs) {
            ("relay", _) => format!("{relay:.1}"),
            (_, Some(cost)) => cost.to_string(),
            (_, None) => String::new(),
        });
        line(&format!("choice of a port, {what}, ns"), "", cells);
    }
    let share = teams(&|_, _| format!("{:.3}", selection::busiest()));
    line("busiest of 8 ports, of its fair share", "", share);
}

fn line(what: &str, bare: &str, cells: impl IntoIterator<Item = String>) {
    print!("{what:<38} {bare:>10}");
    cells.into_iter().for_each(|cell| print!(" {cell:>9}"));
    println!();
}

/// Three digits at least, and no more decimals than that takes.
fn short(figure: f64) -> String {
    match figure {
        100.0.. => format!("{figure:.0}"),
        _ => format!("{figure:.2}"),
    }
}

impl Path {
    fn new(name: &'static str, number: u16, device: &str, far_device: &str) -> Path {
        Path {
            name,
            device: device.to_owned(),
            far_device: far_device.to_owned(),
            network: format!("10.{number}.0"),
            port: 5201 + number,
            team: None,
            cables: Vec::new(),
        }
    }

    fn bare(lab: &Lab, hosts: &Hosts) -> Path {
        let path = Path::new("bare pair", 0, "direct0", "direct0");
        let ends = ((&hosts.near, "direct0"), (&hosts.far, "direct0"));
        lab.cable(ends.0, ends.1, CableKind::Virtual);
        path.address(hosts);
        path
    }

    /// Two cables into a bridge at the far end; for `bridge` one, into one at the near end, too.
    fn stand(lab: &Lab, hosts: &Hosts, number: u16, name: &'static str) -> Path {
        let mut path = Path::new(name, number, &format!("{name}0"), &format!("br{number}"));
        let Hosts { near, far } = hosts;
        far.ip(&format!("link add name {} type bridge", path.far_device));
        let cables = if name == "bridge" { 1 } else { 2 };
        for cable in 1..=cables {
            let port = format!("eth{number}{cable}");
            let (from, to) = ((near, port.as_str()), (far, port.as_str()));
            let laid = lab.cable(from, to, CableKind::Virtual);
            far.ip(&format!(
                "link set dev {port} master {} up",
                path.far_device
            ));
            path.cables.push((port, laid));
        }
        let ports: Vec<&str> = path.cables.iter().map(|(port, _)| port.as_str()).collect();
        let data_path = match name {
            "programs" => DataPath::Programs,
            _ => DataPath::Userspace,
        };
        if name == "bridge" {
            near.ip(&format!("link add name {} type bridge", path.device));
            near.ip(&format!(
                "link set dev {} master {} up",
                ports[0], path.device
            ));
        } else {
            let config = team_config(&path.device, "activebackup", data_path, &ports);
            let team = Teamr::start(near, &config);
            if name == "tap" {
                team.ask("state item set teamr.data_path programs");
            }
            ports.iter().for_each(|port| team.wait_port(port, true));
            path.team = Some(team);
        }
        path.address(hosts);
        path
    }

    fn address(&self, hosts: &Hosts) {
        for (host, device, number) in [
            (&hosts.near, &self.device, 1),
            (&hosts.far, &self.far_device, 2),
        ] {
            host.up(device);
            host.address(device, &format!("{}.{number}/24", self.network));
        }
    }

    fn target(&self) -> String {
        format!("{}.2", self.network)
    }

    /// Starts a server and waits until it can be reached.
    fn serve(&self, hosts: &Hosts) -> Process {
        let (address, port) = (self.target(), self.port);
        let server = format!("iperf3 --server --bind {address} --port {port}");
        let server = hosts.far.start(&server);
        wait_until("the server to be reached", || {
            let client = format!("iperf3 --client {address} --port {port} --bytes 1K");
            hosts.near.try_run(&client).status.success()
        });
        server
    }

    /// A second of `iperf3`, each end pinned to a core of its own where there are two.
    fn iperf(&self, hosts: &Hosts, options: &str) -> serde_json::Value {
        let cores = std::thread::available_parallelism();
        let affinity = match cores.is_ok_and(|cores| cores.get() > 1) {
            true => "--affinity 0,1",
            false => "",
        };
        let (address, port) = (self.target(), self.port);
        hosts.near.run_json(&format!(
            "iperf3 --client {address} --port {port} --time 1 --json {affinity} {options}"
        ))["end"]
            .take()
    }

    /// Gbit/s that arrived, and CPU seconds per GB.
    fn tcp(&self, hosts: &Hosts, way: &str) -> Vec<f64> {
        let busy = busy_seconds();
        let end = self.iperf(hosts, way);
        let busy = busy_seconds() - busy;
        let received = |key: &str| end["sum_received"][key].as_f64().unwrap_or(f64::NAN);
        let gigabytes = received("bytes") / 1e9;
        vec![received("bits_per_second") / 1e9, busy / gigabytes]
    }

    /// Packets a second that arrived.
    fn udp(&self, hosts: &Hosts, way: &str) -> Vec<f64> {
        let end = self.iperf(hosts, &format!("--udp --bitrate 0 --length 64 {way}"));
        let sum = |key: &str| end["sum"][key].as_f64().unwrap_or(f64::NAN);
        vec![(sum("packets") - sum("lost_packets")) / sum("seconds")]
    }

    fn flood(&self, hosts: &Hosts) -> Vec<f64> {
        let summary = hosts
            .near
            .run(&format!("ping -f -q -c 20000 {}", self.target()));
        // `20000 packets transmitted, 20000 received, 0% packet loss, time 199ms`
        vec![20_000.0 / (number_after(&summary, "loss, time ") / 1e3)]
    }

    /// The mean of pings two milliseconds apart, in microseconds.
    fn round_trip(&self, hosts: &Hosts) -> Vec<f64> {
        let summary = hosts
            .near
            .run(&format!("ping -q -c 250 -i 0.002 {}", self.target()));
        // `rtt min/avg/max/mdev = 0.004/0.005/0.029/0.002 ms`
        let (_, times) = summary.split_once("mdev = ").unwrap_or_default();
        let mean = times.split('/').nth(1).unwrap_or_default();
        vec![mean.parse().unwrap_or(f64::NAN) * 1e3]
    }

    /// The longest of all pauses, in milliseconds, when the active port's cable is pulled under
    /// streams of a packet a millisecond, one each way.
    fn silence(&self, hosts: &Hosts, team: &Teamr) -> f64 {
        let end = |host: &Namespace, device: &str, number, port| End {
            host: host.clone(),
            interface: device.to_owned(),
            address: format!("{}.{number}:{port}", self.network)
                .parse()
                .expect("an address"),
        };
        let near = |port| end(&hosts.near, &self.device, 1, port);
        let far = |port| end(&hosts.far, &self.far_device, 2, port);
        let pull = |_| {
            Ping::run(&hosts.near, &self.target(), 3, "");
            let streams = [
                Stream::start(&near(7000), &far(7000), None, 64),
                Stream::start(&far(7001), &near(7001), None, 64),
            ];
            sleep(WINDOW);
            let active = team.active_port().unwrap_or_default();
            let (port, cable) = self
                .cables
                .iter()
                .find(|(port, _)| *port == active)
                .expect("an active port");
            cable.pull();
            team.wait_port(port, false);
            sleep(WINDOW);
            let silences = streams.map(|stream| stream.finish().longest_silence());
            cable.put_back();
            team.wait_port(port, true);
            silences.into_iter().max().unwrap_or_default()
        };
        let longest = (0..PULLS).map(pull).max().unwrap_or_default();
        longest.as_secs_f64() * 1e3
    }

    /// What the daemon has spent on a processor; 0 where there is none.
    fn own_seconds(&self) -> f64 {
        let Some(team) = &self.team else { return 0.0 };
        let text = fs::read_to_string(format!("/proc/{}/schedstat", team.pid()));
        let nanoseconds = text.ok().and_then(|text| {
            let first = text.split_whitespace().next()?;
            first.parse::<f64>().ok()
        });
        nanoseconds.unwrap_or(f64::NAN) / 1e9
    }
}

fn number_after(text: &str, before: &str) -> f64 {
    let (_, rest) = text.split_once(before).unwrap_or_default();
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().unwrap_or(f64::NAN)
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
