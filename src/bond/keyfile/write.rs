//! Writes a bond or a team as NetworkManager's keyfiles.

use super::MANAGER;
use crate::bond::ini::Writer;
use crate::bond::model::{Addressing, Bond, BondPort, Network, Notes, OutFile};
use crate::bond::to_team::TeamConfig;

/// Returns NetworkManager's method for these addresses.
pub fn method(addressing: &Addressing) -> &'static str {
    match (addressing.automatic, addressing.addresses.is_empty()) {
        (true, _) => "auto",
        (false, false) => "manual",
        (false, true) => "disabled",
    }
}

/// Returns the default route, which replaces the gateway of a device without addresses:
/// NetworkManager refuses a gateway there.
pub fn default_route(section: &str, gateway: &str, between: &str) -> String {
    let anywhere = match section {
        "ipv6" => "::/0",
        _ => "0.0.0.0/0",
    };
    format!("{anywhere}{between}{gateway}")
}

/// Returns the connections of the bond, or of the team that replaces it, and of the ports.
pub fn write(bond: &Bond, team: Option<&TeamConfig>, notes: &mut Notes) -> Vec<OutFile> {
    let network = &bond.network;
    let kind = if team.is_some() { "team" } else { "bond" };
    let mut file = Writer::default();
    file.put("connection", "id", &bond.name);
    file.put("connection", "type", kind);
    file.put("connection", "interface-name", &bond.name);
    if let Some(bridge) = &network.bridge {
        file.put("connection", "master", bridge);
        file.put("connection", "slave-type", "bridge");
    }
    match team {
        Some(team) => file.put("team", "config", team.line()),
        None => bond.options.changed().for_each(|(row, value)| file.put("bond", row.name, value)),
    }
    file.put_some("ethernet", "mtu", network.mtu);
    // The hardware address of a team is in its configuration.
    let hwaddr = network.hwaddr.as_ref().filter(|_| team.is_none());
    file.put_some("ethernet", "cloned-mac-address", hwaddr);
    if network.bridge.is_none() {
        write_addresses(network, &mut file);
    }
    file.copy(&network.other_settings, MANAGER, notes);
    let named =
        |name: String, file: Writer| OutFile { name: name + ".nmconnection", text: file.finish() };
    let mut files = vec![named(bond.name.clone(), file)];
    for port in &bond.ports {
        let mut file = Writer::default();
        let id = format!("{}-{}", bond.name, port.name);
        file.put("connection", "id", &id);
        file.put("connection", "type", "ethernet");
        file.put("connection", "interface-name", &port.name);
        file.put("connection", "master", &bond.name);
        file.put("connection", "slave-type", kind);
        match team {
            Some(team) => file.put_some("team-port", "config", team.port_line(&port.name)),
            None => write_bond_port(port, &mut file, notes),
        }
        file.copy(&port.other_settings, MANAGER, notes);
        files.push(named(id, file));
    }
    files
}

fn write_bond_port(port: &BondPort, file: &mut Writer, notes: &mut Notes) {
    let BondPort { name, prio, queue_id, actor_port_prio, other_settings: _ } = port;
    file.put_some("bond-port", "prio", Some(prio).filter(|prio| **prio != 0));
    file.put_some("bond-port", "queue-id", Some(queue_id).filter(|id| **id != 0));
    if let Some(prio) = actor_port_prio.filter(|prio| *prio != 0) {
        notes.lost(format_args!("ports.{name}.lacp_prio={prio}"), "a profile has no key for it");
    }
}

/// Writes the addresses, name servers and search domains of a connection.
fn write_addresses(network: &Network, file: &mut Writer) {
    for (section, addressing) in [("ipv4", &network.ipv4), ("ipv6", &network.ipv6)] {
        let dhcp = section == "ipv6" && network.dhcpv6 && !addressing.automatic;
        file.put(section, "method", if dhcp { "dhcp" } else { method(addressing) });
        for (number, address) in addressing.addresses.iter().enumerate() {
            file.put(section, &format!("address{}", number + 1), address);
        }
        if let Some(gateway) = &addressing.gateway {
            match addressing.addresses.is_empty() {
                true => file.put(section, "route1", default_route(section, gateway, ",")),
                false => file.put(section, "gateway", gateway),
            }
        }
        let servers: String = network
            .dns
            .iter()
            .filter(|server| server.contains(':') == (section == "ipv6"))
            .map(|server| format!("{server};"))
            .collect();
        if !servers.is_empty() {
            file.put(section, "dns", servers);
        }
    }
    if !network.search.is_empty() {
        file.put("ipv4", "dns-search", network.search.join(";") + ";");
    }
}
