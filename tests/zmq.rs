//! The ZeroMQ socket with hostile clients. The test itself is the loop.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use mio::{Events, Poll, Token};
use serde_json::{Value, json};
use teamr::control::protocol::MAX_REQUEST;
use teamr::control::zmq::frame::{Role, Session, message};
use teamr::control::zmq::{Endpoint, ZmqServer};
use teamr::control::{Failure, ItemPath, TeamControl};

/// Returns a dump of a chosen size.
struct Fake {
    dump: String,
}

impl TeamControl for Fake {
    fn config_dump(&self) -> String {
        self.dump.clone()
    }
    fn config_dump_actual(&self) -> String {
        self.dump.clone()
    }
    fn port_config_dump(&self, _: &str) -> Result<String, Failure> {
        Err(Failure::NoSuchDev)
    }
    fn port_config_update(&mut self, _: &str, _: &str) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn port_add(&mut self, _: &str) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn port_remove(&mut self, _: &str) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn recording(&self) -> Value {
        json!({})
    }
    fn state(&self) -> Value {
        json!({})
    }
    fn set_state_item(&mut self, _: &ItemPath, _: &str) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }
}

struct House {
    poll: Poll,
    server: ZmqServer,
    team: Fake,
    path: PathBuf,
}

impl House {
    fn new(name: &str, dump: usize) -> Self {
        let path = std::env::temp_dir().join(format!("zmq-{name}-{}", std::process::id()));
        let poll = Poll::new().unwrap();
        let endpoint = Endpoint::Ipc(path.clone());
        let server = ZmqServer::bind(endpoint, poll.registry(), Token(0)).unwrap();
        let dump = "x".repeat(dump);
        let team = Fake { dump };
        House {
            poll,
            server,
            team,
            path,
        }
    }

    fn connect(&self) -> Client {
        let socket = UnixStream::connect(&self.path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut client = Client {
            socket,
            session: Session::new(usize::MAX),
        };
        client.send(&Session::opening(Role::Req));
        client
    }

    /// Runs the loop until no event is left.
    fn settle(&mut self) {
        let mut events = Events::with_capacity(64);
        loop {
            self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            if events.is_empty() {
                return;
            }
            for event in &events {
                self.server.ready(event.token(), &mut self.team);
            }
        }
    }
}

struct Client {
    socket: UnixStream,
    session: Session,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    fn ask(&mut self) {
        self.send(&message(&[], b"REQUEST\nConfigDump\n"));
    }

    /// Returns the length of the next reply; `None` without one, or after the end of the connection.
    fn receive(&mut self) -> Option<usize> {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(got @ 1..) = self.socket.read(&mut bytes) {
            self.session.take(&bytes[..got]);
        }
        Some(self.session.next_message().unwrap()?.body.len())
    }

    fn has_ended(&mut self) -> bool {
        let mut byte = [0];
        loop {
            match self.socket.read(&mut byte) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return e.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }
}

#[test]
fn requests_in_one_piece_are_answered_in_order() {
    let mut house = House::new("pieces", 10);
    let mut client = house.connect();
    let asked = [&b"REQUEST\nConfigDump\n"[..], b"REQUEST\nNope\n", b"?"];
    let bytes: Vec<u8> = asked.iter().flat_map(|body| message(&[], body)).collect();
    client.send(&bytes);
    house.settle();
    let success = "REPLY_SUCCESS\n".len() + 10;
    let unknown = "REPLY_ERROR\nUnknownMethod\nNo such method.\n".len();
    let invalid = "REPLY_ERROR\nInvalidArgs\nDid not receive correct message arguments.\n".len();
    let heard = [
        client.receive(),
        client.receive(),
        client.receive(),
        client.receive(),
    ];
    assert_eq!(heard, [Some(success), Some(unknown), Some(invalid), None]);
}

#[test]
fn a_client_that_does_not_read_delays_nobody_and_loses_nothing() {
    let mut house = House::new("deaf", 300_000);
    let (mut deaf, mut other) = (house.connect(), house.connect());
    for _ in 0..10 {
        deaf.ask();
    }
    house.settle();
    other.ask();
    let mut answers = 0;
    while answers < 1 {
        house.settle();
        answers += usize::from(other.receive().is_some());
    }
    let mut answers = 0;
    while answers < 10 {
        house.settle();
        answers += usize::from(deaf.receive().is_some());
    }
}

#[test]
fn a_connection_with_malformed_or_too_long_messages_is_closed() {
    let mut house = House::new("abuse", 10);
    let mut other = UnixStream::connect(&house.path).unwrap();
    other.write_all(&[b'G'; 100]).unwrap();
    other.set_nonblocking(true).unwrap();
    let mut long = house.connect();
    long.send(&message(&[], &vec![b'x'; MAX_REQUEST + 1])[..1000]);
    house.settle();
    assert!(long.has_ended());
    let session = Session::new(0);
    let mut other = Client {
        socket: other,
        session,
    };
    assert!(other.has_ended());
    let mut good = house.connect();
    good.ask();
    house.settle();
    assert!(good.receive().is_some());
}

#[test]
fn the_file_is_removed_with_the_server() {
    let house = House::new("file", 10);
    let path = house.path.clone();
    assert!(path.exists());
    drop(house);
    assert!(!path.exists());
}
