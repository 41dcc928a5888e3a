//! D-Bus messages, encoded and decoded for daemon and client.
//!
//! Pure: bytes in, bytes out. Standard: the D-Bus Specification, "Message Protocol". The values
//! are those that teamd's interface and the bus itself need, strings and numbers; a body is read
//! up to its first value of another type. Written little-endian, read in either byte order.

pub use super::wire::{Malformed, PREFIX};
use super::wire::{NO_REPLY_EXPECTED, PROTOCOL_VERSION, Reader, Writer, field};

/// Longest message in bytes ("Message Format").
const LONGEST: usize = 128 << 20;

/// The type of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Calls a method.
    #[default]
    Call,
    /// Replies to a call.
    Return,
    /// Replies to a call with an error.
    Error,
    /// Signals an event.
    Signal,
}

const KINDS: [Kind; 4] = [Kind::Call, Kind::Return, Kind::Error, Kind::Signal];

/// A value of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `s`
    Text(String),
    /// `u`
    Number(u32),
}

/// A message. The kind decides which fields are present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Type of the message.
    pub kind: Kind,
    /// The sender of a call expects no reply.
    pub no_reply: bool,
    /// The sender's number of the message, never 0.
    pub serial: u32,
    /// Number of the call that this message replies to.
    pub reply_to: Option<u32>,
    /// Object.
    pub path: Option<String>,
    /// Interface, which is optional in a call.
    pub interface: Option<String>,
    /// Method or signal.
    pub member: Option<String>,
    /// Name of an error.
    pub error: Option<String>,
    /// Bus name of the receiver.
    pub destination: Option<String>,
    /// Bus name of the sender, written by the bus.
    pub sender: Option<String>,
    /// The values.
    pub body: Vec<Value>,
}

impl Message {
    /// Returns a message without fields. The connection sets the serial.
    pub fn new(kind: Kind) -> Self {
        Message { kind, ..Message::default() }
    }

    /// Returns a call of a method.
    pub fn call(destination: &str, path: &str, interface: &str, member: &str) -> Self {
        Message {
            destination: Some(destination.to_owned()),
            path: Some(path.to_owned()),
            interface: Some(interface.to_owned()),
            member: Some(member.to_owned()),
            ..Message::new(Kind::Call)
        }
    }

    /// Returns a reply to this call, without values.
    pub fn reply(&self) -> Self {
        Message {
            reply_to: Some(self.serial),
            destination: self.sender.clone(),
            ..Message::new(Kind::Return)
        }
    }

    /// Returns a reply to this call with an error.
    pub fn error_reply(&self, name: &str, text: &str) -> Self {
        Message {
            kind: Kind::Error,
            error: Some(name.to_owned()),
            body: vec![Value::Text(text.to_owned())],
            ..self.reply()
        }
    }

    /// Returns the first value of the body, if it is a text.
    pub fn text(&self) -> Option<&str> {
        match self.body.first() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        let kind = self.kind as u8 + 1;
        let mut signature = String::new();
        let mut body = Writer::default();
        for value in &self.body {
            match value {
                Value::Text(text) => {
                    signature.push('s');
                    body.text(text);
                }
                Value::Number(number) => {
                    signature.push('u');
                    body.number(*number);
                }
            }
        }
        let mut all = Writer::default();
        all.0.extend([b'l', kind, u8::from(self.no_reply), PROTOCOL_VERSION]);
        all.number(body.0.len() as u32);
        all.number(self.serial);
        // Room for the length of the fields.
        all.number(0);
        let texts = [
            (field::PATH, 'o', &self.path),
            (field::INTERFACE, 's', &self.interface),
            (field::MEMBER, 's', &self.member),
            (field::ERROR_NAME, 's', &self.error),
            (field::DESTINATION, 's', &self.destination),
            (field::SENDER, 's', &self.sender),
        ];
        for (code, of_type, text) in texts {
            if let Some(text) = text {
                all.field(code, of_type);
                all.text(text);
            }
        }
        if let Some(serial) = self.reply_to {
            all.field(field::REPLY_SERIAL, 'u');
            all.number(serial);
        }
        if !signature.is_empty() {
            all.field(field::SIGNATURE, 'g');
            all.signature(&signature);
        }
        let fields = (all.0.len() - PREFIX) as u32;
        all.0[PREFIX - 4..PREFIX].copy_from_slice(&fields.to_le_bytes());
        all.pad(8);
        all.0.extend(body.0);
        all.0
    }

