//! Source balancing frame by frame: the port that sends a frame, and the port that receives it.

mod frame;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use frame::{Frame, Network};
use runners::wire::announce;
use runners::{
    BUCKETS, BucketTable, Distributor, Forwarding, HostBalance, HwAddr, Instant, PortForwarding,
    PortId, Reception, SourceBalance, TxPolicy,
};

const A: PortId = PortId(1);
const B: PortId = PortId(2);
const TEAM: HwAddr = HwAddr([2, 0, 0, 0, 0, 0xdd]);
const OUTSIDE: HwAddr = HwAddr([2, 9, 9, 9, 9, 9]);

fn guest(number: u8) -> HwAddr {
    HwAddr([2, 1, 0, 0, 0, number])
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// Buckets on A and B in turn; A is the designated port.
fn in_turn() -> BucketTable {
    std::array::from_fn(|place| Some([A, B][place % 2]))
}

fn forwarding(buckets: BucketTable, previous: BucketTable) -> Forwarding {
    forwarding_of(buckets, previous, None)
}

fn forwarding_of(
    buckets: BucketTable,
    previous: BucketTable,
    host: Option<HostBalance>,
) -> Forwarding {
    let ports = [A, B].map(|port| PortForwarding {
        port,
        collecting: true,
        distributing: true,
        linked: true,
        link_from_watch: false,
    });
    Forwarding {
        policy: TxPolicy::SourceBalance {
            ports: SourceBalance {
                buckets: Box::new(buckets),
                previous: Box::new(previous),
                designated: Some(A),
                hwaddr: TEAM,
                host,
            },
            balanced: false,
        },
        ports: ports.to_vec(),
    }
}

fn distributor() -> Distributor {
    let mut distributor = Distributor::new();
    distributor.apply(&forwarding(in_turn(), [None; BUCKETS]));
    distributor
}

fn unicast(from: HwAddr, to: HwAddr) -> Vec<u8> {
    let mut frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1, 2]);
    frame.eth[..6].copy_from_slice(&to.0);
    frame.eth[6..].copy_from_slice(&from.0);
    frame.build()
}

fn broadcast(from: HwAddr) -> Vec<u8> {
    unicast(from, HwAddr([0xff; 6]))
}

fn arp_request(from: HwAddr) -> Vec<u8> {
    let mut eth = [0xff; 12];
    eth[6..].copy_from_slice(&from.0);
    let network = Network::Arp { addresses: [10, 0, 0, 1, 10, 0, 0, 2] };
    Frame { eth, network, ..Frame::tcp4(0, 0, [0, 0]) }.build()
}

fn gratuitous(from: HwAddr) -> Vec<u8> {
    announce::gratuitous_arp(from, Ipv4Addr::new(10, 0, 0, 1), None)
}

fn port_of(distributor: &mut Distributor, frame: &[u8]) -> PortId {
    let selection = distributor.select(frame);
    assert_eq!(selection.source, None);
    assert_eq!(selection.ports.len(), 1);
    selection.ports[0]
}

#[test]
fn a_source_keeps_its_port_and_new_sources_alternate() {
    let mut distributor = distributor();
    let ports = [1, 2, 3, 4].map(|number| port_of(&mut distributor, &broadcast(guest(number))));
    assert_eq!(ports, [A, B, A, B]);
    for number in [4, 3, 2, 1] {
        let frame = unicast(guest(number), OUTSIDE);
        assert_eq!(port_of(&mut distributor, &frame), ports[usize::from(number) - 1]);
    }
    // A switch learns the address in each VLAN, so the tagged source is a new one.
    let mut tagged = broadcast(guest(1));
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    assert_eq!(port_of(&mut distributor, &tagged), A);
    // The team itself sends on the designated port.
    assert_eq!(port_of(&mut distributor, &broadcast(TEAM)), A);
    assert_eq!(distributor.stations().len(), 6);
    let own = distributor.stations().into_iter().find(|station| station.hwaddr == TEAM);
    assert_eq!(own.map(|station| station.bucket), Some(None));
}

