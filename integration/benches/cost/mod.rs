//! The cost of a daemon that runs: its processor share and its memory.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::proc::{read, schedule};

/// Returns the processor share in percent, and the number of times the process was scheduled.
pub fn cost(pid: u32, seconds: u64) -> (f64, u64) {
    let begin = Instant::now();
    let (ran_before, turns_before) = schedule(pid);
    sleep(Duration::from_secs(seconds));
    let (ran, turns) = schedule(pid);
    let share = (ran - ran_before).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    (share, turns - turns_before)
}

/// Returns the resident memory in kB.
pub fn resident(pid: u32) -> u64 {
    let text = read(pid, "status");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a line VmRSS");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a size")
}
