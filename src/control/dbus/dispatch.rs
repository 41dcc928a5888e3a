//! Replies to the calls on the object.

use super::introspection::{child, describe_object, describe_parent};
use super::message::{Message, Value};
use super::names::{INTERFACE, PATH, error_name};
use crate::control::methods::{self, Failure, Outcome, TeamControl};
use crate::control::protocol::MAX_REQUEST;

/// Returns the reply to a call whose message has `length` bytes.
pub(super) fn reply(call: &Message, length: usize, team: &mut dyn TeamControl) -> Message {
    let interface = call.interface.as_deref();
    let member = call.member.as_deref().unwrap_or_default();
    let path = call.path.as_deref().unwrap_or_default();
    let outcome = match (interface, member) {
        // libdbus, which teamd uses, replies on every path.
        (Some("org.freedesktop.DBus.Peer"), "Ping") => Ok(None),
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") if path == PATH => {
            Ok(Some(describe_object()))
        }
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") => {
            child(path).map(|child| Some(describe_parent(child))).ok_or(Failure::UnknownMethod)
        }
        (Some(INTERFACE) | None, _) if path == PATH => call_method(call, member, length, team),
        _ => Err(Failure::UnknownMethod),
    };
    match outcome {
        Ok(text) => Message { body: text.map(Value::Text).into_iter().collect(), ..call.reply() },
        Err(failure) => call.error_reply(&error_name(failure.code()), &failure.to_string()),
    }
}

fn call_method(call: &Message, member: &str, length: usize, team: &mut dyn TeamControl) -> Outcome {
    if length > MAX_REQUEST {
        return Err(Failure::RequestTooLong);
    }
    let texts = call.body.iter().map_while(|value| match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(_) => None,
    });
    methods::call(team, member, &texts.collect::<Vec<String>>())
}
