//! The configuration of a team in wicked's ifcfg files, where each setting has a key of its own.
//!
//! Standard: ifcfg-team(5) of wicked. Keys of one link watch or port have the same suffix, such as `_1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::bond::settings::{File, Setting};

/// The part of a configuration that has a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Team,
    /// A link watch of the type with this name; of any type without.
    Watch(&'static str),
    Port,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    List,
    Number,
    Flag,
}

/// A key of wicked without its suffix, and its place in the configuration.
type Row = (&'static str, Part, &'static [&'static str], Kind);

const ETHTOOL: Part = Part::Watch("ethtool");
const ARP_PING: Part = Part::Watch("arp_ping");
const NSNA_PING: Part = Part::Watch("nsna_ping");

const ROWS: [Row; 36] = [
    ("TEAM_RUNNER", Part::Team, &["runner", "name"], Kind::Text),
    ("TEAM_LINK_WATCH_POLICY", Part::Team, &["link_watch_policy"], Kind::Text),
    ("TEAM_AB_HWADDR_POLICY", Part::Team, &["runner", "hwaddr_policy"], Kind::Text),
    ("TEAM_LB_TX_HASH", Part::Team, &["runner", "tx_hash"], Kind::List),
    ("TEAM_LB_TX_BALANCER_NAME", Part::Team, &["runner", "tx_balancer", "name"], Kind::Text),
    (
        "TEAM_LB_TX_BALANCER_INTERVAL",
        Part::Team,
        &["runner", "tx_balancer", "balancing_interval"],
        Kind::Number,
    ),
    ("TEAM_LACP_ACTIVE", Part::Team, &["runner", "active"], Kind::Flag),
    ("TEAM_LACP_SYS_PRIO", Part::Team, &["runner", "sys_prio"], Kind::Number),
    ("TEAM_LACP_FAST_RATE", Part::Team, &["runner", "fast_rate"], Kind::Flag),
    ("TEAM_LACP_MIN_PORTS", Part::Team, &["runner", "min_ports"], Kind::Number),
    ("TEAM_LACP_SELECT_POLICY", Part::Team, &["runner", "agg_select_policy"], Kind::Text),
    ("TEAM_LACP_TX_HASH", Part::Team, &["runner", "tx_hash"], Kind::List),
    ("TEAM_LACP_TX_BALANCER", Part::Team, &["runner", "tx_balancer", "name"], Kind::Text),
    (
        "TEAM_LACP_TX_BALANCER_INTERVAL",
        Part::Team,
        &["runner", "tx_balancer", "balancing_interval"],
        Kind::Number,
    ),
    ("TEAM_LW_NAME", Part::Watch(""), &["name"], Kind::Text),
    ("TEAM_LW_ETHTOOL_DELAY_UP", ETHTOOL, &["delay_up"], Kind::Number),
    ("TEAM_LW_ETHTOOL_DELAY_DOWN", ETHTOOL, &["delay_down"], Kind::Number),
    ("TEAM_LW_ARP_PING_SOURCE_HOST", ARP_PING, &["source_host"], Kind::Text),
    ("TEAM_LW_ARP_PING_TARGET_HOST", ARP_PING, &["target_host"], Kind::Text),
    ("TEAM_LW_ARP_PING_INTERVAL", ARP_PING, &["interval"], Kind::Number),
    ("TEAM_LW_ARP_PING_INIT_WAIT", ARP_PING, &["init_wait"], Kind::Number),
    ("TEAM_LW_ARP_PING_VALIDATE_ACTIVE", ARP_PING, &["validate_active"], Kind::Flag),
    ("TEAM_LW_ARP_PING_VALIDATE_INACTIVE", ARP_PING, &["validate_inactive"], Kind::Flag),
    ("TEAM_LW_ARP_PING_SEND_ALWAYS", ARP_PING, &["send_always"], Kind::Flag),
    ("TEAM_LW_ARP_PING_MISSED_MAX", ARP_PING, &["missed_max"], Kind::Number),
    ("TEAM_LW_ARP_PING_VLANID", ARP_PING, &["vlanid"], Kind::Number),
    ("TEAM_LW_NSNA_PING_TARGET_HOST", NSNA_PING, &["target_host"], Kind::Text),
    ("TEAM_LW_NSNA_PING_INTERVAL", NSNA_PING, &["interval"], Kind::Number),
    ("TEAM_LW_NSNA_PING_INIT_WAIT", NSNA_PING, &["init_wait"], Kind::Number),
    ("TEAM_LW_NSNA_PING_MISSED_MAX", NSNA_PING, &["missed_max"], Kind::Number),
    ("TEAM_PORT_DEVICE", Part::Port, &[], Kind::Text),
    ("TEAM_PORT_QUEUE_ID", Part::Port, &["queue_id"], Kind::Number),
    ("TEAM_PORT_STICKY", Part::Port, &["sticky"], Kind::Flag),
    ("TEAM_PORT_PRIO", Part::Port, &["prio"], Kind::Number),
    ("TEAM_PORT_LACP_PRIO", Part::Port, &["lacp_prio"], Kind::Number),
    ("TEAM_PORT_LACP_KEY", Part::Port, &["lacp_key"], Kind::Number),
];

/// Returns the row of a key, and its suffix.
fn row(key: &str) -> Option<(&'static Row, &str)> {
    let rows = ROWS.iter().filter_map(|row| Some((row, key.strip_prefix(row.0)?)));
    let mut own = rows.filter(|(_, suffix)| suffix.is_empty() || suffix.starts_with('_'));
    // TEAM_LACP_TX_BALANCER_INTERVAL has another row than TEAM_LACP_TX_BALANCER.
    let own = own.by_ref().min_by_key(|(_, suffix)| suffix.len())?;
    (own.1.is_empty() || own.0.1 != Part::Team).then_some(own)
}

/// Returns whether a key is one of a team.
pub(super) fn has_key(key: &str) -> bool {
    row(key).is_some()
}

/// Returns whether the file defines a team by keys of wicked.
fn is_team(file: &File) -> bool {
    file.get("", "TEAM_RUNNER").is_some_and(|runner| !runner.is_empty())
}

/// Returns the ports that the file names, with the suffixes of their keys.
pub(super) fn ports(file: &File) -> Vec<(&str, &str)> {
    let devices = file.settings().iter().filter_map(|setting| {
        let suffix = setting.key.strip_prefix("TEAM_PORT_DEVICE")?;
        (!setting.value.is_empty()).then_some((suffix, setting.value.as_str()))
    });
    devices.filter(|_| is_team(file)).collect()
}

/// Returns the configuration of the team and of its ports by name, as JSON texts; `None` if the file
/// defines no team. A value of a wrong type is a string, which the configuration's check refuses.
pub(super) fn texts(file: &File) -> Option<(String, BTreeMap<String, String>)> {
    if !is_team(file) {
        return None;
    }
    let mut team = part(file, "", |part| part == Part::Team);
    let names = file.settings().iter().filter_map(|setting| {
        Some((setting.key.strip_prefix("TEAM_LW_NAME")?, setting.value.as_str()))
    });
    let watches: Vec<Value> = names
        .map(|(suffix, name)| {
            part(
                file,
                suffix,
                |part| matches!(part, Part::Watch(of) if of.is_empty() || of == name),
            )
            .into()
        })
        .collect();
    match <[Value; 1]>::try_from(watches) {
        Ok([watch]) => _ = team.insert("link_watch".to_owned(), watch),
        Err(watches) if watches.is_empty() => {}
        Err(watches) => _ = team.insert("link_watch".to_owned(), watches.into()),
    }
    let ports = ports(file).into_iter().map(|(suffix, port)| {
        let own = part(file, suffix, |part| part == Part::Port);
        (port.to_owned(), Value::Object(own).to_string())
    });
    Some((Value::Object(team).to_string(), ports.collect()))
}

/// Returns the settings of one part whose keys have this suffix.
fn part(file: &File, suffix: &str, is: impl Fn(Part) -> bool) -> Map<String, Value> {
    let mut members = Map::new();
    for Setting { key, value, .. } in file.settings() {
        let found = row(key).filter(|(row, own)| *own == suffix && is(row.1));
        let Some(((_, _, path, kind), _)) = found else { continue };
        let value = match (kind, value.to_ascii_lowercase().as_str()) {
            (Kind::List, _) => {
                let elements = value.split([',', ' ', '\t']).filter(|element| !element.is_empty());
                elements.collect()
            }
            (Kind::Number, number) => match number.parse::<u32>() {
                Ok(number) => number.into(),
                Err(_) => Value::from(value.as_str()),
            },
            (Kind::Flag, "true" | "yes" | "on" | "1") => true.into(),
            (Kind::Flag, "false" | "no" | "off" | "0") => false.into(),
            (Kind::Flag | Kind::Text, _) => value.as_str().into(),
        };
        put(&mut members, path, value);
    }
    members
}

/// Puts a value at a path of keys; an empty path has none.
fn put(members: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => _ = members.insert((*key).to_owned(), value),
        [key, rest @ ..] => {
            let inner = members.entry(*key).or_insert_with(|| Map::new().into());
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::ini;
    use crate::bond::manager::Manager;

    #[test]
    fn keys_of_one_watch_and_port_have_one_suffix() {
        let text = "TEAM_RUNNER=lacp\nTEAM_LACP_TX_BALANCER=basic\n\
                    TEAM_LACP_TX_BALANCER_INTERVAL=50\nTEAM_LACP_TX_HASH='ipv4,eth'\n\
                    TEAM_LACP_ACTIVE=no\nTEAM_LW_NAME_a=ethtool\nTEAM_LW_ETHTOOL_DELAY_UP_a=10\n\
                    TEAM_LW_NAME=arp_ping\nTEAM_LW_ARP_PING_TARGET_HOST=192.0.2.1\n\
                    TEAM_LW_ETHTOOL_DELAY_UP=5\nTEAM_PORT_DEVICE_0=eth0\nTEAM_PORT_PRIO_0=7\n\
                    TEAM_PORT_DEVICE_1=eth1\nTEAM_PORT_LACP_KEY_1=many\n";
        let file = ini::parse_ifcfg(Manager::Wicked, "f", text);
        let (team, ports) = texts(&file).unwrap();
        assert_eq!(
            team,
            "{\"runner\":{\"name\":\"lacp\",\"tx_balancer\":{\"name\":\"basic\",\
             \"balancing_interval\":50},\"tx_hash\":[\"ipv4\",\"eth\"],\"active\":false},\
             \"link_watch\":[{\"name\":\"ethtool\",\"delay_up\":10},{\"name\":\"arp_ping\",\
             \"target_host\":\"192.0.2.1\"}]}"
        );
        assert_eq!(ports["eth0"], "{\"prio\":7}");
        assert_eq!(ports["eth1"], "{\"lacp_key\":\"many\"}");
        for key in ["TEAM_LACP_ACTIVE_1", "TEAM_CONFIG", "TEAM_PORT_PRIORITY"] {
            assert!(!has_key(key), "{key}");
        }
        assert_eq!(texts(&ini::parse_ifcfg(Manager::Wicked, "f", "TEAM_PORT_DEVICE=a\n")), None);
    }
}
