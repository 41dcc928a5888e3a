//! The clock of a guest in virtual time, and the repeatability of all that happens there.
#![allow(clippy::disallowed_methods, reason = "a test compares clocks")]

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::traffic::{Capture, write_pcap};
use integration::{
    DataPath, Lab, Sharing, TeamAndBond, Teamr, in_virtual_time, team_config,
    twice_in_virtual_time, wait_until,
};

const LINKS: [&str; 2] = ["eth1", "eth2"];
const CAPTURES: [&str; 2] = ["eth1.pcap", "eth2.pcap"];
/// Longer than any guest may run on its host.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_day_of_waiting_takes_no_time() {
    in_virtual_time(|_| {
        let begin = Instant::now();
        sleep(LONG);
        let slept = begin.elapsed();
        assert!(slept >= LONG && slept < LONG + Duration::from_millis(20), "{slept:?}");
        println!("The guest slept {slept:?}.");
    });
}

/// A fast LACP team and a bond: negotiation, a pulled cable that comes back, a crash of the daemon
/// and its take-over. No UDP or ICMP: the kernel draws their ports and identifiers from the host's
/// cycle counter.
fn record(folder: &Path) {
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let bonded = TeamAndBond::new(&lab, "lacp_rate fast");
    let captures = LINKS.map(|link| Capture::start(&bonded.right, link));
    let mut config = team_config("team0", "lacp", DataPath::Kernel, &LINKS);
    config["runner"]["fast_rate"] = true.into();
    let teamr = Teamr::start(&bonded.left, &config);
    bonded.left.up("team0");
    bonded.left.address("team0", "10.0.0.1/24");
    let carry = |teamr: &Teamr, count: usize| {
        wait_until(&format!("{count} ports to carry at both ends"), || {
            teamr.carrying().len() == count && bonded.carrying() == count
        });
    };
    carry(&teamr, 2);
    bonded.cables[0].pull();
    carry(&teamr, 1);
    bonded.cables[0].put_back();
    carry(&teamr, 2);
    teamr.crash();
    let teamr = Teamr::start_args(&bonded.left, &config, &["-o"]);
    carry(&teamr, 2);
    assert!(teamr.stop().success());
    for (capture, file) in captures.into_iter().zip(CAPTURES) {
        let frames = capture.finish();
        println!("{} frames in {file}", frames.len());
        write_pcap(&folder.join(file), &frames).expect("write a capture");
    }
}

#[test]
#[allow(clippy::redundant_closure, reason = "the closure's type names the test")]
fn a_scenario_run_twice_gives_the_same_captures() {
    twice_in_virtual_time(
        |folder| record(folder),
        |folders| {
            for file in CAPTURES {
                let [first, second] = folders.map(|folder| {
                    let path = folder.join(file);
                    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
                });
                assert!(first.len() > 1_000, "only {} bytes in {file}", first.len());
                let same =
                    first.iter().zip(&second).take_while(|(left, right)| left == right).count();
                assert!(
                    first == second,
                    "{file} has {} and {} bytes; the first difference is at {same}; kept in {folders:?}",
                    first.len(),
                    second.len()
                );
            }
        },
    );
}

#[test]
fn a_guest_in_virtual_time_has_the_drivers() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let host = lab.host("host");
        println!("This is Linux {}.", host.run("uname -r").trim());
        host.ip("link add name base type dummy");
        let kinds = "team bond bridge dummy ifb macvlan vxlan geneve gretap macsec nlmon";
        for kind in kinds.split(' ') {
            let more = match kind {
                "vxlan" | "geneve" => " id 5 remote 10.0.0.2 dstport 5000",
                "gretap" => " remote 10.0.0.2 local 10.0.0.1",
                "macvlan" | "macsec" => "",
                _ => "",
            };
            let over = match kind {
                "macvlan" | "macsec" => "link base ",
                _ => "",
            };
            host.ip(&format!("link add {over}name x0 type {kind}{more}"));
            host.ip("link delete dev x0");
        }
    });
}
