//! The userspace data path against the kernel, in network namespaces of its own.
//!
//! Needs root and `ip`; without the right to make a namespace every test says so and passes.

mod lab;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use lab::{JournalPath, Namespace, Team, forwarding, tap, wait};
use mio::{Poll, Token};
use runners::{BUCKETS, ControlFrames, HashFields, HwAddr, PortId, TxPolicy};
use teamr::datapath::control_socket::ControlSocket;
use teamr::datapath::userspace::{DeviceOptions, Journal, Userspace};
use teamr::datapath::{DataPath, Drained};
use teamr::sys::packet::{Options, PacketSocket, VlanTag};

const FIRST: PortId = PortId(0);
const SECOND: PortId = PortId(1);

fn active(port: PortId) -> TxPolicy {
    TxPolicy::ActiveBackup { active: Some(port) }
}

/// The host of the team and its neighbour.
fn hosts() -> Option<(Namespace, Namespace)> {
    Some((Namespace::new()?, Namespace::new()?))
}

/// The same without a frame that the test did not send.
fn quiet_hosts() -> Option<(Namespace, Namespace)> {
    let (host, peer) = hosts()?;
    host.quiet();
    peer.quiet();
    Some((host, peer))
}

fn socket(namespace: &Namespace, interface: &str) -> PacketSocket {
    let ifindex = namespace.interface(interface).ifindex;
    let options = Options {
        mark: 0,
        receive_buffer: 1 << 20,
        send_buffer: 1 << 20,
    };
    namespace.inside(|| PacketSocket::open(ifindex, options).expect("a socket"))
}

/// A message as a socket hands it out: header and frame, and the tag beside it.
type Heard = (Vec<u8>, Option<VlanTag>);

fn hear(socket: &PacketSocket) -> Option<Heard> {
    let (mut head, mut tail) = ([0; 22], vec![0; 70000]);
    let received = socket.receive(&mut head, &mut tail).ok()?;
    let mut message = head.to_vec();
    message.extend_from_slice(&tail[..received.length.saturating_sub(head.len())]);
    message.truncate(received.length);
    Some((message, received.tag))
}

/// The next message, waited for.
#[track_caller]
fn hear_one(socket: &PacketSocket) -> Heard {
    let mut heard = None;
    let happened = wait(|| {
        heard = hear(socket);
        heard.is_some()
    });
    assert!(happened, "nothing arrived");
    heard.expect("just heard")
}

/// A broadcast frame without offloads: header, addresses, EtherType and `length` bytes.
fn frame(ether_type: u16, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    bytes.extend([0xff; 6]);
    bytes.extend([2, 0, 0, 0, 0, 1]);
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend((0..length).map(|place| place as u8));
    bytes
}

#[test]
fn both_families_and_all_sizes_get_through() {
    let Some((host, peer)) = hosts() else { return };
    host.link_to("a0", &peer, "b0");
    let _team = Team::start(&host, "sizes", &["a0"], active(FIRST));
    host.command("ip addr add 10.0.0.1/24 dev team0");
    host.command("ip addr add fd00::1/64 dev team0 nodad");
    peer.command("ip addr add 10.0.0.2/24 dev b0");
    peer.command("ip addr add fd00::2/64 dev b0 nodad");
    for (from, to) in [(&host, 2), (&peer, 1)] {
        for size in [0, 1, 56, 1472, 1473, 30000, 65000] {
            for address in [format!("10.0.0.{to}"), format!("fd00::{to}")] {
                let out = from.command(&format!("ping -c 3 -i 0.01 -W 5 -s {size} {address}"));
                assert!(out.contains(" 3 received, 0% packet loss"), "{out}");
                assert!(!out.contains("DUP"), "{out}");
            }
        }
    }
}

