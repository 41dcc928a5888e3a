//! `watch --since`: the recorded news of teams, oldest first, with a line for each day.

use std::io::Write;
use std::time::Duration;

use super::news::News;
use super::{history, write_line};
use crate::client::command::Command;
use crate::client::error::Error;
use crate::client::options::Options;
use crate::client::teams;
use crate::recording::Recording;
use crate::sys::clock;

/// Writes the news of these teams that are not older than `age`.
///
/// # Errors
/// When `age` is none, a daemon does not answer, or the stream fails otherwise than by its end.
pub(super) fn write(
    devices: &[String],
    age: &str,
    options: &Options,
    stream: &mut dyn Write,
) -> Result<(), Error> {
    let age = parse(age).ok_or_else(|| Error::Age(age.to_owned()))?;
    let since = clock::unix_time().saturating_sub(age);
    let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let mut all: Vec<(String, News)> = Vec::new();
    for device in devices {
        let team = teams::connect(device, options)?;
        let recording = team.call(&Command::Watch, "RecordingDump", &[])?;
        let recording: Recording = serde_json::from_str(&recording).map_err(|_| Error::NotJson)?;
        let news = history(&recording).into_iter().filter(|news| news.at >= since);
        all.extend(news.map(|news| (device.clone(), news)));
    }
    // The sort is stable: news of one team stay in their order.
    all.sort_by_key(|(_, news)| news.at);
    let mut day = String::new();
    for (device, news) in &all {
        if options.json {
            if !write_line(stream, &json_config::to_line(&news.to_json(device)))? {
                return Ok(());
            }
            continue;
        }
        if news.day() != day {
            day = news.day();
            if !write_line(stream, &day)? {
                return Ok(());
            }
        }
        if !write_line(stream, &news.to_line(device))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns the age that `text` names: seconds, or a number with a unit.
fn parse(text: &str) -> Option<Duration> {
    let (number, seconds) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        (at, 'd') => (&text[..at], 86_400),
        _ => (text, 1),
    };
    // `parse` would accept a sign.
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    Some(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("0", 0)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "s", "-1", "+1", "1.5h", "10 m", "5w", "é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(parse("99999999999999999999").is_none());
        assert!(parse("18446744073709551615d").is_some());
    }
}
