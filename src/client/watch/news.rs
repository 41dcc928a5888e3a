//! One event of a team, for people and for programs.

use serde_json::Value;

use crate::state::answers::NewsLine;
use crate::state::{Name, Part};
use crate::text::printable;

/// An event of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Unix time in nanoseconds.
    pub at: u64,
    /// Kind, for programs.
    pub kind: &'static str,
    /// Name of the port, if the event has one.
    pub port: Option<String>,
    /// One line for people.
    pub text: String,
}

impl News {
    /// Returns whether the news is about the port `name` alone.
    pub fn is_about(&self, name: &str) -> bool {
        let rest = self.text.strip_prefix(name);
        self.port.as_deref() == Some(name) || rest.is_some_and(|rest| rest.starts_with(": "))
    }

    /// Returns the time of day in UTC, the device and the text.
    pub fn to_line(&self, device: &str) -> String {
        let millis = self.at / 1_000_000;
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
        let line =
            format!("{hour:02}:{minute:02}:{second:02}.{millis:03}Z {device}: {}", self.text);
        printable(&line).into_owned()
    }

    /// Returns the day in UTC: `2026-11-29`.
    pub fn day(&self) -> String {
        const NANOS_OF_DAY: u64 = 86_400_000_000_000;
        let [year, month, day] = date_of(self.at / NANOS_OF_DAY);
        format!("{year}-{month:02}-{day:02}")
    }

    /// Returns the news for `--json`.
    pub(super) fn to_json(&self, device: &str) -> Value {
        let line = NewsLine {
            at: Some(self.at as f64 / 1e9),
            device: Some(device.to_owned()),
            kind: Some(self.kind.to_owned()),
            port: Some(Name(self.port.clone())),
            text: Some(self.text.clone()),
        };
        line.to_json()
    }
}

/// Returns year, month and day of the Gregorian calendar, `days` after 1970-01-01.
fn date_of(days: u64) -> [u64; 3] {
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut rest) = (1970, days);
    loop {
        let length = 365 + u64::from(is_leap(year));
        if rest < length {
            break;
        }
        rest -= length;
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    [year, month, rest + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (days, date) in [
            (0, [1970, 1, 1]),
            (58, [1970, 2, 28]),
            (59, [1970, 3, 1]),
            (11_016, [2000, 2, 29]),
            (20_786, [2026, 11, 29]),
            (47_540, [2100, 2, 28]),
            (47_541, [2100, 3, 1]),
        ] {
            assert_eq!(date_of(days), date, "{days}");
        }
        // The last day that 64 bits of nanoseconds reach.
        assert_eq!(date_of(u64::MAX / 86_400_000_000_000), [2554, 7, 21]);
    }
}
