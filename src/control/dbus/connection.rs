//! A connection to the system bus.
//!
//! Owns the socket, the greeting and the buffers of both directions. Standard: the D-Bus
//! Specification, "Authentication Protocol" (mechanism EXTERNAL) and "Server Addresses" (unix
//! sockets only; a system bus has no other). The first calls follow the greeting at once, so
//! nothing waits for the bus but [`wait_reply`](Connection::wait_reply).

use std::collections::VecDeque;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use super::message::{self, Kind, Message, Value};
use crate::errno::strerror;
use crate::sys::clock;

/// Environment variable with the address of another bus.
pub const ADDRESS_VARIABLE: &str = "DBUS_SYSTEM_BUS_ADDRESS";

/// Name, path and interface of the bus itself.
const BUS: (&str, &str, &str) =
    ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus");
const DEFAULT_ADDRESS: &str = "unix:path=/var/run/dbus/system_bus_socket";
/// Authenticates by the credentials of the socket. A user ID in the greeting could be another user
/// to a bus outside of this user namespace.
const GREETING: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
/// Longest line of the bus.
const LONGEST_LINE: usize = 1024;
/// Bytes read from the socket at once.
const READ: usize = 64 << 10;

/// Why there is no connection.
#[derive(Debug)]
pub enum BusError {
    /// The address is no address of a unix socket.
    Address(String),
    /// The socket at this address could not be connected to.
    Connect(String, io::Error),
    /// The bus rejected the greeting, with this text.
    Rejected(String),
    /// The connection failed.
    Io(io::Error),
    /// The bus did not reply within the time limit.
    TimedOut,
}

impl BusError {
    /// Returns the name of the error in libdbus.
    pub fn name(&self) -> &'static str {
        match self.errno() {
            Errno::ENOENT => "org.freedesktop.DBus.Error.FileNotFound",
            Errno::ECONNREFUSED => "org.freedesktop.DBus.Error.NoServer",
            Errno::EACCES => "org.freedesktop.DBus.Error.AccessDenied",
            Errno::ETIMEDOUT => "org.freedesktop.DBus.Error.NoReply",
            _ => "org.freedesktop.DBus.Error.Failed",
        }
    }

    /// Returns the cause as an error number.
    pub fn errno(&self) -> Errno {
        let code = match self {
            BusError::Connect(_, e) | BusError::Io(e) => e.raw_os_error(),
            BusError::Rejected(_) => Some(libc::EACCES),
            BusError::TimedOut => Some(libc::ETIMEDOUT),
            BusError::Address(_) => None,
        };
        Errno::from_raw(code.unwrap_or(libc::EINVAL))
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusError::Address(address) => write!(f, "no address of a unix socket: \"{address}\""),
            BusError::Connect(path, e) => {
                write!(f, "Failed to connect to socket {path}: {}", strerror(e))
            }
            BusError::Rejected(text) => write!(f, "the bus does not let us in: {text}"),
            BusError::Io(e) => f.write_str(&strerror(e)),
            BusError::TimedOut => f.write_str("the bus does not answer"),
        }
    }
}

impl std::error::Error for BusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BusError::Connect(_, e) | BusError::Io(e) => Some(e),
            BusError::Address(_) | BusError::Rejected(_) | BusError::TimedOut => None,
        }
    }
}

/// A connection, whose greeting may still be on its way.
pub struct Connection {
    socket: Socket,
    incoming: Vec<u8>,
    /// Bytes of the longest message that is received whole.
    longest: usize,
    /// Bytes of a message still to be discarded.
    discarded: usize,
    /// Messages received by `wait_reply` before the reply.
    set_aside: VecDeque<(Message, usize)>,
    outgoing: VecDeque<u8>,
    /// Whether the bus accepted the greeting. The bus sends lines before, messages after.
    authenticated: bool,
    last_serial: u32,
    hello: u32,
}

impl Connection {
    /// Connects to the system bus and queues the greeting, which [`flush`](Self::flush) sends.
    pub fn open() -> Result<Self, BusError> {
        let address = env::var(ADDRESS_VARIABLE).ok();
        let address = address.filter(|address| !address.is_empty());
        Connection::open_at(address.as_deref().unwrap_or(DEFAULT_ADDRESS))
    }

