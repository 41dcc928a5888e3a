//! A TCP connection that carries a known pattern both ways at once.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::remote::{READY, Remote};
use super::stream::end_of_input;
use super::{End, usage};

/// How much each side writes every millisecond: enough to need segmentation, too little to
/// fill the queues that a packet stream beside it needs.
const CHUNK: usize = 16 * 1024;

/// A connection under way.
pub struct Transfer {
    client: Remote,
    server: Remote,
}

/// What came through a connection that both sides closed in order, every byte checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes that the client wrote.
    pub client_sent: u64,
    /// Of these, bytes that the server read.
    pub server_received: u64,
    /// Bytes that the server wrote.
    pub server_sent: u64,
    /// Of these, bytes that the client read.
    pub client_received: u64,
}

impl Transferred {
    /// Something was sent each way, and all of it came.
    pub fn is_complete(&self) -> bool {
        self.client_sent > 0
            && self.server_sent > 0
            && self.client_sent == self.server_received
            && self.server_sent == self.client_received
    }
}

impl Transfer {
    /// Connects `from` to `to`; both write until [`finish`](Transfer::finish).
    pub fn start(from: &End, to: &End) -> Transfer {
        let server = Remote::start(&to.host, &["serve".into(), to.address.to_string()]);
        let client = Remote::start(
            &from.host,
            &[
                "connect".into(),
                from.address.to_string(),
                to.address.to_string(),
            ],
        );
        Transfer { client, server }
    }

    /// Lets both sides come to their end, and tells what came through.
    pub fn finish(self) -> Transferred {
        let client = self.client.finish();
        let server = self.server.finish();
        let count = |report: &Value, key: &str| report[key].as_u64().expect("a count of bytes");
        Transferred {
            client_sent: count(&client, "sent"),
            client_received: count(&client, "received"),
            server_sent: count(&server, "sent"),
            server_received: count(&server, "received"),
        }
    }
}

/// `connect FROM TO`: writes and checks until standard input ends, then closes.
pub fn run_client(args: &[String]) -> io::Result<()> {
    let [from, to] = args else {
        return Err(usage("connect FROM TO"));
    };
    let from: SocketAddr = from.parse().map_err(io::Error::other)?;
    let to: SocketAddr = to.parse().map_err(io::Error::other)?;
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(to),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.bind(&SocketAddr::new(from.ip(), 0).into())?;
    socket.connect(&to.into())?;
    println!("{READY}");
    exchange(socket.into(), &end_of_input())
}

/// `serve AT`: takes one connection, writes and checks until the client closes its side.
pub fn run_server(args: &[String]) -> io::Result<()> {
    let [at] = args else {
        return Err(usage("serve AT"));
    };
    let at: SocketAddr = at.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind(at)?;
    println!("{READY}");
    let (socket, _) = listener.accept()?;
    exchange(socket, &Arc::new(AtomicBool::new(false)))
}

/// Writes the pattern until `stop` or the other side's end, reads and checks it meanwhile.
fn exchange(socket: TcpStream, stop: &Arc<AtomicBool>) -> io::Result<()> {
    let reader = {
        let socket = socket.try_clone()?;
        let stop = Arc::clone(stop);
        thread::spawn(move || {
            let received = check(socket);
            stop.store(true, Ordering::Relaxed);
            received
        })
    };
    let mut socket = socket;
    let mut sent = 0;
    let mut chunk = vec![0; CHUNK];
    while !stop.load(Ordering::Relaxed) {
        fill(&mut chunk, sent);
        socket.write_all(&chunk)?;
        sent += u64::try_from(CHUNK).map_err(io::Error::other)?;
        thread::sleep(Duration::from_millis(1));
    }
    socket.shutdown(Shutdown::Write)?;
    let received = reader
        .join()
        .map_err(|_| io::Error::other("the reader failed"))??;
    println!("{}", json!({"sent": sent, "received": received}));
    Ok(())
}

/// Reads to the end; an error where a byte is not the pattern's.
fn check(mut socket: TcpStream) -> io::Result<u64> {
    let mut received = 0;
    let mut got = vec![0; 1 << 16];
    let mut wanted = vec![0; 1 << 16];
    loop {
        let length = socket.read(&mut got)?;
        if length == 0 {
            return Ok(received);
        }
        fill(&mut wanted[..length], received);
        if got[..length] != wanted[..length] {
            return Err(io::Error::other(format!(
                "wrong bytes from offset {received} on"
            )));
        }
        received += u64::try_from(length).map_err(io::Error::other)?;
    }
}

/// Fills in the pattern from `offset` of the stream on. Its period is prime, so that a piece
/// that is lost, repeated or moved by any power of two shows.
fn fill(bytes: &mut [u8], offset: u64) {
    for (at, byte) in (offset..).zip(bytes) {
        *byte = u8::try_from(at % 251).unwrap_or(0);
    }
}
