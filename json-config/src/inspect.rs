//! The walk over a configuration that finds its faults.
//!
//! One walk, driven by the [table of keys](crate::keys), serves the strict check, which reports all
//! findings, and a run, which logs replaced values and stops at refused ones. [`locate`](crate::locate)
//! finds the positions in the text.

use serde_json::{Map, Value};

use crate::finding::{Finding, Findings, Weight, Words};
use crate::form::check_form;
use crate::keys::{Form, Key, Kind, Object, Preset, RUNNERS};
use crate::lenient::{integer, known_word, runner_name, watch_name};
use crate::parse::kind;
use crate::problem::{Step, shortened};
use crate::suggest::nearest;
use crate::text::quoted;

/// Most findings of one walk with a message; the others are counted.
const MOST: usize = 100;

/// teamd's log line for another value where teamd writes an object.
const WRONG_PATH: &str = "Failed to get value from config: Wrong path format";

/// A walk in progress.
pub(crate) struct Walk<'a> {
    runner: &'a str,
    /// The team has link watches for ports without their own.
    team_watches: bool,
    wanted: &'a [Weight],
    path: Vec<Step>,
    /// The present key has no effect, so only the strict check reports it.
    unread: bool,
    findings: Findings,
}

impl<'a> Walk<'a> {
    /// Creates a walk over the configuration `team`, for findings of the weights `wanted`.
    pub(crate) fn new(team: &'a Map<String, Value>, wanted: &'a [Weight]) -> Self {
        Walk {
            runner: runner_name(team),
            team_watches: match team.get("link_watch") {
                Some(Value::Array(watches)) => !watches.is_empty(),
                watches => watches.is_some(),
            },
            wanted,
            path: Vec::new(),
            unread: false,
            findings: Findings::default(),
        }
    }

    /// Inspects the whole configuration.
    pub(crate) fn whole(mut self, team: &Map<String, Value>) -> Findings {
        self.object(Object::Team, team, None);
        self.combinations(team);
        self.findings
    }

    /// Inspects the keys of the team as a whole: all but ports and link watches.
    pub(crate) fn team(mut self, team: &Map<String, Value>) -> Findings {
        for key in Object::Team.keys() {
            if !matches!(key.kind, Kind::Ports | Kind::Watches) {
                self.member(key, team);
            }
        }
        self.findings
    }

    /// Inspects one key of the team.
    pub(crate) fn key(mut self, team: &Map<String, Value>, name: &str) -> Findings {
        if let Some(key) = Object::Team.find(name) {
            self.member(key, team);
        }
        self.findings
    }

    /// Inspects the port `name`: its own keys, then the team's link watches.
    pub(crate) fn port(mut self, team: &Map<String, Value>, name: &str) -> Findings {
        self.own_keys(team, name);
        self.key(team, "link_watch")
    }

    /// Inspects the own keys of the port `name`.
    pub(crate) fn entry(mut self, team: &Map<String, Value>, name: &str) -> Findings {
        self.own_keys(team, name);
        self.findings
    }

    fn own_keys(&mut self, team: &Map<String, Value>, name: &str) {
        if let Some(port) = team.get("ports").and_then(|ports| ports.get(name)) {
            self.step("ports", |walk| walk.step(name, |walk| walk.port_entry(port)));
        }
    }

    fn member(&mut self, key: &Key, object: &Map<String, Value>) {
        if let Some(value) = object.get(key.name) {
            self.step(key.name, |walk| walk.value(key, value));
        }
    }

    /// Returns the name of the runner, known or not.
    pub(crate) fn runner(&self) -> &str {
        self.runner
    }

    pub(crate) fn step(&mut self, key: &str, visit: impl FnOnce(&mut Self)) {
        self.path.push(Step::Key(key.to_owned()));
        visit(self);
        self.path.pop();
    }

