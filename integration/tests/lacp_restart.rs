//! lacp through ends and new starts of the daemon: the partner, which asks for a PDU each second,
//! never notices, and no more is lost than what the absent daemon would have moved.

use integration::traffic::{Stream, now};
use integration::{DataPath, Lab, Ping, Sharing, Teamr, TwoTeams, wait_until};
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
    })
}

/// Adds the ports as integrators do while the team runs, with a key that the configuration of the
/// team does not know.
fn add_ports(teamr: &Teamr) {
    for port in LINKS {
        teamr.ask(&format!(
            r#"port config update {port} {{"lacp_key":7,"link_watch":{{"name":"ethtool"}}}}"#
        ));
        teamr.ask(&format!("port add {port}"));
    }
}

/// What the machines of a daemon, which logs at debug level, have done so far.
fn moves(teamr: &Teamr) -> Vec<String> {
    let log = teamr.log();
    let moved = log.lines().filter(|line| line.contains("machine enters"));
    moved.map(str::to_owned).collect()
}

fn streams(hosts: &TwoTeams) -> [Stream; 2] {
    let (there, back) = (hosts.ends(7000), hosts.ends(7001));
    [
        Stream::start(&there[0], &there[1], None, 64),
        Stream::start(&back[1], &back[0], None, 64),
    ]
}

fn restarts_unnoticed(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let (left, right) = (&hosts.left, &hosts.right);
    let config = config(data_path);
    let partner = Teamr::start_args(right, &config, &["-g"]);
    let mut team = Teamr::start_args(left, &config, &STAYS);
    add_ports(&team);
    add_ports(&partner);
    hosts.set_up_teams();
    wait_until("both ports to carry at both ends", || {
        [&team, &partner].map(Teamr::carrying) == [LINKS, LINKS]
    });
    Ping::run(left, "10.0.0.2", 3, "");
    let device = left.link("team0")["ifindex"].clone();
    let before = moves(&partner);
    assert!(!before.is_empty(), "the log says nothing of the machines");
    for crashes in [false, true, false, true] {
        let what = if crashes { "killed" } else { "stopped" };
        let streams = streams(&hosts);
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
        team = Teamr::start_args(left, &config, &STAYS);
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
        assert_eq!(team.carrying(), LINKS, "{what}");
        for port in LINKS {
            let config = team.ask(&format!("port config dump {port}"));
            assert!(config.contains(r#""lacp_key": 7"#), "{what}: {config}");
        }
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
