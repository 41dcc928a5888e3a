//! Reads a bond and its ports from systemd-networkd's `.netdev` and `.network` files.
//!
//! Standard: systemd.netdev(5), systemd.network(5). networkd has its own names for the options of a
//! bond, and its times have units.

mod files;
mod write;

use std::collections::BTreeSet;

use files::{files, is_about, matched};
pub use write::write;

use super::links::{self, Link};
use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Network, Notes, Upper, words};
use super::options::{Kind, Opt, ROWS};
use super::settings::{Decision, File, Setting};
use super::span::{bytes, milliseconds};
use super::tree::Tree;
use super::uppers::Devices;

const MANAGER: Manager = Manager::Networkd;

/// The reason why a setting of a port is lost.
const UNMANAGED: &str =
    "networkd leaves a port of a team alone; set it by a .link file or another unit";

/// Returns the bond `name` with its ports, or the addresses of the team `name`; `None` if no file
/// defines the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let netdevs = files(tree, ".netdev");
    let networks = files(tree, ".network");
    let is_bond = |file: &&File| {
        file.get("NetDev", "Name") == Some(name) && file.get("NetDev", "Kind") == Some("bond")
    };
    let mut defining = netdevs.iter().filter(is_bond);
    let netdev = defining.next();
    let kind = match device {
        DeviceKind::Bond => Some("bond".to_owned()),
        DeviceKind::Team => None,
    };
    let link = Link { name: name.to_owned(), kind, ..Link::default() };
    let mut own = networks.iter().filter(|file| is_about(file, &link));
    let network = own.next();
    match device {
        DeviceKind::Bond => netdev?,
        DeviceKind::Team => network.filter(|_| netdev.is_none())?,
    };
    for file in defining.chain(own) {
        notes.approximated(
            format_args!("{}: {name}", file.path),
            "a second file for the device; networkd reads the first only, as this command does",
        );
    }
    let mut bond = Bond { name: name.to_owned(), ..Bond::default() };
    if let Some(file) = network {
        bond.network = read_network(file, notes);
    }
    if let Some(file) = netdev {
        bond.file.clone_from(&file.path);
        read_netdev(file, &mut bond, notes);
    }
    read_ports(tree, &networks, &mut bond, notes);
    bond.uppers = uppers(name, network, &netdevs, &networks);
    Some(bond)
}

fn read_ports(tree: &Tree, networks: &[File], bond: &mut Bond, notes: &mut Notes) {
    let links = links::all(tree);
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for file in networks {
        let matched = matched(file, &links);
        let ours = file.all("Network", "Bond").last() == Some(&bond.name);
        if !ours && team_of(file) != Some(&bond.name) {
            taken.extend(matched.names);
            continue;
        }
        if let Some(rule) = matched.unresolved {
            let reason = match matched.names.is_empty() {
                true => "no interface here fulfils it; add the interfaces to \"ports\"",
                false => "the rule cannot be judged here; the interfaces that it names are taken",
            };
            notes.lost(format_args!("{}: ports with {rule}", file.path), reason);
        }
        let mut names = matched.names;
        names.retain(|found| *found != bond.name);
        if names.is_empty() {
            read_port("", file, bond, notes);
        }
        for port in names {
            if !super::is_interface_name(&port) {
                notes.lost(format_args!("{}: port {port:?}", file.path), "no name of an interface");
            } else if taken.insert(port.clone()) {
                let port = read_port(&port, file, bond, notes);
                bond.add_port(port, &file.path, notes);
            } else {
                notes.lost(
                    format_args!("{}: port {port}", file.path),
                    "an earlier file matches the interface, so networkd does not read this one",
                );
            }
        }
    }
}

/// Returns the team to which a file, written by an earlier import, leaves its port.
fn team_of(file: &File) -> Option<&str> {
    file.get("Link", "Unmanaged").filter(|text| is_yes(text))?;
    file.get("X-Teamr", "Team")
}

fn is_yes(text: &str) -> bool {
    matches!(text, "yes" | "true" | "on" | "1" | "y" | "t")
}

fn is_no(text: &str) -> bool {
    matches!(text, "no" | "false" | "off" | "0" | "n" | "f")
}

fn read_netdev(file: &File, bond: &mut Bond, notes: &mut Notes) {
    file.decide_each(notes, |setting, notes| {
        let Setting { key, value, .. } = setting;
        match (setting.section.as_str(), key.as_str()) {
            ("NetDev", "Name" | "Kind" | "Description") => Decision::Read,
            ("NetDev", "MACAddress") if super::is_hwaddr(value) => {
                bond.network.hwaddr = Some(value.clone());
                Decision::Read
            }
            ("NetDev", "MACAddress") if value == "none" => Decision::Read,
            ("NetDev", "MTUBytes") => match bytes(value) {
                Some(mtu) => {
                    bond.network.mtu.get_or_insert(mtu);
                    Decision::Read
                }
                None => Decision::lost("not a size"),
            },
            ("Bond", key) => read_option(key, value, bond, notes),
            ("Match", _) => Decision::lost("a condition of the file; the team exists without it"),
            _ => Decision::UNKNOWN,
        }
    });
}

fn read_option(key: &str, value: &str, bond: &mut Bond, notes: &mut Notes) -> Decision {
    let Some(row) = ROWS.iter().find(|row| row.networkd == Some(key)) else {
        return Decision::UNKNOWN;
    };
    let span = || milliseconds(value, 1000.0);
    let value = match row.kind {
        Kind::Milliseconds => span().map(|time| time.to_string()),
        Kind::Seconds => span().map(|time| time.div_ceil(1000).to_string()),
        Kind::Addresses(_) => {
            bond.set_option(row.name, value, notes);
            return Decision::Read;
        }
        _ => Some(value.to_owned()),
    };
    match value {
        Some(value) => Decision::of(bond.options.set(row.name, &value)),
        None => Decision::lost("not a time span"),
    }
}

