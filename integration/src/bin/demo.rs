//! `cargo demo`: a team at work, told as a story.
//!
//! Two hosts and a switch in namespaces, the shipped example, traffic, a pulled cable.
#![allow(clippy::disallowed_methods, reason = "the demo measures time")]

use std::io::{self, ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::traffic::{End, Stream};
use integration::{
    CableKind, Lab, Ping, Progress, Sharing, Site, Teamr, build_programs, hold_if_asked,
    repository, wait_until,
};

const EXAMPLE: &str = "json-config/examples/activebackup.json";

/// How long the streams run before the cable is pulled, and at least after.
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
    hold_if_asked();
    match prepare() {
        Ok(lab) => run(&lab),
        Err(reason) => {
            eprintln!("The demo cannot run: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Asks for the rights before the rest is built, and has all built before anything is timed.
fn prepare() -> Result<Lab, String> {
    Lab::check_rights()?;
    eprintln!("This machine allows what the demo needs. Cargo builds teamr and the tools now.");
    build_programs(Progress::Shown)?;
    Lab::try_open(Sharing::Alone)
}

/// Tells the story. The lab panics where a step fails, which is an error like others here.
fn run(lab: &Lab) -> ExitCode {
    panic::set_hook(Box::new(|_| ()));
    let told = panic::catch_unwind(AssertUnwindSafe(|| tell(lab, &mut io::stdout().lock())));
    match told {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        // Nobody reads on.
        Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Ok(Err(error)) => eprintln!("The demo cannot write: {error}"),
        Err(reason) => {
            let reason = reason.downcast::<String>();
            eprintln!(
                "The demo failed: {}",
                reason.map_or_else(|_| "a step broke off".to_owned(), |reason| *reason)
            );
        }
    }
    ExitCode::FAILURE
}

fn tell(lab: &Lab, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "Two hosts and a switch, each in a network namespace of its own:"
    )?;
    writeln!(out, "{PICTURE}")?;
    let site = Site::new(lab, CableKind::Nic);
    site.plug_plainly();
    site.right.address("eth1", "10.0.0.2/24");

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
    writeln!(
        out,
        "… both links are up and eth1 is active after {}.",
        millis(begin.elapsed())
    )?;

    writeln!(out, "\nleft$ ping 10.0.0.2")?;
    report(out, Ping::run(&site.left, "10.0.0.2", 10, ""))?;
    writeln!(out, "\nleft$ teamrctl team0 state")?;
    writeln!(out, "{}", indent(&team.ask("state")))?;

    writeln!(
        out,
        "One UDP packet a millisecond now goes from left to right, and one back."
    )?;
    let end = |host: &integration::Namespace, interface: &str, address: &str| End {
        host: host.clone(),
        interface: interface.to_owned(),
        address: address.parse().expect("an address"),
    };
    let left = end(&site.left, "team0", "10.0.0.1:7000");
    let right = end(&site.right, "eth1", "10.0.0.2:7000");
    let streams = [
        Stream::start(&left, &right, None, 100),
        Stream::start(&right, &left, None, 100),
    ];
    sleep(PAUSE);

    writeln!(out, "\nNow the cable of eth1, the active port, is pulled.")?;
    site.cable("eth1").pull();
    team.wait_active("eth2");
    writeln!(out, "\nleft$ ping 10.0.0.2")?;
    report(out, Ping::run(&site.left, "10.0.0.2", 10, ""))?;
    writeln!(out, "\nleft$ teamrctl team0 state")?;
    writeln!(out, "{}", indent(&team.ask("state")))?;

    sleep(PAUSE);
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

    writeln!(
        out,
        "\nThe cable is put back: eth1 has the higher prio, so it takes over again."
    )?;
    site.cable("eth1").put_back();
    team.wait_active("eth1");

    let begin = Instant::now();
    team.stop();
    let took = begin.elapsed();
    wait_until("team0 to be gone", || !site.left.has_interface("team0"));
    writeln!(
        out,
        "teamr was told to stop, and had after {}: team0 is gone.",
        millis(took)
    )?;
    writeln!(
        out,
        "The namespaces go with this program; nothing is left behind."
    )?;
    Ok(())
}

fn report(out: &mut impl Write, ping: Ping) -> io::Result<()> {
    writeln!(
        out,
        "    {} of {} answered, {} twice",
        ping.answered, ping.sent, ping.duplicates
    )
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