#[test]
fn jumbo_frames_pass_unfragmented() {
    let Some((host, peer)) = hosts() else { return };
    host.link_to("a0", &peer, "b0");
    let _team = Team::start(&host, "jumbo", &["a0"], active(FIRST));
    for name in ["a0", "team0"] {
        host.command(&format!("ip link set {name} mtu 9000"));
    }
    peer.command("ip link set b0 mtu 9000");
    host.command("ip addr add 10.0.0.1/24 dev team0");
    peer.command("ip addr add 10.0.0.2/24 dev b0");
    for (from, to) in [(&host, "10.0.0.2"), (&peer, "10.0.0.1")] {
        let out = from.command(&format!("ping -M do -c 3 -i 0.01 -W 5 -s 8972 {to}"));
        assert!(out.contains(" 3 received"), "{out}");
    }
}

/// Every byte of a stream arrives, in segments far above the MTU.
#[test]
fn tcp_segments_pass_whole_both_ways() {
    const BYTES: usize = 64 << 20;
    let Some((host, peer)) = hosts() else { return };
    host.link_to("a0", &peer, "b0");
    let team = Team::start(&host, "tcp", &["a0"], active(FIRST));
    host.command("ip addr add 10.0.0.1/24 dev team0");
    peer.command("ip addr add 10.0.0.2/24 dev b0");
    const PERIOD: usize = 65521;
    // As many periods as a read of any length at any place needs.
    let pattern: Vec<u8> = (0..3 * PERIOD)
        .map(|at| (at % PERIOD * 7 % 251) as u8)
        .collect();
    for (sender, receiver, address, counter) in [
        (&host, &peer, "10.0.0.2:5000", "tx"),
        (&peer, &host, "10.0.0.1:5000", "rx"),
    ] {
        let listener = receiver.inside(|| TcpListener::bind(address).expect("bound"));
        let before = packets(&host, counter);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = sender.inside(|| TcpStream::connect(address).expect("connected"));
                let mut left = BYTES;
                while left > 0 {
                    let part = left.min(PERIOD);
                    stream.write_all(&pattern[..part]).expect("sent");
                    left -= part;
                }
            });
            let (mut stream, _) = listener.accept().expect("accepted");
            let mut received = 0;
            let mut part = vec![0; 1 << 16];
            loop {
                let length = stream.read(&mut part).expect("received");
                if length == 0 {
                    break;
                }
                let expected = &pattern[received % PERIOD..][..length];
                assert!(part[..length] == *expected, "after {received} bytes");
                received += length;
            }
            assert_eq!(received, BYTES);
        });
        let mean = BYTES as u64 / (packets(&host, counter) - before);
        assert!(mean > 8 * 1500, "{counter}: {mean} bytes a frame");
    }
    assert_eq!(team.with(|path| path.counters().rx_dropped), 0);
}

/// Packets that the team device has counted in one direction.
fn packets(host: &Namespace, direction: &str) -> u64 {
    let out = host.command("ip -s -j link show team0");
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    json[0]["stats64"][direction]["packets"]
        .as_u64()
        .unwrap_or_else(|| panic!("{out}"))
}

/// What a packet socket on the far end of a plain veth pair hears is what it hears behind the
/// team: tags, unfinished checksums and segments included.
#[test]
fn tags_and_offloads_arrive_as_over_a_plain_link() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    host.link_to("a0", &peer, "b0");
    host.link_to("plain0", &peer, "plain1");
    let team = Team::start(&host, "tags", &["a0"], active(FIRST));
    let over_team = (socket(&host, "team0"), socket(&peer, "b0"));
    let over_plain = (socket(&host, "plain0"), socket(&peer, "plain1"));

    let stacks: [&[u16]; 4] = [&[], &[0x8100], &[0x88a8], &[0x88a8, 0x8100]];
    for tags in stacks {
        for (flags, segmentation, payload) in
            [(0, 0, 400), (1, 0, 400), (1, 1, 30000), (1, 1, 65000)]
        {
            let message = tcp_message(tags, flags, segmentation, payload);
            let name = format!("{tags:x?} {flags} {segmentation} {payload}");
            for outwards in [true, false] {
                let [team_heard, plain_heard] = [&over_team, &over_plain].map(|(host, peer)| {
                    let (from, to) = if outwards { (host, peer) } else { (peer, host) };
                    from.send(&message)
                        .unwrap_or_else(|error| panic!("{name}: {error}"));
                    hear_one(to)
                });
                assert_eq!(
                    team_heard.1.map(|tag| tag.tpid),
                    tags.first().copied(),
                    "{name}"
                );
                assert!(team_heard == plain_heard, "{name}, outwards: {outwards}");
            }
        }
    }
    assert_eq!(team.with(|path| path.counters().rx_dropped), 0);
}

