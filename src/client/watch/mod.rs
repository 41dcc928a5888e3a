//! `watch`: news of teams, one line each, until the reader or a team is gone.

mod news;
mod watcher;

use std::io::Write;
use std::thread;
use std::time::Duration;

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::teams;
use watcher::Watcher;

/// Pause between two calls for the recordings.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes the news of these teams to `stream` until the stream is closed.
///
/// # Errors
/// When a daemon does not answer.
pub fn follow(devices: &[String], options: &Options, stream: &mut dyn Write) -> Result<(), Error> {
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
                let written = writeln!(stream, "{line}").and_then(|()| stream.flush());
                if written.is_err() {
                    return Ok(());
                }
            }
        }
        thread::sleep(PAUSE);
    }
}
