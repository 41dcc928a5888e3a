//! The daemon's netlink sockets: for requests and for events, each of the route or of the generic
//! family.
//!
//! No call waits. The kernel answers a request of these families before `send` returns, so that
//! the answer can be read at once; a missing answer is an error.
//!
//! A call that fails removes nothing from the socket, so the call is repeated. A socket that keeps
//! failing is opened anew: its events may be lost, and with half of a dump unread the kernel would
//! refuse the next dump.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    MsgFlags, MultiHeaders, NetlinkAddr, bind, getsockname, recv, recvmmsg, send, setsockopt,
    sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::bpf::Instruction;
use super::message::{Message, Messages, Request};
use crate::errno::count_failed_call;
use crate::sys::socket_option::{attach_filter, join_group};

/// Bytes of the buffer for one datagram; a dump has at most 32 KiB in one.
const DATAGRAM: usize = 32 * 1024;
/// Events read by one system call: the team driver sends one for each option that changes, 128 when
/// half of the buckets move.
const EVENTS_AT_ONCE: usize = 8;
/// Bytes of the receive buffers: enough for a burst of a few thousand link events, or the options
/// of a thousand ports.
const RECEIVE_BUFFER: usize = 1 << 20;
/// libteam's variable for the bytes of the receive buffers of events; negative counts as 0, which
/// the kernel raises to its minimum.
pub const BUFFER_VARIABLE: &str = "TEAM_EVENT_BUFSIZE";
/// Times that an interrupted dump is repeated before it fails.
const DUMP_TRIES: usize = 16;
/// Requests in one datagram: their acknowledgements fit into the receive buffer of a process without
/// privileges, too.
const REQUESTS_AT_ONCE: usize = 64;
/// Attempts of a call before the request socket is opened anew.
const CALL_TRIES: usize = 3;

/// A socket for requests about links, addresses and traffic control.
pub type RouteSocket = RequestSocket<{ libc::NETLINK_ROUTE }>;
/// A socket for requests to families with names, such as the team driver's.
pub type GenericSocket = RequestSocket<{ libc::NETLINK_GENERIC }>;
/// A socket for requests about the sockets of the network namespace.
pub(super) type DiagSocket = RequestSocket<{ libc::NETLINK_SOCK_DIAG }>;

fn open(family: libc::c_int, receive_buffer: usize) -> io::Result<OwnedFd> {
    let kind = Type::RAW.cloexec().nonblocking();
    let fd = Socket::new_raw(Domain::from(libc::AF_NETLINK), kind, Some(Protocol::from(family)))?;
    // Without CAP_NET_ADMIN `rmem_max` is the limit; more events then overflow and cost a resync.
    if setsockopt(&fd, sockopt::RcvBufForce, &receive_buffer).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &receive_buffer)?;
    }
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(fd.into())
}

/// A socket for requests to a netlink family, which is in the type: no request reaches the socket of
/// another family.
#[derive(Debug)]
pub struct RequestSocket<const FAMILY: libc::c_int> {
    fd: OwnedFd,
    /// `None` for a socket that was opened elsewhere, such as in another network namespace, where this
    /// process cannot open another one.
    port: Option<OwnPort>,
    sequence: u32,
}

thread_local! {
    /// The receive buffer of all request sockets of a thread: a request reads its whole answer
    /// before it returns.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; DATAGRAM]);
    /// The port ids of all request sockets that a thread has opened.
    static OWN_PORTS: RefCell<BTreeSet<(libc::c_int, u32)>> = const { RefCell::new(BTreeSet::new()) };
}

/// The port id of an open request socket, by which its thread recognizes the events that it has caused
/// itself.
#[derive(Debug)]
struct OwnPort(libc::c_int, u32);

impl OwnPort {
    fn of(family: libc::c_int, fd: &OwnedFd) -> nix::Result<Self> {
        let port = getsockname::<NetlinkAddr>(fd.as_raw_fd())?.pid();
        OWN_PORTS.with_borrow_mut(|ports| ports.insert((family, port)));
        Ok(OwnPort(family, port))
    }
}

