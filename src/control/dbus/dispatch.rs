//! Replies to the calls on the object.

use super::introspection::{child, describe_object, describe_parent};
use super::message::{Message, Value};
use super::names::{INTERFACE, PATH, UNKNOWN_METHOD, error_name};
use crate::control::methods::{self, Failure, Outcome, TeamControl};
use crate::control::protocol::MAX_REQUEST;

/// Returns the reply to a call whose message has `length` bytes.
pub(super) fn reply(call: &Message, length: usize, team: &mut dyn TeamControl) -> Message {
    let interface = call.interface.as_deref();
    let member = call.member.as_deref().unwrap_or_default();
    let path = call.path.as_deref().unwrap_or_default();
    match (interface, member) {
        // libdbus, which teamd uses, replies on every path.
        (Some("org.freedesktop.DBus.Peer"), "Ping") => return call.reply(),
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") => {
            return match (path, child(path)) {
                (PATH, _) => with_text(call.reply(), describe_object()),
                (_, Some(child)) => with_text(call.reply(), describe_parent(child)),
                (_, None) => call.error_reply(UNKNOWN_METHOD, Failure::UnknownMethod.text()),
            };
        }
        (Some(INTERFACE) | None, _) if path == PATH => {
            return match call_method(call, member, length, team) {
                Ok(Some(text)) => with_text(call.reply(), text),
                Ok(None) => call.reply(),
                Err(failure) => call.error_reply(&error_name(failure.code()), failure.text()),
            };
        }
        _ => {}
    }
    call.error_reply(UNKNOWN_METHOD, Failure::UnknownMethod.text())
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

fn with_text(mut reply: Message, text: String) -> Message {
    reply.body.push(Value::Text(text));
    reply
}
