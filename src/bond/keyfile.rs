//! Reads a bond or a team and its ports from NetworkManager's keyfiles, and writes a team.
//!
//! Standard: nm-settings-keyfile(5). A port names its controller by uuid, interface or id. The key
//! of the controller is written as `master`, the old name, which every version reads.

use super::ini::{Entry, Ini, Writer};
use super::manager::{DeviceKind, Manager};
use super::model::{Addressing, Bond, BondPort, Network, Notes, OutFile};
use super::to_team::TeamConfig;
use super::tree::Tree;

/// Returns the bond or team `name` with its ports; `None` if no file defines the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let kind = match device {
        DeviceKind::Bond => "bond",
        DeviceKind::Team => "team",
    };
    let files: Vec<Ini> = tree
        .folder(Manager::NetworkManager.folder())
        .map(|(_, text)| Ini::parse(text))
        .collect();
    let is_one = |file: &&Ini| {
        let own = |key| file.get("connection", key);
        own("type") == Some(kind) && own("interface-name") == Some(name)
    };
    let master = files.iter().find(is_one)?;
    let names = ["uuid", "interface-name", "id"].map(|key| master.get("connection", key));
    let mut bond = Bond {
        name: name.to_owned(),
        ..Bond::default()
    };
    bond.network = read_network(master, &files);
    for entry in master
        .entries()
        .iter()
        .filter(|entry| entry.section == "bond")
    {
        if let Err(error) = bond.options.set(&entry.key, &entry.value) {
            if !matches!(entry.key.as_str(), "active_slave" | "tx_queues") {
                notes.lost(format_args!("{}={}", entry.key, entry.value), error);
            }
        }
    }
    for file in &files {
        let controller = controller(file);
        if controller.is_some() && names.contains(&controller) {
            match file.get("connection", "interface-name") {
                Some(interface) if super::is_interface_name(interface) => {
                    let kind = file.get("connection", "type").unwrap_or("ethernet");
                    if !matches!(kind, "ethernet" | "802-3-ethernet") {
                        notes.lost(
                            format_args!("{interface}: [connection] type={kind}"),
                            "its connection becomes one of type ethernet; let another one make it",
                        );
                    }
                    bond.ports.push(read_port(interface, file));
                }
                _ => {
                    let id = file.get("connection", "id").unwrap_or("without a name");
                    notes.lost(
                        format_args!("port {id}"),
                        "its connection names no interface; add it to \"ports\"",
                    );
                }
            }
        }
    }
    Some(bond)
}

fn controller(file: &Ini) -> Option<&str> {
    let new = file.get("connection", "controller");
    new.or(file.get("connection", "master"))
}

fn read_port(interface: &str, file: &Ini) -> BondPort {
    let number = |key: &str| file.get("bond-port", key);
    let other_settings = file.entries().iter().filter(|entry| {
        !is_identity(entry) && !matches!(entry.section.as_str(), "bond-port" | "team-port")
    });
    BondPort {
        name: interface.to_owned(),
        prio: number("prio")
            .and_then(|prio| prio.parse().ok())
            .unwrap_or(0),
        queue_id: number("queue-id")
            .and_then(|id| id.parse().ok())
            .unwrap_or(0),
        other_settings: other_settings
            .map(|entry| entry.of(Manager::NetworkManager))
            .collect(),
    }
}

