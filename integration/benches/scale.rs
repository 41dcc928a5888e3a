//! Measures one process with many lacp teams of two ports, whose partners are the teams of another
//! process: start, stop, memory, descriptors, the processor at rest, the views of all teams, and the
//! loss of one link of every team at the same time.
//!
//! `cargo bench --package integration --bench scale -- [TEAMS] [programs|relay]`
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod cost;
mod proc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::{
    CableKind, DataPath, Lab, Namespace, Process, Sharing, binary, control, team_config,
    teamr_command,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use cost::{cost, resident};
use proc::schedule;

/// Teams of each process, unless the command line has another number.
const TEAMS: usize = 200;
/// Seconds until a team is at rest: after this time the first LACPDUs and the router solicitations of
/// its device have been sent.
const SETTLING: u64 = 30;
/// Seconds for which the processor share is measured at the slow rate: each port sends and receives one
/// LACPDU in this time.
const AT_REST: u64 = 30;
/// Seconds for which the processor share is measured at the fast rate.
const AT_FAST_RATE: u32 = 10;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let teams = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(TEAMS);
    let mut data_paths = vec![DataPath::Programs, DataPath::Userspace];
    if data_paths.iter().any(|data_path| args.iter().any(|arg| arg == data_path.name())) {
        data_paths.retain(|data_path| args.iter().any(|arg| arg == data_path.name()));
    }
    println!("{teams} lacp teams of two ports in one process, their partners in another");
    println!(
        "{:>14} {:>9} {:>9} {:>9} {:>12} {:>12} {:>12} {:>12} {:>9} {:>9}",
        "",
        "ready s",
        "carry s",
        "stop s",
        "resident kB",
        "kB a team",
        "descriptors",
        "% of a core",
        "start CPU",
        "stop CPU"
    );
    for data_path in data_paths {
        if let Err(reason) = measure(teams, data_path) {
            eprintln!("scale: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Prints the figures of one data path.
fn measure(teams: usize, data_path: DataPath) -> Result<(), String> {
    let lab = Lab::try_open(Sharing::Alone)?;
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    let (directory, names) = configure(&lab, [&host, &peer], teams, data_path);
    let (partner, _) = start(&peer, &directory);
    let (mut daemon, ready) = start(&host, &directory);
    let (started, _) = schedule(daemon.pid());
    for (side, names) in [(&peer, &names), (&host, &names)] {
        names.iter().for_each(|name| side.up(name));
    }
    let begin = Instant::now();
    until(|| carrying(&host) == teams);
    let carry = begin.elapsed();
    let pid = daemon.pid();
    sleep(Duration::from_secs(SETTLING));
    let (share, _) = cost(pid, AT_REST);
    let memory = resident(pid);
    let descriptors = fs::read_dir(PathBuf::from(format!("/proc/{pid}/fd"))).expect("/proc");
    let descriptors = descriptors.count();
    let views = views(&host);
    let flap = flap(&peer, &daemon, &names);
    let fast = fast_rate([daemon.pid(), partner.pid()], &names);
    let (ran, _) = schedule(pid);
    let begin = Instant::now();
    daemon.signal(Signal::SIGTERM);
    let mut ran_at_end = ran;
    until(|| {
        ran_at_end = schedule(pid).0;
        daemon.ended().is_some()
    });
    let stop = begin.elapsed();
    println!(
        "{:>14} {:>9.2} {:>9.2} {:>9.2} {memory:>12} {:>12} {descriptors:>12} {share:>12.2} {:>9.2} \
         {:>9.2}",
        data_path.name(),
        ready.as_secs_f64(),
        carry.as_secs_f64(),
        stop.as_secs_f64(),
        memory / teams as u64,
        started.as_secs_f64(),
        (ran_at_end - ran).as_secs_f64(),
    );
    println!("{:>14} {views}", "");
    println!("{:>14} {flap}", "");
    println!("{:>14} {fast}", "");
    let left = names.iter().filter(|name| host.has_interface(name)).count();
    if left > 0 {
        return Err(format!("{left} team devices are left"));
    }
    drop(partner);
    Ok(())
}

/// Makes the cables and a folder with the configurations of both hosts. Returns the folder and the names
/// of the teams.
fn configure(
    lab: &Lab,
    [host, peer]: [&Namespace; 2],
    teams: usize,
    data_path: DataPath,
) -> (PathBuf, Vec<String>) {
    let directory = lab.folder().join("teams");
    fs::create_dir(&directory).expect("make a directory");
    let names: Vec<String> = (0..teams).map(|number| format!("team{number}")).collect();
    for (number, team) in names.iter().enumerate() {
        let ports = ["a", "b"].map(|side| format!("{side}{number}"));
        for port in &ports {
            lab.cable((host, port), (peer, port), CableKind::Virtual);
        }
        let config = team_config(team, "lacp", data_path, &[&ports[0], &ports[1]]);
        let file = directory.join(format!("{team}.json"));
        fs::write(file, config.to_string()).expect("write a configuration");
    }
    (directory, names)
}

/// Returns a line with the time and the bytes of the views of all teams.
fn views(host: &Namespace) -> String {
    let views = ["state", "metrics"].map(|command| {
        let begin = Instant::now();
        let output = host.run(&format!("{} {command}", binary("teamrctl").display()));
        let millis = begin.elapsed().as_secs_f64() * 1000.0;
        format!("teamrctl {command}: {millis:.0} ms, {} bytes", output.len())
    });
    views.join("; ")
}

/// Takes one link of every team down at the same time and up again. Returns a line with the time
/// until the state of every team is right again, the number of other links whose partner timed out,
/// and the longest time of a call.
fn flap(peer: &Namespace, daemon: &Process, names: &[String]) -> String {
    let state = |name: &str| {
        let state = call(daemon.pid(), name, "StateDump", &[]);
        serde_json::from_str::<Value>(&state).expect("JSON")
    };
    let mut slowest = Duration::ZERO;
    let mut wait_for = |first_is_up: bool| {
        let begin = Instant::now();
        let mut wrong: Vec<usize> = (0..names.len()).collect();
        while !wrong.is_empty() {
            wrong.retain(|number| {
                let asked = Instant::now();
                let state = state(&names[*number]);
                slowest = slowest.max(asked.elapsed());
                let current = |side: &str| {
                    state["ports"][format!("{side}{number}")]["runner"]["state"] == "current"
                };
                current("a") != first_is_up || !current("b")
            });
        }
        begin.elapsed()
    };
    let batch = |state: &str| {
        let lines = (0..names.len()).map(|number| format!("link set a{number} {state}\n"));
        let file = peer.folder().join("batch");
        fs::write(&file, lines.collect::<String>()).expect("write a batch");
        peer.ip(&format!("-batch {}", file.display()));
    };
    batch("down");
    let down = wait_for(false);
    batch("up");
    let up = wait_for(true);
    let log = daemon.log();
    let expired = log.lines().filter(|line| line.contains("\"current\" -> \"expired\""));
    let others = expired.filter(|line| line.contains(": b")).count();
    format!(
        "one link of each down: all right after {:.2} s; up again: after {:.2} s; other links timed \
         out: {others}; slowest call {:.1} ms",
        down.as_secs_f64(),
        up.as_secs_f64(),
        slowest.as_secs_f64() * 1000.0
    )
}

/// Calls a method of a team of the daemon `pid`, and returns the reply.
fn call(pid: u32, team: &str, method: &str, args: &[&str]) -> String {
    let socket = PathBuf::from(format!("/proc/{pid}/root/run/teamd/{team}.sock"));
    let answer = control::call_at(&socket, method, args).expect("an answer");
    answer.strip_prefix("REPLY_SUCCESS\n").expect("a reply without an error").to_owned()
}

/// Has the teams of both daemons send a LACPDU each second. Returns a line with the processor share of the
/// first daemon while the state of every team is read each second.
fn fast_rate(daemons: [u32; 2], names: &[String]) -> String {
    for pid in daemons {
        for name in names {
            call(pid, name, "StateItemValueSet", &["runner.fast_rate", "true"]);
        }
    }
    let (before, _) = schedule(daemons[0]);
    let begin = Instant::now();
    for second in 1..=AT_FAST_RATE {
        for name in names {
            call(daemons[0], name, "StateDump", &[]);
        }
        sleep(Duration::from_secs(second.into()).saturating_sub(begin.elapsed()));
    }
    let took = begin.elapsed();
    let (after, _) = schedule(daemons[0]);
    let share = (after - before).as_secs_f64() / took.as_secs_f64() * 100.0;
    format!(
        "fast rate, state of each team {AT_FAST_RATE} times in {:.1} s: {share:.2} % of a core",
        took.as_secs_f64()
    )
}

/// Starts a daemon, and returns it with the time until it is ready.
fn start(host: &Namespace, directory: &Path) -> (Process, Duration) {
    let mut command = teamr_command(host);
    command.arg("-f").arg(directory);
    let begin = Instant::now();
    let mut daemon = Process::start("teamr", host.folder(), command);
    until(|| {
        assert!(daemon.ended().is_none(), "{}", daemon.log());
        daemon.log().contains("successfully started")
    });
    (daemon, begin.elapsed())
}

/// Returns the number of team devices with a carrier.
fn carrying(host: &Namespace) -> usize {
    let links = host.run_json("ip -json link");
    let links = links.as_array().expect("an array of links").iter();
    let names =
        links.filter(|link| link["flags"].as_array().is_some_and(|flags| has_carrier(flags)));
    let names = names.filter_map(|link| link["ifname"].as_str());
    names.filter(|name| name.starts_with("team") && !name.ends_with("-peer")).count()
}

fn has_carrier(flags: &[Value]) -> bool {
    flags.iter().any(|flag| flag == "LOWER_UP")
}

/// Waits, for as long as it takes.
fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(10));
    }
}
