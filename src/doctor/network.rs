//! The network between the ports, as probes and LACP show it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::facts::Port;
use super::{Facts, Findings, and, are};
use crate::state::OrEmpty;

/// Runners that need their ports to be one static aggregate of the switch. LACP itself shows whether
/// the switch has an LACP aggregate.
const AGGREGATING: [&str; 3] = ["roundrobin", "random", "loadbalance"];
/// Runners that need their ports to lead into one network.
const TOGETHER: [&str; 4] = ["activebackup", "slb", "tlb", "alb"];

pub(super) fn diagnose(facts: &Facts, findings: &mut Findings) {
    let ports = facts.ports();
    let probed: Vec<Port<'_>> = ports.iter().copied().filter(|port| port.probed()).collect();
    report_loop(&probed, findings);
    let runner = facts.runner();
    let crossed = crossed(&probed);
    if !crossed.is_empty() {
        report_one_network(facts, runner, &crossed, findings);
    } else if probed.len() > 1 && TOGETHER.contains(&runner) {
        report_separate_networks(runner, &probed, findings);
    }
    if crossed.is_empty() || !AGGREGATING.contains(&runner) {
        report_wandering(facts, findings);
    }
    if runner == "lacp" {
        report_lacp(facts, findings);
    }
}

/// Returns the names of all ports that sent or received a probe; empty unless a port received the
/// probe of another port.
fn crossed<'a>(probed: &[Port<'a>]) -> Vec<&'a str> {
    let receivers = |port: &Port<'a>| {
        let name = port.name;
        port.probe_heard_at().filter(move |at| *at != name)
    };
    let mut crossed: BTreeSet<&str> = probed.iter().flat_map(receivers).collect();
    if !crossed.is_empty() {
        crossed.extend(probed.iter().map(|port| port.name));
    }
    crossed.into_iter().collect()
}

