//! Reads a bond or a team from dracut's parameters on the kernel's command line, and writes a bond.
//!
//! Standard: dracut.cmdline(7): `bond=`, `team=`, `vlan=`, `bridge=`, `ip=`, `nameserver=`, `ifname=`.

mod write;

use std::io;

pub use write::write;

use super::ifcfg::read_options;
use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Notes, with_prefix_len};
use super::root::Root;
use super::settings::{Decision, File, Setting};
use super::tree::Tree;
use super::uppers::{Devices, vlan_of_name};

const MANAGER: Manager = Manager::Cmdline;

/// Options of a bond without the fourth field.
const DEFAULT_OPTIONS: &str = "mode=balance-rr";
/// Ports of a bond without the second field.
const DEFAULT_PORTS: &str = "eth0,eth1";

/// Adds the files of `folder` that have parameters.
///
/// # Errors
/// When an existing file cannot be read.
pub fn load(tree: &mut Tree, root: &Root, folder: &str) -> io::Result<()> {
    match folder {
        "etc/cmdline.d" => tree.load(root, folder),
        folder => tree.load_one(root, &format!("{folder}/cmdline")),
    }
}

/// Returns the bond or team `name`; `None` if no parameter defines the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let file = parameters(tree);
    let key = match device {
        DeviceKind::Bond => "bond",
        DeviceKind::Team => "team",
    };
    let mut own =
        file.all("", key).filter(|value| fields(value).first().is_some_and(|f| f == name));
    let first = own.next()?;
    if own.any(|other| other != first) {
        notes.lost(
            format_args!("{key}={name}"),
            "a second parameter for the device; the first is read",
        );
    }
    let mut bond = Bond { name: name.to_owned(), file: file.path.clone(), ..Bond::default() };
    let fields = fields(first);
    let field =
        |place: usize| fields.get(place).map(String::as_str).filter(|text| !text.is_empty());
    for port in field(1).unwrap_or(DEFAULT_PORTS).split(',') {
        bond.add_port(BondPort::new(port), &file.path, notes);
    }
    if device == DeviceKind::Bond {
        let options = field(2).unwrap_or(DEFAULT_OPTIONS);
        // Targets have a comma or a semicolon between them, so a part without `=` belongs to the last.
        let mut words: Vec<String> = Vec::new();
        for part in options.split(',') {
            match words.last_mut() {
                Some(last) if !part.contains('=') => *last += &format!(",{part}"),
                _ => words.push(part.to_owned()),
            }
        }
        read_options(&words.join(" ").replace(';', ","), &mut bond, notes);
        match field(3).map(str::parse) {
            Some(Ok(mtu)) => bond.network.mtu = Some(mtu),
            Some(Err(_)) => notes.lost(
                format_args!("bond={name}: {}", field(3).unwrap_or_default()),
                "expected an MTU in the fourth field",
            ),
            None => {}
        }
        for lost in fields.iter().skip(4).filter(|text| !text.is_empty()) {
            notes.lost(format_args!("bond={name}: {lost}"), "dracut has no such field");
        }
    }
    file.decide_each(notes, |setting, _| decide(setting, &mut bond));
    bond.drop_unsafe_names(notes);
    bond.uppers = devices(&file).above(name);
    Some(bond)
}

/// Returns the parameters of all files, each once.
fn parameters(tree: &Tree) -> File {
    let own = ["proc/cmdline", "etc/kernel/cmdline"].into_iter();
    let own = own.filter_map(|path| Some((path.to_owned(), tree.get(path)?)));
    let parts = tree.folder("etc/cmdline.d").filter(|(name, _)| name.ends_with(".conf"));
    let parts = parts.map(|(name, text)| (format!("etc/cmdline.d/{name}"), text));
    let mut file = File::default();
    for (path, text) in own.chain(parts) {
        for word in text.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let is_new = file.all("", key).all(|known| known != value);
            if is_new {
                if key == "bond" || key == "team" {
                    file.path.clone_from(&path);
                }
                file.push(Setting {
                    manager: MANAGER,
                    section: String::new(),
                    occurrence: 0,
                    key: key.to_owned(),
                    value: value.trim_matches('"').to_owned(),
                });
            }
        }
    }
    file
}

