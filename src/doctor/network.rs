//! What lies between the ports, by the probes that were heard and by what LACP says.

use std::collections::BTreeSet;

use super::facts::Port;
use super::{Facts, Findings, and, are};

/// Runners that need their ports to be one aggregate of the switch.
const AGGREGATING: [&str; 4] = ["roundrobin", "random", "loadbalance", "lacp"];
/// Runners that need their ports to lead into one network.
const TOGETHER: [&str; 4] = ["activebackup", "slb", "tlb", "alb"];

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let ports = facts.ports();
    let probed: Vec<Port<'_>> = ports.iter().copied().filter(|port| port.probed()).collect();
    let looped: Vec<&str> = probed
        .iter()
        .filter(|port| port.probe_heard_at().contains(&port.name))
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
    let crossed: BTreeSet<&str> = probed
        .iter()
        .flat_map(|port| {
            let heard = port.probe_heard_at().into_iter();
            heard.filter(|at| *at != port.name).chain([port.name])
        })
        .collect();
    let crosses = probed
        .iter()
        .any(|port| port.probe_heard_at().iter().any(|at| *at != port.name));
    let crossed: Vec<&str> = crossed.into_iter().collect();
    let runner = facts.runner();
    if crosses {
        one_network(facts, runner, &crossed, findings);
    } else if probed.len() > 1 && TOGETHER.contains(&runner) {
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
    let device = facts.device.as_ref();
    let wandering = device.map_or(&[][..], |device| &device.wandering);
    let explained = crosses && AGGREGATING.contains(&runner);
    if !wandering.is_empty() && !explained {
        let wandering: Vec<&str> = wandering.iter().take(3).map(String::as_str).collect();
        let master = device.and_then(|device| device.master.as_deref());
        findings.problem(
            "own-addresses-return",
            format!(
                "{} takes its own guests for outsiders, such as {}: their frames come back.",
                master.unwrap_or("The bridge"),
                and(&wandering)
            ),
            "Use the runner \"slb\", which drops such frames, or look for a loop in the network.",
        );
    }
    if runner == "lacp" {
        lacp(&ports, crosses, findings);
    }
}

fn one_network(facts: &Facts, runner: &str, crossed: &[&str], findings: &mut Findings) {
    let seen = format!(
        "What leaves on one of {} comes in on another: the switch does not aggregate them",
        and(crossed)
    );
    let master = facts
        .device
        .as_ref()
        .and_then(|device| device.master.as_deref());
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
                master.unwrap_or("the bridge")
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

fn lacp(ports: &[Port<'_>], crosses: bool, findings: &mut Findings) {
    const NOBODY: &str = "00:00:00:00:00:00";
    let partner = |port: &Port<'_>| {
        let system = port.text("/runner/partner_lacpdu_info/system");
        system.map(str::to_owned)
    };
    let linked: Vec<Port<'_>> = ports.iter().copied().filter(|port| port.linked()).collect();
    let alone: Vec<&str> = linked
        .iter()
        .filter(|port| partner(port).is_some_and(|system| system == NOBODY))
        .map(|port| port.name)
        .collect();
    if !alone.is_empty() && !crosses {
        findings.problem(
            "lacp-no-partner",
            format!("Nobody speaks LACP on {}.", and(&alone)),
            "Turn LACP on for these ports of the switch, active if the team is passive.",
        );
    }
    let systems: BTreeSet<String> = linked
        .iter()
        .filter_map(partner)
        .filter(|system| system != NOBODY)
        .collect();
    if systems.len() > 1 {
        let systems: Vec<&str> = systems.iter().map(String::as_str).collect();
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
        .filter(|port| partner(port).is_some_and(|system| system != NOBODY))
        .filter(|port| port.flag("/runner/selected") == Some(false))
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
