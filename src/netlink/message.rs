//! Netlink messages and attributes: a builder and two length-checked iterators.
//!
//! Own codec rather than a crate: the daemon speaks a dozen messages, and the team driver's
//! replies break the general rules (an empty DONE, an ACK after it, flags as absent
//! attributes). Source: netlink(7), rtnetlink(7). Every length comes from outside and is
//! checked; a malformed message or attribute ends its iterator.

/// Bytes of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Messages and attributes start at multiples of this.
const ALIGN: usize = 4;
/// Attribute types carry two flag bits on top (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
const TYPE_MASK: u16 = 0x3fff;

const fn aligned(length: usize) -> usize {
    (length + ALIGN - 1) & !(ALIGN - 1)
}

/// A request under construction.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A message of type `kind` with `NLM_F_REQUEST` and `flags`, followed by a fixed `body`
    /// such as `struct ifinfomsg`.
    pub fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        let flags = flags | libc::NLM_F_REQUEST as u16;
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Request { bytes }.structure(body)
    }

    /// Appends an attribute.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = (ALIGN + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    /// Appends a 32-bit attribute in host order.
    pub fn attribute_u32(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends a string with its terminating NUL.
    pub fn attribute_str(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Appends a fixed structure, with which the contents of some attributes begin.
    pub fn structure(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    /// Appends an attribute that holds what `fill` appends.
    pub fn nest(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes
            .extend_from_slice(&(kind | libc::NLA_F_NESTED as u16).to_ne_bytes());
        let mut filled = fill(self);
        let length = (filled.bytes.len() - start) as u16;
        filled.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled
    }

    /// The finished message under sequence number `sequence`, asking for an ACK if `ack`.
    pub fn finish(mut self, sequence: u32, ack: bool) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        if ack {
            self.bytes[6] |= libc::NLM_F_ACK as u8;
        }
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// One received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// Sequence number of the request that it answers; 0 in events.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The error number of an `NLMSG_ERROR`, 0 for an ACK; none for other messages.
    pub fn error(&self) -> Option<i32> {
        if i32::from(self.kind) != libc::NLMSG_ERROR {
            return None;
        }
        let code = read_u32(self.payload, 0)? as i32;
        Some(code.checked_neg().unwrap_or(libc::EPROTO))
    }

    /// The last message of a multi-part answer. Its payload may be empty (the team driver's is).
    pub fn is_done(&self) -> bool {
        i32::from(self.kind) == libc::NLMSG_DONE
    }

    /// The dump was interrupted by a change and must be repeated.
    pub fn is_interrupted(&self) -> bool {
        i32::from(self.flags) & libc::NLM_F_DUMP_INTR != 0
    }
}

/// The messages of one datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = read_u32(self.0, 0)? as usize;
        if length < HEADER || length > self.0.len() {
            return None;
        }
        let message = Message {
            kind: read_u16(self.0, 4)?,
            flags: read_u16(self.0, 6)?,
            sequence: read_u32(self.0, 8)?,
            payload: &self.0[HEADER..length],
        };
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes of a message's tail or of a nest, as (type, value).
#[derive(Clone, Debug)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(read_u16(self.0, 0)?);
        let kind = read_u16(self.0, 2)? & TYPE_MASK;
        if length < ALIGN || length > self.0.len() {
            return None;
        }
        let value = &self.0[ALIGN..length];
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Host-order u16 at `offset`.
pub fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    let field = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_ne_bytes(field.try_into().ok()?))
}

/// Host-order u32 at `offset`.
pub fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

/// A string attribute without its NUL; none if it is not UTF-8.
pub fn read_str(value: &[u8]) -> Option<&str> {
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_reads_back() {
        let bytes = Request::new(16, 0, &[7; 16])
            .attribute_str(3, "eth0")
            .nest(18, |nest| nest.attribute_u32(1, 9).attribute(2, &[1, 2, 3]))
            .finish(42, true);
        let message = Messages(&bytes).next().unwrap();
        assert_eq!((message.kind, message.sequence), (16, 42));
        assert_eq!(
            i32::from(message.flags),
            libc::NLM_F_REQUEST | libc::NLM_F_ACK
        );
        let attributes: Vec<_> = Attributes(&message.payload[16..]).collect();
        assert_eq!(attributes[0], (3, &b"eth0\0"[..]));
        let nested: Vec<_> = Attributes(attributes[1].1).collect();
        assert_eq!(nested[0], (1, &9u32.to_ne_bytes()[..]));
        assert_eq!(nested[1], (2, &[1, 2, 3][..]));
        assert_eq!(Messages(&bytes).count(), 1);
    }

    #[test]
    fn an_error_code_that_cannot_be_negated_is_a_protocol_error() {
        let payload = i32::MIN.to_ne_bytes();
        let message = Message {
            kind: libc::NLMSG_ERROR as u16,
            flags: 0,
            sequence: 1,
            payload: &payload,
        };
        assert_eq!(message.error(), Some(libc::EPROTO));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for message in Messages(&bytes) {
                let _ = message.error();
                for (_, value) in Attributes(message.payload) {
                    let _ = read_str(value);
                    let _ = Attributes(value).count();
                }
            }
        }
    }
}
