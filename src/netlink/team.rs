//! The generic family `team` of the kernel's team driver: options and ports, as bytes.
//!
//! Pure: parses messages and writes requests; the data path uses the options. Unknown attributes
//! are skipped; so is an option of an unknown type, or whose value does not fit its type. Source:
//! `linux/if_team.h`.

#[cfg(all(test, target_endian = "little"))]
mod tests;

use std::borrow::Cow;

use super::bpf::{Instruction, JUMP_EQUAL, LOAD_HALF, LOAD_WORD, RETURN};
use super::genl;
use super::message::{
    self, Attributes, Message, Request, attribute, read_str, read_u32, until_nul,
};

/// Name of the family.
pub const FAMILY: &str = "team";
/// Its only multicast group.
pub const EVENTS: &str = "change_event";

/// Requests.
const OPTIONS_SET: u8 = 1;
const OPTIONS_GET: u8 = 2;
const PORT_LIST_GET: u8 = 3;

const TEAM_IFINDEX: u16 = 1;
const LIST_OPTION: u16 = 2;
const LIST_PORT: u16 = 3;

/// Offset of a message's first attribute, behind the headers of netlink and of generic netlink.
const FIRST_ATTRIBUTE: u32 = (message::HEADER + genl::HEADER) as u32;

/// Type of an item in either list.
const ITEM: u16 = 1;

mod option {
    pub const NAME: u16 = 1;
    pub const CHANGED: u16 = 2;
    pub const TYPE: u16 = 3;
    pub const DATA: u16 = 4;
    pub const REMOVED: u16 = 5;
    pub const PORT_IFINDEX: u16 = 6;
    pub const ARRAY_INDEX: u16 = 7;
}

mod port {
    pub const IFINDEX: u16 = 1;
    pub const CHANGED: u16 = 2;
    pub const LINKUP: u16 = 3;
    pub const SPEED: u16 = 4;
    pub const DUPLEX: u16 = 5;
    pub const REMOVED: u16 = 6;
}