    /// Connects to the first of the addresses, separated by semicolons, that accepts a connection.
    pub fn open_at(addresses: &str) -> Result<Self, BusError> {
        let mut failure = BusError::Address(addresses.to_owned());
        for address in addresses.split(';') {
            let Some(path) = socket_path(address) else {
                continue;
            };
            match connect(&path) {
                Ok(socket) => return Ok(Connection::greeting(socket)),
                Err(e) => {
                    let path = String::from_utf8_lossy(&path).replace('\0', "@");
                    failure = BusError::Connect(path, e);
                }
            }
        }
        Err(failure)
    }

    fn greeting(socket: Socket) -> Self {
        let mut connection = Connection {
            socket,
            incoming: Vec::new(),
            longest: usize::MAX,
            discarded: 0,
            set_aside: VecDeque::new(),
            outgoing: VecDeque::new(),
            authenticated: false,
            last_serial: 0,
            hello: 0,
        };
        connection.outgoing.extend(GREETING);
        connection.hello = connection.call_bus("Hello", &[]);
        connection
    }

    /// Limits the messages that are received whole. A longer message is received without its body,
    /// which is discarded as it comes.
    pub fn set_longest(&mut self, longest: usize) {
        self.longest = longest;
    }

    /// Queues a call to the bus itself; returns its serial.
    pub fn call_bus(&mut self, member: &str, body: &[Value]) -> u32 {
        let (name, path, interface) = BUS;
        self.queue(Message { body: body.to_vec(), ..Message::call(name, path, interface, member) })
    }

    /// Queues a message and returns its serial.
    pub fn queue(&mut self, mut message: Message) -> u32 {
        // 0 is no serial.
        self.last_serial = self.last_serial.checked_add(1).unwrap_or(1);
        message.serial = self.last_serial;
        self.outgoing.extend(message.encode());
        self.last_serial
    }

    /// Sends as many bytes as the socket has room for. Returns whether no bytes are left.
    pub fn flush(&mut self) -> Result<bool, BusError> {
        while !self.outgoing.is_empty() {
            let (head, _) = self.outgoing.as_slices();
            // The client has no handler for SIGPIPE.
            let sent = self.socket.send_with_flags(head, libc::MSG_NOSIGNAL);
            match sent {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(BusError::Io(e)),
            }
        }
        Ok(true)
    }

