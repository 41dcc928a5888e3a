//! The doctor names the cause of each broken set-up first, and finds nothing wrong with good ones.
//!
//! A set-up is given as the facts that teamrctl would read. `integration/tests/plain_switch/doctor.rs`
//! builds some of them in namespaces.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use teamr::doctor::{CardFacts, DeviceFacts, Facts, Weight, diagnose, diagnose_config};
use teamr::state::{Part, State};

/// Returns the facts of a team of eth1 and eth2 without a fault: in use, on a switch that does what
/// the runner needs, after probes.
fn healthy_team(runner: &str) -> Facts {
    let together = ["activebackup", "slb"].contains(&runner);
    let port = |other: &str| {
        let mut port = json!({
            "link": {"up": true, "speed": 1000, "duplex": "full"},
            "link_watches": {
                "up": true,
                "list": {"link_watch_0": {"name": "ethtool", "up": true, "down_count": 0}},
            },
            "teamr": {
                "allowed": true,
                "enabled": true,
                "probed": true,
                "probe_heard_at": if together { other } else { "" },
                "rx_missed": 0,
                "tx_dropped": 0,
            },
        });
        if runner == "lacp" {
            port["runner"] = json!({
                "selected": true,
                "partner_lacpdu_info": {"system": "02:00:00:00:00:aa"},
            });
        }
        port
    };
    let mut state = json!({
        "ports": {"eth1": port("eth2"), "eth2": port("eth1")},
        "teamr": {"resyncs": 0},
    });
    if runner == "activebackup" {
        state["runner"] = json!({"active_port": "eth1"});
    }
    let card = |number: u32| CardFacts {
        mtu: Some(1500),
        card: Some(format!("0000:0{number}:00")),
        numa_node: Some(i64::from(number) - 1),
        lower: None,
    };
    Facts {
        config: json!({
            "device": "team0",
            "runner": {"name": runner},
            "link_watch": {"name": "ethtool", "delay_up": 100},
            "ports": {"eth1": {}, "eth2": {}},
        }),
        complaints: Vec::new(),
        state: State::read(&state),
        device: Some(DeviceFacts {
            up: true,
            used: true,
            mtu: Some(1500),
            numa_nodes: 2,
            ..DeviceFacts::default()
        }),
        cards: BTreeMap::from([("eth1".into(), card(1)), ("eth2".into(), card(2))]),
    }
}

fn set(facts: &mut Facts, path: &str, value: Value) {
    let mut state = facts.state.as_ref().expect("a state").to_json();
    *state.pointer_mut(path).expect("a path of the state") = value;
    facts.state = State::read(&state);
}

fn configure(facts: &mut Facts, path: &str, value: Value) {
    let (parent, key) = path.rsplit_once('/').expect("a path");
    facts.config.pointer_mut(parent).expect("its parent")[key] = value;
}

fn heard(facts: &mut Facts) {
    set(facts, "/ports/eth1/teamr/probe_heard_at", "eth2".into());
    set(facts, "/ports/eth2/teamr/probe_heard_at", "eth1".into());
}

fn unheard(facts: &mut Facts) {
    for port in ["eth1", "eth2"] {
        set(
            facts,
            &format!("/ports/{port}/teamr/probe_heard_at"),
            "".into(),
        );
    }
}

fn bridge(facts: &mut Facts) {
    let device = facts.device.as_mut().expect("a device");
    device.bridged = true;
    device.master = Some("br0".into());
}

fn device(facts: &mut Facts) -> &mut DeviceFacts {
    facts.device.as_mut().expect("a device")
}

fn card<'a>(facts: &'a mut Facts, port: &str) -> &'a mut CardFacts {
    facts.cards.get_mut(port).expect("a card")
}

fn watch(facts: &mut Facts, port: &str, name: &str, up: bool) {
    set(facts, &format!("/ports/{port}/link_watches/up"), up.into());
    let list = format!("/ports/{port}/link_watches/list");
    set(
        facts,
        &list,
        json!({"link_watch_0": {"name": name, "up": up, "down_count": 1}}),
    );
}

fn partner(facts: &mut Facts, port: &str, system: &str) {
    let path = format!("/ports/{port}/runner/partner_lacpdu_info/system");
    set(facts, &path, system.into());
}

/// A change of a team without a fault.
type Damage = fn(&mut Facts);

