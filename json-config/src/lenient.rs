//! Values that teamd's front ends write in another form, and the names that select other keys.

use serde_json::{Map, Value};

use crate::keys::{Kind, Object};

/// Returns `runner.name`, known or not: `roundrobin` if absent, empty if it is not a string.
pub(crate) fn runner_name(team: &Map<String, Value>) -> &str {
    match team.get("runner").and_then(|runner| runner.get("name")) {
        Some(name) => name.as_str().unwrap_or_default(),
        None => "roundrobin",
    }
}

/// Returns the name of a link watch; `None` if it is missing or unknown.
pub(crate) fn watch_name(watch: &Map<String, Value>) -> Option<&'static str> {
    let Kind::Word(words) = Object::LinkWatch.find("name")?.kind else {
        return None;
    };
    known_word(words, watch.get("name")?.as_str()?)
}

/// Returns the word of `words` that `text` stands for. Cockpit writes `-` instead of `_`.
pub(crate) fn known_word(words: &[&'static str], text: &str) -> Option<&'static str> {
    let text = text.replace('-', "_");
    words.iter().copied().find(|word| *word == text)
}

/// Returns the integer that `value` stands for. Cockpit writes integers in quotes.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}