    /// Reads once; returns whether more bytes may follow at once.
    pub fn fill(&mut self) -> Result<bool, BusError> {
        let mut bytes = vec![0; READ];
        match self.socket.read(&mut bytes) {
            Ok(0) => Err(BusError::Io(io::Error::from(Errno::ECONNRESET))),
            Ok(got) => {
                self.incoming.extend_from_slice(&bytes[..got]);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(true),
            Err(e) => Err(BusError::Io(e)),
        }
    }

    /// Returns the next message that is no signal, with its length in bytes. Signals, which any user
    /// can send and nothing here needs, are discarded as they come.
    pub fn next_message(&mut self) -> Result<Option<(Message, usize)>, BusError> {
        match self.set_aside.pop_front() {
            None => self.parse(),
            first => Ok(first),
        }
    }

    fn parse(&mut self) -> Result<Option<(Message, usize)>, BusError> {
        if !self.authenticated && !self.read_lines()? {
            return Ok(None);
        }
        while let Some(size) = self.next_size()? {
            let length = size.message;
            let decoded = if length <= self.longest {
                if self.incoming.len() < length {
                    break;
                }
                Message::decode(&self.incoming[..length])
            } else {
                if self.incoming.len() < size.header {
                    break;
                }
                Message::decode_header(&self.incoming[..size.header])
            };
            self.discard(length);
            match decoded {
                Ok(reply) if reply.reply_to == Some(self.hello) => {
                    if reply.kind == Kind::Error {
                        let text = reply.text().unwrap_or_default();
                        return Err(BusError::Rejected(text.to_owned()));
                    }
                }
                Ok(message) => return Ok(Some((message, length))),
                // The next message begins after the known length.
                Err(malformed) => log::debug!("dbus: {malformed}"),
            }
        }
        Ok(None)
    }

    /// Returns the size of the next message to receive, of which the first bytes are here. Discards
    /// signals, and messages whose header alone is too long.
    fn next_size(&mut self) -> Result<Option<message::Size>, BusError> {
        loop {
            self.discard(0);
            let Some(size) = message::size(&self.incoming).map_err(malformed)? else {
                return Ok(None);
            };
            if !message::is_signal(&self.incoming) && size.header <= self.longest {
                return Ok(Some(size));
            }
            self.discard(size.message);
        }
    }

    /// Discards the next `length` bytes, of which some may still have to come.
    fn discard(&mut self, length: usize) {
        self.discarded += length;
        let here = self.discarded.min(self.incoming.len());
        self.incoming.drain(..here);
        self.discarded -= here;
        if self.incoming.is_empty() {
            // Frees the room of a long message.
            self.incoming = Vec::new();
        }
    }

    /// Reads the lines of the bus: a challenge and OK. Returns whether the bus accepted the
    /// greeting.
    fn read_lines(&mut self) -> Result<bool, BusError> {
        while let Some(end) = self.incoming.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.incoming.drain(..end + 2).take(end).collect();
            if line.starts_with(b"OK ") {
                self.authenticated = true;
                return Ok(true);
            }
            if !line.starts_with(b"DATA") {
                let text = String::from_utf8_lossy(&line).into_owned();
                return Err(BusError::Rejected(text));
            }
        }
        (self.incoming.len() < LONGEST_LINE).then_some(false).ok_or(malformed(message::Malformed))
    }

    /// Waits for the reply to a call. Messages before the reply are kept for
    /// [`next_message`](Self::next_message): a bus that starts the daemon for a call delivers the
    /// call first.
    ///
    /// # Errors
    /// [`BusError::TimedOut`] when no reply comes within `timeout_ms` milliseconds.
    pub fn wait_reply(&mut self, serial: u32, timeout_ms: u16) -> Result<Message, BusError> {
        self.wait_reply_or(serial, timeout_ms, None)?.ok_or(BusError::TimedOut)
    }

