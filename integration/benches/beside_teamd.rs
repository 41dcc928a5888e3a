//! Compares teamd and teamr on the kernel's driver in one guest, measured in turns: start and stop,
//! memory, idle cost, and packets lost by a failover; the failover also with kernel bonding, which
//! has no daemon. Medians, with minimum and maximum in brackets.
//!
//! A guest has one processor and is slower than its host: the columns compare, the absolute figures
//! mean little.
//!
//! `cargo bench --package integration --bench beside_teamd`
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod columns;
mod proc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use columns::{DAEMONS, Daemon, head, millis, row};
use integration::traffic::{Pace, now};
use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, Process, RUNNERS, Sharing, Site, control, in_guest,
    team_config, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proc::{read, schedule};
use serde_json::{Value, json};

/// Repetitions of each measurement of one team.
const REPETITIONS: usize = 15;
/// Number of teams in the test of many teams, each with two ports.
const CROWD: usize = 32;
const CROWD_REPETITIONS: usize = 3;
/// Time that idle daemons are measured, after as long to become idle.
const IDLE: Duration = Duration::from_secs(5);
/// Time that a stream runs before, between and after changes.
const WINDOW: Duration = Duration::from_millis(300);

/// Runs a daemon to its end, which must be a success.
fn run(daemon: Daemon, args: &[&str], config: &Path) {
    let mut command = Command::new(daemon.program());
    let status = command.args(args).arg(config).stderr(Stdio::null()).status();
    let status = status.expect("start a daemon");
    assert!(status.success(), "{command:?} ended with {status}");
}

/// Starts a daemon in the foreground.
fn spawn(daemon: Daemon, config: &Path) -> Child {
    let mut command = Command::new(daemon.program());
    command.arg("-f").arg(config).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("start a daemon")
}

fn main() {
    in_guest(|folder| {
        head(["teamd", "teamr", "bonding"]);
        create_cables();
        one_team(folder);
        many_teams(folder);
        RUNNERS.iter().for_each(|runner| idle(folder, runner));
        failover();
        silence();
    });
}

fn timed(what: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    what();
    millis(begin.elapsed())
}

/// Makes two cables for each of the many teams, on this host.
fn create_cables() {
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").expect("silence IPv6");
    for port in 1..=2 * CROWD {
        for args in [
            format!("link add name eth{port} type veth peer name far{port}"),
            format!("link set dev far{port} up"),
        ] {
            let status = Command::new("ip").args(args.split(' ')).status();
            assert!(status.is_ok_and(|status| status.success()), "ip {args}");
        }
    }
}

/// Writes the configuration of team number `team`, from 0.
fn config(folder: &Path, team: usize, runner: &str) -> PathBuf {
    let ports = [1, 2].map(|port| format!("eth{}", 2 * team + port));
    let ports = ports.each_ref().map(String::as_str);
    let config = team_config(&device(team), runner, DataPath::Kernel, &ports);
    let file = folder.join(format!("{team}-{runner}.json"));
    fs::write(&file, config.to_string()).expect("write a configuration");
    file
}

fn device(team: usize) -> String {
    format!("team{team}")
}

/// Whether a state has two ports that are up.
fn is_whole(state: &Value) -> bool {
    let ports = state["ports"].as_object();
    ports.is_some_and(|ports| {
        ports.len() == 2 && ports.values().all(|port| port["link_watches"]["up"] == true)
    })
}

fn wait_ports_up(team: usize) {
    wait_until("a team to have its ports", || {
        control::state(&device(team)).is_some_and(|state| is_whole(&state))
    });
}

