//! Fills the state document of a team ([`crate::state`]).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use runners::{
    Host, HwAddr, Instant, LinkWatch, LinkWatchSettings, PingStatus, Port, PortId, RunnerSettings,
};
use serde_json::Value;

use super::lacp_state;
use super::team::ManagedTeam;
use crate::datapath::{Counters, DataPathKind, SnapshotPart};
use crate::process::logging;
use crate::state::watch::{LinkWatches, Watch, WatchItems};
use crate::state::{
    self, Failovers, InterfaceInfo, Members, Part, PortItems, PortLink, RefusedDataPaths, Runner,
    Setup, State, TeamDevice, TeamItems,
};

/// Returns the state document of a team at `now`.
pub fn document(team: &ManagedTeam, now: Instant) -> Value {
    let counters = team.data_path.snapshot(SnapshotPart::Counters).counters;
    let mut ports: Vec<(String, state::Port)> = team
        .core
        .ports()
        .map(|port| {
            (
                port.name().to_owned(),
                port_state(team, port, &counters, now),
            )
        })
        .collect();
    let mut runner = runner(team);
    if let Some(lacp) = team.core.lacp_status(now) {
        runner = Some(lacp_state::runner(&lacp, team.core.settings().min_ports));
        for status in &lacp.ports {
            let name = team.core.port(status.port).map(Port::name);
            let port = ports.iter_mut().find(|(known, _)| Some(&**known) == name);
            if let Some((_, port)) = port {
                port.runner = Some(lacp_state::port_runner(status, |port| team.ifindex(port)));
                let own = port.teamr.get_or_insert_default();
                own.lacp = Some(lacp_state::port_lacp(status));
            }
        }
    }
    let device = &team.device;
    let ifinfo = interface_info(device.ifindex, &device.name, device.hwaddr);
    let state = State {
        setup: Some(setup(team)),
        team_device: Some(TeamDevice {
            ifinfo: Some(ifinfo),
        }),
        ports: (!ports.is_empty()).then_some(Members(ports)),
        runner,
        teamr: Some(team_items(team, &counters)),
    };
    state.to_json()
}

fn setup(team: &ManagedTeam) -> Setup {
    let runner_name = team.config.runner_name();
    let mode = team.setup.kernel_mode.unwrap_or(runner_name);
    Setup {
        daemonized: Some(team.setup.daemonized),
        dbus_enabled: Some(team.setup.dbus),
        debug_level: Some(logging::debug_level().into()),
        kernel_team_mode_name: Some(mode.to_owned()),
        pid: Some(std::process::id().into()),
        pid_file: Some(team.setup.pid_file.to_string_lossy().into_owned()),
        runner_name: Some(runner_name.to_owned()),
        zmq_enabled: Some(team.setup.zmq),
    }
}

/// Returns the items of a runner other than lacp; `None` for a runner without items.
fn runner(team: &ManagedTeam) -> Option<Runner> {
    let name = |port: Option<PortId>| {
        let port = port.and_then(|port| team.core.port(port));
        port.map_or("", Port::name).to_owned()
    };
    if matches!(
        team.core.settings().runner,
        RunnerSettings::ActiveBackup { .. }
    ) {
        return Some(Runner {
            active_port: Some(name(team.core.active_port())),
            ..Runner::default()
        });
    }
    let designated = team.core.designated_port();
    designated.is_some().then(|| Runner {
        designated_port: Some(name(designated)),
        ..Runner::default()
    })
}

fn team_items(team: &ManagedTeam, counters: &Counters) -> TeamItems {
    let failovers = team.core.failover_times();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut refused = RefusedDataPaths::default();
    for (kind, why) in &team.setup.refused {
        match kind {
            DataPathKind::Kernel => refused.kernel = Some(why.clone()),
            DataPathKind::Programs => refused.programs = Some(why.clone()),
            // The last choice: without the relay no team starts.
            DataPathKind::Relay => {}
        }
    }
    TeamItems {
        data_path: Some(team.data_path.capabilities().kind.name().to_owned()),
        data_path_refused: Some(refused),
        failovers: Some(Failovers {
            count: Some(failovers.count),
            total_us: Some(micros(failovers.total)),
            last_us: Some(micros(failovers.last)),
        }),
        probe_rounds: Some(team.core.probe_rounds().into()),
        resyncs: Some(team.resyncs + counters.resyncs),
        rx_dropped: Some(counters.rx_dropped),
        rx_echoes: Some(counters.rx_echoes),
        rx_inactive: Some(counters.rx_inactive),
        tx_no_port: Some(counters.tx_no_port),
    }
}

