//! The state document of a team, defined once: types, doc lines, units, metrics.
//!
//! The daemon fills a [`State`]; the clients read one. teamd's items stand where teamd has them,
//! all others under the key `teamr` (at the top, in each port and in each watch) or marked
//! `added`. Every field may be absent: another runner does not have it, or the daemon is an older
//! one, or teamd. The manual, the schema and the metrics follow from the definitions.

pub mod definition;
pub mod items;
pub mod lacp;
pub mod schema;
pub mod watch;

use serde_json::Value;

pub use definition::{Age, Member, Members, MetricKind, OrEmpty, Part};
use definition::{Field, Form, Object, Unit, object, state_objects};
use lacp::{Aggregator, LacpduInfo, PortLacp};
use watch::LinkWatches;

state_objects! {
    /// The state of a team.
    pub struct State {
        /// The start of the daemon.
        setup: Setup,
        /// The team device.
        team_device: TeamDevice,
        /// The ports by interface name; absent without a port.
        ports: Members<Port>,
        /// The runner; absent for a runner without items.
        runner: Runner,
        /// Items that teamd lacks.
        teamr: TeamItems,
    }

    /// The start of the daemon.
    pub struct Setup {
        /// Whether the daemon runs in the background.
        daemonized: bool,
        /// Whether the team is on the system bus.
        dbus_enabled: bool,
        /// Debug level of the daemon.
        debug_level: i64 [settable("0 or more"), gauge("teamr_setup_debug_level")],
        /// Mode of the kernel's team driver for the runner.
        kernel_team_mode_name: String,
        /// Process ID of the daemon.
        pid: i64,
        /// File with the process ID.
        pid_file: String,
        /// Name of the runner.
        runner_name: String,
        /// Whether the team has a ZeroMQ socket.
        zmq_enabled: bool,
    }

    /// The team device.
    pub struct TeamDevice {
        /// The interface.
        ifinfo: InterfaceInfo,
    }

    /// An interface.
    pub struct InterfaceInfo {
        /// Hardware address.
        dev_addr: String,
        /// Length of the hardware address.
        dev_addr_len: i64 [unit(Unit::Bytes)],
        /// Interface index.
        ifindex: i64,
        /// Interface name.
        ifname: String,
    }

    /// A port.
    pub struct Port {
        /// The interface.
        ifinfo: InterfaceInfo,
        /// The link.
        link: PortLink,
        /// The link watches.
        link_watches: LinkWatches,
        /// The port under runner lacp.
        runner: PortRunner,
        /// Items that teamd lacks.
        teamr: PortItems,
    }

    /// The link of a port.
    pub struct PortLink {
        /// Duplex mode, full or half.
        duplex: String,
        /// Speed of the link; 0 without a link, -1 if the driver does not know the speed.
        speed: i64 [unit(Unit::MegabitsPerSecond), gauge("teamr_port_speed_bytes")],
        /// Whether the port has a carrier.
        up: bool [gauge("teamr_port_link")],
    }

    /// The items of a runner.
    pub struct Runner {
        /// Runner activebackup: the active port; empty without one.
        active_port: String [settable("the port stays active until it fails or another is chosen")],
        /// Runner lacp: whether the ports send LACPDUs to a passive partner.
        active: bool,
        /// Runner lacp: whether the partner is asked for a LACPDU each second.
        fast_rate: bool [settable("true or false")],
        /// Runner lacp: system priority.
        sys_prio: i64 [settable("0 to 65535; the partner then selects anew")],
        /// Runner lacp: the policy that selects the aggregator.
        select_policy: String [settable("a policy of teamr.conf(5)")],
        /// Runner lacp: whether a port without a partner carries traffic alone.
        fallback: bool [settable("true or false"), added()],
        /// Runner lacp: whether LACPDUs may carry retry counts.
        enable_retry_count_feature: bool [settable("true or false"), added()],
        /// Runner lacp: LACPDUs in a row that the partner may miss.
        retry_count: i64 [
            settable("3 or more; a higher count ends after three times as many minutes"),
            added()
        ],
        /// Runner lacp: ports that the team needs for its carrier.
        min_ports: u64 [settable("1 to 1024"), added()],
        /// Runners slb, tlb and alb: the one port that receives broadcast and multicast.
        designated_port: String [added()],
    }

    /// A port under runner lacp.
    pub struct PortRunner {
        /// The Actor in the LACPDUs of the port.
        actor_lacpdu_info: LacpduInfo,
        /// The aggregator of the port.
        aggregator: Aggregator,
        /// Administrative key.
        key: i64,
        /// The Partner as far as the port knows it.
        partner_lacpdu_info: LacpduInfo,
        /// Port priority.
        prio: i64,
        /// Whether the port is Selected or Standby.
        selected: bool [gauge("teamr_port_lacp_selected")],
        /// Receive state: disabled, expired, defaulted, fallback or current.
        state: String,
        /// LACPDUs in a row that this port may miss.
        partner_retry_count: i64 [added()],
    }

    /// Items of the team that teamd lacks.
    pub struct TeamItems {
        /// The data path: kernel, programs or relay.
        data_path: String [settable("programs or relay, one in place of the other")],
        /// Preferred data paths that do not work here.
        data_path_refused: RefusedDataPaths,
        /// Failovers, which are changes of the forwarding after a lost link.
        failovers: Failovers,
        /// Rounds of probes.
        probe_rounds: u64 [settable("any value sends a probe on each port that has a link")],
        /// Times that lost link events made the daemon read all links anew.
        resyncs: u64 [counter("teamr_resyncs_total")],
        /// Frames that the team device did not accept.
        rx_dropped: u64 [unit(Unit::Frames), counter("teamr_receive_dropped_total")],
        /// Frames of this host that came back, under runners slb, tlb and alb.
        rx_echoes: u64 [unit(Unit::Frames), counter("teamr_receive_echoes_total")],
        /// Frames received on a port that does not collect.
        rx_inactive: u64 [unit(Unit::Frames), counter("teamr_receive_inactive_total")],
        /// Frames of the team device for which there was no port.
        tx_no_port: u64 [unit(Unit::Frames), counter("teamr_transmit_no_port_total")],
    }

    /// Preferred data paths that do not work here.
    pub struct RefusedDataPaths {
        /// Why the kernel's team driver does not work; absent if the driver was not tried.
        kernel: String,
        /// Why eBPF programs do not work; absent if the programs were not tried.
        programs: String,
    }

    /// Time from the event of a lost link to the forwarding without its port.
    pub struct Failovers {
        /// Failovers since the start of the daemon.
        count: u64 [summary_count("teamr_failover_seconds")],
        /// Time of all failovers together.
        total_us: u64 [unit(Unit::Microseconds), summary_sum("teamr_failover_seconds")],
        /// Time of the last failover; 0 without one.
        last_us: u64 [unit(Unit::Microseconds), gauge("teamr_failover_last_seconds")],
    }

    /// Items of a port that teamd lacks.
    pub struct PortItems {
        /// Whether the port may take part in forwarding.
        allowed: bool [
            settable("false keeps the port out of forwarding"),
            gauge("teamr_port_allowed")
        ],
        /// Whether the port takes part in forwarding.
        enabled: bool [gauge("teamr_port_enabled")],
        /// Whether the port sent a probe in the last round.
        probed: bool [gauge("teamr_port_probed")],
        /// Names of the ports that received the probe, separated by blanks.
        probe_heard_at: String,
        /// Frames received for the team device, with data paths programs and relay.
        rx_frames: u64 [unit(Unit::Frames)],
        /// Volume received for the team device, with data paths programs and relay.
        rx_bytes: u64 [unit(Unit::Bytes)],
        /// Frames lost because the daemon was too slow to receive them.
        rx_missed: u64 [unit(Unit::Frames), counter("teamr_port_receive_missed_total")],
        /// Frames sent for the team device, with data paths programs and relay; a segment of
        /// 64 KiB that passes whole is one frame.
        tx_frames: u64 [unit(Unit::Frames)],
        /// Volume sent for the team device, with data paths programs and relay.
        tx_bytes: u64 [unit(Unit::Bytes)],
        /// Frames that could not be sent on the port.
        tx_dropped: u64 [unit(Unit::Frames), counter("teamr_port_transmit_dropped_total")],
        /// The port under runner lacp.
        lacp: PortLacp,
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
