//! Fills the state document of a team ([`crate::state`]).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use runners::wire::lacpdu::PortInfo;
use runners::{
    BfdSettings, BfdStatus, DampingStatus, ErrorsStatus, Exclusion, Follower, Host, HwAddr,
    Instant, LinkWatch, LinkWatchSettings, PingStatus, Port, PortId, ProbeSettings, ProbeStatus,
    Probing, RunnerSettings,
};

use super::lacp_state;
use super::team::ManagedTeam;
use crate::datapath::{Counters, DataPathKind, KeptAlive, SnapshotPart};
use crate::errno::failed_calls;
use crate::process::logging;
use crate::state::watch::{Bfd, LinkWatches, Probe, Watch, WatchItems};
use crate::state::{
    self, Damping, Failovers, InterfaceInfo, Members, PortItems, PortLink, PortRunner,
    RefusedDataPaths, Runner, Setup, State, TeamDevice, TeamItems,
};

/// Returns the state document of a team at `now`.
pub fn document(team: &ManagedTeam, now: Instant) -> State {
    let counters = team.data_path.snapshot(SnapshotPart::Counters).counters;
    let mut ports: Vec<(String, state::Port)> = team
        .core
        .ports()
        .map(|port| (port.name().to_owned(), port_state(team, port, &counters, now)))
        .collect();
    let mut runner = runner(team);
    if let Some(lacp) = team.core.lacp_status(now) {
        runner = Some(lacp_state::runner(&lacp, team.core.settings().min_ports));
        for status in &lacp.ports {
            let name = team.core.port(status.port).map(Port::name);
            let port = ports.iter_mut().find(|(known, _)| Some(&**known) == name);
            if let Some((_, port)) = port {
                let macsec_gate = team.core.port(status.port).map(Port::macsec_gate);
                let runner = lacp_state::port_runner(status, |port| team.ifindex(port));
                port.runner = Some(PortRunner { macsec_gate, ..runner });
                let own = port.teamr.get_or_insert_default();
                let kept = kept_alive(&counters, status.port);
                own.lacp = Some(lacp_state::port_lacp(status, kept));
            }
        }
    }
    let device = &team.device;
    let ifinfo = interface_info(device.ifindex, &device.name, device.hwaddr);
    State {
        setup: Some(setup(team)),
        team_device: Some(TeamDevice { ifinfo: Some(ifinfo) }),
        ports: (!ports.is_empty()).then_some(Members(ports)),
        runner,
        teamr: Some(team_items(team, &counters, now)),
    }
}

fn setup(team: &ManagedTeam) -> Setup {
    let runner_name = team.config.runner_name();
    let mode = team.setup.kernel_mode.unwrap_or(runner_name);
    Setup {
        daemonized: Some(team.setup.options.daemonized),
        dbus_enabled: Some(team.setup.dbus),
        debug_level: Some(logging::debug_level().into()),
        kernel_team_mode_name: Some(mode.to_owned()),
        pid: Some(std::process::id().into()),
        pid_file: Some(team.setup.options.pid_file.to_string_lossy().into_owned()),
        runner_name: Some(runner_name.to_owned()),
        zmq_enabled: Some(false),
    }
}

/// Returns the items of a runner other than lacp; `None` for a runner without items.
fn runner(team: &ManagedTeam) -> Option<Runner> {
    let name = |port: PortId| team.core.port(port).map_or("", Port::name).to_owned();
    if matches!(team.core.settings().runner, RunnerSettings::ActiveBackup { .. }) {
        let active_port = Some(team.core.active_port().map_or_else(String::new, name));
        return Some(Runner { active_port, ..Runner::default() });
    }
    let designated = team.core.designated_port().map(name);
    designated.map(|port| Runner { designated_port: Some(port), ..Runner::default() })
}

fn team_items(team: &ManagedTeam, counters: &Counters, now: Instant) -> TeamItems {
    let failovers = team.core.failover_times();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let refused = |kind: DataPathKind| {
        let refused = team.setup.refused.iter().find(|(refused, _)| *refused == kind);
        refused.map(|(_, why)| why.clone())
    };
    let file = team.setup.options.config_file.as_ref();
    let waiting = team.core.waiting_port().and_then(|port| team.core.port(port));
    TeamItems {
        config_file: Some(file.map_or_else(String::new, |file| file.display().to_string())),
        data_path: Some(team.data_path.capabilities().kind.name().to_owned()),
        // The relay is the last choice: without the relay no team starts.
        data_path_refused: Some(RefusedDataPaths {
            kernel: refused(DataPathKind::Kernel),
            programs: refused(DataPathKind::Programs),
        }),
        device_kind: Some(team.device.kind.clone()),
        failed_calls: Some(failed_calls()),
        failback_waits: waiting.map(|port| port.name().to_owned()),
        failovers: Some(Failovers {
            count: Some(failovers.count),
            total_us: Some(micros(failovers.total)),
            last_us: Some(micros(failovers.last)),
        }),
        followers_down: Some(names_of(team.followers.down())),
        followers_failed: Some(team.followers.obstacles().count() as u64),
        follow_errors: Some(follow_errors(team)),
        hooks_restored: Some(counters.hooks_restored),
        probe_rounds: Some(team.core.probe_rounds().into()),
        resyncs: Some(team.resyncs + counters.resyncs),
        rx_dropped: Some(counters.rx_dropped.total()),
        rx_drop_errors: Some(counters.rx_dropped.to_string()),
        rx_echoes: Some(counters.rx_echoes),
        rx_inactive: Some(counters.rx_inactive),
        trial_ends_in: Some(team.trial_ends_in(now).as_millis() as u64),
        tx_no_port: Some(counters.tx_no_port),
    }
}

