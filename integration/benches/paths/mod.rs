//! The ways from one host to another that are measured side by side, each beside a bare veth pair.
//!
//! All of them stand all the time. A sample is a pair of runs, one right after the other, bare pair
//! and path in turn the first; the ratio is taken within the pair, so that a load from outside
//! meets both. CPU seconds are all that the machine was busy, per 10^9 bytes.

mod bond;
mod open_vswitch;

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::traffic::{End, Stream};
use integration::{Cable, CableKind, Lab, Namespace, Ping, Process, wait_until};

use bond::Bond;

/// How often the active port's cable is pulled, and how long streams run before and after.
const PULLS: usize = 5;
const WINDOW: Duration = Duration::from_millis(300);

/// One way from the near host to the far one.
pub struct Path {
    pub name: &'static str,
    device: String,
    far_device: String,
    /// Of the network of this path, without its last number.
    network: String,
    port: u16,
    bond: Option<Bond>,
    cables: Vec<(String, Cable)>,
}

pub struct Hosts {
    near: Namespace,
    far: Namespace,
}

/// Builds the ways `names` and prints the table; returns those that stood.
pub fn compare(lab: &Lab, names: &[&'static str], pairs: usize) -> Vec<Path> {
    let hosts = Hosts {
        near: lab.host("near"),
        far: lab.host("far"),
    };
    let direct = Path::bare(lab, &hosts);
    let paths: Vec<Path> = (1..)
        .zip(names)
        .filter_map(|(number, name)| Path::stand(lab, &hosts, number, name))
        .collect();
    let _servers: Vec<Process> = std::iter::once(&direct)
        .chain(&paths)
        .map(|path| path.serve(&hosts))
        .collect();
    table(&hosts, &direct, &paths, pairs);
    paths
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
                    if it.bond.is_some() {
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
    let silences = cells(paths, |path| {
        let bond = path.bond.as_ref()?;
        Some(format!("{:.1}", path.silence(hosts, bond)))
    });
    line("longest silence at a pulled cable, ms", "", silences);
    let mut shares = own_cpu.iter();
    let own = cells(paths, |path| {
        let (worked, went_by) = shares.next()?;
        path.bond.as_ref()?.pid()?;
        Some(format!("{:.1}", worked / went_by * 100.0))
    });
    line("daemon's own CPU in all these runs, %", "", own);
}

/// A cell for each path, empty where it has no such figure.
pub fn cells(paths: &[Path], mut figure: impl FnMut(&Path) -> Option<String>) -> Vec<String> {
    let cell = |path| figure(path).unwrap_or_default();
    paths.iter().map(cell).collect()
}

pub fn line(what: &str, bare: &str, cells: impl IntoIterator<Item = String>) {
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
            bond: None,
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
    /// None, with the reason printed, where it needs what is not here.
    fn stand(lab: &Lab, hosts: &Hosts, number: u16, name: &'static str) -> Option<Path> {
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
        if name == "bridge" {
            near.ip(&format!("link add name {} type bridge", path.device));
            near.ip(&format!(
                "link set dev {} master {} up",
                ports[0], path.device
            ));
        } else {
            match Bond::stand(near, name, &path.device, &ports) {
                Ok(bond) => path.bond = Some(bond),
                Err(reason) => {
                    println!("without {name}: {reason}");
                    return None;
                }
            }
        }
        path.address(hosts);
        Some(path)
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
    fn silence(&self, hosts: &Hosts, bond: &Bond) -> f64 {
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
            wait_until("every port to be up", || {
                let mut ports = self.cables.iter();
                ports.all(|(port, _)| bond.is_up(port))
            });
            Ping::run(&hosts.near, &self.target(), 3, "");
            let streams = [
                Stream::start(&near(7000), &far(7000), None, 64),
                Stream::start(&far(7001), &near(7001), None, 64),
            ];
            sleep(WINDOW);
            let active = bond.active_port();
            let (port, cable) = self
                .cables
                .iter()
                .find(|(port, _)| *port == active)
                .expect("an active port");
            cable.pull();
            wait_until("the loss to be known", || !bond.is_up(port));
            sleep(WINDOW);
            let silences = streams.map(|stream| stream.finish().longest_silence());
            cable.put_back();
            silences.into_iter().max().unwrap_or_default()
        };
        let longest = (0..PULLS).map(pull).max().unwrap_or_default();
        longest.as_secs_f64() * 1e3
    }

    /// What the daemon has spent on a processor; 0 where there is none.
    fn own_seconds(&self) -> f64 {
        let Some(pid) = self.bond.as_ref().and_then(Bond::pid) else {
            return 0.0;
        };
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat"));
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
