//! Settings of lacp that change at run time: they take effect without an interruption.

use integration::{DataPath, Lab, Sharing, Teamr, TwoTeams, wait_until};
use serde_json::{Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Returns the log lines about changes of carriers and port states.
fn changes(team: &Teamr) -> Vec<String> {
    let log = team.log();
    let lines = log.lines().filter(|line| line.contains("hanged"));
    lines.map(str::to_owned).collect()
}

fn settings(team: &Teamr) -> Value {
    team.state_at_socket()["runner"].clone()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one timeline")]
fn new_settings_take_effect_without_a_flap() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let config = json!({
        "device": "team0",
        "data_path": DataPath::Userspace.name(),
        "runner": {"name": "lacp"},
        "ports": {"eth1": {}, "eth2": {}},
    });
    let teams = [&hosts.left, &hosts.right].map(|host| {
        let team = Teamr::start(host, &config);
        host.up("team0");
        team
    });
    let [left, right] = &teams;
    wait_until("both ports to carry at both ends", || {
        teams.each_ref().map(Teamr::carrying) == [PORTS, PORTS]
    });
    let before = teams.each_ref().map(changes);

    for (item, value) in [
        ("min_ports", json!(2)),
        ("fast_rate", json!(true)),
        ("fallback", json!(true)),
        ("select_policy", json!("bandwidth")),
        ("retry_count", json!(5)),
    ] {
        let text = value.as_str().map_or(value.to_string(), str::to_owned);
        left.ask(&format!("state item set runner.{item} {text}"));
        assert_eq!(settings(left)[item], value, "{item}");
        assert_eq!(left.carrying().len(), 2, "{item}");
    }
    let short_timeout = |team: &Teamr| {
        let state = team.state_at_socket();
        PORTS.map(|port| state["ports"][port]["teamr"]["lacp"]["partner"]["timeout"] == true)
    };
    wait_until("the partner to receive fast_rate", || short_timeout(right) == [true; 2]);
    let retry_count = |team: &Teamr| {
        let state = team.state_at_socket();
        PORTS.map(|port| state["ports"][port]["runner"]["partner_retry_count"] == 5)
    };
    wait_until("the partner to receive retry_count", || retry_count(right) == [true; 2]);
    assert_eq!(teams.each_ref().map(changes), before);

    for bad in [
        "min_ports 0",
        "min_ports many",
        "fast_rate perhaps",
        "sys_prio 65536",
        "select_policy best",
        "retry_count 2",
        "active false",
    ] {
        let known = settings(left);
        let answer = left.ctl(&format!("state item set runner.{bad}"));
        assert_eq!(answer.status.code(), Some(1), "{bad}");
        assert_eq!(settings(left), known, "{bad}");
    }
    let refused = left.ctl("state item set runner.sys_prio 70000");
    let reason = "expected 0 to 65535, found \"70000\"";
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains(reason), "{said}");
    let line = format!("runner.sys_prio: {reason}.");
    assert!(left.log().contains(&line), "{}", left.log());
    left.ask("port config update eth1 {\"lacp_prio\":\"high\",\"colour\":1}");
    for warning in ["lacp_prio: expected integer, found string", "colour: unknown key"] {
        assert!(left.log().contains(&format!("ports.eth1.{warning}")), "{}", left.log());
    }

    let carrier = |up| (hosts.left.link("team0")["operstate"] == "UP") == up;
    left.ask("state item set runner.min_ports 3");
    wait_until("too few ports", || carrier(false));
    left.ask("state item set runner.min_ports 1");
    wait_until("enough ports", || carrier(true));

    // A new system priority makes the partner select anew; both ends carry again at once.
    left.ask("state item set runner.sys_prio 7");
    let sys_prio = |team: &Teamr| {
        let state = team.state_at_socket();
        PORTS.map(|port| {
            state["ports"][port]["runner"]["partner_lacpdu_info"]["system_priority"] == 7
        })
    };
    wait_until("the partner to receive sys_prio", || {
        sys_prio(right) == [true; 2] && teams.each_ref().map(Teamr::carrying) == [PORTS, PORTS]
    });
}
