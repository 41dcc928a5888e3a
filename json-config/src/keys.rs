//! Every key of the configuration, once.
//!
//! The checker, the tolerant reader, the suggestions for unknown keys and the JSON Schema all
//! read this table; the manual page can too. It says what a key may hold, not what a team does
//! with it: that is the business of [`model`](crate::model) and of the core.
//!
//! Names, defaults and ranges are those of teamd.conf(5); `data_path`, `$schema` and `min_ports`
//! outside lacp are additions of teamr.

/// An object of the configuration that has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// The top level.
    Team,
    /// `runner`.
    Runner,
    /// `runner.tx_balancer`.
    TxBalancer,
    /// `notify_peers` and `mcast_rejoin`.
    Burst,
    /// One entry of `ports`.
    Port,
    /// `link_watch`, or one element of it, at the top level or in a port.
    LinkWatch,
}

impl Object {
    /// All of them.
    pub const ALL: [Object; 6] = [
        Object::Team,
        Object::Runner,
        Object::TxBalancer,
        Object::Burst,
        Object::Port,
        Object::LinkWatch,
    ];

    /// Its keys, in the order of the table.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.object == self)
    }

    /// Its key called `name`.
    pub fn find(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// Where it stands, for messages.
    pub fn place(self) -> &'static str {
        match self {
            Object::Team => "at the top level",
            Object::Runner => "in \"runner\"",
            Object::TxBalancer => "in \"runner.tx_balancer\"",
            Object::Burst => "in \"notify_peers\" or \"mcast_rejoin\"",
            Object::Port => "in a port",
            Object::LinkWatch => "in \"link_watch\"",
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The object that it belongs to.
    pub object: Object,
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What counts when it is absent.
    pub default: Preset,
    /// The runners (in `runner` and in ports) or watches (in `link_watch`) that read it;
    /// empty when all do.
    pub read_by: &'static [&'static str],
    /// If it must be there: what teamd logs when it is not.
    pub required: Option<&'static str>,
    /// If a value of the right type that makes no sense is refused: what teamd logs, `{}` being
    /// the value. None: the run goes on with the default.
    pub refusal: Option<&'static str>,
    /// One line for people.
    pub about: &'static str,
}

impl Key {
    /// Whether the runner or watch called `name` reads this key.
    pub fn is_read_by(&self, name: &str) -> bool {
        self.read_by.is_empty() || self.read_by.contains(&name)
    }
}

/// What a key may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// What it counts.
        unit: Unit,
    },
    /// A string of some form.
    Text(Form),
    /// One of these strings.
    Word(&'static [&'static str]),
    /// An array of some of these strings.
    Words(&'static [&'static str]),
    /// An object with the keys of this kind of object.
    Object(Object),
    /// An object with the keys of a link watch, or an array of such objects.
    Watches,
    /// An object with a port for each interface name.
    Ports,
}

/// What an integer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, or a number without a unit.
    One,
    /// Milliseconds.
    Milliseconds,
    /// Tenths of a second.
    TenthsOfSecond,
}

/// The form of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Any,
    /// An interface name: 1 to 15 bytes without blank, `/` and `:`; not `.` and not `..`.
    InterfaceName,
    /// Six hexadecimal bytes with `:` between them; unicast, not all zero.
    HwAddr,
    /// An address or the name of a host; not empty.
    Host,
    /// The interface part of a TIPC bearer: 1 to 31 bytes.
    Bearer,
}

/// What counts when a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Nothing, or it depends (`about` says on what).
    Nothing,
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A string.
    Word(&'static str),
    /// An array of strings.
    Words(&'static [&'static str]),
}

/// teamd reads every integer into a C `int`.
pub const INT_MIN: i64 = i32::MIN as i64;
/// See [`INT_MIN`].
pub const INT_MAX: i64 = i32::MAX as i64;

/// The runners, by name.
pub const RUNNERS: &[&str] = &[
    "broadcast",
    "roundrobin",
    "random",
    "activebackup",
    "loadbalance",
    "lacp",
];

const WATCHES: &[&str] = &["ethtool", "arp_ping", "nsna_ping", "tipc"];
const HASHING: &[&str] = &["loadbalance", "lacp"];
const LACP: &[&str] = &["lacp"];
const ETHTOOL: &[&str] = &["ethtool"];
const ARP: &[&str] = &["arp_ping"];
const PROBING: &[&str] = &["arp_ping", "nsna_ping"];

