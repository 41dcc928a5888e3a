//! Reads a bond or a team and its ports from ifcfg files of the initscripts and of wicked.
//!
//! Standard: initscripts' `sysconfig.txt`; ifcfg(5), ifcfg-bonding(5) of wicked; teamd's `ifup-Team`
//! and `ifup-TeamPort`. The key `DEVICE` names the device of a file; without the key, the name of the
//! file does. Other keys are copied unchanged.

mod address;
mod team;
mod write;

use std::collections::BTreeMap;

use address::{addresses, is_address, read_network};
pub use write::{NO_SLB, driver_options, note_port_options, write, write_wicked};

use super::ini;
use super::links::{self, Condition, Link};
use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Notes, Upper, words};
use super::modprobe;
use super::settings::{Decision, File, Setting, is_backup};
use super::tree::Tree;
use super::uppers::{Devices, vlan_of_name};

/// Keys that define a bond, a team or a port; they are written anew, not copied.
const OWN: &[&str] = &[
    "DEVICE",
    "BONDING_OPTS",
    "BONDING_MODULE_OPTS",
    "SLAVE",
    "MASTER",
    "MASTER_UUID",
    "TYPE",
    "DEVICETYPE",
    "BONDING_MASTER",
    "TEAM",
    "TEAM_CONFIG",
    "TEAM_MASTER",
    "TEAM_MASTER_UUID",
    "TEAM_PORT_CONFIG",
];

/// Values that deny.
const FALSE: [&str; 6] = ["no", "NO", "No", "false", "off", "0"];

/// Returns the bond or team `name` of the files in `folders`, with its ports; `None` if no file defines
/// the device.
pub fn read(
    tree: &Tree,
    manager: Manager,
    folders: &[&str],
    name: &str,
    device: DeviceKind,
    notes: &mut Notes,
) -> Option<Bond> {
    let files = files(tree, manager, folders);
    let own = own_files(&files, name);
    let is_bond = |file: &File| is_bond(file) || modprobe::has_alias(tree, name);
    let file = own.iter().copied().find(|file| is_bond(file) == (device == DeviceKind::Bond))?;
    for other in own.into_iter().filter(|other| other.path != file.path) {
        notes.lost(
            format_args!("{}: {name}", other.path),
            format_args!("a second file for the device; {} is read", file.path),
        );
    }
    let mut bond =
        Bond { name: device_of(file).to_owned(), file: file.path.clone(), ..Bond::default() };
    if device == DeviceKind::Bond {
        for options in modprobe::options(tree, name) {
            read_options(&options, &mut bond, notes);
        }
        for key in ["BONDING_OPTS", "BONDING_MODULE_OPTS"] {
            let options = file.get("", key).unwrap_or_default();
            match manager {
                Manager::Ifcfg => read_options(&with_joined_targets(options), &mut bond, notes),
                _ => read_options(options, &mut bond, notes),
            }
        }
    }
    bond.network = read_network(file, notes);
    read_ports(tree, file, &files, &mut bond, notes);
    bond.drop_unsafe_names(notes);
    bond.uppers = uppers(tree, folders, &bond.name, &files);
    Some(bond)
}

/// Returns the configuration of the team `name` and the settings of its ports by name, each as the
/// JSON text that the files contain; `None` if no file defines a team.
pub fn team_texts(
    tree: &Tree,
    manager: Manager,
    name: &str,
) -> Option<(String, BTreeMap<String, String>)> {
    let files = files(tree, manager, manager.folders());
    let own = own_files(&files, name);
    if manager == Manager::Wicked {
        return own.into_iter().find_map(team::texts);
    }
    let config = own.iter().find_map(|file| file.get("", "TEAM_CONFIG"))?;
    let ports = files.iter().filter(|file| file.get("", "TEAM_MASTER") == Some(name));
    let text = |file: &File| file.get("", "TEAM_PORT_CONFIG").unwrap_or("{}").to_owned();
    let ports = ports.map(|file| (device_of(file).to_owned(), text(file)));
    Some((config.to_owned(), ports.collect()))
}

