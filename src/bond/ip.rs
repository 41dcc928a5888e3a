//! Writes `ip` commands that create a bond, or set the addresses of a team.

use super::ifcfg::driver_options;
use super::model::{Bond, BondPort, Notes, OutFile};
use super::options::Opt;
use super::shell::quoted;

/// Returns a script with the commands, to run when the team is up.
pub fn write_team(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let name = format!("{}-addresses.sh", bond.name);
    vec![OutFile { name, text: format!("#!/bin/sh -e\n{}", addresses(bond, notes)) }]
}

/// Returns a script that creates the bond and sets its addresses.
pub fn write_bond(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let device = quoted(&bond.name);
    let options = driver_options(bond, notes);
    // iproute2 has another name for one option.
    let options: String = options
        .changed()
        .map(|(row, value)| match row.opt {
            Opt::PeerNotifDelay => format!(" peer_notify_delay {value}"),
            _ => format!(" {} {}", row.name, quoted(value)),
        })
        .collect();
    let mut script = format!("ip link add name {device} type bond{options}\n");
    if let Some(hwaddr) = &bond.network.hwaddr {
        script += &format!("ip link set dev {device} address {hwaddr}\n");
    }
    for BondPort { name, prio, queue_id, actor_port_prio, other_settings: _ } in &bond.ports {
        let port = quoted(name);
        script += &format!("ip link set dev {port} down\nip link set dev {port} master {device}\n");
        let settings = [
            ("prio", i64::from(*prio)),
            ("queue_id", i64::from(*queue_id)),
            ("actor_port_prio", i64::from(actor_port_prio.unwrap_or(0))),
        ];
        for (key, value) in settings.into_iter().filter(|(_, value)| *value != 0) {
            script += &format!("ip link set dev {port} type bond_slave {key} {value}\n");
        }
    }
    let name = format!("{}-bond.sh", bond.name);
    vec![OutFile { name, text: format!("#!/bin/sh -e\n{script}{}", addresses(bond, notes)) }]
}

/// Returns the commands for the network settings of the device, which also set the device up.
fn addresses(bond: &Bond, notes: &mut Notes) -> String {
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
        notes.lost("DHCP", "ip does not ask for addresses; run a DHCP client on the device");
    }
    if network.dhcpv6 {
        notes.lost("DHCPv6", "ip does not ask for addresses; run a DHCP client on the device");
    }
    for server in &network.dns {
        notes.lost(format_args!("name server {server}"), "ip does not set name servers");
    }
    for domain in &network.search {
        notes.lost(format_args!("search domain {domain}"), "ip does not set domains");
    }
    notes.lose_foreign(&network.other_settings, None);
    for port in &bond.ports {
        notes.lose_foreign(&port.other_settings, None);
    }
    script
}
