//! PDUs of AgentX as a subagent reads and writes them (RFC 2741, section 6), in network byte order.

/// Length of a header, in bytes.
pub const HEADER: usize = 20;
/// Longest payload of a PDU that is read, in bytes: that of an SNMP message over UDP.
const LONGEST: usize = 64 << 10;
/// Most parts of an object identifier (5.1).
const MOST_PARTS: usize = 128;

const VERSION: u8 = 1;
/// The payload begins with a context.
const NON_DEFAULT_CONTEXT: u8 = 0x08;
const NETWORK_BYTE_ORDER: u8 = 0x10;

/// Type of a PDU (6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    /// Open: begins a session.
    pub const OPEN: Kind = Kind(1);
    /// Close: ends a session.
    pub const CLOSE: Kind = Kind(2);
    /// Register: makes the subagent responsible for a subtree.
    pub const REGISTER: Kind = Kind(3);
    const GET: Kind = Kind(5);
    const GET_NEXT: Kind = Kind(6);
    const GET_BULK: Kind = Kind(7);
    const TEST_SET: Kind = Kind(8);
    const COMMIT_SET: Kind = Kind(9);
    const UNDO_SET: Kind = Kind(10);
    const CLEANUP_SET: Kind = Kind(11);
    /// Response to any other PDU.
    pub const RESPONSE: Kind = Kind(18);
}

/// An object identifier, in the order of a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oid(pub Vec<u32>);

/// The value of an object instance (5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// INTEGER and its enumerations.
    Integer(i32),
    /// OCTET STRING, BITS among them.
    Octets(Vec<u8>),
    /// Counter32.
    Counter(u32),
    /// TimeTicks, in 1/100 s.
    Ticks(u32),
    /// There is no object of this name.
    NoSuchObject,
    /// The object has no such instance.
    NoSuchInstance,
    /// There is no instance behind this name.
    EndOfMibView,
}

/// A name with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The name.
    pub name: Oid,
    /// The value.
    pub value: Value,
}

/// A range of names in a request (5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Name from which the search begins.
    pub start: Oid,
    /// Whether the search finds `start` itself.
    pub include: bool,
    /// Name before which the search ends; empty for no end.
    pub end: Oid,
}

/// The header of a PDU (6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of the PDU.
    pub kind: Kind,
    flags: u8,
    /// Number of the session, which the master agent chooses.
    pub session: u32,
    transaction: u32,
    /// Number of the PDU; a response repeats the number of its request.
    pub packet: u32,
    /// Length of the payload, in bytes.
    pub length: usize,
}

/// A PDU from the master agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The answer to a PDU of the subagent.
    Response {
        /// sysUpTime of the master agent, in 1/100 s.
        uptime: u32,
        /// Error code; 0 for success.
        error: u16,
    },
    /// The master agent closes the session for the reason with this number (6.2.2).
    Close(u8),
    /// A request.
    Request(Request),
}

/// A request of the master agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The values of the names at the starts of the ranges.
    Get(Vec<Range>),
    /// The first instance in each range.
    GetNext(Vec<Range>),
    /// The first instance in each of the first `once` ranges, and several instances in each other
    /// range.
    GetBulk {
        /// Number of ranges of which one instance is asked for.
        once: usize,
        /// Number of instances asked for in each other range.
        repetitions: usize,
        /// The ranges.
        ranges: Vec<Range>,
    },
    /// A test whether values can be set.
    TestSet,
    /// The step after a successful test.
    CommitSet,
    /// The step after a failed commit.
    UndoSet,
    /// The end of a set, which has no answer.
    CleanupSet,
}

impl Header {
    /// Returns the header of a PDU of the subagent.
    pub fn new(kind: Kind, session: u32, packet: u32) -> Self {
        Header { kind, flags: NETWORK_BYTE_ORDER, session, transaction: 0, packet, length: 0 }
    }