impl Drop for OwnPort {
    fn drop(&mut self) {
        // At the end of the thread the set may be gone before the socket.
        let _ = OWN_PORTS.try_with(|ports| ports.borrow_mut().remove(&(self.0, self.1)));
    }
}

/// Returns whether a request of this thread has caused an event of rtnetlink, on a socket that is still
/// open.
pub(super) fn is_own_event(event: &Message<'_>) -> bool {
    OWN_PORTS.with_borrow(|ports| ports.contains(&(libc::NETLINK_ROUTE, event.port)))
}

/// Why a request failed.
enum Failure {
    /// The kernel refused the request.
    Refused(io::Error),
    /// The socket failed: the kernel did not get the request, or its answer was not read.
    Socket(Errno),
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Socket(errno) => errno.into(),
        }
    }
}

impl<const FAMILY: libc::c_int> RequestSocket<FAMILY> {
    /// Opens the socket; needs no privilege.
    pub fn open() -> io::Result<Self> {
        let fd = open(FAMILY, RECEIVE_BUFFER)?;
        let port = repeat(|| OwnPort::of(FAMILY, &fd))?;
        Ok(RequestSocket { port: Some(port), ..RequestSocket::from(fd) })
    }

    /// Has the kernel carry out `request`.
    ///
    /// # Errors
    /// The kernel's error number.
    pub fn execute(&mut self, request: Request) -> io::Result<()> {
        Ok(self.exchange(request, true, &mut |_| ())?)
    }

    /// Calls `each` with every message of the whole answer.
    ///
    /// # Errors
    /// Those of [`Dump::step`].
    pub fn query(&mut self, request: Request, each: &mut dyn FnMut(Message<'_>)) -> io::Result<()> {
        let mut dump = Dump::new(request);
        while dump.step(self)? == Progress::More {}
        dump.messages().for_each(each);
        Ok(())
    }

    /// Has the kernel carry out all `requests`, many with one system call. Returns the
    /// outcome of each; a request that the kernel refuses keeps no other from being carried out.
    ///
    /// # Errors
    /// Errors of the socket; some requests may have been carried out.
    pub fn execute_all(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
    ) -> io::Result<Vec<io::Result<()>>> {
        let mut requests = requests.into_iter().peekable();
        let mut outcomes = Vec::new();
        while requests.peek().is_some() {
            let batch = requests.by_ref().take(REQUESTS_AT_ONCE);
            let exchanged = self.exchange_all(batch);
            outcomes.extend(exchanged.inspect_err(|failure| self.reopen_after(failure))?);
        }
        Ok(outcomes)
    }

    /// Sends requests in one datagram and reads their acknowledgements.
    fn exchange_all(
        &mut self,
        requests: impl Iterator<Item = Request>,
    ) -> Result<Vec<io::Result<()>>, Failure> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let mut codes = Vec::new();
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend(request.finish(self.sequence, true).map_err(Failure::Refused)?);
            codes.push(None);
        }
        let fd = self.fd.as_raw_fd();
        repeat(|| send(fd, &bytes, MsgFlags::empty())).map_err(Failure::Socket)?;
        BUFFER.with_borrow_mut(|buffer| {
            while codes.contains(&None) {
                let received = repeat(|| recv(fd, buffer, MsgFlags::MSG_DONTWAIT));
                let length = received.map_err(Failure::Socket)?;
                for message in Messages(buffer.get(..length).unwrap_or_default()) {
                    let place = message.sequence.wrapping_sub(first) as usize;
                    if let Some(code) = codes.get_mut(place) {
                        *code = message.error().or(*code);
                    }
                }
            }
            Ok(())
        })?;
        let outcome = |code| match code {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        };
        Ok(codes.into_iter().flatten().map(outcome).collect())
    }

    /// Sends a request and reads its answer. Opens the socket anew if it fails.
    fn exchange(
        &mut self,
        request: Request,
        ack: bool,
        each: &mut dyn FnMut(Message<'_>),
    ) -> Result<(), Failure> {
        let mut progress = self.send(request, ack).map(|()| Progress::More);
        while let Ok(Progress::More) = progress {
            progress = self.receive(ack, each);
        }
        progress.map(drop).inspect_err(|failure| self.reopen_after(failure))
    }

    /// Sends a request.
    fn send(&mut self, request: Request, ack: bool) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.finish(self.sequence, ack).map_err(Failure::Refused)?;
        let sent = repeat(|| send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty()));
        sent.map(drop).map_err(Failure::Socket)
    }

    /// Reads one datagram of the answer and hands its messages to `each`, which must not make a
    /// request: the receive buffer is borrowed.
    fn receive(&self, ack: bool, each: &mut dyn FnMut(Message<'_>)) -> Result<Progress, Failure> {
        BUFFER.with_borrow_mut(|buffer| {
            let fd = self.fd.as_raw_fd();
            let received = repeat(|| recv(fd, buffer, MsgFlags::MSG_DONTWAIT));
            let length = received.map_err(Failure::Socket)?;
            for message in Messages(buffer.get(..length).unwrap_or_default()) {
                if message.sequence != self.sequence {
                    continue;
                }
                match message.error() {
                    Some(0) => return Ok(Progress::Complete),
                    Some(code) => {
                        return Err(Failure::Refused(io::Error::from_raw_os_error(code)));
                    }
                    // The team driver sends a requested ACK after the DONE.
                    None if message.is_done() && ack => continue,
                    None if message.is_done() => return Ok(Progress::Complete),
                    None => each(message),
                }
                if !ack && i32::from(message.flags) & libc::NLM_F_MULTI == 0 {
                    return Ok(Progress::Complete);
                }
            }
            Ok(Progress::More)
        })
    }

    /// Opens the socket anew if `failure` is one of the socket.
    fn reopen_after(&mut self, failure: &Failure) {
        if let (Failure::Socket(_), Some(_)) = (failure, &self.port) {
            // Without a new socket the next request tries the present one.
            if let Ok(socket) = RequestSocket::<FAMILY>::open() {
                (self.fd, self.port) = (socket.fd, socket.port);
            }
        }
    }
}

