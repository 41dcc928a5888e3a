//! Reads the facts about a bond of the kernel for the doctor, in the terms of the team that would
//! replace the bond.
//!
//! Standard: the kernel's `Documentation/networking/bonding.rst`. Only root sees the LACP partner of
//! each port and can send probes; without them the findings that need them are missing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use runners::{HwAddr, PortId, Prober};
use serde_json::{Map, Value, json};

use super::error::Error;
use super::facts::{INTERFACES, PROBE_TIME, cards, device, forwarding_table, number, wandering};
use crate::bond;
use crate::doctor::Facts;
use crate::netlink::RouteSocket;
use crate::netlink::bpf::{Instruction, JUMP_EQUAL, LOAD_HALF, RETURN};
use crate::netlink::link::{self, LinkInfo};
use crate::state::{Part, State};
use crate::sys::packet::{PRIORITY_CONTROL, PacketSocket};

/// Bytes of a probe after the addresses; a longer frame is none.
const PROBE: usize = 64;
/// Copies of each probe: a busy network loses frames, and the doctor takes a port whose probes are
/// lost for a port in another network.
const REPEATS: u32 = 3;

/// A port of the bond.
struct Port {
    name: String,
    link: LinkInfo,
}

/// Returns the facts of the bond `name`, after probes on its ports.
///
/// # Errors
/// The kernel has no such bond.
pub fn of_bond(name: &str) -> Result<Facts, Error> {
    let no_bond = |why: String| Error::NoBond(name.to_owned(), why);
    let config = bond::running_team(name).map_err(no_bond)?.config;
    let ports = ports(&folder(name)).map_err(|error| no_bond(error.to_string()))?;
    let before = forwarding_table(name);
    let heard = probe(&ports).unwrap_or_default();
    let state = state(name, &config, &ports, &heard);
    let mut cards = cards(ports.iter().map(|port| port.name.as_str()));
    for card in cards.values_mut() {
        // Filters of other programs take nothing from a bond, which receives after them.
        card.foreign_filters.clear();
        card.ingress_qdisc = false;
    }
    let mut device = device(name, &state);
    if let Some(device) = &mut device {
        device.wandering = wandering(name, &before);
    }
    let is_zero = |option: &str| number(&folder(name).join("bonding").join(option)) == Some(0);
    Ok(Facts {
        config: Value::Object(config),
        complaints: Vec::new(),
        state: Some(state),
        device,
        cards,
        unmonitored: is_zero("miimon") && is_zero("arp_interval"),
    })
}

fn folder(name: &str) -> PathBuf {
    Path::new(INTERFACES).join(name)
}

fn word(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.split_ascii_whitespace().next()?.to_owned())
}

fn ports(bond: &Path) -> io::Result<Vec<Port>> {
    let names = fs::read_to_string(bond.join("bonding/slaves"))?;
    let mut route = RouteSocket::open()?;
    let mut port = |name: &str| {
        let link = link::find(&mut route, name).ok()?;
        Some(Port { name: name.to_owned(), link })
    };
    Ok(names.split_ascii_whitespace().filter_map(&mut port).collect())
}

/// Sends probes on each port with a link and returns, by the name of the sending port, the names of
/// the ports that received its probe.
///
/// # Errors
/// `EPERM` without CAP_NET_RAW and CAP_NET_ADMIN.
fn probe(ports: &[Port]) -> io::Result<BTreeMap<String, Vec<String>>> {
    const EXPERIMENTAL: u32 = runners::wire::ethertype::LOCAL_EXPERIMENTAL as u32;
    const PROBES: [Instruction; 4] = [
        (LOAD_HALF, 0, 0, 12),
        (JUMP_EQUAL, 0, 1, EXPERIMENTAL),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ];
    let mut sockets = BTreeMap::new();
    for Port { link, .. } in ports.iter().filter(|port| port.link.carrier) {
        let socket = PacketSocket::sender(link.ifindex, 0)?;
        socket.set_priority(PRIORITY_CONTROL)?;
        socket.listen(link.ifindex, &PROBES, &[])?;
        sockets.insert(PortId(link.ifindex), socket);
    }
    let hwaddr = ports.first().map_or(HwAddr([0; 6]), |port| port.link.hwaddr);
    let mut prober = Prober::default();
    let probes = prober.start_round(hwaddr, sockets.keys().copied());
    for _ in 0..REPEATS {
        for (port, frame) in &probes {
            sockets[port].send(frame)?;
        }
        thread::sleep(PROBE_TIME / REPEATS);
    }
    for (port, socket) in &sockets {
        let (mut addresses, mut rest) = ([0; 12], [0; PROBE]);
        // A frame that does not fit is cut, and no probe.
        while let Ok(received) = socket.receive(&mut addresses, &mut rest) {
            let end = received.length.saturating_sub(addresses.len()).min(PROBE);
            prober.receive(hwaddr, *port, &[&addresses, &rest[..end]].concat());
        }
    }
    let name = |id: PortId| {
        let port = ports.iter().find(|port| port.link.ifindex == id.0);
        port.map(|port| port.name.clone()).unwrap_or_default()
    };
    let heard_at = |id: PortId| prober.received_at(id).map(name).collect();
    Ok(sockets.keys().map(|port| (name(*port), heard_at(*port))).collect())
}