    /// Reads a header. Returns `None` for another version than 1, for a byte order other than that of
    /// the network, and for a length above `LONGEST`.
    pub fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [version, kind, flags, _] = reader.array()?;
        let mut number = || reader.u32();
        let (session, transaction, packet) = (number()?, number()?, number()?);
        let length = usize::try_from(number()?).ok()?;
        let is_sound = version == VERSION && flags & NETWORK_BYTE_ORDER != 0 && length <= LONGEST;
        is_sound.then_some(Header { kind: Kind(kind), flags, session, transaction, packet, length })
    }

    /// Returns the header of the response to this PDU.
    pub fn response(self) -> Self {
        Header { kind: Kind::RESPONSE, flags: NETWORK_BYTE_ORDER, ..self }
    }

    /// Returns the PDU of this header and `payload`, with the length of `payload`.
    pub fn pdu(self, payload: &[u8]) -> Vec<u8> {
        let mut pdu = vec![VERSION, self.kind.0, self.flags, 0];
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        for number in [self.session, self.transaction, self.packet, length] {
            pdu.extend(number.to_be_bytes());
        }
        pdu.extend(payload);
        pdu
    }

    /// Reads the payload of a PDU with this header; `None` if the payload is malformed or names a
    /// context, or if the type of the PDU is not one that a subagent receives.
    pub fn read(self, payload: &[u8]) -> Option<Received> {
        let mut reader = Reader(payload);
        if self.flags & NON_DEFAULT_CONTEXT != 0 {
            return None;
        }
        Some(Received::Request(match self.kind {
            Kind::RESPONSE => {
                let (uptime, error) = (reader.u32()?, reader.u16()?);
                return Some(Received::Response { uptime, error });
            }
            Kind::CLOSE => {
                let [reason] = reader.array()?;
                return Some(Received::Close(reason));
            }
            Kind::GET => Request::Get(reader.ranges()?),
            Kind::GET_NEXT => Request::GetNext(reader.ranges()?),
            Kind::GET_BULK => {
                let (once, repetitions) = (reader.u16()?.into(), reader.u16()?.into());
                Request::GetBulk { once, repetitions, ranges: reader.ranges()? }
            }
            Kind::TEST_SET => Request::TestSet,
            Kind::COMMIT_SET => Request::CommitSet,
            Kind::UNDO_SET => Request::UndoSet,
            Kind::CLEANUP_SET => Request::CleanupSet,
            _ => return None,
        }))
    }
}

/// Returns the payload of an Open PDU (6.2.1). `timeout` is the time in seconds that the master
/// agent waits for answers, `description` the name of the subagent.
pub fn open(timeout: u8, description: &str) -> Vec<u8> {
    let mut payload = vec![timeout, 0, 0, 0];
    write_oid(&Oid::default(), &mut payload);
    write_octets(description.as_bytes(), &mut payload);
    payload
}

/// Returns the payload of a Close PDU of a subagent that ends (6.2.2).
pub fn close() -> Vec<u8> {
    const SHUTDOWN: u8 = 5;
    vec![SHUTDOWN, 0, 0, 0]
}

/// Returns the payload of a Register PDU of the default priority (6.2.3).
pub fn register(subtree: &Oid) -> Vec<u8> {
    const DEFAULT_PRIORITY: u8 = 127;
    let mut payload = vec![0, DEFAULT_PRIORITY, 0, 0];
    write_oid(subtree, &mut payload);
    payload
}

/// Returns the payload of a Response PDU (6.2.16). `error` concerns the first binding; 0 is success.
pub fn response(error: u16, bindings: &[Binding]) -> Vec<u8> {
    let mut payload = vec![0; 4];
    payload.extend(error.to_be_bytes());
    payload.extend(u16::from(error != 0).to_be_bytes());
    for Binding { name, value } in bindings {
        let kind: u16 = match value {
            Value::Integer(_) => 2,
            Value::Octets(_) => 4,
            Value::Counter(_) => 65,
            Value::Ticks(_) => 67,
            Value::NoSuchObject => 128,
            Value::NoSuchInstance => 129,
            Value::EndOfMibView => 130,
        };
        payload.extend(kind.to_be_bytes());
        payload.extend([0, 0]);
        write_oid(name, &mut payload);
        match value {
            Value::Integer(number) => payload.extend(number.to_be_bytes()),
            Value::Counter(number) | Value::Ticks(number) => payload.extend(number.to_be_bytes()),
            Value::Octets(octets) => write_octets(octets, &mut payload),
            Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
        }
    }
    payload
}