#[test]
fn the_first_line_names_the_cause() {
    const NOBODY: &str = "00:00:00:00:00:00";
    let broken: &[(&str, &str, Damage)] = &[
        ("plain-switch", "roundrobin", heard),
        ("plain-switch", "random", heard),
        ("plain-switch", "loadbalance", heard),
        ("guests-on-plain-switch", "roundrobin", |facts| {
            heard(facts);
            bridge(facts);
        }),
        ("guests-on-plain-switch", "loadbalance", |facts| {
            heard(facts);
            bridge(facts);
        }),
        ("plain-switch", "lacp", |facts| {
            heard(facts);
            partner(facts, "eth1", NOBODY);
            partner(facts, "eth2", NOBODY);
        }),
        ("own-addresses-return", "activebackup", |facts| {
            bridge(facts);
            device(facts).wandering = vec!["02:00:00:00:00:01".into()];
        }),
        ("lacp-no-partner", "lacp", |facts| {
            partner(facts, "eth1", NOBODY);
            partner(facts, "eth2", NOBODY);
        }),
        ("lacp-no-partner", "lacp", |facts| {
            partner(facts, "eth2", NOBODY)
        }),
        ("lacp-partners-unlike", "lacp", |facts| {
            partner(facts, "eth2", "02:00:00:00:00:bb");
        }),
        ("lacp-not-selected", "lacp", |facts| {
            set(facts, "/ports/eth2/runner/selected", false.into());
        }),
        ("broadcast-one-network", "broadcast", heard),
        ("separate-networks", "activebackup", unheard),
        ("separate-networks", "slb", unheard),
        ("network-loop", "activebackup", |facts| {
            set(
                facts,
                "/ports/eth1/teamr/probe_heard_at",
                "eth1 eth2".into(),
            );
        }),
        ("device-down", "activebackup", |facts| {
            device(facts).up = false
        }),
        ("port-missing", "activebackup", |facts| {
            configure(facts, "/ports/eth3", json!({}));
        }),
        ("port-forbidden", "loadbalance", |facts| {
            set(facts, "/ports/eth2/teamr/allowed", false.into());
        }),
        ("port-without-link", "activebackup", |facts| {
            set(facts, "/ports/eth2/link/up", false.into());
            watch(facts, "eth2", "ethtool", false);
        }),
        ("no-link", "loadbalance", |facts| {
            for port in ["eth1", "eth2"] {
                set(facts, &format!("/ports/{port}/link/up"), false.into());
                watch(facts, port, "ethtool", false);
            }
        }),
        ("watch-unanswered", "activebackup", |facts| {
            watch(facts, "eth1", "arp_ping", false);
        }),
        ("watch-unanswered", "loadbalance", |facts| {
            watch(facts, "eth2", "nsna_ping", false);
        }),
        ("min-ports-too-many", "loadbalance", |facts| {
            configure(facts, "/runner/min_ports", 3.into());
        }),
        ("half-duplex", "loadbalance", |facts| {
            set(facts, "/ports/eth2/link/duplex", "half".into());
        }),
        ("speed-unlike", "roundrobin", |facts| {
            set(facts, "/ports/eth2/link/speed", 100.into());
        }),
        ("mtu-unlike", "activebackup", |facts| {
            card(facts, "eth2").mtu = Some(9000);
        }),
        ("link-flaps", "activebackup", |facts| {
            let path = "/ports/eth2/link_watches/list/link_watch_0/down_count";
            set(facts, path, 40.into());
        }),
        ("no-ports", "activebackup", |facts| {
            facts.config["ports"] = json!({});
            set(facts, "/ports", json!({}));
            facts.cards.clear();
        }),
        ("hash-of-nothing", "loadbalance", |facts| {
            configure(facts, "/runner/tx_hash", json!([]));
        }),
        ("one-lower", "activebackup", |facts| {
            card(facts, "eth1").lower = Some("enp1s0".into());
            card(facts, "eth2").lower = Some("enp1s0".into());
        }),
        ("config-mistake", "activebackup", |facts| {
            facts.complaints.push("1:3: runer: unknown key".into());
        }),
    ];
    assert!(broken.len() >= 25);
    for (id, runner, damage) in broken {
        let mut facts = healthy_team(runner);
        damage(&mut facts);
        let findings = diagnose(&facts);
        let first = findings
            .first()
            .unwrap_or_else(|| panic!("{id}: nothing found"));
        assert_eq!(first.weight, Weight::Problem, "{id}");
        let ids: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
        assert_eq!(first.id, *id, "{runner}: {ids:?}");
        let line = first.to_string();
        assert!(
            line.starts_with("problem: ") && line.contains("\n    "),
            "{line}"
        );
        for sentence in [&first.cause, &first.cure] {
            assert!(
                sentence.ends_with('.') && sentence.len() < 200,
                "{sentence}"
            );
        }
    }
}

