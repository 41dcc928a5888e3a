//! A session with a master agent (RFC 2741, 7.1): opens, registers a subtree, answers requests, closes.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::Socket;

use super::pdu::{self, HEADER, Header, Kind, Oid, Received, Request};
use super::tree::{PARSE_ERROR, Tree};
use crate::errno::strerror;
use crate::sys::clock;

/// Time limit of a connection, and of each read and write.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time in seconds that the master agent waits for an answer. The answer may have to wait for the state
/// of a daemon, for which the client waits up to 5 s.
const ANSWER_TIME: u8 = 10;

/// Why a session ends.
#[derive(Debug)]
pub enum SessionError {
    /// The connection failed.
    Socket(io::Error),
    /// The master agent sent bytes that are no PDU of version 1 in network byte order, or a PDU that
    /// is not the response.
    Malformed,
    /// The master agent refuses the session or the subtree with this error code.
    Refused(u16),
    /// The master agent closed the session.
    Closed,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// duplicateRegistration (6.2.16).
        const DUPLICATE: u16 = 263;
        match self {
            SessionError::Socket(error) => f.write_str(&strerror(error)),
            SessionError::Malformed => f.write_str("the answer is no AgentX PDU"),
            SessionError::Refused(DUPLICATE) => {
                f.write_str("another program serves the Link Aggregation MIB already")
            }
            SessionError::Refused(code) => write!(f, "refused with error {code} of RFC 2741"),
            SessionError::Closed => f.write_str("the master agent closed the session"),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => SessionError::Closed,
            _ => SessionError::Socket(error),
        }
    }
}

/// A session with a registered subtree.
pub struct Session {
    socket: Socket,
    /// Number of the session; 0 before the response to Open.
    id: u32,
    /// Number of the last PDU that the session sent of its own accord.
    packet: u32,
    /// sysUpTime of the master agent at `opened_at`, in 1/100 s.
    uptime: u32,
    /// Time of the response to Open, on the monotonic clock.
    opened_at: Duration,
}

impl Session {
    /// Opens a session with the master agent at `address` and registers `subtree`. An address with a
    /// slash is the path of a unix socket, any other is `HOST:PORT`.
    ///
    /// # Errors
    /// The connection fails, or the master agent refuses the session or the subtree.
    pub fn open(address: &str, subtree: &Oid) -> Result<Self, SessionError> {
        let socket = connect(address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        let mut session =
            Session { socket, id: 0, packet: 0, uptime: 0, opened_at: Duration::ZERO };
        let (header, uptime) = session.exchange(Kind::OPEN, &pdu::open(ANSWER_TIME, "teamr"))?;
        session.id = header.session;
        session.uptime = uptime;
        session.opened_at = clock::monotonic();
        session.exchange(Kind::REGISTER, &pdu::register(subtree))?;
        Ok(session)
    }

    /// Returns sysUpTime of the master agent, in 1/100 s.
    pub fn uptime(&self) -> u32 {
        let elapsed = (clock::monotonic() - self.opened_at).as_millis() / 10;
        // TimeTicks begin again at 0 after 2^32.
        self.uptime.wrapping_add(elapsed as u32)
    }

    /// Reads one PDU and answers a request from the tree that `tree` returns. Waits up to `TIMEOUT`
    /// for the PDU.
    ///
    /// # Errors
    /// The connection fails or times out, the master agent closes the session, or the PDU is malformed.
    pub fn answer<'a>(&mut self, tree: impl FnOnce() -> &'a Tree) -> Result<(), SessionError> {
        let (header, received) = self.receive()?;
        let request: Option<Request> = match received {
            Some(Received::Request(request)) => Some(request),
            Some(Received::Response { .. }) => return Ok(()),
            Some(Received::Close(_)) => return Err(SessionError::Closed),
            None => None,
        };
        let answer = match request {
            Some(request) => tree().answer(&request),
            None => Some(Err(PARSE_ERROR)),
        };
        let payload = match answer {
            Some(Ok(bindings)) => pdu::response(0, &bindings),
            Some(Err(code)) => pdu::response(code, &[]),
            None => return Ok(()),
        };
        Ok((&self.socket).write_all(&header.response().pdu(&payload))?)
    }

    /// Closes the session.
    pub fn close(mut self) {
        let header = self.next_header(Kind::CLOSE);
        // After an error the master agent ends the session when the connection closes.
        let _ = (&self.socket).write_all(&header.pdu(&pdu::close()));
    }

    fn next_header(&mut self, kind: Kind) -> Header {
        self.packet += 1;
        Header::new(kind, self.id, self.packet)
    }

    /// Sends a PDU. Returns the header of the response, and sysUpTime in 1/100 s.
    fn exchange(&mut self, kind: Kind, payload: &[u8]) -> Result<(Header, u32), SessionError> {
        let header = self.next_header(kind);
        (&self.socket).write_all(&header.pdu(payload))?;
        match self.receive()? {
            (answer, Some(Received::Response { uptime, error: 0 }))
                if answer.packet == header.packet =>
            {
                Ok((answer, uptime))
            }
            (_, Some(Received::Response { error: code @ 1.., .. })) => {
                Err(SessionError::Refused(code))
            }
            _ => Err(SessionError::Malformed),
        }
    }

    /// Reads a PDU. Returns no contents for a payload that [`Header::read`] refuses.
    fn receive(&mut self) -> Result<(Header, Option<Received>), SessionError> {
        let mut header = [0; HEADER];
        (&self.socket).read_exact(&mut header)?;
        let header = Header::parse(&header).ok_or(SessionError::Malformed)?;
        let mut payload = vec![0; header.length];
        (&self.socket).read_exact(&mut payload)?;
        Ok((header, header.read(&payload)))
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn connect(address: &str) -> io::Result<Socket> {
    if address.contains('/') {
        return Ok(UnixStream::connect(address)?.into());
    }
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream.into()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