fn names_of<'a>(followers: impl Iterator<Item = &'a Follower>) -> String {
    followers.map(Follower::to_string).collect::<Vec<_>>().join(" ")
}

fn follow_errors(team: &ManagedTeam) -> String {
    let obstacles = team.followers.obstacles();
    let lines = obstacles.map(|(follower, why)| format!("{follower}: {why}"));
    lines.collect::<Vec<_>>().join("; ")
}

fn port_state(team: &ManagedTeam, port: &Port, counters: &Counters, now: Instant) -> state::Port {
    let settings = team.link_settings(port.id());
    let ifindex = team.ifindex(port.id()).unwrap_or_default();
    // The kernel's value for an unknown duplex mode is neither full nor half; teamd shows full.
    let full_duplex = settings.full_duplex.unwrap_or(true);
    let lacp = team.core.lacp_watch_status(now, port.id());
    let partner =
        lacp.as_ref().map(|lacp| lacp.partner).filter(|it| it.system != HwAddr::default());
    let watches = port.watches().iter().enumerate();
    let watches = watches.map(|(id, watch)| {
        let mut state = watch_state(watch, now);
        if let Some(status) = team.bfd.status(port.id(), id) {
            state.teamr.get_or_insert_default().bfd = Some(bfd_state(status));
        }
        if let (Some(partner), true) = (partner, watch.lacp_settings().is_some()) {
            set_partner_items(state.teamr.get_or_insert_default(), &partner);
        }
        (format!("link_watch_{id}"), state)
    });
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
        gate: Some(port.settings().gate),
        drained: Some(port.is_drained()),
        draining: Some(port.is_drain_requested() && !port.is_drained()),
        damping: port.damping(now).map(damping_state),
        teamr: Some(PortItems {
            lacp: lacp.map(|lacp| lacp_state::port_lacp(&lacp, kept_alive(counters, port.id()))),
            ..port_items(team, port, counters)
        }),
    }
}

/// Returns how the kernel answered the partner of a port in place of the daemon.
fn kept_alive(counters: &Counters, port: PortId) -> KeptAlive {
    let kept = counters.kept_alive.iter().find(|(known, _)| *known == port);
    kept.map_or_else(Default::default, |(_, kept)| *kept)
}

fn port_items(team: &ManagedTeam, port: &Port, counters: &Counters) -> PortItems {
    let id = port.id();
    let missed = counters.rx_missed.iter().find(|(counted, _)| *counted == id);
    let dropped = counters.tx_dropped.iter().find(|(counted, _)| *counted == id);
    let dropped = dropped.map(|(_, dropped)| dropped.clone()).unwrap_or_default();
    let traffic = counters.traffic.iter().find(|(counted, _)| *counted == id);
    let traffic = traffic.map(|(_, traffic)| traffic);
    let heard_at = team.core.probe_heard_at(id);
    let heard_at: Vec<&str> =
        heard_at.filter_map(|port| team.core.port(port)).map(Port::name).collect();
    PortItems {
        allowed: Some(port.is_allowed()),
        enabled: Some(port.is_enabled()),
        corrupting: Some(port.exclusion() == Some(Exclusion::Corrupting)),
        hwaddr_refused: Some(port.refuses_team_hwaddr()),
        probed: Some(team.core.probed(id)),
        probe_heard_at: Some(heard_at.join(" ")),
        rx_frames: traffic.map(|traffic| traffic.received.frames),
        rx_bytes: traffic.map(|traffic| traffic.received.bytes),
        rx_missed: Some(missed.map_or(0, |(_, count)| *count)),
        tx_frames: traffic.map(|traffic| traffic.sent.frames),
        tx_bytes: traffic.map(|traffic| traffic.sent.bytes),
        tx_dropped: Some(dropped.total()),
        tx_drop_errors: Some(dropped.to_string()),
        lacp: None,
    }
}

