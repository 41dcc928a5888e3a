//! Relay and programs on one device: after a switch, and after a switch that fails, exactly one of
//! them moves the frames.

use std::io;
use std::rc::Rc;

use integration::{Namespace, wait_until};
use mio::Poll;
use runners::Instant;
use teamr::datapath::driverless::DriverlessTeam;
use teamr::datapath::port_state::PortStateFile;
use teamr::datapath::{Change, DataPath, DataPathKind};

use crate::frames::{frame, receive, receive_one, socket};
use crate::lab::{
    FIRST, PortStatePath, SECOND, active, connect, enter, forward, forwarding, interface, poll,
    quiet_hosts, shared, tap,
};

const TOKENS: usize = 10;

fn switch(path: &mut DriverlessTeam, kind: DataPathKind) -> io::Result<()> {
    path.apply(Instant::ZERO, Change::SwitchTo(kind))
}

/// Sets a veth up, and the peer that is its carrier.
fn start(host: &Namespace) {
    let peer = host.link("team0")["link"].clone();
    host.up(peer.as_str().expect("the name of the peer"));
    host.up("team0");
    // Until then the kernel drops what the device sends.
    wait_until("the device to be up", || host.link("team0")["operstate"] == "UP");
}

/// Sends a frame each way, and asserts that each arrives once.
fn assert_one_backend(path: &mut DriverlessTeam, host: &Namespace, peer: &Namespace) {
    let (far, near) = (socket(peer, "b0"), socket(host, "team0"));
    for (from, to) in [(&far, &near), (&near, &far)] {
        from.send(&frame(0x88b5, 100)).expect("sent");
        for token in 0..TOKENS {
            poll(path, token, 10).expect("polled");
        }
        assert_eq!(receive_one(to).0, frame(0x88b5, 100));
        assert_eq!(receive(to), None, "the frame came twice");
    }
}

#[test]
fn one_backend_alone_moves_the_frames_after_every_switch() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    enter(&host);
    for number in 0..2 {
        let (near, far) = (format!("a{number}"), format!("b{number}"));
        connect(&lab, (&host, &near), (&peer, &far));
    }
    let port_state = PortStatePath::new("switching");
    let poll = Poll::new().expect("a poll");
    let registry = Rc::new(poll.registry().try_clone().expect("a registry"));
    let file = PortStateFile::open(&port_state.0);
    let shared = shared(&registry);
    let opened = DriverlessTeam::with_programs(registry, 0..TOKENS, &tap("team0"), file, shared);
    let mut path = match opened {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return integration::skip("cannot load a program");
        }
        opened => opened.expect("a team device"),
    };
    for (port, name) in [(FIRST, "a0"), (SECOND, "a1")] {
        path.attach(port, &interface(&host, name)).expect("a port");
    }
    forward(&mut path, &forwarding(active(FIRST), &[FIRST, SECOND]));
    start(&host);
    assert_one_backend(&mut path, &host, &peer);
    for kind in [DataPathKind::Relay, DataPathKind::Programs] {
        switch(&mut path, kind).expect("switched");
        assert_one_backend(&mut path, &host, &peer);
    }
    for (kind, other) in [
        (DataPathKind::Programs, DataPathKind::Relay),
        (DataPathKind::Relay, DataPathKind::Programs),
    ] {
        switch(&mut path, kind).expect("switched");
        // Neither backend can begin on a port that has gone.
        host.run("ip link del a1");
        let error = switch(&mut path, other).expect_err("no such port");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(path.capabilities().kind, kind);
        assert_one_backend(&mut path, &host, &peer);
        path.detach(SECOND).expect("detached");
        connect(&lab, (&host, "a1"), (&peer, "b1"));
        path.attach(SECOND, &interface(&host, "a1")).expect("a port");
    }
}
