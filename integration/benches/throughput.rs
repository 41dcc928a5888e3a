//! Compares every data path that needs no team driver, a plain bridge, and other userspace
//! implementations (Open vSwitch's bond, DPDK's bonding over packet sockets) where installed, with
//! a bare veth pair.
//!
//! All paths exist all the time. A sample is a pair of successive runs, bare pair and path in
//! alternating order; the ratio is taken within the pair, so that an outside load affects both.
//! Everything, daemons included, runs with real-time priority (round robin) where permitted, to
//! exclude scheduling effects; testpmd, which polls without a pause, runs without it and only
//! during its own runs. CPU seconds are the busy time of the whole machine per 10^9 bytes.
//!
//! `cargo bench --package integration --bench throughput -- [PAIRS] [PATH...]`; the paths are
//! `bridge`, `relay`, `programs`, `ovs`, `testpmd`, and `tap`, which runs only when named: eBPF
//! programs that replaced the relay on its device. `throughput_kernel` measures the paths of the
//! kernel's drivers.

mod paths;
mod selection;

use std::process::{Command, ExitCode};

use integration::{Lab, Sharing};
use paths::table::line;
use paths::{Hosts, Path, build_paths, table};

const PATHS: [&str; 6] = ["bridge", "relay", "programs", "ovs", "testpmd", "tap"];
const BY_DEFAULT: usize = 5;
/// Number of pulls of the active port's cable.
const PULLS: usize = 5;

fn main() -> ExitCode {
    // Child processes inherit the priority.
    let own = std::process::id().to_string();
    let real_time = Command::new("chrt").args(["--rr", "--pid", "1", &own]).status();
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
    let (direct, paths) = build_paths(&lab, &hosts, &names);
    table::print(&hosts, &direct, &paths, pairs.unwrap_or(9), PULLS);
    choices(&paths);
    ExitCode::SUCCESS
}

/// Prints the cost of teamr's port selection.
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