#[test]
fn each_flooded_frame_is_received_once() {
    let mut distributor = distributor();
    for number in [1, 2] {
        port_of(&mut distributor, &broadcast(guest(number)));
    }
    let mut taken = |port, frame: &[u8]| distributor.receive(port, frame) == Reception::Taken;
    for (frame, on_a) in [
        (broadcast(OUTSIDE), true),
        (unicast(OUTSIDE, HwAddr([1, 0, 0x5e, 1, 1, 1])), true),
        (unicast(OUTSIDE, guest(1)), true),
        (unicast(OUTSIDE, guest(2)), false),
        (unicast(OUTSIDE, TEAM), true),
        // A station that never sent a frame.
        (unicast(OUTSIDE, guest(99)), true),
    ] {
        assert_eq!((taken(A, &frame), taken(B, &frame)), (on_a, !on_a));
    }
    assert!(!taken(PortId(3), &broadcast(OUTSIDE)));
    assert!(!taken(A, &[0; 13]));
}

#[test]
fn echoes_of_sent_frames_are_dropped() {
    let mut distributor = distributor();
    distributor.set_time(at(1000));
    port_of(&mut distributor, &arp_request(guest(2)));
    for frame in [
        arp_request(guest(2)),
        broadcast(guest(2)),
        unicast(guest(2), OUTSIDE),
        broadcast(TEAM),
        gratuitous(TEAM),
    ] {
        for port in [A, B] {
            assert_eq!(distributor.receive(port, &frame), Reception::Echo);
        }
    }
    // 10 s after its last frame the guest may be on another host.
    distributor.set_time(at(11_000));
    assert_eq!(distributor.receive(A, &broadcast(guest(2))), Reception::Taken);
}

#[test]
fn a_received_announcement_shows_that_a_guest_has_left() {
    for announcement in [gratuitous(guest(2)), announce::reverse_arp(guest(2), None)] {
        let mut distributor = distributor();
        distributor.set_time(at(1000));
        port_of(&mut distributor, &broadcast(guest(2)));
        // The flooded copy on the other port does not count.
        assert_eq!(distributor.receive(B, &announcement), Reception::Echo);
        assert_eq!(distributor.receive(A, &announcement), Reception::Taken);
        assert_eq!(distributor.receive(A, &broadcast(guest(2))), Reception::Taken);
        assert!(distributor.stations().is_empty());
    }
}

#[test]
fn a_sent_announcement_shows_that_a_guest_has_come() {
    for announcement in [gratuitous(guest(2)), announce::reverse_arp(guest(2), None)] {
        let mut distributor = distributor();
        distributor.set_time(at(1000));
        port_of(&mut distributor, &announcement);
        distributor.set_time(at(5999));
        assert_eq!(distributor.receive(A, &announcement), Reception::Echo);
        distributor.set_time(at(6000));
        assert_eq!(distributor.receive(A, &announcement), Reception::Taken);
    }
}

#[test]
fn membership_reports_leave_on_the_designated_port_with_the_teams_address() {
    let mut distributor = distributor();
    port_of(&mut distributor, &broadcast(guest(1)));
    assert_eq!(port_of(&mut distributor, &broadcast(guest(2))), B);
    let source = Ipv4Addr::new(10, 0, 0, 2);
    let igmp = announce::igmp_report(guest(2), source, Ipv4Addr::new(239, 1, 1, 1), Some(7));
    let group = "ff15::1".parse().expect("an address");
    let mld = announce::mld_report(guest(2), "fe80::2".parse().expect("too"), group, None);
    for report in [igmp, mld] {
        let selection = distributor.select(&report);
        assert_eq!((selection.ports, selection.source), (&[A][..], Some(TEAM)));
    }
    // Other multicast frames keep the guest's address and port.
    let stream = unicast(guest(2), HwAddr([1, 0, 0x5e, 1, 1, 1]));
    assert_eq!(port_of(&mut distributor, &stream), B);
}

#[test]
fn frames_on_their_way_to_the_previous_port_are_received() {
    let mut distributor = distributor();
    port_of(&mut distributor, &broadcast(guest(1)));
    let frame = unicast(OUTSIDE, guest(1));
    let (mut moved, mut previous) = (in_turn(), [None; BUCKETS]);
    moved[0] = Some(B);
    previous[0] = Some(A);
    distributor.apply(&forwarding(moved, previous));
    for port in [A, B] {
        assert_eq!(distributor.receive(port, &frame), Reception::Taken);
    }
    distributor.apply(&forwarding(moved, [None; BUCKETS]));
    assert_eq!(distributor.receive(A, &frame), Reception::NotHere);
    assert_eq!(distributor.receive(B, &frame), Reception::Taken);
}

