//! The kernel's bond: the findings of the team that [`import`](crate::bond) makes of a bond, in the
//! words of bonding, and what only a bond can have.

use super::{Facts, Finding, Findings, diagnose};

/// Words of a team and of a bond, in the order of their replacement.
const WORDS: [(&str, &str); 8] = [
    ("The team device", "The bond"),
    ("the team device", "the bond"),
    ("The team", "The bond"),
    ("the team", "the bond"),
    ("\"runner.min_ports\"", "min_links"),
    ("\"min_ports\"", "min_links"),
    ("The link watch", "The ARP monitor"),
    ("keeps the watch of", "keeps the ARP monitor of"),
];

/// Returns the findings about a bond of the kernel, whose facts are in the terms of a team; problems
/// first, causes before their consequences.
pub fn diagnose_bond(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    if facts.unmonitored {
        findings.problem(
            "bond-unmonitored",
            "miimon and arp_interval are 0: the bond goes on to send by a port without a link.",
            format!(
                "Watch the links: ip link set dev {} type bond miimon 100.",
                facts.device_name()
            ),
        );
    }
    let of_team = diagnose(facts).into_iter();
    findings.0.extend(of_team.map(|finding| in_words_of_bonding(finding, facts)));
    findings.sorted()
}

fn in_words_of_bonding(finding: Finding, facts: &Facts) -> Finding {
    let cause = match finding.id {
        "hash-by-address" => "xmit_hash_policy is layer2: all that goes through one router leaves \
                              on one port."
            .to_owned(),
        "plain-switch" => finding.cause.replace(&format!("\"{}\"", facts.runner()), mode(facts)),
        "link-delayed" => finding.cause.replace("\"delay_up\"", "updelay"),
        _ => finding.cause,
    };
    let cure = cure(finding.id, facts).unwrap_or(finding.cure);
    let worded =
        |text: String| WORDS.iter().fold(text, |text, (team, bond)| text.replace(team, bond));
    Finding { cause: worded(cause), cure: worded(cure), ..finding }
}

/// Returns the mode that becomes the runner of the facts.
fn mode(facts: &Facts) -> &str {
    match facts.runner() {
        "roundrobin" | "random" => "balance-rr",
        "activebackup" => "active-backup",
        "loadbalance" => "balance-xor",
        "lacp" => "802.3ad",
        "tlb" => "balance-tlb",
        "alb" => "balance-alb",
        other => other,
    }
}

/// Returns the cure of a finding where a bond has another one than a team.
fn cure(id: &str, facts: &Facts) -> Option<String> {
    let device = facts.device_name();
    let set = |option: &str| format!("ip link set dev {device} type bond {option}");
    Some(match id {
        "no-ports" => format!("Add interfaces: ip link set dev INTERFACE master {device}."),
        "min-ports-too-many" | "min-ports-unmet" => {
            format!("Bring more links up, or lower it: {}.", set("min_links N"))
        }
        "hash-by-address" => {
            format!("Hash more of each frame: {}.", set("xmit_hash_policy layer3+4"))
        }
        "arp-unvalidated" => format!("Check what comes in: {}.", set("arp_validate all")),
        "virtual-port" => "Watch it with arp_interval and arp_ip_target, or use the interface \
                           below it."
            .to_owned(),
        "separate-networks" => format!(
            "Plug all of them into one network as plain ports; {} needs no aggregate.",
            mode(facts)
        ),
        "own-addresses-return" => {
            "Look for a loop in the network; the runner \"slb\" of a team drops \
                                   such frames."
                .to_owned()
        }
        "broadcast-one-network" => {
            "Plug them into separate networks, or use active-backup.".to_owned()
        }
        "guests-on-plain-switch" | "plain-switch" => {
            "Configure an aggregate on the switch, or use active-backup, or a team with the runner \
             \"slb\", which needs nothing of the switch."
                .to_owned()
        }
        "lacp-no-partner" => {
            "Turn LACP on for these ports of the switch, active if the bond has lacp_active off."
                .to_owned()
        }
        "watch-unanswered" => {
            "See that arp_ip_target is alive and in this network or VLAN, and that \
                               no firewall, rp_filter or arp_ignore there keeps it from answering."
                .to_owned()
        }
        "link-delayed" => format!("Wait, or lower it: {}.", set("updelay 0")),
        "link-flaps" => {
            "Change the cable or the transceiver; updelay keeps a bad link out.".to_owned()
        }
        "active-by-hand" => {
            format!("Choose the port: {}.", set("active_slave INTERFACE"))
        }
        "hwaddr-twice" => {
            "Give each network an address once: set that of the bond, or that of the other \
             interface."
                .to_owned()
        }
        _ => return None,
    })
}
