//! The answers of the commands that both clients have: views, dumps, JSON, several teams.

use super::*;

#[test]
fn the_view_is_teamdctls_byte_for_byte() {
    for (state, plain, verbose) in [
        (
            ACTIVEBACKUP,
            include_str!("../view/activebackup.txt"),
            include_str!("../view/activebackup-verbose.txt"),
        ),
        (LACP, include_str!("../view/lacp.txt"), include_str!("../view/lacp-verbose.txt")),
    ] {
        let run_dir = RunDir::new("view");
        let _requests = run_dir.team("lo", state);
        run_dir.teamdctl(&["lo", "state"]).shows(plain);
        run_dir.teamdctl(&["lo", "s", "-v", "v"]).shows(verbose);
        run_dir.teamrctl(&["lo", "state", "view", "-v"]).shows(verbose);
        run_dir.teamrctl(&["state"]).shows(plain);
    }
}

/// teamrctl adds the items that teamd lacks; teamdctl does not.
#[test]
fn teamrctl_adds_a_table_to_the_verbose_view_of_lacp() {
    let run_dir = RunDir::new("table");
    let _requests = run_dir.team("lo", include_str!("../view/lacp-own.json"));
    let teamdctls = run_dir.teamdctl(&["lo", "state", "-v"]).out;
    assert!(teamdctls.ends_with("  system priority: 65535\n"), "{teamdctls}");
    let table = include_str!("../view/lacp-own-table.txt");
    let (mode, own) = ("kernel team mode: loadbalance", "data path: relay");
    run_dir.teamrctl(&["state", "-v"]).shows(&(teamdctls.replace(mode, own) + table));
    assert!(!run_dir.teamrctl(&["state"]).out.contains("machine"));
}

/// The kernel's team mode is no fact of a team without the driver.
#[test]
fn the_verbose_view_of_teamrctl_names_the_data_path_and_the_refused_ones() {
    let run_dir = RunDir::new("path");
    let mut state: Value = serde_json::from_str(ACTIVEBACKUP).unwrap();
    state["teamr"] = json!({
        "data_path": "relay",
        "data_path_refused": {"kernel": "Unknown error", "programs": "Operation not permitted"},
    });
    let _requests = run_dir.team("lo", &state.to_string());
    let teamdctls = include_str!("../view/activebackup-verbose.txt");
    run_dir.teamdctl(&["lo", "state", "-v"]).shows(teamdctls);
    let own = "  data path: relay\n  kernel refused: Unknown error\n  \
               programs refused: Operation not permitted\n";
    let mode = "  kernel team mode: activebackup\n";
    run_dir.teamrctl(&["state", "-v"]).shows(&teamdctls.replace(mode, own));
    assert!(teamdctls.contains(mode));
    run_dir.teamrctl(&["state"]).shows(include_str!("../view/activebackup.txt"));
}

