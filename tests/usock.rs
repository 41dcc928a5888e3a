//! The control socket with correct and hostile clients. The test itself is the loop: unix sockets
//! deliver at once, so polling without waiting until nothing happens shows every reaction.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};
use nix::sys::socket::{MsgFlags, recv, send};
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
use teamr::control::config_answer::ConfigAnswer;
use teamr::control::protocol::MAX_REQUEST;
use teamr::control::usock::MAX_CLIENTS;
use teamr::control::{Failure, ItemPath, TeamControl, UsockServer};

/// Returns replies of a chosen size and counts the calls.
struct Fake {
    dump: String,
    added: Vec<String>,
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
    fn port_add(&mut self, port: &str) -> Result<(), Failure> {
        self.added.push(port.to_owned());
        Ok(())
    }
    fn port_remove(&mut self, _: &str) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn port_drain(&mut self, _: &str, _: bool) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn port_undrain(&mut self, _: &str) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn state(&self) -> Value {
        json!({})
    }
    fn recording(&self) -> Value {
        json!({})
    }
    fn frame_ports(&self, frames: &[Vec<u8>]) -> Value {
        frames.iter().map(Vec::len).collect()
    }
    fn config_diff(&mut self, _: &str) -> ConfigAnswer {
        ConfigAnswer::default()
    }
    fn config_replace(&mut self, _: &str, _: Option<Duration>) -> ConfigAnswer {
        ConfigAnswer::default()
    }
    fn config_item_set(&mut self, _: &str, _: &str) -> ConfigAnswer {
        ConfigAnswer::default()
    }
    fn reread_directory(&mut self) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }
    fn reread_outcome(&self) -> String {
        "{}".to_owned()
    }
    fn clear_statistics(&mut self, _: Option<&str>) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }
    fn config_keep(&mut self, _: Option<&str>) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }
    fn set_state_item(&mut self, _: &ItemPath, _: &str) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }
}

struct House {
    poll: Poll,
    server: UsockServer,
    team: Fake,
    dir: PathBuf,
}

