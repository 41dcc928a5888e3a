//! Every key of the configuration, once.
//!
//! The checker, the tolerant reader, the suggestions for unknown keys and the JSON Schema all
//! read this table; the manual page can too. It says what a key may hold, not what a team does
//! with it: that is the business of [`model`](crate::model) and of the core.
//!
//! Names, defaults and ranges are those of teamd.conf(5); `data_path`, `$schema`, `failback`,
//! `failback_delay`, `packets_per_port`, the words `srcmac` and `encap` of `tx_hash`, the
//! runner `slb` and `min_ports` outside lacp are additions of teamr.

mod table;

pub use table::KEYS;

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
    /// If it must be there: what teamd logs when it is not, or is of another type.
    pub required: Option<&'static str>,
    /// If teamd writes it, which it cannot in place of a value of another type: what it then
    /// logs. None: a value of another type counts as absent.
    pub written: Option<&'static str>,
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
    /// Seconds.
    Seconds,
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
    "slb",
    "tlb",
    "alb",
];
