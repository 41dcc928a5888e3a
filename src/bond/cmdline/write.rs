//! Writes a bond as parameters of dracut.

use crate::bond::ifcfg::{driver_options, note_port_options};
use crate::bond::model::{Bond, Network, Notes, OutFile, network_mask};

/// Returns a file for the folder `cmdline.d` of dracut. The line in the file is also valid on the
/// kernel's command line.
pub fn write(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let Network { hwaddr, mtu, ipv4, ipv6, dhcpv6, dns, search, bridge, other_settings } =
        &bond.network;
    let name = &bond.name;
    let ports: Vec<&str> = bond.ports.iter().map(|port| port.name.as_str()).collect();
    let options = options(bond, notes);
    let mtu = mtu.map(|mtu| format!(":{mtu}")).unwrap_or_default();
    let mut words = vec![format!("bond={name}:{}:{options}{mtu}", ports.join(","))];
    let mut end = hwaddr.as_ref().map(|hwaddr| format!("::{hwaddr}")).unwrap_or_default();
    for (addressing, anywhere) in [(ipv4, 32), (ipv6, 128)] {
        let bracketed = |address: &str| match address.contains(':') {
            true => format!("[{address}]"),
            false => address.to_owned(),
        };
        let mut gateway = addressing.gateway.as_deref().map(bracketed).unwrap_or_default();
        for address in &addressing.addresses {
            let (address, prefix) = address.split_once('/').unwrap_or((address, ""));
            let prefix = prefix.parse().unwrap_or(anywhere);
            let mask = if anywhere == 32 { network_mask(prefix) } else { prefix.to_string() };
            let (address, end) = (bracketed(address), std::mem::take(&mut end));
            let gateway = std::mem::take(&mut gateway);
            words.push(format!("ip={address}::{gateway}:{mask}::{name}:none{end}"));
        }
        if !gateway.is_empty() {
            notes.lost(format_args!("gateway {gateway}"), "no address is with it");
        }
    }
    for (protocol, on) in [("dhcp", ipv4.automatic), ("dhcp6", *dhcpv6)] {
        if on {
            words.push(format!("ip={name}:{protocol}{}", std::mem::take(&mut end)));
        }
    }
    if !end.is_empty() {
        words.push(format!("ip={name}:none{end}"));
    }
    words.extend(dns.iter().map(|server| match server.contains(':') {
        true => format!("nameserver=[{server}]"),
        false => format!("nameserver={server}"),
    }));
    for domain in search {
        notes.lost(format_args!("search domain {domain}"), "dracut has no parameter for it");
    }
    if let Some(bridge) = bridge {
        words.push(format!("bridge={bridge}:{name}"));
    }
    for port in &bond.ports {
        note_port_options(port, "dracut", notes);
        notes.lose_foreign(&port.other_settings, None);
    }
    notes.lose_foreign(other_settings, None);
    vec![OutFile { name: format!("{name}.conf"), text: words.join(" ") + "\n" }]
}

/// Returns the options in the form of dracut: a comma ends an option, and a semicolon stands
/// between addresses.
fn options(bond: &Bond, notes: &mut Notes) -> String {
    let options = driver_options(bond, notes);
    let mut words = Vec::new();
    for (row, value) in options.changed() {
        match value.contains(':') {
            true => notes.lost(
                format_args!("{}={value}", row.name),
                "dracut would take the colon for the end of the options",
            ),
            false => words.push(format!("{}={}", row.name, value.replace(',', ";"))),
        }
    }
    words.join(",")
}