    /// Inspects an object whose keys the runner or watch `reader` reads; `None` if the reader is
    /// unknown or all readers read all keys.
    fn object(&mut self, object: Object, members: &Map<String, Value>, reader: Option<&str>) {
        for (name, value) in members {
            self.step(name, |walk| match object.find(name) {
                None => walk.unknown_key(object, name),
                Some(key) => {
                    let read = reader.is_none_or(|reader| key.is_read_by(reader));
                    if read || object == Object::Port {
                        // A port may have keys for several runners.
                        walk.unread = !read;
                        walk.value(key, value);
                        walk.unread = false;
                    } else {
                        walk.ineffective_key(key, reader.unwrap_or_default());
                    }
                }
            });
        }
        for key in object.keys() {
            let read = key.read_by.is_empty() || reader.is_some_and(|name| key.is_read_by(name));
            if let Some(line) = key.required.filter(|_| read && !members.contains_key(key.name)) {
                self.add(Weight::Refused, || Words {
                    message: format!("expected key {}, found none", quoted(key.name)),
                    mend: format!("add it: {}", lower_start(key.about)),
                    teamd: Some(line.to_owned()),
                    ..Words::default()
                });
            }
        }
    }

    fn unknown_key(&mut self, object: Object, name: &str) {
        self.add_at_key(|| {
            let known: Vec<&str> = object.keys().map(|key| key.name).collect();
            let owner = || Object::ALL.into_iter().find(|owner| owner.find(name).is_some());
            let mend = if let Some(near) = nearest(name, &known) {
                did_you_mean(near)
            } else if let Some(owner) = owner() {
                format!("it belongs {}", owner.place())
            } else {
                format!("known here: {}", known.join(", "))
            };
            ("unknown key".to_owned(), mend)
        });
    }

    fn ineffective_key(&mut self, key: &Key, reader: &str) {
        self.add_at_key(|| {
            (
                format!("no effect with {}", found(reader)),
                format!("remove it; it is for {}", key.read_by.join(" and ")),
            )
        });
    }

    fn value(&mut self, key: &Key, value: &Value) {
        match key.kind {
            Kind::Boolean if value.is_boolean() => {}
            Kind::Boolean => self.wrong_type(key, value, "boolean", "write true or false"),
            Kind::Integer { min, max, .. } => self.integer(key, value, min, max),
            Kind::Text(form) => match value {
                Value::String(text) => self.text(key, text, form),
                Value::Number(_) => self.wrong_type(key, value, "string", "put it in quotes"),
                _ => self.wrong_type(key, value, "string", ""),
            },
            Kind::Word(words) => match value {
                Value::String(text) => self.word(key, text, words),
                _ => self.wrong_type(key, value, "string", &format!("write {}", choice(words))),
            },
            Kind::Words(words) => match value {
                Value::Array(elements) => self.words(key, elements, words),
                _ => self.wrong_type(key, value, "array", "put the words in [ ]"),
            },
            Kind::Texts(form) => match value {
                Value::Array(elements) => self.texts(key, elements, form),
                _ => self.wrong_type(key, value, "array", "put the names in [ ]"),
            },
            Kind::Object(object) => self.nested(key, value, object),
            Kind::Watches => match value {
                Value::Array(elements) => self.each(elements, |walk, watch| {
                    walk.watch(watch, "object");
                }),
                _ => self.watch(value, "object or array"),
            },
            Kind::Ports => match value {
                Value::Object(ports) => {
                    for (name, port) in ports {
                        self.step(name, |walk| {
                            if let Err(misfit) = check_form(Form::InterfaceName, name) {
                                let message = format!("expected {}", misfit.expected);
                                walk.add_at_key(|| (message, String::new()));
                            }
                            walk.port_entry(port);
                        });
                    }
                }
                _ => self.wrong_type(key, value, "object", "write {\"eth1\": {}} for instance"),
            },
        }
    }

    fn integer(&mut self, key: &Key, value: &Value, min: i64, max: i64) {
        let fits = |number: &i64| (min..=max).contains(number);
        // An integer in quotes has a wrong type first of all, and a wrong type stops no run.
        let Some(number) = integer(value).filter(|number| value.is_number() || fits(number)) else {
            return self.wrong_type(key, value, "integer", "write a whole number");
        };
        if !fits(&number) {
            return self.invalid(key, &number.to_string(), || {
                (format!("integer from {min} to {max}"), String::new())
            });
        }
        if value.is_string() {
            self.add(Weight::Fallback, || Words {
                message: "expected integer, found string".to_owned(),
                mend: "remove the quotes".to_owned(),
                instead: format!("read as {number}"),
                teamd: None,
            });
        }
    }

