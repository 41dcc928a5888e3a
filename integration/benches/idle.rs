//! What a team costs that has nothing to do: processor time and memory, for each runner.
//!
//! `cargo bench --package integration --bench idle -- [SECONDS]`

use std::fs;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::{CableKind, DataPath, Lab, RUNNERS, Sharing, Teamed, wait_until};

fn main() -> ExitCode {
    let seconds = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(10);
    println!("idle with two ports and the ethtool watch, over {seconds} s");
    println!(
        "{:>14} {:>14} {:>10} {:>14}",
        "", "% of a core", "wake-ups", "resident kB"
    );
    for runner in RUNNERS {
        let lab = match Lab::try_open(Sharing::Alone) {
            Ok(lab) => lab,
            Err(reason) => {
                eprintln!("idle: {reason}");
                return ExitCode::FAILURE;
            }
        };
        let teamed = Teamed::new(&lab, runner, DataPath::Userspace, CableKind::Nic);
        let pid = teamed.team.pid();
        wait_for_rest(pid);
        let begin = Instant::now();
        let (ran_before, turns_before) = schedule(pid);
        sleep(Duration::from_secs(seconds));
        let (ran, turns) = schedule(pid);
        let share = (ran - ran_before).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
        println!(
            "{runner:>14} {share:>14.4} {:>10} {:>14}",
            turns - turns_before,
            resident(pid)
        );
    }
    ExitCode::SUCCESS
}

/// Waits until the start is over: after the links came up the daemon is watchful for a second.
/// What is left are the hosts' own router solicitations.
fn wait_for_rest(pid: u32) {
    wait_until("the daemon to be at rest", || {
        let (_, before) = schedule(pid);
        sleep(Duration::from_secs(1));
        schedule(pid).1 < before + 20
    });
}

/// Time on a processor, and how often it was given one.
fn schedule(pid: u32) -> (Duration, u64) {
    let text = read(pid, "schedstat");
    let numbers: Vec<u64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    (Duration::from_nanos(numbers[0]), numbers[2])
}

/// Resident memory in kB.
fn resident(pid: u32) -> u64 {
    let text = read(pid, "status");
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line VmRSS");
    line.split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a size")
}

fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).expect("read from /proc")
}
