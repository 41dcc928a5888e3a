//! The rows of the table; [`Key`] defines the columns.

use super::{Form, INT_MAX, INT_MIN, Key, Kind, Object, Preset, RUNNERS, Unit};
use crate::data_path::DataPathChoice;

const WATCHES: &[&str] =
    &["ethtool", "arp_ping", "nsna_ping", "tipc", "errors", "bfd", "lacp", "probe"];
const HASHING: &[&str] = &["loadbalance", "lacp"];
const ACTIVEBACKUP: &[&str] = &["activebackup"];
const BALANCING: &[&str] = &["loadbalance", "lacp", "slb", "tlb", "alb"];
const LACP: &[&str] = &["lacp"];
const ETHTOOL: &[&str] = &["ethtool"];
const ARP: &[&str] = &["arp_ping"];
const PROBE: &[&str] = &["probe"];
const IN_VLAN: &[&str] = &["arp_ping", "probe"];
const PINGING: &[&str] = &["arp_ping", "nsna_ping"];
const PROBING: &[&str] = &["arp_ping", "nsna_ping", "probe"];
const ERRORS: &[&str] = &["errors"];
const BFD: &[&str] = &["bfd"];
const PERIODIC: &[&str] = &["arp_ping", "nsna_ping", "errors", "bfd", "probe"];
/// Greatest value of the keys of `damping` that are penalties.
const MOST_PENALTY: i64 = 20_000;

/// Template of a row: an optional key that all runners and watches read.
const PLAIN: Key = Key {
    object: Object::Team,
    name: "",
    kind: Kind::Boolean,
    default: Preset::Nothing,
    read_by: &[],
    required: None,
    written: None,
    refusal: None,
    about: "",
};

const fn counted(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: Unit::One }
}

const fn milliseconds(min: i64) -> Kind {
    Kind::Integer { min, max: INT_MAX, unit: Unit::Milliseconds }
}

/// Defines [`KEYS`]: for each object the name and kind of a key, the other columns that differ from
/// [`PLAIN`], and the description.
macro_rules! keys {
    ($($object:ident {
        $($name:literal: $kind:expr $(, $column:ident: $value:expr)* => $about:literal;)+
    })+) => {
        /// Every key, by object.
        pub const KEYS: &[Key] = &[$($(Key {
            object: Object::$object,
            name: $name,
            kind: $kind,
            $($column: $value,)*
            about: $about,
            ..PLAIN
        },)+)+];
    };
}

