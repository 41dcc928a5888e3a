//! Syntax: text to an object whose keys keep the order of the file.
//!
//! JSON (RFC 8259) with the restrictions of teamd's parser: the top level is an object, no object has
//! a duplicate key, no string contains U+0000, integers fit into 64 bits. Nesting is limited to 127
//! levels (teamd: 2048). Keys and values are not checked here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::problem::{Position, shortened};
use crate::text::quoted;

/// Error for a text that is not a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// The error.
    pub message: String,
}

impl ParseError {
    fn new(message: impl Into<String>, before: &[u8]) -> Self {
        let Position { line, column } = Position::START.after(before);
        ParseError { line, column, message: message.into() }
    }

    /// Converts serde_json's column, which counts bytes, to characters.
    fn from_json(error: &serde_json::Error, text: &[u8]) -> Self {
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        let full = error.to_string();
        let message = match full.strip_suffix(&suffix).unwrap_or(&full) {
            // The limit of serde_json.
            "recursion limit exceeded" => "more than 127 levels of arrays and objects",
            message => message,
        };
        let lines_before: usize = text
            .split_inclusive(|byte| *byte == b'\n')
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum();
        let end = lines_before + error.column().saturating_sub(1);
        ParseError::new(message, &text[..end.min(text.len())])
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on line {}, column {}", self.message, self.line, self.column)
    }
}

impl std::error::Error for ParseError {}

/// Parses a text whose top level is an object.
pub(crate) fn parse_object(text: &[u8]) -> Result<Map<String, Value>, ParseError> {
    let valid = std::str::from_utf8(text)
        .map_err(|error| ParseError::new("invalid UTF-8", &text[..error.valid_up_to()]))?;
    // RFC 8259 lets a parser refuse the mark, and teamd's parser refuses it.
    if valid.starts_with('\u{feff}') {
        let message = "the text begins with a byte order mark; save it as UTF-8 without the mark";
        return Err(ParseError::new(message, b""));
    }
    if valid.trim_ascii().is_empty() {
        return Err(ParseError::new("the text is empty; a team without ports is {}", b""));
    }
    let mut json = serde_json::Deserializer::from_str(valid);
    let value = AnyValue
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| ParseError::from_json(&error, text))?;
    if let Some(start) = oversized_integer(text) {
        return Err(ParseError::new("too big integer", &text[..start]));
    }
    match value {
        Value::Object(object) => Ok(object),
        other => {
            let start = text.iter().position(|byte| !byte.is_ascii_whitespace());
            Err(ParseError::new(
                format!("expected object at the top level, found {}", kind(&other)),
                &text[..start.unwrap_or(0)],
            ))
        }
    }
}

/// Returns the name of a value's type, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "real number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns the offset of the first integer beyond signed 64 bits in a valid JSON text.
///
/// serde_json turns such an integer into a real number, so the parsed value does not show it.
fn oversized_integer(text: &[u8]) -> Option<usize> {
    let mut index = 0;
    while let Some(byte) = text.get(index) {
        match byte {
            b'"' => {
                index += 1;
                while text.get(index).is_some_and(|byte| *byte != b'"') {
                    index += if text[index] == b'\\' { 2 } else { 1 };
                }
                index += 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = &text[index..];
                let length = rest
                    .iter()
                    .position(|byte| {
                        !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
                    })
                    .unwrap_or(rest.len());
                let number = &rest[..length];
                let integer = !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
                let fits = std::str::from_utf8(number).is_ok_and(|n| n.parse::<i64>().is_ok());
                if integer && !fits {
                    return Some(index);
                }
                index += length;
            }
            _ => index += 1,
        }
    }
    None
}

/// Builds any value and refuses duplicate keys and U+0000, which serde_json's `Value` accepts.
struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // serde_json reads the integer -0 as a real number.
        if value == 0.0 && value.is_sign_negative() {
            return Ok(0.into());
        }
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        refuse_nul(value)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(AnyValue)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            refuse_nul(&key)?;
            if object.contains_key(&key) {
                let key = quoted(&shortened(&key));
                return Err(A::Error::custom(format!("duplicate object key {key}")));
            }
            object.insert(key, access.next_value_seed(AnyValue)?);
        }
        Ok(Value::Object(object))
    }
}

fn refuse_nul<E: Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') {
        return Err(E::custom("\\u0000 is not allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_object(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn integers_beyond_64_bits_are_refused() {
        let text = r#"{"a": 9223372036854775807, "b": -9223372036854775808, "c": 1e30,
            "d": "99999999999999999999 \" 99999999999999999999", "e": -0}"#;
        let object = parse_object(text.as_bytes()).unwrap();
        assert_eq!(object["a"], i64::MAX);
        assert_eq!(object["b"], i64::MIN);
        assert_eq!(object["e"], 0);
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999"] {
            let text = format!("{{\"a\": [1,\n  {text}]}}");
            assert_eq!(error(&text), "too big integer on line 2, column 3");
        }
    }

    #[test]
    fn keys_keep_the_order_of_the_file() {
        let object = parse_object(br#"{"z": 1, "a": 2, "m": 3}"#).unwrap();
        assert_eq!(object.keys().collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(error("{\"é\": \"é\", x}"), "key must be a string on line 1, column 12");
        let text = b"{\n\"a\": \"\xc3\xa9\xff\"}";
        let error = parse_object(text).unwrap_err();
        assert_eq!(error.to_string(), "invalid UTF-8 on line 2, column 8");
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_object(nested(126).as_bytes()).is_ok());
        let refused = error(&nested(127));
        assert!(refused.starts_with("more than 127 levels of arrays and objects on line 1"));
        assert_eq!(error(&nested(1_000_000)), refused);
    }
}
