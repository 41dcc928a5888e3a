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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Calls a method.
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
        Message {
            kind,
            no_reply: false,
            serial: 0,
            reply_to: None,
            path: None,
            interface: None,
            member: None,
            error: None,
            destination: None,
            sender: None,
            body: Vec::new(),
        }
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
        let kind = KINDS.iter().position(|kind| *kind == self.kind);
        let kind = kind.map_or(0, |place| place as u8 + 1);
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
        all.0
            .extend([b'l', kind, u8::from(self.no_reply), PROTOCOL_VERSION]);
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
        let mut reader = Reader::new(bytes)?;
        let kind = match bytes[1].checked_sub(1) {
            Some(place) => KINDS.get(usize::from(place)).ok_or(Malformed)?,
            None => return Err(Malformed),
        };
        let mut message = Message {
            no_reply: bytes[2] & NO_REPLY_EXPECTED != 0,
            ..Message::new(*kind)
        };
        reader.at = 8;
        message.serial = reader.number()?;
        let end = PREFIX + reader.number()? as usize;
        let mut signature = String::new();
        while reader.at < end {
            reader.pad(8)?;
            let code = reader.byte()?;
            let of_type = reader.signature()?;
            let field = match code {
                field::PATH => &mut message.path,
                field::INTERFACE => &mut message.interface,
                field::MEMBER => &mut message.member,
                field::ERROR_NAME => &mut message.error,
                field::DESTINATION => &mut message.destination,
                field::SENDER => &mut message.sender,
                field::REPLY_SERIAL => {
                    message.reply_to = Some(reader.number()?);
                    continue;
                }
                field::SIGNATURE => {
                    signature = reader.signature()?;
                    continue;
                }
                _ => {
                    reader.skip(&of_type)?;
                    continue;
                }
            };
            *field = Some(reader.text()?);
        }
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
}

/// Returns the length of the message at the beginning of `bytes`; `None` with fewer than [`PREFIX`]
/// bytes.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    if bytes.len() < PREFIX {
        return Ok(None);
    }
    let mut reader = Reader::new(bytes)?;
    reader.at = 4;
    let body = reader.number()? as usize;
    reader.at = 12;
    let header = PREFIX + reader.number()? as usize;
    let length = header.next_multiple_of(8) + body;
    match length <= LONGEST {
        true => Ok(Some(length)),
        false => Err(Malformed),
    }
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
            ..Message {
                serial: 2,
                ..Message::new(Kind::Call)
            }
            .error_reply("e", "t")
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
        let mut long = CALL.to_vec();
        long[7] = 0x10;
        assert_eq!(length(&long), Err(Malformed));
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
        }
    }
}
