//! The state document of a team, with teamd's paths and types.
//!
//! What teamd does not have stands under the key `teamr`, at the top and in each port.

use runners::{Duplex, HwAddr, LinkWatch, LinkWatchSettings, Port, PortId, RunnerSettings};
use serde_json::{Map, Value, json};

use super::team::ManagedTeam;
use crate::cli::logging;

/// The document as it is at this moment.
pub fn document(team: &ManagedTeam) -> Value {
    let counters = team.data_path.counters();
    let mut document = Map::new();
    let ports: Map<String, Value> = team
        .core
        .ports()
        .map(|port| {
            let of_port = |counts: &[(PortId, u64)]| {
                let count = counts.iter().find(|(id, _)| *id == port.id());
                count.map_or(0, |(_, count)| *count)
            };
            let mut item = port_item(team, port);
            item["teamr"] = json!({
                "allowed": port.is_allowed(),
                "enabled": port.is_enabled(),
                "rx_missed": of_port(&counters.rx_missed),
                "tx_dropped": of_port(&counters.tx_dropped),
            });
            (port.name().to_owned(), item)
        })
        .collect();
    if !ports.is_empty() {
        document.insert("ports".to_owned(), ports.into());
    }
    let runner = &team.core.settings().runner;
    if matches!(runner, RunnerSettings::ActiveBackup { .. }) {
        let active = team
            .core
            .active_port()
            .and_then(|port| team.core.port(port));
        let active = active.map_or("", Port::name);
        document.insert("runner".to_owned(), json!({ "active_port": active }));
    }
    if let Some(port) = team.core.designated_port() {
        let designated = team.core.port(port).map_or("", Port::name);
        document.insert(
            "runner".to_owned(),
            json!({ "designated_port": designated }),
        );
    }
    let runner_name = team.config.runner_name();
    let setup = json!({
        "daemonized": team.setup.daemonized,
        "dbus_enabled": team.setup.dbus,
        "debug_level": logging::debug_level(),
        "kernel_team_mode_name": runner_name,
        "pid": std::process::id(),
        "pid_file": team.setup.pid_file.to_string_lossy(),
        "runner_name": runner_name,
        "zmq_enabled": false,
    });
    document.insert("setup".to_owned(), setup);
    let device = &team.device;
    let ifinfo = ifinfo(device.ifindex, &device.name, device.hwaddr);
    document.insert("team_device".to_owned(), json!({ "ifinfo": ifinfo }));
    let refused = team.setup.refused.iter();
    let refused: Map<String, Value> = refused
        .map(|(mover, why)| (mover.name().to_owned(), why.as_str().into()))
        .collect();
    let own = json!({
        "data_path": team.data_path.mover().name(),
        "data_path_refused": refused,
        "resyncs": team.resyncs + counters.resyncs,
        "rx_dropped": counters.rx_dropped,
        "rx_echoes": counters.rx_echoes,
        "rx_inactive": counters.rx_inactive,
        "tx_no_port": counters.tx_no_port,
    });
    document.insert("teamr".to_owned(), own);
    document.into()
}

fn ifinfo(ifindex: u32, name: &str, hwaddr: HwAddr) -> Value {
    json!({
        "dev_addr": hwaddr.to_string(),
        "dev_addr_len": hwaddr.0.len(),
        "ifindex": ifindex,
        "ifname": name,
    })
}

fn port_item(team: &ManagedTeam, port: &Port) -> Value {
    let link = port.link();
    let ifindex = team.ifindex(port.id()).unwrap_or_default();
    let watches: Map<String, Value> = port
        .watches()
        .iter()
        .enumerate()
        .map(|(id, watch)| (format!("link_watch_{id}"), watch_item(watch)))
        .collect();
    json!({
        "ifinfo": ifinfo(ifindex, port.name(), port.hwaddr()),
        "link": {
            "duplex": match link.duplex {
                Duplex::Full => "full",
                Duplex::Half => "half",
            },
            "speed": link.speed,
            "up": link.up,
        },
        "link_watches": {
            "list": watches,
            "up": port.verdict(),
        },
    })
}

fn watch_item(watch: &LinkWatch) -> Value {
    match watch.settings() {
        LinkWatchSettings::Ethtool {
            delay_up,
            delay_down,
        } => json!({
            "delay_down": delay_down.as_millis() as u64,
            "delay_up": delay_up.as_millis() as u64,
            "down_count": watch.down_count(),
            "name": watch.name(),
            "up": watch.is_up(),
        }),
    }
}
