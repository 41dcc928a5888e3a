//! teamd's ZeroMQ socket: REP, one request in a message, in plain text.
//!
//! Owns the endpoint, the requests and the replies. The socket authenticates nobody, so `-Z` exists
//! only with the cargo feature `zmq`. The limits are those of the control socket: number of
//! clients, length of a request, one waiting reply. Standard: libteam 1.32. The reply to a message
//! that is no request is an error, since a REQ socket cannot continue without a reply.

pub mod frame;

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use mio::{Registry, Token};
use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::clients::{Client, Clients, Step};
use super::methods::{Failure, TeamControl};
use super::protocol::{self, MAX_REQUEST};
use frame::{Role, Session};

/// Length of the listen queue, as in libzmq.
const BACKLOG: i32 = 100;
/// Bytes read from a client at once.
const READ: usize = 16 << 10;

/// Address of a socket: `tcp://HOST:PORT`, with `*` for every local address, or `ipc://PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Host, `None` for every local address, and port.
    Tcp(Option<String>, u16),
    /// A socket in the file system.
    Ipc(PathBuf),
}

/// The text is no supported endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEndpoint;

impl fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected tcp://HOST:PORT or ipc://PATH")
    }
}

impl std::error::Error for BadEndpoint {}

impl Endpoint {
    /// Parses an endpoint.
    pub fn parse(text: &str) -> Result<Self, BadEndpoint> {
        if let Some(path) = text.strip_prefix("ipc://").filter(|path| !path.is_empty()) {
            return Ok(Endpoint::Ipc(PathBuf::from(path)));
        }
        let place = text.strip_prefix("tcp://").ok_or(BadEndpoint)?;
        let (host, port) = place.rsplit_once(':').ok_or(BadEndpoint)?;
        let port = port.parse().map_err(|_| BadEndpoint)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host) {
            "" => Err(BadEndpoint),
            "*" => Ok(Endpoint::Tcp(None, port)),
            host => Ok(Endpoint::Tcp(Some(host.to_owned()), port)),
        }
    }

    /// Returns the addresses of the endpoint; a host name is resolved.
    fn addresses(&self) -> io::Result<Vec<(Domain, SockAddr)>> {
        match self {
            Endpoint::Ipc(path) => Ok(vec![(Domain::UNIX, SockAddr::unix(path)?)]),
            Endpoint::Tcp(None, port) => {
                // The IPv6 socket accepts IPv4 too; the second is for a host without IPv6.
                let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
                let four = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
                Ok(vec![
                    (Domain::IPV6, six.into()),
                    (Domain::IPV4, four.into()),
                ])
            }
            Endpoint::Tcp(Some(host), port) => Ok((host.as_str(), *port)
                .to_socket_addrs()?
                .map(|address| (Domain::for_address(address), address.into()))
                .collect()),
        }
    }

    /// Connects to the endpoint.
    pub fn connect(&self) -> io::Result<Socket> {
        self.first(|socket, address| socket.connect(address))
    }

    fn listen(&self) -> io::Result<Socket> {
        self.first(|socket, address| {
            if let Endpoint::Ipc(path) = self {
                // A crash leaves the socket. Another kind of file stays.
                if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
                    fs::remove_file(path)?;
                }
            } else {
                socket.set_reuse_address(true)?;
            }
            socket.bind(address)?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)
        })
    }

    /// Returns the socket of the first address for which `attempt` succeeds.
    fn first(&self, attempt: impl Fn(&Socket, &SockAddr) -> io::Result<()>) -> io::Result<Socket> {
        let mut failure = io::Error::from(Errno::EADDRNOTAVAIL);
        for (domain, address) in self.addresses()? {
            let made = Socket::new(domain, Type::STREAM.cloexec(), None)
                .and_then(|socket| attempt(&socket, &address).map(|()| socket));
            match made {
                Ok(socket) => return Ok(socket),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }
}

/// The ZeroMQ socket of one team.
pub struct ZmqServer {
    endpoint: Endpoint,
    clients: Clients<Peer>,
}

impl ZmqServer {
    /// Number of tokens of a server.
    pub const TOKENS: usize = Clients::<Peer>::TOKENS;

    /// Listens at the endpoint. Events of [`TOKENS`](Self::TOKENS) tokens from `first` on are for
    /// [`ready`](Self::ready).
    pub fn bind(endpoint: Endpoint, registry: &Registry, first: Token) -> io::Result<Self> {
        let clients = Clients::of(endpoint.listen()?, "zmq", registry, first)?;
        Ok(ZmqServer { endpoint, clients })
    }

    /// Takes one step for the listener or the client of a token. A client with more to do causes
    /// another event.
    pub fn ready(&mut self, token: Token, team: &mut dyn TeamControl) {
        self.clients.ready(token, team);
    }
}

impl Drop for ZmqServer {
    fn drop(&mut self) {
        if let Endpoint::Ipc(path) = &self.endpoint {
            if let Err(e) = fs::remove_file(path) {
                log::warn!("zmq: Failed to remove socket file: {e}");
            }
        }
    }
}

struct Peer {
    socket: Socket,
    session: Session,
    outgoing: Vec<u8>,
}

impl Client for Peer {
    fn new(socket: Socket) -> Self {
        Peer {
            socket,
            session: Session::new(MAX_REQUEST),
            outgoing: Session::opening(Role::Rep),
        }
    }

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn step(&mut self, team: &mut dyn TeamControl) -> Result<Step, Errno> {
        match self.exchange(team) {
            Ok(step) => Ok(step),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Step::WaitForRoom),
            Err(e) => Err(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EPROTO))),
        }
    }
}

