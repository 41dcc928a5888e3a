//! Traffic between the stacks of two hosts over a team arrives as over a plain link.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use integration::{LIMIT, Namespace, Ping, comes_true, skip};
use teamr::sys::clock;

use crate::frames::{receive_one, socket, tcp_message};
use crate::lab::{FIRST, Team, active, connect, counters, hosts, inside, interface, quiet_hosts};

#[test]
fn both_families_and_all_sizes_get_through() {
    let Some((lab, host, peer)) = hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    let _team = Team::start(&host, "sizes", &["a0"], active(FIRST));
    host.run("ip addr add 10.0.0.1/24 dev team0");
    host.run("ip addr add fd00::1/64 dev team0 nodad");
    peer.run("ip addr add 10.0.0.2/24 dev b0");
    peer.run("ip addr add fd00::2/64 dev b0 nodad");
    for (from, to) in [(&host, 2), (&peer, 1)] {
        for address in [format!("10.0.0.{to}"), format!("fd00::{to}")] {
            for size in [0, 1, 56, 1452] {
                let ping = Ping::run(from, &address, 100, &format!("-s {size}"));
                assert!(ping.is_exact(), "{size} bytes to {address}: {ping:?}");
            }
            // In fragments. ping(8) waits for the last reply as long as its interval.
            for size in [1473, 30000, 65000] {
                let out = from.run(&format!("ping -c 3 -i 0.2 -W 5 -s {size} {address}"));
                assert!(out.contains(" 3 received, 0% packet loss"), "{out}");
                assert!(!out.contains("DUP"), "{out}");
            }
        }
    }
}

#[test]
fn jumbo_frames_pass_unfragmented() {
    let Some((lab, host, peer)) = hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    let _team = Team::start(&host, "jumbo", &["a0"], active(FIRST));
    for name in ["a0", "team0"] {
        host.run(&format!("ip link set {name} mtu 9000"));
    }
    peer.run("ip link set b0 mtu 9000");
    host.run("ip addr add 10.0.0.1/24 dev team0");
    peer.run("ip addr add 10.0.0.2/24 dev b0");
    for (from, to) in [(&host, "10.0.0.2"), (&peer, "10.0.0.1")] {
        let ping = Ping::run(from, to, 3, "-s 8972");
        assert!(ping.is_exact(), "{to}: {ping:?}");
    }
}

/// Every byte of a stream arrives, in segments far above the MTU.
#[test]
fn tcp_segments_pass_whole_both_ways() {
    const BYTES: usize = 64 << 20;
    let Some((lab, host, peer)) = hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    let team = Team::start(&host, "tcp", &["a0"], active(FIRST));
    host.run("ip addr add 10.0.0.1/24 dev team0");
    peer.run("ip addr add 10.0.0.2/24 dev b0");
    const PERIOD: usize = 65521;
    // Enough periods for a read of any length at any offset.
    let pattern: Vec<u8> = (0..3 * PERIOD).map(|at| (at % PERIOD * 7 % 251) as u8).collect();
    for (sender, receiver, address, counter) in
        [(&host, &peer, "10.0.0.2:5000", "tx"), (&peer, &host, "10.0.0.1:5000", "rx")]
    {
        let listener = inside(receiver, || TcpListener::bind(address).expect("bound"));
        let before = packets(&host, counter);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = inside(sender, || TcpStream::connect(address).expect("connected"));
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
    assert_eq!(team.with(|path| counters(path).rx_dropped.total()), 0);
}

/// Returns the packets that the team device has counted in one direction.
fn packets(host: &Namespace, direction: &str) -> u64 {
    let out = host.run("ip -s -j link show team0");
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    json[0]["stats64"][direction]["packets"].as_u64().unwrap_or_else(|| panic!("{out}"))
}

/// A packet socket behind the team receives the same messages as one on a plain veth: tags,
/// unfinished checksums and segments included.
#[test]
fn tags_and_offloads_arrive_as_over_a_plain_link() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    connect(&lab, (&host, "plain0"), (&peer, "plain1"));
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
                let [team_received, plain_received] =
                    [&over_team, &over_plain].map(|(host, peer)| {
                        let (from, to) = if outwards { (host, peer) } else { (peer, host) };
                        from.send(&message).unwrap_or_else(|error| panic!("{name}: {error}"));
                        receive_one(to)
                    });
                assert_eq!(team_received.1.map(|tag| tag.tpid), tags.first().copied(), "{name}");
                assert!(team_received == plain_received, "{name}, outwards: {outwards}");
            }
        }
    }
    assert_eq!(team.with(|path| counters(path).rx_dropped.total()), 0);
}

