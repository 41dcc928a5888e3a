//! The JSON Schema of the state document.
//!
//! No field is required, and unknown fields are valid: each runner has its own items, and a later
//! daemon may have more.

use runners::wire::lacpdu::StateBits;
use serde_json::{Map, Value, json};

use super::State;
use super::definition::{Form, Object};
use super::items::describe;

/// Returns the schema.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "teamr state",
    });
    if let (Value::Object(schema), Value::Object(state)) = (&mut schema, of_object(&State::OBJECT))
    {
        schema.extend(state);
    }
    schema
}

fn of_object(object: &Object) -> Value {
    let fields = object.fields.iter();
    let properties = fields.map(|field| {
        let mut schema = of_form(field.form);
        schema["description"] = describe(field).into();
        if !matches!(field.form, Form::Object(_) | Form::Members { .. }) {
            schema["readOnly"] = field.settable.is_none().into();
        }
        (field.name.to_owned(), schema)
    });
    json!({
        "description": object.about.trim(),
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
        Form::LacpBits => {
            let bits = StateBits::NAMED.iter();
            let bits = bits.map(|(_, name)| ((*name).to_owned(), json!({"type": "boolean"})));
            json!({"type": "object", "properties": bits.collect::<Map<String, Value>>()})
        }
        Form::Object(object) => of_object(object),
        Form::Members { member, .. } => {
            json!({"type": "object", "additionalProperties": of_object(member)})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::items;
    use super::*;

    #[test]
    fn the_schema_has_every_item() {
        let schema = schema();
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
