//! Reads a bond from netplan's YAML, and writes a bond, or a team as a device that another program
//! makes.
//!
//! Standard: netplan's YAML reference. A file in `/run` replaces one of the same name in `/etc`; mappings
//! of all files are merged in the order of the names.

mod write;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
pub use write::{write_bond, write_team};

use super::links::{self, Condition, Link};
use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Network, Notes};
use super::options::{Kind, ROWS};
use super::settings::{Decision, File, Setting};
use super::span::milliseconds;
use super::tree::Tree;
use super::uppers::Devices;
use super::yaml;

const MANAGER: Manager = Manager::Netplan;

/// netplan's parameters of a bond, with the driver's options.
pub(super) const PARAMETERS: [(&str, &str); 22] = [
    ("mode", "mode"),
    ("lacp-rate", "lacp_rate"),
    ("mii-monitor-interval", "miimon"),
    ("min-links", "min_links"),
    ("transmit-hash-policy", "xmit_hash_policy"),
    ("ad-select", "ad_select"),
    ("all-members-active", "all_slaves_active"),
    ("all-slaves-active", "all_slaves_active"),
    ("arp-interval", "arp_interval"),
    ("arp-ip-targets", "arp_ip_target"),
    ("arp-validate", "arp_validate"),
    ("arp-all-targets", "arp_all_targets"),
    ("up-delay", "updelay"),
    ("down-delay", "downdelay"),
    ("fail-over-mac-policy", "fail_over_mac"),
    ("gratuitous-arp", "num_grat_arp"),
    ("gratuitious-arp", "num_grat_arp"),
    ("packets-per-member", "packets_per_slave"),
    ("packets-per-slave", "packets_per_slave"),
    ("primary-reselect-policy", "primary_reselect"),
    ("resend-igmp", "resend_igmp"),
    ("learn-packet-interval", "lp_interval"),
];

/// Keys of `network`: two settings, and sections with devices.
const SECTIONS: [&str; 14] = [
    "version",
    "renderer",
    "ethernets",
    "bonds",
    "bridges",
    "vlans",
    "vrfs",
    "wifis",
    "modems",
    "tunnels",
    "dummy-devices",
    "virtual-ethernets",
    "nm-devices",
    "openvswitch",
];

/// Returns the bond `name` with its ports, or the addresses of the team `name`; `None` if no file
/// defines the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let mut problems = Notes::default();
    let network = merged(tree, &mut problems);
    let section = match device {
        DeviceKind::Bond => "bonds",
        DeviceKind::Team => "ethernets",
    };
    let own = network.get(section)?.get(name)?;
    notes.extend(problems);
    for key in network.keys().filter(|key| !SECTIONS.contains(&key.as_str())) {
        notes.lost(format_args!("network.{key}"), "no reader knows this key here");
    }
    let path = format!("{}: {name} of {section}", MANAGER.folder());
    let mut file = File::new(&path);
    yaml::flatten(MANAGER, section, own, &mut file);
    let mut bond = Bond { name: name.to_owned(), file: path, ..Bond::default() };
    read_device(&file, &mut bond, notes);
    let ids: Vec<String> = file.all(section, "interfaces").map(str::to_owned).collect();
    let links = links::all(tree);
    for id in ids {
        read_port(&links, &network, &id, &mut bond, notes);
    }
    bond.drop_unsafe_names(notes);
    bond.uppers = devices(&network).above(name);
    Some(bond)
}

/// Returns the reason why the bond `name` of the files cannot be converted: Open vSwitch has the bond,
/// or a file with the name cannot be read.
pub fn refusal(tree: &Tree, name: &str) -> Option<String> {
    let mut problems = Notes::default();
    let network = merged(tree, &mut problems);
    let own = network.get("bonds").and_then(|bonds| bonds.get(name));
    match own {
        Some(own) => own.get("openvswitch").map(|_| {
            format!("\"{name}\" of netplan is a bond of Open vSwitch, not of the kernel: ovs-vsctl changes it.")
        }),
        None => {
            let texts = MANAGER.folders().iter().flat_map(|folder| tree.folder(folder));
            let named: Vec<&str> =
                texts.filter(|(_, text)| text.contains(name)).map(|(file, _)| file).collect();
            let problem = problems.iter().find(|note| named.contains(&note.subject.as_str()))?;
            Some(format!("{}: {}.", problem.subject, problem.reason))
        }
    }
}

