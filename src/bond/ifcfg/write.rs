//! Writes a bond or a team and its ports as ifcfg files of the initscripts; for wicked, a bond, or
//! the file with the addresses of a team.

use crate::bond::ini::Writer;
use crate::bond::manager::{DeviceKind, Manager};
use crate::bond::model::{Bond, BondPort, Network, Notes, OutFile};
use crate::bond::options::{Opt, Options};
use crate::bond::to_team::TeamConfig;

/// The reason why a team with the runner slb cannot become a bond outside NetworkManager.
pub const NO_SLB: &str = "the driver alone lets a guest's frames come back by the other port; \
     NetworkManager's balance-slb filters them";

/// Returns the files of the bond, or of the team that replaces it.
pub fn write(bond: &Bond, team: Option<&TeamConfig>, notes: &mut Notes) -> Vec<OutFile> {
    let mut master = Writer::default();
    master.put("", "DEVICE", &bond.name);
    match team {
        Some(team) => {
            master.put("", "DEVICETYPE", "Team");
            master.put("", "TEAM_CONFIG", team.line());
        }
        None => {
            master.put("", "TYPE", "Bond");
            master.put("", "BONDING_MASTER", "yes");
            master.put("", "BONDING_OPTS", driver_options(bond, notes).to_text(" "));
        }
    }
    // The hardware address of a team is in its configuration.
    write_network(&bond.network, team.is_none(), &mut master);
    master.copy(&bond.network.other_settings, Manager::Ifcfg, notes);
    let named =
        |name: &str, file: &Writer| OutFile { name: format!("ifcfg-{name}"), text: file.finish() };
    let mut files = vec![named(&bond.name, &master)];
    for port in &bond.ports {
        let mut script = Writer::default();
        script.put("", "DEVICE", &port.name);
        match team {
            Some(team) => {
                script.put("", "DEVICETYPE", "TeamPort");
                script.put("", "TEAM_MASTER", &bond.name);
                script.put_some("", "TEAM_PORT_CONFIG", team.port_line(&port.name));
            }
            None => {
                script.put("", "TYPE", "Ethernet");
                script.put("", "MASTER", &bond.name);
                script.put("", "SLAVE", "yes");
                note_port_options(port, "an ifcfg file", notes);
            }
        }
        if port.other_settings.iter().all(|setting| setting.manager != Manager::Ifcfg) {
            script.put("", "ONBOOT", "yes");
            script.put("", "BOOTPROTO", "none");
        }
        script.copy(&port.other_settings, Manager::Ifcfg, notes);
        files.push(named(&port.name, &script));
    }
    files
}

/// Returns the options without `balance_slb`, which the driver lacks; adds a note if that option
/// was set.
pub fn driver_options(bond: &Bond, notes: &mut Notes) -> Options {
    let mut options = bond.options.clone();
    if options.is_changed(Opt::BalanceSlb) {
        options.put(Opt::BalanceSlb, 0);
        notes.lost("runner.name=slb", NO_SLB);
    }
    options
}

/// Adds a note for each option of a port that the format called `place` does not have.
pub fn note_port_options(port: &BondPort, place: &str, notes: &mut Notes) {
    let actor = port.actor_port_prio.unwrap_or(0);
    for (key, value) in [
        ("prio", i64::from(port.prio)),
        ("queue_id", port.queue_id.into()),
        ("lacp_prio", actor.into()),
    ] {
        if value != 0 {
            notes.lost(
                format_args!("ports.{}.{key}={value}", port.name),
                format_args!("{place} has no key for it"),
            );
        }
    }
}