keys! {
    Team {
        "$schema": Kind::Text(Form::Any) =>
            "Reference to the schema, for editors; teamr ignores it.";
        "device": Kind::Text(Form::InterfaceName),
            written: Some("Failed to set team device name in config.") =>
            "Name of the team device; the first free of team0, team1 and so on if absent.";
        "debug_level": counted(0, INT_MAX), default: Preset::Integer(0) =>
            "Amount of debug output; -g on the command line can only raise it.";
        "data_path": Kind::Word(&DataPathChoice::WORDS),
            default: Preset::Word(DataPathChoice::WORDS[0]) =>
            "Forwarding of frames: by the kernel's team driver, by programs that teamr loads into \
             the kernel, by the daemon (relay or, an older word, userspace), or by the first of \
             these that works.";
        "probe": Kind::Boolean, default: Preset::Boolean(true) =>
            "Sends a few probes after links came up and warns if they show that the runner is \
             wrong for the switch; by default not under the name teamd.";
        "hwaddr": Kind::Text(Form::HwAddr), refusal: Some("Failed to parse hardware address.") =>
            "Hardware address of the team device; the first port's if absent.";
        "link_watch_policy": Kind::Word(&["any", "all"]), default: Preset::Word("any"),
            refusal: Some("Unrecognized value for link_watch_policy. Only \"any\" or \"all\" are \
             allowed but \"{}\" found in config.") =>
            "A port is up while any, or only while all, of its link watches are up.";
        "runner": Kind::Object(Object::Runner) =>
            "The runner, which chooses the ports that send and receive.";
        "notify_peers": Kind::Object(Object::Burst) =>
            "Gratuitous ARP and unsolicited neighbour advertisements when a port becomes enabled.";
        "mcast_rejoin": Kind::Object(Object::Burst) =>
            "Multicast membership reports when a port becomes enabled.";
        "link_watch": Kind::Watches => "Link watches of every port, after the port's own.";
        "damping": Kind::Object(Object::Damping) =>
            "Keeps a port out whose link is lost again and again; the default of every port. Off if \
             absent.";
        "follow": Kind::Texts(Form::Follower) =>
            "Interfaces and VFs whose link is down while the team device has no carrier.";
        "ports": Kind::Ports =>
            "The ports, by interface name, in the order in which they are added.";
    }
    Runner {
        "name": Kind::Word(RUNNERS), default: Preset::Word("roundrobin"),
            written: Some("Failed to set default team runner name in config."),
            refusal: Some("No runner named \"{}\" available.") => "Name of the runner.";
        "hwaddr_policy": Kind::Word(&["same_all", "by_active", "only_active"]),
            default: Preset::Word("same_all"), read_by: ACTIVEBACKUP,
            refusal: Some("Unknown \"hwaddr_policy\" named \"{}\" passed.") =>
            "Hardware addresses: every port has the team's, the team has the active port's, or \
             only the active port has the team's.";
        "failback": Kind::Word(&["always", "better", "failure"]), default: Preset::Word("always"),
            read_by: ACTIVEBACKUP, refusal: Some("Unknown \"failback\" named \"{}\" passed.") =>
            "Replacement of a usable active port by a better one: always, only by a faster one, \
             or never.";
        "failback_delay": milliseconds(0), default: Preset::Integer(0), read_by: ACTIVEBACKUP,
            refusal: Some("\"failback_delay\" must not be negative number.") =>
            "Time for which the better port must be usable before it replaces a usable active \
             port.";
        "failback_probe": Kind::Boolean, default: Preset::Boolean(true), read_by: ACTIVEBACKUP =>
            "Whether a better port replaces the active port only after a probe of the better port \
             has reached the active port, which shows that the switch forwards; applies where both \
             ports lead into one network, and only with \"probe\".";
        "packets_per_port": counted(1, 65535), default: Preset::Integer(1),
            read_by: &["roundrobin"],
            refusal: Some("\"packets_per_port\" value is out of its limits.") =>
            "Frames sent on a port in a row.";
        "tx_hash": Kind::Words(&["eth", "srcmac", "vlan", "ipv4", "ipv6", "ip", "l3", "tcp", "udp",
            "sctp", "l4", "encap", "socket"]),
            default: Preset::Words(&["eth", "ipv4", "ipv6"]), read_by: HASHING =>
            "Header fields that identify a flow; a flow stays on one port.";
        "tx_balancer": Kind::Object(Object::TxBalancer), read_by: BALANCING =>
            "Moves flows between ports by load.";
        "lp_interval": Kind::Integer { min: 0, max: INT_MAX, unit: Unit::Seconds },
            default: Preset::Integer(1), read_by: &["tlb", "alb"],
            refusal: Some("\"lp_interval\" value is out of its limits.") =>
            "Interval of learning packets, which keep the team's address on each port in the \
             table of the switch; 0 turns them off.";
        "min_ports": counted(1, 1024), default: Preset::Integer(1),
            refusal: Some("\"min_ports\" value is out of its limits.") =>
            "Ports that must carry for the team device to have a carrier.";
        "active": Kind::Boolean, default: Preset::Boolean(true), read_by: LACP =>
            "Sends LACPDUs unasked; if false, only answers.";
        "fast_rate": Kind::Boolean, default: Preset::Boolean(false), read_by: LACP =>
            "Requests an LACPDU each second from the partner instead of every 30 seconds.";
        "sys_prio": counted(0, 65535), default: Preset::Integer(65535), read_by: LACP,
            refusal: Some("\"sys_prio\" value is out of its limits.") =>
            "System priority; the system with the lower one decides.";
        "agg_select_policy": Kind::Word(&["lacp_prio", "lacp_prio_stable", "bandwidth", "count",
            "port_config", "actor_port_prio"]),
            default: Preset::Word("lacp_prio"), read_by: LACP,
            refusal: Some("Unknown \"agg_select_policy\" named \"{}\" passed.") =>
            "Choice of the aggregator that carries traffic.";
        "fast_period": Kind::Integer { min: 100, max: 1000, unit: Unit::Milliseconds },
            default: Preset::Integer(1000), read_by: LACP,
            refusal: Some("\"fast_period\" value is out of its limits.") =>
            "Pause between two LACPDUs at the fast rate; must be equal at both ends.";
        "fallback": Kind::Boolean, default: Preset::Boolean(false), read_by: LACP =>
            "Ports carry traffic without a partner, until the first LACPDU.";
        "fallback_method": Kind::Word(&["single", "all"]), default: Preset::Word("single"),
            read_by: LACP, refusal: Some("Unknown \"fallback_method\" named \"{}\" passed.") =>
            "Ports that carry traffic in fallback: the best one or all.";
        "fallback_delay": milliseconds(0), default: Preset::Integer(0), read_by: LACP,
            refusal: Some("\"fallback_delay\" must not be negative number.") =>
            "Time without a partner before a port carries traffic in fallback.";
        "enable_retry_count": Kind::Boolean, default: Preset::Boolean(true), read_by: LACP =>
            "Negotiates the number of LACPDUs that may be lost, as SONiC does.";
        "retry_count": counted(3, 255), default: Preset::Integer(3), read_by: LACP,
            refusal: Some("\"retry_count\" value is out of its limits.") =>
            "Lost LACPDUs in a row that the partner should tolerate.";
        "marker": Kind::Boolean, default: Preset::Boolean(false), read_by: LACP =>
            "Flows that move to another port pause until the partner has their earlier frames.";
        "marker_timeout": Kind::Integer { min: 1, max: 1000, unit: Unit::Milliseconds },
            default: Preset::Integer(100), read_by: LACP,
            refusal: Some("\"marker_timeout\" value is out of its limits.") =>
            "Longest pause of such flows if the marker is not answered.";
        "broadcast_neighbor": Kind::Boolean, default: Preset::Boolean(false), read_by: LACP =>
            "ARP and neighbour discovery leave on every port of the aggregate.";
        "keepalive": Kind::Integer { min: 0, max: 86_400, unit: Unit::Seconds },
            default: Preset::Integer(600), read_by: LACP,
            refusal: Some("\"keepalive\" value is out of its limits.") =>
            "Longest time without the daemon in which the kernel answers the partner; 0 is never.";
    }
    TxBalancer {
        "name": Kind::Word(&["basic"]) => "Name of the balancer; no balancing without a name.";
        "balancing_interval": Kind::Integer { min: 0, max: INT_MAX, unit: Unit::TenthsOfSecond },
            default: Preset::Integer(50) => "Interval at which flows may move; 0 is never.";
    }
    Burst {
        "count": counted(0, INT_MAX), refusal: Some("\"count\" must not be negative number.") =>
            "Number of rounds; by default 1 with the runner activebackup, else 0.";
        "interval": milliseconds(0), default: Preset::Integer(0),
            refusal: Some("\"interval\" must not be negative number.") =>
            "Pause between two rounds.";
    }
    Damping {
        "penalty": counted(0, MOST_PENALTY), default: Preset::Integer(1000),
            refusal: Some("\"penalty\" value is out of its limits.") =>
            "Penalty of a lost link; 0 turns damping off.";
        "suppress": counted(1, MOST_PENALTY), default: Preset::Integer(2000),
            refusal: Some("\"suppress\" value is out of its limits.") =>
            "A penalty above this value keeps the port out.";
        "reuse": counted(1, MOST_PENALTY), default: Preset::Integer(1000),
            refusal: Some("\"reuse\" value is out of its limits.") =>
            "A penalty that has decayed to this value lets the port in again; below \"suppress\".";
        "half_life": milliseconds(1), default: Preset::Integer(5000),
            refusal: Some("\"half_life\" must be a positive number.") =>
            "Time in which the penalty decays by half.";
        "max_suppress": milliseconds(1), default: Preset::Integer(20000),
            refusal: Some("\"max_suppress\" must be a positive number.") =>
            "Longest time for which the port stays out after its link was lost last.";
    }
    Port {
        "prio": counted(INT_MIN, INT_MAX), default: Preset::Integer(0) =>
            "Priority of the port; higher is preferred.";
        "sticky": Kind::Boolean, default: Preset::Boolean(false),
            read_by: &["activebackup", "lacp"] =>
            "The active port stays active while its link is up.";
        "queue_id": counted(0, INT_MAX),
            refusal: Some("\"queue_id\" must not be negative number.") =>
            "Transmit queue of this port, on a data path that supports it.";
        "lacp_prio": counted(0, 65535), default: Preset::Integer(255), read_by: LACP,
            refusal: Some("\"lacp_prio\" value is out of its limits.") =>
            "LACP priority of the port; lower is preferred.";
        "lacp_key": counted(0, 65535), default: Preset::Integer(0), read_by: LACP,
            refusal: Some("\"lacp_key\" value is out of its limits.") =>
            "LACP key of the port; only ports with equal keys form an aggregate.";
        "gate": Kind::Boolean, default: Preset::Boolean(true) =>
            "If false, the port sends and receives nothing for the team, whatever its link.";
        "damping": Kind::Object(Object::Damping) =>
            "Damping of this port; a missing key is the one of the top level.";
        "link_watch": Kind::Watches => "Link watches of this port, before the team's own.";
        "follow": Kind::Texts(Form::Follower) =>
            "Interfaces and VFs whose link is down while the port does not count for the carrier of \
             the team device.";
    }
    LinkWatch {
        "name": Kind::Word(WATCHES), required: Some("Failed to get link watch name."),
            refusal: Some("No link_watch named \"{}\" available.") => "Name of the link watch.";
        "delay_up": milliseconds(0), default: Preset::Integer(0), read_by: ETHTOOL,
            refusal: Some("\"delay_up\" must not be negative number.") =>
            "Time for which the carrier must be on before the link counts as up.";
        "delay_down": milliseconds(0), default: Preset::Integer(0), read_by: ETHTOOL,
            refusal: Some("\"delay_down\" must not be negative number.") =>
            "Time for which the carrier must be off before the link counts as down.";
        "target_host": Kind::Text(Form::Host), read_by: PINGING,
            required: Some("Failed to get \"target_host\" link-watch option."),
            refusal: Some("Failed to get \"target_host\" link-watch option.") =>
            "Neighbour to ask: an IPv4 (arp_ping) or IPv6 (nsna_ping) address or a host name.";
        "source_host": Kind::Text(Form::Host), read_by: ARP,
            refusal: Some("Failed to get \"source_host\" link-watch option.") =>
            "Source of requests: an IPv4 address or a host name; 0.0.0.0 if absent.";
        "interval": milliseconds(1), default: Preset::Integer(1000), read_by: PERIODIC,
            refusal: Some("\"interval\" must be a positive number.") =>
            "Pause between two requests or packets, or between two readings of the counters.";
        "init_wait": milliseconds(0), default: Preset::Integer(0), read_by: PROBING,
            refusal: Some("\"init_wait\" must not be negative number.") =>
            "Pause before the first request.";
        "missed_max": counted(0, INT_MAX), default: Preset::Integer(3), read_by: PROBING,
            refusal: Some("\"missed_max\" must not be negative number.") =>
            "Requests in a row that may stay without an answer.";
        "retry_interval": milliseconds(0), default: Preset::Integer(0), read_by: PINGING =>
            "Pause between the requests after one without an answer; 0 keeps to the interval.";
        "vlanid": counted(0, 4095), read_by: IN_VLAN, refusal: Some("Wrong \"vlanid\" option value.") =>
            "VLAN id of requests; untagged if absent.";
        "group": counted(0, 65535), default: Preset::Integer(0), read_by: PROBE,
            refusal: Some("\"group\" value is out of its limits.") =>
            "Number that teams share whose ports answer each other; 0 for the ports of one team.";
        "validate_active": Kind::Boolean, default: Preset::Boolean(false), read_by: ARP =>
            "On an active port only a valid answer counts, not any ARP frame.";
        "validate_inactive": Kind::Boolean, default: Preset::Boolean(false), read_by: ARP =>
            "On an inactive port only a valid answer counts, not any ARP frame.";
        "send_always": Kind::Boolean, default: Preset::Boolean(false), read_by: ARP =>
            "Sends requests on inactive ports too.";
        "tipc_bearer": Kind::Text(Form::Bearer), read_by: &["tipc"],
            required: Some("tipc: Failed to load options"),
            refusal: Some("tipc: Failed to load options") =>
            "Interface part of the TIPC bearer, such as eth1.";
        "local_address": Kind::Text(Form::IpAddress), read_by: BFD,
            required: Some("Failed to get \"local_address\" link-watch option."),
            refusal: Some("Failed to get \"local_address\" link-watch option.") =>
            "Address that the packets of the session come from.";
        "peer_address": Kind::Text(Form::IpAddress), read_by: BFD,
            required: Some("Failed to get \"peer_address\" link-watch option."),
            refusal: Some("Failed to get \"peer_address\" link-watch option.") =>
            "Address of the peer of the session, of the same family.";
        "single_hop": Kind::Boolean, default: Preset::Boolean(false), read_by: BFD =>
            "A session of RFC 5881, between IPv4 addresses, instead of a micro session of RFC 7130.";
        "multiplier": counted(1, 255), default: Preset::Integer(3), read_by: BFD,
            refusal: Some("\"multiplier\" value is out of its limits.") =>
            "Intervals without a packet after which the peer takes this port for lost.";
        "active": Kind::Boolean, default: Preset::Boolean(true), read_by: LACP =>
            "Sends LACPDUs unasked; if false, only answers.";
        "fast_rate": Kind::Boolean, default: Preset::Boolean(true), read_by: LACP =>
            "Requests an LACPDU each second from the partner instead of every 30 seconds.";
        "fast_period": Kind::Integer { min: 100, max: 1000, unit: Unit::Milliseconds },
            default: Preset::Integer(1000), read_by: LACP,
            refusal: Some("\"fast_period\" value is out of its limits.") =>
            "Pause between two LACPDUs at the fast rate; must be equal at both ends.";
        "sys_prio": counted(0, 65535), default: Preset::Integer(65535), read_by: LACP,
            refusal: Some("\"sys_prio\" value is out of its limits.") =>
            "System priority in LACPDUs.";
        "keepalive": Kind::Integer { min: 0, max: 86_400, unit: Unit::Seconds },
            default: Preset::Integer(600), read_by: LACP,
            refusal: Some("\"keepalive\" value is out of its limits.") =>
            "Time for which the kernel answers the partner while the daemon does not; 0 turns the \
             answers off.";
        "error_ratio": Kind::Integer { min: 1, max: 1_000_000, unit: Unit::Millionths },
            default: Preset::Integer(1000), read_by: ERRORS,
            refusal: Some("\"error_ratio\" value is out of its limits.") =>
            "Share of corrupted frames among the received ones from which the port is bad.";
        "min_errors": counted(1, INT_MAX), default: Preset::Integer(10), read_by: ERRORS,
            refusal: Some("\"min_errors\" must be a positive number.") =>
            "Corrupted frames without which the port is not bad, whatever their share.";
        "hold_time": milliseconds(1), default: Preset::Integer(30_000), read_by: ERRORS,
            refusal: Some("\"hold_time\" must be a positive number.") =>
            "Time without corrupted frames after which the port is good again; doubles up to six \
             times if the port becomes bad soon afterwards.";
    }
}