/// A TCP segment to 10.0.0.9, with offloads in its header as asked for.
fn tcp_message(tags: &[u16], flags: u8, segmentation: u8, payload: usize) -> Vec<u8> {
    let network = 14 + 4 * tags.len();
    let mut bytes = vec![flags, segmentation];
    if segmentation != 0 {
        bytes.extend((network as u16 + 40).to_ne_bytes()); // hdr_len
        bytes.extend(1448_u16.to_ne_bytes()); // gso_size
    } else {
        bytes.extend([0; 4]);
    }
    if flags != 0 {
        bytes.extend((network as u16 + 20).to_ne_bytes()); // csum_start
        bytes.extend(16_u16.to_ne_bytes()); // csum_offset
    } else {
        bytes.extend([0; 4]);
    }
    bytes.extend([0xff; 6]);
    bytes.extend([2, 0, 0, 0, 0, 1]);
    for (place, tpid) in tags.iter().enumerate() {
        bytes.extend(tpid.to_be_bytes());
        bytes.extend((0x6064 + place as u16).to_be_bytes());
    }
    bytes.extend([0x08, 0x00]);
    let length = (40 + payload) as u16;
    bytes.extend([0x45, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 8, 10, 0, 0, 9]);
    bytes.extend([
        0x10, 0, 0x20, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ]);
    bytes.extend((0..payload).map(|place| place as u8));
    bytes
}

#[test]
fn the_host_neither_hears_nor_speaks_on_a_port() {
    let Some((host, peer)) = hosts() else { return };
    host.link_to("a0", &peer, "b0");
    host.command("ip addr add 10.0.1.1/32 dev a0");
    host.command("ip addr add fd01::1/64 dev a0 nodad");
    let _team = Team::start(&host, "silent", &["a0"], active(FIRST));
    host.command("ip addr add 10.0.0.1/24 dev team0");
    peer.command("ip addr add 10.0.0.2/24 dev b0");
    peer.command("ip route add 10.0.1.1 dev b0 src 10.0.0.2");
    peer.command("ip addr add fd01::2/64 dev b0 nodad");
    // The weak host model answers for the port's address, but once, and through the team.
    let out = peer.command("ping -c 5 -i 0.01 -W 5 10.0.1.1");
    assert!(out.contains(" 5 received") && !out.contains("DUP"), "{out}");
    let neighbours = peer.command("ip neigh show 10.0.1.1");
    let team = host.interface("team0").hwaddr.to_string();
    assert!(neighbours.contains(&team), "{neighbours}");
    let (answered, out) = host.attempt("ping -c 1 -W 1 fd01::2");
    assert!(!answered, "{out}");
}

#[test]
fn a_port_that_does_not_collect_is_deaf_but_for_the_daemon() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "deaf", 2);
    start(&host);
    let (far, near) = (socket(&peer, "b1"), socket(&host, "team0"));
    let ids = [FIRST, SECOND];
    path.apply_forwarding(&forwarding(active(FIRST), &ids))
        .expect("applied");

    far.send(&frame(0x88b5, 100)).expect("sent");
    far.send(&frame(0x8809, 110)).expect("sent");
    let drained = path.drain_ready(Token(2), 10).expect("drained");
    assert_eq!(drained, Drained::Dry);
    assert_eq!(path.counters().rx_inactive, 1);

    path.apply_forwarding(&forwarding(active(SECOND), &ids))
        .expect("applied");
    far.send(&frame(0x8809, 110)).expect("sent");
    far.send(&frame(0x88b5, 100)).expect("sent");
    path.drain_ready(Token(2), 10).expect("drained");
    assert_eq!(hear_one(&near).0, frame(0x88b5, 100));
    assert_eq!(hear(&near), None);
    assert_eq!(path.counters().rx_inactive, 1);
}

