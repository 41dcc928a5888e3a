//! Reads the facts about a team for the doctor, from the daemon and from the system.
//!
//! Changes nothing; for `doctor` the daemon sends one round of probes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use runners::HwAddr;
use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::teams::Team;
use crate::doctor::{BridgePortFacts, CardFacts, DeviceFacts, Facts};
use crate::netlink::address::{self, InterfaceAddress};
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::{RouteSocket, tc};
use crate::state::{OrEmpty, State};
use crate::sys::bpf::{self, Hook, Program};

/// Time for a probe to arrive. A switch forwards in microseconds; the daemon of a busy machine
/// takes longer to receive.
pub(super) const PROBE_TIME: Duration = Duration::from_millis(300);

/// The low byte of a bridge port's number by hardware address.
pub(super) type ForwardingTable = BTreeMap<[u8; 6], u8>;

/// The kernel's table of multicast groups.
const GROUPS: &str = "/proc/net/dev_mcast";
/// The kernel's folder of interfaces.
pub(super) const INTERFACES: &str = "/sys/class/net";

/// Returns the facts of a configuration alone, with the cards of ports that are in this machine.
pub fn of_config(text: &[u8]) -> Facts {
    let problems = json_config::check(text);
    let config: Value = serde_json::from_slice(text).unwrap_or_default();
    let ports = config.get("ports").and_then(Value::as_object);
    let names = ports.into_iter().flat_map(|ports| ports.keys());
    Facts {
        complaints: problems.iter().map(ToString::to_string).collect(),
        cards: cards(names.map(String::as_str)),
        config,
        ..Facts::default()
    }
}

/// Returns the facts of a running team; without probes if the daemon, such as teamd, has none.
pub fn of_team(team: &Team) -> Result<Facts, Error> {
    let before = forwarding_table(&team.device);
    let probe = ["teamr.probe_rounds", "more"];
    if team.daemon.call("StateItemValueSet", &probe).is_ok() {
        thread::sleep(PROBE_TIME);
    }
    since(&before, team, &Command::Doctor)
}

/// Returns the facts of a running team without a round of probes. `before` is the forwarding table
/// of the bridge above the team, read some time ago.
pub(super) fn since(
    before: &ForwardingTable,
    team: &Team,
    command: &Command,
) -> Result<Facts, Error> {
    let state = team.state(command)?;
    let mut device = device(&team.device, &state);
    if let Some(device) = &mut device {
        device.wandering = wandering(&team.device, before);
    }
    Ok(Facts {
        config: team.config.clone(),
        complaints: Vec::new(),
        cards: cards(state.ports().map(|(name, _)| name)),
        device,
        state: Some(state),
        ..Facts::default()
    })
}

pub(super) fn cards<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, CardFacts> {
    let addresses = addresses();
    let known = names.filter_map(|name| Some((name.to_owned(), card(name, &addresses)?)));
    known.collect()
}

fn card(name: &str, addresses: &[InterfaceAddress]) -> Option<CardFacts> {
    let folder = Path::new(INTERFACES).join(name);
    let mtu = number(&folder.join("mtu"))?;
    let TrafficControl { foreign_filters, ingress_qdisc, qdisc } =
        traffic_control(name).unwrap_or_default();
    // In `../../../0000:01:00.1` the last number is the function, which a card has several of.
    let card = fs::read_link(folder.join("device")).ok().and_then(|path| {
        let place = path.file_name()?.to_str()?.to_owned();
        Some(match place.rsplit_once('.') {
            Some((card, _function)) => card.to_owned(),
            None => place,
        })
    });
    Some(CardFacts {
        mtu: u64::try_from(mtu).ok(),
        numa_node: number(&folder.join("device/numa_node")),
        lower: entries(&folder)
            .into_iter()
            .find_map(|entry| Some(entry.strip_prefix("lower_")?.to_owned())),
        card,
        foreign_filters,
        ingress_qdisc,
        qdisc,
        ptp: has_ptp(&fs::read_to_string(GROUPS).unwrap_or_default(), name),
        addresses: number(&folder.join("ifindex"))
            .map(|ifindex| of_interface(addresses, ifindex).map(|held| held.address.to_string()))
            .into_iter()
            .flatten()
            .collect(),
    })
}

/// Returns the names of programs of others at the TCX hooks of a port: those that run before the
/// team's program, and all on a hook where the team has filters alone, which run later.
fn foreign_programs(ifindex: u32) -> Vec<String> {
    let name = |id| match Program::by_id(id).and_then(|program| program.info()) {
        Ok(info) if !info.name.is_empty() => info.name,
        _ => format!("number {id}"),
    };
    let on = |hook| bpf::programs_on(ifindex, hook).unwrap_or_default().into_iter().map(name);
    let before = |hook| on(hook).take_while(|name| !name.starts_with("teamr_"));
    [Hook::Ingress, Hook::Egress].into_iter().flat_map(before).collect()
}