/// Stops all daemons and waits for their ends.
fn stop(daemons: &mut [Child]) {
    for daemon in daemons.iter() {
        let pid = Pid::from_raw(i32::try_from(daemon.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("signal a daemon");
    }
    for daemon in daemons {
        let status = daemon.wait().expect("wait for a daemon");
        assert!(status.success(), "a daemon ended with {status}");
    }
}

fn one_team(folder: &Path) {
    let config = config(folder, 0, "activebackup");
    let (mut starts, mut stops) = ([vec![], vec![]], [vec![], vec![]]);
    // The first repetition is dropped: the kernel loads modules and reads files.
    for repetition in 0..=REPETITIONS {
        for (place, daemon) in DAEMONS.into_iter().enumerate() {
            let start = timed(|| run(daemon, &["-d", "-f"], &config));
            wait_ports_up(0);
            run(daemon, &["-k", "-f"], &config);
            let mut running = [spawn(daemon, &config)];
            wait_ports_up(0);
            let stop = timed(|| stop(&mut running));
            if repetition > 0 {
                starts[place].push(start);
                stops[place].push(stop);
            }
        }
    }
    row("start to ready, ms", starts);
    row("stop, ms", stops);
}

fn many_teams(folder: &Path) {
    let configs: Vec<PathBuf> =
        (0..CROWD).map(|team| config(folder, team, "activebackup")).collect();
    let (mut memory, mut stops) = ([vec![], vec![]], [vec![], vec![]]);
    for _ in 0..CROWD_REPETITIONS {
        for (place, daemon) in DAEMONS.into_iter().enumerate() {
            let mut running: Vec<Child> =
                configs.iter().map(|config| spawn(daemon, config)).collect();
            (0..CROWD).for_each(wait_ports_up);
            let private: u64 = running.iter().map(|daemon| private(daemon.id())).sum();
            memory[place].push(private as f64 / 1024.0);
            stops[place].push(timed(|| stop(&mut running)));
        }
    }
    row(&format!("private memory of {CROWD} teams, MB"), memory);
    row(&format!("stop of {CROWD} teams, ms"), stops);
}

/// Returns the private memory of a process in kB.
fn private(pid: u32) -> u64 {
    let text = read(pid, "smaps_rollup");
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

fn idle(folder: &Path, runner: &str) {
    let config = config(folder, 0, runner);
    let (mut turns, mut ran) = ([vec![], vec![]], [vec![], vec![]]);
    for (place, daemon) in DAEMONS.into_iter().enumerate() {
        let mut running = [spawn(daemon, &config)];
        wait_ports_up(0);
        let pid = running[0].id();
        sleep(IDLE);
        let before = schedule(pid);
        sleep(IDLE);
        let after = schedule(pid);
        ran[place].push(millis(after.0 - before.0) / IDLE.as_secs_f64());
        turns[place].push((after.1 - before.1) as f64 / IDLE.as_secs_f64());
        stop(&mut running);
    }
    row(&format!("{runner} at rest, wake-ups/s"), turns);
    row(&format!("{runner} at rest, ms/s"), ran);
}

/// Measures the packets of a 1 ms stream lost while the preferred port fails and while it returns.
fn failover() {
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let mut lost: [[Vec<f64>; 3]; 4] = Default::default();
    for place in 0..lost[0].len() {
        let site = Site::new(&lab, CableKind::Virtual);
        site.plug_unaggregated();
        site.right.address("eth1", "10.0.0.2/24");
        let team = match DAEMONS.get(place) {
            Some(daemon) => Team::start(&site, *daemon, json!({"name": "ethtool"})),
            None => Team::bond(&site),
        };
        for _ in 0..REPETITIONS {
            for (cell, figure) in lost.iter_mut().zip(team.measure(&site)) {
                cell[place].push(figure as f64);
            }
        }
    }
    let whats =
        ["sent, port goes", "sent, port returns", "received, port goes", "received, port returns"];
    for (what, series) in whats.into_iter().zip(lost) {
        row(&format!("packets lost, {what}"), series);
    }
}

/// Measures how long a path that became silent behind the switch, with its carrier, stays in use.
fn silence() {
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let mut times = [vec![], vec![]];
    for (place, daemon) in DAEMONS.into_iter().enumerate() {
        let site = Site::new(&lab, CableKind::Virtual);
        site.plug_unaggregated();
        site.right.address("eth1", "10.0.0.2/24");
        let watch = json!({
            "name": "arp_ping", "target_host": "10.0.0.2", "interval": 100, "missed_max": 3,
        });
        let team = Team::start(&site, daemon, watch);
        let far = site.cable("eth1").far_interface();
        for repetition in 0..REPETITIONS {
            // At a different phase of the interval each time.
            sleep(WINDOW * 2 + Duration::from_millis(7 * repetition as u64));
            let switch = site.switch.namespace();
            switch.ip(&format!("link set dev {far} nomaster"));
            times[place].push(timed(|| team.wait_active("eth2")));
            site.switch.plug(far);
            team.wait_active("eth1");
        }
    }
    row("arp_ping, 4 of 100 ms, silence, ms", times);
}

/// A team on the left host that prefers its first port.
enum Team {
    Daemon { socket: PathBuf, _process: Process },
    Bond(Namespace),
}

impl Team {
    fn start(site: &Site, daemon: Daemon, watch: Value) -> Team {
        let left = &site.left;
        let mut config = team_config("team0", "activebackup", DataPath::Kernel, &["eth1", "eth2"]);
        config["ports"]["eth1"] = json!({"prio": 10});
        config["link_watch"] = watch;
        let mut command = left.command(daemon.program());
        command.arg("-c").arg(config.to_string());
        left.run("mkdir -p /run/teamd");
        let process = Process::start("beside", left.folder(), command);
        let socket = format!("/proc/{}/root/run/teamd/team0.sock", process.pid());
        let team = Team::Daemon { socket: socket.into(), _process: process };
        team.begin(site)
    }

    fn bond(site: &Site) -> Team {
        let left = &site.left;
        left.ip("link add name team0 type bond mode active-backup miimon 1");
        for port in ["eth1", "eth2"] {
            left.ip(&format!("link set dev {port} master team0"));
        }
        left.ip("link set dev team0 type bond primary eth1");
        left.up("team0");
        Team::Bond(left.clone()).begin(site)
    }

    fn begin(self, site: &Site) -> Team {
        self.wait_active("eth1");
        site.left.up("team0");
        site.left.address("team0", "10.0.0.1/24");
        self
    }

    fn is_active(&self, port: &str) -> bool {
        match self {
            Team::Daemon { socket, .. } => control::state_at(socket)
                .is_some_and(|state| state["runner"]["active_port"] == port),
            Team::Bond(host) => {
                let active = host.run("cat /sys/class/net/team0/bonding/active_slave");
                active.trim() == port
            }
        }
    }

    fn wait_active(&self, port: &str) {
        wait_until(&format!("{port} to be active"), || self.is_active(port));
    }

    /// Returns the packets lost: of those sent, when the port fails and when it returns; then of
    /// those received.
    fn measure(&self, site: &Site) -> [usize; 4] {
        // Resolves the addresses before the streams begin.
        Ping::run(&site.left, "10.0.0.2", 3, "");
        let streams = site.start_streams("team0", Pace::Full);
        let cable = site.cable("eth1");
        sleep(WINDOW);
        cable.pull();
        self.wait_active("eth2");
        sleep(WINDOW);
        let between = now();
        cable.put_back();
        self.wait_active("eth1");
        sleep(WINDOW);
        let [sent, received] = streams.map(|stream| {
            let trace = stream.finish();
            let returning = trace.lost_outside(0, between).len();
            [trace.lost().len() - returning, returning]
        });
        [sent[0], sent[1], received[0], received[1]]
    }
}