/// A data path over ports a0, a1, … that stands still until it is drained. This thread moves
/// into `host`.
fn standing(
    host: &Namespace,
    peer: &Namespace,
    test: &str,
    ports: u32,
) -> (Userspace, JournalPath) {
    host.enter();
    let journal = JournalPath::new(test);
    let registry = Poll::new()
        .and_then(|poll| poll.registry().try_clone())
        .expect("a registry");
    let mut path = Userspace::create(registry, 0..10, &tap("team0"), Journal::open(&journal.0))
        .expect("a team device");
    for number in 0..ports {
        let name = format!("a{number}");
        host.link_to(&name, peer, &format!("b{number}"));
        path.attach_port(PortId(number), &host.interface(&name))
            .expect("a port");
    }
    (path, journal)
}

/// Sets team0 up with a carrier. The carrier comes first: that of a device which is up takes
/// the kernel a while to believe.
fn start(host: &Namespace) {
    host.command("ip link set team0 carrier on");
    host.command("ip link set team0 up");
}

#[test]
fn a_budget_that_ends_early_says_so() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "budget", 1);
    start(&host);
    let (far, near) = (socket(&peer, "b0"), socket(&host, "team0"));
    path.apply_forwarding(&forwarding(active(FIRST), &[FIRST]))
        .expect("applied");
    for (token, from, to) in [(Token(0), &near, &far), (Token(1), &far, &near)] {
        for length in 100..110 {
            from.send(&frame(0x88b5, length)).expect("sent");
        }
        for expected in [Drained::More, Drained::More, Drained::Dry] {
            assert_eq!(path.drain_ready(token, 4).expect("drained"), expected);
        }
        for length in 100..110 {
            assert_eq!(hear_one(to).0, frame(0x88b5, length));
        }
        assert_eq!(hear(to), None);
    }
    for stale in [Token(2), Token(9), Token(10), Token(usize::MAX)] {
        assert_eq!(path.drain_ready(stale, 4).expect("ignored"), Drained::Dry);
    }
}

/// A flooded frame arrives on both ports. If only one of the copies has been looked at when the
/// active port changes, it must neither come twice nor be lost.
#[test]
fn frames_under_way_at_a_failover_arrive_once() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "failover", 2);
    start(&host);
    let near = socket(&host, "team0");
    let ports = [FIRST, SECOND];
    for looked_at in [Token(1), Token(2)] {
        path.apply_forwarding(&forwarding(active(FIRST), &ports))
            .expect("applied");
        for far in ["b0", "b1"] {
            socket(&peer, far).send(&frame(0x88b5, 100)).expect("sent");
        }
        path.drain_ready(looked_at, 10).expect("drained");
        path.apply_forwarding(&forwarding(active(SECOND), &ports))
            .expect("applied");
        for token in [Token(1), Token(2)] {
            path.drain_ready(token, 10).expect("drained");
        }
        assert_eq!(hear_one(&near).0, frame(0x88b5, 100), "{looked_at:?}");
        assert_eq!(hear(&near), None, "{looked_at:?}");
    }
}

