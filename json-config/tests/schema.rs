//! Generates `schema.json` from the table of keys and compares it with the file.
//!
//! `TEAMR_REWRITE=1 cargo test -p json-config` rewrites the file.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

mod expectation;

use json_config::keys::{Form, Key, Kind, Object, Preset, RUNNERS, Unit};
use serde_json::{Map, Value, json};

#[test]
fn the_schema_file_is_generated_from_the_table() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expectation::compare("schema.json", &text);
}

#[test]
fn defaults_are_in_range() {
    for key in Object::ALL.into_iter().flat_map(Object::keys) {
        match (key.kind, key.default) {
            (_, Preset::Nothing) | (Kind::Boolean, Preset::Boolean(_)) => {}
            (Kind::Integer { min, max, .. }, Preset::Integer(number)) => {
                assert!((min..=max).contains(&number), "{}", key.name);
            }
            (Kind::Word(words), Preset::Word(word)) => assert!(words.contains(&word)),
            (Kind::Words(words), Preset::Words(some)) => {
                assert!(some.iter().all(|word| words.contains(word)));
            }
            _ => panic!("{} has a default of another type", key.name),
        }
    }
}

fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "teamr configuration",
        "description": "Configuration of one team device, as teamd.conf(5) has it.",
    });
    extend(&mut schema, object_schema(Object::Team));
    schema["$defs"] = json!({
        "runner": runner_schema(),
        "tx_balancer": object_schema(Object::TxBalancer),
        "burst": object_schema(Object::Burst),
        "damping": object_schema(Object::Damping),
        "port": object_schema(Object::Port),
        "link_watch": link_watch_schema(),
    });
    schema
}

fn extend(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

fn object_schema(object: Object) -> Value {
    let properties: Map<String, Value> =
        object.keys().map(|key| (key.name.to_owned(), key_schema(key))).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// Refuses keys that the chosen runner, by default roundrobin, does not read.
fn runner_schema() -> Value {
    let mut schema = object_schema(Object::Runner);
    schema["allOf"] = RUNNERS
        .iter()
        .map(|runner| {
            json!({
                "if": {"properties": {"name": {"const": runner}}, "required": required(runner)},
                "then": {"properties": unread(Object::Runner, runner)},
            })
        })
        .collect();
    schema
}

fn required(runner: &str) -> &'static [&'static str] {
    if Object::Runner.find("name").unwrap().default == Preset::Word("roundrobin")
        && runner == "roundrobin"
    {
        &[]
    } else {
        &["name"]
    }
}

/// Refuses keys that the watch does not read, and requires its mandatory ones.
fn link_watch_schema() -> Value {
    let mut schema = object_schema(Object::LinkWatch);
    let Kind::Word(watches) = Object::LinkWatch.find("name").unwrap().kind else {
        panic!("the name of a watch has a list of words");
    };
    schema["required"] = json!(["name"]);
    schema["allOf"] = watches
        .iter()
        .map(|watch| {
            let needed: Vec<&str> = Object::LinkWatch
                .keys()
                .filter(|key| key.required.is_some() && key.is_read_by(watch))
                .map(|key| key.name)
                .collect();
            json!({
                "if": {"properties": {"name": {"const": watch}}, "required": ["name"]},
                "then": {"properties": unread(Object::LinkWatch, watch), "required": needed},
            })
        })
        .collect();
    schema
}

fn unread(object: Object, reader: &str) -> Map<String, Value> {
    object
        .keys()
        .filter(|key| !key.is_read_by(reader))
        .map(|key| (key.name.to_owned(), Value::Bool(false)))
        .collect()
}

fn key_schema(key: &Key) -> Value {
    let mut schema = json!({"title": key.name, "description": description(key)});
    extend(&mut schema, kind_schema(key.kind));
    match key.default {
        Preset::Nothing => {}
        Preset::Boolean(flag) => schema["default"] = flag.into(),
        Preset::Integer(number) => schema["default"] = number.into(),
        Preset::Word(word) => schema["default"] = word.into(),
        Preset::Words(words) => schema["default"] = words.into(),
    }
    schema
}

fn description(key: &Key) -> String {
    let unit = match key.kind {
        Kind::Integer { unit, .. } => unit,
        _ => Unit::One,
    };
    match unit {
        Unit::One => key.about.to_owned(),
        Unit::Milliseconds => format!("{} In milliseconds.", key.about),
        Unit::TenthsOfSecond => format!("{} In tenths of a second.", key.about),
        Unit::Seconds => format!("{} In seconds.", key.about),
        Unit::Millionths => format!("{} In millionths.", key.about),
    }
}

fn kind_schema(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer { min, max, .. } => {
            json!({"type": "integer", "minimum": min, "maximum": max})
        }
        Kind::Text(form) => form_schema(form),
        Kind::Word(words) => json!({"type": "string", "enum": words}),
        Kind::Words(words) => {
            json!({"type": "array", "items": {"type": "string", "enum": words}, "minItems": 1})
        }
        Kind::Texts(form) => json!({"type": "array", "items": form_schema(form)}),
        Kind::Object(object) => reference(object),
        Kind::Watches => {
            let one = reference(Object::LinkWatch);
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Kind::Ports => json!({
            "type": "object",
            "propertyNames": form_schema(Form::InterfaceName),
            "additionalProperties": reference(Object::Port),
        }),
    }
}

fn reference(object: Object) -> Value {
    let name = match object {
        Object::Team => return json!({"$ref": "#"}),
        Object::Runner => "runner",
        Object::TxBalancer => "tx_balancer",
        Object::Burst => "burst",
        Object::Damping => "damping",
        Object::Port => "port",
        Object::LinkWatch => "link_watch",
    };
    json!({"$ref": format!("#/$defs/{name}")})
}

fn form_schema(form: Form) -> Value {
    match form {
        Form::Any => json!({"type": "string"}),
        Form::InterfaceName => json!({
            "type": "string",
            "pattern": r"^[^/: \t\n\v\f\r]{1,15}$",
            "not": {"enum": [".", ".."]},
        }),
        Form::HwAddr => json!({
            "type": "string",
            "pattern": concat!(
                r"^[ \t]*(0[xX])?0*[0-9a-fA-F]?[02468aceACE][ \t]*",
                r"(:[ \t]*(0[xX])?0*[0-9a-fA-F]{1,2}[ \t]*){5}$"
            ),
            "not": {"pattern": r"^[0xX: \t]*$"},
        }),
        Form::Host => json!({"type": "string", "minLength": 1}),
        Form::IpAddress => json!({
            "type": "string",
            "pattern": r"^[0-9.]{7,15}$|^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$",
        }),
        Form::Follower => json!({
            "type": "string",
            "pattern": r"^[^/: \t\n\v\f\r]{1,15}$|^vf:[^/: \t\n\v\f\r]{1,15}/(0|[1-9][0-9]{0,4})$",
            "not": {"enum": [".", ".."]},
        }),
        Form::Bearer => json!({"type": "string", "minLength": 1, "maxLength": 31}),
    }
}
