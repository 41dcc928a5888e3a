//! Every data path that needs no driver for teams, a plain bridge, and what others do in user
//! space (Open vSwitch's bond, DPDK's bonding over packet sockets) where they are installed, beside
//! a bare veth pair.
//!
//! All of them stand all the time. A sample is a pair of runs, one right after the other, bare pair
//! and path in turn the first; the ratio is taken within the pair, so that a load from outside
//! meets both. All of it runs with real-time priority (round robin) where that is permitted,
//! daemons included, so that the scheduler's choices are not what is measured; testpmd, which polls
//! without a pause, runs without it and only in its own turns. CPU seconds are all that the machine
//! was busy, per 10^9 bytes.
//!
//! `cargo bench --package integration --bench throughput -- [PAIRS] [PATH...]`; the paths are
//! `bridge`, `relay`, `programs`, `ovs`, `testpmd`, and `tap`, which is left out unless named:
//! programs that took the relay's place on its device. The paths of the kernel's drivers are those
//! of `throughput_kernel`.

mod paths;
mod selection;

use std::process::{Command, ExitCode};

use integration::{Lab, Sharing};
use paths::table::line;
use paths::{Hosts, Path, stand, table};

const PATHS: [&str; 6] = ["bridge", "relay", "programs", "ovs", "testpmd", "tap"];
const BY_DEFAULT: usize = 5;
/// How often the active port's cable is pulled.
const PULLS: usize = 5;

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
    let hosts = Hosts::new(&lab);
    let (direct, paths) = stand(&lab, &hosts, &names);
    table::print(&hosts, &direct, &paths, pairs.unwrap_or(9), PULLS);
    choices(&paths);
    ExitCode::SUCCESS
}

/// What teamr's choice of a port costs.
fn choices(paths: &[Path]) {
    let each = |cell: &dyn Fn(&str) -> Option<String>| {
        let cells = paths.iter().map(|path| cell(path.name).unwrap_or_default());
        cells.collect::<Vec<String>>()
    };
    for (what, frame) in selection::FRAMES {
        let relay = selection::relay(&frame());
        let programs = selection::programs(&frame());
        let cells = each(&|name| match name {
            "relay" => Some(format!("{relay:.1}")),
            "programs" | "tap" => Some(programs?.to_string()),
            _ => None,
        });
        line(&format!("choice of a port, {what}, ns"), "", cells);
    }
    let teams = ["relay", "programs", "tap"];
    let share = each(&|name| {
        let of_team = teams.contains(&name);
        of_team.then(|| format!("{:.3}", selection::busiest()))
    });
    line("busiest of 8 ports, of its fair share", "", share);
}