/// Returns whether a program has joined a group of PTP on the interface `name`: 01:1B:19:00:00:00
/// (IEEE 1588-2019, annex E), or 224.0.1.129 (annex C). `groups` is the kernel's table.
fn has_ptp(groups: &str, name: &str) -> bool {
    groups.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(1) == Some(name)
            && fields.last().is_some_and(|it| ["011b19000000", "01005e000181"].contains(&it))
    })
}

/// Traffic control of a port.
#[derive(Debug, Default)]
struct TrafficControl {
    foreign_filters: Vec<String>,
    ingress_qdisc: bool,
    qdisc: Option<String>,
}

fn traffic_control(name: &str) -> io::Result<TrafficControl> {
    let mut route = RouteSocket::open()?;
    let ifindex = link::find(&mut route, name)?.ifindex;
    let foreign = tc::foreign_before_ours(&mut route, ifindex)?.into_iter();
    let foreign =
        foreign.map(|filter| format!("{} at preference {}", filter.kind, filter.preference));
    let by_tcx = foreign_programs(ifindex).into_iter();
    let foreign = foreign.chain(by_tcx.map(|name| format!("TCX program {name}")));
    Ok(TrafficControl {
        foreign_filters: foreign.collect(),
        ingress_qdisc: tc::is_ingress_qdisc(&mut route, ifindex)?,
        qdisc: tc::root_qdisc(&mut route, ifindex)?,
    })
}

pub(super) fn device(name: &str, state: &State) -> Option<DeviceFacts> {
    const IFF_UP: i64 = 1;
    let folder = Path::new(INTERFACES).join(name);
    let flags = fs::read_to_string(folder.join("flags")).ok()?;
    let flags = i64::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
    let master = fs::read_link(folder.join("master")).ok();
    let master = master.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let ifindex = state.team_device.or_empty().ifinfo.or_empty().ifindex;
    let ifindex = ifindex.unwrap_or(0);
    let is_upper = |entry: &String| entry.starts_with("upper_");
    let addresses = addresses();
    let has_address = of_interface(&addresses, ifindex).next().is_some();
    let links = RouteSocket::open().and_then(|mut route| link::all(&mut route));
    let links = links.unwrap_or_default();
    Some(DeviceFacts {
        up: flags & IFF_UP != 0,
        carrier: carrier(name),
        bridge_port: bridge_port(&folder),
        mtu: number(&folder.join("mtu")).and_then(|mtu| u64::try_from(mtu).ok()),
        speed: number(&folder.join("speed")),
        numa_nodes: numa_nodes(),
        wandering: Vec::new(),
        used: master.is_some() || entries(&folder).iter().any(is_upper) || has_address,
        master,
        addresses_elsewhere: addresses_elsewhere(&addresses, &links, ifindex),
        hwaddr_elsewhere: hwaddr_elsewhere(&links, name, state),
    })
}

/// Returns whether an interface has a carrier; `None` while it is down, or without the interface.
pub(super) fn carrier(name: &str) -> Option<bool> {
    number(&Path::new(INTERFACES).join(name).join("carrier")).map(|carrier| carrier != 0)
}

/// Returns the addresses of the interface `ifindex` that other interfaces have, too.
fn addresses_elsewhere(
    addresses: &[InterfaceAddress],
    links: &[LinkInfo],
    ifindex: i64,
) -> Vec<(String, String)> {
    let own: BTreeSet<IpAddr> = of_interface(addresses, ifindex).map(|held| held.address).collect();
    let twice = addresses
        .iter()
        .filter(|held| own.contains(&held.address) && i64::from(held.ifindex) != ifindex);
    let named = twice.filter_map(|held| {
        let link = links.iter().find(|link| link.ifindex == held.ifindex)?;
        Some((held.address.to_string(), link.name.clone()))
    });
    named.collect()
}

/// Returns the interfaces with the hardware address of the team device `name` that are neither
/// its ports nor stacked with it or with a port, at any depth.
fn hwaddr_elsewhere(links: &[LinkInfo], name: &str, state: &State) -> Vec<String> {
    let Some(device) = links.iter().find(|link| link.name == name) else {
        return Vec::new();
    };
    let is_port = |link: &&LinkInfo| state.ports().any(|(port, _)| port == link.name);
    let ports = links.iter().filter(is_port).map(|port| port.ifindex);
    let mut related: BTreeSet<u32> = ports.chain([device.ifindex]).collect();
    loop {
        let before = related.len();
        for link in links {
            let others = [link.master, link.lower].into_iter().flatten();
            let group: Vec<u32> = others.chain([link.ifindex]).collect();
            if group.iter().any(|index| related.contains(index)) {
                related.extend(group);
            }
        }
        if related.len() == before {
            break;
        }
    }
    let same = links.iter().filter(|link| {
        link.hwaddr == device.hwaddr && link.admin_up && !related.contains(&link.ifindex)
    });
    same.map(|link| link.name.clone()).collect()
}

