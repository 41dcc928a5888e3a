//! How ports and devices are taken and given back, also after a crash.

use mio::Poll;
use runners::PortId;
use teamr::datapath::DataPath;
use teamr::datapath::{device::DeviceOptions, port_state::PortStateFile, relay::Userspace};

use crate::lab::{FIRST, JournalPath, Namespace, SECOND, quiet_hosts, standing, tap, wait};

#[test]
fn ports_are_given_back_as_they_were_found() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, port_state) = standing(&host, &peer, "back", 2);
    let found = [host.interface("a0"), host.interface("a1")];
    assert_eq!(PortStateFile::open(&port_state.0).ports(), found);
    assert!(promiscuous(&host, "a0") && filtered(&host, "a0"));

    path.attach_port(FIRST, &found[0]).expect("it is already");
    assert!(path.attach_port(PortId(5), &found[0]).is_err());
    assert!(path.attach_port(FIRST, &found[1]).is_err());
    path.detach_port(FIRST).expect("detached");
    path.detach_port(FIRST).expect("it is already");
    assert!(!filtered(&host, "a0"));
    assert!(wait(|| !promiscuous(&host, "a0")));
    assert!(promiscuous(&host, "a1") && filtered(&host, "a1"));
    assert_eq!(
        PortStateFile::open(&port_state.0).ports(),
        [found[1].clone()]
    );

    // The place of the first port is free again.
    path.attach_port(PortId(5), &found[0]).expect("attached");
    for id in [PortId(5), SECOND] {
        path.detach_port(id).expect("detached");
    }
    assert!(!port_state.0.exists());
}

#[test]
fn a_port_that_cannot_be_taken_leaves_no_trace() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, port_state) = standing(&host, &peer, "trace", 0);
    let mut missing = host.interface("lo");
    missing.ifindex = 4711;
    assert!(path.attach_port(FIRST, &missing).is_err());
    assert!(!port_state.0.exists());
    assert_eq!(path.counters().tx_dropped, []);
    drop(path);

    // One token is for the team device, one for a single port.
    host.link_to("c0", &peer, "d0");
    host.link_to("c1", &peer, "d1");
    let poll = Poll::new().expect("a poll");
    let registry = poll.registry().try_clone().expect("a registry");
    let mut path = Userspace::create(
        registry,
        5..8,
        &tap("team%d"),
        PortStateFile::open(&port_state.0),
    )
    .expect("a team device");
    assert_eq!(path.name(), "team0");
    assert_eq!(path.ifindex(), host.interface("team0").ifindex);
    assert_eq!(path.hwaddr(), host.interface("team0").hwaddr);
    path.attach_port(FIRST, &host.interface("c0"))
        .expect("attached");
    assert!(path.attach_port(SECOND, &host.interface("c1")).is_err());
    assert!(!filtered(&host, "c1"));
    assert_eq!(PortStateFile::open(&port_state.0).ports().len(), 1);
}

/// What a daemon that was killed leaves behind, and what the next makes of it.
#[test]
fn the_next_daemon_finds_what_a_crash_left() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (path, port_state) = standing(&host, &peer, "crash", 1);
    let found = host.interface("a0");
    drop(path);
    assert!(vanishes(&host, "team0"));
    assert!(wait(|| !promiscuous(&host, "a0")));
    assert!(filtered(&host, "a0"));
    host.command("ip link set a0 address 02:00:00:00:00:77");

    let poll = Poll::new().expect("a poll");
    let registry = poll.registry().try_clone().expect("a registry");
    let leftovers = PortStateFile::open(&port_state.0);
    assert_eq!(leftovers.ports(), std::slice::from_ref(&found));
    let mut path = Userspace::create(registry, 0..10, &tap("team0"), leftovers).expect("created");
    path.attach_port(FIRST, &found).expect("attached");
    path.detach_port(FIRST).expect("detached");
    assert!(!filtered(&host, "a0") && !port_state.0.exists());
}

#[test]
fn a_device_is_taken_over_only_when_asked() {
    let Some(host) = Namespace::new() else { return };
    host.enter();
    let port_state = JournalPath::new("over");
    let poll = Poll::new().expect("a poll");
    let create = |persist, take_over| {
        let registry = poll.registry().try_clone().expect("a registry");
        let options = DeviceOptions {
            persist,
            take_over,
            ..tap("team0")
        };
        Userspace::create(
            registry,
            0..10,
            &options,
            PortStateFile::open(&port_state.0),
        )
    };
    let first = create(true, false).expect("created");
    let ifindex = first.ifindex();
    drop(first);
    host.command("ip addr add 10.0.0.1/24 dev team0");
    let error = create(true, false).expect_err("not asked to take it over");
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
    let second = create(false, true).expect("taken over");
    assert_eq!(second.ifindex(), ifindex);
    assert!(host.command("ip addr show team0").contains("10.0.0.1/24"));
    drop(second);
    assert!(
        host.attempt("ip link show team0").0,
        "was there before, so it stays"
    );

    host.command("ip link del team0");
    host.command("ip tuntap add name team0 mode tap");
    let error = create(false, false).expect_err("not asked to take it over");
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    let first = create(false, true).expect("taken over");
    assert!(create(false, true).is_err(), "the first still has it");
    drop(first);
    let again = || create(false, true).is_ok();
    assert!(wait(again), "nobody has it any more");

    host.command("ip link del team0");
    host.command("ip link add team0 type bridge");
    assert!(create(false, true).is_err(), "no device of a relay");
}

/// Whether an interface goes away. A closed descriptor may for a moment live on in a child
/// process that another test is starting.
fn vanishes(host: &Namespace, name: &str) -> bool {
    wait(|| !host.attempt(&format!("ip link show {name}")).0)
}

fn promiscuous(host: &Namespace, name: &str) -> bool {
    host.command(&format!("ip -d link show {name}"))
        .contains("promiscuity 1")
}

fn filtered(host: &Namespace, name: &str) -> bool {
    host.command(&format!("tc filter show dev {name} ingress"))
        .contains("bpf")
}
