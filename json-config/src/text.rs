//! JSON in teamd's layout.
//!
//! Two forms: the dump and one line. Keys are sorted bytewise, the text is ASCII, a real number has
//! up to 17 significant digits. NetworkManager compares dumps byte by byte, so the layout is fixed.

use std::fmt::Write;

use runners::wire::lacpdu::StateBits;
use serde_json::{Map, Value};

/// What can be written as JSON without a [`Value`] of it.
pub trait WriteJson {
    /// Appends the JSON text; `depth` is the number of levels above, `None` in one line.
    fn write_json(&self, out: &mut String, depth: Option<usize>);
}

impl WriteJson for Value {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        write_value(out, self, depth);
    }
}

impl WriteJson for bool {
    fn write_json(&self, out: &mut String, _: Option<usize>) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl WriteJson for u64 {
    fn write_json(&self, out: &mut String, _: Option<usize>) {
        // Writing into a string cannot fail.
        let _ = write!(out, "{self}");
    }
}

impl WriteJson for i64 {
    fn write_json(&self, out: &mut String, _: Option<usize>) {
        let _ = write!(out, "{self}");
    }
}

impl WriteJson for f64 {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        Value::from(*self).write_json(out, depth);
    }
}

impl WriteJson for str {
    fn write_json(&self, out: &mut String, _: Option<usize>) {
        write_string(out, self);
    }
}

impl WriteJson for String {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        self.as_str().write_json(out, depth);
    }
}

/// An object with a boolean for each bit of [`StateBits::NAMED`].
impl WriteJson for StateBits {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        let bits = StateBits::NAMED.map(|(bit, name)| (name, self.has(bit)));
        let members = bits.iter().map(|(name, set)| (*name, set as &dyn WriteJson));
        write_members(out, members.collect(), depth);
    }
}

/// `null` without a value.
impl<T: WriteJson> WriteJson for Option<T> {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        match self {
            Some(value) => value.write_json(out, depth),
            None => out.push_str("null"),
        }
    }
}

/// Appends an object with these members, sorted by key; `depth` is the number of levels above.
pub fn write_members(
    out: &mut String,
    mut members: Vec<(&str, &dyn WriteJson)>,
    depth: Option<usize>,
) {
    members.sort_unstable_by_key(|(key, _)| *key);
    write_list(out, '{', '}', depth, &members, |out, (key, value), depth| {
        write_string(out, key);
        out.push_str(": ");
        value.write_json(out, depth);
    });
}

/// Appends an array with these elements; `depth` is the number of levels above.
pub fn write_elements<T: WriteJson>(out: &mut String, elements: &[T], depth: Option<usize>) {
    write_list(out, '[', ']', depth, elements, |out, element, depth| {
        element.write_json(out, depth)
    });
}

/// Returns the dump: four blanks of indent, one member or element a line, no newline at the end.
pub fn to_text(value: &impl WriteJson) -> String {
    let mut out = String::new();
    value.write_json(&mut out, Some(0));
    out
}

/// Returns the dump in one line, with `, ` and `: ` as separators.
pub fn to_line(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, None);
    out
}

/// Returns the dump of an object.
pub(crate) fn object_to_text(object: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(&mut out, object, Some(0));
    out
}

/// Returns `text` as a JSON string with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_string(&mut out, text);
    out
}

/// Writes a value; `depth` is the number of levels above, `None` in one line.
fn write_value(out: &mut String, value: &Value, depth: Option<usize>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => flag.write_json(out, depth),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(real) => write_real(out, real),
            None => {
                let _ = write!(out, "{number}");
            }
        },
        Value::String(text) => write_string(out, text),
        Value::Array(elements) => write_elements(out, elements, depth),
        Value::Object(object) => write_object(out, object, depth),
    }
}

fn write_object(out: &mut String, object: &Map<String, Value>, depth: Option<usize>) {
    let members = object.iter().map(|(key, value)| (key.as_str(), value as &dyn WriteJson));
    write_members(out, members.collect(), depth);
}

fn write_list<T>(
    out: &mut String,
    open: char,
    close: char,
    depth: Option<usize>,
    items: &[T],
    write_item: impl Fn(&mut String, &T, Option<usize>),
) {
    out.push(open);
    let inner = depth.map(|depth| depth + 1);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match inner {
            Some(depth) => break_line(out, depth),
            None if index > 0 => out.push(' '),
            None => {}
        }
        write_item(out, item, inner);
    }
    if let Some(depth) = depth.filter(|_| !items.is_empty()) {
        break_line(out, depth);
    }
    out.push(close);
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("    ", depth));
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let is_plain = |byte: u8| (b' '..=0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    let plain = text.bytes().take_while(|byte| is_plain(*byte)).count();
    let (plain, others) = text.split_at(plain);
    out.push_str(plain);
    for character in others.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='\u{7f}' => out.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out.push('"');
}

/// Writes C's `%.17g`, with `.0` after a whole number, the exponent without plus and leading zeros.
fn write_real(out: &mut String, real: f64) {
    let scientific = format!("{real:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if mantissa.starts_with('-') {
        out.push('-');
    }
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_end_matches('0');
    let digits = if significant.is_empty() { "0" } else { significant };

    if !(-4..17).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        out.push_str(&format!("{first}{point}{rest}e{exponent}"));
    } else if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        out.push_str(&format!("0.{zeros}{digits}"));
    } else {
        let whole = exponent.unsigned_abs() as usize + 1;
        let (before, after) = digits.split_at(whole.min(digits.len()));
        let zeros = "0".repeat(whole - before.len());
        let after = if after.is_empty() { "0" } else { after };
        out.push_str(&format!("{before}{zeros}.{after}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reals_have_up_to_seventeen_digits() {
        for (real, text) in [
            (2.5, "2.5"),
            (1.1, "1.1000000000000001"),
            (3.0, "3.0"),
            (0.0, "0.0"),
            (-20.0, "-20.0"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-5"),
            (1e16, "10000000000000000.0"),
            (1e17, "1e17"),
            (-1.5e300, "-1.5000000000000001e300"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "4.9406564584124654e-324"),
        ] {
            assert_eq!(to_line(&json!(real)), text);
        }
    }

    #[test]
    fn strings_are_escaped_to_ascii() {
        let text = "é/\u{1F600}\u{1f}\u{7f}\"\\\u{8}\u{c}\n\r\t";
        assert_eq!(
            to_line(&json!(text)),
            "\"\\u00E9/\\uD83D\\uDE00\\u001F\u{7f}\\\"\\\\\\b\\f\\n\\r\\t\""
        );
    }

    #[test]
    fn keys_are_sorted_bytewise_at_every_level() {
        let value = json!({"b": {"z": 1, "Z": [], "é": {}}, "a": [1, {"d": true, "c": null}]});
        assert_eq!(
            to_line(&value),
            r#"{"a": [1, {"c": null, "d": true}], "b": {"Z": [], "z": 1, "\u00E9": {}}}"#
        );
        assert_eq!(
            to_text(&json!({"b": [], "a": [1, {"c": {}}]})),
            "{\n    \"a\": [\n        1,\n        {\n            \"c\": {}\n        }\n    ],\n    \"b\": []\n}"
        );
    }
}
