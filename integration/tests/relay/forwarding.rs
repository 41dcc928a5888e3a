//! Frame by frame: which way each one goes, which are dropped, and what is counted.

use mio::Token;
use runners::{BUCKETS, HashFields, TxPolicy};
use teamr::datapath::relay::Userspace;
use teamr::datapath::{DataPath, Drained};

use crate::frames::{frame, hear, hear_one, socket, tcp_message};
use crate::lab::{FIRST, SECOND, active, forwarding, quiet_hosts, standing, start, wait};

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