fn damping_state(status: DampingStatus) -> Damping {
    let millis = |time: Option<Duration>| time.map_or(0, |time| time.as_millis() as u64);
    Damping {
        penalty: Some(status.penalty),
        suppressed: Some(status.ends_in.is_some()),
        suppressed_for: Some(millis(status.suppressed_for)),
        ends_in: Some(millis(status.ends_in)),
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
    let target = status.and_then(|status| status.target);
    let mut state = Watch {
        name: Some(watch.name().to_owned()),
        up: Some(watch.is_up()),
        down_count: Some(watch.down_count().into()),
        teamr: status.map(|status| watch_items(status, now)),
        ..Watch::default()
    };
    let probing = match watch.settings() {
        LinkWatchSettings::Ethtool { delay_up, delay_down } => {
            state.delay_up = Some(millis(*delay_up));
            state.delay_down = Some(millis(*delay_down));
            None
        }
        LinkWatchSettings::ArpPing(settings) => {
            let source_host = settings.source_host.as_ref();
            let source =
                source_host.map(|host| host_text(host, status.and_then(|status| status.source)));
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
            state.target_host = Some(host_text(&settings.target_host, target));
            Some(settings.probing)
        }
        LinkWatchSettings::Probe(settings) => {
            set_probe_items(&mut state, settings, watch.probe_status());
            Some(settings.probing)
        }
        LinkWatchSettings::Tipc { bearer } => {
            state.tipc_bearer = Some(bearer.clone());
            None
        }
        LinkWatchSettings::Bfd(settings) => {
            state.interval = Some(millis(settings.interval));
            state.teamr = Some(bfd_items(settings));
            None
        }
        LinkWatchSettings::Lacp(_) => None,
        LinkWatchSettings::Errors(settings) => {
            state.interval = Some(millis(settings.interval));
            state.teamr = watch.errors_status().map(|status| errors_items(status, now));
            None
        }
    };
    if let Some((probing, status)) = probing.zip(status) {
        set_probing_items(&mut state, &probing, status.missed);
    }
    if let Some(problem) = watch.problem() {
        state.teamr.get_or_insert_default().obstacle = Some(problem.to_string());
    }
    state
}

fn set_probing_items(state: &mut Watch, probing: &Probing, missed: u32) {
    state.interval = Some(millis(probing.interval));
    state.init_wait = Some(millis(probing.init_wait));
    state.missed_max = Some(probing.missed_max.into());
    state.missed = Some(missed.into());
    if let Some(pause) = probing.retry_interval {
        state.teamr.get_or_insert_default().retry_interval = Some(millis(pause));
    }
}

fn watch_items(status: PingStatus, now: Instant) -> WatchItems {
    let age = |then: Instant| now.saturating_since(then).as_millis() as u64;
    WatchItems {
        last_probe_ms_ago: status.last_probe.map(age),
        last_answer_ms_ago: status.last_answer.map(age),
        ..WatchItems::default()
    }
}

fn bfd_items(settings: &BfdSettings) -> WatchItems {
    WatchItems {
        local_address: Some(settings.local.to_string()),
        peer_address: Some(settings.peer.to_string()),
        ..WatchItems::default()
    }
}

fn set_probe_items(state: &mut Watch, settings: &ProbeSettings, status: Option<ProbeStatus>) {
    let items = state.teamr.get_or_insert_default();
    items.vlanid = settings.vlanid.map(u64::from);
    items.probe = status.map(|status| probe_state(settings.group, status));
}

fn probe_state(group: u16, status: ProbeStatus) -> Probe {
    let micros = |time: Duration| time.as_micros() as u64;
    Probe {
        group: Some(group.into()),
        sent: Some(status.sent),
        answered: Some(status.answered),
        loss_ratio: status.loss_ratio.map(u64::from),
        latency: status.latency.map(micros),
        max_latency: status.max_latency.map(micros),
        replier: status.replier.map(|hwaddr| hwaddr.to_string()),
    }
}

fn set_partner_items(items: &mut WatchItems, partner: &PortInfo) {
    items.partner_system = Some(partner.system.to_string());
    items.partner_key = Some(partner.key.into());
    items.partner_port = Some(partner.port.into());
}

fn bfd_state(status: BfdStatus) -> Bfd {
    let micros = |time: Option<Duration>| time.map_or(0, |time| time.as_micros() as u64);
    Bfd {
        state: Some(status.state.name().to_owned()),
        remote_state: Some(status.remote_state.name().to_owned()),
        diagnostic: Some(status.diagnostic.into()),
        transmit_interval: Some(micros(status.transmit_interval)),
        detection_time: Some(micros(status.detection_time)),
        max_delay: Some(micros(Some(status.max_delay))),
        sent: Some(status.sent),
        received: Some(status.received),
    }
}

fn errors_items(status: ErrorsStatus, now: Instant) -> WatchItems {
    let left = status.held_until.map_or(Duration::ZERO, |until| until.saturating_since(now));
    WatchItems {
        error_ratio: Some(status.ratio.into()),
        hold_ends_in: Some(left.as_millis() as u64),
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
