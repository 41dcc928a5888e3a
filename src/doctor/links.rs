//! The ports: their links, watches and counters.

use std::collections::BTreeSet;

use serde_json::Value;

use super::facts::Port;
use super::{CardFacts, Facts, Findings, and, are, have};
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
    report_exclusions(facts, findings);
    report_links(facts, findings);
    report_watches(facts, findings);
    report_min_ports(facts, findings);
    report_half_duplex(facts, findings);
    report_speeds(facts, findings);
    report_mtu(facts, findings);
    report_flaps(facts, findings);
    report_losses(facts, findings);
    report_traffic_control(facts, findings);
    report_active_port(facts, findings);
}

fn report_device(facts: &Facts, findings: &mut Findings) {
    let Some(device) = &facts.device else {
        return;
    };
    let name = facts.device_name();
    if !device.up {
        findings.problem(
            "device-down",
            format!("The team device {name} is set down."),
            format!("Set it up: ip link set dev {name} up."),
        );
    } else if !device.used {
        findings.notice(
            "device-unused",
            format!("{name} has no address, and no other interface uses it."),
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
    let refusing = facts.named(|port| port.hwaddr_refused());
    if !refusing.is_empty() {
        findings.problem(
            "hwaddr-refused",
            format!(
                "{} out of forwarding: the interface refuses the team's address.",
                are(&refusing)
            ),
            "Let its driver or hypervisor permit the address, or set runner activebackup with \
             \"hwaddr_policy\": \"by_active\".",
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

/// Reports ports that a gate, damping, a drain or corrupted frames keep from carrying traffic.
fn report_exclusions(facts: &Facts, findings: &mut Findings) {
    let gated = facts.named(|port| port.gated());
    if !gated.is_empty() {
        findings.problem(
            "gate-closed",
            format!("{} kept out of forwarding by a closed gate.", are(&gated)),
            "Open it: teamrctl state item set ports.PORT.gate true, or with lacp \
             ports.PORT.runner.macsec_gate true.",
        );
    }
    let suppressed = facts.ports().into_iter().filter(|port| port.suppressed());
    for port in suppressed {
        let seconds = port.damping.or_empty().ends_in.unwrap_or(0).div_ceil(1000);
        findings.problem(
            "port-suppressed",
            format!(
                "{} is kept out by damping for {seconds} s more: its link was lost too often.",
                port.name
            ),
            "Change the cable or the transceiver; a link that stays up lets the port in again.",
        );
    }
    for port in facts.ports() {
        let Some(ratio) = port.corruption() else {
            continue;
        };
        let so = match port.corrupting() {
            true => "and carries nothing",
            false => "and carries on, because too few others could",
        };
        findings.problem(
            "port-corrupting",
            format!("{} of a million frames came in damaged on {}, {so}.", ratio, port.name),
            "Clean or change the cable and the transceiver, at both ends.",
        );
    }
    let drained = facts.named(|port| port.drained());
    if drained.is_empty() {
        return;
    }
    let cure = "End the drain when the work is done: teamrctl port undrain PORT.";
    match facts.named(|port| port.linked() && port.admitted()).is_empty() {
        true => findings.problem(
            "port-drained",
            format!("The team has no carrier: {} drained, and no other can carry.", are(&drained)),
            cure,
        ),
        false => findings.notice("port-drained", format!("{} drained.", are(&drained)), cure),
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
        watches.any(|(_, watch)| {
            let asks = !matches!(watch.name.as_deref(), Some("ethtool" | "errors" | "lacp"));
            asks && watch.up != Some(true)
        })
    };
    let unanswered = facts.named(|port| is_down(port) && lacks_reply(port));
    if !unanswered.is_empty() {
        findings.problem(
            "watch-unanswered",
            format!("{} a link, but the link watch gets no answer.", have(&unanswered)),
            "See that \"target_host\" (bfd: \"peer_address\"; probe: another port) is alive and in this \
             network or VLAN, and that no firewall, rp_filter or arp_ignore there drops its answers.",
        );
    }
    let without_partner = facts.ports().into_iter().filter(|port| is_down(port));
    for (port, why) in without_partner.filter_map(|port| Some((port, port.lacp_watch_down()?))) {
        findings.problem(
            "watch-no-partner",
            format!("{} has a link, but the watch lacp is down: {why}.", port.name),
            "At the switch, put this port alone into an aggregate with LACP.",
        );
    }
    let delayed =
        facts.named(|port| is_down(port) && !lacks_reply(port) && port.lacp_watch_down().is_none());
    if !delayed.is_empty() {
        findings.notice(
            "link-delayed",
            format!("{} a link, and \"delay_up\" has not passed yet.", have(&delayed)),
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
    let linked = facts.named(|port| port.linked() && port.admitted()).len() as u64;
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
            format!("{} another MTU than the team device's {mtu}.", have(&unlike)),
            "Set the MTU of the team device anew; its ports follow.",
        );
    }
}

fn report_flaps(facts: &Facts, findings: &mut Findings) {
    let flapping = facts.named(|port| port.down_count() >= FLAPS);
    if !flapping.is_empty() {
        findings.problem(
            "link-flaps",
            format!("The link of {} went down {FLAPS} times or more.", and(&flapping)),
            "Change the cable or the transceiver; \"damping\" keeps a bad link out.",
        );
    }
}

/// Reports frames and events that were lost since the start.
fn report_losses(facts: &Facts, findings: &mut Findings) {
    let losing = facts.named(|port| port.teamr.or_empty().rx_missed > Some(0));
    if !losing.is_empty() {
        findings.notice(
            "frames-missed",
            format!("Frames came faster on {} than the daemon could take them.", and(&losing)),
            "Use the kernel's data path where there is one, or give the daemon more processor time.",
        );
    }
    let dropping = facts.named(|port| port.teamr.or_empty().tx_dropped > Some(0));
    if !dropping.is_empty() {
        findings.notice(
            "frames-dropped",
            format!("Frames could not be sent on {}.", and(&dropping)),
            "Its queue was full, or its link was lost: see whether tx_dropped of the port grows.",
        );
    }
    let own = facts.state.as_ref().and_then(|state| state.teamr.as_ref());
    let errors = own.and_then(|own| own.rx_drop_errors.as_deref()).unwrap_or_default();
    if let Some(count) = errors.split(", ").find_map(|error| error.strip_prefix("EINVAL ")) {
        findings.notice(
            "frames-undescribed",
            format!(
                "Merged frames that the kernel cannot describe to the relay were lost: {count}."
            ),
            "If the number grows: Linux 6.2 can, and so can data_path programs; or switch \
             tx-udp-segmentation off at the other end of a port that is a veth.",
        );
    }
    if own.and_then(|own| own.resyncs) > Some(0) {
        findings.notice(
            "events-lost",
            "The kernel dropped link events, and the daemon read all links again.",
            "Raise TEAM_EVENT_BUFSIZE in the daemon's environment.",
        );
    }
}

/// Reports filters of other programs where the team has its own.
fn report_traffic_control(facts: &Facts, findings: &mut Findings) {
    let own = facts.state.as_ref().and_then(|state| state.teamr.as_ref());
    if own.and_then(|own| own.hooks_restored) > Some(0) {
        findings.notice(
            "filters-removed",
            "Another program removed the team's filters, and the daemon put them back.",
            "See the log for the interface and the time, and keep that program off the ports.",
        );
    }
    for (name, card) in facts.cards.iter().filter(|(_, card)| !card.foreign_filters.is_empty()) {
        findings.notice(
            "foreign-filter",
            format!("On {name} another program's {} runs first.", card.foreign_filters.join(", ")),
            format!(
                "See that it passes frames on: tc filter show dev {name} ingress, and egress, and \
                 bpftool net show dev {name}; else give it a preference above 39, or as a TCX \
                 program a place after the team's."
            ),
        );
    }
    let by_driver = own.and_then(|own| own.data_path.as_deref()) == Some("kernel");
    report_port_users(facts, by_driver, findings);
    let policed = facts.cards.iter().filter(|(_, card)| card.ingress_qdisc && !by_driver);
    let policed: Vec<&str> = policed.map(|(name, _)| name.as_str()).collect();
    if !policed.is_empty() {
        findings.notice(
            "ingress-qdisc",
            format!("{} an ingress qdisc, whose filters see no frame of the team.", have(&policed)),
            "The host may send by the port, too: use clsact, and police on the team device.",
        );
    }
}

/// Reports queueing disciplines and programs on a port itself; not with the kernel's driver, under
/// which the host may use a port.
fn report_port_users(facts: &Facts, by_driver: bool, findings: &mut Findings) {
    /// Kinds that choose a class by a packet's priority or mark.
    const CLASSFUL: [&str; 9] =
        ["drr", "ets", "hfsc", "htb", "mqprio", "multiq", "prio", "qfq", "taprio"];
    let named = |wanted: &dyn Fn(&CardFacts) -> bool| -> Vec<&str> {
        let cards = facts.cards.iter().filter(|(_, card)| !by_driver && wanted(card));
        cards.map(|(name, _)| name.as_str()).collect()
    };
    let is_classful =
        |card: &CardFacts| card.qdisc.as_deref().is_some_and(|kind| CLASSFUL.contains(&kind));
    let classful = named(&is_classful);
    if !classful.is_empty() {
        findings.notice(
            "port-qdisc",
            format!(
                "{} a queueing discipline with classes, and the team's frames come there without \
                 priority and mark.",
                have(&classful)
            ),
            "Put it on the team device, or classify by DSCP or VLAN priority.",
        );
    }
    let ptp = named(&|card| card.ptp);
    if !ptp.is_empty() {
        findings.notice(
            "ptp-on-port",
            format!("A program uses PTP on {} itself, and can send nothing there.", and(&ptp)),
            "Run it on the team device, have it use 01:80:C2:00:00:0E, or use the data path \
             \"kernel\".",
        );
    }
}

/// Reports an active port although another one has the higher prio, unless the configuration
/// explains it.
fn report_active_port(facts: &Facts, findings: &mut Findings) {
    let runner = facts.state.as_ref().and_then(|state| state.runner.as_ref());
    let active = runner.and_then(|runner| runner.active_port.as_deref());
    let ports = facts.ports();
    let Some(active) = ports.iter().find(|port| active == Some(port.name)) else {
        return;
    };
    let own = facts.state.as_ref().and_then(|state| state.teamr.as_ref());
    if let Some(waiting) = own.and_then(|own| own.failback_waits.as_deref()) {
        findings.notice(
            "failback-waits",
            format!("{waiting} is the better port and up, but its switch does not forward yet."),
            "Make it an edge port of the spanning tree (portfast), or set \"failback_probe\" to \
             false.",
        );
        return;
    }
    let prio = |name: &str| facts.config["ports"][name]["prio"].as_i64().unwrap_or(0);
    let explained = |better: &Port<'_>| match facts.config.pointer("/runner/failback") {
        Some(policy) if policy == "failure" => true,
        Some(policy) if policy == "better" => better.speed() <= active.speed(),
        _ => false,
    };
    let better = ports.iter().find(|port| {
        let usable = port.linked() && port.watched_up() && port.admitted();
        usable && !port.hwaddr_refused() && prio(port.name) > prio(active.name) && !explained(port)
    });
    let sticky = facts.config["ports"][active.name]["sticky"] == true;
    if let Some(better) = better.filter(|_| !sticky) {
        let delay = facts.config.pointer("/runner/failback_delay").and_then(Value::as_u64);
        let why = match delay {
            Some(1..) => "chosen by hand, or \"failback_delay\" has not passed",
            _ => "chosen by hand",
        };
        let (active, better) = (active.name, better.name);
        findings.notice(
            "active-by-hand",
            format!("{active} is active, {why}, and {better} has the higher prio."),
            format!("Choose it: teamrctl state item set runner.active_port {better}."),
        );
    }
}
