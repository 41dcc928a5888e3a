//! Writes a bond as nmstate's YAML.

use serde_json::{Map, Value, json};

use super::MANAGER;
use crate::bond::model::{Addressing, Bond, BondPort, Network, Notes, OutFile};
use crate::bond::options::{Kind, Opt, Row};
use crate::bond::yaml;

/// Returns the state of the bond and its ports.
pub fn write(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let Network { hwaddr, mtu, ipv4, ipv6, dhcpv6, dns, search, bridge, other_settings } =
        &bond.network;
    let mut own = Map::new();
    let mut put = |key: &str, value: Value| drop(own.insert(key.to_owned(), value));
    put("name", bond.name.as_str().into());
    put("type", "bond".into());
    put("state", "up".into());
    if let Some(hwaddr) = hwaddr {
        put("mac-address", hwaddr.as_str().into());
    }
    if let Some(mtu) = mtu {
        put("mtu", (*mtu).into());
    }
    put("ipv4", family(ipv4, &[("dhcp", ipv4.automatic)]));
    let of_ipv6 = [("autoconf", ipv6.automatic), ("dhcp", ipv6.automatic || *dhcpv6)];
    put("ipv6", family(ipv6, &of_ipv6));
    put("link-aggregation", aggregation(bond, notes));
    for setting in other_settings.iter().filter(|setting| setting.manager == MANAGER) {
        yaml::put(&mut own, setting);
    }
    notes.lose_foreign(other_settings, Some(MANAGER));
    if let Some(bridge) = bridge {
        notes.lost(
            format_args!("bridge {bridge}"),
            format_args!("add {} to the ports of the bridge in its state", bond.name),
        );
    }
    let mut interfaces = vec![Value::Object(own)];
    for port in bond.ports.iter().filter(|port| !port.other_settings.is_empty()) {
        let mut own = Map::new();
        own.insert("name".to_owned(), port.name.as_str().into());
        own.insert("type".to_owned(), "ethernet".into());
        for setting in port.other_settings.iter().filter(|it| it.manager == MANAGER) {
            yaml::put(&mut own, setting);
        }
        notes.lose_foreign(&port.other_settings, Some(MANAGER));
        interfaces.push(Value::Object(own));
    }
    let mut state = Map::new();
    state.insert("interfaces".to_owned(), interfaces.into());
    let routes: Vec<Value> = [(ipv4, "0.0.0.0/0"), (ipv6, "::/0")]
        .into_iter()
        .filter_map(|(addressing, anywhere)| {
            let gateway = addressing.gateway.as_ref()?;
            Some(json!({
                "destination": anywhere,
                "next-hop-address": gateway,
                "next-hop-interface": bond.name,
            }))
        })
        .collect();
    if !routes.is_empty() {
        state.insert("routes".to_owned(), json!({"config": routes}));
    }
    if !dns.is_empty() || !search.is_empty() {
        let config = json!({"server": dns, "search": search});
        state.insert("dns-resolver".to_owned(), json!({"config": config}));
    }
    vec![OutFile { name: format!("{}.yml", bond.name), text: yaml::to_text(&state) }]
}

/// Returns the settings of an address family; `automatic` has each key of automatic configuration
/// with its value.
fn family(addressing: &Addressing, automatic: &[(&str, bool)]) -> Value {
    let is_on = !addressing.addresses.is_empty() || automatic.iter().any(|(_, on)| *on);
    let mut own = Map::new();
    own.insert("enabled".to_owned(), is_on.into());
    for (key, on) in automatic.iter().filter(|_| is_on) {
        own.insert((*key).to_owned(), (*on).into());
    }
    let addresses = addressing.addresses.iter().map(|address| {
        let whole = if address.contains(':') { "128" } else { "32" };
        let (ip, prefix) = address.split_once('/').unwrap_or((address, whole));
        json!({"ip": ip, "prefix-length": prefix.parse::<u8>().unwrap_or_default()})
    });
    let addresses: Vec<Value> = addresses.collect();
    if !addresses.is_empty() {
        own.insert("address".to_owned(), addresses.into());
    }
    own.into()
}

fn aggregation(bond: &Bond, notes: &mut Notes) -> Value {
    let options: Map<String, Value> = bond
        .options
        .changed()
        .filter(|(row, _)| row.opt != Opt::Mode)
        .map(|(row, value)| option(row, value))
        .collect();
    let ports: Vec<&str> = bond.ports.iter().map(|port| port.name.as_str()).collect();
    let mut own = Map::new();
    own.insert("mode".to_owned(), bond.options.get(Opt::Mode).into());
    if !options.is_empty() {
        own.insert("options".to_owned(), options.into());
    }
    own.insert("port".to_owned(), ports.into());
    let settings: Vec<Value> =
        bond.ports.iter().filter_map(|port| port_settings(port, notes)).collect();
    if !settings.is_empty() {
        own.insert("ports-config".to_owned(), settings.into());
    }
    own.into()
}

/// Returns an option with nmstate's name and value.
fn option(row: &Row, value: &str) -> (String, Value) {
    let name = if row.opt == Opt::BalanceSlb { "balance_slb" } else { row.name };
    let value = match (row.opt, row.kind) {
        (Opt::AllSlavesActive, _) => if value == "1" { "delivered" } else { "dropped" }.into(),
        (_, Kind::Flag) => (value == "1").into(),
        (_, Kind::Number(..) | Kind::Milliseconds | Kind::Seconds) => {
            value.parse::<u32>().map_or(value.into(), Value::from)
        }
        _ => value.into(),
    };
    (name.to_owned(), value)
}

/// Returns the settings of a port; `None` for the defaults.
fn port_settings(port: &BondPort, notes: &mut Notes) -> Option<Value> {
    let BondPort { name, prio, queue_id, actor_port_prio, other_settings: _ } = port;
    if let Some(prio) = actor_port_prio.filter(|prio| *prio != 0) {
        notes.lost(format_args!("ports.{name}.lacp_prio={prio}"), "nmstate has no key for it");
    }
    let is_default = *prio == 0 && *queue_id == 0;
    (!is_default).then(|| json!({"name": name, "priority": prio, "queue-id": queue_id}))
}