#[test]
fn a_possible_improvement_is_a_notice() {
    let poor: &[(&str, &str, Damage)] = &[
        ("one-port", "activebackup", |facts| {
            facts.config["ports"] = json!({"eth1": {}});
            let ports = facts.state.as_mut().and_then(|state| state.ports.as_mut());
            ports.expect("ports").0.retain(|(name, _)| name == "eth1");
        }),
        ("hash-by-address", "loadbalance", |facts| {
            configure(facts, "/runner/tx_hash", json!(["eth"]));
        }),
        ("no-delay-up", "slb", |facts| {
            facts.config["link_watch"] = json!({"name": "ethtool"});
        }),
        ("one-card", "loadbalance", |facts| {
            card(facts, "eth2").card = card(facts, "eth1").card.clone();
        }),
        ("one-numa-node", "loadbalance", |facts| {
            card(facts, "eth2").numa_node = Some(0);
        }),
        ("device-unused", "loadbalance", |facts| {
            device(facts).used = false
        }),
        ("link-delayed", "activebackup", |facts| {
            watch(facts, "eth2", "ethtool", false);
        }),
        ("speed-unlike", "activebackup", |facts| {
            set(facts, "/ports/eth2/link/speed", 100.into());
        }),
        ("frames-missed", "loadbalance", |facts| {
            set(facts, "/ports/eth2/teamr/rx_missed", 9.into());
        }),
        ("frames-dropped", "loadbalance", |facts| {
            set(facts, "/ports/eth2/teamr/tx_dropped", 9.into());
        }),
        ("events-lost", "loadbalance", |facts| {
            set(facts, "/teamr/resyncs", 1.into());
        }),
        ("active-by-hand", "activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
        }),
    ];
    for (id, runner, damage) in poor {
        let mut facts = healthy_team(runner);
        damage(&mut facts);
        let findings = diagnose(&facts);
        let ids: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
        assert_eq!(ids, [*id], "{runner}");
        assert_eq!(findings[0].weight, Weight::Notice, "{id}");
    }
}

#[test]
fn a_healthy_team_has_no_findings() {
    let healthy: &[(&str, Damage)] = &[
        ("activebackup", |_| {}),
        ("slb", |_| {}),
        ("slb", bridge),
        ("activebackup", bridge),
        ("roundrobin", |_| {}),
        ("random", |_| {}),
        ("loadbalance", bridge),
        ("broadcast", |_| {}),
        ("lacp", |_| {}),
        ("lacp", |facts| {
            configure(facts, "/runner/tx_hash", json!(["eth", "l3", "l4"]));
        }),
        // An older daemon without probes, on virtual ports of unknown speed.
        ("loadbalance", |facts| {
            for port in ["eth1", "eth2"] {
                set(facts, &format!("/ports/{port}/teamr"), json!({}));
                set(facts, &format!("/ports/{port}/link/speed"), 0.into());
                set(facts, &format!("/ports/{port}/link/duplex"), "half".into());
                *card(facts, port) = CardFacts::default();
            }
        }),
        // The active port has the lower prio and is sticky.
        ("activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
            configure(facts, "/ports/eth1/sticky", true.into());
        }),
    ];
    assert!(healthy.len() >= 10);
    for (runner, change) in healthy {
        let mut facts = healthy_team(runner);
        change(&mut facts);
        assert_eq!(diagnose(&facts), [], "{runner}");
    }
}

#[test]
fn a_configuration_is_examined_before_it_is_used() {
    let mut facts = Facts {
        state: None,
        device: None,
        ..healthy_team("loadbalance")
    };
    assert_eq!(diagnose_config(&facts), []);
    configure(&mut facts, "/runner/min_ports", 5.into());
    let ids: Vec<&str> = diagnose_config(&facts)
        .iter()
        .map(|finding| finding.id)
        .collect();
    assert_eq!(ids, ["min-ports-too-many"]);
}
