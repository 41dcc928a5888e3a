//! Hostile input: no panic, no unbounded output, no lost content.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

mod validator;

use json_config::keys::{Kind, Object};
use json_config::{Config, Problem, check};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Calls every function that reads a configuration.
fn exercise(text: &[u8]) {
    let problems = check(text);
    let Ok(mut config) = Config::parse(text) else {
        assert_eq!(problems.len(), 1);
        return;
    };
    let warnings = config.warnings();
    let team = config.team_settings(0);
    if problems.is_empty() {
        assert_eq!(warnings, []);
        assert!(team.is_ok());
    }
    let ports: Vec<String> = config.port_names().map(str::to_owned).collect();
    for port in &ports {
        let settings = config.port(port);
        assert!(settings.is_ok() || !problems.is_empty());
        let _ = config.port_settings(port);
        let _ = config.update_port(port, text);
        config.dump_port(port);
    }
    let dump = config.dump();
    assert!(dump.is_ascii());
    assert_eq!(Config::parse(dump.as_bytes()), Ok(config));
}

/// Arbitrary strings and meaningful ones.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| text.replace('\0', "")),
        "[a-z]{1,17}",
        Just("02:10:20:30:40:50".to_owned()),
        Just("10".to_owned()),
        prop::sample::select(vec!["basic", "arp-ping", "activebackup", "lacp", "any", ""])
            .prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2i64..5000).prop_map(Value::from),
        text().prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => scalar(), 1 => any::<f64>().prop_map(Value::from)];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            members(text(), inner).prop_map(Value::from),
        ]
    })
}

fn members(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((key, value), 0..5).prop_map(|members| members.into_iter().collect())
}

/// Mostly values that fit the key.
fn fitting(kind: Kind) -> BoxedStrategy<Value> {
    let right = match kind {
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Integer { min, max, .. } => prop_oneof![
            Just(Value::from(min)),
            Just(Value::from(max)),
            Just(Value::from(min - 1)),
            Just(Value::from(max + 1)),
            (min..=max).prop_map(Value::from),
        ]
        .boxed(),
        Kind::Text(_) => text().prop_map(Value::from).boxed(),
        Kind::Word(words) => prop::sample::select(words).prop_map(Value::from).boxed(),
        Kind::Words(words) => {
            prop::collection::vec(prop::sample::select(words).prop_map(Value::from), 0..4)
                .prop_map(Value::from)
                .boxed()
        }
        Kind::Texts(_) => {
            let texts = prop_oneof![text(), Just("vf:eth1/3".to_owned())];
            prop::collection::vec(texts.prop_map(Value::from), 0..4).prop_map(Value::from).boxed()
        }
        Kind::Object(object) => object_of(object),
        Kind::Watches => prop_oneof![
            object_of(Object::LinkWatch),
            prop::collection::vec(object_of(Object::LinkWatch), 0..3).prop_map(Value::from),
        ]
        .boxed(),
        Kind::Ports => {
            members("[a-z.:]{0,17}", object_of(Object::Port)).prop_map(Value::from).boxed()
        }
    };
    prop_oneof![12 => right, 1 => scalar()].boxed()
}

/// An object with a few of its keys and mostly fitting values.
fn object_of(object: Object) -> BoxedStrategy<Value> {
    let keys: Vec<_> = object.keys().collect();
    let count = keys.len();
    let fields: Vec<BoxedStrategy<(String, Value)>> = keys
        .into_iter()
        .map(|key| {
            let name = key.name.to_owned();
            fitting(key.kind).prop_map(move |value| (name.clone(), value)).boxed()
        })
        .collect();
    prop::sample::subsequence(fields, 0..=count.min(4))
        .prop_flat_map(|fields| fields)
        .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>()))
        .boxed()
}

/// A good file with a few changed bytes.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    const FILE: &[u8] = include_bytes!("corpus/good/reference-activebackup.json");
    let changes = prop::collection::vec((0..FILE.len(), any::<u8>()), 1..4);
    changes.prop_map(|changes| {
        let mut text = FILE.to_vec();
        for (index, byte) in changes {
            text[index] = byte;
        }
        text
    })
}

