//! Writes a bond as a device of netifd, and the interfaces with its addresses.

use super::MANAGER;
use crate::bond::ifcfg::{driver_options, note_port_options};
use crate::bond::model::{Bond, Network, Notes, OutFile};
use crate::bond::options::{Kind, Opt, Row};

/// Options that have another name in netifd than in the driver. Both monitors share one interval.
const NAMES: [(Opt, &str); 9] = [
    (Opt::Mode, "policy"),
    (Opt::Miimon, "monitor_interval"),
    (Opt::ArpInterval, "monitor_interval"),
    (Opt::ArpIpTarget, "arp_target"),
    (Opt::AllSlavesActive, "all_ports_active"),
    (Opt::PacketsPerSlave, "packets_per_port"),
    (Opt::TlbDynamicLb, "dynamic_lb"),
    (Opt::NumGratArp, "num_peer_notif"),
    (Opt::FailOverMac, "failover_mac"),
];
/// Options of netifd with the driver's names.
const SAME: [Opt; 14] = [
    Opt::UpDelay,
    Opt::DownDelay,
    Opt::ArpValidate,
    Opt::ArpAllTargets,
    Opt::Primary,
    Opt::PrimaryReselect,
    Opt::ResendIgmp,
    Opt::XmitHashPolicy,
    Opt::LacpRate,
    Opt::AdSelect,
    Opt::MinLinks,
    Opt::AdActorSysPrio,
    Opt::AdActorSystem,
    Opt::LpInterval,
];

/// Returns the sections, to be added to the file.
pub fn write(bond: &Bond, notes: &mut Notes) -> Vec<OutFile> {
    let options = driver_options(bond, notes);
    let mut text = section("device", "", &[("name", &bond.name), ("type", "bonding")]);
    for port in &bond.ports {
        text += &line("list", "ports", &port.name);
        note_port_options(port, "netifd", notes);
        notes.lose_foreign(&port.other_settings, Some(MANAGER));
    }
    for (row, value) in options.changed() {
        let known = NAMES.iter().find(|(opt, _)| *opt == row.opt).map(|(_, name)| *name);
        match known.or(SAME.contains(&row.opt).then_some(row.name)) {
            Some(name) => text += &option(row, name, value),
            None => notes.lost(format_args!("{}={value}", row.name), "netifd has no option for it"),
        }
    }
    if options.is_changed(Opt::ArpInterval) {
        text += &line("option", "monitor_mode", "arp");
    }
    // netifd sets these to 0 where the section has none.
    let default = |opt: Opt| options.get(opt) == opt.row().default;
    for (opt, name, modes) in [
        (Opt::UseCarrier, "use_carrier", &[0, 1, 2, 3, 4, 5, 6][..]),
        (Opt::PacketsPerSlave, "packets_per_port", &[0]),
        (Opt::TlbDynamicLb, "dynamic_lb", &[5]),
    ] {
        if default(opt) && modes.contains(&options.mode()) {
            text += &line("option", name, opt.row().default);
        }
    }
    let Network { hwaddr, mtu, bridge, other_settings, .. } = &bond.network;
    for (key, value) in [("macaddr", hwaddr.clone()), ("mtu", mtu.map(|mtu| mtu.to_string()))] {
        text += &value.map(|value| line("option", key, &value)).unwrap_or_default();
    }
    if let Some(bridge) = bridge {
        notes.lost(
            format_args!("bridge {bridge}"),
            format_args!("add {} to the ports of the bridge in its section", bond.name),
        );
    }
    let others = |section: &str| -> String {
        let own = other_settings.iter().filter(|it| it.manager == MANAGER && it.section == section);
        own.map(|setting| line("option", &setting.key, &setting.value)).collect()
    };
    text += &others("device");
    text += &interfaces(bond);
    text += &others("interface");
    notes.lose_foreign(other_settings, Some(MANAGER));
    vec![OutFile { name: "network".to_owned(), text }]
}

/// Returns the interfaces: one with the fixed addresses, and one for each protocol.
fn interfaces(bond: &Bond) -> String {
    let Network { ipv4, ipv6, dhcpv6, dns, search, .. } = &bond.network;
    let name: String =
        bond.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let interface = |end: &str, protocol: &str| {
        let name = format!("{name}{end}");
        format!("\n{}", section("interface", &name, &[("device", &bond.name), ("proto", protocol)]))
    };
    let is_automatic = ipv4.automatic || ipv6.automatic || *dhcpv6;
    let mut text = String::new();
    if *dhcpv6 || ipv6.automatic {
        text += &interface("_6", "dhcpv6");
    }
    if ipv4.automatic {
        text += &interface("_4", "dhcp");
    }
    if !is_automatic || !ipv4.addresses.is_empty() || !ipv6.addresses.is_empty() {
        text += &interface("", "static");
    }
    for (key, values) in [
        ("ipaddr", &ipv4.addresses),
        ("ip6addr", &ipv6.addresses),
        ("dns", dns),
        ("dns_search", search),
    ] {
        values.iter().for_each(|value| text += &line("list", key, value));
    }
    for (key, gateway) in [("gateway", &ipv4.gateway), ("ip6gw", &ipv6.gateway)] {
        text += &gateway.iter().map(|gateway| line("option", key, gateway)).collect::<String>();
    }
    text
}

fn section(kind: &str, name: &str, options: &[(&str, &str)]) -> String {
    let head = if name.is_empty() { kind.to_owned() } else { format!("{kind} '{name}'") };
    let lines = options.iter().map(|(key, value)| line("option", key, value));
    format!("config {head}\n{}", lines.collect::<String>())
}

fn option(row: &Row, name: &str, value: &str) -> String {
    match row.kind {
        Kind::Addresses(_) => value.split(',').map(|one| line("list", name, one)).collect(),
        // netifd has a flag here: 1 means `all`.
        _ if row.opt == Opt::ArpAllTargets => line("option", name, "1"),
        _ => line("option", name, value),
    }
}

/// Returns a line of a section. Inside the quotes, only a quote has a meaning.
fn line(word: &str, key: &str, value: &str) -> String {
    format!("\t{word} {key} '{}'\n", value.replace('\'', "'\\''"))
}
