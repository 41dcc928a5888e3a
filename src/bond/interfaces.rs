//! Reads a bond from interfaces(5), and writes the stanzas of a bond or a team.
//!
//! Standard: interfaces(5) of ifupdown, of ifupdown2, of ifupdown-ng and of ifenslave, whose
//! options have `-` or `_`; the files of Proxmox; the options `team-*` of teamr's hook.

mod files;
mod write;

pub use files::load;
use files::{Stanza, stanzas};
pub use write::{write_bond, write_team};

use super::links::{self, Link, is_pattern, matches_pattern, pattern_of_regex};
use super::manager::DeviceKind;
use super::model::{Bond, BondPort, Notes, with_prefix_len, words};
use super::modprobe;
use super::options::Opt;
use super::settings::{Decision, Setting};
use super::tree::Tree;
use super::uppers::{Devices, vlan_of_name};
use crate::bond::ifcfg::read_options;

/// Keys of commands, in the order in which ifupdown runs them.
const COMMANDS: [&str; 6] = ["pre-up", "up", "post-up", "pre-down", "down", "post-down"];

/// Returns the bond `name` with its ports, or the addresses of the team `name`; `None` if no stanza
/// defines the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let stanzas = stanzas(tree);
    let own: Vec<&Stanza> = stanzas.iter().filter(|stanza| stanza.name == name).collect();
    let first = own.first()?;
    let is_bond = own.iter().any(|stanza| defines_bond(stanza))
        || stanzas.iter().any(|stanza| master(stanza) == Some(name));
    if is_bond != (device == DeviceKind::Bond) {
        return None;
    }
    let mut bond = Bond { name: name.to_owned(), file: first.file.path.clone(), ..Bond::default() };
    if is_bond {
        for options in modprobe::options(tree, name) {
            read_options(&options, &mut bond, notes);
        }
    }
    // Without a stanza for IPv6, the kernel's default holds.
    bond.network.ipv6.automatic = own.iter().all(|stanza| stanza.family != "inet6");
    let links = links::all(tree);
    for stanza in &own {
        read_stanza(stanza, &own, &links, &mut bond, notes);
    }
    read_ports(&stanzas, &mut bond, notes);
    bond.drop_unsafe_names(notes);
    bond.uppers = devices(&stanzas).above(name);
    Some(bond)
}

/// Returns the reason why the bond `name` of the files cannot be converted: Open vSwitch has the bond.
pub fn refusal(tree: &Tree, name: &str) -> Option<String> {
    let mut own = stanzas(tree).into_iter().filter(|stanza| stanza.name == name);
    let of_ovs = own.any(|stanza| get(&stanza, "ovs-type") == Some("OVSBond"));
    of_ovs.then(|| {
        format!(
            "\"{name}\" in interfaces(5) is a bond of Open vSwitch (ovs_type OVSBond), not of the kernel: \
             ovs-vsctl changes it."
        )
    })
}

/// Returns a key in the form of most hosts: `bond_mode` and `bond-mode` are one option.
fn spelled(key: &str) -> String {
    key.replace('_', "-")
}

/// Returns the last value of an option.
fn get<'a>(stanza: &'a Stanza, key: &str) -> Option<&'a str> {
    let settings = stanza.file.settings().iter().rev();
    settings
        .clone()
        .find(|setting| spelled(&setting.key) == key)
        .map(|setting| setting.value.as_str())
}

fn master(stanza: &Stanza) -> Option<&str> {
    get(stanza, "bond-master")
}

fn is_list_of_ports(key: &str) -> bool {
    matches!(key, "bond-slaves" | "slaves" | "bond-ports" | "bond-members")
}

/// Returns whether a stanza lists an interface as a port.
fn is_listed(stanza: &Stanza, name: &str) -> bool {
    let lists = stanza.file.settings().iter().filter(|it| is_list_of_ports(&spelled(&it.key)));
    lists.flat_map(|list| words(&list.value)).any(|port| port == name)
}

fn defines_bond(stanza: &Stanza) -> bool {
    let mut settings = stanza.file.settings().iter();
    let has_ifenslave = |setting: &Setting| ifenslave(&setting.value).is_some();
    master(stanza).is_none()
        && settings.any(|setting| {
            let key = spelled(&setting.key);
            is_list_of_ports(&key) || key == "bond-mode" || has_ifenslave(setting)
        })
}

