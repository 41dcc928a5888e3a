//! The bytes of D-Bus values.

use std::fmt;

/// Bytes of a message that hold its length.
pub const PREFIX: usize = 16;

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what came is no D-Bus message")
    }
}

impl std::error::Error for Malformed {}

pub(super) const PROTOCOL_VERSION: u8 = 1;
pub(super) const NO_REPLY_EXPECTED: u8 = 1;

/// Codes of the header fields ("Header Fields").
pub(super) mod field {
    pub const PATH: u8 = 1;
    pub const INTERFACE: u8 = 2;
    pub const MEMBER: u8 = 3;
    pub const ERROR_NAME: u8 = 4;
    pub const REPLY_SERIAL: u8 = 5;
    pub const DESTINATION: u8 = 6;
    pub const SENDER: u8 = 7;
    pub const SIGNATURE: u8 = 8;
}

/// Writes values, each at a multiple of its size from the beginning of the message. A body begins
/// at a multiple of 8, so it can be written apart.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn pad(&mut self, size: usize) {
        self.0.resize(self.0.len().next_multiple_of(size), 0);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.pad(4);
        self.0.extend(number.to_le_bytes());
    }

    /// Writes a text up to its first NUL, which a string must not contain.
    pub(super) fn text(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    pub(super) fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    pub(super) fn field(&mut self, code: u8, of_type: char) {
        self.pad(8);
        self.0.push(code);
        self.signature(of_type.encode_utf8(&mut [0; 4]));
    }
}

/// Reads values from a message.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    /// Starts at a message of at least [`PREFIX`] bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let big_endian = match bytes.first() {
            _ if bytes.len() < PREFIX => return Err(Malformed),
            Some(b'l') => false,
            Some(b'B') => true,
            _ => return Err(Malformed),
        };
        Ok(Reader { bytes, at: 0, big_endian })
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn pad(&mut self, size: usize) -> Result<(), Malformed> {
        self.take(self.at.next_multiple_of(size) - self.at)?;
        Ok(())
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u32, Malformed> {
        self.pad(4)?;
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(match self.big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        })
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let length = self.number()? as usize;
        self.terminated(length)
    }

    pub(super) fn signature(&mut self) -> Result<String, Malformed> {
        let length = usize::from(self.byte()?);
        self.terminated(length)
    }

    /// Reads a text of `length` bytes, which has a NUL behind it and none inside.
    fn terminated(&mut self, length: usize) -> Result<String, Malformed> {
        let text = self.take(length)?;
        match self.byte()? {
            0 if !text.contains(&0) => String::from_utf8(text.to_vec()).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }

    /// Skips an unknown field. The bus passes on no unknown fields but its own, which are simple.
    pub(super) fn skip(&mut self, of_type: &str) -> Result<(), Malformed> {
        match of_type {
            "s" | "o" => self.text().map(drop),
            "g" => self.signature().map(drop),
            "u" => self.number().map(drop),
            _ => Err(Malformed),
        }
    }
}