    fn text(&mut self, key: &Key, text: &str, form: Form) {
        let Err(misfit) = check_form(form, text) else {
            return;
        };
        // The kernel decides about interface names.
        let weight = match form {
            Form::InterfaceName => Weight::Strict,
            _ => Weight::Refused,
        };
        self.add(weight, || Words {
            message: format!("expected {}, found {}", misfit.expected, found(text)),
            teamd: misfit.teamd.or(key.refusal.map(str::to_owned)),
            ..Words::default()
        });
    }

    fn word(&mut self, key: &Key, text: &str, words: &[&'static str]) {
        if words.contains(&text) {
            return;
        }
        match known_word(words, text) {
            Some(word) => self.add(Weight::Fallback, || Words {
                message: format!("expected {}, found {}", quoted(word), found(text)),
                mend: did_you_mean(word),
                instead: format!("read as {}", quoted(word)),
                teamd: None,
            }),
            None => self.invalid(key, &found(text), || {
                (choice(words), nearest(text, words).map_or_else(String::new, did_you_mean))
            }),
        }
    }

    fn words(&mut self, key: &Key, elements: &[Value], words: &[&'static str]) {
        if elements.is_empty() {
            self.add(Weight::Fallback, || Words {
                message: "expected at least one element, found none".to_owned(),
                mend: format!("the words are {}", words.join(", ")),
                instead: "all frames are one flow".to_owned(),
                teamd: None,
            });
        }
        self.each(elements, |walk, element| {
            let instead = || format!("left out of {}", key.name);
            match element.as_str() {
                Some(word) if words.contains(&word) => {}
                Some(word) => walk.add(Weight::Fallback, || Words {
                    message: format!("expected {}, found {}", choice(words), found(word)),
                    mend: nearest(word, words).map_or_else(String::new, did_you_mean),
                    instead: instead(),
                    teamd: Some(format!("Hash frag named {} not found.", found(word))),
                }),
                None => walk.add(Weight::Fallback, || Words {
                    message: format!("expected string, found {}", kind(element)),
                    instead: instead(),
                    ..Words::default()
                }),
            }
        });
    }

    fn texts(&mut self, key: &Key, elements: &[Value], form: Form) {
        self.each(elements, |walk, element| {
            let message = match element.as_str().map(|text| (text, check_form(form, text))) {
                Some((_, Ok(()))) => return,
                Some((text, Err(misfit))) => {
                    format!("expected {}, found {}", misfit.expected, found(text))
                }
                None => format!("expected string, found {}", kind(element)),
            };
            let instead = format!("left out of {}", key.name);
            walk.add(Weight::Fallback, || Words { message, instead, ..Words::default() });
        });
    }

    fn nested(&mut self, key: &Key, value: &Value, object: Object) {
        let mend = "put its keys in { }";
        match value {
            Value::Object(members) => {
                let reader = (object == Object::Runner && self.runner_is_known())
                    .then(|| self.runner.to_owned());
                self.object(object, members, reader.as_deref());
            }
            Value::String(name) if object == Object::TxBalancer => {
                self.add(Weight::Fallback, || Words {
                    message: "expected object, found string".to_owned(),
                    mend: format!("write {{\"name\": {}}}", found(name)),
                    instead: format!("read as {{\"name\": {}}}", found(name)),
                    teamd: None,
                });
            }
            // teamd writes defaults into these objects.
            _ if object == Object::Runner
                || object == Object::Burst && self.runner == "activebackup" =>
            {
                self.no_object("object", value, mend, WRONG_PATH);
            }
            _ => self.wrong_type(key, value, "object", mend),
        }
    }

    fn runner_is_known(&self) -> bool {
        RUNNERS.contains(&self.runner)
    }

    fn port_entry(&mut self, port: &Value) {
        let mend = "write {} for a port without settings of its own";
        match port {
            Value::Object(members) => {
                let reader = self.runner_is_known().then(|| self.runner.to_owned());
                self.object(Object::Port, members, reader.as_deref());
            }
            _ if self.team_watches => self.add(Weight::Fallback, || Words {
                message: format!("expected object, found {}", kind(port)),
                mend: mend.to_owned(),
                instead: "read as {}".to_owned(),
                teamd: None,
            }),
            // teamd writes the watch "ethtool" into the port's object.
            _ => self.no_object("object", port, mend, WRONG_PATH),
        }
    }

    fn watch(&mut self, watch: &Value, expected: &str) {
        match watch {
            Value::Object(members) => {
                let name = watch_name(members);
                self.object(Object::LinkWatch, members, name);
                self.hosts(members, name);
                self.watch_beside_lacp(name);
            }
            _ => self.no_object(
                expected,
                watch,
                "write {\"name\": \"ethtool\"} for instance",
                "Failed to get link watch name.",
            ),
        }
    }

    pub(crate) fn each(&mut self, elements: &[Value], mut visit: impl FnMut(&mut Self, &Value)) {
        for (index, element) in elements.iter().enumerate() {
            self.path.push(Step::Index(index));
            visit(self, element);
            self.path.pop();
        }
    }

    /// Reports a value of another type. The value counts as absent, unless teamd stops at it.
    fn wrong_type(&mut self, key: &Key, value: &Value, expected: &str, mend: &str) {
        let teamd = key.required.or(key.written);
        let weight = match teamd {
            Some(_) => Weight::Refused,
            None => Weight::Fallback,
        };
        self.add(weight, || Words {
            message: format!("expected {expected}, found {}", kind(value)),
            mend: mend.to_owned(),
            instead: teamd.map_or_else(|| default_used(key), |_| String::new()),
            teamd: teamd.map(str::to_owned),
        });
    }

    /// Reports a value in the place of a required object.
    fn no_object(&mut self, expected: &str, value: &Value, mend: &str, teamd: &str) {
        self.add(Weight::Refused, || Words {
            message: format!("expected {expected}, found {}", kind(value)),
            mend: mend.to_owned(),
            teamd: Some(teamd.to_owned()),
            ..Words::default()
        });
    }

    /// Reports a value of the right type that is out of range or unknown; `say` returns the
    /// expectation and the remedy.
    fn invalid(&mut self, key: &Key, value: &str, say: impl FnOnce() -> (String, String)) {
        let (weight, teamd) = match key.refusal {
            Some(line) => (Weight::Refused, Some(line)),
            None => (Weight::Fallback, None),
        };
        self.add(weight, || {
            let (expected, mend) = say();
            Words {
                message: format!("expected {expected}, found {value}"),
                mend,
                instead: teamd.map_or_else(|| default_used(key), |_| String::new()),
                teamd: teamd.map(|line| line.replace("{}", value.trim_matches('"'))),
            }
        });
    }

    /// Reports a wrong key to the strict check; `say` returns the fault and the remedy.
    pub(crate) fn add_at_key(&mut self, say: impl FnOnce() -> (String, String)) {
        self.keep(Weight::Strict, true, || {
            let (message, mend) = say();
            Words { message, mend, ..Words::default() }
        });
    }

    pub(crate) fn add(&mut self, weight: Weight, say: impl FnOnce() -> Words) {
        let weight = if self.unread { Weight::Strict } else { weight };
        self.keep(weight, false, say);
    }

    /// Builds the message only if it is kept: a hostile text may have a million faults.
    fn keep(&mut self, weight: Weight, at_key: bool, say: impl FnOnce() -> Words) {
        if !self.wanted.contains(&weight) {
            return;
        }
        if self.findings.list.len() == MOST {
            self.findings.more += 1;
            return;
        }
        self.findings.list.push(Finding { path: self.path.clone(), at_key, words: say() });
    }
}

fn default_used(key: &Key) -> String {
    match key.default {
        Preset::Nothing => "ignored".to_owned(),
        Preset::Boolean(flag) => format!("using the default, {flag}"),
        Preset::Integer(number) => format!("using the default, {number}"),
        Preset::Word(word) => format!("using the default, {}", quoted(word)),
        Preset::Words(words) => format!("using the default, {}", words.join(" ")),
    }
}

fn did_you_mean(word: &str) -> String {
    format!("did you mean {}?", quoted(word))
}

fn choice(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    match words.as_slice() {
        [only] => only.clone(),
        words => format!("one of {}", words.join(", ")),
    }
}

fn found(text: &str) -> String {
    quoted(&shortened(text))
}

fn lower_start(sentence: &str) -> String {
    let mut characters = sentence.trim_end_matches('.').chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
