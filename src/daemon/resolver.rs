//! Host names to addresses, beside the loop.
//!
//! The system's resolver heeds nsswitch, may talk to several servers, and waits for each of them
//! inside the call. So every question has a thread of its own, which ends with the answer; the
//! loop is woken and hears the answer as one more event. A configuration with addresses in it
//! never starts one.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;
use runners::{Event, IpFamily};

/// A host and the kind of address that is wanted of it.
type Question = (String, IpFamily);

/// Resolves names for one team.
#[derive(Debug)]
pub struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<(Question, Option<IpAddr>)>,
    answers: Receiver<(Question, Option<IpAddr>)>,
    under_way: BTreeSet<Question>,
}

impl Resolver {
    /// One that wakes the loop by `waker` when there is an answer.
    pub fn new(waker: Arc<Waker>) -> Self {
        let (sender, answers) = channel();
        Resolver {
            waker,
            sender,
            answers,
            under_way: BTreeSet::new(),
        }
    }

    /// Begins to resolve a name, unless that is under way.
    ///
    /// # Errors
    /// `EAGAIN` if there can be no thread for it. The answer is then that there is no address.
    pub fn resolve(&mut self, host: &str, family: IpFamily) -> std::io::Result<()> {
        let question = (host.to_owned(), family);
        if !self.under_way.insert(question.clone()) {
            return Ok(());
        }
        let (waker, sender) = (Arc::clone(&self.waker), self.sender.clone());
        let answer = move |question: Question, address| {
            // Either fails only when the team or the loop is gone, and with it the question.
            let _ = sender.send((question, address));
            let _ = waker.wake();
        };
        let (no_answer, asked) = (answer.clone(), question.clone());
        // Without a name: giving it one takes a system call that the daemon has given up.
        let spawned = thread::Builder::new().spawn(move || {
            let address = look_up(&question.0, question.1);
            answer(question, address);
        });
        if let Err(error) = spawned {
            no_answer(asked, None);
            return Err(error);
        }
        Ok(())
    }

    /// The answers since the last call.
    pub fn answers(&mut self) -> Vec<Event> {
        let answers: Vec<_> = self.answers.try_iter().collect();
        let events = answers.into_iter().map(|(question, address)| {
            self.under_way.remove(&question);
            let (host, family) = question;
            match address {
                Some(address) => log::debug!("\"{host}\" is {address}."),
                None => log::warn!("Failed to resolve host \"{host}\"; tried again later."),
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
    fn each_question_is_answered_once_and_wakes_the_loop() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let mut resolver = Resolver::new(Arc::new(waker));
        let localhost = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        // Forms that only the resolver reads; the second is no name at all.
        for (host, expected) in [("127.1", localhost), ("a\0b", None)] {
            for _ in 0..2 {
                resolver.resolve(host, IpFamily::V4).expect("under way");
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
