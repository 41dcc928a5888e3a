//! The doctor names the cause of each broken set-up first, and finds nothing wrong with good ones.
//!
//! A set-up is given as the facts that teamrctl would read. `integration/tests/plain_switch/doctor.rs`
//! builds some of them in namespaces.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use teamr::doctor::{
    BridgePortFacts, CardFacts, DeviceFacts, Facts, Weight, diagnose, diagnose_bond,
    diagnose_config,
};
use teamr::state::{Part, State};

/// Returns the state of a port whose probes the port `other` receives if the runner needs that.
fn port(runner: &str, other: &str) -> Value {
    let together = ["activebackup", "slb"].contains(&runner);
    let mut port = json!({
        "link": {"up": true, "speed": 1000, "duplex": "full"},
        "link_watches": {
            "up": true,
            "list": {"link_watch_0": {"name": "ethtool", "up": true, "down_count": 0}},
        },
        "teamr": {
            "allowed": true,
            "enabled": true,
            "hwaddr_refused": false,
            "probed": true,
            "probe_heard_at": if together { other } else { "" },
            "rx_missed": 0,
            "tx_dropped": 0,
        },
    });
    if runner == "lacp" {
        port["runner"] = json!({
            "selected": true,
            "key": 0,
            "state": "current",
            "aggregator": {"id": 1, "selected": true},
            "partner_lacpdu_info": {"system": "02:00:00:00:00:aa", "key": 1},
        });
        port["teamr"]["lacp"] = json!({"pdus": {"heard_ago": 800}});
    }
    port
}

/// Returns the facts of a team of eth1 and eth2 without a fault: in use, on a switch that does what
/// the runner needs, after probes.
fn healthy_team(runner: &str) -> Facts {
    let mut state = json!({
        "ports": {"eth1": port(runner, "eth2"), "eth2": port(runner, "eth1")},
        "teamr": {"resyncs": 0, "hooks_restored": 0},
    });
    match runner {
        "activebackup" => state["runner"] = json!({"active_port": "eth1"}),
        "lacp" => state["runner"] = json!({"fast_rate": true}),
        _ => {}
    }
    let card = |number: u32| CardFacts {
        mtu: Some(1500),
        card: Some(format!("0000:0{number}:00")),
        numa_node: Some(i64::from(number) - 1),
        ..CardFacts::default()
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
        unmonitored: false,
    }
}

fn set(facts: &mut Facts, path: &str, value: Value) {
    let mut state = facts.state.as_ref().expect("a state").to_json();
    let (parent, key) = path.rsplit_once('/').expect("a path");
    state.pointer_mut(parent).expect("a path of the state")[key] = value;
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
        set(facts, &format!("/ports/{port}/teamr/probe_heard_at"), "".into());
    }
}

fn bridge(facts: &mut Facts) {
    let device = facts.device.as_mut().expect("a device");
    device.bridge_port = Some(BridgePortFacts::default());
    device.master = Some("br0".into());
}

fn bridge_port(facts: &mut Facts) -> &mut BridgePortFacts {
    bridge(facts);
    device(facts).bridge_port.as_mut().expect("a bridge")
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
    set(facts, &list, json!({"link_watch_0": {"name": name, "up": up, "down_count": 1}}));
}

fn partner(facts: &mut Facts, port: &str, system: &str) {
    let path = format!("/ports/{port}/runner/partner_lacpdu_info/system");
    set(facts, &path, system.into());
}

