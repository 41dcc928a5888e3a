//! Reads and writes a bond or a team and its ports as ifcfg files of the initscripts.
//!
//! Standard: initscripts' `sysconfig.txt`, and teamd's `ifup-Team` and `ifup-TeamPort`, which read
//! the configuration from `TEAM_CONFIG` and `TEAM_PORT_CONFIG`. Other keys are copied unchanged.

use std::net::Ipv4Addr;

use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Network, Notes, OutFile, Setting};
use super::options::Opt;
use super::shell::{assignments, quoted};
use super::to_team::TeamConfig;
use super::tree::Tree;

/// The reason why a team with the runner slb cannot become a bond outside NetworkManager.
pub const NO_SLB: &str = "the driver alone lets a guest's frames come back by the other port; \
     NetworkManager's balance-slb filters them";

/// Keys that define a bond, a team or a port; they are written anew, not copied.
const OWN: &[&str] = &[
    "DEVICE",
    "BONDING_OPTS",
    "SLAVE",
    "MASTER",
    "TYPE",
    "DEVICETYPE",
    "BONDING_MASTER",
    "TEAM",
    "TEAM_CONFIG",
    "TEAM_MASTER",
    "TEAM_PORT_CONFIG",
];

/// Returns the bond or team of `ifcfg-NAME` in `folder`, with its ports; `None` without such a file
/// or if the file defines another kind of device.
pub fn read(
    tree: &Tree,
    folder: &str,
    name: &str,
    device: DeviceKind,
    notes: &mut Notes,
) -> Option<Bond> {
    let text = tree.get(&format!("{folder}/ifcfg-{name}"))?;
    let is_bond = assignments(text).any(|(key, value)| {
        key == "BONDING_OPTS"
            || key == "BONDING_MASTER"
            || key == "TYPE" && value.eq_ignore_ascii_case("bond")
    });
    if is_bond != (device == DeviceKind::Bond) {
        return None;
    }
    let mut bond = Bond {
        name: name.to_owned(),
        ..Bond::default()
    };
    for (key, value) in assignments(text) {
        match key {
            "DEVICE" if super::is_interface_name(&value) => bond.name = value,
            "BONDING_OPTS" => read_options(&value, &mut bond, notes),
            _ => {}
        }
    }
    bond.network = read_network(text);
    for (file, text) in tree.folder(folder) {
        let Some(port) = file.strip_prefix("ifcfg-") else {
            continue;
        };
        bond.ports.extend(read_port(port, text, &bond.name));
    }
    Some(bond)
}

/// Sets the options of a bond from `key=value` words, with a note for each invalid word.
pub fn read_options(text: &str, bond: &mut Bond, notes: &mut Notes) {
    for word in text.split_ascii_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            // An option of the module, and a state.
            "max_bonds" | "active_slave" => {}
            // An option without a value counts as absent.
            _ if value.is_empty() => {}
            _ => {
                if let Err(error) = bond.options.set(name, value) {
                    notes.lost(word, error);
                }
            }
        }
    }
}

fn read_port(name: &str, text: &str, master: &str) -> Option<BondPort> {
    let mut port = BondPort::new(name);
    let mut is_port_of_bond = false;
    for (key, value) in assignments(text) {
        match key {
            "MASTER" | "TEAM_MASTER" => is_port_of_bond = value == master,
            "DEVICE" if super::is_interface_name(&value) => port.name = value,
            _ if OWN.contains(&key) => {}
            _ => port.other_settings.push(setting(key, value)),
        }
    }
    is_port_of_bond.then_some(port)
}

fn setting(key: &str, value: String) -> Setting {
    Setting {
        manager: Manager::Ifcfg,
        section: String::new(),
        occurrence: 0,
        key: key.to_owned(),
        value,
    }
}