/// The sockets of the test may send frames above the MTU as long as their header names a segment
/// size, which a frame of one segment makes void.
#[test]
fn full_frames_with_service_tags_pass_both_ways() {
    const FULL: usize = 1460;
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    let team = Team::start(&host, "service-tags", &["a0"], active(FIRST));
    let (near, far) = (socket(&host, "team0"), socket(&peer, "b0"));
    let stacks: [&[u16]; 4] = [&[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x88a8], &[0x8100, 0x8100]];
    for tags in stacks {
        let mut message = tcp_message(tags, 1, 1, FULL);
        message[4..6].copy_from_slice(&(FULL as u16).to_ne_bytes());
        for (from, to, receiver, interface) in
            [(&near, &far, &peer, "b0"), (&far, &near, &host, "a0")]
        {
            // A veth has room for one tag inside the frame above its MTU.
            receiver.run(&format!("ip link set {interface} mtu {}", 1500 + 4 * (tags.len() - 1)));
            for _ in 0..100 {
                from.send(&message).unwrap_or_else(|error| panic!("{tags:x?}: {error}"));
                let (received, tag) = receive_one(to);
                assert_eq!(tag.map(|tag| tag.tpid), tags.first().copied());
                assert!(received[22..] == message[26..], "{tags:x?}");
            }
            receiver.run(&format!("ip link set {interface} mtu 1500"));
        }
    }
    // One byte more is no frame of this MTU.
    let mut message = tcp_message(&[0x88a8], 1, 1, FULL + 1);
    message[4..6].copy_from_slice(&(FULL as u16 + 1).to_ne_bytes());
    near.send(&message).expect("sent");
    let drops = || team.with(|path| counters(path).tx_dropped[0].1.to_string());
    assert!(comes_true(|| drops() == "EMSGSIZE 1"), "{}", drops());
    // The far end of a veth drops a frame with two tags inside, and the state names the error.
    let mut message = tcp_message(&[0x88a8, 0x8100], 1, 1, FULL);
    message[4..6].copy_from_slice(&(FULL as u16).to_ne_bytes());
    near.send(&message).expect("sent");
    assert!(comes_true(|| drops() == "EMSGSIZE 1, ENOBUFS 1"), "{}", drops());
    peer.run("ip link set b0 mtu 1504");
    near.send(&message).expect("sent");
    let (received, _) = receive_one(&far);
    assert!(received[22..] == message[26..]);
}

/// The peer's tunnel hands the port frames of many segments, as a card that merges frames does.
#[test]
fn frames_merged_in_a_tunnel_pass_both_ways() {
    const BYTES: usize = 16 << 20;
    let Some((lab, host, peer)) = hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    let _team = Team::start(&host, "tunnel", &["a0"], active(FIRST));
    let ends = [(&host, "team0", 1, 2), (&peer, "b0", 2, 1)];
    for (end, lower, own, other) in ends {
        end.run(&format!("ip addr add 10.0.0.{own}/24 dev {lower}"));
        for (name, id, checksum) in [("with", 7, ""), ("without", 8, "no")] {
            let tunnel = format!(
                "ip link add {name} type vxlan id {id} local 10.0.0.{own} remote 10.0.0.{other} \
                 dev {lower} dstport 4789 {checksum}udpcsum"
            );
            if id == 7 && !end.try_run(&tunnel).status.success() {
                return skip("the kernel has no VXLAN");
            }
            if id == 8 {
                end.run(&tunnel);
            }
            end.run(&format!("ip addr add 10.0.{id}.{own}/24 dev {name}"));
            end.up(name);
        }
    }
    for (sender, receiver, to) in [(&host, &peer, 2), (&peer, &host, 1)] {
        for id in [7, 8] {
            let address = format!("10.0.{id}.{to}:5000");
            let listener = inside(receiver, || TcpListener::bind(&address).expect("bound"));
            let started = clock::monotonic();
            thread::scope(|scope| {
                scope.spawn(|| {
                    let connect = || TcpStream::connect(&address).expect("connected");
                    inside(sender, connect).write_all(&vec![7; BYTES]).expect("sent");
                });
                let (stream, _) = listener.accept().expect("accepted");
                stream.set_read_timeout(Some(LIMIT)).expect("set");
                let received = std::io::copy(&mut { stream }, &mut std::io::sink());
                assert_eq!(received.expect("received"), BYTES as u64);
            });
            let time = clock::monotonic() - started;
            println!("to {address}: {} Mbit/s", BYTES as u128 * 8 / time.as_micros());
            assert!(time < LIMIT, "to {address}: {time:?}");
        }
    }
}

#[test]
fn the_host_neither_receives_nor_sends_on_a_port() {
    let Some((lab, host, peer)) = hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    host.run("ip addr add 10.0.1.1/32 dev a0");
    host.run("ip addr add fd01::1/64 dev a0 nodad");
    let _team = Team::start(&host, "silent", &["a0"], active(FIRST));
    host.run("ip addr add 10.0.0.1/24 dev team0");
    peer.run("ip addr add 10.0.0.2/24 dev b0");
    peer.run("ip route add 10.0.1.1 dev b0 src 10.0.0.2");
    peer.run("ip addr add fd01::2/64 dev b0 nodad");
    // By the weak host model the host answers for the port's address, once and through the team.
    let out = peer.run("ping -c 5 -i 0.01 -W 5 10.0.1.1");
    assert!(out.contains(" 5 received") && !out.contains("DUP"), "{out}");
    let neighbours = peer.run("ip neigh show 10.0.1.1");
    let team = interface(&host, "team0").hwaddr.to_string();
    assert!(neighbours.contains(&team), "{neighbours}");
    let ping = host.try_run("ping -c 1 -W 1 fd01::2");
    assert!(!ping.status.success(), "{ping:?}");
}