/// Returns whether a key identifies the connection; such keys are written anew, not copied.
fn is_identity(entry: &Entry) -> bool {
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

fn read_network(file: &Ini, files: &[Ini]) -> Network {
    let mut network = Network::default();
    let bridge = controller(file).map(|controller| {
        let by_uuid = files
            .iter()
            .find(|file| file.get("connection", "uuid") == Some(controller));
        let interface = by_uuid.and_then(|file| file.get("connection", "interface-name"));
        interface.unwrap_or(controller).to_owned()
    });
    network.bridge = bridge;
    // The default method is `auto`.
    network.ipv4.automatic = matches!(file.get("ipv4", "method"), None | Some("auto"));
    network.ipv6.automatic = matches!(file.get("ipv6", "method"), None | Some("auto"));
    if network.bridge.is_some() {
        (network.ipv4.automatic, network.ipv6.automatic) = (false, false);
    }
    for entry in file.entries() {
        let addressing = match entry.section.as_str() {
            "ipv4" => &mut network.ipv4,
            "ipv6" => &mut network.ipv6,
            _ => {
                let value = &entry.value;
                match (entry.section.as_str(), entry.key.as_str()) {
                    ("ethernet" | "802-3-ethernet", "mtu") => network.mtu = value.parse().ok(),
                    ("ethernet" | "802-3-ethernet", "cloned-mac-address")
                        if super::is_hwaddr(value) =>
                    {
                        network.hwaddr = Some(value.clone());
                    }
                    ("bond" | "team", _) => {}
                    _ if is_identity(entry) => {}
                    _ => network
                        .other_settings
                        .push(entry.of(Manager::NetworkManager)),
                }
                continue;
            }
        };
        let list = || {
            entry
                .value
                .split([';', ','])
                .filter(|part| !part.is_empty())
        };
        let key = entry
            .key
            .trim_end_matches(|digit: char| digit.is_ascii_digit());
        match key {
            "address" | "addresses" => read_address(&entry.value, addressing),
            "gateway" => addressing.gateway = Some(entry.value.clone()),
            "dns" => network.dns.extend(list().map(str::to_owned)),
            "dns-search" => {
                for domain in list() {
                    if !network.search.iter().any(|known| known == domain) {
                        network.search.push(domain.to_owned());
                    }
                }
            }
            "method"
                if matches!(
                    entry.value.as_str(),
                    "auto" | "manual" | "disabled" | "ignore"
                ) => {}
            _ => network
                .other_settings
                .push(entry.of(Manager::NetworkManager)),
        }
    }
    network
}

/// Reads `address/prefix[,gateway]`.
fn read_address(value: &str, addressing: &mut Addressing) {
    let mut parts = value.split([',', ';']);
    if let Some(address) = parts.next().filter(|address| !address.is_empty()) {
        addressing.addresses.push(address.to_owned());
    }
    let gateway = parts
        .next()
        .filter(|gateway| !matches!(*gateway, "" | "0.0.0.0" | "::"));
    if let Some(gateway) = gateway {
        addressing.gateway.get_or_insert_with(|| gateway.to_owned());
    }
}

/// Returns NetworkManager's method for these addresses.
pub fn method(addressing: &Addressing) -> &'static str {
    match (addressing.automatic, addressing.addresses.is_empty()) {
        (true, _) => "auto",
        (false, false) => "manual",
        (false, true) => "disabled",
    }
}

/// Returns the default route, which replaces the gateway of a device without addresses:
/// NetworkManager refuses a gateway there.
pub fn default_route(section: &str, gateway: &str, between: &str) -> String {
    let anywhere = match section {
        "ipv6" => "::/0",
        _ => "0.0.0.0/0",
    };
    format!("{anywhere}{between}{gateway}")
}

/// Returns the connections of the team that replaces the bond.
pub fn write_team(bond: &Bond, team: &TeamConfig, notes: &mut Notes) -> Vec<OutFile> {
    const MANAGER: Manager = Manager::NetworkManager;
    let network = &bond.network;
    let mut file = Writer::default();
    file.put("connection", "id", &bond.name);
    file.put("connection", "type", "team");
    file.put("connection", "interface-name", &bond.name);
    if let Some(bridge) = &network.bridge {
        file.put("connection", "master", bridge);
        file.put("connection", "slave-type", "bridge");
    }
    file.put("team", "config", team.line());
    if let Some(mtu) = network.mtu {
        file.put("ethernet", "mtu", mtu);
    }
    if network.bridge.is_none() {
        write_addresses(network, &mut file);
    }
    file.put_settings_of(&network.other_settings, MANAGER);
    notes.lose_foreign(&network.other_settings, Some(MANAGER));
    let named = |name: String, file: Writer| OutFile {
        name: name + ".nmconnection",
        text: file.finish(),
    };
    let mut files = vec![named(bond.name.clone(), file)];
    for port in &bond.ports {
        let mut file = Writer::default();
        let id = format!("{}-{}", bond.name, port.name);
        file.put("connection", "id", &id);
        file.put("connection", "type", "ethernet");
        file.put("connection", "interface-name", &port.name);
        file.put("connection", "master", &bond.name);
        file.put("connection", "slave-type", "team");
        if let Some(entry) = team.port_line(&port.name) {
            file.put("team-port", "config", entry);
        }
        file.put_settings_of(&port.other_settings, MANAGER);
        notes.lose_foreign(&port.other_settings, Some(MANAGER));
        files.push(named(id, file));
    }
    files
}

/// Writes the addresses, name servers and search domains of a connection.
fn write_addresses(network: &Network, file: &mut Writer) {
    for (section, addressing) in [("ipv4", &network.ipv4), ("ipv6", &network.ipv6)] {
        file.put(section, "method", method(addressing));
        for (number, address) in addressing.addresses.iter().enumerate() {
            file.put(section, &format!("address{}", number + 1), address);
        }
        if let Some(gateway) = &addressing.gateway {
            match addressing.addresses.is_empty() {
                true => file.put(section, "route1", default_route(section, gateway, ",")),
                false => file.put(section, "gateway", gateway),
            }
        }
        let servers: String = network
            .dns
            .iter()
            .filter(|server| server.contains(':') == (section == "ipv6"))
            .map(|server| format!("{server};"))
            .collect();
        if !servers.is_empty() {
            file.put(section, "dns", servers);
        }
    }
    if !network.search.is_empty() {
        file.put("ipv4", "dns-search", network.search.join(";") + ";");
    }
}
