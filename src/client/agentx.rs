//! `agentx`: serves the Link Aggregation MIB through an SNMP agent.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::teams;
use crate::process::signals::Signals;
use crate::snmp::lag::{self, Tables};
use crate::snmp::session::{Session, SessionError};
use crate::state::State;
use crate::sys::clock;

/// Default address of the master agent: the default of snmpd.
pub const MASTER: &str = "/var/agentx/master";

/// Greatest age of the tables in an answer: a walk is many requests, for which the states are read once.
const FRESH: Duration = Duration::from_secs(1);
/// Time between two readings of the states without a request, in milliseconds:
/// dot3adTablesLastChanged is late by this time at most.
const PAUSE: u16 = 10_000;

/// Serves the tables of all teams that `devices` returns through the master agent at `address`, until
/// INT, TERM, QUIT or HUP.
///
/// # Errors
/// The master agent cannot be reached, refuses the session or the MIB, sends a malformed PDU, or ends;
/// the signals cannot be read.
pub fn serve(
    address: &str,
    devices: impl Fn() -> Vec<String>,
    options: &Options,
) -> Result<(), Error> {
    let failed = |error: SessionError| Error::AgentX(address.to_owned(), error);
    let failed_by = |error: io::Error| failed(error.into());
    let mut signals = Signals::take_endings().map_err(failed_by)?;
    let mut session = Session::open(address, &lag::subtree()).map_err(failed)?;
    let mut tables = Tables::default();
    let mut expiry = Duration::ZERO;
    loop {
        let wakeup = wait(&session, &signals).map_err(failed_by)?;
        let requests = signals.read().map_err(failed_by)?;
        if requests.stop.is_some() || requests.reload {
            session.close();
            return Ok(());
        }
        if wakeup == Wakeup::Idle || clock::monotonic() >= expiry {
            tables.update(&states(&devices(), options), session.uptime());
            expiry = clock::monotonic() + FRESH;
        }
        if wakeup == Wakeup::Request {
            session.answer(|| tables.tree()).map_err(failed)?;
        }
    }
}

/// The event that ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wakeup {
    /// The master agent has sent something, or has ended.
    Request,
    /// A signal arrived.
    Signal,
    /// [`PAUSE`] is over.
    Idle,
}

/// Waits for the master agent, a signal, or the end of [`PAUSE`].
fn wait(session: &Session, signals: &Signals) -> io::Result<Wakeup> {
    let sources = [signals.as_fd(), session.as_fd()];
    let mut sources = sources.map(|source| PollFd::new(source, PollFlags::POLLIN));
    match poll(&mut sources, PollTimeout::from(PAUSE)) {
        Ok(0) => Ok(Wakeup::Idle),
        Ok(_) if sources[1].any() == Some(true) => Ok(Wakeup::Request),
        Ok(_) | Err(Errno::EINTR) => Ok(Wakeup::Signal),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns the states of the teams of `devices`; a team that does not answer is left out.
fn states(devices: &[String], options: &Options) -> Vec<State> {
    let states = devices.iter().filter_map(|device| {
        let team = teams::connect(device, options).ok()?;
        team.state(&Command::Agentx).ok()
    });
    states.collect()
}