proptest! {
    #[test]
    fn any_bytes_are_handled(text in any::<Vec<u8>>()) {
        exercise(&text);
    }

    #[test]
    fn damaged_files_are_handled(text in damaged()) {
        exercise(&text);
    }

    #[test]
    fn any_json_is_handled(team in members(text(), any_value())) {
        exercise(&serde_json::to_vec(&team).unwrap());
    }

    #[test]
    fn likely_configurations_are_handled(team in object_of(Object::Team)) {
        exercise(&serde_json::to_vec(&team).unwrap());
    }

    #[test]
    fn a_dump_parses_to_the_same_configuration(team in members(text(), any_value())) {
        let config = Config::parse(&serde_json::to_vec(&team).unwrap()).unwrap();
        prop_assert_eq!(Config::parse(config.dump().as_bytes()), Ok(config));
    }
}

/// ASCII names only: a pattern counts characters, the kernel counts bytes.
#[test]
fn schema_and_check_agree_on_likely_configurations() {
    let schema_accepts = validator::load();
    let ascii = object_of(Object::Team).prop_filter("ASCII", |team| team.to_string().is_ascii());
    proptest!(|(team in ascii)| {
        let mut problems = check(team.to_string().as_bytes());
        // A schema cannot compare the thresholds of damping, nor two names.
        let compares = |problem: &Problem| {
            problem.path.ends_with("damping") && problem.message.contains(" below ")
                || problem.path.starts_with("follow[")
                    && problem.message.starts_with("the device of the team cannot follow the team")
        };
        problems.retain(|problem| !compares(problem));
        prop_assert_eq!(schema_accepts(&team), problems.is_empty(), "{:?}", problems);
    });
}

const MEGABYTE: usize = 1_000_000;
const TEN_MEGABYTES: usize = 10 * MEGABYTE;

fn repeated(size: usize, start: &str, item: impl Fn(usize) -> String, end: &str) -> Vec<u8> {
    let mut text = start.to_owned();
    for index in 0.. {
        if text.len() > size {
            break;
        }
        if index > 0 {
            text.push(',');
        }
        text.push_str(&item(index));
    }
    text.push_str(end);
    text.into_bytes()
}

#[test]
fn at_most_a_hundred_problems_have_a_message() {
    let loadbalance = "{\"runner\": {\"name\": \"loadbalance\", \"tx_hash\": [";
    for text in [
        repeated(TEN_MEGABYTES, "{", |index| format!("\n\"key{index}\": 1"), "}"),
        repeated(MEGABYTE, "{\"ports\": {", |index| format!("\"p{index}\": 5"), "}}"),
        repeated(MEGABYTE, "{\"link_watch\": [", |_| "{\"delay_up\": -1}".into(), "]}"),
        repeated(MEGABYTE, loadbalance, |_| "5".into(), "]}}"),
    ] {
        let problems = check(&text);
        assert_eq!(problems.len(), 101);
        assert!(problems[100].message.ends_with(" more problems"));
        assert!(Config::parse(&text).unwrap().warnings().len() <= 101);
    }
}

#[test]
fn ten_megabytes_of_blanks_or_of_one_name_are_read() {
    let blanks = " ".repeat(TEN_MEGABYTES);
    assert_eq!(check(format!("{blanks}{{}}").as_bytes()), []);
    let name = "a".repeat(TEN_MEGABYTES);
    let problems = check(format!("{{\"device\": \"{name}\"}}").as_bytes());
    assert!(problems.len() == 1 && problems[0].to_string().len() < 200);
    let problems = check(format!("{{\"{name}\": 1}}").as_bytes());
    assert!(problems.len() == 1 && problems[0].to_string().len() < 300);
}

#[test]
fn ten_megabytes_of_brackets_are_an_error() {
    for bracket in ["[", "{\"a\":"] {
        let text = bracket.repeat(TEN_MEGABYTES / bracket.len());
        let error = Config::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.message, "more than 127 levels of arrays and objects");
    }
}