fn write_network(network: &Network, with_hwaddr: bool, script: &mut Writer) {
    let Network { hwaddr, mtu, ipv4, ipv6, dhcpv6, dns, search, bridge, other_settings } = network;
    if other_settings.iter().all(|setting| setting.manager != Manager::Ifcfg) {
        script.put("", "ONBOOT", "yes");
    }
    script.put("", "BOOTPROTO", if ipv4.automatic { "dhcp" } else { "none" });
    for (number, address) in ipv4.addresses.iter().enumerate() {
        let (address, prefix) = address.split_once('/').unwrap_or((address, "32"));
        let number = match number {
            0 => String::new(),
            number => number.to_string(),
        };
        script.put("", &format!("IPADDR{number}"), address);
        script.put("", &format!("PREFIX{number}"), prefix);
    }
    let mut put = |key: &str, value: Option<String>| script.put_some("", key, value);
    put("GATEWAY", ipv4.gateway.clone());
    if let Some((first, more)) = ipv6.addresses.split_first() {
        put("IPV6INIT", Some("yes".to_owned()));
        put("IPV6ADDR", Some(first.clone()));
        put("IPV6ADDR_SECONDARIES", (!more.is_empty()).then(|| more.join(" ")));
    }
    put("DHCPV6C", dhcpv6.then(|| "yes".to_owned()));
    put("IPV6_DEFAULTGW", ipv6.gateway.clone());
    put("IPV6_AUTOCONF", (!ipv6.automatic).then(|| "no".to_owned()));
    for (number, server) in dns.iter().enumerate() {
        put(&format!("DNS{}", number + 1), Some(server.clone()));
    }
    put("DOMAIN", (!search.is_empty()).then(|| search.join(" ")));
    put("MTU", mtu.map(|mtu| mtu.to_string()));
    put("MACADDR", hwaddr.clone().filter(|_| with_hwaddr));
    put("BRIDGE", bridge.clone());
}

/// Returns the files of wicked: for a bond the files of the bond and its ports, for a team the file
/// with the addresses. The ports of a team keep their files.
pub fn write_wicked(bond: &Bond, device: DeviceKind, notes: &mut Notes) -> Vec<OutFile> {
    let mut script = Writer::default();
    let mut ports = Vec::new();
    if device == DeviceKind::Bond {
        script.put("", "BONDING_MASTER", "yes");
        script.put("", "BONDING_MODULE_OPTS", driver_options(bond, notes).to_text(" "));
        script.put_some("", "LLADDR", bond.network.hwaddr.as_ref());
        for (number, port) in bond.ports.iter().enumerate() {
            script.put("", &format!("BONDING_SLAVE{number}"), &port.name);
            note_port_options(port, "an ifcfg file", notes);
            let mut own = Writer::default();
            if port.other_settings.iter().all(|setting| setting.manager != Manager::Wicked) {
                own.put("", "STARTMODE", "hotplug");
                own.put("", "BOOTPROTO", "none");
            }
            own.copy(&port.other_settings, Manager::Wicked, notes);
            ports.push(OutFile { name: format!("ifcfg-{}", port.name), text: own.finish() });
        }
    } else {
        for port in &bond.ports {
            notes.lose_foreign(&port.other_settings, Some(Manager::Wicked));
        }
    }
    write_wicked_addresses(&bond.network, device, &mut script, notes);
    let mut files = vec![OutFile { name: format!("ifcfg-{}", bond.name), text: script.finish() }];
    let gateways: String = [&bond.network.ipv4, &bond.network.ipv6]
        .into_iter()
        .filter_map(|addressing| addressing.gateway.as_ref())
        .map(|gateway| format!("default {gateway} - {}\n", bond.name))
        .collect();
    if !gateways.is_empty() {
        files.push(OutFile { name: format!("ifroute-{}", bond.name), text: gateways });
    }
    files.extend(ports);
    files
}

fn write_wicked_addresses(
    network: &Network,
    device: DeviceKind,
    script: &mut Writer,
    notes: &mut Notes,
) {
    let Network { hwaddr: _, mtu, ipv4, ipv6, dhcpv6, dns, search, bridge, other_settings } =
        network;
    let protocol = match (ipv4.automatic, dhcpv6) {
        (true, true) => "dhcp",
        (true, false) => "dhcp4",
        (false, true) => "dhcp6",
        (false, false) => "static",
    };
    script.put("", "BOOTPROTO", protocol);
    for (number, address) in ipv4.addresses.iter().chain(&ipv6.addresses).enumerate() {
        let key = if number == 0 { "IPADDR".to_owned() } else { format!("IPADDR_{number}") };
        script.put("", &key, address);
    }
    script.put_some("", "MTU", *mtu);
    if other_settings.iter().all(|setting| setting.key != "STARTMODE") {
        let mode = if device == DeviceKind::Bond { "auto" } else { "hotplug" };
        script.put("", "STARTMODE", mode);
    }
    script.copy(other_settings, Manager::Wicked, notes);
    for server in dns {
        notes.lost(format_args!("name server {server}"), "netconfig has the servers of the host");
    }
    for domain in search {
        notes.lost(format_args!("search domain {domain}"), "netconfig has the domains of the host");
    }
    if let Some(bridge) = bridge {
        notes.lost(format_args!("bridge {bridge}"), "the file of a bridge lists its ports");
    }
}
