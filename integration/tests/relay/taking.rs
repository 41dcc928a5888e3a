//! Taking ports and devices and giving them back, also after a crash.

use std::collections::BTreeMap;
use std::rc::Rc;

use integration::{Namespace, comes_true};
use mio::Poll;
use runners::PortId;
use teamr::datapath::DataPath;
use teamr::datapath::{
    device::DeviceOptions, driverless::DriverlessTeam, port_state::PortStateFile,
};

use crate::lab::{
    FIRST, PortStatePath, SECOND, connect, counters, enter, interface, quiet_hosts, shared,
    standing, tap,
};

#[test]
fn ports_are_given_back_as_they_were_found() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, port_state) = standing(&lab, &host, &peer, "back", 2);
    let found = [interface(&host, "a0"), interface(&host, "a1")];
    assert_eq!(PortStateFile::open(&port_state.0).ports(), found);
    assert!(promiscuous(&host, "a0") && filtered(&host, "a0"));

    path.attach(FIRST, &found[0]).expect("it is already");
    assert!(path.attach(PortId(5), &found[0]).is_err());
    assert!(path.attach(FIRST, &found[1]).is_err());
    path.detach(FIRST).expect("detached");
    path.detach(FIRST).expect("it is already");
    assert!(!filtered(&host, "a0"));
    assert!(comes_true(|| !promiscuous(&host, "a0")));
    assert!(promiscuous(&host, "a1") && filtered(&host, "a1"));
    assert_eq!(PortStateFile::open(&port_state.0).ports(), [found[1].clone()]);

    // The token of the first port is free again.
    path.attach(PortId(5), &found[0]).expect("attached");
    for id in [PortId(5), SECOND] {
        path.detach(id).expect("detached");
    }
    assert!(!port_state.0.exists());
}

#[test]
fn a_port_that_cannot_be_taken_stays_as_it_was() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, port_state) = standing(&lab, &host, &peer, "trace", 0);
    let mut missing = interface(&host, "lo");
    missing.ifindex = 4711;
    assert!(path.attach(FIRST, &missing).is_err());
    assert!(!port_state.0.exists());
    assert_eq!(counters(&path).tx_dropped, []);
    drop(path);
    host.run("ip link del team0");

    // One token is for the team device, one for a single port.
    connect(&lab, (&host, "c0"), (&peer, "d0"));
    connect(&lab, (&host, "c1"), (&peer, "d1"));
    let poll = Poll::new().expect("a poll");
    let registry = Rc::new(poll.registry().try_clone().expect("a registry"));
    let programs = shared(&registry);
    let mut path = DriverlessTeam::with_relay(
        registry,
        5..7,
        &tap("team%d"),
        PortStateFile::open(&port_state.0),
        programs,
        &mut BTreeMap::new(),
    )
    .expect("a team device");
    assert_eq!(path.ifindex(), interface(&host, "team0").ifindex);
    path.attach(FIRST, &interface(&host, "c0")).expect("attached");
    assert!(path.attach(SECOND, &interface(&host, "c1")).is_err());
    assert!(!filtered(&host, "c1"));
    assert_eq!(PortStateFile::open(&port_state.0).ports().len(), 1);
}

/// What a daemon that was killed leaves behind, and what the next makes of it.
#[test]
fn the_next_daemon_finds_what_a_crash_left() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (path, port_state) = standing(&lab, &host, &peer, "crash", 1);
    let found = interface(&host, "a0");
    let ifindex = path.ifindex();
    drop(path);
    assert!(comes_true(|| !promiscuous(&host, "a0")));
    assert!(filtered(&host, "a0"));
    host.run("ip link set a0 address 02:00:00:00:00:77");

    let poll = Poll::new().expect("a poll");
    let registry = Rc::new(poll.registry().try_clone().expect("a registry"));
    let leftovers = PortStateFile::open(&port_state.0);
    assert_eq!(leftovers.ports(), std::slice::from_ref(&found));
    let options = DeviceOptions { take_over: true, ..tap("team0") };
    let shared = shared(&registry);
    let kept = &mut BTreeMap::new();
    let mut path = DriverlessTeam::with_relay(registry, 0..10, &options, leftovers, shared, kept)
        .expect("taken over");
    assert_eq!(path.ifindex(), ifindex);
    path.attach(FIRST, &found).expect("attached");
    path.detach(FIRST).expect("detached");
    assert!(!filtered(&host, "a0") && !port_state.0.exists());
}

#[test]
fn a_device_is_taken_over_only_when_asked() {
    let Some((_lab, host, _)) = quiet_hosts() else {
        return;
    };
    enter(&host);
    let port_state = PortStatePath::new("over");
    let poll = Poll::new().expect("a poll");
    let create = |persist, take_over| {
        let registry = Rc::new(poll.registry().try_clone().expect("a registry"));
        let options = DeviceOptions { persist, take_over, ..tap("team0") };
        DriverlessTeam::with_relay(
            Rc::clone(&registry),
            0..10,
            &options,
            PortStateFile::open(&port_state.0),
            shared(&registry),
            &mut BTreeMap::new(),
        )
    };
    let first = create(true, false).expect("created");
    let ifindex = first.ifindex();
    drop(first);
    host.run("ip addr add 10.0.0.1/24 dev team0");
    let error = create(true, false).expect_err("not asked to take it over");
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
    let second = create(false, true).expect("taken over");
    assert_eq!(second.ifindex(), ifindex);
    assert!(host.run("ip addr show team0").contains("10.0.0.1/24"));
    drop(second);
    assert!(host.has_interface("team0"), "was there before, so it stays");

    host.run("ip link del team0");
    host.run("ip tuntap add name team0 mode tap");
    let error = create(false, false).expect_err("not asked to take it over");
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    let first = create(false, true).expect("taken over");
    assert!(create(false, true).is_err(), "the first still has it");
    drop(first);
    let again = || create(false, true).is_ok();
    assert!(comes_true(again), "nobody has it any more");

    host.run("ip link del team0");
    host.run("ip link add team0 type bridge");
    assert!(create(false, true).is_err(), "no device of a relay");
}

fn promiscuous(host: &Namespace, name: &str) -> bool {
    host.run(&format!("ip -d link show {name}")).contains("promiscuity 1")
}

fn filtered(host: &Namespace, name: &str) -> bool {
    host.run(&format!("tc filter show dev {name} ingress")).contains("bpf")
}
