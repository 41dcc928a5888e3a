//! Writes `ip` commands that set the addresses of a team.

use super::model::{Bond, Notes, OutFile};
use super::shell::quoted;

/// Returns a script with the commands, to run when the team is up.
pub fn write(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let network = &bond.network;
    let device = quoted(&bond.name);
    let mut script = String::new();
    if let Some(mtu) = network.mtu {
        script += &format!("ip link set dev {device} mtu {mtu}\n");
    }
    for address in network.ipv4.addresses.iter().chain(&network.ipv6.addresses) {
        script += &format!("ip address replace {} dev {device}\n", quoted(address));
    }
    if let Some(bridge) = &network.bridge {
        script += &format!("ip link set dev {device} master {}\n", quoted(bridge));
    }
    script += &format!("ip link set dev {device} up\n");
    for (addressing, family) in [(&network.ipv4, ""), (&network.ipv6, "-6 ")] {
        if let Some(gateway) = &addressing.gateway {
            let gateway = quoted(gateway);
            script += &format!("ip {family}route replace default via {gateway} dev {device}\n");
        }
    }
    if network.ipv4.automatic {
        notes.lost(
            "DHCP",
            "ip does not ask for addresses; run a DHCP client on the team",
        );
    }
    for server in &network.dns {
        notes.lost(
            format_args!("name server {server}"),
            "ip does not set name servers",
        );
    }
    for domain in &network.search {
        notes.lost(
            format_args!("search domain {domain}"),
            "ip does not set domains",
        );
    }
    notes.lose_foreign(&network.other_settings, None);
    for port in &bond.ports {
        notes.lose_foreign(&port.other_settings, None);
    }
    let name = format!("{}-addresses.sh", bond.name);
    let text = format!("#!/bin/sh -e\n{script}");
    vec![OutFile { name, text }]
}
