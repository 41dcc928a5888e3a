//! A TCP connection that transfers a known pattern in both directions.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::stream::end_of_input;
use super::tool::{Tool, announce_ready};
use super::{End, Pace, usage};

/// Bytes of one write: enough for full segments of 64 KB.
const CHUNK: usize = 128 * 1024;
/// The pause between two writes at the full rate, so that a debug build on a busy machine keeps up
/// and its queues do not drop packets of a parallel stream.
const PAUSE: Duration = Duration::from_millis(20);

/// A running connection.
pub struct Transfer {
    client: Tool,
    server: Tool,
}

/// Byte counts of a connection that both sides closed in order, with every byte checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes written by the client.
    pub client_sent: u64,
    /// Bytes read by the server.
    pub server_received: u64,
    /// Bytes written by the server.
    pub server_sent: u64,
    /// Bytes read by the client.
    pub client_received: u64,
}

impl Transferred {
    /// Whether each direction carried data and all data arrived.
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
        Transfer::start_at(Pace::Full, from, to)
    }

    /// As [`start`](Transfer::start), at a given rate.
    pub fn start_at(pace: Pace, from: &End, to: &End) -> Transfer {
        let factor = pace.factor().to_string();
        let server =
            Tool::start(&to.host, &["serve".into(), to.address.to_string(), factor.clone()]);
        let client = Tool::start(
            &from.host,
            &["connect".into(), from.address.to_string(), to.address.to_string(), factor],
        );
        Transfer { client, server }
    }

    /// Waits for both sides to end and returns the byte counts.
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

/// `connect FROM TO FACTOR`: writes and checks until standard input ends, then closes.
pub fn run_client(args: &[String]) -> io::Result<()> {
    let [from, to, factor] = args else {
        return Err(usage("connect FROM TO FACTOR"));
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
    announce_ready();
    exchange(socket.into(), pause(factor)?, &end_of_input())
}

/// `serve AT FACTOR`: accepts one connection, writes and checks until the client closes its side.
pub fn run_server(args: &[String]) -> io::Result<()> {
    let [at, factor] = args else {
        return Err(usage("serve AT FACTOR"));
    };
    let at: SocketAddr = at.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind(at)?;
    announce_ready();
    let (socket, _) = listener.accept()?;
    exchange(socket, pause(factor)?, &Arc::new(AtomicBool::new(false)))
}

fn pause(factor: &str) -> io::Result<Duration> {
    Ok(PAUSE * factor.parse::<u32>().map_err(io::Error::other)?)
}

/// Writes the pattern until `stop` or the peer's end, and reads and checks meanwhile.
fn exchange(socket: TcpStream, pause: Duration, stop: &Arc<AtomicBool>) -> io::Result<()> {
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
    let pattern = pattern();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        socket.write_all(&pattern[phase(sent)..][..CHUNK])?;
        sent += u64::try_from(CHUNK).map_err(io::Error::other)?;
        thread::sleep(pause);
    }
    socket.shutdown(Shutdown::Write)?;
    let received = reader.join().map_err(|_| io::Error::other("the reader failed"))??;
    println!("{}", json!({"sent": sent, "received": received}));
    Ok(())
}

/// Reads to the end and returns the number of bytes; fails on a byte outside the pattern.
fn check(mut socket: TcpStream) -> io::Result<u64> {
    let pattern = pattern();
    let mut received = 0;
    let mut bytes = vec![0; CHUNK];
    loop {
        let length = socket.read(&mut bytes)?;
        if length == 0 {
            return Ok(received);
        }
        if bytes[..length] != pattern[phase(received)..][..length] {
            return Err(io::Error::other(format!("wrong bytes from offset {received} on")));
        }
        received += u64::try_from(length).map_err(io::Error::other)?;
    }
}

/// The pattern's period is prime, so that a lost, repeated or moved piece of any power of two is
/// detected.
const PERIOD: u8 = 251;

/// Returns bytes that contain a chunk of the pattern from each phase on.
fn pattern() -> Vec<u8> {
    (0..PERIOD).cycle().take(CHUNK + usize::from(PERIOD)).collect()
}

/// Returns the phase of the pattern at an offset of the stream.
fn phase(offset: u64) -> usize {
    usize::try_from(offset % u64::from(PERIOD)).unwrap_or(0)
}
