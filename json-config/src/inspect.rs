//! The walk that finds what is wrong with a configuration.
//!
//! One walk, driven by the [table of keys](crate::keys), serves both readers: the strict check
//! reports everything it finds; a run logs what it falls back on and stops at what it refuses.
//! Does not know where in the text a value stands.

use serde_json::{Map, Value};

use crate::form::check_form;
use crate::keys::{Form, Key, Kind, Object, Preset};
use crate::parse::kind;
use crate::problem::{Problem, Step, path_text, shortened};
use crate::suggest::nearest;
use crate::text::quoted;

/// Findings kept of one walk; the rest is only counted.
const MOST: usize = 100;

/// teamd's line for a value that stands where an object must be written.
const WRONG_PATH: &str = "Failed to get value from config: Wrong path format";

/// Who minds a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// The strict check alone; for a run it is as good as absent.
    Strict,
    /// A run goes on with something else and says so.
    Fallback,
    /// A run refuses the team or the port.
    Refused,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) path: Vec<Step>,
    /// The key itself is wrong, not its value.
    pub(crate) at_key: bool,
    pub(crate) weight: Weight,
    /// What was expected and what was found.
    message: String,
    /// How to mend it.
    mend: String,
    /// What a run does instead.
    instead: String,
    /// What teamd logs.
    teamd: Option<String>,
}

impl Finding {
    /// As the strict check says it.
    pub(crate) fn to_mend(&self) -> Problem {
        self.problem(joined(&self.message, &self.mend))
    }

    /// As a run says it.
    pub(crate) fn as_run(&self) -> Problem {
        self.problem(match &self.teamd {
            Some(line) => joined(&format!("{line} ({})", self.message), &self.instead),
            None => joined(&self.message, &self.instead),
        })
    }

    fn problem(&self, message: String) -> Problem {
        Problem {
            path: path_text(&self.path),
            message,
            position: None,
        }
    }
}

fn joined(message: &str, addition: &str) -> String {
    match addition {
        "" => message.to_owned(),
        addition => format!("{message}; {addition}"),
    }
}

/// What one walk has found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// In the order of the file, but what is missing comes behind what is there.
    pub(crate) list: Vec<Finding>,
    /// How many more there were.
    pub(crate) more: usize,
}

/// The name of the runner that a configuration asks for, known or not.
pub(crate) fn runner_name(team: &Map<String, Value>) -> &str {
    team.get("runner")
        .and_then(|runner| runner.get("name"))
        .and_then(Value::as_str)
        .unwrap_or("roundrobin")
}

