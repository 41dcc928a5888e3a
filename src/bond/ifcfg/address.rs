//! Reads addresses and other network settings of an ifcfg file.

use std::net::Ipv4Addr;

use super::{OWN, port_number, team};
use crate::bond::manager::Manager;
use crate::bond::model::{Network, Notes, with_prefix_len, words};
use crate::bond::settings::{Decision, File, Setting};

/// Returns the network settings; keys that the model lacks are kept.
pub(super) fn read_network(file: &File, notes: &mut Notes) -> Network {
    let mut network = Network::default();
    let find = |key: &str| file.get("", key).filter(|value| !value.is_empty());
    network.ipv6.automatic = find("IPV6INIT") != Some("no") && find("IPV6_AUTOCONF") != Some("no");
    let other_settings =
        file.decide_each(notes, |setting, _| read_setting(setting, file, &mut network));
    network.other_settings = other_settings;
    for address in addresses(file) {
        network.by_version(&address).addresses.push(address);
    }
    network
}

fn read_setting(setting: &Setting, file: &File, network: &mut Network) -> Decision {
    let Setting { key, value, manager, .. } = setting;
    let is_of_ovs = key.starts_with("OVS") || (key == "DEVICETYPE" && value == "ovs");
    if is_of_ovs || (key == "TYPE" && value.starts_with("OVS")) {
        return Decision::lost("the bond is a port of Open vSwitch; add the team by ovs-vsctl");
    }
    let is_of_team = *manager == Manager::Wicked && team::has_key(key);
    if value.is_empty() || OWN.contains(&key.as_str()) || port_number(key).is_some() || is_of_team {
        return Decision::Read;
    }
    if *manager == Manager::Wicked && key.starts_with("TEAM_") {
        return Decision::UNKNOWN;
    }
    match key.trim_end_matches(|digit: char| digit.is_ascii_digit()) {
        "DNS" => network.dns.push(value.clone()),
        "DOMAIN" => network.search.extend(words(value)),
        _ => match key.as_str() {
            "GATEWAY" => network.ipv4.gateway = Some(value.clone()),
            "BOOTPROTO" => return read_protocol(value, *manager, network),
            "DHCPV6C" => network.dhcpv6 = value == "yes",
            "IPV6_DEFAULTGW" => network.ipv6.gateway = Some(value.clone()),
            "IPV6_AUTOCONF" => {}
            "IPV6INIT" if value != "no" => {}
            "MTU" => match value.parse() {
                Ok(mtu) => network.mtu = Some(mtu),
                Err(_) => return Decision::lost("not a size in bytes"),
            },
            "MACADDR" | "LLADDR" if crate::bond::is_hwaddr(value) => {
                network.hwaddr = Some(value.clone());
            }
            "BRIDGE" => network.bridge = Some(value.clone()),
            _ if is_prefix_without_address(key, file) => {
                return Decision::lost("no address belongs to it");
            }
            key if is_address(key) => {}
            _ => return Decision::Kept,
        },
    }
    Decision::Read
}

fn read_protocol(value: &str, manager: Manager, network: &mut Network) -> Decision {
    match value {
        "none" | "static" => {}
        "dhcp" | "bootp" => {
            network.ipv4.automatic = true;
            // wicked's dhcp is for both versions.
            network.dhcpv6 |= manager == Manager::Wicked;
        }
        "dhcp4" => network.ipv4.automatic = true,
        "dhcp6" => network.dhcpv6 = true,
        _ => return Decision::lost("the result has no such protocol; it is one of none, dhcp"),
    }
    Decision::Read
}

/// Splits a key such as `IPADDR`, `IPADDR1` or `IPADDR_1`.
fn suffix<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    let suffix = key.strip_prefix(name)?;
    let is_number = suffix.bytes().all(|byte| byte.is_ascii_digit());
    (is_number || suffix.starts_with('_')).then_some(suffix)
}

/// Names of the keys that say the prefix of an address.
const PREFIXES: [&str; 3] = ["PREFIX", "PREFIXLEN", "NETMASK"];

fn is_prefix_without_address(key: &str, file: &File) -> bool {
    let suffix = PREFIXES.iter().find_map(|name| suffix(key, name));
    suffix.is_some_and(|suffix| file.get("", &format!("IPADDR{suffix}")).is_none())
}

/// Returns whether a key belongs to an address, or to a gateway or name server.
pub(super) fn is_address(key: &str) -> bool {
    let numbered = ["IPADDR", "GATEWAY", "DNS"].iter().chain(&PREFIXES);
    numbered.into_iter().any(|name| suffix(key, name).is_some())
        || ["IPV6ADDR", "IPV6ADDR_SECONDARIES", "IPV6_DEFAULTGW", "BROADCAST", "NETWORK"]
            .contains(&key)
}

/// Returns the addresses of a file, each with its prefix length.
pub(super) fn addresses(file: &File) -> Vec<String> {
    let mut addresses = Vec::new();
    for Setting { key, value, .. } in file.settings().iter().filter(|s| !s.value.is_empty()) {
        if let Some(suffix) = suffix(key, "IPADDR") {
            let mut masks = PREFIXES.iter().filter_map(|name| {
                file.get("", &format!("{name}{suffix}")).filter(|mask| !mask.is_empty())
            });
            match value.contains('/') {
                true => addresses.push(value.clone()),
                // Without either, the initscripts call ipcalc, which uses the address classes.
                false => addresses.push(match masks.next() {
                    Some(mask) => with_prefix_len(value, mask),
                    None => format!("{value}/{}", class_prefix(value)),
                }),
            }
        }
    }
    for key in ["IPV6ADDR", "IPV6ADDR_SECONDARIES"] {
        addresses.extend(file.get("", key).into_iter().flat_map(words));
    }
    addresses
}

fn class_prefix(address: &str) -> u32 {
    let address = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(_)) => return 64,
        Ok(std::net::IpAddr::V4(address)) => address,
        Err(_) => Ipv4Addr::UNSPECIFIED,
    };
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}