/// Splits a value at colons outside brackets, which are around IPv6 addresses.
fn fields(value: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut in_brackets = false;
    for letter in value.chars() {
        match letter {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            ':' if !in_brackets => fields.push(String::new()),
            letter => fields.last_mut().into_iter().for_each(|field| field.push(letter)),
        }
    }
    fields
}

fn decide(setting: &Setting, bond: &mut Bond) -> Decision {
    let fields = fields(&setting.value);
    let names = |name: &str| fields.iter().any(|field| field.split(',').any(|part| part == name));
    match setting.key.as_str() {
        "ip" if names(&bond.name) => read_ip(&fields, bond),
        "ip" if bond.ports.iter().any(|port| names(&port.name)) => {
            Decision::lost("a port of a team has no addresses of its own")
        }
        "nameserver" => {
            bond.network.dns.push(fields.join(":"));
            Decision::Read
        }
        "rd.route" if fields.last().is_some_and(|last| *last == bond.name) => {
            Decision::lost("of routes only a default one is kept")
        }
        "ifname" if bond.ports.iter().any(|port| names(&port.name)) => Decision::lost(
            "the interface gets its name from the parameter; a .link file can give the name",
        ),
        // Parameters about other things, and devices above the bond.
        _ => Decision::Read,
    }
}

/// Reads `ip=DEVICE:PROTOCOL[:[MTU][:MAC]]` or
/// `ip=ADDRESS:[PEER]:GATEWAY:NETMASK:HOST:DEVICE:PROTOCOL[:[MTU][:MAC]]`.
fn read_ip(fields: &[String], bond: &mut Bond) -> Decision {
    let field =
        |place: usize| fields.get(place).map(String::as_str).filter(|text| !text.is_empty());
    let network = &mut bond.network;
    let rest = match field(0) == Some(&bond.name) {
        true => 1,
        false => {
            let (Some(address), Some(mask)) = (field(0), field(3)) else {
                return Decision::lost(
                    "expected ADDRESS:PEER:GATEWAY:NETMASK:HOST:DEVICE:PROTOCOL",
                );
            };
            let addressing = network.by_version(address);
            addressing.addresses.push(with_prefix_len(address, mask));
            addressing.gateway = field(2).map(str::to_owned).or(addressing.gateway.take());
            6
        }
    };
    match field(rest) {
        None | Some("none" | "off" | "static") => {}
        Some("dhcp" | "on" | "single-dhcp") => network.ipv4.automatic = true,
        Some("any") => (network.ipv4.automatic, network.dhcpv6) = (true, true),
        Some("dhcp6") => network.dhcpv6 = true,
        Some("auto6") => network.ipv6.automatic = true,
        Some("either6") => (network.ipv6.automatic, network.dhcpv6) = (true, true),
        Some(_) => return Decision::lost("the result has no such protocol"),
    }
    match field(rest + 1).map(str::parse) {
        Some(Ok(mtu)) => network.mtu = Some(mtu),
        Some(Err(_)) => return Decision::lost("expected an MTU after the protocol"),
        None => {}
    }
    let hwaddr = fields.get(rest + 2..).unwrap_or_default().join(":");
    if super::is_hwaddr(&hwaddr) {
        network.hwaddr = Some(hwaddr.to_ascii_lowercase());
    } else if !hwaddr.is_empty() {
        return Decision::lost("expected a hardware address after the MTU");
    }
    Decision::Read
}

fn devices(file: &File) -> Devices {
    let mut devices = Devices::default();
    for Setting { key, value, .. } in file.settings() {
        let fields = fields(value);
        match (key.as_str(), &fields[..]) {
            ("vlan", [name, lower, ..]) => {
                devices.add(name, &format!("vlan={value}"), Vec::new());
                devices.stack_vlan(name, lower, vlan_of_name(name));
            }
            ("bridge", [name, lowers, ..]) => {
                devices.add(name, &format!("bridge={value}"), Vec::new());
                lowers.split(',').for_each(|lower| devices.stack(name, lower));
            }
            _ => {}
        }
    }
    // The parameter with the address of a device above is one of that device.
    for value in file.all("", "ip") {
        let fields = fields(value);
        if let [address, _, _, mask, _, device, ..] = &fields[..] {
            let prefix = mask.parse::<std::net::Ipv4Addr>();
            let prefix =
                prefix.map_or(mask.clone(), |mask| u32::from(mask).leading_ones().to_string());
            devices.add(device, &format!("ip={value}"), vec![format!("{address}/{prefix}")]);
        }
    }
    devices
}
