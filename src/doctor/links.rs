//! The ports: their links, watches and counters.

use std::collections::BTreeSet;

use super::facts::Port;
use super::{Facts, Findings, and, are};
use crate::state::OrEmpty;

/// Runners under which one slow port slows the others.
const EVEN: [&str; 4] = ["roundrobin", "random", "broadcast", "lacp"];
/// Down count from which a link counts as flapping.
const FLAPS: i64 = 5;

pub(super) fn diagnose(facts: &Facts, findings: &mut Findings) {
    if facts.state.is_none() {
        return;
    }
    report_device(facts, findings);
    report_missing(facts, findings);
    report_links(facts, findings);
    report_watches(facts, findings);
    report_min_ports(facts, findings);
    report_half_duplex(facts, findings);
    report_speeds(facts, findings);
    report_mtu(facts, findings);
    report_flaps(facts, findings);
    report_losses(facts, findings);
    report_active_port(facts, findings);
}

fn report_device(facts: &Facts, findings: &mut Findings) {
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

fn report_missing(facts: &Facts, findings: &mut Findings) {
    let present = facts.named(|_| true);
    let configured = facts.configured_ports().into_iter();
    let missing: Vec<&str> = configured.filter(|name| !present.contains(name)).collect();
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
}

fn report_links(facts: &Facts, findings: &mut Findings) {
    let unlinked = facts.named(|port| !port.linked());
    if unlinked.is_empty() {
        return;
    }
    if unlinked.len() == facts.ports().len() {
        findings.problem(
            "no-link",
            format!("No port has a link: {}.", and(&unlinked)),
            "Check the cables and the switch.",
        );
    } else {
        findings.problem(
            "port-without-link",
            format!("{} without a link.", are(&unlinked)),
            "Check its cable, and that the switch port is on.",
        );
    }
}

/// Reports ports with a link that their watches do not accept.
fn report_watches(facts: &Facts, findings: &mut Findings) {
    let is_down = |port: &Port<'_>| port.linked() && !port.watched_up();
    let lacks_reply = |port: &Port<'_>| {
        let mut watches = port.watches();
        watches.any(|(_, watch)| watch.name.as_deref() != Some("ethtool") && watch.up != Some(true))
    };
    let unanswered = facts.named(|port| is_down(port) && lacks_reply(port));
    if !unanswered.is_empty() {
        findings.problem(
            "watch-unanswered",
            format!(
                "The link watch gets no answer on {}, which has a link.",
                and(&unanswered)
            ),
            "See that \"target_host\" is alive and in this network or VLAN, and that no firewall, \
             rp_filter or arp_ignore there keeps it from answering.",
        );
    }
    let delayed = facts.named(|port| is_down(port) && !lacks_reply(port));
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
}

fn report_min_ports(facts: &Facts, findings: &mut Findings) {
    // The user may have set the item of lacp since the start.
    let runner = facts.state.as_ref().and_then(|state| state.runner.as_ref());
    let configured = || facts.config.pointer("/runner/min_ports")?.as_u64();
    let min_ports = runner.and_then(|runner| runner.min_ports);
    let min_ports = min_ports.or_else(configured).unwrap_or(1);
    let linked = facts.named(|port| port.linked() && port.allowed()).len() as u64;
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

fn report_half_duplex(facts: &Facts, findings: &mut Findings) {
    let half = facts.named(|port| {
        let duplex = port.link.or_empty().duplex.as_deref();
        port.linked() && port.speed().is_some() && duplex == Some("half")
    });
    if !half.is_empty() {
        findings.problem(
            "half-duplex",
            format!("{} half duplex.", are(&half)),
            "Let both ends negotiate, or set both alike: a fixed end makes the other half duplex.",
        );
    }
}

fn report_speeds(facts: &Facts, findings: &mut Findings) {
    let linked = facts.linked_ports();
    let speeds: BTreeSet<i64> = linked.iter().filter_map(|port| port.speed()).collect();
    if speeds.len() > 1 {
        let speeds: Vec<String> = speeds.iter().map(i64::to_string).collect();
        let speeds: Vec<&str> = speeds.iter().map(String::as_str).collect();
        let cause = format!("The ports have different speeds: {} Mbit/s.", and(&speeds));
        let cure = "Use ports of one speed, and check why one negotiated less.";
        match EVEN.contains(&facts.runner()) {
            true => findings.problem("speed-unlike", cause, cure),
            false => findings.notice("speed-unlike", cause, cure),
        }
    }
}

fn report_mtu(facts: &Facts, findings: &mut Findings) {
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

fn report_flaps(facts: &Facts, findings: &mut Findings) {
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
}

/// Reports frames and events that were lost since the start.
fn report_losses(facts: &Facts, findings: &mut Findings) {
    let losing = facts.named(|port| port.teamr.or_empty().rx_missed > Some(0));
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
    let dropping = facts.named(|port| port.teamr.or_empty().tx_dropped > Some(0));
    if !dropping.is_empty() {
        findings.notice(
            "frames-dropped",
            format!("Frames could not be sent on {}.", and(&dropping)),
            "Its queue was full, or its link just gone: see whether the number grows.",
        );
    }
    let own = facts.state.as_ref().and_then(|state| state.teamr.as_ref());
    if own.and_then(|own| own.resyncs) > Some(0) {
        findings.notice(
            "events-lost",
            "The kernel had more news than room for them, and all links were read anew.",
            "Raise TEAM_EVENT_BUFSIZE in the daemon's environment.",
        );
    }
}

/// Reports an active port that was chosen by hand although another one has the higher prio.
fn report_active_port(facts: &Facts, findings: &mut Findings) {
    let runner = facts.state.as_ref().and_then(|state| state.runner.as_ref());
    let active = runner.and_then(|runner| runner.active_port.as_deref());
    let Some(active) = active.filter(|active| !active.is_empty()) else {
        return;
    };
    let prio = |name: &str| facts.config["ports"][name]["prio"].as_i64().unwrap_or(0);
    let sticky = facts.config["ports"][active]["sticky"] == true
        || facts.config.pointer("/runner/failback").is_some();
    let ports = facts.ports();
    let better = ports.iter().find(|port| {
        port.linked() && port.watched_up() && port.allowed() && prio(port.name) > prio(active)
    });
    if let Some(better) = better.filter(|_| !sticky) {
        let better = better.name;
        findings.notice(
            "active-by-hand",
            format!("{active} is active, chosen by hand, and {better} has the higher prio."),
            format!("Choose it: teamrctl state item set runner.active_port {better}."),
        );
    }
}

fn have(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "has" } else { "have" };
    format!("{} {verb}", and(names))
}
