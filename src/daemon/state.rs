//! The state document of a team, with teamd's paths and types.
//!
//! What teamd does not have stands under the key `teamr`, at the top and in each port.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use runners::{
    Host, HwAddr, Instant, LinkWatch, LinkWatchSettings, PingStatus, Port, PortId, Probing,
    RunnerSettings,
};
use serde_json::{Map, Value, json};

use super::lacp_state;
use super::team::ManagedTeam;
use crate::datapath::SnapshotPart;
use crate::process::logging;

/// The document as it is at this moment, which is `now`.
pub fn document(team: &ManagedTeam, now: Instant) -> Value {
    let counters = team.data_path.snapshot(SnapshotPart::Counters).counters;
    let lacp = team.core.lacp_status(now);
    let mut document = Map::new();
    let ports: Map<String, Value> = team
        .core
        .ports()
        .map(|port| {
            let of_port = |counts: &[(PortId, u64)]| {
                let count = counts.iter().find(|(id, _)| *id == port.id());
                count.map_or(0, |(_, count)| *count)
            };
            let mut item = port_item(team, port, now);
            item["teamr"] = json!({
                "allowed": port.is_allowed(),
                "enabled": port.is_enabled(),
                "probe_heard_at": probe_heard_at(team, port),
                "probed": team.core.probed(port.id()),
                "rx_missed": of_port(&counters.rx_missed),
                "tx_dropped": of_port(&counters.tx_dropped),
            });
            let mut traffic = counters.traffic.iter();
            if let Some((_, traffic)) = traffic.find(|(id, _)| *id == port.id()) {
                item["teamr"]["rx_bytes"] = traffic.received.bytes.into();
                item["teamr"]["rx_frames"] = traffic.received.frames.into();
                item["teamr"]["tx_bytes"] = traffic.sent.bytes.into();
                item["teamr"]["tx_frames"] = traffic.sent.frames.into();
            }
            let ports = lacp.iter().flat_map(|lacp| &lacp.ports);
            if let Some(status) = ports.into_iter().find(|status| status.port == port.id()) {
                item["runner"] = lacp_state::port_runner(status, |port| team.ifindex(port));
                item["teamr"]["lacp"] = lacp_state::port_details(status);
            }
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
    if let Some(lacp) = &lacp {
        let min_ports = team.core.settings().min_ports;
        document.insert("runner".to_owned(), lacp_state::runner(lacp, min_ports));
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
        "kernel_team_mode_name": team.setup.kernel_mode.unwrap_or(runner_name),
        "pid": std::process::id(),
        "pid_file": team.setup.pid_file.to_string_lossy(),
        "runner_name": runner_name,
        "zmq_enabled": team.setup.zmq,
    });
    document.insert("setup".to_owned(), setup);
    let device = &team.device;
    let ifinfo = ifinfo(device.ifindex, &device.name, device.hwaddr);
    document.insert("team_device".to_owned(), json!({ "ifinfo": ifinfo }));
    let refused = team.setup.refused.iter();
    let refused: Map<String, Value> = refused
        .map(|(kind, why)| (kind.name().to_owned(), why.as_str().into()))
        .collect();
    let failovers = team.core.failover_times();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let own = json!({
        "data_path": team.data_path.capabilities().kind.name(),
        "data_path_refused": refused,
        "failovers": {
            "count": failovers.count,
            "last_us": micros(failovers.last),
            "total_us": micros(failovers.total),
        },
        "probe_rounds": team.core.probe_rounds(),
        "resyncs": team.resyncs + counters.resyncs,
        "rx_dropped": counters.rx_dropped,
        "rx_echoes": counters.rx_echoes,
        "rx_inactive": counters.rx_inactive,
        "tx_no_port": counters.tx_no_port,
    });
    document.insert("teamr".to_owned(), own);
    document.into()
}

/// The names of the ports at which a port's probe came in, with blanks between them.
fn probe_heard_at(team: &ManagedTeam, port: &Port) -> String {
    let heard = team.core.probe_heard_at(port.id());
    let heard = heard.filter_map(|at| team.core.port(at));
    heard.map(Port::name).collect::<Vec<_>>().join(" ")
}

fn ifinfo(ifindex: u32, name: &str, hwaddr: HwAddr) -> Value {
    json!({
        "dev_addr": hwaddr.to_string(),
        "dev_addr_len": hwaddr.0.len(),
        "ifindex": ifindex,
        "ifname": name,
    })
}

fn port_item(team: &ManagedTeam, port: &Port, now: Instant) -> Value {
    let link = port.link();
    let settings = team.link_settings(port.id());
    let ifindex = team.ifindex(port.id()).unwrap_or_default();
    let watches: Map<String, Value> = port
        .watches()
        .iter()
        .enumerate()
        .map(|(id, watch)| (format!("link_watch_{id}"), watch_item(watch, now)))
        .collect();
    json!({
        "ifinfo": ifinfo(ifindex, port.name(), port.hwaddr()),
        "link": {
            // Unknown is the greatest number to the kernel, and reads as below to teamd.
            "duplex": if settings.full_duplex.unwrap_or(true) { "full" } else { "half" },
            "speed": settings.speed.map_or(-1, i64::from),
            "up": link.up,
        },
        "link_watches": {
            "list": watches,
            "up": port.watches_up(),
        },
    })
}

fn watch_item(watch: &LinkWatch, now: Instant) -> Value {
    let mut item = json!({
        "down_count": watch.down_count(),
        "name": watch.name(),
        "up": watch.is_up(),
    });
    match watch.settings() {
        LinkWatchSettings::Ethtool {
            delay_up,
            delay_down,
        } => {
            item["delay_down"] = json!(delay_down.as_millis() as u64);
            item["delay_up"] = json!(delay_up.as_millis() as u64);
        }
        LinkWatchSettings::ArpPing(settings) => {
            let inquiry = add_inquiry(&mut item, watch, settings.probing, now);
            let found = inquiry.and_then(|inquiry| inquiry.target);
            item["target_host"] = host(&settings.target_host, found).into();
            let found = inquiry.and_then(|inquiry| inquiry.source);
            item["source_host"] = match &settings.source_host {
                Some(source) => host(source, found).into(),
                None => Ipv4Addr::UNSPECIFIED.to_string().into(),
            };
            item["send_always"] = settings.send_always.into();
            item["validate_active"] = settings.validate_active.into();
            item["validate_inactive"] = settings.validate_inactive.into();
            if let Some(vlanid) = settings.vlanid {
                item["teamr"]["vlanid"] = vlanid.into();
            }
        }
        LinkWatchSettings::NsnaPing(settings) => {
            let inquiry = add_inquiry(&mut item, watch, settings.probing, now);
            let found = inquiry.and_then(|inquiry| inquiry.target);
            item["target_host"] = host(&settings.target_host, found).into();
        }
        LinkWatchSettings::Tipc { bearer } => item["tipc_bearer"] = bearer.as_str().into(),
    }
    if let Some(obstacle) = watch.problem() {
        item["teamr"]["obstacle"] = obstacle.to_string().into();
    }
    item
}

/// What is common to watches that ask.
fn add_inquiry(
    item: &mut Value,
    watch: &LinkWatch,
    probing: Probing,
    now: Instant,
) -> Option<PingStatus> {
    let inquiry = watch.ping_status()?;
    item["init_wait"] = json!(probing.init_wait.as_millis() as u64);
    item["interval"] = json!(probing.interval.as_millis() as u64);
    item["missed"] = inquiry.missed.into();
    item["missed_max"] = probing.missed_max.into();
    let ago = |then: Instant| now.saturating_since(then).as_millis() as u64;
    let mut own = Map::new();
    if let Some(then) = inquiry.last_answer {
        own.insert("last_answer_ms_ago".to_owned(), ago(then).into());
    }
    if let Some(then) = inquiry.last_probe {
        own.insert("last_probe_ms_ago".to_owned(), ago(then).into());
    }
    item["teamr"] = own.into();
    Some(inquiry)
}

/// A host as teamd shows it, by its address; by its name as long as that is all that is known.
fn host<A>(host: &Host<A>, found: Option<IpAddr>) -> String {
    let scope = host.address.as_ref().and(host.name.split_once('%'));
    match (found, scope) {
        (Some(address), Some((_, scope))) => format!("{address}%{scope}"),
        (Some(address), None) => address.to_string(),
        (None, _) => host.name.clone(),
    }
}
