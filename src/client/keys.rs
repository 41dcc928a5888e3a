//! `get` and `values`: the keys of the running configuration, their values and definitions.

use json_config::{Config, KeyPath};
use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::teams::Team;
use crate::text::printable;

/// Executes one of these commands. Adds the answer to `text` with the indentation of `level`, or
/// returns it for `--json`.
pub fn execute(
    team: &Team,
    command: &Command,
    options: &Options,
    text: &mut String,
    level: usize,
) -> Result<Option<Value>, Error> {
    let config = Config::parse(team.config.to_string().as_bytes()).map_err(|_| Error::NotJson)?;
    let mut add = |line: &str| {
        *text += &format!("{:indent$}{}\n", "", printable(line), indent = 2 * level);
    };
    match command {
        Command::Values(key) => {
            let key = path(key)?.key();
            let words = key.map_or(&[][..], |key| key.kind.words());
            if options.json {
                return Ok(Some(words.iter().copied().collect()));
            }
            words.iter().for_each(|word| add(word));
        }
        Command::GetKey(key) => {
            let path = path(key)?;
            let value = config.effective_value(&path);
            if options.json {
                return Ok(Some(value));
            }
            add(&shown(&value));
            if let Some(key) = path.key().filter(|_| options.verbose) {
                add(&format!("  {}", key.kind));
                add(&format!("  {}", key.about));
            }
        }
        _ => {
            let items = config.items().into_iter();
            if options.json {
                return Ok(Some(items.map(|item| (item.path, item.value)).collect()));
            }
            items.for_each(|item| add(&format!("{}: {}", item.path, shown(&item.value))));
        }
    }
    Ok(None)
}

fn path(key: &str) -> Result<KeyPath, Error> {
    KeyPath::parse(key).map_err(Error::NoKey)
}

/// Returns a value on one line, a string without quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        Value::String(text) if !text.contains(char::is_control) => text.clone(),
        other => json_config::to_line(other),
    }
}
