//! Host names resolved in threads, since the loop must not wait.
//!
//! The threads of all teams answer through one channel, which [`Answers`] reads.
//! The system's resolver follows nsswitch, may ask several servers, and waits for each of them
//! inside the call. Each query has a thread, which ends with the answer and wakes the loop. A
//! configuration with addresses instead of names starts no thread.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;
use runners::{Event, IpFamily};

use super::source::TeamId;
use crate::process::sandbox;

/// A host name, and the family of the address to find.
type Query = (String, IpFamily);

/// The answer to a query of a team.
#[derive(Debug)]
pub struct Answer {
    query: Query,
    address: Option<IpAddr>,
}

/// The answers for all teams of the process.
#[derive(Debug)]
pub struct Answers {
    waker: Arc<Waker>,
    sender: Sender<(TeamId, Answer)>,
    receiver: Receiver<(TeamId, Answer)>,
}

impl Answers {
    /// Returns a channel that wakes the loop by `waker` when there is an answer.
    pub fn new(waker: Waker) -> Self {
        let (sender, receiver) = channel();
        Answers { waker: Arc::new(waker), sender, receiver }
    }

    /// Returns the answers since the last call, each with its team.
    pub fn take(&self) -> Vec<(TeamId, Answer)> {
        self.receiver.try_iter().collect()
    }

    /// Returns the resolver of a team.
    pub fn resolver(&self, team: TeamId) -> Resolver {
        let (waker, sender) = (Arc::clone(&self.waker), self.sender.clone());
        Resolver { team, waker, sender, pending: BTreeSet::new() }
    }
}

/// Resolves names for one team.
#[derive(Debug)]
pub struct Resolver {
    team: TeamId,
    waker: Arc<Waker>,
    sender: Sender<(TeamId, Answer)>,
    pending: BTreeSet<Query>,
}

impl Resolver {
    /// Starts to resolve a name, unless the same query is pending.
    ///
    /// # Errors
    /// `EAGAIN` if no thread can be started; the answer is then that there is no address.
    pub fn resolve(&mut self, host: &str, family: IpFamily) -> std::io::Result<()> {
        let query = (host.to_owned(), family);
        if !self.pending.insert(query.clone()) {
            return Ok(());
        }
        let (team, waker, sender) = (self.team, Arc::clone(&self.waker), self.sender.clone());
        let answer = move |query: Query, address| {
            // Sending and waking fail only after the end of the daemon, which needs no answer.
            let _ = sender.send((team, Answer { query, address }));
            let _ = waker.wake();
        };
        let (no_answer, failed) = (answer.clone(), query.clone());
        // The thread has no name: the sandbox does not allow the system call that sets one.
        let spawned = thread::Builder::new().spawn(move || {
            // A thread from before the sandbox has all rights of the start.
            if let Err(error) = sandbox::confine_thread() {
                log::warn!("Failed to {error} in a thread that resolves a name.");
            }
            let address = look_up(&query.0, query.1);
            answer(query, address);
        });
        spawned.map(drop).inspect_err(|_| no_answer(failed, None))
    }

    /// Returns the event for an answer, and permits another query for the name. Returns `None` for
    /// an answer to a former team with the same id.
    pub fn answered(&mut self, Answer { query, address }: Answer) -> Option<Event> {
        let (host, family) = self.pending.take(&query)?;
        match address {
            Some(address) => log::debug!("\"{host}\" is {address}."),
            None => log::warn!("Failed to resolve host \"{host}\"; trying again later."),
        }
        Some(Event::HostResolved { host, family, address })
    }
}

fn look_up(host: &str, family: IpFamily) -> Option<IpAddr> {
    let found = (host, 0).to_socket_addrs().ok()?;
    let mut addresses = found.map(|found| found.ip());
    addresses.find(|address| address.is_ipv4() == (family == IpFamily::V4))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn each_query_has_one_answer_which_wakes_the_loop() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let answers = Answers::new(waker);
        let mut resolver = answers.resolver(TeamId::FIRST);
        let localhost = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        // Only the resolver accepts the first form; the second is no valid name.
        for (host, expected) in [("127.1", localhost), ("a\0b", None)] {
            for _ in 0..2 {
                resolver.resolve(host, IpFamily::V4).expect("started");
            }
            let mut events = Events::with_capacity(1);
            let limit = Duration::from_secs(60);
            poll.poll(&mut events, Some(limit)).expect("polled");
            assert!(!events.is_empty(), "not woken for {host:?}");
            let answer = Event::HostResolved {
                host: host.to_owned(),
                family: IpFamily::V4,
                address: expected,
            };
            let [(team, answered)] = answers.take().try_into().expect("one answer");
            assert_eq!((team, resolver.answered(answered)), (TeamId::FIRST, Some(answer)));
            assert!(answers.take().is_empty());
        }
    }
}
