//! Facts about a process from /proc.

use std::fs;
use std::time::Duration;

/// Returns a file of a process.
pub fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).expect("read from /proc")
}

/// Returns the processor time of a process and the number of times it was scheduled.
pub fn schedule(pid: u32) -> (Duration, u64) {
    let text = read(pid, "schedstat");
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (Duration::from_nanos(numbers[0]), numbers[2])
}
