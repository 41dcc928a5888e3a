//! The rows of the table; [`Key`] defines the columns.

use super::{Form, INT_MAX, INT_MIN, Key, Kind, Object, Preset, RUNNERS, Unit};
use crate::data_path::DataPathChoice;

const WATCHES: &[&str] = &["ethtool", "arp_ping", "nsna_ping", "tipc"];
const HASHING: &[&str] = &["loadbalance", "lacp"];
const ACTIVEBACKUP: &[&str] = &["activebackup"];
const BALANCING: &[&str] = &["loadbalance", "lacp", "slb", "tlb", "alb"];
const LACP: &[&str] = &["lacp"];
const ETHTOOL: &[&str] = &["ethtool"];
const ARP: &[&str] = &["arp_ping"];
const PROBING: &[&str] = &["arp_ping", "nsna_ping"];

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
    Kind::Integer {
        min,
        max,
        unit: Unit::One,
    }
}

const fn milliseconds(min: i64) -> Kind {
    Kind::Integer {
        min,
        max: INT_MAX,
        unit: Unit::Milliseconds,
    }
}

const fn flag(object: Object, name: &'static str, default: bool, about: &'static str) -> Key {
    Key {
        object,
        name,
        default: Preset::Boolean(default),
        about,
        ..PLAIN
    }
}

