//! Every data path that needs no driver for teams, Open vSwitch where it is installed, and a plain
//! bridge, beside a bare veth pair.
//!
//! All of it runs with real-time priority (round robin) where that is permitted, daemons included,
//! so that the scheduler's choices are not what is measured.
//!
//! `cargo bench --package integration --bench throughput -- [PAIRS] [PATH...]`; the paths are
//! `bridge`, `relay`, `programs`, `ovs`, and `tap`, which is left out unless named: programs that
//! took the relay's place on its device.

mod paths;
mod selection;

use std::process::{Command, ExitCode};

use integration::{Lab, Sharing};
use paths::{Path, cells, line};

const PATHS: [&str; 5] = ["bridge", "relay", "programs", "ovs", "tap"];
const BY_DEFAULT: usize = 4;

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
    let paths = paths::compare(&lab, &names, pairs.unwrap_or(9));
    choices(&paths);
    ExitCode::SUCCESS
}

/// What the choice of a port costs, and how even it is.
fn choices(paths: &[Path]) {
    for (what, frame) in selection::FRAMES {
        let relay = selection::relay(&frame());
        let programs = selection::programs(&frame());
        let choice = cells(paths, |path| match path.name {
            "relay" => Some(format!("{relay:.1}")),
            "programs" | "tap" => Some(programs?.to_string()),
            _ => None,
        });
        line(&format!("choice of a port, {what}, ns"), "", choice);
    }
    let share = cells(paths, |path| {
        let is_ours = ["relay", "programs", "tap"].contains(&path.name);
        is_ours.then(|| format!("{:.3}", selection::busiest()))
    });
    line("busiest of 8 ports, of its fair share", "", share);
}
