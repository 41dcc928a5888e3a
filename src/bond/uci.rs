//! Reads a bond from OpenWrt's `/etc/config/network`, and writes one.
//!
//! Standard: UCI. A bond is a device of the type bonding (netifd), or an interface of the protocol
//! bonding (package proto-bonding), whose device is `bond-INTERFACE`. The addresses of a device are
//! settings of the interfaces on the device.

mod write;

pub use write::write;

use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Notes, with_prefix_len, words};
use super::options::{Opt, ROWS};
use super::settings::{Decision, File, Setting};
use super::shell::commands;
use super::tree::Tree;
use super::uppers::Devices;

const MANAGER: Manager = Manager::Uci;
/// Path of the file.
pub const PATH: &str = "etc/config/network";

/// Options of both kinds of bond that have other names than the driver's.
const NAMES: [(&str, &str); 8] = [
    ("policy", "mode"),
    ("bonding_policy", "mode"),
    ("all_ports_active", "all_slaves_active"),
    ("packets_per_port", "packets_per_slave"),
    ("dynamic_lb", "tlb_dynamic_lb"),
    ("num_peer_notif", "num_grat_arp"),
    ("num_grat_arp__num_unsol_na", "num_grat_arp"),
    ("failover_mac", "fail_over_mac"),
];
/// Keys of an interface that [`read_interface`] decides on, rather than [`read_bond`].
const INTERFACE: [&str; 13] = [
    "device",
    "ifname",
    "proto",
    "ipaddr",
    "netmask",
    "broadcast",
    "gateway",
    "ip6addr",
    "ip6gw",
    "dns",
    "dns_search",
    "auto",
    "ipv6",
];
/// Most interfaces in a chain of aliases (`@NAME`).
const MOST_ALIASES: usize = 8;

/// A section of the file.
#[derive(Debug)]
struct Section {
    kind: String,
    /// Empty without a name.
    name: String,
    file: File,
}

impl Section {
    fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.file.get(&self.kind, key)
    }

    /// Returns the words of all values of a key: a list and an option with several words have the
    /// same meaning.
    fn words<'a>(&'a self, key: &'a str) -> impl Iterator<Item = String> + 'a {
        self.file.all(&self.kind, key).flat_map(words)
    }

    /// Returns the name of the bond that the section defines.
    fn bond(&self) -> Option<String> {
        match (self.kind.as_str(), self.get("type"), self.get("proto")) {
            ("device", Some("bonding"), _) => self.get("name").map(str::to_owned),
            ("interface", _, Some("bonding")) => Some(format!("bond-{}", self.name)),
            _ => None,
        }
    }
}

/// Returns the bond `name` with its ports, or the addresses of the team `name`; `None` if no
/// section is about the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let (sections, unread) = sections(tree.get(PATH)?);
    let is_own = |section: &&Section| section.bond().as_deref() == Some(name);
    let mut defining = sections.iter().filter(is_own);
    let own = defining.next();
    let is_on = |section: &&Section| {
        section.is("interface") && device_of(&sections, section).as_deref() == Some(name)
    };
    let interfaces: Vec<&Section> = sections.iter().filter(is_on).collect();
    match device {
        DeviceKind::Bond => _ = own?,
        DeviceKind::Team => _ = interfaces.first().filter(|_| own.is_none())?,
    }
    for line in unread {
        notes.lost(format_args!("{PATH}: {line:?}"), "the line is no setting");
    }
    for other in defining {
        notes.lost(format_args!("{}: {name}", other.file.path), "a second section for the device");
    }
    let mut bond = Bond { name: name.to_owned(), file: PATH.to_owned(), ..Bond::default() };
    if let Some(own) = own {
        read_bond(own, &mut bond, notes);
    }
    for interface in interfaces {
        read_interface(interface, &mut bond, notes);
    }
    for section in sections.iter().filter(|section| section.is("device")) {
        read_port(section, &mut bond, notes);
    }
    bond.drop_unsafe_names(notes);
    bond.uppers = devices(&sections).above(name);
    Some(bond)
}