/// Names of the options that the daemon uses.
pub mod name {
    macro_rules! names {
        ($($(#[$doc:meta])* $constant:ident = $text:literal;)*) => {
            $($(#[$doc])* pub const $constant: &str = $text;)*
            /// All of them.
            pub(super) const ALL: &[&str] = &[$($constant),*];
        };
    }
    names! {
        /// Mode, which chooses the port of each frame; text.
        MODE = "mode";
        /// Number of announcements after a port is enabled, and the interval in milliseconds.
        NOTIFY_PEERS_COUNT = "notify_peers_count";
        /// See [`NOTIFY_PEERS_COUNT`].
        NOTIFY_PEERS_INTERVAL = "notify_peers_interval";
        /// As [`NOTIFY_PEERS_COUNT`], for multicast membership reports.
        MCAST_REJOIN_COUNT = "mcast_rejoin_count";
        /// See [`MCAST_REJOIN_COUNT`].
        MCAST_REJOIN_INTERVAL = "mcast_rejoin_interval";
        /// Per port: the port receives and transmits.
        ENABLED = "enabled";
        /// Per port: the port receives; drivers of 2026 and later.
        RX_ENABLED = "rx_enabled";
        /// Per port: the port transmits. [`ENABLED`] sets both, and is true if both are.
        TX_ENABLED = "tx_enabled";
        /// Per port: state of the link as set by the daemon, used if …
        USER_LINKUP = "user_linkup";
        /// … this is on.
        USER_LINKUP_ENABLED = "user_linkup_enabled";
        /// Per port: orders ports of one queue.
        PRIORITY = "priority";
        /// Per port: transmit queue that is steered to the port.
        QUEUE_ID = "queue_id";
        /// activebackup: interface index of the active port.
        ACTIVEPORT = "activeport";
        /// loadbalance: classic BPF program.
        BPF_HASH_FUNC = "bpf_hash_func";
        /// loadbalance: `hash` or `hash_to_port_mapping`.
        LB_TX_METHOD = "lb_tx_method";
        /// loadbalance, by bucket: interface index of its port.
        LB_TX_HASH_TO_PORT_MAPPING = "lb_tx_hash_to_port_mapping";
        /// loadbalance, by bucket: bytes sent, 64 bits.
        LB_HASH_STATS = "lb_hash_stats";
        /// loadbalance: interval of counting the bytes, in tenths of a second.
        LB_STATS_REFRESH_INTERVAL = "lb_stats_refresh_interval";
    }
}

/// Value types, by the kernel's internal numbers of netlink attribute types.
mod value_type {
    pub const U32: u8 = 3;
    pub const STRING: u8 = 5;
    pub const FLAG: u8 = 6;
    pub const BINARY: u8 = 11;
    pub const S32: u8 = 14;
}

/// Identifies an instance of an option.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OptionId {
    /// Name.
    pub name: Cow<'static, str>,
    /// Interface index of the port, for options of a port.
    pub port: Option<u32>,
    /// Index in an array, for options that are arrays.
    pub index: Option<u32>,
}

impl OptionId {
    /// Returns the id of an option of the whole team.
    pub const fn team(name: &'static str) -> Self {
        OptionId { name: Cow::Borrowed(name), port: None, index: None }
    }

    /// Returns the id of an option of the port with this interface index.
    pub const fn port(name: &'static str, ifindex: u32) -> Self {
        OptionId { name: Cow::Borrowed(name), port: Some(ifindex), index: None }
    }

    /// Returns the id of an element of an array of the whole team.
    pub const fn element(name: &'static str, index: u32) -> Self {
        OptionId { name: Cow::Borrowed(name), port: None, index: Some(index) }
    }
}

/// Returns a name; the names that the daemon uses, which come by arrays of 256, are not copied.
fn interned(text: &str) -> Cow<'static, str> {
    match name::ALL.iter().find(|known| **known == text) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(text.to_owned()),
    }
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    U32(u32),
    /// A number that may be negative.
    S32(i32),
    /// Yes or no.
    Bool(bool),
    /// A text; bytes that are not UTF-8 are replaced.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Value {
    fn type_number(&self) -> u8 {
        match self {
            Value::U32(_) => value_type::U32,
            Value::S32(_) => value_type::S32,
            Value::Bool(_) => value_type::FLAG,
            Value::Text(_) => value_type::STRING,
            Value::Binary(_) => value_type::BINARY,
        }
    }

    fn parse(type_number: u8, data: Option<&[u8]>) -> Option<Value> {
        Some(match type_number {
            value_type::U32 => Value::U32(read_u32(data?, 0)?),
            value_type::S32 => Value::S32(read_u32(data?, 0)? as i32),
            // True by its presence, whatever the value.
            value_type::FLAG => Value::Bool(data.is_some()),
            value_type::STRING => {
                Value::Text(String::from_utf8_lossy(until_nul(data?)).into_owned())
            }
            value_type::BINARY => Value::Binary(data?.to_vec()),
            _ => return None,
        })
    }
}

/// An instance of an option and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamOption {
    /// Identifies the instance.
    pub id: OptionId,
    /// The value.
    pub value: Value,
    /// This is the first message since the change; another reader may have caused an earlier one.
    pub changed: bool,
    /// The option is removed, with its port or with its mode.
    pub removed: bool,
}

impl TeamOption {
    fn parse(nest: &[u8]) -> Option<TeamOption> {
        let mut id = OptionId::team("");
        let mut type_number = None;
        let mut data = None;
        let (mut changed, mut removed) = (false, false);
        for (kind, value) in Attributes(nest) {
            match kind {
                option::NAME => id.name = interned(read_str(value)?),
                option::TYPE => type_number = value.first().copied(),
                option::DATA => data = Some(value),
                option::PORT_IFINDEX => id.port = Some(read_u32(value, 0)?),
                option::ARRAY_INDEX => id.index = Some(read_u32(value, 0)?),
                option::CHANGED => changed = true,
                option::REMOVED => removed = true,
                _ => (),
            }
        }
        if id.name.is_empty() {
            return None;
        }
        Some(TeamOption { id, value: Value::parse(type_number?, data)?, changed, removed })
    }
}

/// A port in the driver's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamPort {
    /// Interface index.
    pub ifindex: u32,
    /// The port has a link, regardless of `user_linkup`.
    pub linkup: bool,
    /// Speed in Mbit/s; 0 while down, `u32::MAX` if unknown.
    pub speed: u32,
    /// 0 for half duplex and while down, 1 for full, 255 if unknown.
    pub duplex: u8,
    /// See [`TeamOption::changed`].
    pub changed: bool,
    /// The port has left the team.
    pub removed: bool,
}