/// Returns the bond and the ports of a command `ifenslave BOND PORT...`; no ports of one that removes
/// them.
fn ifenslave(command: &str) -> Option<(&str, Vec<&str>)> {
    let (program, words) = program(command)?;
    let (options, words): (Vec<&str>, Vec<&str>) =
        words.into_iter().partition(|word| word.starts_with('-'));
    let (bond, ports) = words.split_first().filter(|_| program == "ifenslave")?;
    let removes = options.iter().any(|option| matches!(*option, "-d" | "--detach"));
    Some((bond, if removes { Vec::new() } else { ports.to_vec() }))
}

/// Returns the name of the program of a command, and the words after it.
fn program(command: &str) -> Option<(&str, Vec<&str>)> {
    let mut words = command.split_ascii_whitespace();
    let name = words.next()?.rsplit('/').next()?;
    Some((name, words.collect()))
}

/// Reads one of the stanzas `own` of a device.
fn read_stanza(
    stanza: &Stanza,
    own: &[&Stanza],
    links: &[Link],
    bond: &mut Bond,
    notes: &mut Notes,
) {
    let last = |key: &str| own.iter().rev().find_map(|stanza| get(stanza, key));
    read_method(stanza, bond, notes);
    let mut kept = stanza.file.decide_each(notes, |setting, notes| {
        let Setting { key, value, .. } = setting;
        let key = spelled(key);
        if let Some(decision) = read_network(&key, value, stanza, bond) {
            return decision;
        }
        match key.as_str() {
            "bond-master" => Decision::lost("a bond cannot be a port of a bond"),
            key if is_list_of_ports(key) => read_list(value, links, bond, notes, &stanza.file),
            key if key.starts_with("bond-") => match last(key) {
                Some(last) if last != value && key != "bond-queue-id" => {
                    Decision::lost("the option is given again with another value")
                }
                _ => read_option(&key["bond-".len()..], value, bond, notes),
            },
            key if COMMANDS.contains(&key) => read_command(value, links, bond, notes, &stanza.file),
            "inherits" => Decision::lost("the other stanza is not read"),
            // In ifupdown-ng, `use bond` makes the bond, and `requires` takes the ports up first.
            "use" if value == "bond" => Decision::Read,
            "requires" if words(value).all(|name| is_listed(stanza, &name)) => Decision::Read,
            // An earlier import wrote the stanza.
            key if key.starts_with("team-") => Decision::Read,
            _ => Decision::Kept,
        }
    });
    bond.network.other_settings.append(&mut kept);
}

fn read_method(stanza: &Stanza, bond: &mut Bond, notes: &mut Notes) {
    let network = &mut bond.network;
    match (stanza.family.as_str(), stanza.method.as_str()) {
        ("inet6", method @ ("auto" | "dhcp")) => {
            network.ipv6.automatic |= method == "auto";
            network.dhcpv6 |= method == "dhcp" || get(stanza, "dhcp") == Some("1");
            network.other_settings.push(stanza.itself());
        }
        ("" | "inet", "dhcp" | "bootp") => network.ipv4.automatic = true,
        (_, "" | "static" | "manual") => {}
        _ if stanza.family == "inherits" || stanza.method == "inherits" => {}
        (family, method) => notes.lost(
            format_args!("{}: iface {} {family} {method}", stanza.file.path, stanza.name),
            "the result has no such method; it is one of static, manual, dhcp, auto",
        ),
    }
}

/// Reads a network setting; `None` for another one.
fn read_network(key: &str, value: &str, stanza: &Stanza, bond: &mut Bond) -> Option<Decision> {
    let network = &mut bond.network;
    match key {
        "address" => {
            for address in words(value) {
                let address = with_prefix(&address, stanza);
                network.by_version(&address).addresses.push(address);
            }
        }
        "netmask" if get(stanza, "address").is_none() => {
            return Some(Decision::lost("no address belongs to it"));
        }
        // The address and the mask imply both.
        "netmask" | "broadcast" | "network" => {}
        "gateway" => match value.split_once(' ') {
            None => network.by_version(value).gateway = Some(value.to_owned()),
            Some(_) => return Some(Decision::lost("more than one gateway")),
        },
        "dns-nameservers" | "dns-nameserver" => network.dns.extend(words(value)),
        "dns-search" | "dns-domain" => network.search.extend(words(value)),
        "accept-ra" => {
            network.ipv6.automatic = value != "0";
            return Some(Decision::Kept);
        }
        "dhcp" if stanza.family == "inet6" => return Some(Decision::Kept),
        "mtu" => return Some(Decision::of(value.parse().map(|mtu| network.mtu = Some(mtu)))),
        "hwaddress" => {
            let hwaddr = value.strip_prefix("ether").unwrap_or(value).trim();
            if !super::is_hwaddr(hwaddr) {
                return Some(Decision::lost("no hardware address"));
            }
            network.hwaddr = Some(hwaddr.to_ascii_lowercase());
        }
        _ => return None,
    }
    Some(Decision::Read)
}

