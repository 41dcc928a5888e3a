//! Writes a bond and its ports as files of systemd-networkd; for a team, a file with its addresses, and
//! for each port a file that makes networkd ignore the port.

use super::MANAGER;
use crate::bond::ifcfg::{NO_SLB, note_port_options};
use crate::bond::ini::Writer;
use crate::bond::manager::DeviceKind;
use crate::bond::model::{Bond, Network, Notes, OutFile};
use crate::bond::options::{Kind, Opt, Row};

/// Returns the files of the bond, or of the team that replaces it.
pub fn write(bond: &Bond, device: DeviceKind, notes: &mut Notes) -> Vec<OutFile> {
    let is_team = device == DeviceKind::Team;
    let named =
        |name: String, file: &Writer| OutFile { name: format!("10-{name}"), text: file.finish() };
    let mut files = Vec::new();
    if !is_team {
        let netdev = write_netdev(bond, notes);
        files.push(named(format!("{}.netdev", bond.name), &netdev));
    }
    let network = write_network(&bond.name, &bond.network, notes);
    files.push(named(format!("{}.network", bond.name), &network));
    for port in &bond.ports {
        let mut file = Writer::default();
        file.put("Match", "Name", &port.name);
        if is_team {
            // The daemon attaches and detaches the port.
            file.put("Link", "Unmanaged", "yes");
            file.put("X-Teamr", "Team", &bond.name);
        } else {
            file.put("Network", "Bond", &bond.name);
            if bond.primary() == Some(&port.name) {
                file.put("Network", "PrimarySlave", "yes");
            }
            note_port_options(port, "a .network file", notes);
        }
        file.copy(&port.other_settings, MANAGER, notes);
        files.push(named(format!("{}-{}.network", bond.name, port.name), &file));
    }
    files
}

fn write_netdev(bond: &Bond, notes: &mut Notes) -> Writer {
    let mut file = Writer::default();
    file.put("NetDev", "Name", &bond.name);
    file.put("NetDev", "Kind", "bond");
    file.put_some("NetDev", "MACAddress", bond.network.hwaddr.as_ref());
    for (row, value) in bond.options.changed() {
        match row.networkd {
            Some(key) => match networkd_value(row, value) {
                Some(value) => file.put("Bond", key, value),
                None => notes.lost(
                    format_args!("{}={value}", row.name),
                    "systemd-networkd has no word for it",
                ),
            },
            // The file of the port has it.
            None if row.opt == Opt::Primary => {}
            None if row.opt == Opt::BalanceSlb => notes.lost("runner.name=slb", NO_SLB),
            None => notes
                .lost(format_args!("{}={value}", row.name), "systemd-networkd has no key for it"),
        }
    }
    file
}

/// Returns the value in networkd's syntax; `None` if networkd has no such value.
fn networkd_value(row: &Row, value: &str) -> Option<String> {
    match row.kind {
        Kind::Milliseconds => Some(format!("{value}ms")),
        Kind::Seconds => Some(format!("{value}s")),
        Kind::Addresses(_) => Some(value.replace(',', " ")),
        Kind::Flag => Some((if value == "1" { "yes" } else { "no" }).to_owned()),
        Kind::Word(_) if row.opt == Opt::ArpValidate && value.starts_with("filter") => None,
        Kind::Word(_) if row.opt == Opt::AdSelect && value == "actor_port_prio" => None,
        _ => Some(value.to_owned()),
    }
}

fn write_network(name: &str, network: &Network, notes: &mut Notes) -> Writer {
    let mut file = Writer::default();
    file.put("Match", "Name", name);
    file.put_some("Link", "MTUBytes", network.mtu);
    file.put_some("Network", "Bridge", network.bridge.as_ref());
    let dhcp = match (network.ipv4.automatic, network.dhcpv6) {
        (true, true) => Some("yes"),
        (true, false) => Some("ipv4"),
        (false, true) => Some("ipv6"),
        (false, false) => None,
    };
    file.put_some("Network", "DHCP", dhcp);
    if !network.ipv6.automatic {
        file.put("Network", "IPv6AcceptRA", "no");
    }
    for addressing in [&network.ipv4, &network.ipv6] {
        for address in &addressing.addresses {
            file.put("Network", "Address", address);
        }
        file.put_some("Network", "Gateway", addressing.gateway.as_ref());
    }
    for server in &network.dns {
        file.put("Network", "DNS", server);
    }
    if !network.search.is_empty() {
        file.put("Network", "Domains", network.search.join(" "));
    }
    file.copy(&network.other_settings, MANAGER, notes);
    file
}