#[test]
fn a_port_may_go_down_come_back_and_vanish() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "down", 1);
    start(&host);
    let (far, near) = (socket(&peer, "b0"), socket(&host, "team0"));
    path.apply_forwarding(&forwarding(active(FIRST), &[FIRST]))
        .expect("applied");
    let drain = |path: &mut Userspace, token| path.drain_ready(Token(token), 10).expect("drained");

    host.command("ip link set a0 down");
    near.send(&frame(0x88b5, 100)).expect("sent");
    assert_eq!(drain(&mut path, 0), Drained::Dry);
    assert_eq!(path.counters().tx_dropped, [(FIRST, 1)]);
    assert_eq!(drain(&mut path, 1), Drained::Dry);
    host.command("ip link set a0 up");
    // Nobody has read the error of the first time down, nor that of the second.
    host.command("ip link set a0 down");
    host.command("ip link set a0 up");
    // The kernel takes a while to believe in a carrier that came back; what is sent until
    // then is lost without a word.
    for (token, from, to) in [(0, &near, &far), (1, &far, &near)] {
        let arrived = wait(|| {
            from.send(&frame(0x88b5, 120)).expect("sent");
            drain(&mut path, token);
            hear(to).is_some_and(|heard| heard.0 == frame(0x88b5, 120))
        });
        assert!(arrived, "token {token}");
    }
    assert_eq!(path.counters().tx_dropped, [(FIRST, 1)]);
    assert_eq!(path.counters().rx_dropped, 0);

    host.command("ip link del a0");
    near.send(&frame(0x88b5, 100)).expect("sent");
    assert_eq!(drain(&mut path, 0), Drained::Dry);
    assert_eq!(drain(&mut path, 1), Drained::Dry);
    assert_eq!(path.counters().tx_dropped, [(FIRST, 2)]);
    path.detach_port(FIRST).expect("nothing to give back");
    near.send(&frame(0x88b5, 100)).expect("sent");
    drain(&mut path, 0);
    assert_eq!(path.counters().tx_dropped, []);
}

#[test]
fn a_team_device_that_is_down_or_gone() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "gone", 1);
    let far = socket(&peer, "b0");
    path.apply_forwarding(&forwarding(active(FIRST), &[FIRST]))
        .expect("applied");
    far.send(&frame(0x88b5, 100)).expect("sent");
    for token in [0, 1] {
        let drained = path.drain_ready(Token(token), 10);
        assert_eq!(drained.expect("no error"), Drained::Dry);
    }
    assert_eq!(path.counters().rx_dropped, 1);
    host.command("ip link del team0");
    assert!(path.drain_ready(Token(0), 10).is_err());
}

#[test]
fn a_full_queue_drops_and_counts() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "full", 1);
    start(&host);
    host.command("tc qdisc add dev a0 root tbf rate 8kbit burst 2000 limit 3000");
    let near = socket(&host, "team0");
    path.apply_forwarding(&forwarding(active(FIRST), &[FIRST]))
        .expect("applied");
    for _ in 0..20 {
        near.send(&frame(0x88b5, 986)).expect("sent");
    }
    let drained = path.drain_ready(Token(0), 100);
    assert_eq!(drained.expect("no error"), Drained::Dry);
    // Two go out at once, three wait; a slow machine may let another one out.
    let dropped = path.counters().tx_dropped[0].1;
    assert!((10..=15).contains(&dropped), "{dropped}");
}

#[test]
fn a_broadcast_leaves_on_every_port() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "broadcast", 2);
    start(&host);
    let near = socket(&host, "team0");
    let far = [socket(&peer, "b0"), socket(&peer, "b1")];
    path.apply_forwarding(&forwarding(TxPolicy::Broadcast, &[FIRST, SECOND]))
        .expect("applied");
    let message = tcp_message(&[0x8100], 1, 1, 30000);
    near.send(&message).expect("sent");
    path.drain_ready(Token(0), 10).expect("drained");
    let heard = far.each_ref().map(hear_one);
    assert!(heard[0] == heard[1]);
    assert!(far.iter().all(|far| hear(far).is_none()));
}