fn read_network(text: &str) -> Network {
    let mut network = Network::default();
    let all: Vec<(&str, String)> = assignments(text).collect();
    let find = |key: &str| {
        let found = all.iter().rev().find(|(found, _)| *found == key);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    network.ipv6.automatic = find("IPV6INIT") != Some("no") && find("IPV6_AUTOCONF") != Some("no");
    for (key, value) in &all {
        match key.trim_end_matches(|digit: char| digit.is_ascii_digit()) {
            _ if value.is_empty() => {}
            "IPADDR" => {
                let number = &key["IPADDR".len()..];
                let prefix = find(&format!("PREFIX{number}")).map(str::to_owned);
                let mask = || find(&format!("NETMASK{number}")).and_then(prefix_of_mask);
                // Without either, the initscripts call ipcalc, which uses the address classes.
                let prefix = prefix.or_else(mask).unwrap_or_else(|| class_prefix(value));
                network.ipv4.addresses.push(format!("{value}/{prefix}"));
            }
            "PREFIX" | "NETMASK" => {}
            "GATEWAY" => network.ipv4.gateway = Some(value.clone()),
            "DNS" => network.dns.push(value.clone()),
            "DOMAIN" => {
                let domains = value.split_ascii_whitespace();
                network.search.extend(domains.map(str::to_owned));
            }
            "BOOTPROTO" if matches!(value.as_str(), "dhcp" | "bootp") => {
                network.ipv4.automatic = true;
            }
            "BOOTPROTO" => {}
            _ => match *key {
                "IPV6ADDR" => network.ipv6.addresses.insert(0, value.clone()),
                "IPV6ADDR_SECONDARIES" => {
                    let more = value.split_ascii_whitespace();
                    network.ipv6.addresses.extend(more.map(str::to_owned));
                }
                "IPV6_DEFAULTGW" => network.ipv6.gateway = Some(value.clone()),
                "IPV6_AUTOCONF" => {}
                "IPV6INIT" if value != "no" => {}
                "MTU" => match value.parse() {
                    Ok(mtu) => network.mtu = Some(mtu),
                    Err(_) => network.other_settings.push(setting(key, value.clone())),
                },
                "MACADDR" if super::is_hwaddr(value) => network.hwaddr = Some(value.clone()),
                "BRIDGE" => network.bridge = Some(value.clone()),
                _ if OWN.contains(key) => {}
                _ => network.other_settings.push(setting(key, value.clone())),
            },
        }
    }
    network
}

fn prefix_of_mask(mask: &str) -> Option<String> {
    let bits = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    (bits.leading_ones() == bits.count_ones()).then(|| bits.count_ones().to_string())
}

fn class_prefix(address: &str) -> String {
    let first = address
        .parse::<Ipv4Addr>()
        .map_or(0, |address| address.octets()[0]);
    let prefix = match first {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    };
    prefix.to_string()
}

/// Builds a file of assignments.
#[derive(Default)]
struct Script(String);

impl Script {
    fn put(&mut self, key: &str, value: impl ToString) {
        self.0 += &format!("{key}={}\n", quoted(&value.to_string()));
    }

    fn put_settings(&mut self, other_settings: &[Setting]) {
        for setting in other_settings
            .iter()
            .filter(|setting| setting.manager == Manager::Ifcfg)
        {
            self.put(&setting.key, &setting.value);
        }
    }

    fn finish(self, name: &str) -> OutFile {
        OutFile {
            name: format!("ifcfg-{name}"),
            text: self.0,
        }
    }
}

/// Returns the files of the bond, or of the team that replaces it.
pub fn write(bond: &Bond, team: Option<&TeamConfig>, notes: &mut Notes) -> Vec<OutFile> {
    let mut master = Script::default();
    master.put("DEVICE", &bond.name);
    match team {
        Some(team) => {
            master.put("DEVICETYPE", "Team");
            master.put("TEAM_CONFIG", team.line());
        }
        None => {
            master.put("TYPE", "Bond");
            master.put("BONDING_MASTER", "yes");
            let mut options = bond.options.clone();
            if options.is_changed(Opt::BalanceSlb) {
                options.put(Opt::BalanceSlb, 0);
                notes.lost("runner.name=slb", NO_SLB);
            }
            master.put("BONDING_OPTS", options.to_text(" "));
        }
    }
    // The hardware address of a team is in its configuration.
    write_network(&bond.network, team.is_none(), &mut master);
    master.put_settings(&bond.network.other_settings);
    notes.lose_foreign(&bond.network.other_settings, Some(Manager::Ifcfg));
    let mut files = vec![master.finish(&bond.name)];
    for port in &bond.ports {
        let mut script = Script::default();
        script.put("DEVICE", &port.name);
        match team {
            Some(team) => {
                script.put("DEVICETYPE", "TeamPort");
                script.put("TEAM_MASTER", &bond.name);
                if let Some(entry) = team.port_line(&port.name) {
                    script.put("TEAM_PORT_CONFIG", entry);
                }
            }
            None => {
                script.put("TYPE", "Ethernet");
                script.put("MASTER", &bond.name);
                script.put("SLAVE", "yes");
                note_port_options(port, "an ifcfg file", notes);
            }
        }
        if port
            .other_settings
            .iter()
            .all(|setting| setting.manager != Manager::Ifcfg)
        {
            script.put("ONBOOT", "yes");
            script.put("BOOTPROTO", "none");
        }
        script.put_settings(&port.other_settings);
        notes.lose_foreign(&port.other_settings, Some(Manager::Ifcfg));
        files.push(script.finish(&port.name));
    }
    files
}

/// Adds a note for each option of a port that the format called `place` does not have.
pub fn note_port_options(port: &BondPort, place: &str, notes: &mut Notes) {
    if port.prio != 0 {
        notes.lost(
            format_args!("ports.{}.prio={}", port.name, port.prio),
            format_args!("{place} has no key for it"),
        );
    }
    if port.queue_id != 0 {
        notes.lost(
            format_args!("ports.{}.queue_id={}", port.name, port.queue_id),
            format_args!("{place} has no key for it"),
        );
    }
}

fn write_network(network: &Network, with_hwaddr: bool, script: &mut Script) {
    let Network {
        hwaddr,
        mtu,
        ipv4,
        ipv6,
        dns,
        search,
        bridge,
        other_settings,
    } = network;
    if other_settings
        .iter()
        .all(|setting| setting.manager != Manager::Ifcfg)
    {
        script.put("ONBOOT", "yes");
    }
    script.put("BOOTPROTO", if ipv4.automatic { "dhcp" } else { "none" });
    for (number, address) in ipv4.addresses.iter().enumerate() {
        let (address, prefix) = address.split_once('/').unwrap_or((address, "32"));
        let number = match number {
            0 => String::new(),
            number => number.to_string(),
        };
        script.put(&format!("IPADDR{number}"), address);
        script.put(&format!("PREFIX{number}"), prefix);
    }
    let mut put_some = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            script.put(key, value);
        }
    };
    put_some("GATEWAY", ipv4.gateway.clone());
    if let Some((first, more)) = ipv6.addresses.split_first() {
        put_some("IPV6INIT", Some("yes".to_owned()));
        put_some("IPV6ADDR", Some(first.clone()));
        put_some(
            "IPV6ADDR_SECONDARIES",
            (!more.is_empty()).then(|| more.join(" ")),
        );
    }
    put_some("IPV6_DEFAULTGW", ipv6.gateway.clone());
    put_some("IPV6_AUTOCONF", (!ipv6.automatic).then(|| "no".to_owned()));
    for (number, server) in dns.iter().enumerate() {
        put_some(&format!("DNS{}", number + 1), Some(server.clone()));
    }
    put_some("DOMAIN", (!search.is_empty()).then(|| search.join(" ")));
    put_some("MTU", mtu.map(|mtu| mtu.to_string()));
    put_some("MACADDR", hwaddr.clone().filter(|_| with_hwaddr));
    put_some("BRIDGE", bridge.clone());
}