fn report_loop(probed: &[Port<'_>], findings: &mut Findings) {
    let looped: Vec<&str> = probed
        .iter()
        .filter(|port| port.probe_heard_at().any(|at| at == port.name))
        .map(|port| port.name)
        .collect();
    if !looped.is_empty() {
        findings.problem(
            "network-loop",
            format!(
                "A frame of {} comes back on the same port: the network has a loop.",
                and(&looped)
            ),
            "Find the two cables or switch ports that make a ring, or turn spanning tree on.",
        );
    }
}

fn report_separate_networks(runner: &str, probed: &[Port<'_>], findings: &mut Findings) {
    let names: Vec<&str> = probed.iter().map(|port| port.name).collect();
    findings.problem(
        "separate-networks",
        format!(
            "No frame that one of {} sends reaches another: they lead into different \
             networks, or VLANs, or an aggregate.",
            and(&names)
        ),
        format!(
            "Plug all of them into one network as plain ports; \"{runner}\" needs no aggregate."
        ),
    );
}

fn report_wandering(facts: &Facts, findings: &mut Findings) {
    let device = facts.device.as_ref();
    let wandering = device.map_or(&[][..], |device| &device.wandering);
    if wandering.is_empty() {
        return;
    }
    let wandering: Vec<&str> = wandering.iter().take(3).map(String::as_str).collect();
    findings.problem(
        "own-addresses-return",
        format!(
            "{} takes its own guests for outsiders, such as {}: their frames come back.",
            facts.master().unwrap_or("The bridge"),
            and(&wandering)
        ),
        "Use the runner \"slb\", which drops such frames, or look for a loop in the network.",
    );
}

fn report_one_network(facts: &Facts, runner: &str, crossed: &[&str], findings: &mut Findings) {
    let seen = format!(
        "A frame that one of {} sends comes in on another: the switch does not aggregate them",
        and(crossed)
    );
    if runner == "broadcast" {
        findings.problem(
            "broadcast-one-network",
            format!("{} lead into one network, where each frame arrives twice.", and(crossed)),
            "Plug them into separate networks, or use the runner \"slb\".",
        );
    } else if AGGREGATING.contains(&runner) && facts.bridged() {
        findings.problem(
            "guests-on-plain-switch",
            format!(
                "{seen}, and {} learns its own guests on the team device.",
                facts.master().unwrap_or("the bridge")
            ),
            "Use the runner \"slb\", which needs nothing of the switch, or configure an aggregate \
             there.",
        );
    } else if AGGREGATING.contains(&runner) {
        findings.problem(
            "plain-switch",
            format!("{seen}, as \"{runner}\" needs."),
            "Configure an aggregate on the switch, or use the runner \"slb\" or \"activebackup\".",
        );
    }
}

/// Reports ports whose partners the kernel has answered in the last ten minutes.
fn report_kept_alive(facts: &Facts, findings: &mut Findings) {
    /// Milliseconds for which an answer is reported: the default of `runner.keepalive`.
    const LATELY: u64 = 600_000;
    for port in facts.ports() {
        let Some((answered, age)) = port.kept_alive().filter(|(_, age)| *age < LATELY) else {
            continue;
        };
        findings.notice(
            "lacp-kept-alive",
            format!(
                "The kernel answered {answered} LACPDUs for {} in place of the daemon, the last one \
                 {} s ago.",
                port.name,
                age / 1000
            ),
            "Look in the log for a crash or a restart; else the daemon had no processor: check the \
             load.",
        );
    }
}

/// Reports missing, slow and different partners.
fn report_lacp(facts: &Facts, findings: &mut Findings) {
    report_kept_alive(facts, findings);
    let linked = facts.linked_ports();
    let late = report_late_partners(facts, &linked, findings);
    let alone: Vec<&str> = linked
        .iter()
        .filter(|port| port.partner_system() == Some("") && !late.contains(&port.name))
        .map(|port| port.name)
        .collect();
    if !alone.is_empty() {
        findings.problem(
            "lacp-no-partner",
            format!("No LACPDU comes in on {}.", and(&alone)),
            "Turn LACP on for these ports of the switch, active if the team is passive. On a switch \
             without LACP, use the runner \"slb\".",
        );
    }
    let systems = linked.iter().filter_map(|port| port.partner_system());
    let systems: BTreeSet<&str> = systems.filter(|system| !system.is_empty()).collect();
    let systems: Vec<&str> = systems.into_iter().collect();
    if systems.len() > 1 {
        findings.problem(
            "lacp-partners-unlike",
            format!("The ports lead to different LACP systems: {}.", and(&systems)),
            "Plug all ports into one switch, or into switches that act as one.",
        );
        return;
    }
    let keys = unlike_partner_keys(&linked);
    if !keys.is_empty() {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        findings.problem(
            "lacp-partner-keys-unlike",
            format!("The switch has the ports in different groups: its keys are {}.", and(&keys)),
            "Put the switch ports of this team into one group, and no others.",
        );
        return;
    }
    let carrying = linked.iter().find(|port| port.aggregator_selected() == Some(true)).copied();
    let apart = carrying.map(|carrying| report_own_keys(&linked, carrying, findings));
    let apart = apart.unwrap_or_default();
    let is_out = |port: &&Port<'_>| {
        port.has_partner() && is_unselected(port, carrying) && !apart.contains(&port.name)
    };
    let unselected: Vec<&str> = linked.iter().filter(is_out).map(|port| port.name).collect();
    if !unselected.is_empty() {
        findings.problem(
            "lacp-not-selected",
            format!("{} not in the aggregate that carries traffic.", are(&unselected)),
            "Compare speed, duplex and key of the ports, and that the switch has them in one group.",
        );
    }
}

/// Reports ports that a key of their own keeps out of the aggregate which the partner has made, and
/// returns the ports. `carrying` is a port of this aggregate.
fn report_own_keys<'a>(
    linked: &[Port<'a>],
    carrying: Port<'a>,
    findings: &mut Findings,
) -> Vec<&'a str> {
    let is_apart = |port: &&Port<'a>| {
        port.has_partner()
            && port.partner_key() == carrying.partner_key()
            && port.own_key() != carrying.own_key()
            && port.aggregator_selected() == Some(false)
    };
    let apart: Vec<Port<'a>> = linked.iter().filter(is_apart).copied().collect();
    let names: Vec<&str> = apart.iter().map(|port| port.name).collect();
    if !names.is_empty() {
        let own_key = |port: Port<'_>| port.own_key().unwrap_or_default();
        let keys: Vec<String> =
            apart.iter().map(|port| format!("{} on {}", own_key(*port), port.name)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (ports, aggregate) = (are(&names), carrying.name);
        findings.problem(
            "lacp-keys-unlike",
            format!(
                "{ports} not in the aggregate of {aggregate}: \"lacp_key\" is {} and {} on \
                 {aggregate}.",
                and(&keys),
                own_key(carrying),
            ),
            "Give all ports of this aggregate the same \"lacp_key\".",
        );
    }
    names
}

