//! Writes the stanzas of a bond or of a team, one for each address.

use crate::bond::ifcfg::{NO_SLB, note_port_options};
use crate::bond::manager::Manager;
use crate::bond::model::{Bond, Notes, OutFile};
use crate::bond::options::{Kind, Opt};
use crate::bond::settings::Setting;

/// Family, method and options of a stanza.
type Lines<'a> = (&'a str, &'a str, Vec<String>);

/// Returns the stanzas of the team, which teamr's hook of ifupdown starts.
pub fn write_team(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let ports: Vec<&str> = bond.ports.iter().map(|port| port.name.as_str()).collect();
    let mut lines = vec![format!("team-config /etc/teamr/{}.json", bond.name)];
    if !ports.is_empty() {
        lines.push(format!("team-ports {}", ports.join(" ")));
    }
    for port in &bond.ports {
        notes.lose_foreign(&port.other_settings, Some(Manager::Interfaces));
    }
    write(bond, lines, notes)
}

/// Returns the stanzas of the bond.
pub fn write_bond(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let ports: Vec<&str> = bond.ports.iter().map(|port| port.name.as_str()).collect();
    let mut lines = vec![format!("bond-slaves {}", ports.join(" "))];
    for (row, value) in bond.options.changed() {
        let value = match row.kind {
            Kind::Addresses(_) => value.replace(',', " "),
            _ => value.to_owned(),
        };
        match row.opt {
            Opt::BalanceSlb => notes.lost("runner.name=slb", NO_SLB),
            _ => lines.push(format!("bond-{} {value}", row.name.replace('_', "-"))),
        }
    }
    lines.extend(bond.network.hwaddr.as_ref().map(|hwaddr| format!("hwaddress {hwaddr}")));
    for port in &bond.ports {
        note_port_options(port, "a stanza", notes);
        notes.lose_foreign(&port.other_settings, Some(Manager::Interfaces));
    }
    write(bond, lines, notes)
}

/// Returns the method of the stanza `inet6` that a setting belongs to; `None` for other stanzas.
fn inet6_method(setting: &Setting) -> Option<&str> {
    setting.section.split_once(" inet6 ").map(|(_, method)| method)
}

/// Returns the options of the stanza `inet6` that a setting belongs to; adds the stanza if there is none.
fn stanza_of<'a, 's>(setting: &'s Setting, stanzas: &'a mut Vec<Lines<'s>>) -> &'a mut Vec<String> {
    let method = inet6_method(setting).unwrap_or_default();
    let is_one = |(family, own, _): &Lines| (*family, *own) == ("inet6", method);
    let place = stanzas.iter().position(is_one).unwrap_or_else(|| {
        stanzas.push(("inet6", method, Vec::new()));
        stanzas.len() - 1
    });
    &mut stanzas[place].2
}

fn line(setting: &Setting) -> String {
    format!("{} {}", setting.key, setting.value).trim_end().to_owned()
}

/// Returns a file with the stanzas; the first has `lines`, too.
fn write(bond: &Bond, mut lines: Vec<String>, notes: &mut Notes) -> Vec<OutFile> {
    let network = &bond.network;
    lines.extend(network.mtu.map(|mtu| format!("mtu {mtu}")));
    for (key, list) in [("dns-nameservers", &network.dns), ("dns-search", &network.search)] {
        if !list.is_empty() {
            lines.push(format!("{key} {}", list.join(" ")));
        }
    }
    let own = network.other_settings.iter().filter(|s| s.manager == Manager::Interfaces);
    let (of_inet6, own): (Vec<&Setting>, Vec<&Setting>) =
        own.partition(|setting| inet6_method(setting).is_some());
    lines.extend(own.into_iter().map(line));
    notes.lose_foreign(&network.other_settings, Some(Manager::Interfaces));
    if let Some(bridge) = &network.bridge {
        notes.lost(
            format_args!("bridge {bridge}"),
            format_args!("add {} to bridge-ports in the stanza of the bridge", bond.name),
        );
    }
    let mut stanzas: Vec<Lines> = Vec::new();
    for (family, addressing) in [("inet", &network.ipv4), ("inet6", &network.ipv6)] {
        let gateway = addressing.gateway.as_ref().map(|gateway| format!("gateway {gateway}"));
        let mut gateway: Vec<String> = gateway.into_iter().collect();
        for address in &addressing.addresses {
            let options =
                [vec![format!("address {address}")], std::mem::take(&mut gateway)].concat();
            stanzas.push((family, "static", options));
        }
        if family == "inet" && addressing.automatic {
            stanzas.push((family, "dhcp", Vec::new()));
        }
    }
    let has = |keys: &[&str]| of_inet6.iter().any(|setting| keys.contains(&&*setting.key));
    let is_bare = !has(&["iface"]);
    if network.dhcpv6 && is_bare {
        stanzas.push(("inet6", "dhcp", Vec::new()));
    } else if network.ipv6.automatic
        && !network.ipv6.addresses.is_empty()
        && is_bare
        && !has(&["accept_ra", "accept-ra"])
    {
        stanzas.push(("inet6", "auto", Vec::new()));
    }
    for setting in of_inet6 {
        let place = stanza_of(setting, &mut stanzas);
        place.extend(Some(line(setting)).filter(|_| setting.key != "iface"));
    }
    if stanzas.is_empty() {
        stanzas.push(("inet", "manual", Vec::new()));
    }
    let mut text = format!("auto {}\n", bond.name);
    for (family, method, options) in stanzas {
        text += &format!("iface {} {family} {method}\n", bond.name);
        for line in options.into_iter().chain(std::mem::take(&mut lines)) {
            text += &format!("    {line}\n");
        }
    }
    vec![OutFile { name: bond.name.clone(), text }]
}
