//! ZeroMQ's wire protocol, encoded and decoded for daemon and client.
//!
//! Pure: bytes in, bytes out. Standard: ZMTP 3.0 (rfc.zeromq.org/spec/23) with the mechanism
//! NULL, which libzmq speaks since 4.0.

use std::fmt;
use std::ops::Range;

/// Length of a greeting.
pub const GREETING: usize = 64;

/// Role in requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends requests.
    Req,
    /// Sends replies.
    Rep,
}

/// The peer's bytes are no ZeroMQ, or the message is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what came is no ZeroMQ message")
    }
}

impl std::error::Error for Malformed {}

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Returns the first bytes of a connection: signature, version 3.0, mechanism, filler.
pub fn greeting() -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    bytes[0] = 0xff;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes[12..16].copy_from_slice(b"NULL");
    bytes
}

/// Checks that a greeting has a supported version and mechanism.
pub fn check_greeting(bytes: &[u8; GREETING]) -> Result<(), Malformed> {
    let mut mechanism = [0; 20];
    mechanism[..4].copy_from_slice(b"NULL");
    let signed = bytes[0] == 0xff && bytes[9] & 1 == 1;
    match signed && bytes[10] >= 3 && bytes[12..32] == mechanism {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// Returns the command that follows the greeting.
pub fn ready(role: Role) -> Vec<u8> {
    let role = match role {
        Role::Req => "REQ",
        Role::Rep => "REP",
    };
    let mut body = b"\x05READY\x0bSocket-Type".to_vec();
    body.extend((role.len() as u32).to_be_bytes());
    body.extend(role.as_bytes());
    frame(COMMAND, &body)
}

/// Encodes a message: the envelope, an empty part and the body.
pub fn message(envelope: &[Vec<u8>], body: &[u8]) -> Vec<u8> {
    let parts = envelope.iter().map(Vec::as_slice).chain([&[][..]]);
    let mut bytes: Vec<u8> = parts.flat_map(|part| frame(MORE, part)).collect();
    bytes.extend(frame(0, body));
    bytes
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => {
            let mut bytes = vec![flags | LONG];
            bytes.extend((body.len() as u64).to_be_bytes());
            bytes
        }
    };
    bytes.extend(body);
    bytes
}

/// A frame at the beginning of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The frame is a command of the protocol.
    pub is_command: bool,
    /// The message continues in the next frame.
    pub more: bool,
    /// Range of the body in the bytes.
    pub body: Range<usize>,
}

impl Frame {
    /// Returns the first frame of the bytes, if the frame is complete. A body has at most `limit`
    /// bytes.
    pub fn first(bytes: &[u8], limit: usize) -> Result<Option<Frame>, Malformed> {
        let [flags, rest @ ..] = bytes else {
            return Ok(None);
        };
        let is_command = flags & COMMAND != 0;
        if flags & !(MORE | LONG | COMMAND) != 0 || (is_command && flags & MORE != 0) {
            return Err(Malformed);
        }
        let (begin, length) = match (flags & LONG != 0, rest) {
            (false, [length, ..]) => (2, u64::from(*length)),
            (true, [a, b, c, d, e, f, g, h, ..]) => {
                (9, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
            }
            _ => return Ok(None),
        };
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        if length > limit {
            return Err(Malformed);
        }
        let body = begin..begin + length;
        Ok((body.end <= bytes.len()).then_some(Frame {
            is_command,
            more: flags & MORE != 0,
            body,
        }))
    }
}

/// The receiving side of a connection. [`opening`](Self::opening) returns the bytes to send first.
#[derive(Debug)]
pub struct Session {
    limit: usize,
    greeted: bool,
    incoming: Vec<u8>,
    parts: Vec<Vec<u8>>,
}

/// A complete message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The parts before the empty one, which a reply repeats.
    pub envelope: Vec<Vec<u8>>,
    /// The part after the empty one.
    pub body: Vec<u8>,
}

impl Session {
    /// Returns a session for messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Session {
            limit,
            greeted: false,
            incoming: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Returns the bytes to send first.
    pub fn opening(role: Role) -> Vec<u8> {
        [&greeting()[..], &ready(role)].concat()
    }

