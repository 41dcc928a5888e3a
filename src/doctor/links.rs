//! Ports, their links and their counters.

use std::collections::BTreeSet;

use super::facts::Port;
use super::{Facts, Findings, and, are};

/// Runners under which one slow port slows the others.
const EVEN: [&str; 4] = ["roundrobin", "random", "broadcast", "lacp"];
/// Times that a link may have gone before it looks ill.
const FLAPS: u64 = 5;

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    if !facts.runs() {
        return;
    }
    device(facts, findings);
    presence(facts, findings);
    likeness(facts, findings);
    wear(facts, findings);
}

fn device(facts: &Facts, findings: &mut Findings) {
    let Some(device) = &facts.device else {
        return;
    };
    let name = facts.config["device"].as_str().unwrap_or("team0");
    if !device.up {
        findings.problem(
            "device-down",
            format!("The team device {name} is set down."),
            format!("Set it up: ip link set dev {name} up."),
        );
    } else if !device.used {
        findings.notice(
            "device-unused",
            format!("{name} has no address, and nothing stands on it."),
            format!("Give it an address, a VLAN or a bridge: ip address add ... dev {name}."),
        );
    }
}

fn presence(facts: &Facts, findings: &mut Findings) {
    let ports = facts.ports();
    let present = facts.named(|_| true);
    let missing: Vec<&str> = facts
        .configured_ports()
        .into_iter()
        .filter(|name| !present.contains(name))
        .collect();
    if !missing.is_empty() {
        findings.problem(
            "port-missing",
            format!("{} configured and not in the team.", are(&missing)),
            "If the interface exists, set it down and add it: teamrctl port add INTERFACE.",
        );
    }
    let forbidden = facts.named(|port| !port.allowed());
    if !forbidden.is_empty() {
        findings.problem(
            "port-forbidden",
            format!("{} kept out of forwarding by hand.", are(&forbidden)),
            "Allow it: teamrctl state item set ports.PORT.teamr.allowed true.",
        );
    }
    let unlinked = facts.named(|port| !port.linked());
    if !ports.is_empty() && unlinked.len() == ports.len() {
        findings.problem(
            "no-link",
            format!("No port has a link: {}.", and(&unlinked)),
            "Check the cables and the switch.",
        );
    } else if !unlinked.is_empty() {
        findings.problem(
            "port-without-link",
            format!("{} without a link.", are(&unlinked)),
            "Check its cable, and that the switch port is on.",
        );
    }
    let unanswered: Vec<Port<'_>> = ports
        .iter()
        .copied()
        .filter(|port| port.linked() && !port.watched_up())
        .collect();
    let asked = |port: &Port<'_>| {
        let mut watches = port.watches();
        watches.any(|(name, up)| name != "ethtool" && !up)
    };
    let silent: Vec<&str> = unanswered
        .iter()
        .filter(|port| asked(port))
        .map(|port| port.name)
        .collect();
    if !silent.is_empty() {
        findings.problem(
            "watch-unanswered",
            format!(
                "The link watch gets no answer on {}, which has a link.",
                and(&silent)
            ),
            "See that \"target_host\" is alive and in this network or VLAN, and that no firewall, \
             rp_filter or arp_ignore there keeps it from answering.",
        );
    }
    let delayed: Vec<&str> = unanswered
        .iter()
        .filter(|port| !asked(port))
        .map(|port| port.name)
        .collect();
    if !delayed.is_empty() {
        findings.notice(
            "link-delayed",
            format!(
                "{} a link, and \"delay_up\" has not passed yet.",
                have(&delayed)
            ),
            "Wait, or lower \"link_watch.delay_up\".",
        );
    }
    // lacp's may have changed since the start.
    let min_ports = facts.state.pointer("/runner/min_ports");
    let min_ports = min_ports.or_else(|| facts.config.pointer("/runner/min_ports"));
    let min_ports = min_ports.and_then(serde_json::Value::as_u64).unwrap_or(1);
    let linked = ports
        .iter()
        .filter(|port| port.linked() && port.allowed())
        .count() as u64;
    if linked < min_ports && linked > 0 {
        findings.problem(
            "min-ports-unmet",
            format!(
                "The team has no carrier: {linked} ports have a link, \"min_ports\" is {min_ports}."
            ),
            "Bring more links up, or lower \"runner.min_ports\".",
        );
    }
}

