//! The keys in which two configurations differ.

use std::fmt;

use serde_json::{Map, Value};

use crate::config::Config;
use crate::problem::{Step, path_text};

/// A key with another value.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The keys from the top down, such as `ports`, `eth1`, `prio`.
    pub keys: Vec<String>,
    /// The former value; `None` if the key was absent.
    pub before: Option<Value>,
    /// The new value; `None` if the key is absent now.
    pub after: Option<Value>,
}

impl Difference {
    /// Returns the keys as `&str`, for patterns.
    pub fn path(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    /// Returns the keys as one path; an ambiguous name is quoted, as in state paths.
    pub fn key(&self) -> String {
        let steps: Vec<Step> = self.keys.iter().cloned().map(Step::Key).collect();
        path_text(&steps)
    }
}

impl fmt::Display for Difference {
    /// Writes the path and both values, such as `runner.fast_rate: false -> true`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<Value>| match value {
            Some(value) => value.to_string(),
            None => "absent".to_owned(),
        };
        write!(f, "{}: {} -> {}", self.key(), value(&self.before), value(&self.after))
    }
}

/// Returns the keys in which two configurations differ, in the order of `before`, new keys last.
///
/// A port that one configuration lacks is one difference, and so is a value of `link_watch`.
pub fn differences(before: &Config, after: &Config) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&[], before.object(), after.object(), &mut found);
    found
}

fn compare(
    above: &[String],
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    found: &mut Vec<Difference>,
) {
    let new = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(new) {
        let keys = [above, std::slice::from_ref(name)].concat();
        match (before.get(name), after.get(name)) {
            // Only editors read the key.
            _ if keys == ["$schema"] => {}
            (before, after) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) if name != "link_watch" => {
                compare(&keys, before, after, found);
            }
            // Each port is one difference, and each key of the runner.
            (None, Some(Value::Object(after))) if keys == ["ports"] || keys == ["runner"] => {
                compare(&keys, &Map::new(), after, found);
            }
            (Some(Value::Object(before)), None) if keys == ["ports"] || keys == ["runner"] => {
                compare(&keys, before, &Map::new(), found);
            }
            (before, after) => {
                let (before, after) = (before.cloned(), after.cloned());
                found.push(Difference { keys, before, after });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(before: &str, after: &str) -> Vec<String> {
        let config = |text: &str| Config::parse(text.as_bytes()).expect("an object");
        let found = differences(&config(before), &config(after));
        found.iter().map(Difference::to_string).collect()
    }

    #[test]
    fn a_difference_names_the_key_and_both_values() {
        let before = r#"{"$schema": "a", "runner": {"name": "lacp", "active": true},
            "ports": {"p0": {"prio": 1}, "p1": {}, "p2": {}}}"#;
        let after = r#"{"runner": {"name": "lacp", "fast_rate": true},
            "link_watch": {"name": "ethtool"},
            "ports": {"p2": {}, "p0": {"prio": 2}, "p3": {"sticky": true}}}"#;
        assert_eq!(
            texts(before, after),
            [
                "runner.active: true -> absent",
                "runner.fast_rate: absent -> true",
                "ports.p0.prio: 1 -> 2",
                "ports.p1: {} -> absent",
                r#"ports.p3: absent -> {"sticky":true}"#,
                r#"link_watch: absent -> {"name":"ethtool"}"#,
            ]
        );
        assert_eq!(texts(before, before), Vec::<String>::new());
    }

    #[test]
    fn link_watches_and_ports_are_compared_whole() {
        assert_eq!(
            texts(
                r#"{"link_watch": {"name": "ethtool", "delay_up": 1}, "ports": {"p0": {}}}"#,
                r#"{"link_watch": {"name": "ethtool", "delay_up": 2}}"#,
            ),
            [
                r#"link_watch: {"name":"ethtool","delay_up":1} -> {"name":"ethtool","delay_up":2}"#,
                "ports.p0: {} -> absent",
            ]
        );
    }

    #[test]
    fn each_key_of_an_absent_runner_is_a_difference() {
        let runner = r#"{"runner": {"name": "lacp", "active": true}}"#;
        let gone = ["runner.name: \"lacp\" -> absent", "runner.active: true -> absent"];
        assert_eq!(texts(runner, "{}"), gone);
        let new = ["runner.name: absent -> \"lacp\"", "runner.active: absent -> true"];
        assert_eq!(texts("{}", runner), new);
    }
}
