//! `port drain`: begins the drain of a port, and waits until the drain is complete.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::teams::Team;
use crate::sys::clock;

/// Pause between two readings of the state.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait; longer than a drain with any runner.
const LONGEST: Duration = Duration::from_secs(10);

/// Drains a port of the team. Returns when the drain is complete.
///
/// # Errors
/// A failed call; another client ended the drain; the drain is incomplete after [`LONGEST`].
pub fn execute(
    team: &Team,
    command: &Command,
    port: &str,
    options: &Options,
) -> Result<Option<Value>, Error> {
    team.call(command, "PortDrain", &[port, &options.last.to_string()])?;
    let end = clock::monotonic() + LONGEST;
    loop {
        let state = team.state(command)?;
        let Some((_, state)) = state.ports().find(|(name, _)| *name == port) else {
            return Err(Error::NotDrained(port.to_owned(), "the port left the team"));
        };
        match (state.drained, state.draining) {
            (Some(true), _) => return Ok(None),
            (_, Some(false)) => {
                return Err(Error::NotDrained(port.to_owned(), "another client ended the drain"));
            }
            _ if clock::monotonic() > end => {
                return Err(Error::NotDrained(port.to_owned(), "the drain takes too long"));
            }
            _ => thread::sleep(PAUSE),
        }
    }
}