#[test]
fn control_frames_pass_on_a_port_that_carries_nothing() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (_path, _journal) = standing(&host, &peer, "control", 2);
    host.command("ip link set a1 mtu 3000");
    peer.command("ip link set b1 mtu 3000");
    let far = socket(&peer, "b1");
    let ifindex = host.interface("a1").ifindex;
    let mut control = host
        .inside(|| ControlSocket::open(ifindex, HwAddr::default()))
        .expect("opened");

    let own = &frame(0x88b5, 46)[10..];
    control.send(own).expect("sent");
    assert_eq!(&hear_one(&far).0[10..], own);
    assert!(control.send(&own[..13]).is_err());
    assert!(control.send(&[0; 70000]).is_err());

    let lacpdu = frame(0x8809, 110);
    let arp = frame(0x0806, 42);
    let mut solicitation = frame(0x86dd, 72);
    solicitation[10 + 14 + 6] = 58;
    solicitation[10 + 14 + 40] = 135;
    let mut echo = solicitation.clone();
    echo[10 + 14 + 40] = 128;
    let mut tagged = arp.clone();
    tagged.splice(22..22, [0x81, 0x00, 0x00, 0x05]);
    let long = frame(0x8809, 2100);
    let sent = [&lacpdu, &arp, &solicitation, &echo, &tagged, &long];
    let mut hears = |wanted: ControlFrames| -> Vec<Vec<u8>> {
        control.listen(wanted).expect("listening");
        for frame in sent {
            far.send(frame).expect("sent");
        }
        std::iter::from_fn(|| control.receive().expect("received")).collect()
    };
    let bare = |frames: &[&Vec<u8>]| -> Vec<Vec<u8>> {
        frames.iter().map(|frame| frame[10..].to_vec()).collect()
    };
    let nothing = ControlFrames::default();
    assert_eq!(hears(nothing), bare(&[]));
    let slow_protocols = true;
    let wanted = ControlFrames {
        slow_protocols,
        ..nothing
    };
    assert_eq!(hears(wanted), bare(&[&lacpdu]));
    let wanted = ControlFrames {
        arp: true,
        ..nothing
    };
    assert_eq!(hears(wanted), bare(&[&arp, &tagged]));
    let neighbour_discovery = true;
    let wanted = ControlFrames {
        neighbour_discovery,
        ..wanted
    };
    assert_eq!(hears(wanted), bare(&[&arp, &solicitation, &tagged]));
    assert_eq!(hears(nothing), bare(&[]));
}

#[test]
fn buckets_are_counted_while_balanced() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "buckets", 1);
    start(&host);
    let near = socket(&host, "team0");
    for (balanced, counted) in [(false, 0), (true, 114), (true, 228), (false, 228)] {
        let policy = TxPolicy::LoadBalance {
            fields: HashFields::ETH,
            buckets: Box::new([Some(FIRST); BUCKETS]),
            balanced,
        };
        path.apply_forwarding(&forwarding(policy, &[FIRST]))
            .expect("applied");
        near.send(&frame(0x88b5, 100)).expect("sent");
        path.drain_ready(Token(0), 10).expect("drained");
        let bytes = path.bucket_bytes();
        assert_eq!(bytes.iter().sum::<u64>(), counted);
        assert!(bytes.iter().filter(|bytes| **bytes > 0).count() <= 1);
    }
}

#[test]
fn a_frame_without_a_port_is_counted() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _journal) = standing(&host, &peer, "no-port", 1);
    start(&host);
    let near = socket(&host, "team0");
    let nowhere = TxPolicy::ActiveBackup { active: None };
    path.apply_forwarding(&forwarding(nowhere, &[FIRST]))
        .expect("applied");
    near.send(&frame(0x88b5, 100)).expect("sent");
    path.drain_ready(Token(0), 10).expect("drained");
    assert_eq!(path.counters().tx_no_port, 1);
    assert_eq!(path.counters().tx_dropped, [(FIRST, 0)]);
}

