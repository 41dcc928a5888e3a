//! `cargo demo` and `teamrctl demo`: teams at work, step by step, in network namespaces.
//!
//! Without a word: two hosts and a switch, the shipped example configuration, traffic, a pulled cable.
//! `slb`: a host with guests on a switch that cannot aggregate. `lacp`: a partner, and a wrong key.
#![allow(clippy::disallowed_methods, reason = "the demo measures time")]

mod activebackup;
mod lacp;
mod slb;

use std::env;
use std::io::{self, ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Duration;

use integration::{
    Lab, PROGRAMS, Ping, Progress, Sharing, Teamr, build_programs, run_tool_if_requested,
};

/// A demo: its name on the command line and its steps.
type Demo = (&'static str, fn(&Lab, &mut dyn Write) -> io::Result<()>);

/// The demos; without a name the first.
const DEMOS: [Demo; 3] =
    [("activebackup", activebackup::run), ("slb", slb::run), ("lacp", lacp::run)];

fn main() -> ExitCode {
    run_tool_if_requested();
    let name = env::args().nth(1).unwrap_or_else(|| DEMOS[0].0.to_owned());
    let Some((_, demo)) = DEMOS.iter().find(|(known, _)| *known == name) else {
        let names = DEMOS.map(|(known, _)| known).join(", ");
        eprintln!("There is no demo \"{name}\"; there are: {names}.");
        return ExitCode::FAILURE;
    };
    match prepare() {
        Ok(lab) => run(&lab, *demo),
        Err(reason) => {
            eprintln!("The demo cannot run: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Checks the privileges before building, and builds everything before timing anything.
fn prepare() -> Result<Lab, String> {
    Lab::check_rights()?;
    if env::var_os(PROGRAMS).is_none() {
        eprintln!("This machine allows what the demo needs. Cargo builds teamr and the tools now.");
    }
    build_programs(Progress::Shown)?;
    Lab::try_open(Sharing::Alone)
}

/// Runs a demo. A failed step panics in the lab, which counts as an error.
fn run(lab: &Lab, demo: fn(&Lab, &mut dyn Write) -> io::Result<()>) -> ExitCode {
    panic::set_hook(Box::new(|_| ()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| demo(lab, &mut io::stdout().lock())));
    match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        // The reader of the output has closed the pipe.
        Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Ok(Err(error)) => eprintln!("The demo failed: {error}"),
        Err(reason) => {
            let reason = reason.downcast::<String>();
            eprintln!(
                "The demo failed: {}",
                reason.map_or_else(|_| "a step panicked".to_owned(), |reason| *reason)
            );
        }
    }
    ExitCode::FAILURE
}

/// The last line of every demo.
const END: &str = "The namespaces end with this program, and nothing is left behind.";

/// Shows a command of the client on a host, and its output, whatever its exit status.
fn show(out: &mut dyn Write, host: &str, team: &Teamr, command: &str) -> io::Result<()> {
    writeln!(out, "\n{host}$ teamrctl {} {command}", team.device())?;
    let output = team.ctl(command);
    let text = [output.stdout, output.stderr].concat();
    write!(out, "{}", indent(&String::from_utf8_lossy(&text)))
}

/// Shows a ping and how many of its requests were answered.
fn show_ping(out: &mut dyn Write, host: &str, target: &str, ping: Ping) -> io::Result<()> {
    let Ping { sent, answered, duplicates } = ping;
    writeln!(out, "{host}$ ping {target}    {answered} of {sent} answered, {duplicates} twice")
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn indent(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}"));
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}