/// Whether an answer was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The answer goes on.
    More,
    /// The whole answer was read.
    Complete,
}

/// A request whose answer is read in steps, so that a long answer does not keep the loop from other
/// work. Between two steps the socket must make no other request.
#[derive(Debug)]
pub struct Dump {
    request: Request,
    /// Kind, flags and payload of the messages so far.
    messages: Vec<(u16, u16, Vec<u8>)>,
    is_sent: bool,
    tries: usize,
}

impl Dump {
    /// Returns a request that is not sent yet.
    pub fn new(request: Request) -> Self {
        Dump { request, messages: Vec::new(), is_sent: false, tries: 0 }
    }

    /// Sends the request in the first step. Reads one datagram of the answer, which has at most 32 KiB.
    /// After a change that interrupted the answer, and after an error of the socket, the next step
    /// begins anew.
    ///
    /// # Errors
    /// The kernel's error number; `EINTR` for a dump that changes interrupted every time.
    pub fn step<const FAMILY: libc::c_int>(
        &mut self,
        socket: &mut RequestSocket<FAMILY>,
    ) -> io::Result<Progress> {
        let failure = match self.try_step(socket) {
            Ok(Progress::More) => return Ok(Progress::More),
            Ok(Progress::Complete) if !self.is_interrupted() => return Ok(Progress::Complete),
            Ok(Progress::Complete) => Failure::Socket(Errno::EINTR),
            Err(failure) => {
                socket.reopen_after(&failure);
                failure
            }
        };
        self.messages.clear();
        self.is_sent = false;
        self.tries += 1;
        match failure {
            Failure::Socket(_) if self.tries < DUMP_TRIES => Ok(Progress::More),
            failure => Err(failure.into()),
        }
    }

