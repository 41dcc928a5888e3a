//! Bytes as hexadecimal digits.

use std::fmt;

/// Displays bytes as pairs of digits without separators.
pub(crate) struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Returns the byte that a pair of digits stands for; `None` for any other text.
pub(crate) fn byte_from_hex(pair: &[u8]) -> Option<u8> {
    // `from_str_radix` alone would accept a sign.
    let is_pair = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
    let pair = std::str::from_utf8(pair).ok().filter(|_| is_pair)?;
    u8::from_str_radix(pair, 16).ok()
}

/// Returns the bytes that [`Hex`] displays as `text`; `None` for any other text.
#[cfg(feature = "serde")]
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes().chunks(2).map(byte_from_hex).collect()
}
