//! The lab, without a team: the tools report exactly the traffic that exists.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use integration::traffic::{Capture, End, Stream, Transfer, now};
use integration::{Cable, CableKind, Lab, Namespace, Ping, Sharing, Switch, wait_until};

/// Two hosts on a switch.
struct Plain {
    left: Namespace,
    right: Namespace,
    switch: Switch,
    left_cable: Cable,
}

fn plain(lab: &Lab) -> Plain {
    let (left, right, switch) = (lab.host("left"), lab.host("right"), lab.switch("switch"));
    let left_cable = lab.cable((&left, "eth1"), (switch.namespace(), "left1"), CableKind::Virtual);
    let right_cable =
        lab.cable((&right, "eth1"), (switch.namespace(), "right1"), CableKind::Virtual);
    for port in ["left1", "right1"] {
        switch.plug(port);
    }
    for (host, number) in [(&left, 1), (&right, 2)] {
        host.up("eth1");
        host.address("eth1", &format!("10.0.0.{number}/24"));
        host.address("eth1", &format!("fd00::{number}/64"));
    }
    switch.wait_forwarding(&left_cable);
    switch.wait_forwarding(&right_cable);
    Plain { left, right, switch, left_cable }
}

fn end(host: &Namespace, address: &str) -> End {
    End::new(host, "eth1", address)
}

#[test]
fn complete_streams_are_exact_and_connections_complete() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let Plain { left, right, .. } = plain(&lab);
    let pairs = [("10.0.0.1:7000", "10.0.0.2:7000"), ("[fd00::1]:7001", "[fd00::2]:7001")];
    let mut streams = Vec::new();
    let mut transfers = Vec::new();
    for (near, far) in pairs {
        let (near, far) = (end(&left, near), end(&right, far));
        streams.push(Stream::start(&near, &far, None, 100));
        streams.push(Stream::start(&far, &near, None, 1400));
        transfers.push(Transfer::start(&near, &far));
    }
    let near = end(&left, "10.0.0.1:7010");
    let far = end(&right, "10.0.0.2:7010");
    streams.push(Stream::start(&near, &far, Some("239.1.1.1".parse().expect("a group")), 100));
    let near = end(&left, "[fd00::1]:7011");
    let far = end(&right, "[fd00::2]:7011");
    streams.push(Stream::start(&near, &far, Some("ff15::1".parse().expect("a group")), 100));

    assert!(Ping::run(&left, "10.0.0.2", 50, "").is_exact());
    assert!(Ping::run(&left, "fd00::2", 50, "").is_exact());
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        assert!(trace.is_exact(), "{what}: lost {:?} of {}", trace.lost(), trace.sent.len());
        assert_eq!(trace.reordered(), 0, "{what}");
    }
    for transfer in transfers {
        let transferred = transfer.finish();
        assert!(transferred.is_complete(), "{transferred:?}");
    }
}

#[test]
fn a_pulled_cable_loses_the_packets_sent_meanwhile() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let Plain { left, right, switch, left_cable } = plain(&lab);
    // Without it the host forgets its neighbour with the carrier and repeats the request only once
    // a second.
    let hwaddr = right.hwaddr("eth1");
    left.ip(&format!("neighbour replace 10.0.0.2 lladdr {hwaddr} dev eth1 nud permanent"));
    let (near, far) = (end(&left, "10.0.0.1:7000"), end(&right, "10.0.0.2:7000"));
    let stream = Stream::start(&near, &far, None, 100);
    assert!(Ping::run(&left, "10.0.0.2", 20, "").is_exact());

    let before = now();
    left_cable.pull();
    let pulled = now();
    wait_until("the near end to lose its carrier", || left.link("eth1")["operstate"] == "DOWN");
    let back = now();
    left_cable.put_back();
    switch.wait_forwarding(&left_cable);
    wait_until("the near end to have its carrier", || left.link("eth1")["operstate"] == "UP");
    let whole = now();
    assert!(Ping::run(&left, "10.0.0.2", 20, "").is_exact());

    let trace = stream.finish();
    let while_out = trace.sent.iter().filter(|at| (pulled..=back).contains(at)).count();
    assert!(while_out > 0, "nothing was sent while the cable was out");
    assert!(trace.lost().len() >= while_out);
    assert!(trace.lost_outside(before, whole).is_empty(), "lost while the cable was in");
    assert_eq!(trace.duplicated(), 0);
    assert_eq!(trace.longest_outage().0, trace.lost().len(), "all lost in one go");
    assert!(trace.longest_silence() > trace.longest_outage().1);
}

#[test]
fn copies_are_counted() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let Plain { left, right, .. } = plain(&lab);
    left.run("tc qdisc add dev eth1 clsact");
    // Packets to port 7000 are sent twice.
    left.run(
        "tc filter add dev eth1 egress protocol ip u32 match ip dport 7000 0xffff \
         action mirred egress mirror dev eth1",
    );
    let (near, far) = (end(&left, "10.0.0.1:7000"), end(&right, "10.0.0.2:7000"));
    let stream = Stream::start(&near, &far, None, 100);
    assert!(Ping::run(&left, "10.0.0.2", 20, "").is_exact());
    let trace = stream.finish();
    assert!(trace.lost().is_empty());
    assert!(trace.most_copies() > 1, "the second copy went unseen");
    assert_eq!(trace.duplicated(), trace.arrivals.len() - trace.sent.len());
}

#[test]
fn captures_recognize_frames() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let Plain { left, right, switch, .. } = plain(&lab);
    let capture = Capture::start(&left, "eth1");
    assert!(Ping::run(&left, "10.0.0.2", 3, "").is_exact());
    assert!(Ping::run(&left, "fd00::2", 3, "").is_exact());
    let frames = capture.finish();

    let (v4, v6) = (Ipv4Addr::new(10, 0, 0, 2), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
    let count = |matches: &dyn Fn(&integration::Frame) -> bool| {
        frames.iter().filter(|frame| matches(frame)).count()
    };
    assert_eq!(count(&|frame| frame.is_arp_reply(v4)), 1);
    assert_eq!(count(&|frame| frame.is_advertisement(v6)), 1);
    assert_eq!(count(&|frame| frame.is_echo_reply(v4.into())), 3);
    assert_eq!(count(&|frame| frame.is_echo_reply(v6.into())), 3);
    let reply = frames.iter().find(|frame| frame.is_arp_reply(v4)).expect("counted above");
    assert!(!reply.outgoing);
    assert_eq!(reply.source(), right.hwaddr("eth1"));
    assert!(frames.iter().any(|frame| frame.outgoing && frame.ether_type() == Some(0x0806)));

    assert!(switch.has_learned(&right.hwaddr("eth1"), "right1"));
    assert!(!switch.has_learned(&right.hwaddr("eth1"), "left1"));
}

#[test]
fn a_nic_cable_is_not_recognized_as_veth() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let (left, right) = (lab.host("left"), lab.host("right"));
    lab.cable((&left, "eth1"), (&right, "eth7"), CableKind::Nic);
    assert_eq!(left.link("eth1")["ifindex"], right.link("eth7")["ifindex"]);
}

#[test]
fn hosts_and_their_programs_end_with_the_test() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    let mut sleeper = host.start("sleep 1000");
    assert!(sleeper.ended().is_none());
    let entries = [sleeper.pid(), host.pid()].map(|pid| format!("/proc/{pid}"));
    assert!(entries.iter().all(|entry| Path::new(entry).exists()));
    let folder = lab.folder().to_owned();
    drop((sleeper, host, lab));
    assert!(!entries.iter().any(|entry| Path::new(entry).exists()));
    assert!(!folder.exists());
}
