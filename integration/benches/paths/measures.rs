//! The measurements on one path.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use integration::Ping;
use integration::traffic::{End, Stream};
use serde_json::Value;

use super::{Hosts, Path};

/// Time that streams run before and after a cable is pulled.
const WINDOW: Duration = Duration::from_millis(300);

/// Seconds after which a run has failed and gives no figures.
const PATIENCE: u32 = 20;

/// A measurement: its rows, and a function that returns a figure for each row, NaN after a failure.
pub type Measure = (&'static [&'static str], fn(&Hosts, &Path) -> Vec<f64>);

pub const MEASURES: [Measure; 6] = [
    (&["TCP, sending, Gbit/s", "  CPU seconds per GB"], |hosts, path| path.tcp(hosts, "")),
    (&["TCP, receiving, Gbit/s", "  CPU seconds per GB"], |hosts, path| {
        path.tcp(hosts, "--reverse")
    }),
    (&["UDP, 64 bytes, sending, packets/s"], |hosts, path| path.udp(hosts, "")),
    (&["UDP, 64 bytes, receiving, packets/s"], |hosts, path| path.udp(hosts, "--reverse")),
    (&["flood of pings, answers/s"], |hosts, path| path.flood(hosts)),
    (&["round trip of a ping, us"], |hosts, path| path.round_trip(hosts)),
];

impl Path {
    /// Runs `iperf3` for a second, each end pinned to a core where there are two.
    fn iperf(&self, hosts: &Hosts, options: &str) -> Value {
        let cores = std::thread::available_parallelism();
        let affinity = match cores.is_ok_and(|cores| cores.get() > 1) {
            true => "--affinity 0,1",
            false => "",
        };
        let (address, port) = (self.target(), self.port);
        let output = hosts.near.try_run(&format!(
            "timeout {PATIENCE} iperf3 --client {address} --port {port} --time 1 --json \
             {affinity} {options}"
        ));
        let report: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        report.map_or(Value::Null, |mut report| report["end"].take())
    }

    /// Returns received Gbit/s, and CPU seconds per GB.
    fn tcp(&self, hosts: &Hosts, way: &str) -> Vec<f64> {
        let busy = busy_seconds();
        let end = self.iperf(hosts, way);
        let busy = busy_seconds() - busy;
        let received = |key: &str| end["sum_received"][key].as_f64().unwrap_or(f64::NAN);
        let gigabytes = received("bytes") / 1e9;
        vec![received("bits_per_second") / 1e9, busy / gigabytes]
    }

    /// Returns received packets per second.
    fn udp(&self, hosts: &Hosts, way: &str) -> Vec<f64> {
        let end = self.iperf(hosts, &format!("--udp --bitrate 0 --length 64 {way}"));
        let sum = |key: &str| end["sum"][key].as_f64().unwrap_or(f64::NAN);
        vec![(sum("packets") - sum("lost_packets")) / sum("seconds")]
    }

    fn ping(&self, hosts: &Hosts, options: &str) -> String {
        let line = format!("timeout {PATIENCE} ping -q {options} {}", self.target());
        String::from_utf8_lossy(&hosts.near.try_run(&line).stdout).into_owned()
    }

    fn flood(&self, hosts: &Hosts) -> Vec<f64> {
        let summary = self.ping(hosts, "-f -c 20000");
        // `20000 packets transmitted, 20000 received, 0% packet loss, time 199ms`
        vec![20_000.0 / (number_after(&summary, "loss, time ") / 1e3)]
    }

    /// Returns the mean round-trip time of pings two milliseconds apart, in microseconds.
    fn round_trip(&self, hosts: &Hosts) -> Vec<f64> {
        let summary = self.ping(hosts, "-c 250 -i 0.002");
        // `rtt min/avg/max/mdev = 0.004/0.005/0.029/0.002 ms`
        let (_, times) = summary.split_once("mdev = ").unwrap_or_default();
        let mean = times.split('/').nth(1).unwrap_or_default();
        vec![mean.parse().unwrap_or(f64::NAN) * 1e3]
    }

    /// Returns the longest pause in milliseconds, when the active port's cable is pulled during
    /// streams of one packet a millisecond in each direction; `None` for a path without failover.
    pub fn silence(&self, hosts: &Hosts, pulls: usize) -> Option<f64> {
        self.active_port()?;
        let near = |port| {
            let address = format!("{}.1:{port}", self.network);
            End::new(&hosts.near, &self.device, &address)
        };
        let far = |port| {
            let address = format!("{}.2:{port}", self.network);
            End::new(&hosts.far, &self.far_device, &address)
        };
        let pull = |_| {
            Ping::run(&hosts.near, &self.target(), 3, "");
            let streams = [
                Stream::start(&near(7000), &far(7000), None, 64),
                Stream::start(&far(7001), &near(7001), None, 64),
            ];
            sleep(WINDOW);
            let active = self.active_port().unwrap_or_default();
            let (port, cable) =
                self.cables.iter().find(|(port, _)| *port == active).expect("an active port");
            cable.pull();
            self.wait_port(port, false);
            sleep(WINDOW);
            let silences = streams.map(|stream| stream.finish().longest_silence());
            cable.put_back();
            self.wait_port(port, true);
            silences.into_iter().max().unwrap_or_default()
        };
        let longest = (0..pulls).map(pull).max().unwrap_or_default();
        Some(longest.as_secs_f64() * 1e3)
    }
}

fn number_after(text: &str, before: &str) -> f64 {
    let (_, rest) = text.split_once(before).unwrap_or_default();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or(f64::NAN)
}

/// Returns the seconds that all processors were busy.
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
    // user nice system idle iowait irq softirq; later columns count some time again.
    let busy: f64 = ticks.iter().take(7).sum::<f64>() - ticks[3] - ticks[4];
    busy / ticks_per_second()
}

fn ticks_per_second() -> f64 {
    let output = Command::new("getconf").arg("CLK_TCK").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(100.0)
}
