//! The network between the ports, as probes and LACP show it.

use std::collections::BTreeSet;

use super::facts::Port;
use super::{Facts, Findings, and, are};

/// Runners that need their ports to be one aggregate of the switch.
const AGGREGATING: [&str; 4] = ["roundrobin", "random", "loadbalance", "lacp"];
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
        report_lacp(facts, &crossed, findings);
    }
}

/// Returns the names of all ports that sent or received a probe; empty unless a port received the
/// probe of another port.
fn crossed<'a>(probed: &[Port<'a>]) -> Vec<&'a str> {
    let receivers = |port: &Port<'a>| {
        let name = port.name;
        port.probe_heard_at().filter(move |at| *at != name)
    };
    let crossed: BTreeSet<&str> = probed.iter().flat_map(receivers).collect();
    match crossed.is_empty() {
        true => Vec::new(),
        false => {
            let senders = probed.iter().map(|port| port.name);
            let all: BTreeSet<&str> = crossed.into_iter().chain(senders).collect();
            all.into_iter().collect()
        }
    }
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
                "What leaves on {} comes back on it: the network has a loop.",
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
            "Nothing that leaves on one of {} reaches another: they lead into different \
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
        "What leaves on one of {} comes in on another: the switch does not aggregate them",
        and(crossed)
    );
    if runner == "broadcast" {
        findings.problem(
            "broadcast-one-network",
            format!(
                "{} lead into one network, where each frame arrives twice.",
                and(crossed)
            ),
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

/// Reports missing and different partners. Ports that receive each other's probes are on a switch
/// without an aggregate, which explains a missing partner.
fn report_lacp(facts: &Facts, crossed: &[&str], findings: &mut Findings) {
    let linked = facts.linked_ports();
    let alone: Vec<&str> = linked
        .iter()
        .filter(|port| port.partner_system() == Some(""))
        .map(|port| port.name)
        .collect();
    if !alone.is_empty() && crossed.is_empty() {
        findings.problem(
            "lacp-no-partner",
            format!("Nobody speaks LACP on {}.", and(&alone)),
            "Turn LACP on for these ports of the switch, active if the team is passive.",
        );
    }
    let systems = linked.iter().filter_map(|port| port.partner_system());
    let systems: BTreeSet<&str> = systems.filter(|system| !system.is_empty()).collect();
    let systems: Vec<&str> = systems.into_iter().collect();
    if systems.len() > 1 {
        findings.problem(
            "lacp-partners-unlike",
            format!(
                "The ports lead to different LACP systems: {}.",
                and(&systems)
            ),
            "Plug all ports into one switch, or into switches that act as one.",
        );
    }
    let unselected: Vec<&str> = linked
        .iter()
        .filter(|port| port.has_partner() && is_unselected(port))
        .map(|port| port.name)
        .collect();
    if !unselected.is_empty() && systems.len() == 1 {
        findings.problem(
            "lacp-not-selected",
            format!("{} not in the aggregate that carries traffic.", are(&unselected)),
            "Compare speed, duplex and key of the ports, and that the switch has them in one group.",
        );
    }
}

fn is_unselected(port: &Port<'_>) -> bool {
    let runner = port.runner.as_ref();
    runner.and_then(|runner| runner.selected) == Some(false)
}
