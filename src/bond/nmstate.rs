//! Reads a bond from nmstate's YAML, and writes one.
//!
//! Standard: nmstate's state of interfaces, routes and DNS. The service applies `*.yml` of its folder.

mod write;

use serde_json::{Map, Value};
pub use write::write;

use super::links::{self, Condition, Link};
use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Notes};
use super::settings::{Decision, File, Setting};
use super::tree::Tree;
use super::uppers::Devices;
use super::yaml;

const MANAGER: Manager = Manager::Nmstate;

/// Returns the bond `name` with its ports; `None` if no file defines the bond.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let mut problems = Notes::default();
    let states = states(tree, &mut problems);
    let found = states.iter().filter_map(|(path, state)| {
        let mut all = interfaces(state);
        Some((path, state, all.find(|found| is_bond(found, name))?))
    });
    let (defining, removing): (Vec<_>, Vec<_>) =
        found.partition(|(.., interface)| !is_absent(interface));
    let (path, state, own) = *defining.first().filter(|_| device == DeviceKind::Bond)?;
    notes.extend(problems);
    for (other, ..) in &defining[1..] {
        notes.lost(
            format_args!("{other}: {name}"),
            format_args!("a second file for the device; {path} is read"),
        );
    }
    for (other, _, interface) in removing {
        let reason = format!("the file removes the device that {path} defines; {path} is read");
        flat(other, name, interface).decide_each(notes, |setting, _| match setting.key.as_str() {
            "name" | "type" => Decision::Read,
            _ => Decision::Lost(reason.clone().into()),
        });
    }
    let mut bond = Bond { name: name.to_owned(), file: path.clone(), ..Bond::default() };
    read_bond(path, own, &mut bond, notes);
    let is_port = |one: &&Value| text(one, "controller") == Some(name) && !is_absent(one);
    for port in interfaces(state).filter(is_port) {
        let port = text(port, "name").unwrap_or_default();
        if port != name && bond.ports.iter().all(|known| known.name != port) {
            bond.ports.push(BondPort::new(port));
        }
    }
    read_ports(path, state, &mut bond, notes);
    resolve_ports(state, &links::all(tree), &mut bond, notes);
    read_rest(path, state, &mut bond, notes);
    bond.drop_unsafe_names(notes);
    bond.uppers = devices(path, state).above(name);
    Some(bond)
}

/// Returns why no bond `name` is in the files although they name one: the file removes the bond.
pub fn removal(tree: &Tree, name: &str) -> Option<String> {
    let states = states(tree, &mut Notes::default());
    let removes = |state| interfaces(state).any(|one| is_bond(one, name) && is_absent(one));
    let (path, _) = states.iter().find(|(_, state)| removes(state))?;
    Some(format!("{path} removes the bond \"{name}\" (state: absent); no file defines it."))
}

/// Returns the reason why the bond `name` of the files cannot be converted: a file with the name cannot be
/// read.
pub fn refusal(tree: &Tree, name: &str) -> Option<String> {
    let mut problems = Notes::default();
    let states = states(tree, &mut problems);
    if states.iter().flat_map(|(_, state)| interfaces(state)).any(|one| is_bond(one, name)) {
        return None;
    }
    let files = tree.folder(MANAGER.folder()).filter(|(_, text)| text.contains(name));
    let named: Vec<&str> = files.map(|(file, _)| file).collect();
    let problem = problems.iter().find(|note| named.contains(&note.subject.as_str()))?;
    Some(format!("{}: {}.", problem.subject, problem.reason))
}

