//! Single frames: the port that each frame leaves on, the frames that are dropped, the counters.

use std::sync::Arc;

use integration::comes_true;
use runners::{BUCKETS, HashFields, TxPolicy};
use teamr::datapath::driverless::DriverlessTeam;
use teamr::datapath::{DataPath, Drained};

use crate::frames::{frame, receive, receive_one, socket, tcp_message};
use crate::lab::{
    FIRST, SECOND, active, bucket_bytes, counters, forward, forwarding, poll, quiet_hosts,
    standing, start,
};

#[test]
fn a_port_that_does_not_collect_delivers_nothing() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "deaf", 2);
    start(&host);
    let (far, near) = (socket(&peer, "b1"), socket(&host, "team0"));
    let ids = [FIRST, SECOND];
    forward(&mut path, &forwarding(active(FIRST), &ids));

    far.send(&frame(0x88b5, 100)).expect("sent");
    far.send(&frame(0x8809, 110)).expect("sent");
    let drained = poll(&mut path, 2, 10).expect("drained");
    assert_eq!(drained, Drained::Empty);
    assert_eq!(counters(&path).rx_inactive, 1);

    forward(&mut path, &forwarding(active(SECOND), &ids));
    far.send(&frame(0x8809, 110)).expect("sent");
    // A slow protocol with a priority and VLAN 0.
    let mut with_priority = frame(0x8100, 110);
    with_priority[24..28].copy_from_slice(&[0xe0, 0, 0x88, 0x09]);
    far.send(&with_priority).expect("sent");
    far.send(&frame(0x88b5, 100)).expect("sent");
    poll(&mut path, 2, 10).expect("drained");
    assert_eq!(receive_one(&near).0, frame(0x88b5, 100));
    assert_eq!(receive(&near), None);
    assert_eq!(counters(&path).rx_inactive, 1);
}

#[test]
fn a_budget_that_ends_early_says_so() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "budget", 1);
    start(&host);
    let (far, near) = (socket(&peer, "b0"), socket(&host, "team0"));
    forward(&mut path, &forwarding(active(FIRST), &[FIRST]));
    for (token, from, to) in [(0, &near, &far), (1, &far, &near)] {
        for length in 100..110 {
            from.send(&frame(0x88b5, length)).expect("sent");
        }
        for expected in [Drained::More, Drained::More, Drained::Empty] {
            assert_eq!(poll(&mut path, token, 4).expect("drained"), expected);
        }
        for length in 100..110 {
            assert_eq!(receive_one(to).0, frame(0x88b5, length));
        }
        assert_eq!(receive(to), None);
    }
    for stale in [2, 9, 10, usize::MAX] {
        assert_eq!(poll(&mut path, stale, 4).expect("ignored"), Drained::Empty);
    }
}

/// A flooded frame arrives on both ports. If the relay has read only one of the copies when the
/// active port changes, the frame must neither come twice nor be lost.
#[test]
fn frames_under_way_at_a_failover_arrive_once() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "failover", 2);
    start(&host);
    let near = socket(&host, "team0");
    let ports = [FIRST, SECOND];
    for polled in [1, 2] {
        forward(&mut path, &forwarding(active(FIRST), &ports));
        for far in ["b0", "b1"] {
            socket(&peer, far).send(&frame(0x88b5, 100)).expect("sent");
        }
        poll(&mut path, polled, 10).expect("drained");
        forward(&mut path, &forwarding(active(SECOND), &ports));
        for token in [1, 2] {
            poll(&mut path, token, 10).expect("drained");
        }
        assert_eq!(receive_one(&near).0, frame(0x88b5, 100), "{polled:?}");
        assert_eq!(receive(&near), None, "{polled:?}");
    }
}

