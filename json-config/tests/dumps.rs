//! Dumps, written defaults and updates by clients, equal to teamd's.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

use json_config::Config;

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes()).unwrap()
}

/// A configuration after the daemon has read all settings.
fn started(text: &str) -> Config {
    let mut config = config(text);
    config.team_settings(0).unwrap();
    let ports: Vec<String> = config.port_names().map(str::to_owned).collect();
    for port in ports {
        config.port_settings(&port).unwrap();
    }
    config
}

const ACTIVEBACKUP: &str = r#"{
    "device": "team0",
    "mcast_rejoin": {
        "count": 1
    },
    "notify_peers": {
        "count": 1
    },
    "ports": {
        "p0": {
            "link_watch": {
                "name": "ethtool"
            }
        },
        "p1": {
            "link_watch": {
                "name": "ethtool"
            },
            "prio": 10
        }
    },
    "runner": {
        "name": "activebackup"
    }
}"#;

#[test]
fn the_dump_of_activebackup_contains_the_written_defaults() {
    let mut config =
        config(r#"{"runner": {"name": "activebackup"}, "ports": {"p0": {}, "p1": {"prio": 10}}}"#);
    config.set_device("team0");
    config.team_settings(0).unwrap();
    config.port_settings("p0").unwrap();
    config.port_settings("p1").unwrap();
    assert_eq!(config.dump(), ACTIVEBACKUP);
    assert_eq!(started(ACTIVEBACKUP).dump(), ACTIVEBACKUP);
}

#[test]
fn the_empty_configuration_becomes_roundrobin() {
    let mut config = Config::empty();
    assert_eq!(config.dump(), "{}");
    assert_eq!(config.runner_name(), "roundrobin");
    config.team_settings(0).unwrap();
    assert_eq!(config.dump(), "{\n    \"runner\": {\n        \"name\": \"roundrobin\"\n    }\n}");
}

#[test]
fn the_dump_of_loadbalance_contains_the_default_hash() {
    let config = started(r#"{"runner": {"name": "loadbalance"}}"#);
    let expected = r#"{
    "runner": {
        "name": "loadbalance",
        "tx_hash": [
            "eth",
            "ipv4",
            "ipv6"
        ]
    }
}"#;
    assert_eq!(config.dump(), expected);
}

#[test]
fn defaults_do_not_overwrite_given_values() {
    let text = r#"{"runner": {"name": "activebackup"}, "notify_peers": {"count": 0, "interval": 5},
        "mcast_rejoin": {"count": "x"}}"#;
    let dump = started(text).dump();
    assert!(dump.contains("\"count\": 0") && dump.contains("\"count\": \"x\""), "{dump}");
}

#[test]
fn the_implicit_watch_is_written_only_without_any_other() {
    let team_watch = r#"{"link_watch": {"name": "ethtool"}, "ports": {"p0": {}}}"#;
    assert_eq!(started(team_watch).dump_port("p0"), "{}");
    let implicit = "{\n    \"link_watch\": {\n        \"name\": \"ethtool\"\n    }\n}";
    let empty = r#"{"link_watch": [], "ports": {"p0": {"link_watch": []}}}"#;
    assert_eq!(started(empty).dump_port("p0"), implicit);
    let mut unconfigured = Config::empty();
    unconfigured.port_settings("eth1.5").unwrap();
    assert_eq!(unconfigured.dump_port("eth1.5"), implicit);
}

#[test]
fn port_names_match_exactly() {
    let text = r#"{"ports": {"eth1.5": {"prio": 42}, "p[0]": {"sticky": true}}}"#;
    let mut config = config(text);
    assert_eq!(config.port_settings("eth1.5").unwrap().prio, 42);
    assert!(config.port_settings("p[0]").unwrap().sticky);
    assert_eq!(config.port_names().collect::<Vec<_>>(), ["eth1.5", "p[0]"]);
}

#[test]
fn the_actual_dump_contains_exactly_the_present_ports() {
    let config = config(r#"{"ports": {"p0": {"prio": 1}, "gone": {}}, "x": 1}"#);
    let expected = "{\n    \"ports\": {\n        \"new\": {},\n        \"p0\": {\n            \
                    \"prio\": 1\n        }\n    },\n    \"x\": 1\n}";
    assert_eq!(config.dump_actual(&["p0", "new"]), expected);
    assert_eq!(config.dump_actual(&[]), "{\n    \"ports\": {},\n    \"x\": 1\n}");
    assert_eq!(Config::empty().dump_actual(&[]), "{}");
    let added = "{\n    \"ports\": {\n        \"p0\": {}\n    }\n}";
    assert_eq!(Config::empty().dump_actual(&["p0"]), added);
    assert!(config.dump().contains("gone"), "the configuration stays as it is");
}

#[test]
fn a_dump_keeps_unknown_keys_and_is_ascii() {
    let dump = config(r#"{"é/": [1.1, 2.0, "😀"], "a": null}"#).dump();
    let expected = "{\n    \"a\": null,\n    \"\\u00E9/\": [\n        1.1000000000000001,\n        \
                    2.0,\n        \"\\uD83D\\uDE00\"\n    ]\n}";
    assert_eq!(dump, expected);
}

#[test]
fn an_update_replaces_the_entry_and_keeps_the_order() {
    let mut config = config(r#"{"ports": {"b": {"prio": 1, "sticky": true}, "a": {}}}"#);
    config.update_port("b", br#"{"prio": 7}"#).unwrap();
    assert_eq!(config.dump_port("b"), "{\n    \"prio\": 7\n}");
    config.update_port("c", b"{}").unwrap();
    assert_eq!(config.port_names().collect::<Vec<_>>(), ["b", "a", "c"]);
    assert_eq!(config.dump_port("c"), "{}");
    assert_eq!(config.dump_port("unknown"), "{}");
}

#[test]
fn a_failed_update_changes_nothing() {
    let before = config(r#"{"ports": {"a": {"prio": 1}}}"#);
    for text in ["[]", "5", "", "{", r#"{"prio": 1, "prio": 2}"#, "\u{0}"] {
        let mut config = before.clone();
        assert!(config.update_port("a", text.as_bytes()).is_err(), "{text}");
        assert_eq!(config, before);
    }
}

#[test]
fn an_update_replaces_ports_that_are_not_an_object() {
    let mut config = config(r#"{"ports": 5}"#);
    assert_eq!(config.port_names().count(), 0);
    assert_eq!(config.dump_actual(&[]), "{\n    \"ports\": {}\n}");
    config.update_port("a", b"{}").unwrap();
    assert_eq!(config.port_names().collect::<Vec<_>>(), ["a"]);
}