#[test]
fn a_missing_item_ends_the_view() {
    let run_dir = RunDir::new("lack");
    let _requests = run_dir.team("lo", r#"{"setup": {"runner_name": "lacp"}}"#);
    let answer = run_dir.teamdctl(&["lo", "state"]);
    assert_eq!(answer.out, "setup:\n");
    answer.fails("Failed to parse JSON setup dump.\ncommand call failed (Invalid argument)\n");
}

/// A later daemon may have items that this client does not know.
#[test]
fn dumps_keep_unknown_items() {
    let run_dir = RunDir::new("unknown");
    let mut state: Value = serde_json::from_str(ACTIVEBACKUP).unwrap();
    state["teamr"] = json!({"later": {"item": 1}});
    let _requests = run_dir.team("team0", &state.to_string());
    let dump = run_dir.teamrctl(&["state", "dump"]).out;
    assert_eq!(serde_json::from_str::<Value>(&dump).unwrap(), state);
    run_dir.teamrctl(&["--json", "state", "item", "get", "teamr.later.item"]).shows("1\n");
    run_dir.teamrctl(&["state"]).shows(include_str!("../view/activebackup.txt"));
}

#[test]
fn dumps_are_printed_as_teamd_prints_them() {
    let run_dir = RunDir::new("dumps");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let config = "{\n    \"device\": \"team0\",\n    \"ports\": {\n        \"p0\": {}\n    },\n    \
                  \"runner\": {\n        \"name\": \"\\u00E9\"\n    }\n}\n";
    run_dir.teamrctl(&["team0", "config", "dump"]).shows(config);
    run_dir.teamrctl(&["config", "dump", "actual"]).shows(config);
    run_dir
        .teamrctl(&["-o", "c", "d", "n"])
        .shows("{\"device\": \"team0\", \"runner\": {\"name\": \"\\u00E9\"}}\n");
    run_dir
        .teamrctl(&["-o", "team0", "port", "config", "dump", "p0"])
        .shows("{\"a\": [1, 2], \"b\": 1}\n");
    run_dir.teamrctl(&["state", "item", "get", "setup.pid"]).shows("713\n");
}

#[test]
fn every_query_answers_as_json() {
    let run_dir = RunDir::new("json");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let json = |args: &[&str]| {
        let answer = run_dir.teamrctl(&[&["--json"], args].concat());
        assert_eq!(answer.err, "", "{args:?}");
        let value: Value = serde_json::from_str(&answer.out).unwrap();
        (value, answer.status)
    };
    let state: Value = serde_json::from_str(ACTIVEBACKUP).unwrap();
    assert_eq!(json(&["state"]), (state.clone(), 0));
    assert_eq!(json(&["state", "dump"]), (state, 0));
    assert_eq!(json(&["state", "item", "get", "setup.pid"]), (json!(713), 0));
    assert_eq!(json(&["state", "item", "get", "runner.active_port"]), (json!("p10"), 0));
    assert_eq!(json(&["port", "present", "p2"]), (json!(true), 0));
    assert_eq!(json(&["port", "present", "p"]), (json!(false), 1));
    assert_eq!(json(&["config", "dump"]).0["device"], "team0");
    assert_eq!(json(&["port", "config", "dump", "p0"]).0["b"], 1);
}

#[test]
fn several_teams_answer_under_their_names() {
    let run_dir = RunDir::new("several");
    let _a = run_dir.team("team0", ACTIVEBACKUP);
    let _b = run_dir.team("team1", LACP);
    run_dir
        .teamrctl(&["state", "item", "get", "setup.runner_name"])
        .shows("team0:\n  activebackup\nteam1:\n  lacp\n");
    run_dir.teamrctl(&["state"]).shows(
        "TEAM   STATE     RUNNER        PORTS\n\
         team0  degraded  activebackup  1 of 2  p2: no link\n\
         team1  ok        lacp          1 of 1\n",
    );
    let view = run_dir.teamrctl(&["state", "view"]).out;
    assert!(view.starts_with("team0:\n  setup:\n    runner: activebackup\n"), "{view}");
    assert!(view.contains("\nteam1:\n  setup:\n    runner: lacp\n"), "{view}");
    let dumps: Value = serde_json::from_str(&run_dir.teamrctl(&["state", "--json"]).out).unwrap();
    assert_eq!(dumps["team1"]["setup"]["runner_name"], "lacp");
    run_dir.teamrctl(&["port", "remove", "p0"]).fails(
        "Several teams are running (team0, team1); \"port remove p0\" needs one of them.\n\
         Name it: teamrctl team0 port remove p0\n",
    );
    run_dir.teamrctl(&["team1", "port", "remove", "p0"]).shows("");
}

#[test]
fn a_team_named_like_a_command_is_a_team() {
    let run_dir = RunDir::new("named");
    let _requests = run_dir.team("state", LACP);
    let alone = run_dir.teamrctl(&["state"]);
    assert!(alone.err.starts_with("None or incomplete command"), "{alone:?}");
    run_dir.teamrctl(&["state", "state", "item", "get", "runner.active"]).shows("true\n");
}

#[test]
fn requests_have_the_typed_arguments() {
    let run_dir = RunDir::new("carry");
    let requests = run_dir.team("lo", LACP);
    let update = ["lo", "port", "config", "update", "p0", "{\n\"a\": \"\\\\\"}"];
    run_dir.teamdctl(&update).shows("");
    run_dir.teamrctl(&["lo", "state", "item", "set", "a.b", "--", "-1"]).shows("");
    let requests: Vec<_> =
        requests.try_iter().filter(|(method, _)| method != "ConfigDump").collect();
    let update = update[4..].iter().map(|&arg| arg.to_owned()).collect();
    let set = vec!["a.b".to_owned(), "-1".to_owned()];
    assert_eq!(
        requests,
        [("PortConfigUpdate".to_owned(), update), ("StateItemValueSet".to_owned(), set)]
    );
}

#[test]
fn the_table_of_many_lacp_ports_fits_a_terminal() {
    let run_dir = RunDir::new("ports");
    let mut state: Value = serde_json::from_str(include_str!("../view/lacp-own.json")).unwrap();
    for number in 3..=8 {
        state["ports"][format!("eth{number}")] = state["ports"]["eth1"].clone();
    }
    let _requests = run_dir.team("lo", &state.to_string());
    let text = run_dir.teamrctl(&["state", "-v"]).out;
    let (_, table) = text.split_once("\nlacp:\n").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| !line.contains("does not carry")).collect();
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{table}");
    let heads: String =
        rows.iter().filter(|row| row.contains("actor / partner")).copied().collect();
    assert!((1..=8).all(|number| heads.contains(&format!("eth{number}"))), "{heads}");
}