/// The word of `words` that `text` is; `-` is taken for `_`, as cockpit writes it.
pub(crate) fn known_word(words: &[&'static str], text: &str) -> Option<&'static str> {
    let meant = text.replace('-', "_");
    words.iter().copied().find(|word| *word == meant)
}

/// The integer that `value` is, or that it holds in quotes, as cockpit writes it.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

/// A walk, or the part of it that is under way.
pub(crate) struct Walk<'a> {
    runner: &'a str,
    wanted: &'a [Weight],
    path: Vec<Step>,
    /// The keys being read have no effect, so only the strict check may mind.
    unread: bool,
    findings: Findings,
}

impl<'a> Walk<'a> {
    /// A walk through the configuration `team`, for findings of the weights `wanted`.
    pub(crate) fn new(team: &'a Map<String, Value>, wanted: &'a [Weight]) -> Self {
        Walk {
            runner: runner_name(team),
            wanted,
            path: Vec::new(),
            unread: false,
            findings: Findings::default(),
        }
    }

    /// Looks at everything.
    pub(crate) fn whole(mut self, team: &Map<String, Value>) -> Findings {
        self.object(Object::Team, team, None);
        self.findings
    }

    /// Looks at what concerns the team as a whole: all but ports and link watches.
    pub(crate) fn team(mut self, team: &Map<String, Value>) -> Findings {
        for key in Object::Team.keys() {
            if !matches!(key.kind, Kind::Ports | Kind::Watches) {
                self.member(key, team);
            }
        }
        self.findings
    }

    /// Looks at what concerns the port `name`: its own settings, then the team's link watches.
    pub(crate) fn port(mut self, team: &Map<String, Value>, name: &str) -> Findings {
        if let Some(port) = team.get("ports").and_then(|ports| ports.get(name)) {
            self.step("ports", |walk| {
                walk.step(name, |walk| walk.port_entry(port))
            });
        }
        if let Some(key) = Object::Team.find("link_watch") {
            self.member(key, team);
        }
        self.findings
    }

    fn member(&mut self, key: &Key, object: &Map<String, Value>) {
        if let Some(value) = object.get(key.name) {
            self.step(key.name, |walk| walk.value(key, value));
        }
    }

    fn step(&mut self, key: &str, visit: impl FnOnce(&mut Self)) {
        self.path.push(Step::Key(key.to_owned()));
        visit(self);
        self.path.pop();
    }

    /// Looks at an object whose keys are read by the runner or watch `reader`; none if it is
    /// not known, or all keys are read by everything.
    fn object(&mut self, object: Object, members: &Map<String, Value>, reader: Option<&str>) {
        for (name, value) in members {
            self.step(name, |walk| match object.find(name) {
                None => walk.unknown_key(object, name),
                Some(key) => {
                    let read = reader.is_none_or(|reader| key.is_read_by(reader));
                    if read || object == Object::Port {
                        // A port may be meant for more than one runner.
                        walk.unread = !read;
                        walk.value(key, value);
                        walk.unread = false;
                    } else {
                        walk.pointless_key(key, reader.unwrap_or_default());
                    }
                }
            });
        }
        for key in object.keys() {
            let read = key.read_by.is_empty() || reader.is_some_and(|name| key.is_read_by(name));
            if let Some(line) = key
                .required
                .filter(|_| read && !members.contains_key(key.name))
            {
                self.add(
                    Weight::Refused,
                    format!("expected key {}, found none", quoted(key.name)),
                    format!("add it: {}", lower_start(key.about)),
                    String::new(),
                    Some(line.to_owned()),
                );
            }
        }
    }

    fn unknown_key(&mut self, object: Object, name: &str) {
        let home = || {
            Object::ALL
                .into_iter()
                .find(|home| home.find(name).is_some())
        };
        let known: Vec<&str> = object.keys().map(|key| key.name).collect();
        let mend = if let Some(near) = nearest(name, &known) {
            format!("did you mean {}?", quoted(near))
        } else if let Some(home) = home() {
            format!("it belongs {}", home.place())
        } else {
            format!("known here: {}", known.join(", "))
        };
        self.add_at_key("unknown key".to_owned(), mend);
    }

    fn pointless_key(&mut self, key: &Key, reader: &str) {
        self.add_at_key(
            format!("no effect with {}", quoted(&shortened(reader))),
            format!("remove it; it is for {}", key.read_by.join(" and ")),
        );
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
            Kind::Object(object) => self.nested(key, value, object),
            Kind::Watches => match value {
                Value::Array(elements) => self.each(elements, Self::watch),
                Value::Object(_) => self.watch(value),
                _ => self.wrong_type(
                    key,
                    value,
                    "object or array",
                    "write {\"name\": \"ethtool\"} for instance",
                ),
            },
            Kind::Ports => match value {
                Value::Object(ports) => {
                    for (name, port) in ports {
                        self.step(name, |walk| {
                            if let Err(misfit) = check_form(Form::InterfaceName, name) {
                                walk.add_at_key(
                                    format!("expected {}", misfit.expected),
                                    String::new(),
                                );
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
        let Some(number) = integer(value) else {
            return self.wrong_type(key, value, "integer", "write a whole number");
        };
        if !(min..=max).contains(&number) {
            return self.senseless(
                key,
                &format!("integer from {min} to {max}"),
                &number.to_string(),
                String::new(),
            );
        }
        if value.is_string() {
            self.add(
                Weight::Fallback,
                "expected integer, found string".to_owned(),
                "remove the quotes".to_owned(),
                format!("read as {number}"),
                None,
            );
        }
    }

    fn text(&mut self, key: &Key, text: &str, form: Form) {
        let Err(misfit) = check_form(form, text) else {
            return;
        };
        let message = format!("expected {}, found {}", misfit.expected, found(text));
        // Whether an interface name will do is for the kernel to say.
        let weight = match form {
            Form::InterfaceName => Weight::Strict,
            _ => Weight::Refused,
        };
        let teamd = misfit.teamd.or(key.refusal.map(str::to_owned));
        self.add(weight, message, String::new(), String::new(), teamd);
    }

    fn word(&mut self, key: &Key, text: &str, words: &[&'static str]) {
        if words.contains(&text) {
            return;
        }
        let near = nearest(text, words);
        let mend = near.map(|near| format!("did you mean {}?", quoted(near)));
        if let Some(word) = known_word(words, text) {
            self.add(
                Weight::Fallback,
                format!("expected {}, found {}", quoted(word), found(text)),
                mend.unwrap_or_default(),
                format!("read as {}", quoted(word)),
                None,
            );
        } else {
            self.senseless(key, &choice(words), &found(text), mend.unwrap_or_default());
        }
    }

    fn words(&mut self, key: &Key, elements: &[Value], words: &[&'static str]) {
        if elements.is_empty() {
            self.add(
                Weight::Fallback,
                "expected at least one element, found none".to_owned(),
                format!("the words are {}", words.join(", ")),
                "all frames are one flow".to_owned(),
                None,
            );
        }
        self.each(elements, |walk, element| {
            let (message, mend, teamd) = match element.as_str() {
                Some(word) if words.contains(&word) => return,
                Some(word) => (
                    format!("expected {}, found {}", choice(words), found(word)),
                    nearest(word, words).map(|near| format!("did you mean {}?", quoted(near))),
                    Some(format!("Hash frag named {} not found.", found(word))),
                ),
                None => (
                    format!("expected string, found {}", kind(element)),
                    None,
                    None,
                ),
            };
            let skipped = format!("left out of {}", key.name);
            walk.add(
                Weight::Fallback,
                message,
                mend.unwrap_or_default(),
                skipped,
                teamd,
            );
        });
    }

    fn nested(&mut self, key: &Key, value: &Value, object: Object) {
        match value {
            Value::Object(members) => {
                let reader = (object == Object::Runner && self.runner_is_known())
                    .then(|| self.runner.to_owned());
                self.object(object, members, reader.as_deref());
            }
            Value::String(name) if object == Object::TxBalancer => self.add(
                Weight::Fallback,
                "expected object, found string".to_owned(),
                format!("write {{\"name\": {}}}", found(name)),
                format!("read as {{\"name\": {}}}", found(name)),
                None,
            ),
            // teamd writes defaults into these, which takes an object.
            _ if object == Object::Runner
                || object == Object::Burst && self.runner == "activebackup" =>
            {
                self.add(
                    Weight::Refused,
                    format!("expected object, found {}", kind(value)),
                    "put its keys in { }".to_owned(),
                    String::new(),
                    Some(WRONG_PATH.to_owned()),
                );
            }
            _ => self.wrong_type(key, value, "object", "put its keys in { }"),
        }
    }

    fn runner_is_known(&self) -> bool {
        crate::keys::RUNNERS.contains(&self.runner)
    }

    fn port_entry(&mut self, port: &Value) {
        match port {
            Value::Object(members) => {
                let reader = self.runner_is_known().then(|| self.runner.to_owned());
                self.object(Object::Port, members, reader.as_deref());
            }
            _ => self.add(
                Weight::Refused,
                format!("expected object, found {}", kind(port)),
                "write {} for a port without settings of its own".to_owned(),
                String::new(),
                Some(WRONG_PATH.to_owned()),
            ),
        }
    }

    fn watch(&mut self, watch: &Value) {
        match watch {
            Value::Object(members) => self.object(Object::LinkWatch, members, watch_name(members)),
            _ => self.add(
                Weight::Refused,
                format!("expected object, found {}", kind(watch)),
                "write {\"name\": \"ethtool\"} for instance".to_owned(),
                String::new(),
                Some("Failed to get link watch name.".to_owned()),
            ),
        }
    }

    fn each(&mut self, elements: &[Value], mut visit: impl FnMut(&mut Self, &Value)) {
        for (index, element) in elements.iter().enumerate() {
            self.path.push(Step::Index(index));
            visit(self, element);
            self.path.pop();
        }
    }

    /// A value of a type that the key cannot have counts as absent.
    fn wrong_type(&mut self, key: &Key, value: &Value, expected: &str, mend: &str) {
        let weight = match key.required {
            Some(_) => Weight::Refused,
            None => Weight::Fallback,
        };
        self.add(
            weight,
            format!("expected {expected}, found {}", kind(value)),
            mend.to_owned(),
            default_used(key),
            key.required.map(str::to_owned),
        );
    }

    /// A value of the right type that makes no sense.
    fn senseless(&mut self, key: &Key, expected: &str, value: &str, mend: String) {
        let message = format!("expected {expected}, found {value}");
        match key.refusal {
            Some(line) => {
                let line = line.replace("{}", value.trim_matches('"'));
                self.add(Weight::Refused, message, mend, String::new(), Some(line));
            }
            None => self.add(Weight::Fallback, message, mend, default_used(key), None),
        }
    }

    fn add_at_key(&mut self, message: String, mend: String) {
        let finding = self.finding(Weight::Strict, message, mend);
        self.keep(Finding {
            at_key: true,
            ..finding
        });
    }

    fn add(
        &mut self,
        weight: Weight,
        message: String,
        mend: String,
        instead: String,
        teamd: Option<String>,
    ) {
        let finding = self.finding(weight, message, mend);
        let instead = match weight {
            Weight::Fallback => instead,
            Weight::Strict | Weight::Refused => String::new(),
        };
        self.keep(Finding {
            instead,
            teamd,
            ..finding
        });
    }

    fn finding(&self, weight: Weight, message: String, mend: String) -> Finding {
        Finding {
            path: self.path.clone(),
            at_key: false,
            weight: if self.unread { Weight::Strict } else { weight },
            message,
            mend,
            instead: String::new(),
            teamd: None,
        }
    }

    fn keep(&mut self, finding: Finding) {
        if !self.wanted.contains(&finding.weight) {
            return;
        }
        if self.findings.list.len() < MOST {
            self.findings.list.push(finding);
        } else {
            self.findings.more += 1;
        }
    }
}

/// The watch that an object asks for; none if it is missing or unknown.
pub(crate) fn watch_name(watch: &Map<String, Value>) -> Option<&'static str> {
    let Kind::Word(words) = Object::LinkWatch.find("name")?.kind else {
        return None;
    };
    known_word(words, watch.get("name")?.as_str()?)
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