/// Writes an object identifier without its compressed form (5.1).
fn write_oid(oid: &Oid, out: &mut Vec<u8>) {
    let count = u8::try_from(oid.0.len()).unwrap_or(u8::MAX);
    out.extend([count, 0, 0, 0]);
    out.extend(oid.0.iter().take(count.into()).flat_map(|part| part.to_be_bytes()));
}

/// Writes a string, padded to a multiple of four bytes (5.3).
fn write_octets(octets: &[u8], out: &mut Vec<u8>) {
    out.extend(u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(octets);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The bytes of a PDU that are not read yet.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads an object identifier and its field `include` (5.1).
    fn oid(&mut self) -> Option<(Oid, bool)> {
        let [count, prefix, include, _] = self.array()?;
        // 1.3.6.1.prefix: internet and a part below.
        let mut parts = match prefix {
            0 => Vec::new(),
            prefix => vec![1, 3, 6, 1, prefix.into()],
        };
        for _ in 0..count {
            parts.push(self.u32()?);
        }
        (parts.len() <= MOST_PARTS).then_some((Oid(parts), include != 0))
    }

    /// Reads ranges up to the end.
    fn ranges(&mut self) -> Option<Vec<Range>> {
        let mut ranges = Vec::new();
        while !self.0.is_empty() {
            let ((start, include), (end, _)) = (self.oid()?, self.oid()?);
            ranges.push(Range { start, include, end });
        }
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GetNext PDU for `1.2.840.10006.300.43` up to `1.2.840.10006.300.44`.
    const GET_NEXT: [u8; 76] = [
        1, 6, 0x10, 0, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 56, //
        6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 3, 72, 0, 0, 0x27, 0x16, 0, 0, 1, 44, 0, 0, 0,
        43, //
        6, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 3, 72, 0, 0, 0x27, 0x16, 0, 0, 1, 44, 0, 0, 0,
        44,
    ];

    fn read(pdu: &[u8]) -> Option<Received> {
        let (header, payload) = pdu.split_first_chunk()?;
        Header::parse(header)?.read(payload)
    }

    #[test]
    fn a_request_has_ranges() {
        let header = Header::parse(GET_NEXT.first_chunk().unwrap()).unwrap();
        assert_eq!((header.session, header.packet, header.length), (7, 9, 56));
        let oid = |last| Oid(vec![1, 2, 840, 10006, 300, last]);
        let range = Range { start: oid(43), include: false, end: oid(44) };
        assert_eq!(read(&GET_NEXT), Some(Received::Request(Request::GetNext(vec![range]))));
    }

    #[test]
    fn a_prefix_stands_for_1_3_6_1() {
        let range = [1, 2, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0];
        let pdu = Header::new(Kind::GET, 1, 2).pdu(&range);
        let start = Oid(vec![1, 3, 6, 1, 2, 9]);
        let range = Range { start, include: true, end: Oid::default() };
        assert_eq!(read(&pdu), Some(Received::Request(Request::Get(vec![range]))));
    }

    #[test]
    fn every_shortened_pdu_is_refused() {
        for length in HEADER + 1..GET_NEXT.len() {
            assert_eq!(read(&GET_NEXT[..length]), None, "{length}");
        }
        let mut long = GET_NEXT;
        long[17] = 0xff;
        assert_eq!(read(&long), None, "a length above the limit");
        let mut other = GET_NEXT;
        other[2] = 0;
        assert_eq!(read(&other), None, "the other byte order");
        let mut endless = vec![255, 0, 0, 0];
        endless.resize(4 + 255 * 4, 0);
        assert_eq!(read(&Header::new(Kind::GET, 1, 2).pdu(&endless)), None, "a name too long");
    }

    #[test]
    fn a_response_has_padded_strings() {
        let name = Oid(vec![1, 2]);
        let bindings = [Binding { name, value: Value::Octets(vec![1, 2, 3, 4, 5, 6]) }];
        let expected = [
            0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, //
            0, 0, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0,
        ];
        assert_eq!(response(0, &bindings), expected);
        assert_eq!(response(17, &[]), [0, 0, 0, 0, 0, 17, 0, 1]);
    }
}