#[test]
fn ports_are_given_back_as_they_were_found() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, journal) = standing(&host, &peer, "back", 2);
    let found = [host.interface("a0"), host.interface("a1")];
    assert_eq!(Journal::open(&journal.0).ports(), found);
    assert!(promiscuous(&host, "a0") && filtered(&host, "a0"));

    path.attach_port(FIRST, &found[0]).expect("it is already");
    assert!(path.attach_port(PortId(5), &found[0]).is_err());
    assert!(path.attach_port(FIRST, &found[1]).is_err());
    path.detach_port(FIRST).expect("detached");
    path.detach_port(FIRST).expect("it is already");
    assert!(!filtered(&host, "a0"));
    assert!(wait(|| !promiscuous(&host, "a0")));
    assert!(promiscuous(&host, "a1") && filtered(&host, "a1"));
    assert_eq!(Journal::open(&journal.0).ports(), [found[1].clone()]);

    // The place of the first port is free again.
    path.attach_port(PortId(5), &found[0]).expect("attached");
    for id in [PortId(5), SECOND] {
        path.detach_port(id).expect("detached");
    }
    assert!(!journal.0.exists());
}

#[test]
fn a_port_that_cannot_be_taken_leaves_no_trace() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, journal) = standing(&host, &peer, "trace", 0);
    let mut missing = host.interface("lo");
    missing.ifindex = 4711;
    assert!(path.attach_port(FIRST, &missing).is_err());
    assert!(!journal.0.exists());
    assert_eq!(path.counters().tx_dropped, []);
    drop(path);

    // One token is for the team device, one for a single port.
    host.link_to("c0", &peer, "d0");
    host.link_to("c1", &peer, "d1");
    let poll = Poll::new().expect("a poll");
    let registry = poll.registry().try_clone().expect("a registry");
    let mut path = Userspace::create(registry, 5..8, &tap("team%d"), Journal::open(&journal.0))
        .expect("a team device");
    assert_eq!(path.name(), "team0");
    assert_eq!(path.ifindex(), host.interface("team0").ifindex);
    assert_eq!(path.hwaddr(), host.interface("team0").hwaddr);
    path.attach_port(FIRST, &host.interface("c0"))
        .expect("attached");
    assert!(path.attach_port(SECOND, &host.interface("c1")).is_err());
    assert!(!filtered(&host, "c1"));
    assert_eq!(Journal::open(&journal.0).ports().len(), 1);
}

/// What a daemon that was killed leaves behind, and what the next makes of it.
#[test]
fn the_next_daemon_finds_what_a_crash_left() {
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    let (path, journal) = standing(&host, &peer, "crash", 1);
    let found = host.interface("a0");
    drop(path);
    assert!(vanishes(&host, "team0"));
    assert!(wait(|| !promiscuous(&host, "a0")));
    assert!(filtered(&host, "a0"));
    host.command("ip link set a0 address 02:00:00:00:00:77");

    let poll = Poll::new().expect("a poll");
    let registry = poll.registry().try_clone().expect("a registry");
    let leftovers = Journal::open(&journal.0);
    assert_eq!(leftovers.ports(), std::slice::from_ref(&found));
    let mut path = Userspace::create(registry, 0..10, &tap("team0"), leftovers).expect("created");
    path.attach_port(FIRST, &found).expect("attached");
    path.detach_port(FIRST).expect("detached");
    assert!(!filtered(&host, "a0") && !journal.0.exists());
}

#[test]
fn a_device_is_taken_over_only_when_asked() {
    let Some(host) = Namespace::new() else { return };
    host.enter();
    let journal = JournalPath::new("over");
    let poll = Poll::new().expect("a poll");
    let create = |persist, take_over| {
        let registry = poll.registry().try_clone().expect("a registry");
        let options = DeviceOptions {
            persist,
            take_over,
            ..tap("team0")
        };
        Userspace::create(registry, 0..10, &options, Journal::open(&journal.0))
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

#[test]
fn a_carrier_is_seen_at_once() {
    use teamr::sys::ethtool;
    let Some((host, peer)) = quiet_hosts() else {
        return;
    };
    host.link_to("a0", &peer, "b0");
    host.inside(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        assert!(ethtool::carrier(&socket, "a0").expect("it answers"));
        peer.command("ip link set b0 down");
        assert!(!ethtool::carrier(&socket, "a0").expect("it answers"));
        let settings = ethtool::link_settings(&socket, "a0").expect("it answers");
        assert_eq!(settings.speed, Some(10_000));
        assert_eq!(settings.full_duplex, Some(true));
    });
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
