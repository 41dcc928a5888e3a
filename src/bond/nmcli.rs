//! nmcli commands that make a bond.
//!
//! Standard: nmcli(1), nm-settings-nmcli(5). `master` is understood by all versions.

mod properties;

use super::family::Family;
use super::keyfile::{default_route, method};
use super::model::{Addressing, Bond, Notes, OutFile, Setting};
use super::shell::quoted;
use properties::properties;

/// What `nmcli connection add` is told, each property once.
#[derive(Default)]
struct Words(Vec<(String, String)>);

impl Words {
    /// The last value of a property counts, at its first place.
    fn put(&mut self, key: &str, value: impl ToString) {
        let value = value.to_string();
        match self.0.iter_mut().find(|(found, _)| found == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// One more element of a list.
    fn append(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(found, _)| found == key) {
            Some((_, list)) => *list += &format!(",{value}"),
            None => self.put(key, value),
        }
    }

    fn command(&self) -> String {
        let words = self
            .0
            .iter()
            .map(|(key, value)| format!(" {key} {}", quoted(value)));
        format!("nmcli connection add{}\n", words.collect::<String>())
    }
}

/// The commands, as one script.
pub fn write(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let network = &bond.network;
    let mut words = Words::default();
    words.put("type", "bond");
    words.put("con-name", &bond.name);
    words.put("ifname", &bond.name);
    words.put("bond.options", bond_options(bond));
    if let Some(mtu) = network.mtu {
        words.put("802-3-ethernet.mtu", mtu);
    }
    if let Some(hwaddr) = &network.hwaddr {
        words.put("802-3-ethernet.cloned-mac-address", hwaddr);
    }
    match &network.bridge {
        Some(bridge) => {
            words.put("master", bridge);
            words.put("slave-type", "bridge");
        }
        None => {
            for (section, addressing) in [("ipv4", &network.ipv4), ("ipv6", &network.ipv6)] {
                addresses(section, addressing, &network.dns, &mut words);
            }
            if !network.search.is_empty() {
                words.put("ipv4.dns-search", network.search.join(" "));
            }
        }
    }
    rest(
        &network.rest,
        network.bridge.is_some(),
        "",
        &mut words,
        notes,
    );
    let mut script = String::from("#!/bin/sh -e\n") + &words.command();
    for port in &bond.ports {
        let mut words = Words::default();
        words.put("type", "ethernet");
        words.put("con-name", format_args!("{}-{}", bond.name, port.name));
        words.put("ifname", &port.name);
        words.put("master", &bond.name);
        words.put("slave-type", "bond");
        if port.prio != 0 {
            words.put("bond-port.prio", port.prio);
        }
        if port.queue_id != 0 {
            words.put("bond-port.queue-id", port.queue_id);
        }
        let whose = format!("{}: ", port.name);
        rest(&port.rest, true, &whose, &mut words, notes);
        script += &words.command();
    }
    script += &format!("nmcli connection up {}\n", quoted(&bond.name));
    let name = format!("{}-bond.sh", bond.name);
    vec![OutFile { name, text: script }]
}

/// What a file says besides; a note begins with `whose` it is. NetworkManager takes addresses and
/// routes from no connection that is somebody's port.
fn rest(rest: &[Setting], is_port: bool, whose: &str, words: &mut Words, notes: &mut Notes) {
    let is_ip = |setting: &&Setting| matches!(setting.section.as_str(), "ipv4" | "ipv6");
    let kept: Vec<Setting> = rest
        .iter()
        .filter(|setting| !(is_port && is_ip(setting)))
        .cloned()
        .collect();
    let (found, left) = properties(&kept);
    for (key, value) in found {
        match key.ends_with(".routes") {
            true => words.append(&key, &value),
            false => words.put(&key, value),
        }
    }
    let us = |setting: &&Setting| setting.family == Family::NetworkManager;
    let mut lost = |setting: &Setting, why: &str| {
        let Setting {
            section,
            key,
            value,
            ..
        } = setting;
        if !Family::NetworkManager.is_housekeeping(key) {
            notes.lost(format_args!("{whose}[{section}] {key}={value}"), why);
        }
    };
    for setting in left {
        lost(setting, "set it with nmcli connection modify");
    }
    if is_port {
        for setting in rest.iter().filter(us).filter(is_ip) {
            if setting.key != "method" {
                lost(setting, "a port has no addresses or routes of its own");
            }
        }
    }
    notes.foreign(rest, Some(Family::NetworkManager));
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

fn addresses(section: &str, addressing: &Addressing, dns: &[String], words: &mut Words) {
    words.put(&format!("{section}.method"), method(addressing));
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            words.put(&format!("{section}.{key}"), value);
        }
    };
    put("addresses", addressing.addresses.join(","));
    if let Some(gateway) = &addressing.gateway {
        // It is refused without an address.
        match addressing.addresses.is_empty() {
            true => put("routes", default_route(section, gateway, " ")),
            false => put("gateway", gateway.clone()),
        }
    }
    let servers: Vec<&str> = dns
        .iter()
        .map(String::as_str)
        .filter(|server| server.contains(':') == (section == "ipv6"))
        .collect();
    put("dns", servers.join(" "));
}
