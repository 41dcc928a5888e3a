//! Reads a bond or a team and its ports from NetworkManager's keyfiles.
//!
//! Standard: nm-settings-keyfile(5). A port names its controller by uuid, interface or id. The key
//! of the controller is written as `master`, the old name, which every version reads.

mod write;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub use write::{default_route, method, write};

use super::ini;
use super::links::{self, Condition, Link};
use super::manager::{DeviceKind, Manager};
use super::model::{Addressing, Bond, BondPort, Network, Notes, Upper};
use super::settings::{Decision, File, Setting, is_backup};
use super::tree::Tree;
use super::uppers::Devices;

const MANAGER: Manager = Manager::NetworkManager;

/// Returns the bond or team `name` with its ports; `None` if no file defines the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let kind = match device {
        DeviceKind::Bond => "bond",
        DeviceKind::Team => "team",
    };
    let (files, links) = (files(tree), links::all(tree));
    let mut profiles = profiles(&files, kind, name);
    let master = profiles.next()?;
    for other in profiles {
        notes.lost(
            format_args!("{}: {name}", other.path),
            format_args!("another profile for the device; {} is read", master.path),
        );
    }
    let mut bond = Bond { name: name.to_owned(), file: master.path.clone(), ..Bond::default() };
    read_master(master, &files, &mut bond, notes);
    let names = ["uuid", "interface-name", "id"].map(|key| master.get("connection", key));
    for file in &files {
        let controller = controller(file);
        if controller.is_some() && names.contains(&controller) {
            let Some(interface) = interface(&links, file) else {
                let id = file.get("connection", "id").unwrap_or("without a name");
                notes.lost(
                    format_args!("{}: port {id}", file.path),
                    "its connection stands for no single interface here; add it to \"ports\"",
                );
                continue;
            };
            let kind = file.get("connection", "type").unwrap_or("ethernet");
            if !matches!(kind, "ethernet" | "802-3-ethernet") {
                notes.lost(
                    format_args!("{interface}: [connection] type={kind}"),
                    "its connection becomes one of type ethernet; let another one make it",
                );
            }
            let port = read_port(&interface, file, notes);
            bond.add_port(port, &file.path, notes);
        }
    }
    bond.uppers = uppers(master, name, &files);
    Some(bond)
}

/// Returns the configuration of the team `name` and the settings of its ports by name, each as the
/// JSON text that the files contain; `None` if no file defines a team.
pub fn team_texts(tree: &Tree, name: &str) -> Option<(String, BTreeMap<String, String>)> {
    let (files, links) = (files(tree), links::all(tree));
    let master = profiles(&files, "team", name).next()?;
    let names = ["uuid", "interface-name", "id"].map(|key| master.get("connection", key));
    let is_port = |file: &&File| controller(file).is_some() && names.contains(&controller(file));
    let ports = files.iter().filter(is_port).filter_map(|file| {
        let text = file.get("team-port", "config").unwrap_or("{}");
        Some((interface(&links, file)?, text.to_owned()))
    });
    Some((master.get("team", "config").unwrap_or("{}").to_owned(), ports.collect()))
}

/// Returns the files without copies that an editor left, and only the first of several files with one
/// uuid.
fn files(tree: &Tree) -> Vec<File> {
    let (mut names, mut uuids) = (BTreeSet::new(), BTreeSet::new());
    let mut files = Vec::new();
    for folder in MANAGER.folders() {
        for (name, text) in tree.folder(folder).filter(|(name, _)| !is_backup(name)) {
            let file = ini::parse(MANAGER, &format!("{folder}/{name}"), text);
            let uuid = file.get("connection", "uuid").map(str::to_owned);
            let is_new = uuid.is_none_or(|uuid| uuids.insert(uuid));
            if names.insert(name) && is_new {
                files.push(file);
            }
        }
    }
    files
}

/// Returns the connections of a kind for the interface `name`, in NetworkManager's order.
fn profiles<'a>(files: &'a [File], kind: &str, name: &str) -> impl Iterator<Item = &'a File> {
    let is_one = |file: &&File| {
        let own = |key| file.get("connection", key);
        own("type") == Some(kind) && own("interface-name") == Some(name)
    };
    let mut found: Vec<&File> = files.iter().filter(is_one).collect();
    found.sort_by_key(|file| {
        let own = |key| file.get("connection", key);
        let number = |key| own(key).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let automatic = own("autoconnect") != Some("false");
        Reverse((automatic, number("autoconnect-priority"), number("timestamp")))
    });
    found.into_iter()
}

fn controller(file: &File) -> Option<&str> {
    let own = |key| file.get("connection", key).filter(|value| !value.is_empty());
    own("controller").or(own("master"))
}

fn port_type(file: &File) -> Option<&str> {
    file.get("connection", "port-type").or(file.get("connection", "slave-type"))
}