/// Returns the mapping `network` of all files.
fn merged(tree: &Tree, notes: &mut Notes) -> Map<String, Value> {
    let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
    for folder in MANAGER.folders() {
        for (name, text) in tree.folder(folder).filter(|(name, _)| name.ends_with(".yaml")) {
            texts.entry(name).or_insert(text);
        }
    }
    let mut network = Map::new();
    for (name, text) in texts {
        match yaml::parse(text) {
            Ok(Value::Object(mut document)) => {
                if let Some(Value::Object(more)) = document.remove("network") {
                    merge(&mut network, more);
                }
                for key in document.keys() {
                    notes.lost(format_args!("{name}: {key}"), "netplan reads \"network\" only");
                }
            }
            Ok(Value::Null) => {}
            Ok(_) => notes.lost(name, "the text is no mapping"),
            Err(error) => notes.lost(name, format_args!("the file cannot be read: {error}")),
        }
    }
    network
}

/// Adds the members of `more`: merges mappings, joins sequences, replaces scalars. The recursion is
/// limited: [`yaml::parse`] limits the depth.
fn merge(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, value) => _ = into.insert(key, value),
        }
    }
}

fn is_yes(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "y")
}

fn read_device(file: &File, bond: &mut Bond, notes: &mut Notes) {
    let mut network = Network::default();
    network.ipv6.automatic = true;
    let kept = file.decide_each(notes, |setting, notes| {
        let Setting { key, value, occurrence, section, .. } = setting;
        if let Some(parameter) = key.strip_prefix("parameters.") {
            // All elements of a sequence are read with the first.
            let all: Vec<&str> = file.all(section, key).collect();
            return match occurrence {
                0 | 1 => read_parameter(parameter, &all.join(","), bond, notes),
                _ => Decision::Read,
            };
        }
        match key.as_str() {
            "interfaces" => {}
            "addresses" => return read_address(value, &mut network),
            "dhcp4" => network.ipv4.automatic = is_yes(value),
            "dhcp6" => network.dhcpv6 = is_yes(value),
            "accept-ra" => network.ipv6.automatic = is_yes(value),
            "gateway4" => network.ipv4.gateway = Some(value.clone()),
            "gateway6" => network.ipv6.gateway = Some(value.clone()),
            "nameservers.addresses" => network.dns.push(value.clone()),
            "nameservers.search" => network.search.push(value.clone()),
            "macaddress" if super::is_hwaddr(value) => {
                network.hwaddr = Some(value.to_ascii_lowercase());
            }
            "macaddress" => return Decision::lost("no hardware address"),
            "mtu" => return Decision::of(value.parse().map(|mtu| network.mtu = Some(mtu))),
            "routes" => match default_gateway(value) {
                Some(gateway) => match &mut network.by_version(&gateway).gateway {
                    Some(_) => return Decision::Kept,
                    none => *none = Some(gateway),
                },
                None => return Decision::Kept,
            },
            _ => return Decision::Kept,
        }
        Decision::Read
    });
    network.other_settings = kept;
    bond.network = network;
}

fn read_parameter(key: &str, value: &str, bond: &mut Bond, notes: &mut Notes) -> Decision {
    if key == "primary" {
        bond.set_option("primary", value, notes);
        return Decision::Read;
    }
    let known = PARAMETERS.iter().find(|(netplan, _)| *netplan == key);
    let Some(row) = known.and_then(|(_, name)| ROWS.iter().find(|row| row.name == *name)) else {
        return Decision::UNKNOWN;
    };
    let value = match row.kind {
        Kind::Milliseconds => milliseconds(value, 1.0).map(|time| time.to_string()),
        Kind::Seconds => milliseconds(value, 1000.0).map(|time| time.div_ceil(1000).to_string()),
        _ => Some(value.to_owned()),
    };
    match value {
        Some(value) => bond.set_option(row.name, &value, notes),
        None => return Decision::lost("not a time span"),
    }
    Decision::Read
}

/// Reads an address, or a mapping of one address to its options.
fn read_address(value: &str, network: &mut Network) -> Decision {
    let options = serde_json::from_str::<Map<String, Value>>(value).ok();
    let address = options.as_ref().and_then(|options| options.keys().next());
    let address = address.map_or(value, String::as_str).to_owned();
    network.by_version(&address).addresses.push(address);
    match options {
        Some(_) => Decision::lost("the address is kept, its options are not"),
        None => Decision::Read,
    }
}

