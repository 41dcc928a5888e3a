//! D-Bus messages as bytes, both directions of both ends.
//!
//! Pure: bytes in, bytes out. Standard: the D-Bus Specification, "Message Protocol". It knows
//! the values that teamd's interface and the bus itself need, strings and numbers; a body is
//! read up to its first value of another type. Written little-endian, read in either order.

use std::fmt;

/// Bytes that hold the length of a message, see [`length`].
pub const PREFIX: usize = 16;

/// The longest message that there is ("Message Format").
const LONGEST: usize = 128 << 20;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Calls a method.
    Call,
    /// Answers a call.
    Return,
    /// Refuses a call.
    Error,
    /// Tells whoever listens.
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

/// A message; which fields are there depends on its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// The sender of a call wants no answer.
    pub no_reply: bool,
    /// The sender's number for it, never 0.
    pub serial: u32,
    /// Number of the call that this answers.
    pub reply_to: Option<u32>,
    /// Object.
    pub path: Option<String>,
    /// Interface; a call may leave it out.
    pub interface: Option<String>,
    /// Method or signal.
    pub member: Option<String>,
    /// Name of an error.
    pub error: Option<String>,
    /// Bus name that it is for.
    pub destination: Option<String>,
    /// Bus name that it is from, written by the bus.
    pub sender: Option<String>,
    /// The values.
    pub body: Vec<Value>,
}

impl Message {
    /// A message without fields; its serial is to be given when it is sent.
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

    /// A call to `member` of the interface of the object at a bus name.
    pub fn call(destination: &str, path: &str, interface: &str, member: &str) -> Self {
        Message {
            destination: Some(destination.to_owned()),
            path: Some(path.to_owned()),
            interface: Some(interface.to_owned()),
            member: Some(member.to_owned()),
            ..Message::new(Kind::Call)
        }
    }

    /// An answer to this call, without values.
    pub fn reply(&self) -> Self {
        Message {
            reply_to: Some(self.serial),
            destination: self.sender.clone(),
            ..Message::new(Kind::Return)
        }
    }

    /// A refusal of this call.
    pub fn refusal(&self, name: &str, text: &str) -> Self {
        Message {
            kind: Kind::Error,
            error: Some(name.to_owned()),
            body: vec![Value::Text(text.to_owned())],
            ..self.reply()
        }
    }

    /// The body's first value, if it is a text.
    pub fn text(&self) -> Option<&str> {
        match self.body.first() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The message in bytes.
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
        // The length of the fields, once they are written.
        all.number(0);
        let texts = [
            (PATH, 'o', &self.path),
            (INTERFACE, 's', &self.interface),
            (MEMBER, 's', &self.member),
            (ERROR_NAME, 's', &self.error),
            (DESTINATION, 's', &self.destination),
            (SENDER, 's', &self.sender),
        ];
        for (code, of_type, text) in texts {
            if let Some(text) = text {
                all.field(code, of_type);
                all.text(text);
            }
        }
        if let Some(serial) = self.reply_to {
            all.field(REPLY_SERIAL, 'u');
            all.number(serial);
        }
        if !signature.is_empty() {
            all.field(SIGNATURE, 'g');
            all.signature(&signature);
        }
        let fields = (all.0.len() - PREFIX) as u32;
        all.0[PREFIX - 4..PREFIX].copy_from_slice(&fields.to_le_bytes());
        all.pad(8);
        all.0.extend(body.0);
        all.0
    }

    /// Reads the bytes of one whole message.
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
                PATH => &mut message.path,
                INTERFACE => &mut message.interface,
                MEMBER => &mut message.member,
                ERROR_NAME => &mut message.error,
                DESTINATION => &mut message.destination,
                SENDER => &mut message.sender,
                REPLY_SERIAL => {
                    message.reply_to = Some(reader.number()?);
                    continue;
                }
                SIGNATURE => {
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

/// The length of the message that begins so; `None` as long as there are fewer than [`PREFIX`]
/// bytes of it.
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

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what came is no D-Bus message")
    }
}

impl std::error::Error for Malformed {}

const PROTOCOL_VERSION: u8 = 1;
const NO_REPLY_EXPECTED: u8 = 1;

// "Header Fields"
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// Every value stands at a multiple of its size from the begin of the message; bodies begin at
/// one of 8, so they may be written apart.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn pad(&mut self, size: usize) {
        self.0.resize(self.0.len().next_multiple_of(size), 0);
    }

    fn number(&mut self, number: u32) {
        self.pad(4);
        self.0.extend(number.to_le_bytes());
    }

    /// A text ends at its first zero, which none may contain.
    fn text(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    fn field(&mut self, code: u8, of_type: char) {
        self.pad(8);
        self.0.push(code);
        self.signature(of_type.encode_utf8(&mut [0; 4]));
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    /// Over a message of at least [`PREFIX`] bytes.
    fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let big_endian = match bytes.first() {
            _ if bytes.len() < PREFIX => return Err(Malformed),
            Some(b'l') => false,
            Some(b'B') => true,
            _ => return Err(Malformed),
        };
        Ok(Reader {
            bytes,
            at: 0,
            big_endian,
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn pad(&mut self, size: usize) -> Result<(), Malformed> {
        self.take(self.at.next_multiple_of(size) - self.at)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        self.pad(4)?;
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(match self.big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        })
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = self.number()? as usize;
        self.terminated(length)
    }

    fn signature(&mut self) -> Result<String, Malformed> {
        let length = usize::from(self.byte()?);
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Result<String, Malformed> {
        let text = self.take(length)?.to_vec();
        match self.byte()? {
            0 => String::from_utf8(text).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }

    /// Skips a field that is not known. The bus passes none on but its own, which are simple.
    fn skip(&mut self, of_type: &str) -> Result<(), Malformed> {
        match of_type {
            "s" | "o" => self.text().map(drop),
            "g" => self.signature().map(drop),
            "u" => self.number().map(drop),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Call 2, of m in i.f of the object /p at a.b, with the values 7 and "x"; laid out by hand.
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
    fn a_call_is_read() {
        assert_eq!(length(CALL), Ok(Some(CALL.len())));
        assert_eq!(Message::decode(CALL), Ok(call()));
    }

    #[test]
    fn big_endian_is_read() {
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
            .refusal("e", "t")
        };
        assert_eq!(Message::decode(error), Ok(expected));
    }

    #[test]
    fn a_body_is_read_up_to_what_is_not_known() {
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
        fn messages_survive_the_way(message in message()) {
            let bytes = message.encode();
            prop_assert_eq!(length(&bytes), Ok(Some(bytes.len())));
            prop_assert_eq!(Message::decode(&bytes), Ok(message));
        }

        #[test]
        fn any_bytes_are_survived(
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