/// Returns the sections of a text, and the lines that are none of their settings. Sections of one
/// name are one section.
fn sections(text: &str) -> (Vec<Section>, Vec<String>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut unread = Vec::new();
    let mut current = None;
    for (line, command) in commands(text) {
        let Some(command) = command else {
            unread.push(line);
            continue;
        };
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        match (&command[..], current) {
            ([], _) => {}
            (["package", _], _) => {}
            (["config", kind, name @ ..], _) if name.len() < 2 => {
                let name = name.first().copied().unwrap_or_default();
                let known = |found: &Section| !name.is_empty() && found.name == name;
                current = Some(sections.iter().position(known).unwrap_or(sections.len()));
                if current == Some(sections.len()) {
                    let place = match name.is_empty() {
                        true => format!("{PATH}: {kind} {}", sections.len() + 1),
                        false => format!("{PATH}: {kind} {name}"),
                    };
                    let (kind, name) = ((*kind).to_owned(), name.to_owned());
                    sections.push(Section { kind, name, file: File::new(place) });
                }
            }
            ([word @ ("option" | "list"), key, value], Some(at)) => {
                let Section { kind, file, .. } = &mut sections[at];
                let setting = Setting {
                    manager: MANAGER,
                    section: kind.clone(),
                    occurrence: 0,
                    key: (*key).to_owned(),
                    value: (*value).to_owned(),
                };
                match *word {
                    "option" => file.replace(setting),
                    _ => file.push(setting),
                }
            }
            _ => unread.push(line),
        }
    }
    (sections, unread)
}

/// Returns the device of an interface, also of an alias of another interface (`@NAME`).
fn device_of(sections: &[Section], interface: &Section) -> Option<String> {
    let mut interface = interface;
    for _ in 0..MOST_ALIASES {
        if let Some(bond) = interface.bond() {
            return Some(bond);
        }
        // Before OpenWrt 21.02 the key was `ifname`.
        let device = interface.get("device").or(interface.get("ifname"))?;
        let Some(name) = device.strip_prefix('@') else {
            return Some(device.to_owned());
        };
        interface = sections.iter().find(|it| it.is("interface") && it.name == name)?;
    }
    None
}

fn read_bond(own: &Section, bond: &mut Bond, notes: &mut Notes) {
    let is_arp = own.get("monitor_mode").or(own.get("link_monitoring")) == Some("arp");
    let Section { file, kind, .. } = own;
    // netifd sets an option of the mode to 0 where the section has none.
    if own.is("device") {
        match own.get("policy") {
            None | Some("balance-rr") => bond.options.put(Opt::PacketsPerSlave, 0),
            Some("balance-tlb") => bond.options.put(Opt::TlbDynamicLb, 0),
            _ => {}
        }
    }
    let kept = file.decide_each(notes, |setting, notes| {
        let Setting { key, value, .. } = setting;
        match key.as_str() {
            "name" | "type" | "monitor_mode" | "link_monitoring" => Decision::Read,
            "ports" | "slaves" => {
                words(value)
                    .for_each(|port| bond.add_port(BondPort::new(&port), &file.path, notes));
                Decision::Read
            }
            "monitor_interval" => {
                bond.set_option(if is_arp { "arp_interval" } else { "miimon" }, value, notes);
                Decision::Read
            }
            // The other monitor is off.
            "arp_interval" if !is_arp => Decision::Read,
            "miimon" | "updelay" | "downdelay" if is_arp => Decision::Read,
            "arp_target" | "arp_ip_target" => {
                let all: Vec<String> = own.words(key).collect();
                bond.set_option("arp_ip_target", &all.join(","), notes);
                Decision::Read
            }
            // `read_interface` decides on the addresses of an interface of proto-bonding.
            _ if kind == "interface" && INTERFACE.contains(&key.as_str()) => Decision::Read,
            _ => read_key(setting, bond, notes),
        }
    });
    bond.network.other_settings.extend(kept);
}

/// Reads a key of both kinds of bond.
fn read_key(setting: &Setting, bond: &mut Bond, notes: &mut Notes) -> Decision {
    let Setting { key, value, .. } = setting;
    let network = &mut bond.network;
    let known = NAMES.iter().find(|(own, _)| own == key);
    let name = known.map_or(key.as_str(), |(_, name)| name);
    match key.as_str() {
        "macaddr" if super::is_hwaddr(value) => network.hwaddr = Some(value.to_ascii_lowercase()),
        "macaddr" => return Decision::lost("no hardware address"),
        "mtu" => return Decision::of(value.parse().map(|mtu| network.mtu = Some(mtu))),
        "arp_all_targets" if is_yes(value) => bond.set_option(name, "all", notes),
        "arp_all_targets" => bond.set_option(name, value, notes),
        _ if known.is_some() || ROWS.iter().any(|row| row.name == name) => {
            bond.set_option(name, value, notes);
        }
        _ => return Decision::Kept,
    }
    Decision::Read
}

