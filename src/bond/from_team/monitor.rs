//! Translates link watches to the one monitor of a bond.

use std::net::IpAddr;

use json_config::keys::Object;
use serde_json::Value;

use super::{MIIMON, Members, in_ticks};
use crate::bond::model::Notes;
use crate::bond::options::{Opt, Options};

/// Sets the monitor, which a bond uses for all ports: ARP if any watch probes, else the carrier.
pub(super) fn monitor(team: Members<'_>, options: &mut Options, notes: &mut Notes) {
    let mut watches = team.watches();
    let ports = team.value("ports").and_then(Value::as_object);
    for (name, port) in ports.into_iter().flatten() {
        let own = Members(Object::Port, port.as_object());
        if watches.is_empty() {
            watches = own.watches();
        } else if own.value("link_watch").is_some()
            && own.value("link_watch") != team.value("link_watch")
        {
            notes.lost(format_args!("ports.{name}.link_watch"), "a bond watches all ports alike");
        }
    }
    let named = |names: &[&str]| -> Vec<Members<'_>> {
        let found = watches.iter().copied();
        found.filter(|watch| watch.text("name").is_some_and(|name| names.contains(&name))).collect()
    };
    let (plain, probes) = (named(&["ethtool"]), named(&["arp_ping", "nsna_ping"]));
    for (name, reason) in [
        ("tipc", "a bond does not know TIPC"),
        ("bfd", "a bond has no BFD"),
        ("probe", "a bond sends no probes between its ports"),
        ("lacp", "a bond speaks LACP in mode 802.3ad only"),
        ("errors", "a bond does not judge corrupted frames"),
    ] {
        if !named(&[name]).is_empty() {
            notes.lost(format_args!("link_watch.name={name}"), reason);
        }
    }
    if probes.is_empty() || options.mode() > 3 {
        for probe in &probes {
            let name = probe.text("name").unwrap_or_default();
            notes.lost(
                format_args!("link_watch.name={name}"),
                "a bond has no ARP monitor in this mode",
            );
        }
        options.put(Opt::Miimon, MIIMON);
        for (opt, key) in [(Opt::UpDelay, "delay_up"), (Opt::DownDelay, "delay_down")] {
            let delay = plain.iter().map(|watch| watch.number(key)).max();
            if let Some(delay) = delay.filter(|delay| *delay > 0) {
                options.put(opt, in_ticks(&format!("link_watch.{key}"), delay, notes));
            }
        }
        return;
    }
    if !plain.is_empty() {
        notes.lost("link_watch.name=ethtool", "arp_interval excludes miimon");
    }
    probe(&probes, options, notes);
    if team.text("link_watch_policy") == Some("all") {
        options.put(Opt::ArpAllTargets, "all");
    }
}

/// Sets the options of the ARP monitor.
fn probe(probes: &[Members<'_>], options: &mut Options, notes: &mut Notes) {
    let mut lost = |key: &str, value: &Value, reason: &str| {
        notes.lost(format_args!("link_watch.{key}={value}"), reason);
    };
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for probe in probes {
        let target = probe.text("target_host").unwrap_or_default();
        match target.parse() {
            Ok(IpAddr::V4(address)) => ipv4.push(address.to_string()),
            Ok(IpAddr::V6(address)) => ipv6.push(address.to_string()),
            Err(_) => lost("target_host", &target.into(), "a bond takes no host names"),
        }
        for (key, reason) in [
            ("vlanid", "a bond finds the VLAN by its route"),
            ("init_wait", "a bond asks at once"),
            ("send_always", "a bond asks on ports that carry"),
            ("retry_interval", "a bond asks once an interval"),
        ] {
            let value = probe.value(key);
            if let Some(value) = value.filter(|value| **value != false && **value != 0) {
                lost(key, value, reason);
            }
        }
    }
    options.put(Opt::ArpIpTarget, ipv4.join(","));
    options.put(Opt::NsIp6Target, ipv6.join(","));
    probing(probes, options, notes);
}

/// Sets the interval, the limit of missed answers and the validation, which a bond has once for all
/// targets.
fn probing(probes: &[Members<'_>], options: &mut Options, notes: &mut Notes) {
    let mut lost = |key: &str, value: &Value| {
        let reason = "a bond asks all targets alike; the first watch counts";
        notes.lost(format_args!("link_watch.{key}={value}"), reason);
    };
    let Some(first) = probes.first() else { return };
    // Only an arp_ping has validation.
    let arp = probes.iter().find(|probe| probe.text("name") == Some("arp_ping"));
    for probe in probes {
        let is_arp = probe.text("name") == Some("arp_ping");
        for key in ["interval", "missed_max"] {
            if probe.number(key) != first.number(key) {
                lost(key, &probe.number(key).into());
            }
        }
        for key in ["validate_active", "validate_inactive"] {
            if is_arp && arp.is_some_and(|arp| probe.flag(key) != arp.flag(key)) {
                lost(key, &probe.flag(key).into());
            }
        }
    }
    options.put(Opt::ArpInterval, first.number("interval"));
    // The driver's value is one greater than that of a watch; see `to_team`.
    let missed = first.number("missed_max").saturating_add(1);
    options.put(Opt::ArpMissedMax, missed.clamp(1, 255));
    let validates = |key| arp.is_some_and(|arp| arp.flag(key));
    let validate = match (validates("validate_active"), validates("validate_inactive")) {
        (true, true) => "all",
        (true, false) => "active",
        (false, true) => "backup",
        (false, false) => "none",
    };
    options.put(Opt::ArpValidate, validate);
}
