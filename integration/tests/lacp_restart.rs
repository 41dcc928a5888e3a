//! lacp across restarts of the daemon: the machines of the partner, with Short Timeout, stay in
//! their states, and only frames that need the absent daemon are lost.

use std::fs;

use integration::traffic::{Pace, Stream, now};
use integration::{DataPath, Lab, Namespace, Ping, Sharing, Teamr, TwoTeams, wait_until};
use serde_json::{Value, json};

const LINKS: [&str; 2] = ["eth1", "eth2"];
/// Options that leave the device in place at exit and take an existing device over.
const KEEP_DEVICE: [&str; 2] = ["-N", "-o"];
/// Flows in each direction, enough for both links.
const FLOWS: u16 = 8;
/// Changes of the data path at each end.
const CHANGES: usize = 6;
/// Age of frames that the stopping daemon may still hold, in nanoseconds: a busy machine lets a daemon
/// wait for a processor.
const UNDER_WAY: u64 = 50_000_000;

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
    [Stream::start(&there[0], &there[1], None, 64), Stream::start(&back[1], &back[0], None, 64)]
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
        DataPath::Userspace => {
            let under_way = trace.lost_outside(end, u64::MAX);
            let is_run = under_way.windows(2).all(|pair| pair[1] == pair[0] + 1);
            assert!(is_run, "{what}, {way}: lost before the end: {under_way:?}");
            trace.lost_outside(end - UNDER_WAY, back)
        }
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
        assert_eq!(transitions(&partner), before, "{what}: transitions of the partner");
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

/// Programs and relay take each other's place, at both ends in turn, and no frame of either direction
/// is lost on either link; the plan says so. In the moment of a change both carry: one packet of each
/// stream may come twice.
#[test]
fn data_paths_change_under_an_aggregation() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let config = |data_path| {
        let mut config = config(data_path);
        config["ports"] = json!({"eth1": {}, "eth2": {}});
        config["link_watch"] = json!({"name": "ethtool"});
        config
    };
    let started = config(DataPath::Programs);
    let teams = [&hosts.left, &hosts.right].map(|host| Teamr::start_args(host, &started, &["-g"]));
    teams.iter().for_each(Teamr::take_precedence);
    hosts.set_up_teams();
    wait_until("both ports to carry at both ends", || {
        teams.each_ref().map(Teamr::carrying) == [LINKS, LINKS]
    });
    Ping::run(&hosts.left, "10.0.0.2", 3, "");
    let before = teams.each_ref().map(transitions);
    let streams: Vec<Stream> = (0..FLOWS)
        .flat_map(|flow| {
            let [left, right] = hosts.ends(7000 + flow);
            let there = Stream::start_at(Pace::Steady, &left, &right, None, 64);
            let [left, right] = hosts.ends(8000 + flow);
            [there, Stream::start_at(Pace::Steady, &right, &left, None, 64)]
        })
        .collect();
    let sent = |host: &Namespace, link: &str| host.statistics(link)["tx"]["packets"].as_u64();
    let ends = [&hosts.left, &hosts.right].map(|host| LINKS.map(|link| (host, link)));
    let flow = || {
        let until = ends.as_flattened().iter().map(|(host, link)| Some(sent(host, link)? + 100));
        let until: Vec<Option<u64>> = until.collect();
        wait_until("packets to pass in both directions on both links", || {
            let now = ends.as_flattened().iter().map(|(host, link)| sent(host, link));
            now.zip(&until).all(|(now, until)| now >= *until)
        });
    };
    for data_path in [DataPath::Userspace, DataPath::Programs].repeat(CHANGES / 2) {
        let file = lab.folder().join("changed.json");
        fs::write(&file, config(data_path).to_string()).expect("write a configuration");
        for team in &teams {
            let plan = team.ask(&format!("diff {}", file.display()));
            let changes: Vec<&str> = plan.lines().collect();
            assert!(
                matches!(changes[..], [change] if change.starts_with("live        data_path: "))
            );
            team.ask(&format!("reload {}", file.display()));
            assert_eq!(team.state()["teamr"]["data_path"], data_path.name());
            flow();
        }
    }
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        assert_eq!(trace.lost(), Vec::<u64>::new(), "{what}, of {}", trace.sent.len());
        let twice = trace.duplicated();
        assert!(twice <= CHANGES * teams.len(), "{what}: {twice} packets came twice");
    }
    assert_eq!(teams.each_ref().map(transitions), before, "transitions of the machines");
}
