//! Measures how long `teamr -d` takes until its ports are in place, and `teamr -k` until the daemon
//! is gone and everything is restored, as the caller sees it.
//!
//! `cargo bench --package integration --bench lifetime -- [REPETITIONS]`
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use integration::{DataPath, HostAndPeer, Lab, Namespace, Sharing, team_config, teamr_command};

fn main() -> ExitCode {
    let repetitions: usize =
        std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10);
    let lab = match Lab::try_open(Sharing::Alone) {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("lifetime: {reason}");
            return ExitCode::FAILURE;
        }
    };
    println!("start to ready and stop to gone, in ms; all repetitions, then the median");
    for count in [2, 32] {
        let names: Vec<String> = (1..=count).map(|number| format!("eth{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let host = HostAndPeer::new(&lab, &names).host;
        let config = team_config("team0", "activebackup", DataPath::Userspace, &names);
        let file = host.folder().join("lifetime.json");
        fs::write(&file, config.to_string()).expect("write a configuration");
        let file = file.to_str().expect("a path that is text");
        let mut starts = Vec::new();
        let mut stops = Vec::new();
        for _ in 0..repetitions {
            starts.push(timed(&host, &["-d", "-f", file]));
            stops.push(timed(&host, &["-k", "-f", file]));
        }
        print(&format!("{count} ports, start"), starts);
        print(&format!("{count} ports, stop"), stops);
    }
    ExitCode::SUCCESS
}

/// Runs `teamr`, which must succeed, and returns the time.
fn timed(host: &Namespace, args: &[&str]) -> Duration {
    let mut command = teamr_command(host);
    let begin = Instant::now();
    let status = command.args(args).status().expect("start teamr");
    let took = begin.elapsed();
    assert!(status.success(), "teamr {args:?} ended with {status}");
    took
}

fn print(what: &str, mut times: Vec<Duration>) {
    let in_ms = |time: &Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let all: Vec<String> = times.iter().map(in_ms).collect();
    times.sort();
    let median = times.get(times.len() / 2).map(in_ms).unwrap_or_default();
    println!("{what:>16}: {}; median {median}", all.join(" "));
}