/// Reads the file of a port. The name is empty for a file without a known interface.
fn read_port(name: &str, file: &File, bond: &mut Bond, notes: &mut Notes) -> BondPort {
    let is_team = team_of(file).is_some();
    let other_settings = file.decide_each(notes, |Setting { section, key, value, .. }, _| {
        match (section.as_str(), key.as_str()) {
            ("Match", _) | ("Network", "Bond" | "ActiveSlave" | "Description") => Decision::Read,
            ("Network", "PrimarySlave") => {
                if is_yes(value) && !name.is_empty() {
                    bond.options.put(Opt::Primary, name);
                }
                Decision::Read
            }
            ("Link", "Unmanaged") | ("X-Teamr", _) => Decision::Read,
            // A file that leaves the port to a team stays as it is.
            _ if is_team => Decision::Kept,
            // networkd does not configure a port of a team, so these settings have no effect.
            (
                "Network",
                "DHCP" | "LinkLocalAddressing" | "IPv6AcceptRA" | "LLMNR" | "MulticastDNS",
            ) if is_no(value) => Decision::Read,
            ("Network", "ConfigureWithoutCarrier" | "IgnoreCarrierLoss" | "KeepConfiguration")
            | ("Link", "RequiredForOnline" | "ActivationPolicy" | "RequiredFamilyForOnline") => {
                Decision::Read
            }
            ("Network" | "Address", "Address") => {
                Decision::lost("a port of a team has no addresses of its own")
            }
            ("Link", "MTUBytes") if bytes(value) == bond.network.mtu => Decision::Read,
            ("Link", "MTUBytes") => {
                Decision::lost("the ports have the MTU of the team; set it in the file of the team")
            }
            ("Network" | "Link" | "DHCPv4" | "DHCPv6" | "LLDP", _) => Decision::lost(UNMANAGED),
            _ => Decision::UNKNOWN,
        }
    });
    BondPort { other_settings, ..BondPort::new(name) }
}

fn read_network(file: &File, notes: &mut Notes) -> Network {
    let mut network = Network::default();
    network.ipv6.automatic = file.get("Network", "IPv6AcceptRA").is_none_or(is_yes);
    let is_alone = |setting: &Setting| {
        let same = |other: &&Setting| {
            other.section == setting.section && other.occurrence == setting.occurrence
        };
        setting.section == "Network" || file.settings().iter().filter(same).count() == 1
    };
    let other_settings = file.decide_each(notes, |setting, _| {
        let Setting { key, value, .. } = setting;
        match (setting.section.as_str(), key.as_str()) {
            // The team is of another type, and has the name.
            ("Match", "Name" | "Type" | "Kind" | "Driver") => Decision::Read,
            ("Network", "IPv6AcceptRA") => Decision::Read,
            ("Network" | "Address", "Address") if is_alone(setting) => {
                network.by_version(value).addresses.push(value.clone());
                Decision::Read
            }
            ("Network" | "Route", "Gateway")
                if is_alone(setting)
                    && value.parse::<std::net::IpAddr>().is_ok()
                    && network.by_version(value).gateway.is_none() =>
            {
                network.by_version(value).gateway = Some(value.clone());
                Decision::Read
            }
            ("Network", "DNS") => {
                network.dns.extend(words(value));
                Decision::Read
            }
            ("Network", "Domains") => {
                network.search.extend(words(value));
                Decision::Read
            }
            ("Network", "DHCP") if is_no(value) => Decision::Read,
            ("Network", "DHCP") if is_yes(value) || matches!(&**value, "ipv4" | "ipv6") => {
                network.ipv4.automatic = value != "ipv6";
                network.dhcpv6 = value != "ipv4";
                Decision::Read
            }
            ("Network", "Bridge") => {
                network.bridge = Some(value.clone());
                Decision::Read
            }
            ("Link", "MTUBytes") if bytes(value).is_some() => {
                network.mtu = bytes(value);
                Decision::Read
            }
            ("Link", "MACAddress") if super::is_hwaddr(value) => {
                network.hwaddr = Some(value.clone());
                Decision::Read
            }
            _ => Decision::Kept,
        }
    });
    network.other_settings = other_settings;
    network
}

/// Returns the files about VLANs and other devices on the bond, and bridges above them.
fn uppers(name: &str, own: Option<&File>, netdevs: &[File], networks: &[File]) -> Vec<Upper> {
    /// Keys of the section `Network` that name a device above the interface.
    const ABOVE: [&str; 8] =
        ["VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "VXLAN", "Bridge", "VRF", "MACsec"];
    let mut devices = Devices::default();
    for file in netdevs {
        if let Some(upper) = file.get("NetDev", "Name").filter(|found| *found != name) {
            devices.add(upper, &file.path, Vec::new());
        }
    }
    let id_of = |upper: &str| {
        let netdev = netdevs.iter().find(|file| file.get("NetDev", "Name") == Some(upper))?;
        netdev.get("VLAN", "Id")?.parse().ok()
    };
    for file in networks {
        for lower in matched(file, &[]).names {
            for key in ABOVE {
                let named = file.all("Network", key).flat_map(str::split_ascii_whitespace);
                for upper in named {
                    match key {
                        "VLAN" => devices.stack_vlan(upper, &lower, id_of(upper)),
                        _ => devices.stack(upper, &lower),
                    }
                }
            }
            if own.is_none_or(|own| own.path != file.path) {
                let addresses =
                    file.all("Network", "Address").chain(file.all("Address", "Address"));
                devices.add(&lower, &file.path, addresses.map(str::to_owned).collect());
            }
        }
    }
    devices.above(name)
}