/// Returns the facts of the bridge port with this folder; `None` without a bridge.
fn bridge_port(folder: &Path) -> Option<BridgePortFacts> {
    let port = folder.join("brport");
    let bridge = port.join("bridge/bridge");
    let is_on = |file: &Path| number(file).is_some_and(|flag| flag > 0);
    let state = number(&port.join("state"))?;
    // In 1/100 s; a port is listening, then learning, for this time each.
    let forward_delay = number(&bridge.join("forward_delay")).unwrap_or(0) / 100;
    Some(BridgePortFacts {
        // BR_STATE_* of linux/if_bridge.h.
        not_forwarding: match state {
            0 => Some("disabled"),
            1 => Some("listening"),
            2 => Some("learning"),
            4 => Some("blocking"),
            _ => None,
        },
        stp_delay: match is_on(&bridge.join("stp_state")) {
            true => u64::try_from(2 * forward_delay).unwrap_or(0),
            false => 0,
        },
        bpdu_guard: is_on(&port.join("bpdu_guard")),
        path_cost: number(&port.join("path_cost")),
        hairpin: is_on(&port.join("hairpin_mode")),
        bridge_mtu: number(&port.join("bridge/mtu")).and_then(|mtu| u64::try_from(mtu).ok()),
    })
}

/// Returns the forwarding table of the bridge above `device`: the low byte of the port's number
/// by address; empty without a bridge.
pub(super) fn forwarding_table(device: &str) -> ForwardingTable {
    forwarding_entries(device).into_iter().map(|entry| (entry.address, entry.port)).collect()
}

/// An entry of the forwarding table of a bridge.
struct ForwardingEntry {
    address: [u8; 6],
    /// The low byte of the port's number.
    port: u8,
    /// The address is one of the bridge or of its ports.
    is_own: bool,
}

/// Returns the forwarding table of the bridge above `device`; empty without a bridge.
fn forwarding_entries(device: &str) -> Vec<ForwardingEntry> {
    /// `struct __fdb_entry` of linux/if_bridge.h: the address, the low byte of the port's number,
    /// whether the address is local.
    const ENTRY: usize = 16;
    let table = Path::new(INTERFACES).join(device).join("brport/bridge/brforward");
    let table = fs::read(table).unwrap_or_default();
    let entries = table.chunks_exact(ENTRY);
    let entries = entries.filter_map(|entry| {
        let (address, port, is_own) = (*entry.first_chunk()?, *entry.get(6)?, *entry.get(7)? != 0);
        Some(ForwardingEntry { address, port, is_own })
    });
    entries.collect()
}

/// Returns the hardware addresses that the bridge above `device` has learned on its other ports;
/// none without a bridge.
pub(super) fn guests(device: &str) -> Vec<[u8; 6]> {
    let Some(own) = bridge_port_number(device) else {
        return Vec::new();
    };
    let entries = forwarding_entries(device).into_iter();
    let guests = entries.filter(|entry| entry.port != own && !entry.is_own);
    guests.map(|entry| entry.address).collect()
}

/// Returns the low byte of the number of `device` as a bridge port; `None` without a bridge.
fn bridge_port_number(device: &str) -> Option<u8> {
    let number = Path::new(INTERFACES).join(device).join("brport/port_no");
    let number = fs::read_to_string(number).ok()?;
    let number = u16::from_str_radix(number.trim().trim_start_matches("0x"), 16).ok()?;
    Some(number.to_le_bytes()[0])
}

/// Returns the addresses that moved to or from `device` in its bridge since the table `before`.
pub(super) fn wandering(device: &str, before: &ForwardingTable) -> Vec<String> {
    let Some(own) = bridge_port_number(device) else {
        return Vec::new();
    };
    let now = forwarding_table(device);
    now.iter()
        .filter(|(address, port)| {
            let before = before.get(*address).filter(|before| before != port);
            before.is_some_and(|before| *before == own || **port == own)
        })
        .map(|(address, _)| HwAddr(*address).to_string())
        .collect()
}

/// Returns the IP addresses of all interfaces, without the automatic link-local ones.
fn addresses() -> Vec<InterfaceAddress> {
    let held = RouteSocket::open().and_then(|mut route| address::all(&mut route));
    let configured = held.unwrap_or_default().into_iter().filter(|held| match held.address {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    });
    configured.collect()
}

fn of_interface(
    addresses: &[InterfaceAddress],
    ifindex: i64,
) -> impl Iterator<Item = &InterfaceAddress> {
    addresses.iter().filter(move |held| i64::from(held.ifindex) == ifindex)
}

fn numa_nodes() -> usize {
    let nodes = entries(Path::new("/sys/devices/system/node"));
    let number = |entry: &String| {
        let number = entry.strip_prefix("node");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    nodes.iter().filter(|entry| number(entry)).count()
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

pub(super) fn number(file: &Path) -> Option<i64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