/// Returns the files that configure interfaces, without copies that an editor left.
/// A file of the administrator replaces the one of this name from the initrd.
fn files(tree: &Tree, manager: Manager, folders: &[&str]) -> Vec<File> {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    for folder in folders {
        let named = tree.folder(folder).filter(|(name, _)| name.starts_with("ifcfg-"));
        for (name, text) in named.filter(|(name, _)| !is_backup(name) && *name != "ifcfg-lo") {
            let file = ini::parse_ifcfg(manager, &format!("{folder}/{name}"), text);
            files.entry(name).or_insert(file);
        }
    }
    files.into_values().collect()
}

/// Returns the device of a file: its `DEVICE`, or else its name.
fn device_of(file: &File) -> &str {
    let device = file.get("", "DEVICE").filter(|device| super::is_interface_name(device));
    device.or(file.name().strip_prefix("ifcfg-")).unwrap_or_default()
}

/// Returns the files of the device `name`; if no file names the device, the file `ifcfg-` and `name`.
fn own_files<'a>(files: &'a [File], name: &str) -> Vec<&'a File> {
    let by_device: Vec<&File> = files.iter().filter(|file| device_of(file) == name).collect();
    match by_device.is_empty() {
        false => by_device,
        true => {
            files.iter().filter(|file| file.name().strip_prefix("ifcfg-") == Some(name)).collect()
        }
    }
}

fn is_bond(file: &File) -> bool {
    file.settings().iter().any(|Setting { key, value, .. }| match key.as_str() {
        "BONDING_OPTS" | "BONDING_MODULE_OPTS" | "BONDING_MASTER" => true,
        key => key == "TYPE" && value.eq_ignore_ascii_case("bond"),
    })
}

/// Returns the options with all words `arp_ip_target` joined to one word: to the initscripts each further
/// word adds targets.
fn with_joined_targets(options: &str) -> String {
    let is_target = |word: &&str| word.starts_with("arp_ip_target=");
    let (targets, mut words): (Vec<&str>, Vec<&str>) =
        options.split_ascii_whitespace().partition(is_target);
    let targets = targets.iter().filter_map(|word| word.split_once('=')).map(|(_, value)| value);
    let joined = format!("arp_ip_target={}", targets.collect::<Vec<_>>().join(","));
    words.extend(Some(joined.as_str()).filter(|joined| !joined.ends_with('=')));
    words.join(" ")
}

/// Sets the options of a bond from `key=value` words, with a note for each invalid word.
pub fn read_options(text: &str, bond: &mut Bond, notes: &mut Notes) {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for word in text.split_ascii_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match known.insert(name, value) {
            Some(former) if former != value => {
                notes.lost(format_args!("{name}={former}"), format_args!("then {word} is given"));
            }
            _ => {}
        }
        match name {
            // Options of the module, and a state.
            "max_bonds" | "tx_queues" | "active_slave" => {}
            _ if !word.contains('=') => notes.lost(word, "no option of the form NAME=VALUE"),
            // An option without a value counts as absent.
            _ if value.is_empty() => {}
            _ => bond.set_option(name, value, notes),
        }
    }
}

/// Returns the number of a key such as `BONDING_SLAVE0` or `BONDING_SLAVE_0`.
fn port_number(key: &str) -> Option<u32> {
    let number = key.strip_prefix("BONDING_SLAVE")?;
    number.trim_start_matches('_').parse().ok()
}

fn read_ports(tree: &Tree, own: &File, files: &[File], bond: &mut Bond, notes: &mut Notes) {
    let uuid = own.get("", "UUID").filter(|uuid| !uuid.is_empty());
    let mut listed: Vec<(u32, &str)> = own
        .settings()
        .iter()
        .filter_map(|setting| Some((port_number(&setting.key)?, setting.value.trim())))
        .filter(|(_, port)| !port.is_empty())
        .collect();
    listed.sort_unstable();
    listed.extend((0..).zip(team::ports(own).into_iter().map(|(_, port)| port)));
    let masters = ["MASTER", "TEAM_MASTER", "MASTER_UUID", "TEAM_MASTER_UUID"];
    let is_port = |file: &File| {
        let mut named = masters.iter().filter_map(|key| file.get("", key));
        named.any(|master| master == bond.name || Some(master) == uuid)
    };
    // The initscripts add no interface whose file denies that it is a port.
    let denies = |file: &&File| file.get("", "SLAVE").is_some_and(|value| FALSE.contains(&value));
    let (denying, by_master): (Vec<&File>, Vec<&File>) =
        files.iter().filter(|file| is_port(file)).partition(denies);
    for file in denying {
        let subject = format!("{}: port {}", file.path, device_of(file));
        notes.lost(subject, "SLAVE=no: the file names its bond, and is no port");
    }
    for (_, port) in &listed {
        let file = files.iter().find(|file| device_of(file) == *port);
        let port = match file {
            Some(file) => read_port(port, file, notes),
            None => BondPort::new(port),
        };
        bond.add_port(port, &own.path, notes);
    }
    let links = links::all(tree);
    for file in by_master {
        let name = port_name(&links, file);
        let is_read = |(_, port): &(u32, &str)| *port == name && device_of(file) == name;
        if !listed.iter().any(is_read) {
            let port = read_port(&name, file, notes);
            bond.add_port(port, &file.path, notes);
        }
    }
}

