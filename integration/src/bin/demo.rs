//! `cargo demo`: a team at work, told as a story.
//!
//! Two hosts and a switch in namespaces, the shipped example, traffic, a pulled cable.
#![allow(clippy::disallowed_methods, reason = "the demo measures time")]

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::traffic::{End, Stream};
use integration::{CableKind, Lab, Ping, Sharing, Site, Teamr, programs, repository, wait_until};

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
    let lab = match Lab::try_open(Sharing::Alone) {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("The demo needs network namespaces and a TAP device, but: {reason}.");
            return ExitCode::FAILURE;
        }
    };
    // Builds what is not built yet, before anything is timed.
    programs();
    println!("Two hosts and a switch, each in a network namespace of its own:");
    println!("{PICTURE}");
    let site = Site::new(&lab, CableKind::Nic);
    site.plug_plainly();
    site.right.address("eth1", "10.0.0.2/24");

    println!("left$ teamr -f {EXAMPLE}");
    let begin = Instant::now();
    let team = Teamr::start_file(&site.left, "team0", repository().join(EXAMPLE));
    site.left.up("team0");
    site.left.address("team0", "10.0.0.1/24");
    for port in ["eth1", "eth2"] {
        team.wait_port(port, true);
        site.switch.wait_forwarding(site.cable(port));
    }
    team.wait_active("eth1");
    println!(
        "… both links are up and eth1 is active after {}.",
        millis(begin.elapsed())
    );

    println!("\nleft$ ping 10.0.0.2");
    report(Ping::run(&site.left, "10.0.0.2", 10, ""));
    println!("\nleft$ teamrctl team0 state");
    println!("{}", indent(&team.ask("state")));

    println!("One UDP packet a millisecond now goes from left to right, and one back.");
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

    println!("\nNow the cable of eth1, the active port, is pulled.");
    site.cable("eth1").pull();
    team.wait_active("eth2");
    println!("\nleft$ ping 10.0.0.2");
    report(Ping::run(&site.left, "10.0.0.2", 10, ""));
    println!("\nleft$ teamrctl team0 state");
    println!("{}", indent(&team.ask("state")));

    sleep(PAUSE);
    for (stream, way) in streams.into_iter().zip(["left to right", "right to left"]) {
        let trace = stream.finish();
        println!(
            "From {way} the stream was silent for {} at most; of {} packets {} were lost, \
             {} came twice.",
            millis(trace.longest_silence()),
            trace.sent.len(),
            trace.lost().len(),
            trace.duplicated()
        );
    }

    println!("\nThe cable is put back: eth1 has the higher prio, so it takes over again.");
    site.cable("eth1").put_back();
    team.wait_active("eth1");

    let begin = Instant::now();
    team.stop();
    let took = begin.elapsed();
    wait_until("team0 to be gone", || !site.left.has_interface("team0"));
    println!(
        "teamr was told to stop, and had after {}: team0 is gone.",
        millis(took)
    );
    println!("The namespaces go with this program; nothing is left behind.");
    ExitCode::SUCCESS
}

fn report(ping: Ping) {
    println!(
        "    {} of {} answered, {} twice",
        ping.answered, ping.sent, ping.duplicates
    );
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
