//! Writes nmcli commands that create a bond.
//!
//! Standard: nmcli(1), nm-settings-nmcli(5). All versions understand the property `master`.

mod properties;

use super::keyfile::{default_route, method};
use super::manager::Manager;
use super::model::{Addressing, Bond, Notes, OutFile};
use super::settings::Setting;
use super::shell::quoted;
use properties::properties;

/// The properties of an `nmcli connection add`, each once.
#[derive(Default)]
struct Words(Vec<(String, String)>);

impl Words {
    /// Sets a property; a later value replaces an earlier one, at the earlier position.
    fn put(&mut self, key: &str, value: impl ToString) {
        let value = value.to_string();
        match self.0.iter_mut().find(|(found, _)| found == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Adds an element to a property that is a list.
    fn append(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(found, _)| found == key) {
            Some((_, list)) => *list += &format!(",{value}"),
            None => self.put(key, value),
        }
    }

    fn command(&self) -> String {
        let words = self.0.iter().map(|(key, value)| format!(" {} {}", quoted(key), quoted(value)));
        format!("nmcli connection add{}\n", words.collect::<String>())
    }
}

/// Whether a connection has addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The connection has addresses and routes of its own.
    Own,
    /// The connection is a port of a bond or bridge: NetworkManager ignores its addresses and routes.
    Port,
}

/// Returns one script with the commands.
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
    let role = match &network.bridge {
        Some(bridge) => {
            words.put("master", bridge);
            words.put("slave-type", "bridge");
            Role::Port
        }
        None => {
            for (section, addressing) in [("ipv4", &network.ipv4), ("ipv6", &network.ipv6)] {
                addresses(section, addressing, &network.dns, &mut words);
            }
            if network.dhcpv6 && !network.ipv6.automatic {
                words.put("ipv6.method", "dhcp");
            }
            if !network.search.is_empty() {
                words.put("ipv4.dns-search", network.search.join(" "));
            }
            Role::Own
        }
    };
    put_settings(&network.other_settings, role, "", &mut words, notes);
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
        let prefix = format!("{}: ", port.name);
        put_settings(&port.other_settings, Role::Port, &prefix, &mut words, notes);
        script += &words.command();
    }
    script += &format!("nmcli connection up {}\n", quoted(&bond.name));
    let name = format!("{}-bond.sh", bond.name);
    vec![OutFile { name, text: script }]
}

/// Adds the properties for the other settings of a connection. Each note begins with `prefix`.
fn put_settings(
    settings: &[Setting],
    role: Role,
    prefix: &str,
    words: &mut Words,
    notes: &mut Notes,
) {
    let is_ip = |setting: &&Setting| matches!(setting.section.as_str(), "ipv4" | "ipv6");
    let kept: Vec<Setting> =
        settings.iter().filter(|setting| role == Role::Own || !is_ip(setting)).cloned().collect();
    let (found, left) = properties(&kept);
    for (key, value) in found {
        match key.ends_with(".routes") {
            true => words.append(&key, &value),
            false => words.put(&key, value),
        }
    }
    let mut lost = |setting: &Setting, reason: &str| {
        let Setting { section, key, value, .. } = setting;
        if !Manager::NetworkManager.is_file_metadata(key) {
            notes.lost(format_args!("{prefix}[{section}] {key}={value}"), reason);
        }
    };
    for setting in left {
        lost(setting, "set it with nmcli connection modify");
    }
    let dropped = settings.iter().filter(|setting| {
        role == Role::Port && setting.manager == Manager::NetworkManager && is_ip(setting)
    });
    for setting in dropped.filter(|setting| setting.key != "method") {
        lost(setting, "a port has no addresses or routes of its own");
    }
    notes.lose_foreign(settings, Some(Manager::NetworkManager));
}

/// Returns the options of the bond. Blanks separate addresses, since a comma ends an option.
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
        // NetworkManager refuses a gateway without an address.
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
