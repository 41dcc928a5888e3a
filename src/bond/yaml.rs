//! YAML as JSON values, where each scalar is a string or null; and back to YAML.
//!
//! Depth and size have limits. Anchors and aliases are refused, since a short text of aliases can stand
//! for a huge one.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use super::manager::Manager;
use super::settings::{File, Setting};

/// Levels of nested collections.
const DEEPEST: usize = 32;
/// Values of one text.
const MOST_VALUES: usize = 50_000;

/// A collection that is not yet closed.
enum Open {
    Sequence(Vec<Value>),
    /// Members, and the key whose value follows.
    Mapping(Map<String, Value>, Option<String>),
}

/// Parses a text of one document; an empty one is null.
///
/// # Errors
/// The line and the reason, for invalid or refused syntax.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let (mut document, mut count) = (None, 0);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = span.start.line();
        let refuse = |reason: &str| Err(format!("line {line}: {reason}"));
        count += 1;
        if open.len() > DEEPEST {
            return refuse(&format!("more than {DEEPEST} levels"));
        }
        if count > MOST_VALUES {
            return refuse(&format!("more than {MOST_VALUES} values"));
        }
        let value = match event {
            Event::Alias(_) => return refuse("aliases are not read"),
            Event::Scalar(_, _, anchor, _) if anchor != 0 => return refuse("anchors are not read"),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) if anchor != 0 => {
                return refuse("anchors are not read");
            }
            Event::SequenceStart(..) => {
                open.push(Open::Sequence(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Mapping(Map::new(), None));
                continue;
            }
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::Sequence(elements)) => Value::Array(elements),
                Some(Open::Mapping(members, None)) => Value::Object(members),
                _ => return refuse("an end without a beginning"),
            },
            _ => continue,
        };
        match open.last_mut() {
            None if document.is_some() => return refuse("more than one document"),
            None => document = Some(value),
            Some(Open::Sequence(elements)) => elements.push(value),
            Some(Open::Mapping(members, key)) => match (key.take(), value) {
                (None, Value::String(name)) => *key = Some(name),
                (None, _) => return refuse("a key that is no text"),
                (Some(name), value) => {
                    if members.insert(name, value).is_some() {
                        return refuse("the same key twice");
                    }
                }
            },
        }
    }
    Ok(document.unwrap_or(Value::Null))
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        "" | "~" | "null" if style == ScalarStyle::Plain => Value::Null,
        text => Value::String(text.to_owned()),
    }
}

/// Adds a value to `file`: members by their path with `.` between the keys, each element of a sequence
/// as a setting of its own, numbered from 1. An element that is a collection becomes JSON.
pub fn flatten(manager: Manager, section: &str, value: &Value, file: &mut File) {
    let mut waiting: Vec<(String, &Value)> = vec![(String::new(), value)];
    while let Some((path, value)) = waiting.pop() {
        let mut push = |occurrence: usize, value: String| {
            file.push(Setting {
                manager,
                section: section.to_owned(),
                occurrence,
                key: path.clone(),
                value,
            });
        };
        match value {
            Value::Object(members) => {
                waiting.extend(members.iter().rev().map(|(key, value)| {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    (path, value)
                }));
            }
            Value::Array(elements) => {
                for (number, element) in (1..).zip(elements) {
                    push(number, plain(element));
                }
            }
            value => push(0, plain(value)),
        }
    }
}

/// Returns a scalar as it is, a collection as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// Adds a setting in the form of [`flatten`] to a mapping.
pub fn put(members: &mut Map<String, Value>, setting: &Setting) {
    let mut place = members;
    let mut keys = setting.key.split('.').peekable();
    while let Some(key) = keys.next() {
        let entry = place.entry(key);
        if keys.peek().is_none() {
            let value = match serde_json::from_str(&setting.value) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
                _ => Value::String(setting.value.clone()),
            };
            if setting.occurrence == 0 {
                entry.or_insert(value);
            } else if let Value::Array(elements) = entry.or_insert_with(|| Value::Array(Vec::new()))
            {
                elements.push(value);
            }
            return;
        }
        match entry.or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => place = inner,
            _ => return,
        }
    }
}

/// Returns a mapping as YAML in block style.
pub fn to_text(members: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_members(members, "", &mut text);
    text
}

/// Writes the members of a mapping. The recursion is limited: [`parse`] limits the depth of a text.
fn write_members(members: &Map<String, Value>, indent: &str, text: &mut String) {
    for (key, value) in members {
        *text += &format!("{indent}{}:", quoted(key));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                write_members(inner, &format!("{indent}  "), text);
            }
            Value::Object(_) => *text += " {}\n",
            Value::Array(elements) => {
                text.push('\n');
                for element in elements {
                    *text += &match element {
                        Value::String(scalar) => format!("{indent}- {}\n", quoted(scalar)),
                        // JSON is YAML in flow style.
                        collection => format!("{indent}- {collection}\n"),
                    };
                }
            }
            Value::String(scalar) => *text += &format!(" {}\n", quoted(scalar)),
            Value::Null => text.push('\n'),
            scalar => *text += &format!(" {scalar}\n"),
        }
    }
}

/// Returns a scalar, quoted unless it is a plain word or number.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./+".contains(&byte);
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match starts && text.bytes().all(is_plain) && text != "null" {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_texts_and_collections_nest() {
        let text = "a: {b: [1, yes, '']}\nc:\n- d: 02:00:00:00:00:01\n  e:\n- f\n";
        let value = parse(text).unwrap();
        let expected = json!({"a": {"b": ["1", "yes", ""]}, "c": [{"d": "02:00:00:00:00:01", "e": null}, "f"]});
        assert_eq!(value, expected);
        assert_eq!(parse("# nothing\n").unwrap(), Value::Null);
    }

    #[test]
    fn syntax_that_costs_too_much_is_refused() {
        for (text, reason) in [
            ("a: &x [1]\nb: *x\n", "anchors are not read"),
            ("a: 1\na: 2\n", "the same key twice"),
            ("? [1]\n: 2\n", "a key that is no text"),
            ("a: 1\n---\nb: 2\n", "more than one document"),
            ("a: [", ""),
            ("a: \"", ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- 1\n".repeat(MOST_VALUES)).is_err());
    }

    #[test]
    fn a_written_text_is_read_back() {
        let value = json!({
            "network": {
                "a": "on", "b": "02:00:00:00:00:01", "c": ["1", {"to": "::/0"}], "d": {}, "e f": "#",
                "g": null,
            }
        });
        let text = to_text(value.as_object().unwrap());
        assert_eq!(parse(&text).unwrap(), value, "{text}");
        let mut file = File::new("f");
        flatten(Manager::Netplan, "s", &value, &mut file);
        let mut again = Map::new();
        file.settings().iter().for_each(|setting| put(&mut again, setting));
        let expected = json!({
            "network": {
                "a": "on", "b": "02:00:00:00:00:01", "c": ["1", {"to": "::/0"}], "e f": "#",
                "g": "",
            }
        });
        assert_eq!(Value::from(again), expected);
    }
}