/// Returns the interface of a port: the one that the profile names, or the only one that meets the
/// conditions of the profile. Returns `None` if no interface or several meet the conditions.
fn interface(links: &[Link], file: &File) -> Option<String> {
    if let Some(name) = file.get("connection", "interface-name") {
        return super::is_interface_name(name).then(|| name.to_owned());
    }
    let hwaddr = file.get("ethernet", "mac-address").or(file.get("802-3-ethernet", "mac-address"));
    let mut conditions: Vec<Condition> = hwaddr
        .map(|hwaddr| Condition::PermanentHwAddr(vec![hwaddr.to_owned()]))
        .into_iter()
        .collect();
    for Setting { key, value, .. } in file.settings().iter().filter(|it| it.section == "match") {
        let words: Vec<String> =
            value.split(';').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        // A prefix makes a word mandatory or negates the word, which no `Condition` expresses.
        if words.iter().any(|word| word.starts_with(['!', '&', '|', '\\'])) {
            return None;
        }
        conditions.push(match key.as_str() {
            "interface-name" => Condition::Name(words),
            "driver" => Condition::Driver(words),
            "path" => Condition::Path(words),
            _ => return None,
        });
    }
    let fulfils = |link: &&Link| conditions.iter().all(|condition| condition.holds(link));
    let mut found = links.iter().filter(fulfils).filter(|_| !conditions.is_empty());
    // A profile is active on one interface.
    found.next().filter(|_| found.next().is_none()).map(|link| link.name.clone())
}

fn read_port(interface: &str, file: &File, notes: &mut Notes) -> BondPort {
    let mut port = BondPort::new(interface);
    let other_settings = file.decide_each(notes, |setting, _| {
        let Setting { section, key, value, .. } = setting;
        match (section.as_str(), key.as_str()) {
            _ if is_identity(setting) => Decision::Read,
            ("bond-port", "prio") => Decision::of(value.parse().map(|prio| port.prio = prio)),
            ("bond-port", "queue-id") => Decision::of(value.parse().map(|id| port.queue_id = id)),
            ("bond-port", _) => Decision::UNKNOWN,
            ("team-port", "config") => Decision::Read,
            ("ipv4" | "ipv6", key) if key.starts_with("address") && !value.is_empty() => {
                Decision::lost("a port of a team has no addresses of its own")
            }
            _ => Decision::Kept,
        }
    });
    port.other_settings = other_settings;
    port
}

/// Returns whether a key identifies the connection; such keys are written anew, not copied.
fn is_identity(entry: &Setting) -> bool {
    entry.section == "connection"
        && matches!(
            entry.key.as_str(),
            "id" | "uuid"
                | "type"
                | "interface-name"
                | "timestamp"
                | "controller"
                | "master"
                | "slave-type"
                | "port-type"
        )
}

fn read_master(file: &File, files: &[File], bond: &mut Bond, notes: &mut Notes) {
    let mut network = Network::default();
    // A device in a VRF has its own addresses; a port of another controller has none.
    let is_port = controller(file).is_some() && port_type(file) != Some("vrf");
    if let Some(controller) = controller(file) {
        read_controller(controller, file, files, &mut network, notes);
    }
    // The default method is `auto`.
    network.ipv4.automatic = !is_port && matches!(file.get("ipv4", "method"), None | Some("auto"));
    network.ipv6.automatic = !is_port && matches!(file.get("ipv6", "method"), None | Some("auto"));
    let mut kept = file.decide_each(notes, |setting, notes| {
        let Setting { section, key, value, .. } = setting;
        match (section.as_str(), key.as_str()) {
            _ if is_identity(setting) => Decision::Read,
            ("bond", "active_slave" | "tx_queues") => Decision::Read,
            ("bond", key) => {
                bond.set_option(key, value, notes);
                Decision::Read
            }
            ("team", "config") => Decision::Read,
            ("ethernet" | "802-3-ethernet", "mtu") => {
                Decision::of(value.parse().map(|mtu| network.mtu = Some(mtu)))
            }
            ("ethernet" | "802-3-ethernet", "cloned-mac-address") if super::is_hwaddr(value) => {
                network.hwaddr = Some(value.clone());
                Decision::Read
            }
            ("ipv4" | "ipv6", _) => read_address_key(setting, is_port, &mut network),
            _ => Decision::Kept,
        }
    });
    network.other_settings.append(&mut kept);
    bond.network = network;
}