impl House {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("teamr-usock-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let poll = Poll::new().unwrap();
        let server = UsockServer::bind(&dir.join("t.sock"), &registry(&poll), Token(7)).unwrap();
        let team = Fake { dump: "{}".to_owned(), added: Vec::new() };
        House { poll, server, team, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("t.sock")
    }

    fn connect(&mut self) -> Peer {
        let peer = Peer::connect(&self.path()).unwrap();
        self.settle();
        peer
    }

    /// Runs the loop until no event is left; returns the number of turns.
    fn settle(&mut self) -> usize {
        let mut events = Events::with_capacity(64);
        for turns in 0..10_000 {
            self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            if events.is_empty() {
                return turns;
            }
            for event in &events {
                self.server.ready(event.token(), &mut self.team);
            }
        }
        panic!("the server never becomes idle");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

struct Peer(Socket);

impl Peer {
    fn connect(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        socket.set_nonblocking(true)?;
        Ok(Peer(socket))
    }

    fn send(&self, packet: &[u8]) -> nix::Result<usize> {
        send(self.0.as_raw_fd(), packet, MsgFlags::MSG_NOSIGNAL)
    }

    fn recv(&self) -> nix::Result<Vec<u8>> {
        let mut buffer = vec![0; 8 << 20];
        let got = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        buffer.truncate(got);
        Ok(buffer)
    }
}

const DUMP: &[u8] = b"REQUEST\nConfigDump\n";

#[test]
fn the_socket_has_its_mode_and_listens_when_it_appears() {
    let house = House::new("mode");
    let meta = fs::metadata(house.path()).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o700);
    let names = fs::read_dir(&house.dir).unwrap().count();
    assert_eq!(names, 1, "nothing but the socket is left in the directory");
}

#[test]
fn a_stale_file_is_replaced_and_the_own_file_removed() {
    let house = House::new("stale");
    let path = house.dir.join("other.sock");
    fs::write(&path, "left behind").unwrap();
    let server = UsockServer::bind(&path, &registry(&house.poll), Token(1000)).unwrap();
    assert!(Peer::connect(&path).is_ok());
    drop(server);
    assert!(!path.exists());
    fs::create_dir(&path).unwrap();
    assert!(UsockServer::bind(&path, &registry(&house.poll), Token(1000)).is_err());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut house = House::new("order");
    let peer = house.connect();
    peer.send(DUMP).unwrap();
    peer.send(b"garbage").unwrap();
    peer.send(b"REQUEST\nNone\n").unwrap();
    peer.send(b"REQUEST\nPortAdd\np0\n").unwrap();
    house.settle();
    assert_eq!(peer.recv().unwrap(), b"REPLY_SUCCESS\n{}");
    assert_eq!(peer.recv().unwrap(), b"REPLY_ERROR\nUnknownMethod\nNo such method.\n");
    assert_eq!(peer.recv().unwrap(), b"REPLY_SUCCESS\n");
    assert_eq!(house.team.added, ["p0"]);
}

#[test]
fn an_empty_packet_ends_the_connection() {
    let mut house = House::new("empty");
    let peer = house.connect();
    peer.send(b"").unwrap();
    house.settle();
    assert_eq!(peer.recv(), Ok(vec![]));
}

#[test]
fn each_client_has_one_request_served_in_a_turn() {
    let mut house = House::new("share");
    let (greedy, modest) = (house.connect(), house.connect());
    for _ in 0..20 {
        greedy.send(DUMP).unwrap();
    }
    modest.send(DUMP).unwrap();
    let mut events = Events::with_capacity(64);
    house.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    for event in &events {
        house.server.ready(event.token(), &mut house.team);
    }
    assert!(modest.recv().is_ok());
    assert!(greedy.recv().is_ok());
    assert!(greedy.recv().is_err(), "a second request in the same turn");
    assert!(house.settle() >= 19);
}

#[test]
fn a_client_that_does_not_read_delays_nobody_and_loses_nothing() {
    let mut house = House::new("deaf");
    house.team.dump = "x".repeat(50_000);
    let (deaf, other) = (house.connect(), house.connect());
    let mut sent = 0;
    for _ in 0..1000 {
        match deaf.send(DUMP) {
            Ok(_) => sent += 1,
            Err(nix::errno::Errno::EAGAIN) => break,
            Err(e) => panic!("{e}"),
        }
        house.settle();
    }
    assert!(sent > 10, "only {sent} requests went out");
    other.send(DUMP).unwrap();
    house.settle();
    assert_eq!(other.recv().unwrap().len(), 50_014);
    let mut received = 0;
    while let Ok(reply) = deaf.recv() {
        assert_eq!(reply.len(), 50_014);
        received += 1;
        house.settle();
    }
    assert_eq!(received, sent);
}

#[test]
fn large_replies_go_through() {
    let mut house = House::new("large");
    house.team.dump = "y".repeat(900_000);
    let peer = house.connect();
    for _ in 0..3 {
        peer.send(DUMP).unwrap();
    }
    for _ in 0..3 {
        house.settle();
        let reply = peer.recv().unwrap();
        // Without CAP_NET_ADMIN wmem_max limits the buffer, and the client gets an error.
        if nix::unistd::geteuid().is_root() {
            assert_eq!(reply.len(), 900_014);
        } else {
            assert!(reply.len() == 900_014 || reply.starts_with(b"REPLY_ERROR\nReplyTooLong\n"));
        }
    }
}

#[test]
fn a_request_beyond_the_limit_is_refused_and_the_next_one_served() {
    let mut house = House::new("long");
    let peer = house.connect();
    if nix::sys::socket::setsockopt(
        &peer.0,
        nix::sys::socket::sockopt::SndBufForce,
        &(4 * MAX_REQUEST),
    )
    .is_err()
    {
        eprintln!("skipped: a packet beyond the limit needs CAP_NET_ADMIN to send");
        return;
    }
    let mut request = b"REQUEST\nPortAdd\n".to_vec();
    request.resize(MAX_REQUEST + 1, b'p');
    peer.send(&request).unwrap();
    peer.send(DUMP).unwrap();
    house.settle();
    let reply = String::from_utf8(peer.recv().unwrap()).unwrap();
    let text = format!("Request is too long (the limit is {MAX_REQUEST} bytes).");
    assert_eq!(reply, format!("REPLY_ERROR\nRequestTooLong\n{text}\n"));
    assert_eq!(peer.recv().unwrap(), b"REPLY_SUCCESS\n{}");
    assert!(house.team.added.is_empty());
}

#[test]
fn clients_that_close_with_waiting_replies_leave_no_trace() {
    let mut house = House::new("vanish");
    house.team.dump = "z".repeat(100_000);
    for _ in 0..3 * MAX_CLIENTS {
        let peer = house.connect();
        for _ in 0..5 {
            peer.send(DUMP).unwrap();
        }
        house.settle();
        drop(peer);
        house.settle();
    }
    let peer = house.connect();
    peer.send(DUMP).unwrap();
    house.settle();
    assert_eq!(peer.recv().unwrap().len(), 100_014);
}

#[test]
fn the_client_idle_longest_is_closed_for_a_new_one() {
    let mut house = House::new("crowd");
    let mut peers: Vec<Peer> = (0..MAX_CLIENTS).map(|_| house.connect()).collect();
    peers[0].send(DUMP).unwrap();
    house.settle();
    peers.push(house.connect());
    assert_eq!(peers[1].recv(), Ok(vec![]), "the second was idle longest");
    for index in [0, 2, MAX_CLIENTS] {
        peers[index].send(DUMP).unwrap();
        house.settle();
        assert_eq!(peers[index].recv().unwrap(), b"REPLY_SUCCESS\n{}");
    }
}

#[test]
fn dropping_the_server_ends_its_clients() {
    let mut house = House::new("drop");
    let path = house.dir.join("second.sock");
    let peer = house.connect();
    let second = UsockServer::bind(&path, &registry(&house.poll), Token(1000)).unwrap();
    house.server = second;
    assert_eq!(peer.recv(), Ok(vec![]));
    assert!(!house.path().exists());
}

fn registry(poll: &Poll) -> Rc<Registry> {
    Rc::new(poll.registry().try_clone().expect("a registry"))
}