fn states(tree: &Tree, notes: &mut Notes) -> Vec<(String, Value)> {
    let mut states = Vec::new();
    for (name, text) in tree.folder(MANAGER.folder()) {
        let ends = [".yml", ".yaml"].iter().any(|ending| name.ends_with(ending));
        match ends.then(|| yaml::parse(text)) {
            Some(Ok(state)) => states.push((format!("{}/{name}", MANAGER.folder()), state)),
            Some(Err(error)) => {
                notes.lost(name, format_args!("the file cannot be read: {error}"));
            }
            None => {}
        }
    }
    states
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Returns the desired state of a document: the document itself, or the part below `desired` in a policy
/// of nmstate or below `desiredState` in an object of Kubernetes.
fn desired(document: &Value) -> &Value {
    let places = ["/desired", "/desiredState", "/spec/desiredState"];
    places.iter().find_map(|place| document.pointer(place)).unwrap_or(document)
}

fn interfaces(state: &Value) -> impl Iterator<Item = &Value> {
    desired(state).get("interfaces").and_then(Value::as_array).into_iter().flatten()
}

fn is_bond(interface: &Value, name: &str) -> bool {
    text(interface, "name") == Some(name) && text(interface, "type") == Some("bond")
}

/// Returns whether nmstate removes the interface.
fn is_absent(interface: &Value) -> bool {
    text(interface, "state") == Some("absent")
}

fn flat(path: &str, section: &str, value: &Value) -> File {
    let mut file = File::new(path);
    yaml::flatten(MANAGER, section, value, &mut file);
    file
}

fn read_bond(path: &str, own: &Value, bond: &mut Bond, notes: &mut Notes) {
    let file = flat(path, &bond.name.clone(), own);
    let is_on = |key: &str| file.settings().iter().any(|s| s.key == key && s.value == "true");
    let kept = file.decide_each(notes, |setting, notes| {
        let Setting { key, value, .. } = setting;
        if let Some(option) = key.strip_prefix("link-aggregation.options.") {
            read_option(option, value, bond, notes);
            return Decision::Read;
        }
        let network = &mut bond.network;
        match key.as_str() {
            "name" | "type" | "ipv4.enabled" | "ipv6.enabled" => {}
            "state" if value == "up" => {}
            "link-aggregation.mode" => bond.set_option("mode", value, notes),
            "link-aggregation.port" | "link-aggregation.slaves" => {
                bond.add_port(BondPort::new(value), &file.path, notes);
            }
            "link-aggregation.ports-config" => return read_port_settings(value, bond),
            "ipv4.dhcp" => network.ipv4.automatic = value == "true" && is_on("ipv4.enabled"),
            "ipv6.dhcp" => {
                let on = value == "true" && is_on("ipv6.enabled");
                network.dhcpv6 = on && !is_on("ipv6.autoconf");
            }
            "ipv6.autoconf" => network.ipv6.automatic = value == "true" && is_on("ipv6.enabled"),
            "ipv4.address" | "ipv6.address" => {
                let address: Option<Map<String, Value>> = serde_json::from_str(value).ok();
                let own = |key| address.as_ref().and_then(|it| it.get(key)?.as_str());
                let (Some(ip), Some(prefix)) = (own("ip"), own("prefix-length")) else {
                    return Decision::lost("expected ip and prefix-length");
                };
                network.by_version(ip).addresses.push(format!("{ip}/{prefix}"));
                if address.as_ref().is_some_and(|address| address.len() > 2) {
                    return Decision::lost("the address is kept, its options are not");
                }
            }
            "mac-address" if super::is_hwaddr(value) => {
                network.hwaddr = Some(value.to_ascii_lowercase());
            }
            "mtu" => return Decision::of(value.parse().map(|mtu| network.mtu = Some(mtu))),
            "controller" if value.is_empty() => {}
            _ => return Decision::Kept,
        }
        Decision::Read
    });
    bond.network.other_settings = kept;
}

/// Reads an option by the driver's name; nmstate has words for some numbers.
fn read_option(name: &str, value: &str, bond: &mut Bond, notes: &mut Notes) {
    let value = match (name, value) {
        ("all_slaves_active", "dropped") => "0",
        ("all_slaves_active", "delivered") => "1",
        (_, value) => value,
    };
    let name = if name == "balance_slb" { "balance-slb" } else { name };
    bond.set_option(name, value, notes);
}

fn read_port_settings(value: &str, bond: &mut Bond) -> Decision {
    let settings: Map<String, Value> = serde_json::from_str(value).unwrap_or_default();
    let own = |key| settings.get(key).and_then(Value::as_str);
    let Some(name) = own("name") else { return Decision::lost("expected a name") };
    if name != bond.name && bond.ports.iter().all(|port| port.name != name) {
        bond.ports.push(BondPort::new(name));
    }
    let Some(port) = bond.ports.iter_mut().find(|port| port.name == name) else {
        return Decision::Read;
    };
    for (key, value) in &settings {
        let number = value.as_str().unwrap_or_default();
        let decision = match key.as_str() {
            "name" => Decision::Read,
            "priority" => Decision::of(number.parse().map(|prio| port.prio = prio)),
            "queue-id" => Decision::of(number.parse().map(|id| port.queue_id = id)),
            _ => Decision::UNKNOWN,
        };
        if decision != Decision::Read {
            return decision;
        }
    }
    Decision::Read
}

/// Returns whether nmstate selects the interface by its hardware address, and not by its name.
fn is_by_hwaddr(interface: &Value) -> bool {
    text(interface, "identifier") == Some("mac-address")
}

/// Gives each port that is selected by its hardware address the name of the interface.
fn resolve_ports(state: &Value, links: &[Link], bond: &mut Bond, notes: &mut Notes) {
    for interface in interfaces(state).filter(|interface| is_by_hwaddr(interface)) {
        let name = text(interface, "name").unwrap_or_default();
        let hwaddr = text(interface, "mac-address").unwrap_or_default().to_owned();
        let condition = Condition::PermanentHwAddr(vec![hwaddr]);
        let Some(port) = bond.ports.iter_mut().find(|port| port.name == name) else { continue };
        match links.iter().find(|link| condition.holds(link)) {
            Some(link) => port.name.clone_from(&link.name),
            None => notes.lost(
                format_args!("port {name}"),
                "no interface here has its mac-address; put the name of the interface into \"ports\"",
            ),
        }
    }
}

/// Reads the interfaces of the ports.
fn read_ports(path: &str, state: &Value, bond: &mut Bond, notes: &mut Notes) {
    for interface in interfaces(state) {
        let Some(name) = text(interface, "name") else { continue };
        if bond.ports.iter().all(|port| port.name != name) {
            continue;
        }
        let file = flat(path, name, interface);
        let other_settings =
            file.decide_each(notes, |Setting { key, value, .. }, _| match key.as_str() {
                "name" | "controller" => Decision::Read,
                "identifier" | "mac-address" if is_by_hwaddr(interface) => Decision::Read,
                "type" if value == "ethernet" => Decision::Read,
                "type" => Decision::lost(
                    "the interface becomes one of type ethernet; let another one make it",
                ),
                "state" if value == "up" => Decision::Read,
                "ipv4.enabled" | "ipv6.enabled" if value == "false" => Decision::Read,
                "mtu" if value.parse().ok() == bond.network.mtu => Decision::Read,
                key if key.starts_with("ipv4.") || key.starts_with("ipv6.") => {
                    Decision::lost("a port of a team has no addresses of its own")
                }
                _ => Decision::Kept,
            });
        if let Some(port) = bond.ports.iter_mut().find(|port| port.name == name) {
            port.other_settings = other_settings;
        }
    }
}

/// Reads default routes through the bond, and name servers.
fn read_rest(path: &str, state: &Value, bond: &mut Bond, notes: &mut Notes) {
    let state = desired(state);
    let routes = state.pointer("/routes/config").and_then(Value::as_array);
    for route in routes.into_iter().flatten() {
        if text(route, "next-hop-interface") != Some(&bond.name) {
            continue;
        }
        let gateway = text(route, "next-hop-address").unwrap_or_default();
        let default = matches!(text(route, "destination"), Some("0.0.0.0/0" | "::/0"));
        let is_plain = |key: &String| {
            ["destination", "next-hop-address", "next-hop-interface"].contains(&key.as_str())
                // The main table.
                || (key == "table-id" && text(route, key) == Some("254"))
        };
        let plain = route.as_object().is_some_and(|route| route.keys().all(is_plain));
        let addressing = bond.network.by_version(gateway);
        if default && plain && addressing.gateway.is_none() {
            addressing.gateway = Some(gateway.to_owned());
        } else {
            notes.lost(
                format_args!("{path}: route {route}"),
                "of routes only a default one is kept",
            );
        }
    }
    if let Some(resolver) = state.pointer("/dns-resolver/config") {
        let file = flat(path, "dns-resolver", resolver);
        file.decide_each(notes, |Setting { key, value, .. }, _| {
            match key.as_str() {
                "server" => bond.network.dns.push(value.clone()),
                "search" => bond.network.search.push(value.clone()),
                _ => return Decision::UNKNOWN,
            }
            Decision::Read
        });
    }
}

fn devices(path: &str, state: &Value) -> Devices {
    let mut devices = Devices::default();
    for interface in interfaces(state) {
        let Some(name) = text(interface, "name") else { continue };
        let addresses = ["/ipv4/address", "/ipv6/address"].iter().flat_map(|place| {
            let addresses = interface.pointer(place).and_then(Value::as_array);
            addresses.into_iter().flatten().filter_map(|address| {
                Some(format!("{}/{}", text(address, "ip")?, text(address, "prefix-length")?))
            })
        });
        devices.add(name, &format!("{path}: {name}"), addresses.collect());
        if let Some(vlan) = interface.get("vlan") {
            let id = text(vlan, "id").and_then(|id| id.parse().ok());
            devices.stack_vlan(name, text(vlan, "base-iface").unwrap_or_default(), id);
        }
        let ports = interface.pointer("/bridge/port").and_then(Value::as_array);
        for port in ports.into_iter().flatten().filter_map(|port| text(port, "name")) {
            devices.stack(name, port);
        }
    }
    devices
}