impl TeamPort {
    fn parse(nest: &[u8]) -> Option<TeamPort> {
        let value = |kind| attribute(nest, kind);
        Some(TeamPort {
            ifindex: read_u32(value(port::IFINDEX)?, 0)?,
            linkup: value(port::LINKUP).is_some(),
            speed: value(port::SPEED).map_or(Some(0), |speed| read_u32(speed, 0))?,
            duplex: value(port::DUPLEX).map_or(Some(0), |duplex| duplex.first().copied())?,
            changed: value(port::CHANGED).is_some(),
            removed: value(port::REMOVED).is_some(),
        })
    }
}

/// The contents of a message of the family, an answer or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TeamMessage {
    /// Options.
    Options(Vec<TeamOption>),
    /// Ports.
    Ports(Vec<TeamPort>),
}

/// Returns the filter of a socket for events of the device with this index: events that begin with
/// another index are dropped. All of the driver's events begin with one.
pub fn device_filter(ifindex: u32) -> [Instruction; 6] {
    // The filter loads bytes in network byte order.
    let kind = u32::from(TEAM_IFINDEX.to_be());
    [
        (LOAD_HALF, 0, 0, FIRST_ATTRIBUTE + 2),
        (JUMP_EQUAL, 0, 2, kind),
        (LOAD_WORD, 0, 0, FIRST_ATTRIBUTE + 4),
        (JUMP_EQUAL, 0, 1, ifindex.to_be()),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ]
}

/// Parses a message of the family about the team device `ifindex`; `None` for other messages.
///
/// The driver sends events about a device that is being created with index 0.
pub fn parse(family: u16, ifindex: u32, message: &Message<'_>) -> Option<TeamMessage> {
    if message.kind != family {
        return None;
    }
    let command = *message.payload.first()?;
    let attributes = message.payload.get(genl::HEADER..)?;
    if read_u32(attribute(attributes, TEAM_IFINDEX)?, 0)? != ifindex {
        return None;
    }
    let items = |list| {
        let items = Attributes(attribute(attributes, list).unwrap_or_default());
        items.filter(|(kind, _)| *kind == ITEM).map(|(_, nest)| nest)
    };
    match command {
        OPTIONS_GET => {
            Some(TeamMessage::Options(items(LIST_OPTION).filter_map(TeamOption::parse).collect()))
        }
        PORT_LIST_GET => {
            Some(TeamMessage::Ports(items(LIST_PORT).filter_map(TeamPort::parse).collect()))
        }
        _ => None,
    }
}

fn request(family: u16, command: u8, ifindex: u32) -> Request {
    Request::new(family, 0, &genl::header(command)).attribute_u32(TEAM_IFINDEX, ifindex)
}

/// Returns a request for all options; the driver answers `EOPNOTSUPP` to the flag of a dump.
pub fn options_request(family: u16, ifindex: u32) -> Request {
    request(family, OPTIONS_GET, ifindex)
}

/// Returns a request for all ports.
pub fn ports_request(family: u16, ifindex: u32) -> Request {
    request(family, PORT_LIST_GET, ifindex)
}

/// Returns a request to set options, in this order; the driver stops at the first that fails.
pub fn set_request(family: u16, ifindex: u32, options: &[(OptionId, Value)]) -> Request {
    request(family, OPTIONS_SET, ifindex).nest(LIST_OPTION, |mut list| {
        for (id, value) in options {
            list = list.nest(ITEM, |item| write_option(item, id, value));
        }
        list
    })
}

fn write_option(mut item: Request, id: &OptionId, value: &Value) -> Request {
    item =
        item.attribute_str(option::NAME, &id.name).attribute(option::TYPE, &[value.type_number()]);
    if let Some(ifindex) = id.port {
        item = item.attribute_u32(option::PORT_IFINDEX, ifindex);
    }
    if let Some(index) = id.index {
        item = item.attribute_u32(option::ARRAY_INDEX, index);
    }
    match value {
        Value::U32(number) => item.attribute_u32(option::DATA, *number),
        Value::S32(number) => item.attribute(option::DATA, &number.to_ne_bytes()),
        Value::Bool(true) => item.attribute(option::DATA, &[]),
        // An attribute with any value would be true.
        Value::Bool(false) => item,
        Value::Text(text) => item.attribute_str(option::DATA, text),
        Value::Binary(bytes) => item.attribute(option::DATA, bytes),
    }
}