/// The team's addresses on A and B. A is designated, so the team sends from TEAM there.
const TEAM_ON_A: HwAddr = HwAddr([2, 0, 0, 0, 0, 0xaa]);
const TEAM_ON_B: HwAddr = HwAddr([2, 0, 0, 0, 0, 0xbb]);
const PEER: HwAddr = HwAddr([2, 9, 9, 9, 9, 1]);

/// A distributor that also spreads the team's own traffic.
fn host_distributor(receive: bool) -> Distributor {
    let mut distributor = Distributor::new();
    let addresses = vec![(A, TEAM_ON_A), (B, TEAM_ON_B)];
    let host = HostBalance { addresses, receive };
    distributor.apply(&forwarding_of(in_turn(), [None; BUCKETS], Some(host)));
    distributor
}

/// An IPv4 packet of the team to 10.0.0.`last`, whose bucket is 10 exclusive-or `last`.
fn to_peer(last: u8) -> Vec<u8> {
    let mut frame = Frame::tcp4(0x0a00_0001, 0x0a00_0000 + u32::from(last), [1, 2]);
    frame.eth[..6].copy_from_slice(&PEER.0);
    frame.eth[6..].copy_from_slice(&TEAM.0);
    frame.build()
}

#[test]
fn packets_of_the_team_leave_on_the_peers_port_with_its_address() {
    for receive in [false, true] {
        let mut distributor = host_distributor(receive);
        for (last, port, source) in [(2, A, None), (3, B, Some(TEAM_ON_B)), (4, A, None)] {
            let frame = to_peer(last);
            let selection = distributor.select(&frame);
            assert_eq!((selection.ports, selection.source), (&[port][..], source));
            assert_eq!(selection.sender_at, None);
        }
        // Broadcast, multicast and neighbour discovery keep the address that never moves.
        let group = "ff15::1".parse().expect("an address");
        let source = "fe80::1".parse().expect("an address");
        for frame in
            [arp_request(TEAM), broadcast(TEAM), announce::mld_report(TEAM, source, group, None)]
        {
            assert_eq!(port_of(&mut distributor, &frame), A);
        }
        // Frames of guests leave by their source.
        assert_eq!(port_of(&mut distributor, &broadcast(guest(1))), A);
        assert_eq!(port_of(&mut distributor, &broadcast(guest(2))), B);
    }
}

#[test]
fn arp_gives_a_peer_the_address_of_its_port() {
    let ip = |last| Ipv4Addr::new(10, 0, 0, last);
    for vlan in [None, Some(7)] {
        let mut distributor = host_distributor(true);
        let reply = announce::arp_reply(TEAM, ip(1), PEER, ip(3), vlan);
        let selection = distributor.select(&reply);
        let sender_at = 12 + vlan.map_or(0, |_| 4) + 2 + 8;
        assert_eq!(selection.ports, [B]);
        assert_eq!(selection.source, Some(TEAM_ON_B));
        assert_eq!(selection.sender_at, Some(sender_at));
        assert_eq!(reply[sender_at..sender_at + 6], TEAM.0);
        let peers = distributor.peers();
        assert_eq!(peers.len(), 1);
        assert_eq!(
            (peers[0].own, peers[0].ip, peers[0].hwaddr),
            (ip(1).into(), ip(3).into(), PEER)
        );
        assert_eq!((peers[0].vlan, peers[0].bucket), (vlan.unwrap_or(0), 10 ^ 3));
    }

    // With tlb every peer gets the team's own address.
    let mut distributor = host_distributor(false);
    let reply = announce::arp_reply(TEAM, ip(1), PEER, ip(3), None);
    assert_eq!(port_of(&mut distributor, &reply), A);
    assert!(distributor.peers().is_empty());

    // A host that answers the team is a peer too, until the host announces the team's IP address.
    let mut distributor = host_distributor(true);
    let answer = announce::arp_reply(PEER, ip(2), TEAM, ip(1), None);
    assert_eq!(port_of(&mut distributor, &arp_request(TEAM)), A);
    assert_eq!(distributor.receive(A, &answer), Reception::Taken);
    assert_eq!(distributor.peers().len(), 1);
    let claim = announce::gratuitous_arp(PEER, ip(1), None);
    assert_eq!(distributor.receive(A, &claim), Reception::Taken);
    assert!(distributor.peers().is_empty());
    // The team still uses the address: the announcement was forged.
    distributor.select(&announce::arp_reply(TEAM, ip(1), PEER, ip(3), None));
    assert_eq!(distributor.peers().len(), 2);
}