/// Returns the state that a daemon would show for the bond.
fn state(
    bond: &str,
    config: &Map<String, Value>,
    ports: &[Port],
    heard: &BTreeMap<String, Vec<String>>,
) -> State {
    let status = fs::read_to_string(format!("/proc/net/bonding/{bond}")).unwrap_or_default();
    let actors = of_ports(&status, "details actor lacp pdu:");
    let partners = of_ports(&status, "details partner lacp pdu:");
    let own = folder(bond).join("bonding");
    let active_aggregator = number(&own.join("ad_aggregator"));
    let watch = config.get("link_watch").and_then(|watch| watch.get(0).or(Some(watch)));
    let watch = watch.and_then(|watch| watch["name"].as_str()).unwrap_or("ethtool");
    let mut members = Map::new();
    for Port { name, link } in ports {
        let port = folder(name);
        let slave = port.join("bonding_slave");
        let up = ["up", "going"].map(Some);
        let mii_status = fs::read_to_string(slave.join("mii_status")).unwrap_or_default();
        let up = up.contains(&mii_status.split_ascii_whitespace().next())
            && mii_status.trim() != "going back";
        let failures = number(&slave.join("link_failure_count")).unwrap_or(0);
        let mut member = json!({
            "link": {
                "up": link.carrier,
                "speed": number(&port.join("speed")).unwrap_or(0),
                "duplex": word(&port.join("duplex")).unwrap_or_default(),
            },
            "link_watches": {
                "up": up,
                "list": {"link_watch_0": {"name": watch, "up": up, "down_count": failures}},
            },
            "teamr": {
                "probed": heard.contains_key(name),
                "probe_heard_at": heard.get(name).map(|at| at.join(" ")).unwrap_or_default(),
            },
        });
        if let Some(partner) = partners.get(name.as_str()) {
            let number_of = |side: &BTreeMap<&str, &str>, key: &str| {
                side.get(key).and_then(|number| number.parse::<i64>().ok())
            };
            let key = actors.get(name.as_str()).and_then(|actor| number_of(actor, "port key"));
            member["runner"] = json!({
                "selected": number(&slave.join("ad_aggregator_id")) == active_aggregator,
                "key": key,
                "partner_lacpdu_info": {
                    "system": partner.get("system mac address"),
                    "key": number_of(partner, "oper key"),
                },
            });
        }
        members.insert(name.clone(), member);
    }
    let ifindex = number(&folder(bond).join("ifindex")).unwrap_or(0);
    let mut state = json!({
        "ports": members,
        "team_device": {"ifinfo": {"ifindex": ifindex}},
    });
    if let Some(active) = word(&own.join("active_slave")) {
        state["runner"] = json!({"active_port": active});
    }
    State::read(&state).unwrap_or_default()
}

/// Returns the entries below the line `title` of each port, by the name of the port, from the text of
/// `/proc/net/bonding`.
fn of_ports<'a>(status: &'a str, title: &str) -> BTreeMap<&'a str, BTreeMap<&'a str, &'a str>> {
    let mut found = BTreeMap::new();
    for port in status.split("\nSlave Interface: ").skip(1) {
        let mut lines = port.lines();
        let name = lines.next().unwrap_or_default();
        if lines.any(|line| line == title) {
            let below = lines.map_while(|line| line.strip_prefix("    "));
            found.insert(name, below.filter_map(|line| line.split_once(": ")).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_of_each_port_are_found() {
        let status = "Ethernet Channel Bonding Driver: v6.1\n\n\
                      Slave Interface: eth1\nMII Status: up\n\
                      details actor lacp pdu:\n    system priority: 65535\n    port key: 15\n\
                      details partner lacp pdu:\n    system mac address: 02:00:00:00:00:aa\n    \
                      oper key: 9\n\n\
                      Slave Interface: eth2\nMII Status: down\n";
        let partners = of_ports(status, "details partner lacp pdu:");
        let eth1 = [("oper key", "9"), ("system mac address", "02:00:00:00:00:aa")];
        assert_eq!(partners, BTreeMap::from([("eth1", BTreeMap::from(eth1))]));
        let actors = of_ports(status, "details actor lacp pdu:");
        assert_eq!(actors["eth1"]["port key"], "15");
        assert_eq!(of_ports("", "details actor lacp pdu:"), BTreeMap::new());
    }
}
