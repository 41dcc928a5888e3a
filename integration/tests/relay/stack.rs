//! Two hosts that talk over a team: whatever their stacks send arrives as over a plain link.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use integration::Namespace;

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
        for size in [0, 1, 56, 1472, 1473, 30000, 65000] {
            for address in [format!("10.0.0.{to}"), format!("fd00::{to}")] {
                let out = from.run(&format!("ping -c 3 -i 0.01 -W 5 -s {size} {address}"));
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
        let out = from.run(&format!("ping -M do -c 3 -i 0.01 -W 5 -s 8972 {to}"));
        assert!(out.contains(" 3 received"), "{out}");
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
    // As many periods as a read of any length at any place needs.
    let pattern: Vec<u8> = (0..3 * PERIOD)
        .map(|at| (at % PERIOD * 7 % 251) as u8)
        .collect();
    for (sender, receiver, address, counter) in [
        (&host, &peer, "10.0.0.2:5000", "tx"),
        (&peer, &host, "10.0.0.1:5000", "rx"),
    ] {
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
    assert_eq!(team.with(|path| counters(path).rx_dropped), 0);
}

/// Packets that the team device has counted in one direction.
fn packets(host: &Namespace, direction: &str) -> u64 {
    let out = host.run("ip -s -j link show team0");
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    json[0]["stats64"][direction]["packets"]
        .as_u64()
        .unwrap_or_else(|| panic!("{out}"))
}

/// What a packet socket on the far end of a plain veth veth hears is what it hears behind the
/// team: tags, unfinished checksums and segments included.
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
                        from.send(&message)
                            .unwrap_or_else(|error| panic!("{name}: {error}"));
                        receive_one(to)
                    });
                assert_eq!(
                    team_received.1.map(|tag| tag.tpid),
                    tags.first().copied(),
                    "{name}"
                );
                assert!(
                    team_received == plain_received,
                    "{name}, outwards: {outwards}"
                );
            }
        }
    }
    assert_eq!(team.with(|path| counters(path).rx_dropped), 0);
}

#[test]
fn the_host_neither_hears_nor_speaks_on_a_port() {
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
    // The weak host model answers for the port's address, but once, and through the team.
    let out = peer.run("ping -c 5 -i 0.01 -W 5 10.0.1.1");
    assert!(out.contains(" 5 received") && !out.contains("DUP"), "{out}");
    let neighbours = peer.run("ip neigh show 10.0.1.1");
    let team = interface(&host, "team0").hwaddr.to_string();
    assert!(neighbours.contains(&team), "{neighbours}");
    let ping = host.try_run("ping -c 1 -W 1 fd01::2");
    assert!(!ping.status.success(), "{ping:?}");
}