fn likeness(facts: &Facts, findings: &mut Findings) {
    let linked: Vec<Port<'_>> = facts
        .ports()
        .into_iter()
        .filter(|port| port.linked())
        .collect();
    let half: Vec<&str> = linked
        .iter()
        .filter(|port| port.number("/link/speed") > 0)
        .filter(|port| port.text("/link/duplex") == Some("half"))
        .map(|port| port.name)
        .collect();
    if !half.is_empty() {
        findings.problem(
            "half-duplex",
            format!("{} half duplex.", are(&half)),
            "Let both ends negotiate, or set both alike: a fixed end makes the other half duplex.",
        );
    }
    let speeds: BTreeSet<u64> = linked
        .iter()
        .map(|port| port.number("/link/speed"))
        .collect();
    let speeds: Vec<String> = speeds
        .iter()
        .filter(|speed| **speed > 0)
        .map(u64::to_string)
        .collect();
    if speeds.len() > 1 {
        let speeds: Vec<&str> = speeds.iter().map(String::as_str).collect();
        let cause = format!("The ports have different speeds: {} Mbit/s.", and(&speeds));
        let cure = "Use ports of one speed, and check why one negotiated less.";
        match EVEN.contains(&facts.runner()) {
            true => findings.problem("speed-unlike", cause, cure),
            false => findings.notice("speed-unlike", cause, cure),
        }
    }
    let Some(mtu) = facts.device.as_ref().and_then(|device| device.mtu) else {
        return;
    };
    let unlike = facts.named(|port| {
        let card = facts.cards.get(port.name);
        card.and_then(|card| card.mtu).is_some_and(|own| own != mtu)
    });
    if !unlike.is_empty() {
        findings.problem(
            "mtu-unlike",
            format!(
                "{} another MTU than the team device's {mtu}.",
                have(&unlike)
            ),
            "Set the MTU of the team device anew; its ports follow.",
        );
    }
}

/// What has happened since the start.
fn wear(facts: &Facts, findings: &mut Findings) {
    let flapping = facts.named(|port| port.down_count() >= FLAPS);
    if !flapping.is_empty() {
        findings.problem(
            "link-flaps",
            format!(
                "The link of {} went down {FLAPS} times or more.",
                and(&flapping)
            ),
            "Change the cable or the transceiver; \"link_watch.delay_up\" keeps a bad link out.",
        );
    }
    let losing = facts.named(|port| port.number("/teamr/rx_missed") > 0);
    if !losing.is_empty() {
        findings.notice(
            "frames-missed",
            format!(
                "Frames came faster on {} than the daemon could take them.",
                and(&losing)
            ),
            "Use the kernel's data path where there is one, or give the daemon more processor.",
        );
    }
    let dropping = facts.named(|port| port.number("/teamr/tx_dropped") > 0);
    if !dropping.is_empty() {
        findings.notice(
            "frames-dropped",
            format!("Frames could not be sent on {}.", and(&dropping)),
            "Its queue was full, or its link just gone: see whether the number grows.",
        );
    }
    let resyncs = facts.state.pointer("/teamr/resyncs");
    if resyncs.and_then(serde_json::Value::as_u64).unwrap_or(0) > 0 {
        findings.notice(
            "events-lost",
            "The kernel had more news than room for them, and all links were read anew.",
            "Raise TEAM_EVENT_BUFSIZE in the daemon's environment.",
        );
    }
    let active = facts.state.pointer("/runner/active_port");
    let ports = facts.ports();
    let active = active.and_then(serde_json::Value::as_str);
    let prio = |name: &str| facts.config["ports"][name]["prio"].as_i64().unwrap_or(0);
    if let Some(active) = active.filter(|active| !active.is_empty()) {
        let sticky = facts.config["ports"][active]["sticky"] == true
            || facts.config.pointer("/runner/failback").is_some();
        let better = ports.iter().find(|port| {
            port.linked() && port.watched_up() && port.allowed() && prio(port.name) > prio(active)
        });
        if let Some(better) = better.filter(|_| !sticky) {
            findings.notice(
                "active-by-hand",
                format!(
                    "{active} is active, chosen by hand, and {} has the higher prio.",
                    better.name
                ),
                format!(
                    "Choose it: teamrctl state item set runner.active_port {}.",
                    better.name
                ),
            );
        }
    }
}

fn have(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "has" } else { "have" };
    format!("{} {verb}", and(names))
}