fn is_yes(text: &str) -> bool {
    matches!(text, "1" | "on" | "true" | "yes" | "enabled")
}

/// Reads the addresses of an interface on the bond.
fn read_interface(interface: &Section, bond: &mut Bond, notes: &mut Notes) {
    let netmask = interface.get("netmask").unwrap_or("32");
    let is_of_bonding = interface.get("proto") == Some("bonding");
    let network = &mut bond.network;
    let kept = interface.file.decide_each(notes, |setting, _| {
        let Setting { key, value, .. } = setting;
        match key.as_str() {
            "device" | "ifname" | "netmask" | "broadcast" => {}
            "proto" => match value.as_str() {
                "static" | "none" | "bonding" => {}
                "dhcp" => network.ipv4.automatic = true,
                "dhcpv6" => (network.ipv6.automatic, network.dhcpv6) = (true, true),
                _ => return Decision::Kept,
            },
            "ipaddr" => network.ipv4.addresses.extend(words(value).map(|address| {
                let whole = address.contains('/');
                if whole { address } else { with_prefix_len(&address, netmask) }
            })),
            "ip6addr" => network.ipv6.addresses.extend(words(value)),
            "gateway" => network.ipv4.gateway = Some(value.clone()),
            "ip6gw" => network.ipv6.gateway = Some(value.clone()),
            "dns" => network.dns.extend(words(value)),
            "dns_search" => network.search.extend(words(value)),
            // `read_bond` has decided on the other keys.
            key if is_of_bonding && !INTERFACE.contains(&key) => {}
            _ => return Decision::Kept,
        }
        Decision::Read
    });
    network.other_settings.extend(kept);
}

/// Reads the section of a device that is a port of the bond.
fn read_port(section: &Section, bond: &mut Bond, notes: &mut Notes) {
    let mtu = bond.network.mtu;
    let name = section.get("name").unwrap_or_default();
    let Some(port) = bond.ports.iter_mut().find(|port| port.name == name) else { return };
    port.other_settings =
        section.file.decide_each(notes, |Setting { key, value, .. }, _| match key.as_str() {
            "name" => Decision::Read,
            "mtu" if value.parse().ok() == mtu => Decision::Read,
            _ => Decision::Kept,
        });
}

/// Returns the devices that the sections stack, with the addresses of the interfaces on them.
fn devices(sections: &[Section]) -> Devices {
    let mut devices = Devices::default();
    for section in sections {
        let text = |key: &str| section.get(key).unwrap_or_default();
        match (section.kind.as_str(), text("type")) {
            ("device", "8021q" | "8021ad") => {
                let (lower, id) = (text("ifname"), text("vid"));
                let implied = format!("{lower}.{id}");
                let name = section.get("name").unwrap_or(&implied);
                devices.add(name, &section.file.path, Vec::new());
                devices.stack_vlan(name, lower, id.parse().ok());
            }
            ("device", "bridge") => {
                devices.add(text("name"), &section.file.path, Vec::new());
                // Before OpenWrt 21.02 the key was `ifname`.
                let ports = section.words("ports").chain(section.words("ifname"));
                ports.for_each(|port| devices.stack(text("name"), &port));
            }
            ("bridge-vlan", _) => devices.add(text("device"), &section.file.path, Vec::new()),
            ("interface", kind) => {
                let mut name = device_of(sections, section).unwrap_or_default();
                if kind == "bridge" {
                    name = format!("br-{}", section.name);
                    section.words("ifname").for_each(|port| devices.stack(&name, &port));
                }
                let addresses = section.words("ipaddr").chain(section.words("ip6addr"));
                let addresses = addresses.map(|address| match address.contains(['/', ':']) {
                    true => address,
                    false => with_prefix_len(&address, section.get("netmask").unwrap_or("32")),
                });
                devices.add(&name, &section.file.path, addresses.collect());
                if let Some((lower, id)) = name.rsplit_once('.') {
                    devices.stack_vlan(&name, lower, id.parse().ok());
                }
            }
            _ => {}
        }
    }
    devices
}
