//! Names of interfaces as text.
//!
//! The kernel accepts any bytes but a few. Bytes that are not UTF-8 are written as `\xff`, in
//! configurations, in the state and in the log. Every name has one text, and every text one name.

use std::borrow::Cow;

use crate::hex::byte_from_hex;

/// Bytes of the longest interface name: the kernel's `IFNAMSIZ` without the terminating zero.
pub const LONGEST_INTERFACE_NAME: usize = 15;

const ESCAPE: &str = "\\x";
/// Bytes of an escape.
const LENGTH: usize = 4;
/// The escape of the backslash of a name that has the letters of an escape.
const BACKSLASH: &str = "\\x5c";

/// Returns whether an interface may have this name: the kernel's rule, `dev_valid_name`.
pub fn is_interface_name(name: &str) -> bool {
    let bytes = interface_name_bytes(name);
    (1..=LONGEST_INTERFACE_NAME).contains(&bytes.len())
        && name != "."
        && name != ".."
        && !bytes.iter().any(|byte| matches!(byte, 0 | b'/' | b':' | b' ' | 0x09..=0x0d))
}

/// Returns the text of a name.
pub fn interface_name(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        let mut valid = chunk.valid();
        while let Some(at) = valid.find(ESCAPE) {
            let (before, rest) = valid.split_at(at);
            text += before;
            text += if escaped(rest.as_bytes()).is_some() { BACKSLASH } else { "\\" };
            valid = &rest[1..];
        }
        text += valid;
        text.extend(chunk.invalid().iter().map(|byte| format!("{ESCAPE}{byte:02x}")));
    }
    text
}

/// Returns the name of a text.
pub fn interface_name_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(ESCAPE) {
        return text.as_bytes().into();
    }
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        match escaped(rest) {
            Some(byte) => (bytes.push(byte), rest = &rest[LENGTH..]),
            None => (bytes.push(*first), rest = after),
        };
    }
    bytes.into()
}

/// Returns the byte of the escape that `text` begins with. ASCII other than the backslash has none.
fn escaped(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(ESCAPE.as_bytes())?.get(..2)?;
    let is_lower = digits.iter().all(|digit| !digit.is_ascii_uppercase());
    byte_from_hex(digits).filter(|byte| is_lower && (*byte == b'\\' || !byte.is_ascii()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_interface_name_obeys_the_kernels_rule() {
        for name in ["eth1", "eth1.5", "a[0]", "...", "fifteen-bytes-x", r"fourteen-bytes\xff"] {
            assert!(is_interface_name(name), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "a:b", "sixteen-bytes-xx", "a\u{b}", "a\0"] {
            assert!(!is_interface_name(name), "{name:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_escaped() {
        for (bytes, text) in [
            (&b"eth\xff1"[..], r"eth\xff1"),
            (b"\xc3\xbc\xc3", r"ü\xc3"),
            (b"a\\b\\x41\\x", r"a\b\x41\x"),
            (b"\\xff\\x5c\\xFF", r"\x5cxff\x5cx5c\xFF"),
        ] {
            assert_eq!(interface_name(bytes), text);
            assert_eq!(&*interface_name_bytes(text), bytes);
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back_from_its_text(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(&b"\\xf5c\xff"[..])], 0..16),
        ) {
            let text = interface_name(&bytes);
            prop_assert_eq!(&*interface_name_bytes(&text), &bytes[..]);
        }
    }
}