/// As for a data path whose frames do not pass through the daemon.
#[test]
fn peers_are_learned_from_messages_alone() {
    let ip = |last| Ipv4Addr::new(10, 0, 0, last);
    let mut distributor = host_distributor(true);
    distributor.learn_peer(true, &announce::arp_reply(TEAM, ip(1), PEER, ip(3), None));
    assert_eq!(distributor.peers().len(), 1);
    distributor.learn_peer(true, &arp_request(TEAM));
    distributor.learn_peer(false, &announce::arp_reply(PEER, ip(2), TEAM, ip(1), None));
    assert_eq!(distributor.peers().len(), 2);
    distributor.learn_peer(false, &announce::gratuitous_arp(PEER, ip(1), None));
    assert!(distributor.peers().is_empty(), "another host has the address");
    // With tlb, and of frames without a message, there is nothing to learn.
    for (receive, frame) in [(false, arp_request(TEAM)), (true, Vec::new())] {
        let mut distributor = host_distributor(receive);
        for sent in [true, false] {
            distributor.learn_peer(sent, &frame);
        }
        assert!(distributor.peers().is_empty());
    }
}

#[test]
fn a_forged_message_creates_no_peer() {
    let ip = |last| Ipv4Addr::new(10, 0, 0, last);
    let mut distributor = host_distributor(true);
    // To the team, in the name of a victim: the address of a gateway, and an address of the team.
    for own in [254, 1] {
        let forged = announce::arp_reply(PEER, ip(3), TEAM, ip(own), None);
        assert_eq!(distributor.receive(A, &forged), Reception::Taken);
        assert!(distributor.peers().is_empty(), "{own}");
    }
    // The team asked 10.0.0.2 alone, and one answer counts.
    assert_eq!(port_of(&mut distributor, &arp_request(TEAM)), A);
    for last in 2..200 {
        let answer = announce::arp_reply(PEER, ip(last), TEAM, ip(1), None);
        distributor.receive(A, &answer);
    }
    assert_eq!(distributor.peers().len(), 1);
}

#[test]
fn a_silent_peer_is_forgotten_and_a_late_answer_creates_none() {
    let own = Ipv4Addr::new(10, 0, 0, 1);
    let peer = Ipv4Addr::new(10, 0, 0, 2);
    let answer = announce::arp_reply(PEER, peer, TEAM, own, None);
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let mut distributor = host_distributor(true);
    assert_eq!(port_of(&mut distributor, &arp_request(TEAM)), A);
    distributor.set_time(at(10));
    distributor.receive(A, &answer);
    assert!(distributor.peers().is_empty(), "10 s after the request");
    assert_eq!(port_of(&mut distributor, &arp_request(TEAM)), A);
    distributor.receive(A, &answer);
    for (seconds, known) in [(609, 1), (610, 0)] {
        distributor.set_time(at(seconds));
        assert_eq!(distributor.peers().len(), known, "after {seconds} s");
    }
}

#[test]
fn hosts_that_ask_the_team_push_out_no_peer_that_the_team_asked() {
    let own = Ipv4Addr::new(10, 0, 0, 1);
    let asked = Ipv4Addr::new(10, 0, 0, 2);
    let mut distributor = host_distributor(true);
    assert_eq!(port_of(&mut distributor, &arp_request(TEAM)), A);
    distributor.receive(A, &announce::arp_reply(PEER, asked, TEAM, own, None));
    // The team answers requests from more addresses than the table has entries.
    for number in 0..3000_u32 {
        let forged = Ipv4Addr::from(0x0a01_0000 + number);
        distributor.select(&announce::arp_reply(TEAM, own, PEER, forged, None));
        let peers = distributor.peers();
        assert!(peers.len() <= 1024, "{}", peers.len());
        assert!(peers.iter().any(|peer| peer.ip == asked), "pushed out by {forged}");
    }
    let last = Ipv4Addr::from(0x0a01_0000 + 2999);
    assert!(distributor.peers().iter().any(|peer| peer.ip == last), "the newest is known");
}

