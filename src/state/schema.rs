//! The JSON Schemas of the state document and of the answers that the client makes of it.
//!
//! No field is required, and unknown fields are valid: each runner has its own items, and a later
//! daemon may have more.

use runners::wire::lacpdu::StateBits;
use serde_json::{Map, Value, json};

use super::State;
use super::answers::{Changes, DriverAnswer, Explanation, NewsLine};
use super::choice::Choice;
use super::definition::{Form, Object};
use super::items::describe;
use super::status::{FindingStatus, Status};

/// The words behind `schema` on a command line of teamrctl.
pub const NAMES: [&str; 8] =
    ["state", "status", "hash", "changes", "doctor", "explain", "watch", "teamrnl"];

/// Returns the schema of this name: of the state, or of the answer to a command with `--json`.
pub fn named(name: &str) -> Option<Value> {
    Some(match name {
        "state" => titled("teamr state", of_object(&State::OBJECT)),
        "status" => titled("teamr status", of_object(&Status::OBJECT)),
        "hash" => titled("teamr choice of a port", of_object(&Choice::OBJECT)),
        "changes" => titled("teamr changes", of_object(&Changes::OBJECT)),
        "doctor" => {
            let findings = of_form(Form::List(&FindingStatus::OBJECT));
            let about = "The findings of the doctor by team, problems first.";
            let by_team = json!({
                "description": about, "type": "object", "additionalProperties": findings,
            });
            titled("teamr findings", by_team)
        }
        "explain" => titled("teamr explanation", of_object(&Explanation::OBJECT)),
        "watch" => titled("teamr news", of_object(&NewsLine::OBJECT)),
        "teamrnl" => titled("teamrnl answer", of_object(&DriverAnswer::OBJECT)),
        _ => return None,
    })
}

fn titled(title: &str, object: Value) -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
    });
    if let (Value::Object(schema), Value::Object(object)) = (&mut schema, object) {
        schema.extend(object);
    }
    schema
}

fn of_object(object: &Object) -> Value {
    let fields = object.fields.iter();
    let properties = fields.map(|field| {
        let mut schema = of_form(field.form);
        schema["description"] = describe(field).into();
        if !matches!(field.form, Form::Object(_) | Form::Members { .. } | Form::List(_)) {
            schema["readOnly"] = field.settable.is_none().into();
        }
        (field.name.to_owned(), schema)
    });
    json!({
        "description": object.about,
        "type": "object",
        "properties": properties.collect::<Map<String, Value>>(),
    })
}

fn of_form(form: Form) -> Value {
    match form {
        Form::Boolean => json!({"type": "boolean"}),
        Form::Integer => json!({"type": "integer"}),
        Form::Counter => json!({"type": "integer", "minimum": 0}),
        Form::Text => json!({"type": "string"}),
        Form::Age => json!({"type": ["integer", "null"], "minimum": 0}),
        Form::Number => json!({"type": "number"}),
        Form::Name => json!({"type": ["string", "null"]}),
        Form::Any => json!({}),
        Form::LacpBits => {
            let bits = StateBits::NAMED.iter();
            let bits = bits.map(|(_, name)| ((*name).to_owned(), json!({"type": "boolean"})));
            json!({"type": "object", "properties": bits.collect::<Map<String, Value>>()})
        }
        Form::Object(object) => of_object(object),
        Form::Members { member, .. } => {
            json!({"type": "object", "additionalProperties": of_object(member)})
        }
        Form::List(element) => json!({"type": "array", "items": of_object(element)}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::items;
    use super::*;

    #[test]
    fn the_schema_has_every_item() {
        let schema = named("state").expect("the schema of the state");
        for item in items::all() {
            let mut at = &schema;
            for key in &item.keys {
                at = match at.get("additionalProperties") {
                    Some(member) => member,
                    None => &at["properties"][key],
                };
            }
            assert_eq!(at["description"], item.describe(), "{}", item.path());
        }
    }
}