/// Returns an address with its prefix length, from `netmask` if necessary.
fn with_prefix(address: &str, stanza: &Stanza) -> String {
    if address.contains('/') {
        return address.to_owned();
    }
    let whole = if address.contains(':') { "64" } else { "32" };
    with_prefix_len(address, get(stanza, "netmask").unwrap_or(whole))
}

/// Reads a list of ports. A name may be a pattern, a regular expression may stand between `/`, and the
/// words `glob` and `regex` of ifupdown2 change the meaning of the words after them. Patterns, regular
/// expressions and the single word `all` of ifenslave select interfaces of the host.
fn read_list(
    value: &str,
    links: &[Link],
    bond: &mut Bond,
    notes: &mut Notes,
    file: &super::settings::File,
) -> Decision {
    let mut mode = "";
    let mut unresolved = false;
    // ifenslave takes the interfaces whose names begin with `eth`.
    let value = if value == "all" { "eth*" } else { value };
    for word in value.split_ascii_whitespace().filter(|word| *word != "none") {
        if matches!(word, "glob" | "regex") {
            mode = word;
            continue;
        }
        if let Some(names) = (mode == "glob").then(|| range(word)).flatten() {
            names.iter().for_each(|name| add_port(name, bond, notes, file));
            continue;
        }
        let regex = word.strip_prefix('/').and_then(|word| word.strip_suffix('/'));
        let pattern = match regex.or((mode == "regex").then_some(word)) {
            Some(regex) => pattern_of_regex(regex),
            None if is_pattern(word) => Some(word.to_owned()),
            None => {
                add_port(word, bond, notes, file);
                continue;
            }
        };
        let mut found = false;
        let is_one = |link: &&Link| {
            let own = link.name == bond.name;
            !own && pattern.as_ref().is_some_and(|pattern| matches_pattern(pattern, &link.name))
        };
        for link in links.iter().filter(is_one).collect::<Vec<_>>() {
            add_port(&link.name, bond, notes, file);
            found = true;
        }
        unresolved |= !found;
    }
    match unresolved {
        true => Decision::lost("no interface of the host matches; add the ports to \"ports\""),
        false => Decision::Read,
    }
}

/// Adds a port, unless another list has it: each stanza of a device may have the list.
fn add_port(name: &str, bond: &mut Bond, notes: &mut Notes, file: &super::settings::File) {
    if bond.ports.iter().all(|known| known.name != name) {
        bond.add_port(BondPort::new(name), &file.path, notes);
    }
}

/// Returns the names of a range such as `swp1-4`, as `glob` of ifupdown2 expands it; `None` for another
/// word or a range of too many names.
fn range(word: &str) -> Option<Vec<String>> {
    let (first, last) = word.rsplit_once('-')?;
    let prefix = first.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let (first, last): (u16, u16) = (first[prefix.len()..].parse().ok()?, last.parse().ok()?);
    let is_short = first <= last && last - first < 256;
    is_short.then(|| (first..=last).map(|number| format!("{prefix}{number}")).collect())
}

fn read_command(
    value: &str,
    links: &[Link],
    bond: &mut Bond,
    notes: &mut Notes,
    file: &super::settings::File,
) -> Decision {
    match ifenslave(value) {
        Some((name, ports)) if name == bond.name => {
            return read_list(&ports.join(" "), links, bond, notes, file);
        }
        _ => {}
    }
    match program(value) {
        Some(("modprobe", words)) if words.first() == Some(&"bonding") => {
            read_options(&words[1..].join(" "), bond, notes);
            Decision::Read
        }
        _ if value.contains("bonding") || value.contains("ifenslave") => {
            Decision::lost("the command is about a bond")
        }
        _ => Decision::Kept,
    }
}