    /// Decodes the bytes of one whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut message, signature, mut reader) = Message::decode_fields(bytes)?;
        reader.pad(8)?;
        for of_type in signature.chars() {
            message.body.push(match of_type {
                's' => Value::Text(reader.text()?),
                'u' => Value::Number(reader.number()?),
                _ => break,
            });
        }
        Ok(message)
    }

    /// Decodes a message without its body, of which `bytes` may contain nothing.
    pub fn decode_header(bytes: &[u8]) -> Result<Self, Malformed> {
        Message::decode_fields(bytes).map(|(message, _, _)| message)
    }

    /// Returns the message without its body, the signature of the body, and a reader behind the
    /// fields.
    fn decode_fields(bytes: &[u8]) -> Result<(Self, String, Reader<'_>), Malformed> {
        let mut reader = Reader::new(bytes)?;
        let place = usize::from(bytes[1]).checked_sub(1).ok_or(Malformed)?;
        let kind = KINDS.get(place).ok_or(Malformed)?;
        let mut message =
            Message { no_reply: bytes[2] & NO_REPLY_EXPECTED != 0, ..Message::new(*kind) };
        reader.at = 8;
        message.serial = reader.number()?;
        let end = PREFIX.saturating_add(reader.number()? as usize);
        let mut signature = String::new();
        while reader.at < end {
            reader.pad(8)?;
            let code = reader.byte()?;
            let of_type = reader.signature()?;
            match code {
                field::PATH => message.path = Some(reader.text()?),
                field::INTERFACE => message.interface = Some(reader.text()?),
                field::MEMBER => message.member = Some(reader.text()?),
                field::ERROR_NAME => message.error = Some(reader.text()?),
                field::DESTINATION => message.destination = Some(reader.text()?),
                field::SENDER => message.sender = Some(reader.text()?),
                field::REPLY_SERIAL => message.reply_to = Some(reader.number()?),
                field::SIGNATURE => signature = reader.signature()?,
                _ => reader.skip(&of_type)?,
            }
        }
        Ok((message, signature, reader))
    }
}

/// The size of a message, which its first bytes contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes before the body.
    pub header: usize,
    /// Bytes of the message.
    pub message: usize,
}

/// Returns the size of the message at the beginning of `bytes`; `None` with fewer than [`PREFIX`]
/// bytes.
pub fn size(bytes: &[u8]) -> Result<Option<Size>, Malformed> {
    if bytes.len() < PREFIX {
        return Ok(None);
    }
    let mut reader = Reader::new(bytes)?;
    reader.at = 4;
    let body = reader.number()? as usize;
    reader.at = 12;
    let fields = reader.number()? as usize;
    // Each part alone may fill the address space of a 32-bit system.
    if body > LONGEST || fields > LONGEST {
        return Err(Malformed);
    }
    let header = (PREFIX + fields).next_multiple_of(8);
    let message = header + body;
    (message <= LONGEST).then_some(Some(Size { header, message })).ok_or(Malformed)
}

