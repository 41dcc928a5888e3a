//! Paths of keys, such as `ports."eth1.5".prio`: parses a path, finds its definition in the table of
//! keys, and reads and sets the value at a path.

use serde_json::{Map, Value, json};

use crate::config::{Config, object_in};
use crate::keys::{Key, Kind, Object, Preset};
use crate::lenient::{runner_name, watch_name};
use crate::parse::kind;
use crate::problem::{Problem, Step, path_text};
use crate::suggest::nearest;

/// Path of a key, of an entry of `ports` or of an element of `link_watch`.
#[derive(Clone, Debug)]
pub struct KeyPath {
    steps: Vec<Step>,
    /// The definition; `None` for an entry or an element.
    key: Option<&'static Key>,
}

/// A key with its value in a configuration.
#[derive(Clone, Debug)]
pub struct Item {
    /// The path of the key.
    pub path: String,
    /// The configured value, else the default; `null` without both.
    pub value: Value,
}

/// The part of a configuration that a path has reached.
enum Place {
    Object(Object),
    Ports,
    Watches,
    Value,
}

impl KeyPath {
    /// Parses a path as messages show it: names with dots between them, a name with other
    /// characters than letters, digits and `_-$@:` as a JSON string, the place in an array in
    /// brackets.
    ///
    /// # Errors
    /// The first step that is unreadable or names no key.
    pub fn parse(text: &str) -> Result<KeyPath, Problem> {
        let problem = |message: &str| Problem {
            path: text.to_owned(),
            message: message.to_owned(),
            position: None,
        };
        let steps = parse_steps(text).ok_or_else(|| {
            problem("expected names with dots between them; a name with a dot needs quotes")
        })?;
        let mut place = Place::Object(Object::Team);
        let mut key = None;
        for (depth, step) in steps.iter().enumerate() {
            (place, key) = match (&place, step) {
                (Place::Object(object), Step::Key(name)) => {
                    let unknown = || unknown_key(*object, name, &steps[..=depth]);
                    let key = object.find(name).ok_or_else(unknown)?;
                    (place_of(key.kind), Some(key))
                }
                (Place::Ports, Step::Key(_)) => (Place::Object(Object::Port), None),
                (Place::Watches, Step::Index(_)) => (Place::Object(Object::LinkWatch), None),
                (Place::Watches, Step::Key(name)) => {
                    let unknown = || unknown_key(Object::LinkWatch, name, &steps[..=depth]);
                    let key = Object::LinkWatch.find(name).ok_or_else(unknown)?;
                    (place_of(key.kind), Some(key))
                }
                _ => {
                    let message = format!("no key: \"{}\" has none", path_text(&steps[..depth]));
                    return Err(problem(&message));
                }
            };
        }
        Ok(KeyPath { steps, key })
    }

    /// Returns the definition of the key; `None` for an entry of `ports` or an element of
    /// `link_watch`.
    pub fn key(&self) -> Option<&'static Key> {
        self.key
    }

    /// Returns whether only editors read the key.
    pub fn is_for_editors(&self) -> bool {
        self.key.is_some_and(|key| key.name == "$schema")
    }

    /// Returns the name of the port that the key belongs to; `None` for an entry of `ports` itself
    /// and for other keys.
    pub fn port(&self) -> Option<&str> {
        match &self.steps[..] {
            [Step::Key(ports), Step::Key(name), _, ..] if ports == "ports" => Some(name),
            _ => None,
        }
    }

    /// Returns the path of the entry of `ports` that the key belongs to, as messages show it.
    pub fn port_entry(&self) -> String {
        path_text(&self.steps[..self.steps.len().min(2)])
    }

    /// Returns the value that `text` stands for: JSON, or a string without quotes. `null` stands
    /// for an absent key.
    pub fn read_value(&self, text: &str) -> Value {
        let is_text = matches!(self.key.map(|key| key.kind), Some(Kind::Text(_) | Kind::Word(_)));
        let json = || serde_json::from_str(text).ok();
        let json = match is_text {
            true => json().filter(|value: &Value| value.is_string() || value.is_null()),
            false => json(),
        };
        json.unwrap_or_else(|| text.into())
    }
}

impl Config {
    /// Returns the value of a key; `None` for an absent one.
    pub fn value(&self, path: &KeyPath) -> Option<&Value> {
        let (first, rest) = path.steps.split_first()?;
        let Step::Key(first) = first else { return None };
        let top = self.object().get(first);
        rest.iter().try_fold(top?, |value, step| match step {
            Step::Key(name) => value.get(name),
            Step::Index(index) => value.get(index),
        })
    }

