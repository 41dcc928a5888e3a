//! Measures the cost of idle teams: processor time and memory, for one team of each runner, and for
//! a hundred in one process.
//!
//! `cargo bench --package integration --bench idle -- [SECONDS]`
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod cost;
mod proc;

use std::fs;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cost::{cost, resident};
use integration::{
    CableKind, DataPath, Lab, Process, RUNNERS, Sharing, SiteWithTeam, team_config, teamr_command,
    wait_until,
};
use proc::schedule;

/// Teams in one process.
const MANY: usize = 100;

fn main() -> ExitCode {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10);
    println!("idle with two ports and the ethtool watch, over {seconds} s");
    println!("{:>14} {:>14} {:>10} {:>14}", "", "% of a core", "wake-ups", "resident kB");
    for runner in RUNNERS {
        let lab = match Lab::try_open(Sharing::Alone) {
            Ok(lab) => lab,
            Err(reason) => {
                eprintln!("idle: {reason}");
                return ExitCode::FAILURE;
            }
        };
        let setup = SiteWithTeam::new(&lab, runner, DataPath::Userspace, CableKind::Nic);
        let pid = setup.team.pid();
        wait_until_idle(pid);
        let (share, turns) = cost(pid, seconds);
        println!("{runner:>14} {share:>14.4} {turns:>10} {:>14}", resident(pid));
    }
    println!("{MANY} such teams in one process");
    println!(
        "{:>22} {:>14} {:>10} {:>14} {:>10}",
        "", "% of a core", "wake-ups", "resident kB", "start ms"
    );
    for (data_path, runner) in [
        (DataPath::Programs, "activebackup"),
        (DataPath::Programs, "lacp"),
        (DataPath::Userspace, "activebackup"),
    ] {
        many(data_path, runner, seconds);
    }
    ExitCode::SUCCESS
}

fn many(data_path: DataPath, runner: &str, seconds: u64) {
    let lab = Lab::try_open(Sharing::Alone).expect("a lab as before");
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    let directory = lab.folder().join("teams");
    fs::create_dir(&directory).expect("make a directory");
    for number in 0..MANY {
        let ports = ["a", "b"].map(|side| format!("{side}{number}"));
        for port in &ports {
            lab.cable((&host, port), (&peer, port), CableKind::Virtual);
            peer.up(port);
        }
        let team = format!("team{number}");
        let config = team_config(&team, runner, data_path, &[&ports[0], &ports[1]]);
        let file = directory.join(format!("{team}.json"));
        fs::write(file, config.to_string()).expect("write a configuration");
    }
    let mut command = teamr_command(&host);
    command.arg("-f").arg(&directory);
    let begin = Instant::now();
    let daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    let took = begin.elapsed().as_millis();
    let pid = daemon.pid();
    wait_until_idle(pid);
    let (share, turns) = cost(pid, seconds);
    println!(
        "{:>22} {share:>14.4} {turns:>10} {:>14} {took:>10}",
        format!("{}, {runner}", data_path.name()),
        resident(pid)
    );
}

/// Waits until the daemon is idle: for a second after the links came up the daemon wakes more
/// often. Later packets are only the hosts' own router solicitations.
pub fn wait_until_idle(pid: u32) {
    wait_until("the daemon to be idle", || {
        let (_, before) = schedule(pid);
        sleep(Duration::from_secs(1));
        schedule(pid).1 < before + 20
    });
}