/// Every key, by object.
pub const KEYS: &[Key] = &[
    Key {
        name: "$schema",
        kind: Kind::Text(Form::Any),
        about: "Reference to the schema, for editors; teamr ignores it.",
        ..PLAIN
    },
    Key {
        name: "device",
        kind: Kind::Text(Form::InterfaceName),
        written: Some("Failed to set team device name in config."),
        about: "Name of the team device; the first free of team0, team1 and so on if absent.",
        ..PLAIN
    },
    Key {
        name: "debug_level",
        kind: counted(0, INT_MAX),
        default: Preset::Integer(0),
        about: "Amount of debug output; -g on the command line can only raise it.",
        ..PLAIN
    },
    Key {
        name: "data_path",
        kind: Kind::Word(&DataPathChoice::WORDS),
        default: Preset::Word(DataPathChoice::WORDS[0]),
        about: "Forwarding of frames: by the kernel's team driver, by programs that teamr loads into the \
                kernel, by the daemon (relay or, an older word, userspace), or by the first of \
                these that works.",
        ..PLAIN
    },
    flag(
        Object::Team,
        "probe",
        true,
        "Sends a few probes after links came up and warns if they show that the runner is wrong \
         for the switch; by default not under the name teamd.",
    ),
    Key {
        name: "hwaddr",
        kind: Kind::Text(Form::HwAddr),
        refusal: Some("Failed to parse hardware address."),
        about: "Hardware address of the team device; the first port's if absent.",
        ..PLAIN
    },
    Key {
        name: "link_watch_policy",
        kind: Kind::Word(&["any", "all"]),
        default: Preset::Word("any"),
        refusal: Some(
            "Unrecognized value for link_watch_policy. Only \"any\" or \"all\" are allowed but \
             \"{}\" found in config.",
        ),
        about: "A port is up while any, or only while all, of its link watches are up.",
        ..PLAIN
    },
    Key {
        name: "runner",
        kind: Kind::Object(Object::Runner),
        about: "The runner, which chooses the ports that send and receive.",
        ..PLAIN
    },
    Key {
        name: "notify_peers",
        kind: Kind::Object(Object::Burst),
        about: "Gratuitous ARP and unsolicited neighbour advertisements when a port becomes \
                enabled.",
        ..PLAIN
    },
    Key {
        name: "mcast_rejoin",
        kind: Kind::Object(Object::Burst),
        about: "Multicast membership reports when a port becomes enabled.",
        ..PLAIN
    },
    Key {
        name: "link_watch",
        kind: Kind::Watches,
        about: "Link watches of every port, after the port's own.",
        ..PLAIN
    },
    Key {
        name: "ports",
        kind: Kind::Ports,
        about: "The ports, by interface name, in the order in which they are added.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "name",
        kind: Kind::Word(RUNNERS),
        default: Preset::Word("roundrobin"),
        written: Some("Failed to set default team runner name in config."),
        refusal: Some("No runner named \"{}\" available."),
        about: "Name of the runner.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "hwaddr_policy",
        kind: Kind::Word(&["same_all", "by_active", "only_active"]),
        default: Preset::Word("same_all"),
        read_by: ACTIVEBACKUP,
        refusal: Some("Unknown \"hwaddr_policy\" named \"{}\" passed."),
        about: "Hardware addresses: every port has the team's, the team has the active port's, or only the \
                active port has the team's.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "failback",
        kind: Kind::Word(&["always", "better", "failure"]),
        default: Preset::Word("always"),
        read_by: ACTIVEBACKUP,
        refusal: Some("Unknown \"failback\" named \"{}\" passed."),
        about: "Replacement of a usable active port by a better one: always, only by a faster one, or \
                never.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "failback_delay",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: ACTIVEBACKUP,
        refusal: Some("\"failback_delay\" must not be negative number."),
        about: "Time for which the better port must be usable before it replaces a usable active port.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "packets_per_port",
        kind: counted(1, 65535),
        default: Preset::Integer(1),
        read_by: &["roundrobin"],
        refusal: Some("\"packets_per_port\" value is out of its limits."),
        about: "Frames sent on a port in a row.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "tx_hash",
        kind: Kind::Words(&[
            "eth", "srcmac", "vlan", "ipv4", "ipv6", "ip", "l3", "tcp", "udp", "sctp", "l4",
            "encap",
        ]),
        default: Preset::Words(&["eth", "ipv4", "ipv6"]),
        read_by: HASHING,
        about: "Header fields that identify a flow; a flow stays on one port.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "tx_balancer",
        kind: Kind::Object(Object::TxBalancer),
        read_by: BALANCING,
        about: "Moves flows between ports by load.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "lp_interval",
        kind: Kind::Integer {
            min: 0,
            max: INT_MAX,
            unit: Unit::Seconds,
        },
        default: Preset::Integer(1),
        read_by: &["tlb", "alb"],
        refusal: Some("\"lp_interval\" value is out of its limits."),
        about: "Interval of learning packets, which keep the team's address on each port in the table of \
                the switch; 0 turns them off.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "min_ports",
        kind: counted(1, 1024),
        default: Preset::Integer(1),
        refusal: Some("\"min_ports\" value is out of its limits."),
        about: "Ports that must carry for the team device to have a carrier.",
        ..PLAIN
    },
    Key {
        read_by: LACP,
        ..flag(
            Object::Runner,
            "active",
            true,
            "Sends LACPDUs unasked; if false, only answers.",
        )
    },
    Key {
        read_by: LACP,
        ..flag(
            Object::Runner,
            "fast_rate",
            false,
            "Requests an LACPDU each second from the partner instead of every 30 seconds.",
        )
    },
    Key {
        object: Object::Runner,
        name: "sys_prio",
        kind: counted(0, 65535),
        default: Preset::Integer(65535),
        read_by: LACP,
        refusal: Some("\"sys_prio\" value is out of its limits."),
        about: "System priority; the system with the lower one decides.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "agg_select_policy",
        kind: Kind::Word(&[
            "lacp_prio",
            "lacp_prio_stable",
            "bandwidth",
            "count",
            "port_config",
        ]),
        default: Preset::Word("lacp_prio"),
        read_by: LACP,
        refusal: Some("Unknown \"agg_select_policy\" named \"{}\" passed."),
        about: "Choice of the aggregator that carries traffic.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "fast_period",
        kind: Kind::Integer {
            min: 100,
            max: 1000,
            unit: Unit::Milliseconds,
        },
        default: Preset::Integer(1000),
        read_by: LACP,
        refusal: Some("\"fast_period\" value is out of its limits."),
        about: "Pause between two LACPDUs at the fast rate; must be equal at both ends.",
        ..PLAIN
    },
    Key {
        read_by: LACP,
        ..flag(
            Object::Runner,
            "fallback",
            false,
            "Ports carry traffic without a partner, until the first LACPDU.",
        )
    },
    Key {
        object: Object::Runner,
        name: "fallback_method",
        kind: Kind::Word(&["single", "all"]),
        default: Preset::Word("single"),
        read_by: LACP,
        refusal: Some("Unknown \"fallback_method\" named \"{}\" passed."),
        about: "Ports that carry traffic in fallback: the best one or all.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "fallback_delay",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: LACP,
        refusal: Some("\"fallback_delay\" must not be negative number."),
        about: "Time without a partner before a port carries traffic in fallback.",
        ..PLAIN
    },
    Key {
        read_by: LACP,
        ..flag(
            Object::Runner,
            "enable_retry_count",
            true,
            "Negotiates the number of LACPDUs that may be lost, as SONiC does.",
        )
    },
    Key {
        object: Object::Runner,
        name: "retry_count",
        kind: counted(3, 255),
        default: Preset::Integer(3),
        read_by: LACP,
        refusal: Some("\"retry_count\" value is out of its limits."),
        about: "Lost LACPDUs in a row that the partner should tolerate.",
        ..PLAIN
    },
    Key {
        read_by: LACP,
        ..flag(
            Object::Runner,
            "marker",
            false,
            "Flows that move to another port pause until the partner has their earlier frames.",
        )
    },
    Key {
        object: Object::Runner,
        name: "marker_timeout",
        kind: Kind::Integer {
            min: 1,
            max: 1000,
            unit: Unit::Milliseconds,
        },
        default: Preset::Integer(100),
        read_by: LACP,
        refusal: Some("\"marker_timeout\" value is out of its limits."),
        about: "Longest pause of such flows if the marker is not answered.",
        ..PLAIN
    },
    Key {
        object: Object::TxBalancer,
        name: "name",
        kind: Kind::Word(&["basic"]),
        about: "Name of the balancer; no balancing without a name.",
        ..PLAIN
    },
    Key {
        object: Object::TxBalancer,
        name: "balancing_interval",
        kind: Kind::Integer {
            min: 0,
            max: INT_MAX,
            unit: Unit::TenthsOfSecond,
        },
        default: Preset::Integer(50),
        about: "Interval at which flows may move; 0 is never.",
        ..PLAIN
    },
    Key {
        object: Object::Burst,
        name: "count",
        kind: counted(0, INT_MAX),
        refusal: Some("\"count\" must not be negative number."),
        about: "Number of rounds; by default 1 with the runner activebackup, else 0.",
        ..PLAIN
    },
    Key {
        object: Object::Burst,
        name: "interval",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        refusal: Some("\"interval\" must not be negative number."),
        about: "Pause between two rounds.",
        ..PLAIN
    },
    Key {
        object: Object::Port,
        name: "prio",
        kind: counted(INT_MIN, INT_MAX),
        default: Preset::Integer(0),
        about: "Priority of the port; higher is preferred.",
        ..PLAIN
    },
    Key {
        read_by: &["activebackup", "lacp"],
        ..flag(
            Object::Port,
            "sticky",
            false,
            "The active port stays active while its link is up.",
        )
    },
    Key {
        object: Object::Port,
        name: "queue_id",
        kind: counted(0, INT_MAX),
        refusal: Some("\"queue_id\" must not be negative number."),
        about: "Transmit queue of this port, on a data path that supports it.",
        ..PLAIN
    },
    Key {
        object: Object::Port,
        name: "lacp_prio",
        kind: counted(0, 65535),
        default: Preset::Integer(255),
        read_by: LACP,
        refusal: Some("\"lacp_prio\" value is out of its limits."),
        about: "LACP priority of the port; lower is preferred.",
        ..PLAIN
    },
    Key {
        object: Object::Port,
        name: "lacp_key",
        kind: counted(0, 65535),
        default: Preset::Integer(0),
        read_by: LACP,
        refusal: Some("\"lacp_key\" value is out of its limits."),
        about: "LACP key of the port; only ports with equal keys form an aggregate.",
        ..PLAIN
    },
    Key {
        object: Object::Port,
        name: "link_watch",
        kind: Kind::Watches,
        about: "Link watches of this port, before the team's own.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "name",
        kind: Kind::Word(WATCHES),
        required: Some("Failed to get link watch name."),
        refusal: Some("No link_watch named \"{}\" available."),
        about: "Name of the link watch.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "delay_up",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: ETHTOOL,
        refusal: Some("\"delay_up\" must not be negative number."),
        about: "Time for which the carrier must be on before the link counts as up.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "delay_down",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: ETHTOOL,
        refusal: Some("\"delay_down\" must not be negative number."),
        about: "Time for which the carrier must be off before the link counts as down.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "target_host",
        kind: Kind::Text(Form::Host),
        read_by: PROBING,
        required: Some("Failed to get \"target_host\" link-watch option."),
        refusal: Some("Failed to get \"target_host\" link-watch option."),
        about: "Neighbour to ask: an IPv4 (arp_ping) or IPv6 (nsna_ping) address or a host name.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "source_host",
        kind: Kind::Text(Form::Host),
        read_by: ARP,
        refusal: Some("Failed to get \"source_host\" link-watch option."),
        about: "Source of requests: an IPv4 address or a host name; 0.0.0.0 if absent.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "interval",
        kind: milliseconds(1),
        default: Preset::Integer(1000),
        read_by: PROBING,
        refusal: Some("\"interval\" must be a positive number."),
        about: "Pause between two requests.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "init_wait",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: PROBING,
        refusal: Some("\"init_wait\" must not be negative number."),
        about: "Pause before the first request.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "missed_max",
        kind: counted(0, INT_MAX),
        default: Preset::Integer(3),
        read_by: PROBING,
        refusal: Some("\"missed_max\" must not be negative number."),
        about: "Requests in a row that may stay without an answer.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "vlanid",
        kind: counted(0, 4095),
        read_by: ARP,
        refusal: Some("Wrong \"vlanid\" option value."),
        about: "VLAN id of requests; untagged if absent.",
        ..PLAIN
    },
    Key {
        read_by: ARP,
        ..flag(
            Object::LinkWatch,
            "validate_active",
            false,
            "On an active port only a valid answer counts, not any ARP frame.",
        )
    },
    Key {
        read_by: ARP,
        ..flag(
            Object::LinkWatch,
            "validate_inactive",
            false,
            "On an inactive port only a valid answer counts, not any ARP frame.",
        )
    },
    Key {
        read_by: ARP,
        ..flag(
            Object::LinkWatch,
            "send_always",
            false,
            "Sends requests on inactive ports too.",
        )
    },
    Key {
        object: Object::LinkWatch,
        name: "tipc_bearer",
        kind: Kind::Text(Form::Bearer),
        read_by: &["tipc"],
        required: Some("tipc: Failed to load options"),
        refusal: Some("tipc: Failed to load options"),
        about: "Interface part of the TIPC bearer, such as eth1.",
        ..PLAIN
    },
];