/// Reads the controller of the device. The model has a bridge of the kernel; any other controller
/// stays a setting of NetworkManager's file.
fn read_controller(
    controller: &str,
    file: &File,
    files: &[File],
    network: &mut Network,
    notes: &mut Notes,
) {
    let own = |file: &File, key| file.get("connection", key).map(str::to_owned);
    let is_controller = |file: &&File| own(file, "uuid").as_deref() == Some(controller);
    let profile = files.iter().find(is_controller);
    let interface = profile.and_then(|profile| own(profile, "interface-name"));
    match port_type(file) {
        None | Some("bridge") => {
            network.bridge = Some(interface.unwrap_or_else(|| controller.to_owned()));
        }
        Some(kind) => {
            let what = match kind {
                "ovs-port" => "a port of Open vSwitch".to_owned(),
                "vrf" => "a VRF".to_owned(),
                kind => format!("a device of type {kind}"),
            };
            let name = interface.as_deref().unwrap_or(controller);
            notes.approximated(
                format_args!("{}: [connection] master={controller}", file.path),
                format_args!(
                    "{name} is {what}, no bridge; the team takes the place of the bond there"
                ),
            );
            let keys = [("master", controller), ("slave-type", kind)];
            network.other_settings.extend(keys.map(|(key, value)| Setting {
                manager: MANAGER,
                section: "connection".to_owned(),
                occurrence: 0,
                key: key.to_owned(),
                value: value.to_owned(),
            }));
        }
    }
}

fn read_address_key(setting: &Setting, is_port: bool, network: &mut Network) -> Decision {
    let Setting { section, key, value, .. } = setting;
    let list = || value.split([';', ',']).filter(|part| !part.is_empty());
    let is_ipv6 = section == "ipv6";
    let dhcpv6 = is_ipv6 && value == "dhcp";
    let addressing = if is_ipv6 { &mut network.ipv6 } else { &mut network.ipv4 };
    match key.trim_end_matches(|digit: char| digit.is_ascii_digit()) {
        "address" | "addresses" | "gateway" | "dns" if is_port && !value.is_empty() => {
            return Decision::lost("a port has no addresses of its own");
        }
        "address" | "addresses" => read_address(value, addressing),
        "gateway" => addressing.gateway = Some(value.clone()),
        "dns" => network.dns.extend(list().map(str::to_owned)),
        "dns-search" => {
            for domain in list() {
                if !network.search.iter().any(|known| known == domain) {
                    network.search.push(domain.to_owned());
                }
            }
        }
        "method" if key == "method" && dhcpv6 => network.dhcpv6 = !is_port,
        "method" if matches!(value.as_str(), "auto" | "manual" | "disabled" | "ignore") => {}
        _ => return Decision::Kept,
    }
    Decision::Read
}

/// Reads `address/prefix[,gateway]`.
fn read_address(value: &str, addressing: &mut Addressing) {
    let mut parts = value.split([',', ';']);
    if let Some(address) = parts.next().filter(|address| !address.is_empty()) {
        addressing.addresses.push(address.to_owned());
    }
    let gateway = parts.next().filter(|gateway| !matches!(*gateway, "" | "0.0.0.0" | "::"));
    if let Some(gateway) = gateway {
        addressing.gateway.get_or_insert_with(|| gateway.to_owned());
    }
}

/// Returns the files about VLANs of the device, and about bridges and other controllers above it.
fn uppers(master: &File, name: &str, files: &[File]) -> Vec<Upper> {
    let mut devices = Devices::default();
    let own = |file: &'_ File, key: &str| file.get("connection", key).map(str::to_owned);
    let by_uuid: BTreeMap<String, String> = files
        .iter()
        .filter_map(|file| Some((own(file, "uuid")?, own(file, "interface-name")?)))
        .collect();
    let named = |lower: &str| by_uuid.get(lower).cloned().unwrap_or_else(|| lower.to_owned());
    for file in files {
        let Some(device) = own(file, "interface-name") else { continue };
        if device != name {
            let addresses = ["ipv4", "ipv6"].into_iter().flat_map(|section| {
                let of_section = file.settings().iter().filter(move |s| s.section == section);
                of_section.filter(|s| s.key.starts_with("address"))
            });
            let first = addresses.filter_map(|s| s.value.split([',', ';']).next());
            devices.add(&device, &file.path, first.map(str::to_owned).collect());
        }
        if let Some(controller) = controller(file).filter(|_| port_type(file) == Some("bridge")) {
            devices.stack(&named(controller), &device);
        }
        if let Some(parent) = file.get("vlan", "parent") {
            let id = file.get("vlan", "id").and_then(|id| id.parse().ok());
            devices.stack_vlan(&device, &named(parent), id);
        }
    }
    let mut uppers = devices.above(name);
    // The port of an Open vSwitch bridge has the name of the bond.
    let of_port = |file: &&File| controller(master) == file.get("connection", "uuid");
    for file in files.iter().filter(of_port).filter(|_| controller(master).is_some()) {
        if uppers.iter().all(|upper| upper.file != file.path) {
            let name = file.get("connection", "id").unwrap_or_default().to_owned();
            uppers.push(Upper { file: file.path.clone(), name, ..Upper::default() });
        }
    }
    uppers
}
