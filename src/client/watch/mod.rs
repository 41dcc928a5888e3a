//! `watch`: news of teams, one line each, until the reader or a team is gone.

mod news;
mod timeline;
mod watcher;

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::teams;
use crate::recording::Recording;
pub use news::News;
use watcher::Watcher;

/// Pause between two calls for the recordings.
const PAUSE: Duration = Duration::from_millis(200);

/// Returns the news of a recording, oldest first.
pub fn history(recording: &Recording) -> Vec<News> {
    Watcher::default().look_back(recording)
}

/// Writes the news of these teams to `stream` until the stream is closed; with `--since` the past
/// ones alone.
///
/// # Errors
/// When a daemon does not answer, or the stream fails otherwise than by its end.
pub fn follow(devices: &[String], options: &Options, stream: &mut dyn Write) -> Result<(), Error> {
    if let Some(age) = &options.since {
        return timeline::write(devices, age, options, stream);
    }
    let mut watched = Vec::new();
    for device in devices {
        let team = teams::connect(device, options)?;
        watched.push((team, Watcher::default()));
    }
    loop {
        for (team, watcher) in &mut watched {
            let recording = team.call(&Command::Watch, "RecordingDump", &[])?;
            let recording = serde_json::from_str(&recording).map_err(|_| Error::NotJson)?;
            for news in watcher.look(&recording) {
                let line = match options.json {
                    true => json_config::to_line(&news.to_json(&team.device)),
                    false => news.to_line(&team.device),
                };
                if !write_line(stream, &line)? {
                    return Ok(());
                }
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Writes a line; returns false if the reader has closed the stream.
fn write_line(stream: &mut dyn Write, line: &str) -> Result<bool, Error> {
    match writeln!(stream, "{line}").and_then(|()| stream.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::Write("standard output".into(), e.into())),
    }
}
