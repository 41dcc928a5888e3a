//! Reads the facts about a team for the doctor, from the daemon and from the system.
//!
//! Changes nothing, but asks the daemon for one round of probes.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use runners::HwAddr;
use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::teams::Team;
use crate::doctor::{CardFacts, DeviceFacts, Facts};
use crate::netlink::{RouteSocket, address};
use crate::state::{OrEmpty, State};

/// Time for a probe to arrive. A switch forwards in microseconds; the daemon of a busy machine
/// takes longer to receive.
const PROBE_TIME: Duration = Duration::from_millis(300);

/// The kernel's folder of interfaces.
const INTERFACES: &str = "/sys/class/net";

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
    let state = team.state(&Command::Doctor)?;
    let mut device = device(&team.device, &state);
    if let Some(device) = &mut device {
        device.wandering = wandering(&team.device, &before);
    }
    Ok(Facts {
        config: team.config.clone(),
        complaints: Vec::new(),
        cards: cards(state.ports().map(|(name, _)| name)),
        device,
        state: Some(state),
    })
}

fn cards<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, CardFacts> {
    let known = names.filter_map(|name| Some((name.to_owned(), card(name)?)));
    known.collect()
}

fn card(name: &str) -> Option<CardFacts> {
    let folder = Path::new(INTERFACES).join(name);
    let mtu = number(&folder.join("mtu"))?;
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
    })
}

fn device(name: &str, state: &State) -> Option<DeviceFacts> {
    const IFF_UP: i64 = 1;
    let folder = Path::new(INTERFACES).join(name);
    let flags = fs::read_to_string(folder.join("flags")).ok()?;
    let flags = i64::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
    let master = fs::read_link(folder.join("master")).ok();
    let master = master.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let ifindex = state.team_device.or_empty().ifinfo.or_empty().ifindex;
    let ifindex = ifindex.unwrap_or(0);
    let is_upper = |entry: &String| entry.starts_with("upper_");
    let used = master.is_some() || entries(&folder).iter().any(is_upper) || has_address(ifindex);
    Some(DeviceFacts {
        up: flags & IFF_UP != 0,
        bridged: folder.join("brport").exists(),
        mtu: number(&folder.join("mtu")).and_then(|mtu| u64::try_from(mtu).ok()),
        numa_nodes: numa_nodes(),
        wandering: Vec::new(),
        master,
        used,
    })
}

/// Returns the forwarding table of the bridge above `device`: the low byte of the port's number
/// by address; empty without a bridge.
fn forwarding_table(device: &str) -> BTreeMap<[u8; 6], u8> {
    /// `struct __fdb_entry` of linux/if_bridge.h: the address, the low byte of the port's number.
    const ENTRY: usize = 16;
    let table = Path::new(INTERFACES)
        .join(device)
        .join("brport/bridge/brforward");
    let table = fs::read(table).unwrap_or_default();
    let entries = table.chunks_exact(ENTRY);
    entries
        .filter_map(|entry| Some((*entry.first_chunk()?, *entry.get(6)?)))
        .collect()
}

/// Returns the addresses that moved to or from `device` in its bridge since the table `before`.
fn wandering(device: &str, before: &BTreeMap<[u8; 6], u8>) -> Vec<String> {
    let number = Path::new(INTERFACES).join(device).join("brport/port_no");
    let number = fs::read_to_string(number).unwrap_or_default();
    let number = number.trim().trim_start_matches("0x");
    let Ok(own) = u16::from_str_radix(number, 16) else {
        return Vec::new();
    };
    let own = own.to_le_bytes()[0];
    let now = forwarding_table(device);
    now.iter()
        .filter(|(address, port)| {
            let before = before.get(*address).filter(|before| before != port);
            before.is_some_and(|before| *before == own || **port == own)
        })
        .map(|(address, _)| HwAddr(*address).to_string())
        .collect()
}

/// Returns whether the interface has an address other than the automatic link-local one.
fn has_address(ifindex: i64) -> bool {
    let held = RouteSocket::open().and_then(|mut route| address::all(&mut route));
    held.unwrap_or_default().iter().any(|held| {
        let configured = match held.address {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        };
        i64::from(held.ifindex) == ifindex && configured
    })
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
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn number(file: &Path) -> Option<i64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
