//! lacp across restarts of the daemon: the machines of the partner, with Short Timeout, stay in
//! their states, and only frames that need the absent daemon are lost.

use integration::traffic::{Stream, now};
use integration::{DataPath, Lab, Ping, Sharing, Teamr, TwoTeams, wait_until};
use serde_json::{Value, json};

const LINKS: [&str; 2] = ["eth1", "eth2"];
/// Options that leave the device in place at exit and take an existing device over.
const KEEP_DEVICE: [&str; 2] = ["-N", "-o"];
/// Age of frames that the stopping daemon may still hold, in nanoseconds.
const UNDER_WAY: u64 = 10_000_000;

fn config(data_path: DataPath) -> Value {
    json!({
        "device": "team0",
        "data_path": data_path.name(),
        "runner": {"name": "lacp", "fast_rate": true, "tx_hash": ["eth", "ipv4", "udp"]},
    })
}

/// Adds the ports at run time, with a key that the configuration file lacks.
fn add_ports(teamr: &Teamr) {
    for port in LINKS {
        teamr.ask(&format!(
            r#"port config update {port} {{"lacp_key":7,"link_watch":{{"name":"ethtool"}}}}"#
        ));
        teamr.ask(&format!("port add {port}"));
    }
}

/// Returns the log lines about transitions of the machines.
fn transitions(teamr: &Teamr) -> Vec<String> {
    let log = teamr.log();
    let entered = log.lines().filter(|line| line.contains("machine enters"));
    entered.map(str::to_owned).collect()
}

fn streams(hosts: &TwoTeams) -> [Stream; 2] {
    let (there, back) = (hosts.ends(7000), hosts.ends(7001));
    [
        Stream::start(&there[0], &there[1], None, 64),
        Stream::start(&back[1], &back[0], None, 64),
    ]
}

/// Asserts that the stream lost no frame that did not need the daemon, which was absent between the
/// two times in nanoseconds.
fn assert_loses_only_in_absence(
    stream: Stream,
    data_path: DataPath,
    what: &str,
    (end, back): (u64, u64),
) {
    let way = stream.what().to_owned();
    let trace = stream.finish();
    let (lost, (run, outage)) = (trace.lost().len(), trace.longest_outage());
    println!(
        "{} {what}, {way}: {lost} of {} lost, {run} in a row in {outage:.1?}; the daemon was away \
         for {} ms",
        data_path.name(),
        trace.sent.len(),
        (back - end) / 1_000_000,
    );
    let unexpected = match data_path {
        DataPath::Userspace => trace.lost_outside(end - UNDER_WAY, back),
        DataPath::Programs | DataPath::Kernel => trace.lost(),
    };
    assert_eq!(unexpected, Vec::<u64>::new(), "{what}, {way}");
}

fn assert_restarts_keep_the_aggregation(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let (left, right) = (&hosts.left, &hosts.right);
    let config = config(data_path);
    let partner = Teamr::start_args(right, &config, &["-g"]);
    let mut team = Teamr::start_args(left, &config, &KEEP_DEVICE);
    add_ports(&team);
    add_ports(&partner);
    hosts.set_up_teams();
    wait_until("both ports to carry at both ends", || {
        [&team, &partner].map(Teamr::carrying) == [LINKS, LINKS]
    });
    Ping::run(left, "10.0.0.2", 3, "");
    let device = left.link("team0")["ifindex"].clone();
    let before = transitions(&partner);
    assert!(!before.is_empty(), "the log has no transitions");
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
        team = Teamr::start_args(left, &config, &KEEP_DEVICE);
        let back = now();
        flow(500);
        for stream in streams {
            assert_loses_only_in_absence(stream, data_path, what, (end, back));
        }
        assert_eq!(team.carrying(), LINKS, "{what}");
        for port in LINKS {
            let config = team.ask(&format!("port config dump {port}"));
            assert!(config.contains(r#""lacp_key": 7"#), "{what}: {config}");
        }
        assert_eq!(
            transitions(&partner),
            before,
            "{what}: transitions of the partner"
        );
        assert_eq!(left.link("team0")["ifindex"], device);
    }
}

#[test]
fn the_relay_restarts_before_the_partner_times_out() {
    assert_restarts_keep_the_aggregation(DataPath::Userspace);
}

#[test]
fn programs_forward_while_the_daemon_restarts() {
    assert_restarts_keep_the_aggregation(DataPath::Programs);
}
