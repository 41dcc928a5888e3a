//! lacp through ends and new starts of the daemon: the partner, which asks for a PDU each second,
//! never notices, and no more is lost than what the absent daemon would have moved.

use integration::traffic::{End, Stream, now};
use integration::{CableKind, DataPath, Lab, Namespace, Ping, Sharing, Teamr, wait_until};
use serde_json::{Value, json};

const LINKS: [&str; 2] = ["eth1", "eth2"];
/// Leaves the device in place at its end, and goes on with one that is there.
const STAYS: [&str; 2] = ["-N", "-o"];
/// What was sent so shortly before the daemon ended may wait in it, in nanoseconds.
const UNDER_WAY: u64 = 10_000_000;

fn config(data_path: DataPath) -> Value {
    json!({
        "device": "team0",
        "data_path": data_path.name(),
        "runner": {"name": "lacp", "fast_rate": true, "tx_hash": ["eth", "ipv4", "udp"]},
        "ports": {"eth1": {}, "eth2": {}},
    })
}

fn carries_on_both(teamr: &Teamr) -> bool {
    let state = teamr.state_at_socket();
    LINKS
        .iter()
        .all(|link| state["ports"][*link]["teamr"]["enabled"] == true)
}

/// What the machines of a daemon, which logs at debug level, have done so far.
fn moves(teamr: &Teamr) -> Vec<String> {
    let log = teamr.log();
    let moved = log.lines().filter(|line| line.contains("machine enters"));
    moved.map(str::to_owned).collect()
}

fn streams(left: &Namespace, right: &Namespace) -> [Stream; 2] {
    let end = |host: &Namespace, address: &str| End {
        host: host.clone(),
        interface: "team0".to_owned(),
        address: address.parse().expect("an address"),
    };
    let near = |port| end(left, &format!("10.0.0.1:{port}"));
    let far = |port| end(right, &format!("10.0.0.2:{port}"));
    [
        Stream::start(&near(7000), &far(7000), None, 64),
        Stream::start(&far(7001), &near(7001), None, 64),
    ]
}

fn restarts_unnoticed(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (left, right) = (lab.host("left"), lab.host("right"));
    for link in LINKS {
        lab.cable((&left, link), (&right, link), CableKind::Virtual);
    }
    let config = config(data_path);
    let partner = Teamr::start_args(&right, &config, &["-g"]);
    let mut team = Teamr::start_args(&left, &config, &STAYS);
    for (host, address) in [(&left, "10.0.0.1/24"), (&right, "10.0.0.2/24")] {
        host.up("team0");
        host.address("team0", address);
    }
    wait_until("both ports to carry at both ends", || {
        carries_on_both(&team) && carries_on_both(&partner)
    });
    Ping::run(&left, "10.0.0.2", 3, "");
    let device = left.link("team0")["ifindex"].clone();
    let before = moves(&partner);
    assert!(!before.is_empty(), "the log says nothing of the machines");
    for crashes in [false, true, false, true] {
        let what = if crashes { "killed" } else { "stopped" };
        let streams = streams(&left, &right);
        let sent = || right.statistics("team0")["tx"]["packets"].as_u64();
        let flow = |packets: u64| {
            let until = sent().map(|count| count + packets);
            wait_until("packets to pass", || sent() >= until);
        };
        flow(100);
        let end = now();
        match crashes {
            true => team.crash(),
            false => assert!(team.stop().success()),
        }
        team = Teamr::start_args(&left, &config, &STAYS);
        let back = now();
        flow(500);
        for stream in streams {
            let way = stream.what().to_owned();
            let trace = stream.finish();
            let (lost, (run, outage)) = (trace.lost().len(), trace.longest_outage());
            println!(
                "{} {what}, {way}: {lost} of {} lost, {run} in a row in {outage:.1?}; the daemon \
                 was away for {} ms",
                data_path.name(),
                trace.sent.len(),
                (back - end) / 1_000_000,
            );
            let while_served = match data_path {
                DataPath::Userspace => trace.lost_outside(end - UNDER_WAY, back),
                DataPath::Programs | DataPath::Kernel => trace.lost(),
            };
            assert_eq!(while_served, Vec::<u64>::new(), "{what}, {way}");
        }
        assert!(carries_on_both(&team), "{what}");
        assert_eq!(moves(&partner), before, "{what}: the partner noticed");
        assert_eq!(left.link("team0")["ifindex"], device);
    }
}

#[test]
fn the_relay_comes_back_before_the_partner_notices() {
    restarts_unnoticed(DataPath::Userspace);
}

#[test]
fn programs_go_on_while_the_daemon_is_away() {
    restarts_unnoticed(DataPath::Programs);
}