/// Returns the gateway of a route that has nothing but a default destination and a gateway.
fn default_gateway(route: &str) -> Option<String> {
    let route: Map<String, Value> = serde_json::from_str(route).ok()?;
    let to = route.get("to")?.as_str()?;
    let plain = route.len() == 2 && matches!(to, "default" | "0.0.0.0/0" | "::/0");
    let via = route.get("via")?.as_str().filter(|_| plain)?;
    via.parse::<std::net::IpAddr>().ok().map(|via| via.to_string())
}

/// Returns the definition of a device in any section.
fn definition<'a>(network: &'a Map<String, Value>, id: &str) -> Option<(&'a str, &'a Value)> {
    network.iter().find_map(|(section, devices)| Some((section.as_str(), devices.get(id)?)))
}

fn read_port(
    links: &[Link],
    network: &Map<String, Value>,
    id: &str,
    bond: &mut Bond,
    notes: &mut Notes,
) {
    let Some((section, own)) = definition(network, id) else {
        bond.add_port(BondPort::new(id), "netplan", notes);
        return;
    };
    let mut file = File::new(format!("{id} of {section}"));
    yaml::flatten(MANAGER, section, own, &mut file);
    file.decide_each(notes, |Setting { key, value, .. }, _| match key.as_str() {
        "match.name" | "match.macaddress" | "match.driver" => Decision::Read,
        "set-name" => Decision::lost("the entry of the port goes; a .link file must give the name"),
        "optional" | "renderer" | "critical" | "ignore-carrier" => Decision::Read,
        "dhcp4" | "dhcp6" | "accept-ra" if !is_yes(value) => Decision::Read,
        "" | "link-local" if value.is_empty() => Decision::Read,
        "mtu" if value.parse().ok() == bond.network.mtu => Decision::Read,
        "mtu" => {
            Decision::lost("the ports have the MTU of the team; set it in the entry of the team")
        }
        "dhcp4" | "dhcp6" | "accept-ra" | "addresses" => {
            Decision::lost("a port of a team has no addresses of its own")
        }
        _ => Decision::lost("netplan leaves a port of a team alone; the entry goes"),
    });
    match interfaces(links, id, &file) {
        names if names.is_empty() => notes.lost(
            format_args!("{}: port", file.path),
            "no interface here fulfils \"match\"; add the interfaces to \"ports\"",
        ),
        names => {
            for name in names {
                bond.add_port(BondPort::new(&name), &file.path, notes);
            }
        }
    }
}

/// Returns the interfaces that the definition of a port stands for.
fn interfaces(links: &[Link], id: &str, file: &File) -> Vec<String> {
    let find = |key: &str| file.settings().iter().find(|s| s.key == key).map(|s| s.value.clone());
    if let Some(name) = find("set-name") {
        return vec![name];
    }
    let list = |key: &str| {
        let all = file.settings().iter().filter(|setting| setting.key == key);
        let all: Vec<String> = all.map(|setting| setting.value.clone()).collect();
        (!all.is_empty()).then_some(all)
    };
    let conditions: Vec<Condition> = [
        list("match.name").map(Condition::Name),
        list("match.macaddress").map(Condition::PermanentHwAddr),
        list("match.driver").map(Condition::Driver),
    ]
    .into_iter()
    .flatten()
    .collect();
    match &conditions[..] {
        [] => vec![id.to_owned()],
        [Condition::Name(names)] if names.iter().all(|name| !links::is_pattern(name)) => {
            names.clone()
        }
        _ => {
            let fulfils = |link: &&Link| conditions.iter().all(|one| one.holds(link));
            links.iter().filter(fulfils).map(|link| link.name.clone()).collect()
        }
    }
}

/// Returns the devices that the files stack.
fn devices(network: &Map<String, Value>) -> Devices {
    let mut devices = Devices::default();
    let members = network.iter().filter_map(|(section, value)| Some((section, value.as_object()?)));
    for (section, members) in members {
        for (name, own) in members {
            let list = |key: &str| -> Vec<String> {
                let elements = own.get(key).and_then(Value::as_array);
                let texts = elements.into_iter().flatten().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            };
            devices.add(name, &format!("{name} of {section}"), list("addresses"));
            let text = |key: &str| own.get(key).and_then(Value::as_str);
            match section.as_str() {
                "vlans" => {
                    let id = text("id").and_then(|id| id.parse().ok());
                    devices.stack_vlan(name, text("link").unwrap_or_default(), id);
                }
                "bridges" | "vrfs" => {
                    list("interfaces").iter().for_each(|lower| devices.stack(name, lower));
                }
                _ => {}
            }
        }
    }
    devices
}
