//! Values of options: their text and its parser.

use std::io;

use crate::netlink::team::Value;

/// Returns the text of a value.
pub fn show(value: &Value) -> String {
    match value {
        Value::U32(number) => number.to_string(),
        Value::S32(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Text(text) => text.clone(),
        Value::Binary(bytes) => bytes.iter().map(|byte| format!("\\{byte:02x}")).collect(),
    }
}

/// Parses a value of the same type as `like`.
///
/// # Errors
/// `EINVAL` for an invalid text, `ERANGE` for a number out of range.
pub fn parse(text: &str, like: &Value) -> io::Result<Value> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let out_of_range = |_| io::Error::from_raw_os_error(libc::ERANGE);
    let number = || whole_number(text).ok_or_else(invalid);
    Ok(match like {
        Value::U32(_) => Value::U32(u32::try_from(number()?).map_err(out_of_range)?),
        Value::S32(_) => Value::S32(i32::try_from(number()?).map_err(out_of_range)?),
        Value::Bool(_) => Value::Bool(text.parse().map_err(|_| invalid())?),
        Value::Text(_) => Value::Text(text.to_owned()),
        Value::Binary(_) => Value::Binary(bytes(text).ok_or_else(invalid)?),
    })
}

/// Parses a decimal number as `strtol` does: leading blanks are allowed, trailing characters are not,
/// and an empty text is 0. A number beyond 128 bits becomes the nearest end of the range.
pub fn whole_number(text: &str) -> Option<i128> {
    if text.is_empty() {
        return Some(0);
    }
    let number = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(sign * digits.parse().unwrap_or(i128::MAX))
}

/// Parses groups of a backslash and two hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let group = |group: &[u8]| match *group {
        [b'\\', high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    };
    text.as_bytes().chunks(3).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_parses(text: &str, like: Value, expected: Result<Value, i32>) {
        let read = parse(text, &like).map_err(|error| error.raw_os_error().unwrap_or(0));
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn numbers_are_decimal() {
        let number = || Value::U32(7);
        for (text, expected) in [("5", 5), (" 5", 5), ("+5", 5), ("", 0), ("4294967295", u32::MAX)]
        {
            assert_parses(text, number(), Ok(Value::U32(expected)));
        }
        for text in ["0x5", "5 ", "x", "-", " "] {
            assert_parses(text, number(), Err(libc::EINVAL));
        }
        for text in ["4294967296", "-1", "99999999999999999999999999999999999999999"] {
            assert_parses(text, number(), Err(libc::ERANGE));
        }
        assert_parses("-7", Value::S32(0), Ok(Value::S32(-7)));
        assert_parses("2147483648", Value::S32(0), Err(libc::ERANGE));
    }

    #[test]
    fn bytes_are_parsed_in_groups() {
        let empty = || Value::Binary(Vec::new());
        assert_parses("\\00\\fF", empty(), Ok(Value::Binary(vec![0, 255])));
        assert_parses("", empty(), Ok(empty()));
        for text in ["xx", "\\2", "\\zz", "\\00\\0", "\\000"] {
            assert_parses(text, empty(), Err(libc::EINVAL));
        }
        assert_eq!(show(&Value::Binary(vec![0x20, 0xab])), "\\20\\ab");
    }

    #[test]
    fn booleans_are_true_and_false() {
        assert_parses("true", Value::Bool(false), Ok(Value::Bool(true)));
        assert_parses("yes", Value::Bool(false), Err(libc::EINVAL));
    }
}