impl Peer {
    /// Sends waiting bytes, or replies to one request, or reads once.
    fn exchange(&mut self, team: &mut dyn TeamControl) -> io::Result<Step> {
        if !self.outgoing.is_empty() {
            let sent = self
                .socket
                .send_with_flags(&self.outgoing, libc::MSG_NOSIGNAL);
            return match sent {
                Ok(sent) => {
                    self.outgoing.drain(..sent);
                    Ok(Step::WaitForRoom)
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Step::WaitForRoom),
                Err(e) => Err(e),
            };
        }
        if let Some(request) = self.session.next_message().map_err(io::Error::other)? {
            let reply = match protocol::decode_plain_request(&request.body) {
                Some(decoded) => protocol::answer_request(decoded, team),
                None => protocol::encode_reply(&Err(Failure::InvalidArgs)),
            };
            self.outgoing = frame::message(&request.envelope, &reply);
            return Ok(Step::WaitForRoom);
        }
        let mut bytes = [0; READ];
        match self.socket.read(&mut bytes) {
            Ok(0) => Err(Errno::ECONNRESET.into()),
            Ok(got) => {
                self.session.take(&bytes[..got]);
                // The bytes may complete a request, for which no other event comes.
                Ok(Step::WaitForRoom)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Step::ReadOn),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_parsed_as_libzmq_does() {
        let tcp = |host: Option<&str>, port| Ok(Endpoint::Tcp(host.map(str::to_owned), port));
        for (text, endpoint) in [
            ("tcp://127.0.0.1:5555", tcp(Some("127.0.0.1"), 5555)),
            ("tcp://*:6000", tcp(None, 6000)),
            ("tcp://[::1]:1", tcp(Some("::1"), 1)),
            ("ipc:///run/x.ipc", Ok(Endpoint::Ipc("/run/x.ipc".into()))),
            ("ipc://", Err(BadEndpoint)),
            ("tcp://*", Err(BadEndpoint)),
            ("tcp://:1", Err(BadEndpoint)),
            ("tcp://*:70000", Err(BadEndpoint)),
            ("inproc://x", Err(BadEndpoint)),
        ] {
            assert_eq!(Endpoint::parse(text), endpoint, "{text}");
        }
    }
}
