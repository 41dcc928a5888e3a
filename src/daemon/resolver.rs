//! Host names resolved in threads, since the loop must not wait.
//!
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

/// A host name, and the family of the address to find.
type Query = (String, IpFamily);

/// Resolves names for one team.
#[derive(Debug)]
pub struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<(Query, Option<IpAddr>)>,
    answers: Receiver<(Query, Option<IpAddr>)>,
    pending: BTreeSet<Query>,
}

impl Resolver {
    /// Returns a resolver that wakes the loop by `waker` when there is an answer.
    pub fn new(waker: Arc<Waker>) -> Self {
        let (sender, answers) = channel();
        Resolver {
            waker,
            sender,
            answers,
            pending: BTreeSet::new(),
        }
    }

    /// Starts to resolve a name, unless the same query is pending.
    ///
    /// # Errors
    /// `EAGAIN` if no thread can be started; the answer is then that there is no address.
    pub fn resolve(&mut self, host: &str, family: IpFamily) -> std::io::Result<()> {
        let query = (host.to_owned(), family);
        if !self.pending.insert(query.clone()) {
            return Ok(());
        }
        let (waker, sender) = (Arc::clone(&self.waker), self.sender.clone());
        let answer = move |query: Query, address| {
            // Sending and waking fail only after the end of the team, which needs no answer.
            let _ = sender.send((query, address));
            let _ = waker.wake();
        };
        let (no_answer, failed) = (answer.clone(), query.clone());
        // The thread has no name: the sandbox does not allow the system call that sets one.
        let spawned = thread::Builder::new().spawn(move || {
            let address = look_up(&query.0, query.1);
            answer(query, address);
        });
        if let Err(error) = spawned {
            no_answer(failed, None);
            return Err(error);
        }
        Ok(())
    }

    /// Returns the answers since the last call.
    pub fn answers(&mut self) -> Vec<Event> {
        let answers: Vec<_> = self.answers.try_iter().collect();
        let events = answers.into_iter().map(|(query, address)| {
            self.pending.remove(&query);
            let (host, family) = query;
            match address {
                Some(address) => log::debug!("\"{host}\" is {address}."),
                None => log::warn!("Failed to resolve host \"{host}\"; trying again later."),
            }
            Event::HostResolved {
                host,
                family,
                address,
            }
        });
        events.collect()
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
        let mut resolver = Resolver::new(Arc::new(waker));
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
            assert_eq!(resolver.answers(), [answer]);
            assert_eq!(resolver.answers(), []);
        }
    }
}