/// Returns the interface of a port's file: its `DEVICE`, the interface with its `HWADDR`, or else the
/// name of the file.
fn port_name(links: &[Link], file: &File) -> String {
    let hwaddr = file.get("", "HWADDR").filter(|_| file.get("", "DEVICE").is_none());
    let by_hwaddr = hwaddr.and_then(|hwaddr| {
        let condition = Condition::PermanentHwAddr(vec![hwaddr.to_owned()]);
        links.iter().find(|link| condition.holds(link))
    });
    by_hwaddr.map_or(device_of(file), |link| &link.name).to_owned()
}

fn read_port(name: &str, file: &File, notes: &mut Notes) -> BondPort {
    let mut port = BondPort::new(name);
    let other_settings =
        file.decide_each(notes, |Setting { key, value, .. }, _| match key.as_str() {
            key if OWN.contains(&key) => Decision::Read,
            // NetworkManager alone knows both.
            "BOND_PORT_PRIO" => Decision::of(value.parse().map(|prio| port.prio = prio)),
            "BOND_PORT_QUEUE_ID" => Decision::of(value.parse().map(|id| port.queue_id = id)),
            "BOOTPROTO" if !matches!(value.as_str(), "none" | "static" | "") => {
                Decision::lost("a port of a team has no addresses of its own")
            }
            key if is_address(key) && !value.is_empty() => {
                Decision::lost("a port of a team has no addresses of its own")
            }
            _ => Decision::Kept,
        });
    port.other_settings = other_settings;
    port
}

/// Returns the files about routes of the device, and about VLANs and bridges above it.
fn uppers(tree: &Tree, folders: &[&str], name: &str, files: &[File]) -> Vec<Upper> {
    let mut devices = Devices::default();
    for file in files {
        let upper = device_of(file);
        if upper == name {
            if let Some(bridge) = file.get("", "BRIDGE") {
                devices.stack(bridge, name);
            }
            continue;
        }
        devices.add(upper, &file.path, addresses(file));
        // More addresses of the device: `ifcfg-bond0:1`, `ifcfg-bond0-range0`.
        let alias = upper.strip_prefix(name).unwrap_or_default();
        if alias.starts_with(':') || alias.starts_with("-range") {
            devices.stack(upper, name);
        }
        if let Some(bridge) = file.get("", "BRIDGE") {
            devices.stack(bridge, upper);
        }
        for lower in file.all("", "BRIDGE_PORTS").flat_map(words) {
            devices.stack(upper, &lower);
        }
        let id = file.get("", "VLAN_ID").and_then(|id| id.parse().ok());
        let lower = file.get("", "PHYSDEV").or(file.get("", "ETHERDEVICE"));
        let is_vlan = id.is_some() || file.get("", "VLAN") == Some("yes");
        match lower.or(upper.rsplit_once('.').map(|(lower, _)| lower)) {
            Some(lower) if is_vlan => {
                devices.stack_vlan(upper, lower, id.or_else(|| vlan_of_name(upper)));
            }
            _ => {}
        }
    }
    let mut uppers = devices.above(name);
    let kinds = ["route", "route6", "rule", "rule6", "ifroute", "ifrule"];
    for (folder, kind) in folders.iter().flat_map(|folder| kinds.map(|kind| (folder, kind))) {
        let path = format!("{folder}/{kind}-{name}");
        if tree.get(&path).is_some() {
            uppers.push(Upper {
                file: path,
                name: format!("{kind} of {name}"),
                ..Upper::default()
            });
        }
    }
    uppers
}