fn port_state(team: &ManagedTeam, port: &Port, counters: &Counters, now: Instant) -> state::Port {
    let settings = team.link_settings(port.id());
    let ifindex = team.ifindex(port.id()).unwrap_or_default();
    // The kernel's value for an unknown duplex mode is neither full nor half; teamd shows full.
    let full_duplex = settings.full_duplex.unwrap_or(true);
    let watches = port.watches().iter().enumerate();
    let watches = watches.map(|(id, watch)| (format!("link_watch_{id}"), watch_state(watch, now)));
    state::Port {
        ifinfo: Some(interface_info(ifindex, port.name(), port.hwaddr())),
        link: Some(PortLink {
            duplex: Some(if full_duplex { "full" } else { "half" }.to_owned()),
            speed: Some(settings.speed.map_or(-1, i64::from)),
            up: Some(port.link().up),
        }),
        link_watches: Some(LinkWatches {
            list: Some(Members(watches.collect())),
            up: Some(port.watches_up()),
        }),
        runner: None,
        teamr: Some(port_items(team, port, counters)),
    }
}

fn port_items(team: &ManagedTeam, port: &Port, counters: &Counters) -> PortItems {
    let id = port.id();
    let count = |counts: &[(PortId, u64)]| {
        let count = counts.iter().find(|(counted, _)| *counted == id);
        Some(count.map_or(0, |(_, count)| *count))
    };
    let traffic = counters.traffic.iter().find(|(counted, _)| *counted == id);
    let traffic = traffic.map(|(_, traffic)| traffic);
    let heard_at = team.core.probe_heard_at(id);
    let heard_at: Vec<&str> = heard_at
        .filter_map(|port| team.core.port(port))
        .map(Port::name)
        .collect();
    PortItems {
        allowed: Some(port.is_allowed()),
        enabled: Some(port.is_enabled()),
        probed: Some(team.core.probed(id)),
        probe_heard_at: Some(heard_at.join(" ")),
        rx_frames: traffic.map(|traffic| traffic.received.frames),
        rx_bytes: traffic.map(|traffic| traffic.received.bytes),
        rx_missed: count(&counters.rx_missed),
        tx_frames: traffic.map(|traffic| traffic.sent.frames),
        tx_bytes: traffic.map(|traffic| traffic.sent.bytes),
        tx_dropped: count(&counters.tx_dropped),
        lacp: None,
    }
}

fn interface_info(ifindex: u32, name: &str, hwaddr: HwAddr) -> InterfaceInfo {
    InterfaceInfo {
        dev_addr: Some(hwaddr.to_string()),
        dev_addr_len: Some(hwaddr.0.len() as i64),
        ifindex: Some(ifindex.into()),
        ifname: Some(name.to_owned()),
    }
}

fn watch_state(watch: &LinkWatch, now: Instant) -> Watch {
    let status = watch.ping_status();
    let found = |of: fn(PingStatus) -> Option<IpAddr>| status.and_then(of);
    let mut state = Watch {
        name: Some(watch.name().to_owned()),
        up: Some(watch.is_up()),
        down_count: Some(watch.down_count().into()),
        teamr: status.map(|status| watch_items(status, now)),
        ..Watch::default()
    };
    let probing = match watch.settings() {
        LinkWatchSettings::Ethtool {
            delay_up,
            delay_down,
        } => {
            state.delay_up = Some(millis(*delay_up));
            state.delay_down = Some(millis(*delay_down));
            None
        }
        LinkWatchSettings::ArpPing(settings) => {
            let target = found(|status| status.target);
            let source = found(|status| status.source);
            let source_host = settings.source_host.as_ref();
            let source = source_host.map(|host| host_text(host, source));
            state.target_host = Some(host_text(&settings.target_host, target));
            state.source_host = Some(source.unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.to_string()));
            state.send_always = Some(settings.send_always);
            state.validate_active = Some(settings.validate_active);
            state.validate_inactive = Some(settings.validate_inactive);
            if let Some(vlanid) = settings.vlanid {
                state.teamr.get_or_insert_default().vlanid = Some(vlanid.into());
            }
            Some(settings.probing)
        }
        LinkWatchSettings::NsnaPing(settings) => {
            let target = found(|status| status.target);
            state.target_host = Some(host_text(&settings.target_host, target));
            Some(settings.probing)
        }
        LinkWatchSettings::Tipc { bearer } => {
            state.tipc_bearer = Some(bearer.clone());
            None
        }
    };
    if let Some((probing, status)) = probing.zip(status) {
        state.interval = Some(millis(probing.interval));
        state.init_wait = Some(millis(probing.init_wait));
        state.missed_max = Some(probing.missed_max.into());
        state.missed = Some(status.missed.into());
    }
    if let Some(problem) = watch.problem() {
        state.teamr.get_or_insert_default().obstacle = Some(problem.to_string());
    }
    state
}

fn watch_items(status: PingStatus, now: Instant) -> WatchItems {
    let age = |then: Instant| now.saturating_since(then).as_millis() as u64;
    WatchItems {
        last_probe_ms_ago: status.last_probe.map(age),
        last_answer_ms_ago: status.last_answer.map(age),
        ..WatchItems::default()
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Returns a host as teamd shows it: the address that was found, else the configured name.
fn host_text<A>(host: &Host<A>, found: Option<IpAddr>) -> String {
    let scope = host.address.as_ref().and(host.name.split_once('%'));
    match (found, scope) {
        (Some(address), Some((_, scope))) => format!("{address}%{scope}"),
        (Some(address), None) => address.to_string(),
        (None, _) => host.name.clone(),
    }
}