    /// As [`wait_reply`](Self::wait_reply), but returns `None` as soon as `event` is readable: the
    /// reply is then a message for [`next_message`](Self::next_message).
    pub fn wait_reply_or(
        &mut self,
        serial: u32,
        timeout_ms: u16,
        event: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Message>, BusError> {
        let deadline = clock::monotonic() + Duration::from_millis(timeout_ms.into());
        loop {
            let sent = self.flush()?;
            while let Some((message, length)) = self.parse()? {
                if message.reply_to == Some(serial) {
                    return Ok(Some(message));
                }
                self.set_aside.push_back((message, length));
            }
            let left = deadline.saturating_sub(clock::monotonic());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut wanted = PollFlags::POLLIN;
            wanted.set(PollFlags::POLLOUT, !sent);
            let mut waiting = vec![PollFd::new(self.socket.as_fd(), wanted)];
            waiting.extend(event.map(|event| PollFd::new(event, PollFlags::POLLIN)));
            match poll(&mut waiting, left) {
                Ok(0) => return Err(BusError::TimedOut),
                Ok(_) if waiting.get(1).is_some_and(|event| event.any() == Some(true)) => {
                    return Ok(None);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(BusError::Io(e.into())),
            }
            self.fill()?;
        }
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn malformed(malformed: message::Malformed) -> BusError {
    BusError::Io(io::Error::other(malformed))
}

fn connect(path: &[u8]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.connect(&SockAddr::unix(OsStr::from_bytes(path))?)?;
    Ok(socket)
}

/// Returns the path of a socket address; an abstract socket has a NUL before its name.
fn socket_path(address: &str) -> Option<Vec<u8>> {
    let pairs = address.strip_prefix("unix:")?;
    pairs.split(',').find_map(|pair| match pair.split_once('=')? {
        ("path", value) => unescape(value),
        ("abstract", value) => Some([&b"\0"[..], &unescape(value)?].concat()),
        _ => None,
    })
}

/// Decodes `%` and two hexadecimal digits into a byte.
fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        plain.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            (b'%', _) => return None,
            _ => *first,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_sockets() {
        for (address, path) in [
            ("unix:path=/run/bus", Some(&b"/run/bus"[..])),
            ("unix:guid=00,path=/a%20b", Some(b"/a b")),
            ("unix:abstract=x,guid=00", Some(b"\0x")),
            ("unix:path=/a%2", None),
            ("unix:path=/a%zz", None),
            ("unix:tmpdir=/tmp", None),
            ("tcp:host=localhost,port=1", None),
            ("", None),
        ] {
            assert_eq!(socket_path(address).as_deref(), path, "{address:?}");
        }
    }

    /// Returns an authenticated connection with a limit of 1000 bytes, and the bus's end of it.
    fn connected() -> (Connection, Socket) {
        let (ours, bus) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        let mut connection = Connection::greeting(ours);
        connection.authenticated = true;
        connection.set_longest(1000);
        (connection, bus)
    }

    fn with_text(kind: Kind, length: usize) -> Message {
        let body = vec![Value::Text("x".repeat(length))];
        Message { kind, serial: 9, body, ..Message::call("a.b", "/p", "i.f", "m") }
    }

    /// Sends `bytes` to the connection and returns the messages that it receives with them.
    fn receive(connection: &mut Connection, bus: &Socket, bytes: &[u8]) -> Vec<(Message, usize)> {
        let mut received = Vec::new();
        for chunk in bytes.chunks(10_000) {
            assert_eq!(bus.send(chunk).unwrap(), chunk.len());
            assert!(connection.fill().unwrap());
            received.extend(std::iter::from_fn(|| connection.next_message().unwrap()));
            assert!(connection.incoming.capacity() < 100_000, "buffered");
        }
        received
    }

    #[test]
    fn long_messages_and_signals_are_not_buffered() {
        let (mut connection, bus) = connected();
        let short = with_text(Kind::Call, 10);
        for (kind, length, is_received) in
            [(Kind::Signal, 10, false), (Kind::Signal, 3 << 20, false), (Kind::Call, 3 << 20, true)]
        {
            let long = with_text(kind, length).encode();
            let mut expected = vec![(short.clone(), short.encode().len())];
            if is_received {
                let header = Message { body: Vec::new(), ..with_text(kind, 0) };
                expected.insert(0, (header, long.len()));
            }
            let bytes = [long, short.encode()].concat();
            assert_eq!(receive(&mut connection, &bus, &bytes), expected, "{kind:?} {length}");
        }
        let path = Some(format!("/{}", "p".repeat(3 << 20)));
        let bytes = [Message { path, ..short.clone() }.encode(), short.encode()].concat();
        assert_eq!(receive(&mut connection, &bus, &bytes).len(), 1);
    }

    #[test]
    fn an_event_ends_the_wait_and_a_trickle_does_not_prolong_it() {
        let (mut connection, bus) = connected();
        let (event, readable) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        event.send(b"x").unwrap();
        let waited = connection.wait_reply_or(5, 20_000, Some(readable.as_fd()));
        assert_eq!(waited.unwrap(), None);
        let stopped = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = bus.send(&with_text(Kind::Signal, 1).encode());
                }
            });
            assert!(matches!(connection.wait_reply(5, 100), Err(BusError::TimedOut)));
            stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn the_last_failure_is_returned() {
        let text = |addresses: &str| match Connection::open_at(addresses) {
            Ok(_) => "connected".to_owned(),
            Err(e) => e.to_string(),
        };
        assert_eq!(
            text("tcp:host=x;unix:path=/nonexistent/bus"),
            "Failed to connect to socket /nonexistent/bus: No such file or directory"
        );
        assert_eq!(text("tcp:x"), "no address of a unix socket: \"tcp:x\"");
    }
}