    /// Adds received bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    /// Returns the next message, if one is complete.
    pub fn next_message(&mut self) -> Result<Option<Message>, Malformed> {
        if !self.greeted {
            let Some(greeting) = self.incoming.first_chunk::<GREETING>() else {
                return Ok(None);
            };
            check_greeting(greeting)?;
            self.incoming.drain(..GREETING);
            self.greeted = true;
        }
        while let Some(frame) = Frame::first(&self.incoming, self.limit)? {
            let body = self.incoming[frame.body.clone()].to_vec();
            self.incoming.drain(..frame.body.end);
            if self.incoming.is_empty() {
                // Frees the room of a long message.
                self.incoming = Vec::new();
            }
            // READY has nothing of use, and no other command is expected.
            if frame.is_command {
                continue;
            }
            self.parts.push(body);
            // Empty parts count too, so that their number has a limit.
            if self.parts.iter().map(|part| part.len() + 1).sum::<usize>() > self.limit {
                return Err(Malformed);
            }
            if frame.more {
                continue;
            }
            let mut envelope = std::mem::take(&mut self.parts);
            // A message without an empty part is no request ("REQ/REP", rfc.zeromq.org/spec/28).
            let Some(end) = envelope.iter().position(Vec::is_empty) else {
                continue;
            };
            let body = envelope.drain(end..).nth(1).unwrap_or_default();
            return Ok(Some(Message { envelope, body }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// READY of a REQ socket of libzmq 4.3, which has an empty identity and follows greeting 3.1.
    const READY: &[u8] =
        b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00";

    #[test]
    fn a_later_version_is_accepted() {
        let mut session = Session::new(100);
        let mut bytes = greeting();
        bytes[11] = 1;
        session.take(&bytes);
        session.take(READY);
        session.take(b"\x01\x00\x00\x02hi");
        let expected = Message {
            envelope: vec![],
            body: b"hi".to_vec(),
        };
        assert_eq!(session.next_message(), Ok(Some(expected)));
        assert_eq!(session.next_message(), Ok(None));
    }

    #[test]
    fn malformed_bytes_are_an_error() {
        let with = |change: fn(&mut [u8; GREETING]), more: &[u8]| {
            let mut bytes = greeting();
            change(&mut bytes);
            let mut session = Session::new(100);
            session.take(&bytes);
            session.take(more);
            session.next_message()
        };
        assert_eq!(with(|_| (), b"\x00"), Ok(None));
        assert_eq!(with(|bytes| bytes[0] = b'G', b""), Err(Malformed));
        assert_eq!(with(|bytes| bytes[10] = 1, b""), Err(Malformed));
        assert_eq!(with(|bytes| bytes[12] = b'C', b""), Err(Malformed));
        assert_eq!(with(|_| (), b"\x08"), Err(Malformed));
        assert_eq!(with(|_| (), b"\x00\x65"), Err(Malformed));
        assert_eq!(with(|_| (), b"\x02\xff\0\0\0\0\0\0\0"), Err(Malformed));
        assert_eq!(with(|_| (), &b"\x01\x00".repeat(101)), Err(Malformed));
        // The peer is no REQ socket, which waits for a reply.
        assert_eq!(with(|_| (), b"\x00\x02hi"), Ok(None));
    }

    proptest! {
        #[test]
        fn a_message_is_received_in_any_pieces(
            envelope in prop::collection::vec("[a-z]{1,9}", 0..3),
            body in prop::collection::vec(any::<u8>(), 0..600),
            piece in 1..100_usize,
        ) {
            let envelope: Vec<Vec<u8>> = envelope.into_iter().map(String::into_bytes).collect();
            let mut bytes = Session::opening(Role::Req);
            bytes.extend(message(&envelope, &body));
            let mut session = Session::new(1000);
            let mut received = None;
            for piece in bytes.chunks(piece) {
                prop_assert_eq!(&received, &None);
                session.take(piece);
                received = session.next_message().unwrap();
            }
            prop_assert_eq!(received, Some(Message { envelope, body }));
        }

        #[test]
        fn any_bytes_are_received_without_panic(bytes: Vec<u8>) {
            let mut session = Session::new(100);
            session.take(&greeting());
            session.take(&bytes);
            while let Ok(Some(_)) = session.next_message() {}
        }
    }
}
