//! One event of a team, for people and for programs.

use serde_json::{Value, json};

/// An event of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// Unix time in nanoseconds.
    pub(super) at: u64,
    /// Kind, for programs.
    pub(super) kind: &'static str,
    /// Name of the port, if the event has one.
    pub(super) port: Option<String>,
    /// One line for people.
    pub(super) text: String,
}

impl News {
    /// Returns the time of day in UTC, the device and the text.
    pub(super) fn to_line(&self, device: &str) -> String {
        let millis = self.at / 1_000_000;
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
        format!(
            "{hour:02}:{minute:02}:{second:02}.{millis:03}Z {device}: {}",
            self.text
        )
    }

    /// Returns the news for `--json`.
    pub(super) fn to_json(&self, device: &str) -> Value {
        json!({
            "at": self.at as f64 / 1e9,
            "device": device,
            "kind": self.kind,
            "port": self.port,
            "text": self.text,
        })
    }
}