    /// Returns the value in effect: the configured value; for `damping` of a port, else the team's
    /// value; else the default; `null` if there is none of these.
    pub fn effective_value(&self, path: &KeyPath) -> Value {
        let default = || path.key.map_or(Value::Null, default_value);
        self.value(path).or_else(|| self.inherited(path)).cloned().unwrap_or_else(default)
    }

    /// Returns the team's value of a key of `damping` that a port lacks.
    fn inherited(&self, path: &KeyPath) -> Option<&Value> {
        let is = |step: &Step, name: &str| matches!(step, Step::Key(key) if key == name);
        match &path.steps[..] {
            [ports, _, rest @ ..] if is(ports, "ports") && is(rest.first()?, "damping") => {
                self.value(&KeyPath { steps: rest.to_vec(), key: path.key })
            }
            _ => None,
        }
    }

    /// Returns the configuration with another value of a key; `null` removes the key.
    ///
    /// # Errors
    /// For a step into another value than an object or an array, or beyond the end of an array.
    pub fn with_value(&self, path: &KeyPath, value: Value) -> Result<Config, Problem> {
        let mut changed = self.clone();
        let is_removal = value.is_null();
        set(changed.object_mut(), &path.steps, value).map_err(|message| Problem {
            path: path_text(&path.steps),
            message,
            position: None,
        })?;
        if is_removal {
            changed.remove_empty_object(&path.steps);
        }
        Ok(changed)
    }

    /// Removes the object of the key at `steps` if the object is empty and stands for nothing.
    /// Without keys, `damping` turns damping on unless the team has damping, `ports.P` names a port,
    /// and an element of `link_watch` keeps its place.
    fn remove_empty_object(&mut self, steps: &[Step]) {
        let Some((_, above)) = steps.split_last() else { return };
        let names: Option<Vec<&str>> = above
            .iter()
            .map(|step| match step {
                Step::Key(name) => Some(name.as_str()),
                Step::Index(_) => None,
            })
            .collect();
        let stands_for_nothing = match names.as_deref() {
            Some(["runner" | "notify_peers" | "mcast_rejoin"] | ["runner", _]) => true,
            Some(["ports", _, "damping"]) => self.object().contains_key("damping"),
            _ => false,
        };
        let object = KeyPath { steps: above.to_vec(), key: None };
        let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        if stands_for_nothing && self.value(&object).is_some_and(is_empty) {
            // The steps lead to an object.
            let _ = set(self.object_mut(), above, Value::Null);
        }
    }

    /// Returns the keys that the runner and the link watches read, each with its value, in the
    /// order of the table.
    pub fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let team = self.object();
        self.collect(Object::Team, Some(team), &[], runner_name(team), &mut items);
        items
    }
}

fn place_of(kind: Kind) -> Place {
    match kind {
        Kind::Object(object) => Place::Object(object),
        Kind::Ports => Place::Ports,
        Kind::Watches => Place::Watches,
        _ => Place::Value,
    }
}

