//! tlb and alb: the host's own transmissions, and with alb its receptions, use both links.

use std::collections::BTreeMap;

use integration::traffic::{End, Pace, Stream, now};
use integration::{
    DataPath, Lab, Ping, Sharing, SwitchMoves, Teamr, team_config, teamr_command, wait_until,
};

use crate::load::{Load, quiet};
use crate::site::{PEERS, Site, end, mover};

#[test]
fn tlb_and_alb_need_the_relay() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    for runner in ["tlb", "alb"] {
        for path in [DataPath::Kernel, DataPath::Programs] {
            let config = team_config("team0", runner, path, &[]);
            let output = teamr_command(&host)
                .args(["-c", &config.to_string()])
                .output()
                .expect("start teamr");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success());
            assert!(stderr.contains("leave \"data_path\" out"), "{stderr}");
            assert!(!host.has_interface("team0"));
        }
    }
    for (runner, best) in [("slb", ["kernel", "programs"]), ("alb", ["relay", "relay"])] {
        let mut config = team_config("team0", runner, DataPath::Userspace, &[]);
        config["data_path"] = "auto".into();
        let team = Teamr::start(&host, &config);
        assert!(best.contains(&&*mover(&team)), "{runner}");
        let refused = team.state()["teamr"]["data_path_refused"].clone();
        assert_eq!(
            runner == "alb",
            refused["programs"] == "Operation not supported",
            "{refused}"
        );
        team.stop();
    }
}

/// The host itself sends traffic.
fn send_from_host(site: &Site) {
    site.host.address("br0", "10.0.0.200/24");
    site.host.address("br0", "fd00::200/64");
}

/// The host exchanges traffic with four peers, and its guests with theirs, while a link fails and
/// returns: as with slb, and the balanced traffic uses both links.
fn spreads(runner: &str, receives: bool) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let site = Site::new(&lab, runner, DataPath::Userspace);
    send_from_host(&site);
    let fourth = "10.0.0.104";
    site.peers[0].address("eth0", &format!("{fourth}/24"));
    let moves = SwitchMoves::watch(&site.switch);
    let (answered, twice, sent) = site.ping_all(3);
    assert_eq!((answered, twice), (sent, 0), "guests");
    let host = |port| End {
        interface: "br0".into(),
        ..end(&site.host, 200, port)
    };
    // The fourth peer is the first one with another address.
    let of = |number: u8| &site.peers[usize::from((number - 1) % PEERS)];
    let peer = |number: u8, port| end(of(number), 100 + number, port);
    for number in 1..=4_u8 {
        let target = format!("10.0.0.{}", 100 + number);
        assert!(Ping::run(&site.host, &target, 3, "").is_exact(), "{target}");
        let back = Ping::run(of(number), "10.0.0.200", 3, "");
        assert!(back.is_exact(), "from {target}");
    }
    for (number, peer) in (101..).zip(&site.peers) {
        assert!(Ping::run(peer, "fd00::200", 3, "").is_exact());
        assert!(Ping::run(&site.host, &format!("fd00::{number}"), 3, "").is_exact());
    }
    // Every peer learns its port within two seconds.
    let taught = |address: &str| {
        site.peers.iter().any(|peer| {
            let known = peer.run(&format!("ip neighbour show {address}"));
            known.contains("lladdr") && !known.contains(&site.host.hwaddr("team0"))
        })
    };
    if receives {
        for address in ["10.0.0.200", "fd00::200"] {
            let what = format!("a peer to be taught another way to {address}");
            wait_until(&what, || taught(address));
        }
    }
    let before = site.ways();
    let mut streams = Vec::new();
    for number in 1..=4_u8 {
        let port = 7100 + 10 * u16::from(number);
        streams.push(Stream::start(&host(port), &peer(number, port), None, 900));
        streams.push(Stream::start(
            &peer(number, port + 1),
            &host(port + 1),
            None,
            900,
        ));
    }
    // Connections at full speed, with so many streams, overflow the kernel's own queues.
    let load = Load::start(&site, Pace::Gentle);
    let until = now() + u64::try_from(quiet().as_nanos()).expect("a short time");
    wait_until("some seconds of traffic", || now() >= until);
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        assert!(trace.is_exact(), "{what}: lost {:?}", trace.lost());
    }
    for (what, trace) in load.finish() {
        assert!(trace.is_exact(), "{what}: lost {:?}", trace.lost());
    }
    let after = site.ways();
    let balanced = if receives { 2 } else { 1 };
    for (way, (before, after)) in before.iter().zip(&after).enumerate().take(balanced) {
        let crossed = [after[0] - before[0], after[1] - before[1]];
        println!("{runner}: {} {crossed:?}", ["sent", "received"][way]);
        let total: u64 = crossed.iter().sum();
        assert!(crossed.iter().all(|bytes| bytes * 4 > total), "{crossed:?}");
    }
    assert_eq!(
        moves.finish(),
        BTreeMap::new(),
        "addresses moved in the switch"
    );

    for cable in 0..2 {
        let mut streams = Vec::new();
        for number in 1..=4_u8 {
            let port = 7200 + 10 * u16::from(number);
            streams.push(Stream::start(&host(port), &peer(number, port), None, 64));
            streams.push(Stream::start(
                &peer(number, port + 1),
                &host(port + 1),
                None,
                64,
            ));
        }
        let port = ["eth1", "eth2"][cable];
        let pulled = now();
        site.cables[cable].pull();
        site.team.wait_port(port, false);
        let hwaddr = site.host.hwaddr("team0");
        let other = site.cables[1 - cable].far_interface();
        wait_until("the switch to find the host on the other link", || {
            site.switch.has_learned(&hwaddr, other)
        });
        let found = now();
        site.cables[cable].put_back();
        site.team.wait_port(port, true);
        let (answered, _, sent) = site.ping_all(2);
        assert_eq!(answered, sent, "guests with {port} again");
        for stream in streams {
            let what = stream.what().to_owned();
            let trace = stream.finish();
            let lost = trace.lost_outside(pulled - 100_000_000, found);
            assert!(
                lost.is_empty(),
                "{what}: lost {lost:?} of {}",
                trace.sent.len()
            );
            let (packets, silence) = trace.longest_outage();
            println!("{port} pulled, {what}: {packets} lost in a row, {silence:?}");
            assert!(packets <= 100, "{what}: {packets} lost in a row");
            assert_eq!(trace.duplicated(), 0, "{what}");
        }
    }
}

#[test]
fn tlb_spreads_what_the_host_sends() {
    spreads("tlb", false);
}

#[test]
fn alb_spreads_what_the_host_sends_and_receives() {
    spreads("alb", true);
}
