//! `cargo demo`: a team at work, step by step.
//!
//! Two hosts and a switch in namespaces, the shipped example configuration, traffic, a pulled
//! cable.
#![allow(clippy::disallowed_methods, reason = "the demo measures time")]

use std::io::{self, ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::traffic::{Pace, Stream};
use integration::{
    CableKind, Lab, Ping, Progress, Sharing, Site, Teamr, build_programs, repository,
    run_holder_if_requested, wait_until,
};

const EXAMPLE: &str = "json-config/examples/activebackup.json";

/// Time that the streams run before the cable is pulled, and at least after.
const PAUSE: Duration = Duration::from_secs(1);

const PICTURE: &str = "
  left                             switch                      right
 ┌───────────────┐           ┌────────────────┐           ┌───────────────┐
 │         eth1 ─┼───────────┼─ left1         │           │               │
 │ team0 <       │           │         right1 ┼───────────┼─ eth1         │
 │         eth2 ─┼───────────┼─ left2         │           │               │
 └───────────────┘           └────────────────┘           └───────────────┘
  10.0.0.1                                                 10.0.0.2
";

fn main() -> ExitCode {
    run_holder_if_requested();
    match prepare() {
        Ok(lab) => run(&lab),
        Err(reason) => {
            eprintln!("The demo cannot run: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Checks the privileges before building, and builds everything before timing anything.
fn prepare() -> Result<Lab, String> {
    Lab::check_rights()?;
    eprintln!("This machine allows what the demo needs. Cargo builds teamr and the tools now.");
    build_programs(Progress::Shown)?;
    Lab::try_open(Sharing::Alone)
}

/// Runs the demo. A failed step panics in the lab, which counts as an error.
fn run(lab: &Lab) -> ExitCode {
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

fn demo(lab: &Lab, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "Two hosts and a switch, each in a network namespace of its own:"
    )?;
    writeln!(out, "{PICTURE}")?;
    let site = Site::new(lab, CableKind::Nic);
    site.plug_unaggregated();
    site.right.address("eth1", "10.0.0.2/24");

    let team = start(out, &site)?;
    ping(out, &site)?;
    show_state(out, &team)?;

    writeln!(
        out,
        "One UDP packet a millisecond now goes from left to right, and one back."
    )?;
    let streams = site.start_streams("team0", Pace::Full);
    sleep(PAUSE);
    writeln!(out, "\nNow the cable of eth1, the active port, is pulled.")?;
    site.cable("eth1").pull();
    team.wait_active("eth2");
    ping(out, &site)?;
    show_state(out, &team)?;
    sleep(PAUSE);
    report_streams(out, streams)?;

    writeln!(
        out,
        "\nThe cable is put back: eth1 has the higher prio, so eth1 takes over again."
    )?;
    site.cable("eth1").put_back();
    team.wait_active("eth1");
    stop(out, &site, team)
}

fn start(out: &mut impl Write, site: &Site) -> io::Result<Teamr> {
    writeln!(out, "left$ teamr -f {EXAMPLE}")?;
    let begin = Instant::now();
    let team = Teamr::start_file(&site.left, "team0", repository().join(EXAMPLE));
    site.left.up("team0");
    site.left.address("team0", "10.0.0.1/24");
    for port in ["eth1", "eth2"] {
        team.wait_port(port, true);
        site.switch.wait_forwarding(site.cable(port));
    }
    team.wait_active("eth1");
    let took = millis(begin.elapsed());
    writeln!(out, "… both links are up and eth1 is active after {took}.")?;
    Ok(team)
}

/// Pings the right host; an unanswered request is an error, so that a script notices.
fn ping(out: &mut impl Write, site: &Site) -> io::Result<()> {
    writeln!(out, "\nleft$ ping 10.0.0.2")?;
    let ping = Ping::run(&site.left, "10.0.0.2", 10, "");
    writeln!(
        out,
        "    {} of {} answered, {} twice",
        ping.answered, ping.sent, ping.duplicates
    )?;
    match ping.answered == ping.sent {
        true => Ok(()),
        false => Err(io::Error::other("the right host did not answer every ping")),
    }
}

fn show_state(out: &mut impl Write, team: &Teamr) -> io::Result<()> {
    writeln!(out, "\nleft$ teamrctl team0 state")?;
    writeln!(out, "{}", indent(&team.ask("state")))
}

fn report_streams(out: &mut impl Write, streams: [Stream; 2]) -> io::Result<()> {
    for (stream, way) in streams.into_iter().zip(["left to right", "right to left"]) {
        let trace = stream.finish();
        writeln!(
            out,
            "From {way} the stream was silent for {} at most; of {} packets {} were lost, \
             {} came twice.",
            millis(trace.longest_silence()),
            trace.sent.len(),
            trace.lost().len(),
            trace.duplicated()
        )?;
    }
    Ok(())
}

fn stop(out: &mut impl Write, site: &Site, team: Teamr) -> io::Result<()> {
    let begin = Instant::now();
    team.stop();
    let took = millis(begin.elapsed());
    wait_until("team0 to be gone", || !site.left.has_interface("team0"));
    writeln!(
        out,
        "teamr ended {took} after the signal; team0 is gone.\n\
         The namespaces end with this program, and nothing is left behind."
    )
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