/// Returns the partner's keys of ports with one key of their own; empty if these are equal.
fn unlike_partner_keys(linked: &[Port<'_>]) -> Vec<String> {
    let mut keys: BTreeMap<Option<i64>, BTreeSet<i64>> = BTreeMap::new();
    for port in linked.iter().filter(|port| port.has_partner()) {
        keys.entry(port.own_key()).or_default().extend(port.partner_key());
    }
    let unlike = keys.into_values().find(|keys| keys.len() > 1).unwrap_or_default();
    unlike.iter().map(i64::to_string).collect()
}

/// Reports partners whose last LACPDU is older than the timeout, and returns their ports: partners
/// that send at the slow rate although the team asks for the fast one, and partners that have fallen
/// silent.
fn report_late_partners<'a>(
    facts: &Facts,
    linked: &[Port<'a>],
    findings: &mut Findings,
) -> Vec<&'a str> {
    /// Pause between two LACPDUs at the slow rate, and a second for the way.
    const SLOW_MS: u64 = 31_000;
    let runner = facts.state.as_ref().and_then(|state| state.runner.as_ref());
    let is_fast = runner.and_then(|runner| runner.fast_rate) == Some(true);
    let period = facts.config.pointer("/runner/fast_period").and_then(Value::as_u64);
    // The timeout is three periods (802.1AX-2014, 6.4.4).
    let timeout = 3 * if is_fast { period.unwrap_or(1000) } else { 30_000 };
    let age = |port: &Port<'_>| port.last_lacpdu_ms_ago().filter(|age| *age >= timeout);
    let is_slow = |port: &Port<'_>| {
        is_fast
            && age(port).is_some_and(|age| age <= SLOW_MS)
            && port.lacpdu_interval_ms().is_none_or(|interval| interval >= timeout)
    };
    let late = linked.iter().copied().filter(|port| age(port).is_some());
    let (slow, silent): (Vec<Port<'a>>, Vec<Port<'a>>) = late.partition(is_slow);
    let names = |ports: &[Port<'a>]| ports.iter().map(|port| port.name).collect::<Vec<&str>>();
    if !slow.is_empty() {
        findings.problem(
            "lacp-partner-slow",
            format!(
                "The partner of {} sent no LACPDU for {} s or more, the timeout of \"fast_rate\".",
                and(&names(&slow)),
                timeout as f64 / 1000.0
            ),
            "Set the switch to the fast rate (short timeout), or \"runner.fast_rate\" to false.",
        );
    }
    if let Some(age) = silent.iter().filter_map(age).min() {
        let ports = and(&names(&silent));
        findings.problem(
            "lacp-partner-silent",
            format!("LACPDUs came in on {ports}, and have stopped for {} s.", age / 1000),
            "Check the cable and the transceivers in both directions, and that LACP is still on at \
             the switch port.",
        );
    }
    names(&[slow, silent].concat())
}

/// Returns whether the port has no Aggregator, or has the key of the port `carrying` and yet another
/// Aggregator.
fn is_unselected(port: &Port<'_>, carrying: Option<Port<'_>>) -> bool {
    let runner = port.runner.or_empty();
    let has_its_key = carrying.is_some_and(|carrying| carrying.own_key() == port.own_key());
    let is_current = runner.state.as_deref() == Some("current");
    runner.selected == Some(false)
        || (is_current && has_its_key && port.aggregator_selected() == Some(false))
}
