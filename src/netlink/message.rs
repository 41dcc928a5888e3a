//! Netlink messages and attributes: a builder and two length-checked iterators.
//!
//! No crate is used: the daemon sends a dozen kinds of messages, and the team driver's answers
//! break the general rules (an empty DONE, an ACK after it, flags as absent attributes). Source:
//! netlink(7), rtnetlink(7). Every received length is checked; a malformed message or attribute
//! ends its iterator.

use std::io;

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
    kind: u16,
    flags: u16,
    contents: Vec<u8>,
    /// Type of an attribute that is longer than the format permits.
    too_long: Option<u16>,
}

impl Request {
    /// Returns a message of type `kind` with `NLM_F_REQUEST` and `flags`, followed by a fixed
    /// `body` such as `struct ifinfomsg`.
    pub fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let flags = flags | libc::NLM_F_REQUEST as u16;
        Request { kind, flags, contents: Vec::new(), too_long: None }.structure(body)
    }

    /// Appends an attribute; [`finish`](Self::finish) fails if it is longer than 65,531 bytes.
    pub fn attribute(self, kind: u16, value: &[u8]) -> Self {
        let Ok(length) = u16::try_from(ALIGN + value.len()) else {
            return Request { too_long: Some(kind & TYPE_MASK), ..self };
        };
        self.structure(&[&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat())
    }

    /// Appends a 32-bit attribute in host byte order.
    pub fn attribute_u32(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends a string with its terminating NUL.
    pub fn attribute_str(self, kind: u16, value: &str) -> Self {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends a fixed structure, which the contents of some attributes begin with.
    pub fn structure(mut self, value: &[u8]) -> Self {
        self.contents.extend_from_slice(value);
        self.contents.resize(aligned(self.contents.len()), 0);
        self
    }

    /// Appends an attribute whose contents `fill` appends.
    pub fn nest(self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let nest = fill(Request { contents: Vec::new(), ..self });
        Request { too_long: nest.too_long, ..self }
            .attribute(kind | libc::NLA_F_NESTED as u16, &nest.contents)
    }

    /// Returns the finished message with a sequence number, and the flag for an ACK if `ack`.
    ///
    /// # Errors
    /// `InvalidInput` if an attribute is too long for its 16 bits of length.
    pub fn finish(self, sequence: u32, ack: bool) -> io::Result<Vec<u8>> {
        if let Some(kind) = self.too_long {
            let error = format!("netlink attribute {kind} is longer than 65,531 bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let length = (HEADER + self.contents.len()) as u32;
        let flags = self.flags | if ack { libc::NLM_F_ACK as u16 } else { 0 };
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([self.kind, flags].map(u16::to_ne_bytes).as_flattened());
        bytes.extend([sequence, 0].map(u32::to_ne_bytes).as_flattened());
        bytes.extend(self.contents);
        Ok(bytes)
    }
}

/// One received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// Sequence number of the answered request; 0 in events.
    pub sequence: u32,
    /// Port id of the socket whose request is answered, or has caused the event; 0 if the kernel names
    /// none.
    pub port: u32,
    /// Bytes after the header.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// Returns the error number of an `NLMSG_ERROR`, 0 for an ACK; `None` for other messages.
    pub fn error(&self) -> Option<i32> {
        if i32::from(self.kind) != libc::NLMSG_ERROR {
            return None;
        }
        let code = read_u32(self.payload, 0)? as i32;
        Some(code.checked_neg().unwrap_or(libc::EPROTO))
    }

    /// Whether this is the last message of a multi-part answer; its payload may be empty.
    pub fn is_done(&self) -> bool {
        i32::from(self.kind) == libc::NLMSG_DONE
    }

    /// Whether a change interrupted the dump, which must be repeated.
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
        let message = Message {
            kind: read_u16(self.0, 4)?,
            flags: read_u16(self.0, 6)?,
            sequence: read_u32(self.0, 8)?,
            port: read_u32(self.0, 12)?,
            payload: self.0.get(HEADER..length)?,
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
        let value = self.0.get(ALIGN..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Returns the value of the first attribute of this type.
pub fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(attributes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// Reads a u16 at `offset`, in host byte order.
pub fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Reads a u32 at `offset`, in host byte order.
pub fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Reads a u64 at `offset`, in host byte order.
pub fn read_u64(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Returns a string attribute without its NUL; `None` if it is not UTF-8.
pub fn read_str(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(until_nul(value)).ok()
}

/// Returns the bytes before the first zero.
pub fn until_nul(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_parsed_as_it_was_written() {
        let bytes = Request::new(16, 0, &[7; 16])
            .attribute_str(3, "eth0")
            .nest(18, |nest| nest.attribute_u32(1, 9).attribute(2, &[1, 2, 3]))
            .finish(42, true)
            .unwrap();
        let message = Messages(&bytes).next().unwrap();
        assert_eq!((message.kind, message.sequence), (16, 42));
        assert_eq!(i32::from(message.flags), libc::NLM_F_REQUEST | libc::NLM_F_ACK);
        let attributes: Vec<_> = Attributes(&message.payload[16..]).collect();
        assert_eq!(attributes[0], (3, &b"eth0\0"[..]));
        let nested: Vec<_> = Attributes(attributes[1].1).collect();
        assert_eq!(nested[0], (1, &9u32.to_ne_bytes()[..]));
        assert_eq!(nested[1], (2, &[1, 2, 3][..]));
        assert_eq!(Messages(&bytes).count(), 1);
    }

    #[test]
    fn an_attribute_that_is_too_long_makes_no_message() {
        let request = |length: usize| Request::new(16, 0, &[]).attribute(3, &vec![0; length]);
        let bytes = request(65_531).finish(1, false).unwrap();
        assert_eq!(Attributes(&bytes[HEADER..]).next().map(|(_, value)| value.len()), Some(65_531));
        let nested =
            |length| Request::new(16, 0, &[]).nest(18, |nest| nest.attribute(3, &vec![0; length]));
        for request in [request(65_532), request(65_536), nested(65_528), nested(70_000)] {
            let refused = request.attribute_u32(5, 1).finish(1, false);
            assert!(refused.is_err_and(|error| error.to_string().contains("longer than 65,531")));
        }
    }

    #[test]
    fn an_error_code_that_cannot_be_negated_is_a_protocol_error() {
        let payload = i32::MIN.to_ne_bytes();
        let kind = libc::NLMSG_ERROR as u16;
        let message = Message { kind, flags: 0, sequence: 1, port: 0, payload: &payload };
        assert_eq!(message.error(), Some(libc::EPROTO));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
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
