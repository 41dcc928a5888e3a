//! The state document of a team, defined once: types, doc lines, units, metrics.
//!
//! The daemon fills a [`State`]; the clients read one. teamd's items stand where teamd has them,
//! all others under the key `teamr` (at the top, in each port and in each watch) or marked
//! `added`. Every field may be absent: another runner does not have it, or the daemon is an older
//! one, or teamd. The manual, the schema and the metrics follow from the definitions. [`status`],
//! [`choice`] and [`answers`] are answers that the clients make, in the same language.

pub mod answers;
pub mod choice;
pub mod definition;
pub mod items;
pub mod lacp;
pub mod schema;
pub mod status;
pub mod watch;

use serde_json::Value;

pub use definition::{Age, Element, List, Member, Members, MetricKind, Name, OrEmpty, Part};
use definition::{Field, Form, Object, Unit, object, state_objects};
use lacp::{Aggregator, LacpduInfo, PortLacp, Statistics};
use watch::LinkWatches;

state_objects! {
    pub struct State: "The state of a team." {
        setup: Setup, "The start of the daemon.";
        team_device: TeamDevice, "The team device.";
        ports: Members<Port>, "The ports by interface name; absent without a port.";
        runner: Runner, "The runner; absent for a runner without items.";
        teamr: TeamItems, "Items that teamd lacks.";
    }

    pub struct Setup: "The start of the daemon." {
        daemonized: bool, "Whether the daemon runs in the background.";
        dbus_enabled: bool, "Whether the team is on the system bus.";
        debug_level: i64 [settable("0 or more"), gauge("teamr_setup_debug_level")],
            "Debug level of the daemon.";
        kernel_team_mode_name: String, "Mode of the kernel's team driver for the runner.";
        pid: i64, "Process ID of the daemon.";
        pid_file: String, "File with the process ID.";
        runner_name: String, "Name of the runner.";
        zmq_enabled: bool, "Whether the team has a ZeroMQ socket.";
    }

    pub struct TeamDevice: "The team device." {
        ifinfo: InterfaceInfo, "The interface.";
    }

    pub struct InterfaceInfo: "An interface." {
        dev_addr: String, "Hardware address.";
        dev_addr_len: i64 [unit(Unit::Bytes)], "Length of the hardware address.";
        ifindex: i64, "Interface index.";
        ifname: String, "Interface name.";
    }

    pub struct Port: "A port." {
        ifinfo: InterfaceInfo, "The interface.";
        link: PortLink, "The link.";
        link_watches: LinkWatches, "The link watches.";
        runner: PortRunner, "The port under runner lacp.";
        gate: bool
            [settable("false keeps the port out of forwarding"), gauge("teamr_port_gate"), added()],
            "Whether the gate of the port is open.";
        drained: bool [gauge("teamr_port_drained"), added()],
            "Whether the port is drained: teamrctl(8) port drain.";
        draining: bool [gauge("teamr_port_draining"), added()],
            "Whether a drain of the port is in progress.";
        damping: Damping, "Damping of the port; absent if damping is off.";
        teamr: PortItems, "Items that teamd lacks.";
    }

    pub struct Damping: "Damping of the port; absent if damping is off." {
        penalty: u64 [gauge("teamr_port_damping_penalty"), added()], "The penalty, decayed.";
        suppressed: bool [gauge("teamr_port_damping_suppressed"), added()],
            "Whether the penalty keeps the port out of forwarding.";
        suppressed_for: u64 [unit(Unit::Milliseconds), added()],
            "Time since the suppression began; 0 without one.";
        ends_in: u64 [unit(Unit::Milliseconds), added()],
            "Time until the suppression ends if no further link is lost; 0 without one.";
    }

    pub struct PortLink: "The link of a port." {
        duplex: String, "Duplex mode, full or half.";
        speed: i64 [unit(Unit::MegabitsPerSecond), gauge("teamr_port_speed_bytes")],
            "Speed of the link; 0 without a link, -1 if the driver does not know the speed.";
        up: bool [gauge("teamr_port_link")], "Whether the port has a carrier.";
    }

    pub struct Runner: "The items of a runner." {
        active_port: String [settable("the port stays active until it fails or another is chosen")],
            "Runner activebackup: the active port; empty without one.";
        active: bool, "Runner lacp: whether the ports send LACPDUs to a passive partner.";
        fast_rate: bool [settable("true or false")],
            "Runner lacp: whether the partner is asked for a LACPDU each second.";
        sys_prio: i64 [settable("0 to 65535; the partner then selects anew")],
            "Runner lacp: system priority.";
        select_policy: String [settable("a policy of teamr.conf(5)")],
            "Runner lacp: the policy that selects the aggregator.";
        fallback: bool [settable("true or false"), gauge("teamr_lacp_fallback"), added()],
            "Runner lacp: whether ports without a partner carry traffic.";
        fallback_method: String [settable("single or all"), added()],
            "Runner lacp: ports that carry traffic in fallback: the best one, or all as a static aggregate.";
        enable_retry_count_feature: bool [settable("true or false"), added()],
            "Runner lacp: whether LACPDUs may carry retry counts.";
        retry_count: i64
            [settable("3 or more; a higher count ends after three times as many minutes"), added()],
            "Runner lacp: LACPDUs in a row that the partner may miss.";
        min_ports: u64 [settable("1 to 1024"), gauge("teamr_min_ports"), added()],
            "Runner lacp: ports that the team needs for its carrier.";
        designated_port: String [added()],
            "Runners slb, tlb and alb: the one port that receives broadcast and multicast.";
    }

    pub struct PortRunner: "A port under runner lacp." {
        actor_lacpdu_info: LacpduInfo, "The Actor in the LACPDUs of the port.";
        aggregator: Aggregator, "The aggregator of the port.";
        key: i64, "Administrative key.";
        partner_lacpdu_info: LacpduInfo, "The Partner as far as the port knows it.";
        prio: i64, "Port priority.";
        selected: bool [gauge("teamr_port_lacp_selected")],
            "Whether the port is Selected or Standby.";
        state: String, "Receive state: disabled, expired, defaulted, fallback or current.";
        partner_retry_count: i64 [added()], "LACPDUs in a row that this port may miss.";
        macsec_gate: bool
            [
                settable("false keeps the port out of forwarding and withdraws Synchronization"),
                gauge("teamr_port_macsec_gate"),
                added()
            ],
            "Whether the MACsec gate of the port is open.";
        statistics: Statistics, "LACPDUs since the port joined or the statistics were cleared.";
    }

    pub struct TeamItems: "Items of the team that teamd lacks." {
        config_file: String, "Path of the configuration file; empty without one.";
        data_path: String [settable("programs or relay, one in place of the other")],
            "The data path: kernel, programs or relay.";
        data_path_refused: RefusedDataPaths, "Preferred data paths that do not work here.";
        device_kind: String, "The kind of the team device, as the kernel names it: team, netkit, veth or tun.";
        failed_calls: u64 [counter("teamr_failed_calls_total")],
            "System calls of the whole daemon that failed and were made again.";
        failback_waits: String,
            "Runner activebackup: the better port that waits for the failback probe; absent without \
             one.";
        followers_down: String,
            "Interfaces and VFs of \"follow\" whose link is held down, separated by blanks.";
        followers_failed: u64 [gauge("teamr_followers_failed")],
            "Number of interfaces and VFs of \"follow\" whose link does not follow.";
        follow_errors: String,
            "Why interfaces and VFs of \"follow\" do not follow: each with its reason, separated by \
             semicolons.";
        failovers: Failovers, "Failovers, which are changes of the forwarding after a lost link.";
        hooks_restored: u64 [counter("teamr_hooks_restored_total")],
            "Times that filters of the team, removed by another program, were put back.";
        probe_rounds: u64 [settable("any value sends a probe on each port that has a link")],
            "Rounds of probes.";
        resyncs: u64 [counter("teamr_resyncs_total")],
            "Times that lost events or a failed reading made the daemon read everything anew.";
        rx_dropped: u64 [unit(Unit::Frames), counter("teamr_receive_dropped_total")],
            "Frames that the team device did not accept.";
        rx_drop_errors: String,
            "Errors that lost these frames, each with the number of frames: EINVAL 3.";
        rx_echoes: u64 [unit(Unit::Frames), counter("teamr_receive_echoes_total")],
            "Frames of this host that came back, under runners slb, tlb and alb.";
        rx_inactive: u64 [unit(Unit::Frames), counter("teamr_receive_inactive_total")],
            "Frames received on a port that does not collect.";
        trial_ends_in: u64 [unit(Unit::Milliseconds)],
            "Time until the configuration on trial ends; 0 without a trial.";
        tx_no_port: u64 [unit(Unit::Frames), counter("teamr_transmit_no_port_total")],
            "Frames of the team device for which there was no port.";
    }

    pub struct RefusedDataPaths: "Preferred data paths that do not work here." {
        kernel: String,
            "Why the kernel's team driver does not work; absent if the driver was not tried.";
        programs: String, "Why eBPF programs do not work; absent if the programs were not tried.";
    }

    pub struct Failovers: "Time from the event of a lost link to the forwarding without its port." {
        count: u64 [metric("teamr_failover_seconds", MetricKind::SummaryCount)],
            "Failovers since the start of the daemon.";
        total_us: u64
            [unit(Unit::Microseconds), metric("teamr_failover_seconds", MetricKind::SummarySum)],
            "Time of all failovers together.";
        last_us: u64 [unit(Unit::Microseconds), gauge("teamr_failover_last_seconds")],
            "Time of the last failover; 0 without one.";
    }

    pub struct PortItems: "Items of a port that teamd lacks." {
        allowed: bool
            [settable("false keeps the port out of forwarding"), gauge("teamr_port_allowed")],
            "Whether the port may take part in forwarding.";
        enabled: bool [gauge("teamr_port_enabled")], "Whether the port takes part in forwarding.";
        corrupting: bool [gauge("teamr_port_corrupting")],
            "Whether the port is kept out of forwarding because of its corrupted frames.";
        hwaddr_refused: bool [gauge("teamr_port_hwaddr_refused")],
            "Whether the interface refuses the team's hardware address, so that the port carries no \
             traffic.";
        probed: bool [gauge("teamr_port_probed")],
            "Whether the port sent a probe in the last round.";
        probe_heard_at: String, "Names of the ports that received the probe, separated by blanks.";
        rx_frames: u64 [unit(Unit::Frames)],
            "Frames received for the team device, with data paths programs and relay.";
        rx_bytes: u64 [unit(Unit::Bytes)],
            "Volume received for the team device, with data paths programs and relay.";
        rx_missed: u64 [unit(Unit::Frames), counter("teamr_port_receive_missed_total")],
            "Frames lost because the daemon was too slow to receive them.";
        tx_frames: u64 [unit(Unit::Frames)],
            "Frames sent for the team device, with data paths programs and relay; a segment of \
             64 KiB that passes whole is one frame.";
        tx_bytes: u64 [unit(Unit::Bytes)],
            "Volume sent for the team device, with data paths programs and relay.";
        tx_dropped: u64 [unit(Unit::Frames), counter("teamr_port_transmit_dropped_total")],
            "Frames that could not be sent on the port.";
        tx_drop_errors: String,
            "Errors that lost these frames, each with the number of frames: ENOBUFS 3, ENETDOWN 1.";
        lacp: PortLacp, "The port under runner lacp.";
    }
}

impl Member for Port {
    const PLACEHOLDER: &'static str = "P";
    const OBJECT: &'static Object = &Port::OBJECT;
}

impl State {
    /// Returns the ports with their names, in the order of the document.
    pub fn ports(&self) -> impl Iterator<Item = (&str, &Port)> {
        let ports = self.ports.iter().flat_map(|ports| &ports.0);
        ports.map(|(name, port)| (name.as_str(), port))
    }
}

impl Port {
    /// Returns the link watches with their keys, in the order of the document.
    pub fn watches(&self) -> impl Iterator<Item = (&str, &watch::Watch)> {
        let list = self.link_watches.iter().flat_map(|watches| &watches.list);
        let watches = list.flat_map(|list| &list.0);
        watches.map(|(key, watch)| (key.as_str(), watch))
    }

    /// Returns the names of the ports that received the probe of this port.
    pub fn probe_heard_at(&self) -> impl Iterator<Item = &str> {
        let names = self.teamr.or_empty().probe_heard_at.as_deref();
        names.unwrap_or_default().split_whitespace()
    }
}