/// A change of a team without a fault.
type Damage = fn(&mut Facts);

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
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
        ("lacp-no-partner", "lacp", |facts| {
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
        ("lacp-no-partner", "lacp", |facts| partner(facts, "eth2", NOBODY)),
        ("lacp-partners-unlike", "lacp", |facts| {
            partner(facts, "eth2", "02:00:00:00:00:bb");
        }),
        ("lacp-not-selected", "lacp", |facts| {
            set(facts, "/ports/eth2/runner/selected", false.into());
        }),
        ("lacp-not-selected", "lacp", |facts| {
            set(facts, "/ports/eth2/runner/aggregator/selected", false.into());
        }),
        ("lacp-keys-unlike", "lacp", |facts| {
            set(facts, "/ports/eth2/runner/key", 7.into());
            set(facts, "/ports/eth2/runner/aggregator/selected", false.into());
        }),
        ("lacp-partner-keys-unlike", "lacp", |facts| {
            set(facts, "/ports/eth2/runner/partner_lacpdu_info/key", 2.into());
            set(facts, "/ports/eth2/runner/selected", false.into());
        }),
        ("lacp-partner-slow", "lacp", |facts| {
            partner(facts, "eth2", NOBODY);
            set(facts, "/ports/eth2/teamr/lacp/pdus/heard_ago", 20_000.into());
        }),
        ("lacp-partner-slow", "lacp", |facts| {
            set(facts, "/ports/eth2/teamr/lacp/pdus/heard_ago", 20_000.into());
            set(facts, "/ports/eth2/teamr/lacp/pdus/heard_interval", 30_000.into());
        }),
        // The partner sent each second.
        ("lacp-partner-silent", "lacp", |facts| {
            partner(facts, "eth2", NOBODY);
            set(facts, "/ports/eth2/teamr/lacp/pdus/heard_ago", 20_000.into());
            set(facts, "/ports/eth2/teamr/lacp/pdus/heard_interval", 1_000.into());
        }),
        ("lacp-partner-silent", "lacp", |facts| {
            partner(facts, "eth2", NOBODY);
            set(facts, "/ports/eth2/teamr/lacp/pdus/heard_ago", 200_000.into());
        }),
        ("lacp-no-partner", "lacp", |facts| partner(facts, "eth2", NOBODY)),
        ("broadcast-one-network", "broadcast", heard),
        ("bridge-port-blocked", "slb", |facts| {
            bridge_port(facts).not_forwarding = Some("blocking");
        }),
        ("bridge-port-blocked", "slb", |facts| {
            let port = bridge_port(facts);
            (port.not_forwarding, port.bpdu_guard) = (Some("disabled"), true);
        }),
        ("mtu-below-bridge", "slb", |facts| bridge_port(facts).bridge_mtu = Some(9000)),
        ("bridge-hairpin", "slb", |facts| bridge_port(facts).hairpin = true),
        ("port-with-address", "activebackup", |facts| {
            card(facts, "eth2").addresses = vec!["192.0.2.1".into()];
            // The team has the address, too: one fault.
            let elsewhere = &mut device(facts).addresses_elsewhere;
            *elsewhere = vec![("192.0.2.1".into(), "eth2".into())];
        }),
        ("address-twice", "activebackup", |facts| {
            let elsewhere = &mut device(facts).addresses_elsewhere;
            *elsewhere = vec![("192.0.2.1".into(), "eth3".into())];
        }),
        ("hwaddr-twice", "activebackup", |facts| {
            device(facts).hwaddr_elsewhere = vec!["eth3".into()];
        }),
        ("separate-networks", "activebackup", unheard),
        ("separate-networks", "slb", unheard),
        ("network-loop", "activebackup", |facts| {
            set(facts, "/ports/eth1/teamr/probe_heard_at", "eth1 eth2".into());
        }),
        ("device-down", "activebackup", |facts| device(facts).up = false),
        ("device-down", "activebackup", |facts| {
            bridge_port(facts).not_forwarding = Some("disabled");
            device(facts).up = false;
        }),
        ("port-missing", "activebackup", |facts| {
            configure(facts, "/ports/eth3", json!({}));
        }),
        ("port-forbidden", "loadbalance", |facts| {
            set(facts, "/ports/eth2/teamr/allowed", false.into());
        }),
        ("gate-closed", "loadbalance", |facts| set(facts, "/ports/eth2/gate", false.into())),
        ("gate-closed", "lacp", |facts| {
            set(facts, "/ports/eth2/runner/macsec_gate", false.into());
        }),
        ("port-suppressed", "activebackup", |facts| {
            set(facts, "/ports/eth2/damping", json!({"suppressed": true, "ends_in": 1500}));
        }),
        ("port-corrupting", "activebackup", |facts| {
            let list = json!({"link_watch_0": {"name": "errors", "up": false, "teamr": {"error_ratio": 7}}});
            set(facts, "/ports/eth2/link_watches/list", list);
        }),
        ("hwaddr-refused", "activebackup", |facts| {
            set(facts, "/ports/eth2/teamr/hwaddr_refused", true.into());
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
        // The team has no carrier.
        ("port-drained", "loadbalance", |facts| {
            for port in ["eth1", "eth2"] {
                set(facts, &format!("/ports/{port}/drained"), true.into());
            }
        }),
        // The bridge waits for the carrier of a team without an LACP partner.
        ("lacp-no-partner", "lacp", |facts| {
            bridge_port(facts).not_forwarding = Some("disabled");
            device(facts).carrier = Some(false);
            partner(facts, "eth1", NOBODY);
            partner(facts, "eth2", NOBODY);
        }),
        // The bridge waits for a carrier.
        ("no-link", "slb", |facts| {
            bridge_port(facts).not_forwarding = Some("disabled");
            unheard(facts);
            for port in ["eth1", "eth2"] {
                set(facts, &format!("/ports/{port}/teamr/probed"), false.into());
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
        ("watch-no-partner", "activebackup", |facts| {
            watch(facts, "eth2", "lacp", false);
            let why = "no LACPDU heard: enable LACP on the partner's port";
            set(facts, "/ports/eth2/teamr/lacp", json!({"why": why}));
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
        let first = findings.first().unwrap_or_else(|| panic!("{id}: nothing found"));
        assert_eq!(first.weight, Weight::Problem, "{id}");
        let ids: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
        assert_eq!(first.id, *id, "{runner}: {ids:?}");
        let line = first.to_string();
        assert!(line.starts_with("problem: ") && line.contains("\n    "), "{line}");
        for sentence in [&first.cause, &first.cure] {
            assert!(sentence.ends_with('.') && sentence.len() < 200, "{sentence}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
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
        ("port-qdisc", "loadbalance", |facts| card(facts, "eth2").qdisc = Some("htb".into())),
        ("ptp-on-port", "activebackup", |facts| card(facts, "eth2").ptp = true),
        ("failback-waits", "activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
            set(facts, "/teamr", json!({"failback_waits": "eth2"}));
        }),
        // The better port has the same prio and a higher speed.
        ("failback-waits", "activebackup", |facts| {
            set(facts, "/teamr", json!({"failback_waits": "eth2"}));
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
        ("port-drained", "activebackup", |facts| set(facts, "/ports/eth2/drained", true.into())),
        ("device-unused", "loadbalance", |facts| device(facts).used = false),
        ("lacp-kept-alive", "lacp", |facts| {
            let kept = json!({"answered": 3, "answered_ago": 4000, "armed": true});
            set(facts, "/ports/eth1/teamr/lacp/keepalive", kept);
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
        ("frames-undescribed", "loadbalance", |facts| {
            set(facts, "/teamr/rx_drop_errors", "EIO 2, EINVAL 9".into());
        }),
        ("events-lost", "loadbalance", |facts| {
            set(facts, "/teamr/resyncs", 1.into());
        }),
        ("filters-removed", "loadbalance", |facts| {
            set(facts, "/teamr/hooks_restored", 1.into());
        }),
        ("foreign-filter", "loadbalance", |facts| {
            card(facts, "eth2").foreign_filters = vec!["flower at preference 1".into()];
        }),
        ("ingress-qdisc", "loadbalance", |facts| card(facts, "eth2").ingress_qdisc = true),
        ("active-by-hand", "activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
        }),
        ("active-by-hand", "activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
            configure(facts, "/runner/failback", "always".into());
            configure(facts, "/runner/failback_delay", 1000.into());
        }),
        ("no-delay-up", "slb", |facts| {
            facts.config["link_watch"] = json!({"name": "ethtool"});
            let delayed = json!([{"name": "ethtool", "delay_up": 100}]);
            configure(facts, "/ports/eth1/link_watch", delayed);
        }),
        ("arp-unvalidated", "activebackup", |facts| {
            facts.config["link_watch"] = json!([{
                "name": "arp_ping", "target_host": "192.0.2.1", "validate_active": true,
            }]);
        }),
        ("bridge-stp-delay", "slb", |facts| bridge_port(facts).stp_delay = 30),
        ("relay-in-use", "loadbalance", |facts| {
            let own = json!({
                "data_path": "relay",
                "data_path_refused": {"programs": "Operation not permitted"},
            });
            set(facts, "/teamr", own);
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

/// Returns the facts of a bond as `teamrctl` reads them, damaged.
fn bond(runner: &str, damage: Damage) -> Facts {
    let mut facts = healthy_team(runner);
    facts.config["device"] = "bond0".into();
    damage(&mut facts);
    facts
}

/// A finding about a bond may recommend a team with the runner slb, and has no other word of teams.
fn assert_words_of_bonding(finding: &str) {
    let text = finding.replace("a team with the runner \"slb\"", "");
    let text = text.replace("the runner \"slb\" of a team", "");
    for word in ["team", "runner", "link_watch", "\"", "TEAM"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

#[test]
fn findings_about_a_bond_are_in_the_words_of_bonding() {
    let broken: &[(&str, &str, Damage)] = &[
        ("bond-unmonitored", "activebackup", |facts| facts.unmonitored = true),
        ("plain-switch", "roundrobin", heard),
        ("lacp-no-partner", "lacp", |facts| {
            heard(facts);
            partner(facts, "eth2", "00:00:00:00:00:00");
        }),
        ("guests-on-plain-switch", "loadbalance", |facts| {
            heard(facts);
            bridge(facts);
        }),
        ("broadcast-one-network", "broadcast", heard),
        ("separate-networks", "activebackup", unheard),
        ("own-addresses-return", "activebackup", |facts| {
            bridge(facts);
            device(facts).wandering = vec!["02:00:00:00:00:01".into()];
        }),
        ("lacp-no-partner", "lacp", |facts| partner(facts, "eth2", "00:00:00:00:00:00")),
        ("lacp-not-selected", "lacp", |facts| {
            set(facts, "/ports/eth2/runner/selected", false.into());
        }),
        ("min-ports-too-many", "loadbalance", |facts| {
            configure(facts, "/runner/min_ports", 3.into());
        }),
        ("device-down", "activebackup", |facts| device(facts).up = false),
        ("mtu-unlike", "activebackup", |facts| card(facts, "eth2").mtu = Some(9000)),
        ("watch-unanswered", "activebackup", |facts| watch(facts, "eth1", "arp_ping", false)),
        ("link-flaps", "activebackup", |facts| {
            let path = "/ports/eth2/link_watches/list/link_watch_0/down_count";
            set(facts, path, 40.into());
        }),
        ("hash-by-address", "loadbalance", |facts| {
            configure(facts, "/runner/tx_hash", json!(["eth"]));
        }),
        ("arp-unvalidated", "activebackup", |facts| {
            let target = json!({"name": "arp_ping", "target_host": "192.0.2.1"});
            facts.config["link_watch"] = target;
        }),
        ("link-delayed", "activebackup", |facts| watch(facts, "eth2", "ethtool", false)),
        ("active-by-hand", "activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
        }),
        ("hwaddr-twice", "activebackup", |facts| {
            device(facts).hwaddr_elsewhere = vec!["eth3".into()];
        }),
        ("no-ports", "activebackup", |facts| {
            facts.config["ports"] = json!({});
            set(facts, "/ports", json!({}));
            facts.cards.clear();
        }),
    ];
    for (id, runner, damage) in broken {
        let findings = diagnose_bond(&bond(runner, *damage));
        let found = findings.iter().find(|finding| finding.id == *id);
        let found = found.unwrap_or_else(|| panic!("{id}: {findings:?}"));
        assert_words_of_bonding(&found.to_string());
    }
    for runner in ["activebackup", "lacp", "broadcast"] {
        assert_eq!(diagnose_bond(&bond(runner, |_| ())), [], "{runner}");
    }
}

#[test]
fn the_verb_agrees_with_the_number_of_ports() {
    let cause = |ports: &[&str]| {
        let mut facts = healthy_team("activebackup");
        for port in ports {
            watch(&mut facts, port, "arp_ping", false);
        }
        let findings = diagnose(&facts);
        let found = findings.iter().find(|finding| finding.id == "watch-unanswered");
        found.expect("a finding").cause.clone()
    };
    assert!(cause(&["eth1"]).starts_with("eth1 has a link, but"));
    assert!(cause(&["eth1", "eth2"]).starts_with("eth1 and eth2 have a link, but"));
}

#[test]
fn the_path_cost_of_a_device_with_another_speed_is_named() {
    let paths = |speed: i64, runner: &str| {
        let mut facts = healthy_team(runner);
        bridge(&mut facts);
        let port = bridge_port(&mut facts);
        (port.stp_delay, port.path_cost) = (30, Some(2));
        device(&mut facts).speed = Some(speed);
        let findings = diagnose(&facts);
        findings.iter().any(|finding| finding.id == "bridge-path-cost")
    };
    let speed = healthy_team("slb")
        .state
        .expect("a state")
        .ports()
        .next()
        .expect("a port")
        .1
        .link
        .clone()
        .expect("a link")
        .speed
        .expect("a speed");
    assert!(paths(10 * speed, "slb") && paths(10 * speed, "activebackup"));
    assert!(!paths(2 * speed, "slb") && !paths(speed, "activebackup") && !paths(-1, "slb"));
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
        // The better port does not replace a usable active port, or only a faster one does.
        ("activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
            configure(facts, "/runner/failback", "failure".into());
        }),
        ("activebackup", |facts| {
            configure(facts, "/ports/eth2/prio", 5.into());
            configure(facts, "/runner/failback", "better".into());
        }),
        ("activebackup", |facts| {
            facts.config["link_watch"] = json!({
                "name": "arp_ping", "target_host": "192.0.2.1",
                "validate_active": true, "validate_inactive": true,
            });
        }),
        // The probes crossed before the switch got its LACP aggregate.
        ("lacp", heard),
        // Two groups, of ports with two keys.
        ("lacp", |facts| {
            set(facts, "/ports/eth2/runner/key", 2.into());
            set(facts, "/ports/eth2/runner/partner_lacpdu_info/key", 2.into());
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
    let mut facts = Facts { state: None, device: None, ..healthy_team("loadbalance") };
    assert_eq!(diagnose_config(&facts), []);
    configure(&mut facts, "/runner/min_ports", 5.into());
    // The strict check finds the fault, too.
    facts.complaints.push("1:49: runner.min_ports: expected at most 2, the ports".into());
    let ids: Vec<&str> = diagnose_config(&facts).iter().map(|finding| finding.id).collect();
    assert_eq!(ids, ["min-ports-too-many"]);
}