#[test]
fn forged_peers_displace_no_peer_of_another_hardware_address_or_port() {
    let own = Ipv4Addr::new(10, 0, 0, 1);
    let other = |number: u32| HwAddr([2, 9, 9, 8, (number >> 8) as u8, number as u8]);
    // Real peers, each with an address of its own; the last byte chooses the port.
    let real: Vec<(u32, Ipv4Addr)> =
        (0..100).map(|n| (n, Ipv4Addr::from(0x0a02_0000 + n))).collect();
    let forged_by = |hwaddr: fn(u32) -> HwAddr, address: fn(u32) -> u32| {
        let mut distributor = host_distributor(true);
        for (number, ip) in &real {
            distributor.select(&announce::arp_reply(TEAM, own, other(*number), *ip, None));
        }
        distributor.set_time(Instant::ZERO + Duration::from_secs(1));
        for number in 0..3000 {
            let forged = Ipv4Addr::from(address(number));
            distributor.select(&announce::arp_reply(TEAM, own, hwaddr(number), forged, None));
        }
        let peers = distributor.peers();
        let is_known = |ip: &Ipv4Addr| peers.iter().any(|peer| peer.ip == *ip);
        real.iter().map(|(_, ip)| *ip).filter(is_known).collect::<Vec<_>>()
    };
    let known = forged_by(|_| PEER, |number| 0x0a01_0000 + number);
    assert_eq!(known.len(), real.len(), "one host displaced other hosts");

    // Each forged peer has its own hardware address, and all use the same port.
    let on_a = |number: u32| 0x0a01_0001 + (number >> 7 << 9) + ((number & 0x7f) << 1);
    let known = forged_by(|n| HwAddr([2, 9, 7, 0, (n >> 8) as u8, n as u8]), on_a);
    let on_b = real.iter().filter(|(number, _)| number & 1 == 1);
    assert!(on_b.map(|(_, ip)| ip).all(|ip| known.contains(ip)), "{known:?}");
}

#[test]
fn frames_to_the_address_of_a_port_are_delivered_to_the_team() {
    let mut distributor = host_distributor(true);
    let frame = unicast(OUTSIDE, TEAM_ON_B);
    assert_eq!(distributor.receive(B, &frame), Reception::TakenAs(TEAM));
    assert_eq!(distributor.receive(A, &frame), Reception::NotHere);
    // A peer may have learned the address before A was designated.
    let frame_for_a = unicast(OUTSIDE, TEAM_ON_A);
    assert_eq!(distributor.receive(A, &frame_for_a), Reception::TakenAs(TEAM));
    for port in [A, B] {
        let echo = unicast(TEAM_ON_B, OUTSIDE);
        assert_eq!(distributor.receive(port, &echo), Reception::Echo);
    }
    // B has failed, and a peer still sends to its address.
    let addresses = vec![(A, TEAM_ON_A), (B, TEAM_ON_B)];
    let receive = true;
    let host = HostBalance { addresses, receive };
    let mut without = forwarding_of([Some(A); BUCKETS], [None; BUCKETS], Some(host));
    without.ports[1].collecting = false;
    distributor.apply(&without);
    assert_eq!(distributor.receive(A, &frame), Reception::TakenAs(TEAM));
}

#[test]
fn an_advertisement_gives_a_neighbour_the_address_of_its_port() {
    let own: Ipv6Addr = "fd00::1".parse().expect("an address");
    let [even, odd]: [Ipv6Addr; 2] =
        ["fd00::8", "fd00::9"].map(|text| text.parse().expect("an address"));
    let mut distributor = host_distributor(true);
    let advertise = |ip| announce::neighbour_advertisement(TEAM, own, true, (PEER, ip), None);
    let selection = distributor.select(&advertise(odd)).ports.to_vec();
    let other = distributor.select(&advertise(even)).ports.to_vec();
    assert_ne!(selection, other);
    for (ip, port) in [(odd, selection[0]), (even, other[0])] {
        let frame = advertise(ip);
        let selection = distributor.select(&frame);
        assert_eq!(selection.source, (port == B).then_some(TEAM_ON_B));
        assert_eq!(selection.sender_at, Some(14 + 40 + 24 + 2));
        assert_eq!(selection.checksum_at, Some(14 + 40 + 2));
    }
    let peers = distributor.peers();
    assert_eq!(peers.len(), 2);
    for peer in &peers {
        assert_eq!((peer.own, peer.hwaddr, peer.router), (own.into(), PEER, true));
    }
    // An advertisement to all nodes keeps the address that never moves.
    let to_all = announce::unsolicited_na(TEAM, own, true, None);
    assert_eq!(port_of(&mut distributor, &to_all), A);

    // Without an advertisement of the team its router flag is unknown, and no peer is announced to.
    let mut distributor = host_distributor(true);
    let answer = announce::neighbour_advertisement(PEER, odd, false, (TEAM, own), None);
    assert_eq!(distributor.receive(A, &answer), Reception::Taken);
    assert!(distributor.peers().is_empty());
}
