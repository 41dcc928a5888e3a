//! `top`: teams live on a terminal, until `q`.

mod frame;
mod screen;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use runners::{Event, PortId};

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::status::Observed;
use super::style::{self, Style};
use super::teams;
use super::watch;
use crate::recording::{Recording, What};
use crate::sys::clock;
use frame::Shown;
use screen::{Key, Screen};

/// Time between two readings.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks at the size of the terminal.
const LOOK: Duration = Duration::from_millis(200);

/// Shows these teams on the terminal until `q`; `stream` writes to standard output.
///
/// # Errors
/// Without a terminal, at a dumb one, and when no daemon answers any more.
pub fn execute(
    devices: &[String],
    command: &Command,
    options: &Options,
    stream: &mut dyn Write,
) -> Result<(), Error> {
    if io::stdout().is_terminal() && style::is_dumb() {
        return Err(Error::DumbTerminal);
    }
    let mut teams = Vec::new();
    for device in devices {
        teams.push(Observed::begin(teams::connect(device, options)?, command)?);
    }
    let (keys, out) = (io::stdin(), io::stdout());
    let mut screen =
        Screen::open(keys.as_fd(), out.as_fd(), stream).map_err(|_| Error::NoTerminal)?;
    loop {
        let shown: Result<Vec<Shown>, Error> =
            teams.iter_mut().map(|team| show(team, command)).collect();
        let shown = shown?;
        let due = clock::monotonic() + INTERVAL;
        let mut size = (0, 0);
        while clock::monotonic() < due {
            if screen.size() != size {
                size = screen.size();
                let lines = frame::lines(&shown, size.0, size.1, Style::of_stdout());
                screen.show(&lines).map_err(Error::Terminal)?;
            }
            if screen.wait(LOOK).map_err(Error::Terminal)? == Key::Quit {
                return Ok(());
            }
        }
    }
}

fn show(team: &mut Observed, command: &Command) -> Result<Shown, Error> {
    let status = team.status(command)?;
    let recording = team.recording(command);
    let device = team.device().to_owned();
    let news = recording.as_ref().map(watch::history).unwrap_or_default();
    let news = news.iter().map(|news| news.to_line(&device)).collect();
    let buckets = recording.as_ref().map(buckets).unwrap_or_default();
    Ok(Shown { device, status, buckets, news })
}

/// Returns the number of buckets of each port in the last forwarding of a recording; none under a
/// runner without buckets.
fn buckets(recording: &Recording) -> Vec<(String, usize)> {
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let mut last = "";
    for entry in &recording.entries {
        match &entry.what {
            What::Event(Event::PortAdded { port: PortId(id), name, .. })
            | What::Event(Event::PortRenamed { port: PortId(id), name }) => {
                names.insert(id.to_string(), name);
            }
            What::Forward(forwarding) => last = forwarding,
            _ => {}
        }
    }
    // As in `shares 128/128: 1+^ 2+^` and `stations 128/128, broadcast 1: 1+^ 2+^`.
    let Some((policy, ports)) = last.split_once(": ") else {
        return Vec::new();
    };
    let shares = policy.strip_prefix("shares ").or_else(|| policy.strip_prefix("stations "));
    let shares = shares.and_then(|shares| shares.split(',').next()).unwrap_or_default();
    let shares = shares.split('/').map_while(|share| share.parse().ok());
    let ids = ports.split(' ').map(|port| port.trim_end_matches(|c: char| !c.is_ascii_digit()));
    let named = ids.zip(shares).filter_map(|(id, share)| {
        let name = names.get(id)?;
        Some(((*name).to_owned(), share))
    });
    named.collect()
}