/// Returns whether a message that begins with `bytes` is a signal.
pub fn is_signal(bytes: &[u8]) -> bool {
    bytes.get(1) == Some(&(Kind::Signal as u8 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Call 2 of m in i.f of the object /p at a.b, with the values 7 and "x", written by hand.
    const CALL: &[u8] = b"l\x01\x00\x01\x0a\x00\x00\x00\x02\x00\x00\x00\x48\x00\x00\x00\
        \x01\x01o\x00\x02\x00\x00\x00/p\x00\x00\x00\x00\x00\x00\
        \x06\x01s\x00\x03\x00\x00\x00a.b\x00\x00\x00\x00\x00\
        \x02\x01s\x00\x03\x00\x00\x00i.f\x00\x00\x00\x00\x00\
        \x03\x01s\x00\x01\x00\x00\x00m\x00\x00\x00\x00\x00\x00\x00\
        \x08\x01g\x00\x02us\x00\
        \x07\x00\x00\x00\x01\x00\x00\x00x\x00";

    fn call() -> Message {
        Message {
            serial: 2,
            body: vec![Value::Number(7), Value::Text("x".to_owned())],
            ..Message::call("a.b", "/p", "i.f", "m")
        }
    }

    fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        size(bytes).map(|size| size.map(|size| size.message))
    }

    #[test]
    fn a_header_is_decoded_without_its_body() {
        let size = size(CALL).unwrap().unwrap();
        let expected = Message { body: Vec::new(), ..call() };
        assert_eq!(Message::decode_header(&CALL[..size.header]), Ok(expected));
        assert_eq!(Message::decode_header(&CALL[..size.header - 8]), Err(Malformed));
    }

    #[test]
    fn a_call_is_decoded() {
        assert_eq!(length(CALL), Ok(Some(CALL.len())));
        assert_eq!(Message::decode(CALL), Ok(call()));
    }

    #[test]
    fn big_endian_is_decoded() {
        let error = b"B\x03\x01\x01\x00\x00\x00\x06\x00\x00\x00\x09\x00\x00\x00\x1f\
            \x05\x01u\x00\x00\x00\x00\x02\
            \x04\x01s\x00\x00\x00\x00\x01e\x00\x00\x00\x00\x00\x00\x00\
            \x08\x01g\x00\x01s\x00\x00\
            \x00\x00\x00\x01t\x00";
        assert_eq!(length(error), Ok(Some(error.len())));
        let expected = Message {
            serial: 9,
            no_reply: true,
            ..Message { serial: 2, ..Message::new(Kind::Call) }.error_reply("e", "t")
        };
        assert_eq!(Message::decode(error), Ok(expected));
    }

    #[test]
    fn a_body_is_decoded_up_to_an_unknown_type() {
        let mut bytes = CALL.to_vec();
        let place = bytes.iter().rposition(|byte| *byte == b'u').unwrap();
        bytes[place + 1] = b'd';
        let read = Message::decode(&bytes).unwrap();
        assert_eq!(read.body, [Value::Number(7)]);
        bytes[place] = b'd';
        assert_eq!(Message::decode(&bytes).unwrap().body, []);
    }

    #[test]
    fn a_cut_message_is_malformed() {
        for length in 0..CALL.len() {
            assert_eq!(Message::decode(&CALL[..length]), Err(Malformed), "{length}");
        }
        assert_eq!(length(&CALL[..PREFIX - 1]), Ok(None));
        // Neither body nor fields may be longer than a message.
        for place in [7, 15] {
            let mut long = CALL.to_vec();
            for most in [0x10, 0xff] {
                long[place - 3..=place].fill(most);
                assert_eq!(length(&long), Err(Malformed), "{place}");
            }
        }
    }

    fn field() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[a-z./]{1,12}")
    }

    prop_compose! {
        fn message()(
            place in 0..KINDS.len(),
            no_reply: bool,
            serial: u32,
            reply_to: Option<u32>,
            (path, interface, member) in (field(), field(), field()),
            (error, destination, sender) in (field(), field(), field()),
            body in prop::collection::vec(prop_oneof![
                any::<u32>().prop_map(Value::Number),
                "[^\0]{0,12}".prop_map(Value::Text),
            ], 0..4),
        ) -> Message {
            Message {
                kind: KINDS[place],
                no_reply, serial, reply_to, path, interface, member, error, destination, sender, body,
            }
        }
    }

    proptest! {
        #[test]
        fn decoding_reverses_encoding(message in message()) {
            let bytes = message.encode();
            prop_assert_eq!(length(&bytes), Ok(Some(bytes.len())));
            prop_assert_eq!(Message::decode(&bytes), Ok(message));
        }

        #[test]
        fn any_bytes_decode_without_panic(
            message in message(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = message.encode();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let _ = length(&bytes);
            let _ = Message::decode(&bytes);
            let _ = Message::decode_header(&bytes);
        }
    }
}