    fn try_step<const FAMILY: libc::c_int>(
        &mut self,
        socket: &mut RequestSocket<FAMILY>,
    ) -> Result<Progress, Failure> {
        if !self.is_sent {
            socket.send(self.request.clone(), false)?;
            self.is_sent = true;
        }
        let messages = &mut self.messages;
        socket.receive(false, &mut |message| {
            messages.push((message.kind, message.flags, message.payload.to_vec()));
        })
    }

    fn is_interrupted(&self) -> bool {
        self.messages().any(|message| message.is_interrupted())
    }

    /// Returns the messages so far: all, once the answer is complete.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let messages = self.messages.iter();
        messages.map(|(kind, flags, payload)| Message {
            kind: *kind,
            flags: *flags,
            sequence: 0,
            port: 0,
            payload,
        })
    }
}

/// Calls until a call succeeds, up to [`CALL_TRIES`] times.
fn repeat<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    let mut call_once = || call().inspect_err(|_| count_failed_call());
    (1..CALL_TRIES).find_map(|_| call_once().ok()).map_or_else(call_once, Ok)
}

/// Takes a socket of this family that was opened elsewhere, such as in another network namespace.
impl<const FAMILY: libc::c_int> From<OwnedFd> for RequestSocket<FAMILY> {
    fn from(fd: OwnedFd) -> Self {
        RequestSocket { fd, port: None, sequence: 0 }
    }
}

impl<const FAMILY: libc::c_int> AsFd for RequestSocket<FAMILY> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The outcome of reading an event socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All queued events were read.
    All,
    /// Events were lost: read the state anew.
    Loss,
}

/// The events that a socket receives.
#[derive(Clone, Debug)]
enum Events {
    /// Links, their IPv6 addresses, traffic control.
    Links,
    /// The events of a group of a generic family that a filter accepts.
    Generic { group: u32, filter: Vec<Instruction> },
}

impl Events {
    fn open(&self) -> io::Result<OwnedFd> {
        let wanted = std::env::var(BUFFER_VARIABLE).ok();
        let wanted = wanted.and_then(|bytes| bytes.parse::<i32>().ok());
        let wanted = wanted.map(|bytes| usize::try_from(bytes).unwrap_or(0));
        let receive_buffer = wanted.unwrap_or(RECEIVE_BUFFER);
        match self {
            Events::Links => {
                let fd = open(libc::NETLINK_ROUTE, receive_buffer)?;
                for group in [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV6_IFADDR, libc::RTNLGRP_TC] {
                    join_group(&fd, group)?;
                }
                Ok(fd)
            }
            Events::Generic { group, filter } => {
                let fd = open(libc::NETLINK_GENERIC, receive_buffer)?;
                join_group(&fd, *group)?;
                attach_filter(&fd, filter)?;
                Ok(fd)
            }
        }
    }
}

/// A socket that receives events.
#[derive(Debug)]
pub struct EventSocket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    events: Events,
    /// Where the descriptor is registered.
    registration: Option<(Rc<Registry>, Token)>,
    /// The socket has failed and could not be opened anew.
    is_broken: bool,
}

impl EventSocket {
    /// Opens a socket for events of links, of their IPv6 addresses, and of traffic control.
    pub fn links() -> io::Result<Self> {
        EventSocket::open(Events::Links)
    }

    /// Opens a socket for the events of a group of a generic family that `filter` accepts.
    pub fn generic(group: u32, filter: &[Instruction]) -> io::Result<Self> {
        EventSocket::open(Events::Generic { group, filter: filter.to_vec() })
    }

    fn open(events: Events) -> io::Result<Self> {
        Ok(EventSocket {
            fd: events.open()?,
            buffer: vec![0; EVENTS_AT_ONCE * DATAGRAM],
            events,
            registration: None,
            is_broken: false,
        })
    }

    /// Registers the socket, and every later one that takes its place.
    pub fn register(&mut self, registry: &Rc<Registry>, token: Token) -> io::Result<()> {
        register(&self.fd, registry, token)?;
        self.registration = Some((Rc::clone(registry), token));
        Ok(())
    }

