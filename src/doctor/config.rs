//! The configuration alone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CardFacts, Facts, Findings, and};

pub(super) fn diagnose(facts: &Facts, findings: &mut Findings) {
    let mut ports = facts.configured_ports();
    if ports.is_empty() {
        ports = facts.named(|_| true);
    }
    if ports.is_empty() {
        findings.problem(
            "no-ports",
            "The team has no port, so nothing can pass.",
            "Name interfaces under \"ports\", or add one: teamrctl port add INTERFACE.",
        );
    }
    if let [only] = ports[..] {
        findings.notice(
            "one-port",
            format!("{only} is the only port: nothing takes over when its link goes."),
            "Add a second port.",
        );
    }
    report_min_ports(facts, &ports, findings);
    report_hash(facts, findings);
    report_delay_up(facts, &ports, findings);
    report_unvalidated_watches(facts, &ports, findings);
    report_complaints(facts, findings);
    report_cards(facts, &ports, findings);
}

/// Reports what the strict check complains of, except of keys that another finding names.
fn report_complaints(facts: &Facts, findings: &mut Findings) {
    for complaint in &facts.complaints {
        // Position, path, fault.
        let path = complaint.split(": ").nth(1).unwrap_or_default();
        let key = format!("\"{path}\"");
        if findings.0.iter().any(|finding| finding.cause.contains(&key)) {
            continue;
        }
        findings.problem(
            "config-mistake",
            format!("The configuration says {complaint}."),
            "Correct it; teamr --check-config -f FILE names every mistake with its line.",
        );
    }
}

fn report_min_ports(facts: &Facts, ports: &[&str], findings: &mut Findings) {
    let min_ports = facts.config.pointer("/runner/min_ports");
    if let Some(min_ports) = min_ports.and_then(Value::as_u64) {
        if min_ports > ports.len() as u64 && !ports.is_empty() {
            findings.problem(
                "min-ports-too-many",
                format!(
                    "\"runner.min_ports\" asks for {min_ports} ports, and there are {}: the team \
                     never gets a carrier.",
                    ports.len()
                ),
                "Lower \"runner.min_ports\", or add ports.",
            );
        }
    }
}

fn report_hash(facts: &Facts, findings: &mut Findings) {
    if !["loadbalance", "lacp"].contains(&facts.runner()) {
        return;
    }
    let fields = facts.config.pointer("/runner/tx_hash");
    let Some(fields) = fields.and_then(Value::as_array) else {
        return;
    };
    if fields.is_empty() {
        findings.problem(
            "hash-of-nothing",
            "\"runner.tx_hash\" is empty: every frame is of one flow and leaves on one port.",
            "Leave \"runner.tx_hash\" out, or name fields: [\"eth\", \"l3\", \"l4\"].",
        );
    } else if fields.iter().all(|field| field == "eth") {
        findings.notice(
            "hash-by-address",
            "\"runner.tx_hash\" is \"eth\" alone: all that goes through one router leaves on one \
             port.",
            "Add \"l3\" and \"l4\" to \"runner.tx_hash\".",
        );
    }
}

/// Reports ports that carry stations at once after their links come up.
fn report_delay_up(facts: &Facts, names: &[&str], findings: &mut Findings) {
    if facts.runner() != "slb" {
        return;
    }
    let delays = |watch: &Value| watch["delay_up"].as_u64().is_some_and(|delay| delay > 0);
    let delayed = |watches: &Value| match watches {
        Value::Array(watches) => watches.iter().any(delays),
        watch => delays(watch),
    };
    if delayed(&facts.config["link_watch"]) {
        return;
    }
    let ports = &facts.config["ports"];
    let at_once = names.iter().filter(|name| !delayed(&ports[**name]["link_watch"]));
    let at_once: Vec<&str> = at_once.copied().collect();
    if !at_once.is_empty() {
        findings.notice(
            "no-delay-up",
            format!(
                "Stations move to {} as soon as a link comes up, when a switch may not forward \
                 yet.",
                and(&at_once)
            ),
            "Set \"link_watch.delay_up\" to longer than the switch takes, such as 1000.",
        );
    }
}