/// Reads an option of bonding without its first word.
fn read_option(key: &str, value: &str, bond: &mut Bond, notes: &mut Notes) -> Decision {
    let name = match key {
        "ad-sys-priority" => "ad_actor_sys_prio".to_owned(),
        "ad-sys-mac-addr" => "ad_actor_system".to_owned(),
        key => key.replace('-', "_"),
    };
    match name.as_str() {
        // `active_slave` is a state; with `give_a_chance` ifenslave waits for the first port.
        "active_slave" | "give_a_chance" => Decision::Read,
        "queue_id" => {
            let queue = value.split_once(':').map(|(port, id)| (port, id.parse()));
            let Some((name, Ok(id))) = queue else {
                return Decision::lost("expected PORT:NUMBER");
            };
            match bond.ports.iter_mut().find(|port| port.name == name) {
                Some(port) => port.queue_id = id,
                None => return Decision::lost("it is no port of this bond"),
            }
            Decision::Read
        }
        "primary" => {
            // ifenslave takes the first of the names that exists.
            let mut names = value.split_ascii_whitespace();
            if let Some(first) = names.next() {
                bond.set_option("primary", first, notes);
            }
            match names.next() {
                None => Decision::Read,
                Some(_) => {
                    Decision::lost("a team has one port of the highest prio; the first is taken")
                }
            }
        }
        name if super::options::ROWS.iter().any(|row| row.name == name)
            || name == "num_unsol_na" =>
        {
            bond.set_option(name, value, notes);
            Decision::Read
        }
        _ => Decision::UNKNOWN,
    }
}

/// Reads the stanzas of the ports; options of the bond may stand there, too.
fn read_ports(stanzas: &[Stanza], bond: &mut Bond, notes: &mut Notes) {
    let name = bond.name.clone();
    for stanza in stanzas.iter().filter(|stanza| master(stanza) == Some(&name)) {
        if stanza.name != name && bond.ports.iter().all(|port| port.name != stanza.name) {
            bond.ports.push(BondPort::new(&stanza.name));
        }
    }
    let is_port = |stanza: &&Stanza| bond.ports.iter().any(|port| port.name == stanza.name);
    let own: Vec<&Stanza> = stanzas.iter().filter(is_port).collect();
    for stanza in own {
        if !matches!(stanza.method.as_str(), "" | "manual") {
            notes.lost(
                format_args!("{}: iface {} {}", stanza.file.path, stanza.name, stanza.method),
                "a port of a team has no addresses of its own",
            );
        }
        stanza.file.decide_each(notes, |Setting { key, value, .. }, notes| match &*spelled(key) {
            "bond-master" => Decision::Read,
            "bond-primary" if bond.options.is_changed(Opt::Primary) => Decision::Read,
            key if key.starts_with("bond-") => {
                read_option(&key["bond-".len()..], value, bond, notes)
            }
            "mtu" if value.parse().ok() == bond.network.mtu => Decision::Read,
            "mtu" => Decision::lost(
                "the ports have the MTU of the team; set it in the stanza of the team",
            ),
            "address" | "netmask" | "gateway" => {
                Decision::lost("a port of a team has no addresses of its own")
            }
            key if COMMANDS.contains(&key) => Decision::lost(
                "the port has no stanza any more; the stanza of the team can have the command",
            ),
            _ => Decision::lost("the port has no stanza any more"),
        });
    }
}

/// Returns the devices that the stanzas stack.
fn devices(stanzas: &[Stanza]) -> Devices {
    let mut devices = Devices::default();
    for stanza in stanzas {
        let name = &stanza.name;
        let is_address = |setting: &&Setting| setting.key == "address";
        let addresses = stanza.file.settings().iter().filter(is_address);
        let addresses = addresses.flat_map(|setting| words(&setting.value));
        let addresses = addresses.map(|address| with_prefix(&address, stanza)).collect();
        devices.add(name, &stanza.file.path, addresses);
        for list in ["bridge-ports", "ovs-ports"].iter().filter_map(|key| get(stanza, key)) {
            words(list).for_each(|lower| devices.stack(name, &lower));
        }
        if let Some(bridge) = get(stanza, "ovs-bridge") {
            devices.stack(bridge, name);
        }
        let raw = get(stanza, "vlan-raw-device");
        let id = get(stanza, "vlan-id").and_then(|id| id.parse().ok());
        let id = id.or_else(|| vlan_of_name(name));
        // A colon makes an alias of the device, not a device above.
        match raw.or(name.rsplit_once('.').map(|(lower, _)| lower)) {
            Some(lower) => devices.stack_vlan(name, lower, id),
            None => {
                if let Some((lower, _)) = name.split_once(':') {
                    devices.stack(name, lower);
                }
            }
        }
    }
    devices
}
