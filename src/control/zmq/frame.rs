//! ZeroMQ's wire protocol as bytes, both directions of both ends.
//!
//! Pure: bytes in, bytes out. Standard: ZMTP 3.0 (rfc.zeromq.org/spec/23) with the mechanism
//! NULL, which libzmq speaks since 4.0.

use std::fmt;
use std::ops::Range;

/// Length of a greeting.
pub const GREETING: usize = 64;

/// Who takes part in requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Asks.
    Req,
    /// Answers.
    Rep,
}

/// The peer speaks something else, or more than is borne.
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

/// What a peer sends first: signature, version 3.0, mechanism, filler.
pub fn greeting() -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    bytes[0] = 0xff;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes[12..16].copy_from_slice(b"NULL");
    bytes
}

/// Whether a greeting is that of a peer that we understand.
pub fn check_greeting(bytes: &[u8; GREETING]) -> Result<(), Malformed> {
    let mut mechanism = [0; 20];
    mechanism[..4].copy_from_slice(b"NULL");
    let signed = bytes[0] == 0xff && bytes[9] & 1 == 1;
    match signed && bytes[10] >= 3 && bytes[12..32] == mechanism {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// The command that follows the greeting.
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

/// A message in bytes; its last part is what is meant, those before say whom it is for.
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

/// A frame at the begin of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Not for the application.
    pub is_command: bool,
    /// Its message goes on in the next one.
    pub more: bool,
    /// Where its body is.
    pub body: Range<usize>,
}

impl Frame {
    /// The first frame of the bytes, if it is there whole. A body may have so many bytes.
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

/// One end of a connection: what has come of the peer's bytes.
///
/// Feed it with [`take`](Self::take); what it wants sent before anything else is what
/// [`opening`](Self::opening) gives.
#[derive(Debug)]
pub struct Session {
    limit: usize,
    greeted: bool,
    incoming: Vec<u8>,
    parts: Vec<Vec<u8>>,
}

/// A message that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The parts before the empty one; a reply goes by them.
    pub envelope: Vec<Vec<u8>>,
    /// The part after it.
    pub body: Vec<u8>,
}

impl Session {
    /// For messages of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Session {
            limit,
            greeted: false,
            incoming: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// What to send first.
    pub fn opening(role: Role) -> Vec<u8> {
        [&greeting()[..], &ready(role)].concat()
    }

    /// Takes bytes of the peer.
    pub fn take(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    /// The next message, if one is complete.
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
                // One long message shall not keep its room for ever.
                self.incoming = Vec::new();
            }
            // READY tells nothing that matters, and we ask for no other command.
            if frame.is_command {
                continue;
            }
            self.parts.push(body);
            // An empty part costs something, too.
            if self.parts.iter().map(|part| part.len() + 1).sum::<usize>() > self.limit {
                return Err(Malformed);
            }
            if frame.more {
                continue;
            }
            let mut envelope = std::mem::take(&mut self.parts);
            // Without an empty part it is no request ("REQ/REP", rfc.zeromq.org/spec/28).
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

    /// What a REQ socket of libzmq 4.3 sends: greeting 3.1, READY with an empty identity.
    const READY: &[u8] =
        b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00";

    #[test]
    fn a_peer_of_a_later_version_is_heard() {
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
    fn what_is_not_understood_ends_it() {
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
        // Nobody who waits for a reply.
        assert_eq!(with(|_| (), b"\x00\x02hi"), Ok(None));
    }

    proptest! {
        #[test]
        fn messages_survive_the_way_in_any_pieces(
            envelope in prop::collection::vec("[a-z]{1,9}", 0..3),
            body in prop::collection::vec(any::<u8>(), 0..600),
            piece in 1..100_usize,
        ) {
            let envelope: Vec<Vec<u8>> = envelope.into_iter().map(String::into_bytes).collect();
            let mut bytes = Session::opening(Role::Req);
            bytes.extend(message(&envelope, &body));
            let mut session = Session::new(1000);
            let mut heard = None;
            for piece in bytes.chunks(piece) {
                prop_assert_eq!(&heard, &None);
                session.take(piece);
                heard = session.next_message().unwrap();
            }
            prop_assert_eq!(heard, Some(Message { envelope, body }));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let mut session = Session::new(100);
            session.take(&greeting());
            session.take(&bytes);
            while let Ok(Some(_)) = session.next_message() {}
        }
    }
}