/// Reports watches that any ARP message keeps up, also one between other hosts.
fn report_unvalidated_watches(facts: &Facts, names: &[&str], findings: &mut Findings) {
    let checks = |watch: &Value, key: &str| watch[key] == true;
    let is_open = |watch: &Value| {
        watch["name"] == "arp_ping"
            && !(checks(watch, "validate_active") && checks(watch, "validate_inactive"))
    };
    let has_open = |watches: &Value| match watches {
        Value::Array(watches) => watches.iter().any(is_open),
        watch => is_open(watch),
    };
    let ports = &facts.config["ports"];
    let by_team = has_open(&facts.config["link_watch"]);
    let open = names.iter().filter(|name| by_team || has_open(&ports[**name]["link_watch"]));
    let open: Vec<&str> = open.copied().collect();
    if open.len() > 1 {
        findings.notice(
            "arp-unvalidated",
            format!(
                "ARP of any host keeps the watch of {} up, also when the target is out of reach.",
                and(&open)
            ),
            "Set \"validate_active\" and \"validate_inactive\" of the watch to true.",
        );
    }
}

/// Reports what the ports share and therefore lose together.
fn report_cards(facts: &Facts, ports: &[&str], findings: &mut Findings) {
    let cards: Vec<&CardFacts> = ports.iter().filter_map(|port| facts.cards.get(*port)).collect();
    if cards.len() < 2 || cards.len() < ports.len() {
        return;
    }
    let lowers: Vec<&String> = cards.iter().filter_map(|card| card.lower.as_ref()).collect();
    let distinct: BTreeSet<&String> = lowers.iter().copied().collect();
    if let Some(lower) = lowers.first().filter(|_| distinct.len() < lowers.len()) {
        findings.problem(
            "one-lower",
            format!("Several ports use one interface, {lower}, and fail together."),
            "Use ports on cables of their own.",
        );
        return;
    }
    if let Some(card) = common(cards.iter().map(|card| card.card.as_ref())) {
        findings.notice(
            "one-card",
            format!("All ports are on one network card, {card}, and fail with the card."),
            "Use ports of two cards.",
        );
        return;
    }
    report_numa_node(facts, &cards, findings);
    report_virtual_ports(facts, ports, findings);
}

fn report_numa_node(facts: &Facts, cards: &[&CardFacts], findings: &mut Findings) {
    let nodes = facts.device.as_ref().map_or(1, |device| device.numa_nodes);
    let node = common(cards.iter().map(|card| card.numa_node));
    if let Some(node) = node.filter(|node| *node >= 0 && nodes > 1) {
        findings.notice(
            "one-numa-node",
            format!("All ports are on NUMA node {node}; the others reach them through it."),
            "Use cards on different nodes where the load is on all of them.",
        );
    }
}

fn report_virtual_ports(facts: &Facts, ports: &[&str], findings: &mut Findings) {
    let card = |port: &&&str| facts.cards.get(**port);
    let stands_on_another = |card: &CardFacts| card.lower.is_some();
    let hides_carrier = |card: &CardFacts| card.card.is_none() && stands_on_another(card);
    if !ports.iter().any(|port| card(&port).is_some_and(hides_carrier)) {
        return;
    }
    let virtual_ports: Vec<&str> =
        ports.iter().filter(|port| card(port).is_some_and(stands_on_another)).copied().collect();
    findings.notice(
        "virtual-port",
        format!("{} may not tell when a cable is pulled.", and(&virtual_ports)),
        "Watch it with arp_ping or nsna_ping, or use the interface below it.",
    );
}

/// Returns the value that all of `values` have; `None` if one differs or is missing.
fn common<T: PartialEq>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let mut values = values;
    let first = values.next()??;
    values.all(|value| value.as_ref() == Some(&first)).then_some(first)
}