    /// Opens the socket anew if [`drain`](Self::drain) could not; returns whether it receives
    /// events.
    pub fn mend(&mut self) -> bool {
        if self.is_broken {
            self.is_broken = self.reopen().is_err();
        }
        !self.is_broken
    }

    fn reopen(&mut self) -> io::Result<()> {
        let fd = self.events.open()?;
        if let Some((registry, token)) = &self.registration {
            register(&fd, registry, *token)?;
        }
        // The loop forgets a descriptor that is closed.
        self.fd = fd;
        Ok(())
    }

    /// Calls `each` with every queued event. A socket that fails is opened anew.
    pub fn drain(&mut self, each: &mut dyn FnMut(Message<'_>)) -> Received {
        let mut received = Received::All;
        loop {
            let places = self.buffer.chunks_exact_mut(DATAGRAM);
            let mut places: Vec<_> = places.map(|place| [IoSliceMut::new(place)]).collect();
            let mut headers = MultiHeaders::<()>::preallocate(EVENTS_AT_ONCE, None);
            let fd = self.fd.as_raw_fd();
            let flags = MsgFlags::MSG_DONTWAIT;
            match recvmmsg(fd, &mut headers, &mut places, flags, None) {
                Ok(datagrams) => {
                    let parts = datagrams.flat_map(|datagram| datagram.iovs());
                    parts.flat_map(Messages).for_each(&mut *each);
                }
                Err(Errno::EAGAIN) if !has_input(&self.fd) => return received,
                Err(Errno::EAGAIN | Errno::EINTR) => count_failed_call(),
                Err(Errno::ENOBUFS) => received = Received::Loss,
                Err(error) => {
                    count_failed_call();
                    log::warn!("Failed to receive events ({error}); opening the socket anew.");
                    self.is_broken = true;
                    self.mend();
                    return Received::Loss;
                }
            }
        }
    }
}

/// Returns whether events are queued: after a reading without them no further event of the loop tells.
fn has_input(fd: &OwnedFd) -> bool {
    let mut sockets = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut sockets, PollTimeout::ZERO);
    sockets[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}

fn register(fd: &OwnedFd, registry: &Registry, token: Token) -> io::Result<()> {
    registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)
}

impl AsFd for EventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::ifinfomsg;
    use super::*;

    #[test]
    fn each_of_many_requests_has_its_own_outcome() {
        let mut route = RouteSocket::open().unwrap();
        let loopback = super::super::link::find(&mut route, "lo").unwrap().ifindex;
        let read = |ifindex| Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(ifindex, 0, 0));
        let count = 2 * REQUESTS_AT_ONCE + 3;
        let is_absent = |place: usize| place % 3 == 1;
        let index = |place| if is_absent(place) { i32::MAX as u32 } else { loopback };
        let outcomes = route.execute_all((0..count).map(|place| read(index(place)))).unwrap();
        assert_eq!(outcomes.len(), count);
        for (place, outcome) in outcomes.iter().enumerate() {
            let code = outcome.as_ref().err().and_then(io::Error::raw_os_error);
            assert_eq!(code, is_absent(place).then_some(libc::ENODEV), "{place}");
        }
        assert!(route.execute_all([]).unwrap().is_empty());
        // No answer is left over for the next request.
        assert!(route.execute(read(loopback)).is_ok());
    }

    #[test]
    fn an_event_is_own_while_the_socket_of_its_request_is_open() {
        let route = RouteSocket::open().unwrap();
        let port = route.port.as_ref().unwrap().1;
        let event = |port| Message { kind: 0, flags: 0, sequence: 1, port, payload: &[] };
        assert!(is_own_event(&event(port)) && !is_own_event(&event(0)));
        let foreign = RouteSocket::from(open(libc::NETLINK_ROUTE, 0).unwrap());
        let of_foreign = getsockname::<NetlinkAddr>(foreign.fd.as_raw_fd()).unwrap().pid();
        assert!(!is_own_event(&event(of_foreign)));
        drop(route);
        assert!(!is_own_event(&event(port)));
    }
}
