//! nmcli commands that make a bond.
//!
//! Standard: nmcli(1), nm-settings-nmcli(5). `master` is understood by all versions.

use super::family::Family;
use super::keyfile::method;
use super::model::{Addressing, Bond, Notes, OutFile};
use super::shell::quoted;

/// The commands, as one script.
pub fn write(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let network = &bond.network;
    let mut words = vec!["type".to_owned(), "bond".to_owned()];
    let put = |words: &mut Vec<String>, key: &str, value: String| {
        words.push(key.to_owned());
        words.push(value);
    };
    put(&mut words, "con-name", bond.name.clone());
    put(&mut words, "ifname", bond.name.clone());
    put(&mut words, "bond.options", bond_options(bond));
    if let Some(mtu) = network.mtu {
        put(&mut words, "802-3-ethernet.mtu", mtu.to_string());
    }
    if let Some(hwaddr) = &network.hwaddr {
        put(
            &mut words,
            "802-3-ethernet.cloned-mac-address",
            hwaddr.clone(),
        );
    }
    match &network.bridge {
        Some(bridge) => {
            put(&mut words, "master", bridge.clone());
            put(&mut words, "slave-type", "bridge".to_owned());
        }
        None => {
            for (section, addressing) in [("ipv4", &network.ipv4), ("ipv6", &network.ipv6)] {
                words.extend(addresses(section, addressing, &network.dns));
            }
            if !network.search.is_empty() {
                put(&mut words, "ipv4.dns-search", network.search.join(" "));
            }
        }
    }
    for setting in &network.rest {
        match setting.family {
            Family::NetworkManager if !Family::NetworkManager.is_housekeeping(&setting.key) => {
                notes.lost(
                    format_args!("[{}] {}={}", setting.section, setting.key, setting.value),
                    "set it with nmcli connection modify",
                );
            }
            _ => notes.foreign(std::slice::from_ref(setting), Some(Family::NetworkManager)),
        }
    }
    let mut script = String::from("#!/bin/sh -e\n") + &add(&words);
    for port in &bond.ports {
        let mut words = vec!["type".to_owned(), "ethernet".to_owned()];
        put(
            &mut words,
            "con-name",
            format!("{}-{}", bond.name, port.name),
        );
        put(&mut words, "ifname", port.name.clone());
        put(&mut words, "master", bond.name.clone());
        put(&mut words, "slave-type", "bond".to_owned());
        if port.prio != 0 {
            put(&mut words, "bond-port.prio", port.prio.to_string());
        }
        if port.queue_id != 0 {
            put(&mut words, "bond-port.queue-id", port.queue_id.to_string());
        }
        notes.foreign(&port.rest, Some(Family::NetworkManager));
        script += &add(&words);
    }
    script += &format!("nmcli connection up {}\n", quoted(&bond.name));
    let name = format!("{}-bond.sh", bond.name);
    vec![OutFile { name, text: script }]
}

/// Addresses are separated by blanks, for a comma ends an option.
fn bond_options(bond: &Bond) -> String {
    let options: Vec<String> = bond
        .options
        .changed()
        .map(|(row, value)| format!("{}={}", row.name, value.replace(',', " ")))
        .collect();
    options.join(",")
}

fn addresses(section: &str, addressing: &Addressing, dns: &[String]) -> Vec<String> {
    let mut words = vec![format!("{section}.method"), method(addressing).to_owned()];
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            words.push(format!("{section}.{key}"));
            words.push(value);
        }
    };
    put("addresses", addressing.addresses.join(","));
    put("gateway", addressing.gateway.clone().unwrap_or_default());
    let servers: Vec<&str> = dns
        .iter()
        .map(String::as_str)
        .filter(|server| server.contains(':') == (section == "ipv6"))
        .collect();
    put("dns", servers.join(" "));
    words
}

fn add(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("nmcli connection add {}\n", words.join(" "))
}
