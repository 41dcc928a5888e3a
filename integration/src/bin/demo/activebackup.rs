//! Two hosts and a switch, traffic, a pulled cable.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::traffic::{Pace, Stream};
use integration::{CableKind, Lab, Ping, Site, Teamr, wait_until};

use crate::{END, millis, show};

/// The shipped example, with ports eth1 and eth2.
const EXAMPLE: &str = include_str!("../../../../json-config/examples/activebackup.json");

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

/// Runs the demo.
pub fn run(lab: &Lab, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Two hosts and a switch, each in a network namespace of its own:")?;
    writeln!(out, "{PICTURE}")?;
    let site = Site::new(lab, CableKind::Nic);
    site.plug_unaggregated();
    site.right.address("eth1", "10.0.0.2/24");

    let team = start(out, &site)?;
    ping(out, &site)?;
    show(out, "left", &team, "status")?;

    writeln!(out, "\nOne UDP packet a millisecond now goes from left to right, and one back.")?;
    let streams = site.start_streams("team0", Pace::Full);
    sleep(PAUSE);
    writeln!(out, "\nNow the cable of eth1, the active port, is pulled.")?;
    site.cable("eth1").pull();
    team.wait_active("eth2");
    ping(out, &site)?;
    show(out, "left", &team, "status")?;
    sleep(PAUSE);
    writeln!(out)?;
    report_streams(out, streams)?;

    writeln!(out, "\nThe cable is put back: eth1 has the higher prio, so eth1 takes over again.")?;
    site.cable("eth1").put_back();
    team.wait_active("eth1");
    stop(out, &site, team)
}

fn start(out: &mut dyn Write, site: &Site) -> io::Result<Teamr> {
    writeln!(out, "left$ teamr -f activebackup.json")?;
    let begin = Instant::now();
    let example = serde_json::from_str(EXAMPLE).map_err(io::Error::other)?;
    let team = Teamr::start(&site.left, &example);
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
fn ping(out: &mut dyn Write, site: &Site) -> io::Result<()> {
    writeln!(out, "\nleft$ ping 10.0.0.2")?;
    let ping = Ping::run(&site.left, "10.0.0.2", 10, "");
    writeln!(out, "    {} of {} answered, {} twice", ping.answered, ping.sent, ping.duplicates)?;
    match ping.answered == ping.sent {
        true => Ok(()),
        false => Err(io::Error::other("the right host did not answer every ping")),
    }
}

fn report_streams(out: &mut dyn Write, streams: [Stream; 2]) -> io::Result<()> {
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

fn stop(out: &mut dyn Write, site: &Site, team: Teamr) -> io::Result<()> {
    let begin = Instant::now();
    team.stop();
    let took = millis(begin.elapsed());
    wait_until("team0 to be gone", || !site.left.has_interface("team0"));
    writeln!(out, "teamr ended {took} after the signal; team0 is gone.\n{END}")
}
