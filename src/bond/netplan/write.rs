//! Writes a bond as netplan's YAML; for a team, an ethernet device with its addresses.

use serde_json::{Map, Value, json};

use super::{MANAGER, PARAMETERS};
use crate::bond::ifcfg::{NO_SLB, note_port_options};
use crate::bond::model::{Bond, Network, Notes, OutFile};
use crate::bond::options::{Kind, Opt};
use crate::bond::yaml;

/// Returns the file of a team: netplan configures the device as soon as the daemon has made it.
pub fn write_team(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let own = device(&bond.network, notes);
    for port in &bond.ports {
        notes.lose_foreign(&port.other_settings, Some(MANAGER));
    }
    file(bond, json!({"ethernets": {bond.name.as_str(): own}}))
}

/// Returns the file of a bond.
pub fn write_bond(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let mut parameters = Map::new();
    for (row, value) in bond.options.changed() {
        let known = PARAMETERS.iter().find(|(_, name)| *name == row.name);
        match (known, row.opt) {
            (None, Opt::Primary) => _ = parameters.insert("primary".to_owned(), value.into()),
            (None, Opt::BalanceSlb) => notes.lost("runner.name=slb", NO_SLB),
            (None, _) => {
                notes.lost(format_args!("{}={value}", row.name), "netplan has no key for it");
            }
            (Some((key, _)), _) => {
                let value = match row.kind {
                    Kind::Flag => Value::from(value == "1"),
                    Kind::Addresses(_) => value.split(',').collect(),
                    _ => value.into(),
                };
                parameters.insert((*key).to_owned(), value);
            }
        }
    }
    let mut own = device(&bond.network, notes);
    if let Some(hwaddr) = &bond.network.hwaddr {
        own.insert("macaddress".to_owned(), hwaddr.as_str().into());
    }
    let ports: Vec<&str> = bond.ports.iter().map(|port| port.name.as_str()).collect();
    own.insert("interfaces".to_owned(), ports.clone().into());
    own.insert("parameters".to_owned(), parameters.into());
    for port in &bond.ports {
        note_port_options(port, "netplan", notes);
        notes.lose_foreign(&port.other_settings, Some(MANAGER));
    }
    let ethernets: Map<String, Value> =
        ports.into_iter().map(|port| (port.to_owned(), json!({}))).collect();
    file(bond, json!({"ethernets": ethernets, "bonds": {bond.name.as_str(): own}}))
}

fn file(bond: &Bond, mut network: Value) -> Vec<OutFile> {
    network["version"] = 2.into();
    let mut document = Map::new();
    document.insert("network".to_owned(), network);
    vec![OutFile { name: format!("90-{}.yaml", bond.name), text: yaml::to_text(&document) }]
}

/// Returns the keys of a device with addresses.
fn device(network: &Network, notes: &mut Notes) -> Map<String, Value> {
    let Network { hwaddr: _, mtu, ipv4, ipv6, dhcpv6, dns, search, bridge, other_settings } =
        network;
    let mut own = Map::new();
    let mut put = |key: &str, value: Value| drop(own.insert(key.to_owned(), value));
    let addresses = [ipv4, ipv6].map(|addressing| addressing.addresses.clone()).concat();
    if !addresses.is_empty() {
        put("addresses", addresses.into());
    }
    for (key, on) in [("dhcp4", ipv4.automatic), ("dhcp6", *dhcpv6)] {
        if on {
            put(key, true.into());
        }
    }
    if !ipv6.automatic {
        put("accept-ra", false.into());
    }
    let gateways = [ipv4, ipv6].into_iter().filter_map(|addressing| addressing.gateway.as_ref());
    let routes: Vec<Value> = gateways
        .map(|gateway| {
            let to = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
            json!({"to": to, "via": gateway})
        })
        .collect();
    if !routes.is_empty() {
        put("routes", routes.into());
    }
    let mut servers = Map::new();
    for (key, list) in [("addresses", dns), ("search", search)] {
        if !list.is_empty() {
            servers.insert(key.to_owned(), list.clone().into());
        }
    }
    if !servers.is_empty() {
        put("nameservers", servers.into());
    }
    if let Some(mtu) = mtu {
        put("mtu", (*mtu).into());
    }
    for setting in other_settings.iter().filter(|setting| setting.manager == MANAGER) {
        yaml::put(&mut own, setting);
    }
    notes.lose_foreign(other_settings, Some(MANAGER));
    if let Some(bridge) = bridge {
        notes.lost(
            format_args!("bridge {bridge}"),
            "add the device to \"interfaces\" of the bridge in netplan",
        );
    }
    own
}