#[test]
fn a_port_may_go_down_come_back_and_vanish() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "down", 1);
    start(&host);
    let (far, near) = (socket(&peer, "b0"), socket(&host, "team0"));
    forward(&mut path, &forwarding(active(FIRST), &[FIRST]));
    let drain = |path: &mut DriverlessTeam, token| poll(path, token, 10).expect("drained");

    host.run("ip link set a0 down");
    near.send(&frame(0x88b5, 100)).expect("sent");
    assert_eq!(drain(&mut path, 0), Drained::Empty);
    assert_eq!(tx_dropped(&path), "ENETDOWN 1");
    assert_eq!(drain(&mut path, 1), Drained::Empty);
    host.run("ip link set a0 up");
    // The errors of both times down are still unread.
    host.run("ip link set a0 down");
    host.run("ip link set a0 up");
    // The kernel delays a carrier that came back; frames sent before are lost without an error.
    for (token, from, to) in [(0, &near, &far), (1, &far, &near)] {
        let arrived = comes_true(|| {
            from.send(&frame(0x88b5, 120)).expect("sent");
            drain(&mut path, token);
            receive(to).is_some_and(|received| received.0 == frame(0x88b5, 120))
        });
        assert!(arrived, "token {token}");
    }
    assert_eq!(tx_dropped(&path), "ENETDOWN 1");
    assert_eq!(counters(&path).rx_dropped.total(), 0);

    host.run("ip link del a0");
    near.send(&frame(0x88b5, 100)).expect("sent");
    assert_eq!(drain(&mut path, 0), Drained::Empty);
    assert_eq!(drain(&mut path, 1), Drained::Empty);
    assert_eq!(tx_dropped(&path), "ENXIO 1, ENETDOWN 1");
    path.detach(FIRST).expect("nothing to give back");
    near.send(&frame(0x88b5, 100)).expect("sent");
    drain(&mut path, 0);
    assert_eq!(counters(&path).tx_dropped, []);
}

#[test]
fn a_team_device_that_is_down_drops_and_one_that_is_gone_is_an_error() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "gone", 1);
    let far = socket(&peer, "b0");
    forward(&mut path, &forwarding(active(FIRST), &[FIRST]));
    far.send(&frame(0x88b5, 100)).expect("sent");
    for token in [0, 1] {
        let drained = poll(&mut path, token, 10);
        assert_eq!(drained.expect("no error"), Drained::Empty);
    }
    assert_eq!(counters(&path).rx_dropped.to_string(), "EIO 1");
    host.run("ip link del team0");
    assert!(poll(&mut path, 0, 10).is_err());
}

#[test]
fn a_full_queue_drops_and_counts() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "full", 1);
    start(&host);
    host.run("tc qdisc add dev a0 root tbf rate 8kbit burst 2000 limit 3000");
    let near = socket(&host, "team0");
    forward(&mut path, &forwarding(active(FIRST), &[FIRST]));
    for _ in 0..20 {
        near.send(&frame(0x88b5, 986)).expect("sent");
    }
    let drained = poll(&mut path, 0, 100);
    assert_eq!(drained.expect("no error"), Drained::Empty);
    // Two frames leave at once, three are queued; on a slow machine another one may leave.
    let dropped = counters(&path).tx_dropped[0].1.total();
    assert!((10..=15).contains(&dropped), "{dropped}");
}

#[test]
fn a_broadcast_leaves_on_every_port() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "broadcast", 2);
    start(&host);
    let near = socket(&host, "team0");
    let far = [socket(&peer, "b0"), socket(&peer, "b1")];
    forward(&mut path, &forwarding(TxPolicy::Broadcast, &[FIRST, SECOND]));
    let message = tcp_message(&[0x8100], 1, 1, 30000);
    near.send(&message).expect("sent");
    poll(&mut path, 0, 10).expect("drained");
    let received = far.each_ref().map(receive_one);
    assert!(received[0] == received[1]);
    assert!(far.iter().all(|far| receive(far).is_none()));
}

#[test]
fn buckets_are_counted_while_balanced() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "buckets", 1);
    start(&host);
    let near = socket(&host, "team0");
    for (balanced, counted) in [(false, 0), (true, 114), (true, 228), (false, 228)] {
        let policy = TxPolicy::LoadBalance {
            fields: HashFields::ETH,
            buckets: Arc::new([Some(FIRST); BUCKETS]),
            neighbours: false,
            balanced,
        };
        forward(&mut path, &forwarding(policy, &[FIRST]));
        near.send(&frame(0x88b5, 100)).expect("sent");
        poll(&mut path, 0, 10).expect("drained");
        let bytes = bucket_bytes(&path);
        assert_eq!(bytes.iter().sum::<u64>(), counted);
        assert!(bytes.iter().filter(|bytes| **bytes > 0).count() <= 1);
    }
}

#[test]
fn a_frame_without_a_port_is_counted() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (mut path, _port_state) = standing(&lab, &host, &peer, "no-port", 1);
    start(&host);
    let near = socket(&host, "team0");
    let nowhere = TxPolicy::ActiveBackup { active: None };
    forward(&mut path, &forwarding(nowhere, &[FIRST]));
    near.send(&frame(0x88b5, 100)).expect("sent");
    poll(&mut path, 0, 10).expect("drained");
    assert_eq!(counters(&path).tx_no_port, 1);
    assert_eq!(tx_dropped(&path), "");
}

/// Returns the errors that lost frames on the first port.
fn tx_dropped(path: &DriverlessTeam) -> String {
    counters(path).tx_dropped[0].1.to_string()
}
