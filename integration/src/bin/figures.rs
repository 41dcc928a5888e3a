//! Measures the figures of docs/benchmarks.md again; `integration/figures` runs this program.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode, Stdio};

use integration::figures::{self, RUNS, Record, Rows};
use integration::repository;

/// Benchmarks with their packages.
const BENCHMARKS: [(&str, &str); 9] = [
    ("selector", "runners"),
    ("lifetime", "integration"),
    ("idle", "integration"),
    ("scale", "integration"),
    ("failover", "integration"),
    ("lacp", "integration"),
    ("beside_teamd", "integration"),
    ("throughput", "integration"),
    ("throughput_kernel", "integration"),
];
const RECORD: &str = "docs/figures.json";
const DOCUMENT: &str = "docs/benchmarks.md";
/// The line of the document after which the recorded figures stand.
const MARK: &str = "## Recorded figures\n";

const HELP: &str = "\
usage: integration/figures [--write | --document] [BENCHMARK...]
  without options   measures the named benchmarks, or all that are recorded, and prints each figure
                    that left its band; the status is 1 if there is one
  --write           measures three times, and records the figures with their spread
  --document        writes the recorded figures into docs/benchmarks.md
  -h, --help        prints this help";

/// Purpose of the measurement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Compare,
    Write,
    Document,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("integration/figures: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let (mut mode, mut names) = (Mode::Compare, Vec::new());
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "-h" | "--help" => {
                println!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            "--write" => mode = Mode::Write,
            "--document" => mode = Mode::Document,
            name if BENCHMARKS.iter().any(|(known, _)| *known == name) => names.push(arg),
            _ => return Err(format!("unknown argument \"{arg}\"; try -h")),
        }
    }
    let path = repository().join(RECORD);
    let text = fs::read_to_string(&path).map_err(|error| format!("read {RECORD}: {error}"))?;
    let mut records = figures::parse(&text).map_err(|error| format!("{RECORD}: {error}"))?;
    match mode {
        Mode::Compare => return compare(&records, &names),
        Mode::Write => {
            let all = || BENCHMARKS.iter().map(|(name, _)| (*name).to_owned()).collect();
            for name in if names.is_empty() { all() } else { names } {
                records.insert(name.clone(), record(&name)?);
                write(RECORD, &figures::format(&records))?;
            }
        }
        Mode::Document => {}
    }
    write_document(&records)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures benchmarks, and prints the figures that left their band.
fn compare(records: &BTreeMap<String, Record>, names: &[String]) -> Result<ExitCode, String> {
    let mut is_same = true;
    for (name, record) in records {
        if !names.is_empty() && !names.contains(name) {
            continue;
        }
        let found = figures::departures(record, &measure(name)?);
        println!("{name}: {} of {} rows left their band", found.len(), record.figures.len());
        found.iter().for_each(|line| println!("  {line}"));
        is_same &= found.is_empty();
    }
    let unknown: Vec<&String> = names.iter().filter(|name| !records.contains_key(*name)).collect();
    if !unknown.is_empty() {
        return Err(format!("{unknown:?}: not recorded; --write records figures"));
    }
    let (machine, here) = (records.values().map(|record| &record.machine), machine());
    if machine.into_iter().any(|machine| *machine != here) {
        println!("some figures were recorded on another machine than this one: {here}");
    }
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn record(name: &str) -> Result<Record, String> {
    let runs: Vec<Rows> = (0..RUNS).map(|_| measure(name)).collect::<Result<_, _>>()?;
    Ok(Record {
        command: format!("cargo {}", arguments(name).join(" ")),
        machine: machine(),
        date: output(Command::new("date").args(["-u", "+%F"]))?.trim().to_owned(),
        runs: runs.len(),
        figures: figures::spreads(&runs),
    })
}

fn arguments(name: &str) -> Vec<&str> {
    let package = BENCHMARKS.iter().find(|(known, _)| *known == name);
    let package = package.map_or("integration", |(_, package)| package);
    vec!["bench", "--package", package, "--bench", name]
}

/// Runs a benchmark once.
fn measure(name: &str) -> Result<Rows, String> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repository()).args(arguments(name)).stderr(Stdio::inherit());
    let rows = figures::read(&output(&mut cargo)?);
    match rows.is_empty() {
        true => Err(format!("the benchmark {name} printed no figure")),
        false => Ok(rows),
    }
}

/// Runs a command and returns its standard output.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("start {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?} ended with {}", output.status)),
    }
}

/// Returns processor, number of cores and kernel of this machine.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (processors, kernel) = (read("/proc/cpuinfo"), read("/proc/sys/kernel/osrelease"));
    let model = processors.lines().find(|line| line.starts_with("model name"));
    let model =
        model.and_then(|line| Some(line.split_once(": ")?.1)).unwrap_or("unknown processor");
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    // The version alone: the rest names a build.
    let version = kernel.trim().split('-').next().unwrap_or_default();
    format!("{model}, {cores} cores, Linux {version}")
}

/// Replaces the recorded figures in the document.
fn write_document(records: &BTreeMap<String, Record>) -> Result<(), String> {
    let path = repository().join(DOCUMENT);
    let text = fs::read_to_string(path).map_err(|error| format!("read {DOCUMENT}: {error}"))?;
    let (head, _) =
        text.split_once(MARK).ok_or_else(|| format!("{DOCUMENT} has no line {MARK:?}"))?;
    write(DOCUMENT, &format!("{head}{MARK}{}", figures::document(records)))
}

fn write(file: &str, text: &str) -> Result<(), String> {
    fs::write(repository().join(file), text).map_err(|error| format!("write {file}: {error}"))
}
