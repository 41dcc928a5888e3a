//! The table of keys: the only definition of each key of the configuration.
//!
//! The strict check, the tolerant reader, the suggestions for unknown keys and the JSON Schema read
//! the table. A row defines the values of a key, not their effect.
//!
//! Names, defaults and ranges are those of teamd.conf(5); `data_path`, `$schema`, `failback`,
//! `failback_delay`, `packets_per_port`, `damping`, `gate`, `follow`, `keepalive`, `broadcast_neighbor`,
//! `retry_interval`, the watches `errors`, `bfd` and `lacp`, the words `srcmac`, `encap` and `socket` of
//! `tx_hash`, the runners `slb`, `tlb` and `alb`, and `min_ports` outside lacp are additions of teamr.

mod table;

use std::fmt;

pub use table::KEYS;

/// An object of the configuration with a fixed set of keys.
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
    /// `damping`, at the top level or in a port.
    Damping,
    /// One entry of `ports`.
    Port,
    /// `link_watch`, or one element of it, at the top level or in a port.
    LinkWatch,
}

impl Object {
    /// All objects.
    pub const ALL: [Object; 7] = [
        Object::Team,
        Object::Runner,
        Object::TxBalancer,
        Object::Burst,
        Object::Damping,
        Object::Port,
        Object::LinkWatch,
    ];

    /// Returns the keys of the object, in the order of the table.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.object == self)
    }

    /// Returns the key `name` of the object; `None` if the object has no such key.
    pub fn find(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// Returns the place of the object in the configuration, for messages.
    pub fn place(self) -> &'static str {
        match self {
            Object::Team => "at the top level",
            Object::Runner => "in \"runner\"",
            Object::TxBalancer => "in \"runner.tx_balancer\"",
            Object::Burst => "in \"notify_peers\" or \"mcast_rejoin\"",
            Object::Damping => "in \"damping\"",
            Object::Port => "in a port",
            Object::LinkWatch => "in \"link_watch\"",
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The object with the key.
    pub object: Object,
    /// Name of the key.
    pub name: &'static str,
    /// Type and range of the value.
    pub kind: Kind,
    /// Value of an absent key.
    pub default: Preset,
    /// Runners (in `runner` and in ports) or watches (in `link_watch`) that read the key; empty if
    /// all do.
    pub read_by: &'static [&'static str],
    /// For a mandatory key: teamd's log line for an absent key or a value of another type.
    pub required: Option<&'static str>,
    /// For a key that teamd itself writes at the start: teamd's log line when the write fails
    /// because the configured value has another type. `None`: a value of another type counts as
    /// absent.
    pub written: Option<&'static str>,
    /// For a key whose invalid values are refused: teamd's log line, with `{}` for the value.
    /// `None`: the default replaces an invalid value.
    pub refusal: Option<&'static str>,
    /// One line of description.
    pub about: &'static str,
}

impl Key {
    /// Returns whether the runner or watch `name` reads the key.
    pub fn is_read_by(&self, name: &str) -> bool {
        self.read_by.is_empty() || self.read_by.contains(&name)
    }
}

/// Type and range of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// Lower limit.
        min: i64,
        /// Upper limit.
        max: i64,
        /// Unit of the number.
        unit: Unit,
    },
    /// A string with a form.
    Text(Form),
    /// One of these strings.
    Word(&'static [&'static str]),
    /// An array of some of these strings.
    Words(&'static [&'static str]),
    /// An array of strings that have this form.
    Texts(Form),
    /// An object with these keys.
    Object(Object),
    /// An object with the keys of a link watch, or an array of such objects.
    Watches,
    /// An object with a port for each interface name.
    Ports,
}

impl Kind {
    /// Returns the values of a key with few of them, or the words of which an array has some.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Kind::Boolean => &["true", "false"],
            Kind::Word(words) | Kind::Words(words) => words,
            _ => &[],
        }
    }
}

impl fmt::Display for Kind {
    /// Writes type, range and unit, such as `integer from 0 to 65535`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Boolean => f.write_str("true or false"),
            Kind::Integer { min, max, unit } => {
                write!(f, "integer from {min} to {max}{}", unit.suffix())
            }
            Kind::Text(_) => f.write_str("string"),
            Kind::Word(words) => write!(f, "one of {}", words.join(", ")),
            Kind::Words(words) => write!(f, "array of {}", words.join(", ")),
            Kind::Texts(_) => f.write_str("array of strings"),
            Kind::Watches => f.write_str("object or array of objects"),
            Kind::Object(_) | Kind::Ports => f.write_str("object"),
        }
    }
}

impl Unit {
    /// Returns the words after a number.
    fn suffix(self) -> &'static str {
        match self {
            Unit::One => "",
            Unit::Milliseconds => " milliseconds",
            Unit::TenthsOfSecond => " tenths of a second",
            Unit::Seconds => " seconds",
            Unit::Millionths => " millionths",
        }
    }
}

/// Unit of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// No unit.
    One,
    /// Milliseconds.
    Milliseconds,
    /// Tenths of a second.
    TenthsOfSecond,
    /// Seconds.
    Seconds,
    /// 1/1000000 of the whole.
    Millionths,
}

/// The form of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any string.
    Any,
    /// An interface name: 1 to 15 bytes without blank, `/` and `:`; not `.` and not `..`.
    InterfaceName,
    /// Six hexadecimal bytes with `:` between them; unicast, not all zero.
    HwAddr,
    /// An address or the name of a host; not empty.
    Host,
    /// An IPv4 or IPv6 address of one host.
    IpAddress,
    /// The interface part of a TIPC bearer: 1 to 31 bytes.
    Bearer,
    /// A [`Follower`](runners::Follower): an interface name, or `vf:PF/NUMBER`.
    Follower,
}

/// Value of an absent key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// No value, or a value that depends on other keys (see `about`).
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

/// Least C `int`, the type that teamd reads every integer into.
pub const INT_MIN: i64 = i32::MIN as i64;
/// Greatest C `int`; see [`INT_MIN`].
pub const INT_MAX: i64 = i32::MAX as i64;

/// The runners, by name.
pub const RUNNERS: &[&str] = &[
    "broadcast",
    "roundrobin",
    "random",
    "activebackup",
    "loadbalance",
    "lacp",
    "slb",
    "tlb",
    "alb",
];
