//! Reads and writes a bond and its ports as systemd-networkd's `.netdev` and `.network` files; for
//! a team, a file with its addresses, and for each port a file that makes networkd ignore the port.
//!
//! Standard: systemd.netdev(5), systemd.network(5). networkd has its own names for the options of a
//! bond, and its times have units.

use super::ifcfg::{NO_SLB, note_port_options};
use super::ini::{Entry, Ini, Writer};
use super::manager::{DeviceKind, Manager};
use super::model::{Addressing, Bond, BondPort, Network, Notes, OutFile};
use super::options::{Kind, Opt, ROWS, Row};
use super::tree::Tree;

const MANAGER: Manager = Manager::Networkd;

/// Returns the bond `name` with its ports, or the addresses of the team `name`; `None` if no file
/// defines the device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let files: Vec<(&str, Ini)> = tree
        .folder(MANAGER.folder())
        .map(|(file, text)| (file, Ini::parse(text)))
        .collect();
    let ending = |ending: &'static str| {
        let files = files.iter();
        files
            .filter(move |(file, _)| file.ends_with(ending))
            .map(|(_, ini)| ini)
    };
    let mut bond = Bond {
        name: name.to_owned(),
        ..Bond::default()
    };
    let netdev = ending(".netdev").find(|ini| {
        ini.get("NetDev", "Name") == Some(name) && ini.get("NetDev", "Kind") == Some("bond")
    });
    let own = ending(".network").find(|ini| matches(ini).contains(&name));
    match device {
        DeviceKind::Bond => netdev?,
        DeviceKind::Team => own.filter(|_| netdev.is_none())?,
    };
    if let Some(own) = own {
        bond.network = read_network(own);
    }
    if let Some(netdev) = netdev {
        read_netdev(netdev, &mut bond, notes);
    }
    for ini in ending(".network") {
        let ours = entries(ini, "Network").any(|e| e.key == "Bond" && e.value == name);
        let left_to_team = team_of(ini) == Some(name);
        if !ours && !left_to_team {
            continue;
        }
        for port in matches(ini) {
            if !super::is_interface_name(port) || port.contains(['*', '?', '[', '!']) {
                notes.lost(
                    format_args!("port {port}"),
                    "a pattern cannot be resolved here; add the interfaces to \"ports\"",
                );
                continue;
            }
            if ini.get("Network", "PrimarySlave").is_some_and(is_yes) {
                bond.options.put(Opt::Primary, port);
            }
            bond.ports.push(read_port(port, ini));
        }
    }
    Some(bond)
}

/// Returns the interfaces that a file matches.
fn matches(ini: &Ini) -> Vec<&str> {
    let names = ini.get("Match", "Name").unwrap_or_default();
    names.split_ascii_whitespace().collect()
}

fn entries<'a>(ini: &'a Ini, section: &'a str) -> impl Iterator<Item = &'a Entry> {
    let all = ini.entries().iter();
    all.filter(move |entry| entry.section == section)
}

/// Returns the team to which a file, written by an earlier import, leaves its port.
fn team_of(ini: &Ini) -> Option<&str> {
    ini.get("Link", "Unmanaged").filter(|text| is_yes(text))?;
    ini.get("X-Teamr", "Team")
}

fn is_yes(text: &str) -> bool {
    matches!(text, "yes" | "true" | "on" | "1" | "y" | "t")
}

fn read_netdev(netdev: &Ini, bond: &mut Bond, notes: &mut Notes) {
    for entry in netdev.entries() {
        let Entry { key, value, .. } = entry;
        match (entry.section.as_str(), key.as_str()) {
            ("NetDev", "Name" | "Kind" | "Description") => {}
            ("NetDev", "MACAddress") if super::is_hwaddr(value) => {
                bond.network.hwaddr = Some(value.clone());
            }
            ("NetDev", "MTUBytes") => bond.network.mtu = bytes(value).or(bond.network.mtu),
            ("Bond", key) => {
                if let Err(reason) = read_option(key, value, bond) {
                    notes.lost(format_args!("{key}={value}"), reason);
                }
            }
            _ => notes.lost(
                format_args!("[{}] {key}={value}", entry.section),
                "a team's configuration has no place for it",
            ),
        }
    }
}