/// A row to start from: an optional key that everything reads.
const PLAIN: Key = Key {
    object: Object::Team,
    name: "",
    kind: Kind::Boolean,
    default: Preset::Nothing,
    read_by: &[],
    required: None,
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

/// The table.
pub const KEYS: &[Key] = &[
    Key {
        name: "$schema",
        kind: Kind::Text(Form::Any),
        about: "Where an editor finds the schema of this file; teamr ignores it.",
        ..PLAIN
    },
    Key {
        name: "device",
        kind: Kind::Text(Form::InterfaceName),
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
        kind: Kind::Word(&["auto", "kernel", "userspace"]),
        default: Preset::Word("auto"),
        about: "What moves the frames: the kernel's team driver, teamr itself, or the driver \
                where it exists.",
        ..PLAIN
    },
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
        about: "Whether one of a port's link watches suffices for its link to be up, or all must \
                agree.",
        ..PLAIN
    },
    Key {
        name: "runner",
        kind: Kind::Object(Object::Runner),
        about: "How the ports work together.",
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
        about: "What tells whether a port's link is up; for every port, after the port's own.",
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
        refusal: Some("No runner named \"{}\" available."),
        about: "Which runner decides where frames go.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "hwaddr_policy",
        kind: Kind::Word(&["same_all", "by_active", "only_active"]),
        default: Preset::Word("same_all"),
        read_by: &["activebackup"],
        refusal: Some("Unknown \"hwaddr_policy\" named \"{}\" passed."),
        about: "Who carries which hardware address: every port the team's, the team the active \
                port's, or only the active port the team's.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "tx_hash",
        kind: Kind::Words(&[
            "eth", "vlan", "ipv4", "ipv6", "ip", "l3", "tcp", "udp", "sctp", "l4",
        ]),
        default: Preset::Words(&["eth", "ipv4", "ipv6"]),
        read_by: HASHING,
        about: "The header fields that make up a flow; a flow keeps to one port.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "tx_balancer",
        kind: Kind::Object(Object::TxBalancer),
        read_by: HASHING,
        about: "Moves flows between ports by load.",
        ..PLAIN
    },
    Key {
        object: Object::Runner,
        name: "min_ports",
        kind: counted(1, 1024),
        default: Preset::Integer(1),
        refusal: Some("\"min_ports\" value is out of its limits."),
        about: "Usable ports needed for the team device to have a carrier.",
        ..PLAIN
    },
    Key {
        read_by: LACP,
        ..flag(
            Object::Runner,
            "active",
            true,
            "Sends LACPDUs unasked; false only answers.",
        )
    },
    Key {
        read_by: LACP,
        ..flag(
            Object::Runner,
            "fast_rate",
            false,
            "Asks the partner for an LACPDU each second instead of every 30 seconds.",
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
        about: "How the aggregator that carries traffic is chosen among several.",
        ..PLAIN
    },
    Key {
        object: Object::TxBalancer,
        name: "name",
        kind: Kind::Word(&["basic"]),
        about: "Which balancer; without a name none balances.",
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
        about: "How often flows may move; 0 is never.",
        ..PLAIN
    },
    Key {
        object: Object::Burst,
        name: "count",
        kind: counted(0, INT_MAX),
        default: Preset::Integer(0),
        refusal: Some("\"count\" must not be negative number."),
        about: "How many times; with the runner activebackup 1 by default.",
        ..PLAIN
    },
    Key {
        object: Object::Burst,
        name: "interval",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        refusal: Some("\"interval\" must not be negative number."),
        about: "The pause between two of them.",
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
            "Once active, the port stays so while its link is up.",
        )
    },
    Key {
        object: Object::Port,
        name: "queue_id",
        kind: counted(0, INT_MAX),
        refusal: Some("\"queue_id\" must not be negative number."),
        about: "Transmit queue that is steered to this port, where the data path can.",
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
        about: "What tells whether this port's link is up, besides the team's own watches.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "name",
        kind: Kind::Word(WATCHES),
        required: Some("Failed to get link watch name."),
        refusal: Some("No link_watch named \"{}\" available."),
        about: "Which watch.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "delay_up",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: ETHTOOL,
        refusal: Some("\"delay_up\" must not be negative number."),
        about: "How long the carrier must have been there before the link counts as up.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "delay_down",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: ETHTOOL,
        refusal: Some("\"delay_down\" must not be negative number."),
        about: "How long the carrier must have been gone before the link counts as down.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "target_host",
        kind: Kind::Text(Form::Host),
        read_by: PROBING,
        required: Some("Failed to get \"target_host\" link-watch option."),
        refusal: Some("Failed to get \"target_host\" link-watch option."),
        about: "Who is asked: an IPv4 (arp_ping) or IPv6 (nsna_ping) address or a host name.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "source_host",
        kind: Kind::Text(Form::Host),
        read_by: ARP,
        refusal: Some("Failed to get \"source_host\" link-watch option."),
        about: "Who asks: an IPv4 address or a host name; 0.0.0.0 if absent.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "interval",
        kind: milliseconds(1),
        default: Preset::Integer(1000),
        read_by: PROBING,
        refusal: Some("\"interval\" must be a positive number."),
        about: "The pause between two probes.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "init_wait",
        kind: milliseconds(0),
        default: Preset::Integer(0),
        read_by: PROBING,
        refusal: Some("\"init_wait\" must not be negative number."),
        about: "The pause before the first probe.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "missed_max",
        kind: counted(0, INT_MAX),
        default: Preset::Integer(3),
        read_by: PROBING,
        refusal: Some("\"missed_max\" must not be negative number."),
        about: "How many probes in a row may stay without an answer.",
        ..PLAIN
    },
    Key {
        object: Object::LinkWatch,
        name: "vlanid",
        kind: counted(0, 4095),
        read_by: ARP,
        refusal: Some("Wrong \"vlanid\" option value."),
        about: "VLAN id of the probes; untagged if absent.",
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
            "Probes leave on inactive ports too.",
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
