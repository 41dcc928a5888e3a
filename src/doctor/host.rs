//! The addresses of the host, and what the daemon needs of the host.

use super::{Facts, Findings, and, have};
use crate::state::OrEmpty;

pub(super) fn diagnose(facts: &Facts, findings: &mut Findings) {
    report_port_addresses(facts, findings);
    report_shared_addresses(facts, findings);
    report_relay(facts, findings);
}

/// Reports ports with IP addresses of their own.
fn report_port_addresses(facts: &Facts, findings: &mut Findings) {
    for (name, card) in facts.cards.iter().filter(|(_, card)| !card.addresses.is_empty()) {
        let addresses: Vec<&str> = card.addresses.iter().take(3).map(String::as_str).collect();
        let device = facts.device_name();
        findings.problem(
            "port-with-address",
            format!("Port {name} has the address {}: the host sends by the port.", and(&addresses)),
            format!("Give it to the team: ip address flush dev {name}, then add it to {device}."),
        );
    }
}

/// Reports interfaces with an address of the team device, other than its ports.
fn report_shared_addresses(facts: &Facts, findings: &mut Findings) {
    let Some(device) = &facts.device else {
        return;
    };
    let name = facts.device_name();
    let elsewhere = device.addresses_elsewhere.iter();
    for (address, other) in elsewhere.filter(|(_, other)| !facts.cards.contains_key(other)) {
        findings.problem(
            "address-twice",
            format!("{other} has {address}, too, so answers may leave by {other}."),
            format!("Remove one: ip address del {address} dev {other}, or dev {name}."),
        );
    }
    let same: Vec<&str> = device.hwaddr_elsewhere.iter().map(String::as_str).collect();
    if !same.is_empty() {
        findings.problem(
            "hwaddr-twice",
            format!("{} the hardware address of {name}, and is no port of it.", have(&same)),
            "Give each network an address once: set \"hwaddr\" of the team, or that of the other \
             interface.",
        );
    }
}

/// Reports that the daemon moves every frame because programs failed.
fn report_relay(facts: &Facts, findings: &mut Findings) {
    let own = facts.state.as_ref().and_then(|state| state.teamr.as_ref());
    let relayed = own.and_then(|own| own.data_path.as_deref()) == Some("relay");
    let refused = own.and_then(|own| own.data_path_refused.or_empty().programs.as_deref());
    if let Some(why) = refused.filter(|_| relayed) {
        findings.notice(
            "relay-in-use",
            format!("Every frame passes through the daemon: data path programs fails ({why})."),
            "Remove the cause, or accept the relay: set \"data_path\" to \"relay\".",
        );
    }
}
