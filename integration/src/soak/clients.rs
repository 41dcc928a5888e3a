//! Clients that disturb the control socket of a daemon.

use std::io;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::world::Client;

/// Clients that one event adds.
const GROUP: usize = 5;
/// Packets at most of a client that sends: a daemon that reads all of them is not disturbed.
const MOST: usize = 200;
/// Bytes in a packet of garbage.
const GARBAGE: usize = 4096;

/// Connects a group of clients of one sort to the socket at `path`.
///
/// # Errors
/// The daemon accepts no connection.
pub(super) fn connect(path: &Path, client: Client) -> io::Result<Vec<Socket>> {
    let address = SockAddr::unix(path)?;
    (0..GROUP)
        .map(|number| {
            let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
            socket.connect(&address)?;
            socket.set_nonblocking(true)?;
            send(&socket, client, number);
            Ok(socket)
        })
        .collect()
}

/// Sends what this sort of client sends, as far as the daemon takes it.
fn send(socket: &Socket, client: Client, number: usize) {
    let garbage: Vec<u8> = (0..GARBAGE).map(|at| (at * 37 + number) as u8).collect();
    let (packet, count): (&[u8], usize) = match client {
        Client::Silent => return,
        Client::Half => ([&b"R"[..], b"REQUEST", b"REQUEST\nPortAdd"][number % 3], 1),
        Client::Garbage => (&garbage, MOST),
        Client::Deaf => (b"REQUEST\nStateDump\n", MOST),
    };
    // The daemon may close the connection, or read no more: both are its right.
    let _ = (0..count).try_for_each(|_| socket.send(packet).map(drop));
}