/// Returns the problem of a key that `object` does not have.
fn unknown_key(object: Object, name: &str, steps: &[Step]) -> Problem {
    let known: Vec<&str> = object.keys().map(|key| key.name).collect();
    let mend = match nearest(name, &known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Problem { path: path_text(steps), message: format!("unknown key; {mend}"), position: None }
}

/// Returns the steps of a path; `None` if the path is unreadable.
fn parse_steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = match rest.starts_with('"') {
            true => {
                let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let name = names.next()?.ok()?;
                (name, &rest[names.byte_offset()..])
            }
            false => {
                let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
                (name.to_owned(), after)
            }
        };
        if name.is_empty() {
            return None;
        }
        steps.push(Step::Key(name));
        rest = after;
        if let Some(bracket) = rest.strip_prefix('[') {
            let (index, after) = bracket.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
        if rest.is_empty() {
            return Some(steps);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// Sets the value at `steps` below `object`, with the objects between them; `null` removes the key.
fn set(object: &mut Map<String, Value>, steps: &[Step], value: Value) -> Result<(), String> {
    match steps {
        [Step::Key(name)] if value.is_null() => {
            object.shift_remove(name);
            Ok(())
        }
        [Step::Key(name)] => {
            object.insert(name.clone(), value);
            Ok(())
        }
        [Step::Key(name), Step::Index(index), rest @ ..] => {
            set_element(object.get_mut(name), *index, rest, value)
        }
        [Step::Key(name), rest @ ..] => match object.get(name) {
            Some(Value::Object(_)) => set(object_in(object, name), rest, value),
            // Without the object, the key is absent already.
            None if value.is_null() => Ok(()),
            None => set(object_in(object, name), rest, value),
            Some(Value::Array(_)) => Err("an array: name the element, as in [0]".to_owned()),
            Some(other) => Err(format!("\"{name}\" is no object but {}", kind(other))),
        },
        _ => Err("no key".to_owned()),
    }
}

fn set_element(
    array: Option<&mut Value>,
    index: usize,
    rest: &[Step],
    value: Value,
) -> Result<(), String> {
    let elements = array.and_then(Value::as_array_mut).ok_or("no array")?;
    let count = elements.len();
    let element =
        elements.get_mut(index).ok_or_else(|| format!("the array has {count} elements"))?;
    match (rest, element) {
        ([], _) if value.is_null() => {
            elements.remove(index);
            Ok(())
        }
        ([], element) => {
            *element = value;
            Ok(())
        }
        (rest, Value::Object(object)) => set(object, rest, value),
        (_, other) => Err(format!("no object but {}", kind(other))),
    }
}

fn default_value(key: &Key) -> Value {
    match key.default {
        Preset::Nothing => Value::Null,
        Preset::Boolean(flag) => flag.into(),
        Preset::Integer(number) => number.into(),
        Preset::Word(word) => word.into(),
        Preset::Words(words) => json!(words),
    }
}

impl Config {
    /// Adds the keys of an object that `reader`, a runner or a watch, reads.
    fn collect(
        &self,
        object: Object,
        members: Option<&Map<String, Value>>,
        above: &[Step],
        reader: &str,
        items: &mut Vec<Item>,
    ) {
        for key in object.keys().filter(|key| key.name != "$schema" && key.is_read_by(reader)) {
            let value = members.and_then(|members| members.get(key.name));
            let steps = [above, &[Step::Key(key.name.to_owned())]].concat();
            match key.kind {
                Kind::Object(object) => {
                    self.collect(object, value.and_then(Value::as_object), &steps, reader, items);
                }
                Kind::Ports => {
                    for (name, port) in value.and_then(Value::as_object).into_iter().flatten() {
                        let steps = [&steps[..], &[Step::Key(name.clone())]].concat();
                        self.collect(Object::Port, port.as_object(), &steps, reader, items);
                    }
                }
                Kind::Watches => self.collect_watches(value, &steps, items),
                _ => {
                    let path = KeyPath { steps, key: Some(key) };
                    let value = self.effective_value(&path);
                    items.push(Item { path: path_text(&path.steps), value });
                }
            }
        }
    }

    fn collect_watches(&self, watches: Option<&Value>, steps: &[Step], items: &mut Vec<Item>) {
        let mut watch = |watch: &Value, steps: &[Step]| {
            let members = watch.as_object();
            let name = members.and_then(watch_name).unwrap_or_default();
            self.collect(Object::LinkWatch, members, steps, name, items);
        };
        match watches {
            Some(Value::Array(elements)) => {
                for (index, element) in elements.iter().enumerate() {
                    watch(element, &[steps, &[Step::Index(index)]].concat());
                }
            }
            Some(single) => watch(single, steps),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = br#"{"device": "team0", "runner": {"name": "lacp"},
            "link_watch": [{"name": "ethtool"}, {"name": "arp_ping", "target_host": "a"}],
            "ports": {"eth1.5": {"lacp_prio": 7}, "a\"b\nc": {}}}"#;
        Config::parse(text).unwrap()
    }

    fn set(path: &str, value: &str) -> Result<Value, String> {
        let path = KeyPath::parse(path).map_err(|problem| problem.to_string())?;
        let changed = config().with_value(&path, path.read_value(value));
        let changed = changed.map_err(|problem| problem.to_string())?;
        Ok(changed.value(&path).cloned().unwrap_or_default())
    }

    #[test]
    fn a_value_is_json_or_a_bare_word() {
        for (path, value, expected) in [
            ("runner.fast_rate", "true", json!(true)),
            ("runner.fast_rate", "null", json!(null)),
            ("runner.fast_rate", "yes", json!("yes")),
            ("runner.sys_prio", "7", json!(7)),
            ("runner.tx_hash", "[\"l4\"]", json!(["l4"])),
            ("runner.agg_select_policy", "count", json!("count")),
            ("runner.agg_select_policy", "\"count\"", json!("count")),
            // A bare word may look like JSON.
            ("link_watch[1].target_host", "1", json!("1")),
            ("link_watch[1].target_host", "true", json!("true")),
            ("link_watch[0].delay_up", "5", json!(5)),
            ("ports.\"eth1.5\".lacp_prio", "8", json!(8)),
            ("ports.\"a\\\"b\\nc\".prio", "8", json!(8)),
            ("ports.eth9", "{}", json!({})),
            ("ports.eth9.prio", "1", json!(1)),
            ("notify_peers.count", "2", json!(2)),
            ("notify_peers.count", "null", json!(null)),
        ] {
            assert_eq!(set(path, value), Ok(expected), "{path} {value}");
        }
    }

    #[test]
    fn a_removed_key_takes_an_object_that_stands_for_nothing_along() {
        let dump = |text: &str, changes: &[(&str, &str)]| {
            let config = Config::parse(text.as_bytes()).unwrap();
            let changed = changes.iter().fold(config, |config, (path, value)| {
                let path = KeyPath::parse(path).unwrap();
                config.with_value(&path, path.read_value(value)).unwrap()
            });
            Value::Object(changed.object().clone())
        };
        let of_port = [("ports.p0.damping.penalty", "0"), ("ports.p0.damping.penalty", "null")];
        for (text, changes, expected) in [
            (
                r#"{"damping": {}, "ports": {"p0": {}}}"#,
                &of_port[..],
                json!({"damping": {}, "ports": {"p0": {}}}),
            ),
            // Only the object turns damping on.
            (r#"{"ports": {"p0": {}}}"#, &of_port, json!({"ports": {"p0": {"damping": {}}}})),
            (r#"{"damping": {"reuse": 7}}"#, &[("damping.reuse", "null")], json!({"damping": {}})),
            (r#"{"runner": {"name": "lacp"}}"#, &[("runner.name", "null")], json!({})),
            ("{}", &[("notify_peers.count", "2"), ("notify_peers.count", "null")], json!({})),
            (
                r#"{"ports": {"p0": {"prio": 1}}}"#,
                &[("ports.p0.prio", "null")],
                json!({"ports": {"p0": {}}}),
            ),
        ] {
            assert_eq!(dump(text, changes), expected, "{text} {changes:?}");
        }
    }

    #[test]
    fn a_path_without_a_key_is_refused() {
        for (path, expected) in [
            ("", "expected names with dots between them; a name with a dot needs quotes"),
            ("runner..name", "runner..name: expected names with dots"),
            ("ports.\"eth1", "expected names with dots"),
            ("ports.\"eth1\"x.prio", "expected names with dots"),
            ("link_watch[x]", "expected names with dots"),
            ("link_watch[99999999999999999999999]", "expected names with dots"),
            ("runner.fast_rat", "runner.fast_rat: unknown key; did you mean \"fast_rate\"?"),
            ("ports.eth1.5.prio", "ports.eth1.5: unknown key; known here: prio, "),
            ("runner.fast_rate.x", "no key: \"runner.fast_rate\" has none"),
            ("runner[0]", "no key: \"runner\" has none"),
            ("link_watch.interval", "an array: name the element"),
            ("link_watch[7].interval", "the array has 2 elements"),
        ] {
            let error = set(path, "1").unwrap_err();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }

    #[test]
    fn a_port_has_the_damping_of_the_team() {
        let text = br#"{"damping": {"reuse": 7, "penalty": 3},
            "ports": {"eth1": {}, "eth2": {"damping": {"reuse": 9}}}}"#;
        let config = Config::parse(text).unwrap();
        let items = config.items();
        for (path, expected) in [
            ("ports.eth1.damping.reuse", json!(7)),
            ("ports.eth2.damping.reuse", json!(9)),
            ("ports.eth2.damping.penalty", json!(3)),
            ("ports.eth2.damping.half_life", json!(5000)),
        ] {
            assert_eq!(config.effective_value(&KeyPath::parse(path).unwrap()), expected, "{path}");
            let item = items.iter().find(|item| item.path == path).expect(path);
            assert_eq!(item.value, expected, "{path}");
        }
    }

    #[test]
    fn the_items_are_the_keys_that_something_reads() {
        let items = config().items();
        let value = |path: &str| {
            let item = items.iter().find(|item| item.path == path);
            item.map(|item| item.value.clone())
        };
        assert_eq!(value("runner.fast_rate"), Some(json!(false)));
        assert_eq!(value("ports.\"eth1.5\".lacp_prio"), Some(json!(7)));
        assert_eq!(value("ports.\"a\\\"b\\nc\".prio"), Some(json!(0)));
        assert_eq!(value("link_watch[1].interval"), Some(json!(1000)));
        assert_eq!(value("hwaddr"), Some(json!(null)));
        for absent in ["runner.failback", "link_watch[0].interval", "$schema", "ports"] {
            assert_eq!(value(absent), None, "{absent}");
        }
        for item in &items {
            let path = KeyPath::parse(&item.path).unwrap();
            assert_eq!(config().effective_value(&path), item.value, "{}", item.path);
        }
    }
}