fn read_option(key: &str, value: &str, bond: &mut Bond) -> Result<(), String> {
    let row = ROWS.iter().find(|row| row.networkd == Some(key));
    let row = row.ok_or("no option of a bond that is known here")?;
    let value = match row.kind {
        Kind::Milliseconds => milliseconds(value)
            .ok_or_else(|| "not a time span".to_owned())?
            .to_string(),
        Kind::Seconds => milliseconds(value)
            .ok_or_else(|| "not a time span".to_owned())?
            .div_ceil(1000)
            .to_string(),
        _ => value.to_owned(),
    };
    let set = bond.options.set(row.name, &value);
    set.map_err(|error| error.to_string())
}

/// Parses a size in bytes, such as `1500` or `9K`.
fn bytes(text: &str) -> Option<u32> {
    match text.strip_suffix('K') {
        Some(text) => text.parse::<u32>().ok()?.checked_mul(1024),
        None => text.parse().ok(),
    }
}

/// Parses a time span of systemd.time(7), in seconds if it has no unit, and returns milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "us" | "usec" => 0.001,
            "ms" | "msec" => 1.0,
            "" | "s" | "sec" | "second" | "seconds" => 1000.0,
            "m" | "min" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hour" | "hours" => 3_600_000.0,
            _ => return None,
        };
        total += number * unit;
        rest = rest[letters..].trim_start();
    }
    (total <= f64::from(i32::MAX)).then_some(total as u64)
}

fn read_port(name: &str, ini: &Ini) -> BondPort {
    let other_settings = ini.entries().iter().filter(|entry| {
        !matches!(
            (entry.section.as_str(), entry.key.as_str()),
            ("Match", "Name")
                | ("Network", "Bond" | "PrimarySlave" | "ActiveSlave")
                | ("Link", "Unmanaged")
                | ("X-Teamr", _)
        )
    });
    BondPort {
        other_settings: other_settings.map(|entry| entry.of(MANAGER)).collect(),
        ..BondPort::new(name)
    }
}

fn read_network(ini: &Ini) -> Network {
    let mut network = Network::default();
    network.ipv6.automatic = ini.get("Network", "IPv6AcceptRA").is_none_or(is_yes);
    let plain = |entry: &Entry, key: &str| {
        let same = entries(ini, &entry.section).filter(|e| e.occurrence == entry.occurrence);
        entry.key == key && same.count() == 1
    };
    for entry in ini.entries() {
        let Entry { key, value, .. } = entry;
        match (entry.section.as_str(), key.as_str()) {
            ("Match", "Name") => {}
            ("Network", "Address") | ("Address", "Address")
                if entry.section == "Network" || plain(entry, "Address") =>
            {
                by_version(&mut network, value)
                    .addresses
                    .push(value.clone());
            }
            ("Network", "Gateway") | ("Route", "Gateway")
                if (entry.section == "Network" || plain(entry, "Gateway"))
                    && value.parse::<std::net::IpAddr>().is_ok()
                    && by_version(&mut network, value).gateway.is_none() =>
            {
                by_version(&mut network, value).gateway = Some(value.clone());
            }
            ("Network", "DNS") => {
                let servers = value.split_ascii_whitespace();
                network.dns.extend(servers.map(str::to_owned));
            }
            ("Network", "Domains") => {
                let domains = value.split_ascii_whitespace();
                network.search.extend(domains.map(str::to_owned));
            }
            ("Network", "DHCP") if is_yes(value) || value == "ipv4" => {
                network.ipv4.automatic = true;
            }
            ("Network", "DHCP") if value == "no" => {}
            ("Network", "IPv6AcceptRA") => {}
            ("Network", "Bridge") => network.bridge = Some(value.clone()),
            ("Link", "MTUBytes") if bytes(value).is_some() => network.mtu = bytes(value),
            ("Link", "MACAddress") if super::is_hwaddr(value) => {
                network.hwaddr = Some(value.clone());
            }
            _ => network.other_settings.push(entry.of(MANAGER)),
        }
    }
    network
}

/// Returns the addresses of the IP version of `address`.
fn by_version<'a>(network: &'a mut Network, address: &str) -> &'a mut Addressing {
    match address.contains(':') {
        true => &mut network.ipv6,
        false => &mut network.ipv4,
    }
}

