//! `teamrctl set`, `get` and `values` for keys of the running configuration, and `clear statistics`.

use std::fs;

use integration::traffic::now;
use integration::{
    DataPath, HostAndPeer, Lab, Sharing, Teamr, TwoTeams, on_own_data_paths, team_config,
    wait_until,
};
use serde_json::{Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Runs a command of teamrctl and returns its exit status with both outputs.
fn ctl(team: &Teamr, args: &str) -> (Option<i32>, String) {
    let output = team.ctl(args);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn carrying_teams(hosts: &TwoTeams, config: &Value) -> [Teamr; 2] {
    let teams = [&hosts.left, &hosts.right].map(|host| Teamr::start(host, config));
    hosts.set_up_teams();
    wait_until("both ports to carry at both ends", || {
        teams.iter().all(|team| team.carrying() == PORTS)
    });
    teams
}

fn set_changes_only_one_key(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let mut config = team_config("team0", "lacp", data_path, &PORTS);
    // An unknown key of the running configuration does not refuse the change of another key.
    config["colour"] = json!("red");
    let [left, _right] = &carrying_teams(&hosts, &config);
    let get = |key: &str| ctl(left, &format!("get {key}")).1;

    assert_eq!(get("runner.fast_rate"), "false\n");
    let (status, text) = ctl(left, "set runner.fast_rate true");
    let line = "live        runner.fast_rate: absent -> true\n";
    assert_eq!((status, text.as_str()), (Some(0), line));
    assert_eq!(get("runner.fast_rate"), "true\n");
    assert_eq!(left.state()["runner"]["fast_rate"], true);
    assert!(get("").contains("\nports.eth1.lacp_prio: 255\n"), "{}", get(""));
    let described = ctl(left, "-v get runner.fast_period").1;
    assert!(described.contains("integer from 100 to 1000 milliseconds"), "{described}");
    assert_eq!(ctl(left, "values runner.fallback_method").1, "single\nall\n");
    assert!(ctl(left, "values runner.tx_hash").1.contains("\nipv4\n"));

    for (change, reason) in [
        ("runner.fast_period 5", "runner.fast_period: expected integer from 100 to 1000, found 5"),
        ("runner.fast_rate maybe", "runner.fast_rate: expected boolean, found string"),
        ("runner.failback always", "runner.failback: no effect with \"lacp\""),
        ("runner.fast_rat true", "did you mean \"fast_rate\"?"),
        ("runner.sys_prio 7", "the aggregation with the LACP partner is negotiated anew"),
        ("device other", "device: a running team keeps its device"),
        ("ports.eth1 null", "frames on their way to the port that leaves are lost"),
    ] {
        let before = left.ask("config dump");
        let (status, text) = ctl(left, &format!("set {change}"));
        assert_eq!(status, Some(1), "{change}: {text}");
        assert!(text.contains("nothing was changed") && text.contains(reason), "{change}: {text}");
        assert_eq!(left.ask("config dump"), before, "{change}");
    }

    // A value set by `state item set` stays when another key changes, and `save` writes it.
    left.ask("state item set runner.fallback_method all");
    left.ask("port remove eth2");
    left.ask("set runner.fast_rate null");
    assert_eq!(get("runner.fast_rate"), "false\n");
    assert_eq!(left.state()["runner"]["fallback_method"], "all");
    assert_eq!(left.port_up("eth2"), None, "a removed port came back");
    let saved = hosts.left.folder().join("saved.json");
    left.ask(&format!("save {}", saved.display()));
    let saved: Value =
        serde_json::from_str(&fs::read_to_string(saved).expect("a file")).expect("JSON");
    assert_eq!(saved["runner"]["fallback_method"], "all");
    left.ask("set ports.eth2.prio 9");
    assert_eq!(get("ports.eth2.prio"), "9\n");
}

fn clear_statistics_sets_the_counters_to_zero(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let [left, right] = &carrying_teams(&hosts, &team_config("team0", "lacp", data_path, &PORTS));
    let statistics =
        |port: &str| left.state_at_socket()["ports"][port]["runner"]["statistics"].clone();
    for port in PORTS {
        let statistics = statistics(port);
        assert!(statistics["lacpdu_rx_stats"].as_u64() > Some(0), "{statistics}");
        assert!(statistics["lacpdu_tx_stats"].as_u64() > Some(0), "{statistics}");
        assert_eq!(statistics["lacpdu_illegal_pkts"], 0);
        for time in ["last_lacpdu_rx_time", "last_lacpdu_tx_time"] {
            let time = statistics[time].as_str().expect("a time");
            assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 30, "{time}");
        }
    }
    let none = json!({
        "lacpdu_illegal_pkts": 0,
        "lacpdu_rx_stats": 0,
        "lacpdu_tx_stats": 0,
        "last_lacpdu_rx_time": "N/A",
        "last_lacpdu_tx_time": "N/A",
    });
    left.ask("clear statistics port eth1");
    assert_eq!(statistics("eth1"), none);
    assert_ne!(statistics("eth2"), none);
    left.ask("clear statistics");
    assert_eq!(statistics("eth2"), none);
    let (status, text) = ctl(left, "clear statistics port eth9");
    assert_eq!(status, Some(1), "{text}");
    // The partner's next LACPDU counts.
    right.ask("set runner.fast_rate true");
    wait_until("a LACPDU", || statistics("eth1")["lacpdu_rx_stats"].as_u64() > Some(0));
    assert_eq!(left.carrying(), PORTS);
}

/// Checks that `set` refuses each change for the reason next to it.
fn assert_refused(team: &Teamr, changes: &[(&str, &str)]) {
    for (change, reason) in changes {
        let before = team.ask("config dump");
        let (status, text) = ctl(team, &format!("set {change}"));
        assert!(status == Some(1) && text.contains(reason), "{change}: {status:?} {text}");
        assert_eq!(team.ask("config dump"), before, "{change}");
    }
}

fn a_change_that_ends_the_traffic_is_refused(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let mut config = team_config("team0", "lacp", data_path, &PORTS);
    config["runner"]["fast_rate"] = true.into();
    let left = Teamr::start(&hosts.left, &config);
    config["runner"]["active"] = false.into();
    let right = Teamr::start(&hosts.right, &config);
    hosts.set_up_teams();
    wait_until("both ports to carry at both ends", || {
        left.carrying() == PORTS && right.carrying() == PORTS
    });
    assert_refused(
        &left,
        &[
            ("runner null", "the LACP partner receives no more LACPDUs"),
            ("runner.fast_period 100", "the LACP partner sends or expects LACPDUs at the former"),
            ("runner.active false", "the LACP partner is passive, too"),
        ],
    );
    hosts.right.ip("link set dev eth2 down");
    wait_until("one port to carry", || left.carrying() == ["eth1"]);
    let too_few = "fewer than \"min_ports\" ports carry after the change";
    assert_refused(&left, &[("runner.min_ports 2", too_few)]);
    assert_eq!(left.carrying(), ["eth1"]);
}

fn the_plan_asks_a_copy_of_the_team(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let mut config = team_config("team0", "lacp", data_path, &PORTS);
    config["runner"]["fallback"] = true.into();
    let team = Teamr::start(&pair.host, &config);
    pair.host.up("team0");
    wait_until("a port to carry without a partner", || !team.carrying().is_empty());
    let none = "no port carries after the change: the carrier of the team goes down";
    assert_refused(
        &team,
        &[
            ("runner.fallback false", none),
            ("ports.eth9.prio 1", "ports.eth9: the team has no port \"eth9\""),
            ("$schema x", "only editors read the key"),
        ],
    );
    let file = pair.host.folder().join("changed.json");
    let mut reload = |command: &str, change: &dyn Fn(&mut Value)| {
        change(&mut config);
        fs::write(&file, config.to_string()).expect("write a configuration");
        ctl(&team, &format!("{command} {}", file.display())).1
    };
    let text = reload("diff", &|config| config["ports"] = json!({"eth8": {}, "eth9": {}}));
    assert_eq!(text.matches("none of the configured ports exists").count(), 4, "{text}");
    reload("reload", &|config| {
        config["ports"] = json!({"eth1": {"prio": 5}, "eth2": {}});
        config["runner"] = json!({"name": "activebackup"});
    });
    // The active port is the best one, whatever the rule.
    wait_until("the active port", || team.carrying() == ["eth1"]);
    for (change, effect) in [
        ("runner.failback failure", "live "),
        ("ports.eth2.prio 3", "live "),
        ("ports.eth9 {}", "live "),
        ("ports.eth9 null", "live "),
        ("runner.failback null", "live "),
        ("ports.eth2.prio 7", "the active port may change"),
    ] {
        let (_, text) = ctl(&team, &format!("set {change}"));
        assert!(text.contains(effect), "{change}: {text}");
    }
    let text = reload("try --for 60", &|config| config["mcast_rejoin"] = json!({"count": 1}));
    assert!(text.contains("on trial for 60 s"), "{text}");
    let (status, text) = ctl(&team, "set notify_peers.count 2");
    assert!(status == Some(0) && text.contains("lost with the configuration on trial"), "{text}");
    team.ask("keep");
    let begin = now();
    let text = reload("try --for 1 --until sleep${IFS}60", &|_| ());
    assert!(text.contains("did not succeed in 1 s"), "{text}");
    assert!(now() - begin < 30_000_000_000, "the command of --until went on");
}

on_own_data_paths! {
    a_change_that_ends_the_traffic_is_refused
    the_plan_asks_a_copy_of_the_team
    set_changes_only_one_key
    clear_statistics_sets_the_counters_to_zero
}