/// Returns the files of the bond, or of the team that replaces it.
pub fn write(bond: &Bond, device: DeviceKind, notes: &mut Notes) -> Vec<OutFile> {
    let is_team = device == DeviceKind::Team;
    let named = |name: String, file: &Writer| OutFile {
        name: format!("10-{name}"),
        text: file.finish(),
    };
    let mut files = Vec::new();
    if !is_team {
        let netdev = write_netdev(bond, notes);
        files.push(named(format!("{}.netdev", bond.name), &netdev));
    }
    let network = write_network(&bond.name, &bond.network);
    notes.lose_foreign(&bond.network.other_settings, Some(MANAGER));
    files.push(named(format!("{}.network", bond.name), &network));
    for port in &bond.ports {
        let mut file = Writer::default();
        file.put("Match", "Name", &port.name);
        if is_team {
            // The daemon attaches and detaches the port.
            file.put("Link", "Unmanaged", "yes");
            file.put("X-Teamr", "Team", &bond.name);
        } else {
            file.put("Network", "Bond", &bond.name);
            if bond.primary() == Some(&port.name) {
                file.put("Network", "PrimarySlave", "yes");
            }
            note_port_options(port, "a .network file", notes);
        }
        file.put_settings_of(&port.other_settings, MANAGER);
        notes.lose_foreign(&port.other_settings, Some(MANAGER));
        files.push(named(format!("{}-{}.network", bond.name, port.name), &file));
    }
    files
}

fn write_netdev(bond: &Bond, notes: &mut Notes) -> Writer {
    let mut file = Writer::default();
    file.put("NetDev", "Name", &bond.name);
    file.put("NetDev", "Kind", "bond");
    if let Some(hwaddr) = &bond.network.hwaddr {
        file.put("NetDev", "MACAddress", hwaddr);
    }
    for (row, value) in bond.options.changed() {
        match row.networkd {
            Some(key) => match networkd_value(row, value) {
                Some(value) => file.put("Bond", key, value),
                None => notes.lost(
                    format_args!("{}={value}", row.name),
                    "systemd-networkd has no word for it",
                ),
            },
            // The file of the port has it.
            None if row.opt == Opt::Primary => {}
            None if row.opt == Opt::BalanceSlb => notes.lost("runner.name=slb", NO_SLB),
            None => notes.lost(
                format_args!("{}={value}", row.name),
                "systemd-networkd has no key for it",
            ),
        }
    }
    file
}

/// Returns the value in networkd's syntax; `None` if networkd has no such value.
fn networkd_value(row: &Row, value: &str) -> Option<String> {
    match row.kind {
        Kind::Milliseconds => Some(format!("{value}ms")),
        Kind::Seconds => Some(format!("{value}s")),
        Kind::Addresses => Some(value.replace(',', " ")),
        Kind::Flag => Some((if value == "1" { "yes" } else { "no" }).to_owned()),
        Kind::Word(_) if row.opt == Opt::ArpValidate && value.starts_with("filter") => None,
        Kind::Word(_) if row.opt == Opt::AdSelect && value == "prio" => None,
        _ => Some(value.to_owned()),
    }
}

fn write_network(name: &str, network: &Network) -> Writer {
    let mut file = Writer::default();
    file.put("Match", "Name", name);
    if let Some(mtu) = network.mtu {
        file.put("Link", "MTUBytes", mtu);
    }
    if let Some(bridge) = &network.bridge {
        file.put("Network", "Bridge", bridge);
    }
    if network.ipv4.automatic {
        file.put("Network", "DHCP", "ipv4");
    }
    if !network.ipv6.automatic {
        file.put("Network", "IPv6AcceptRA", "no");
    }
    for addressing in [&network.ipv4, &network.ipv6] {
        for address in &addressing.addresses {
            file.put("Network", "Address", address);
        }
        if let Some(gateway) = &addressing.gateway {
            file.put("Network", "Gateway", gateway);
        }
    }
    for server in &network.dns {
        file.put("Network", "DNS", server);
    }
    if !network.search.is_empty() {
        file.put("Network", "Domains", network.search.join(" "));
    }
    file.put_settings_of(&network.other_settings, MANAGER);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_parsed() {
        for (text, expected) in [
            ("100ms", Some(100)),
            ("0.1", Some(100)),
            ("1", Some(1000)),
            ("1min 30s", Some(90_000)),
            ("2s500ms", Some(2500)),
            ("", None),
            ("ms", None),
            ("1 fortnight", None),
            ("1e9", None),
            ("99999999h", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
