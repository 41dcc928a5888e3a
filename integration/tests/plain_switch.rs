//! A host with guests on two cables into one switch that knows nothing of a team.
//!
//! What goes wrong there with the runners that need an aggregate is shown first; then slb has to
//! do it right: nothing lost, nothing twice, no address that moves in the switch, both links
//! used. How long a guest is silent when a cable is pulled is judged by the packets lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use integration::traffic::{End, Stream, Trace, Transfer, now};
use integration::{
    Cable, CableKind, DataPath, Lab, Namespace, Ping, Sharing, Switch, SwitchMoves, Teamr,
    team_config, teamr_command, wait_until,
};

const PEERS: u8 = 3;

/// ```text
/// guests ── br0 ── team0 ─┬─ eth1 ══ left1 ── switch ── peers
///                         └─ eth2 ══ left2 ─────┘
/// ```
struct Site {
    host: Namespace,
    switch: Switch,
    cables: [Cable; 2],
    guests: Vec<Namespace>,
    peers: Vec<Namespace>,
    team: Teamr,
}

impl Site {
    fn new(lab: &Lab, runner: &str) -> Site {
        let (host, switch) = (lab.host("host"), lab.switch("switch"));
        let cables = [("eth1", "left1"), ("eth2", "left2")].map(|(near, far)| {
            let ends = ((&host, near), (switch.namespace(), far));
            lab.cable(ends.0, ends.1, CableKind::Virtual)
        });
        for cable in &cables {
            switch.plug(cable.far_interface());
        }
        let mut config = team_config("team0", runner, DataPath::Userspace, &["eth1", "eth2"]);
        // A switch may have a carrier before it forwards.
        config["link_watch"]["delay_up"] = 200.into();
        let team = Teamr::start(&host, &config);
        team.take_precedence();
        host.ip("link add name br0 type bridge stp_state 0");
        host.ip("link set dev team0 master br0 up");
        host.up("br0");
        let mut hosts = [Vec::new(), Vec::new()];
        for number in 1..=PEERS {
            let guest = lab.host(&format!("guest{number}"));
            let tap = format!("tap{number}");
            lab.cable((&guest, "eth0"), (&host, &tap), CableKind::Virtual);
            host.ip(&format!("link set dev {tap} master br0 up"));
            settle_in(&guest, number);
            hosts[0].push(guest);

            let peer = lab.host(&format!("peer{number}"));
            let port = format!("peer{number}");
            let cable = lab.cable(
                (&peer, "eth0"),
                (switch.namespace(), &port),
                CableKind::Virtual,
            );
            switch.plug(&port);
            settle_in(&peer, 100 + number);
            switch.wait_forwarding(&cable);
            hosts[1].push(peer);
        }
        for cable in &cables {
            switch.wait_forwarding(cable);
        }
        for port in ["eth1", "eth2"] {
            team.wait_port(port, true);
        }
        let [guests, peers] = hosts;
        Site {
            host,
            switch,
            cables,
            guests,
            peers,
            team,
        }
    }

    /// Every guest pings every host behind the switch, and is the first to speak. Requests
    /// answered, answers beyond the first, and requests sent.
    fn ping_all(&self, count: u32) -> (u32, u32, u32) {
        let (mut answered, mut twice, mut sent) = (0, 0, 0);
        for guest in &self.guests {
            for number in 1..=PEERS {
                let ping = Ping::run(guest, &format!("10.0.0.{}", 100 + number), count, "");
                answered += ping.answered;
                twice += ping.duplicates;
                sent += ping.sent;
            }
        }
        (answered, twice, sent)
    }

    /// Bytes that crossed each cable, both ways.
    fn bytes(&self) -> [u64; 2] {
        ["eth1", "eth2"].map(|port| {
            let statistics = self
                .host
                .run_json(&format!("ip -json -statistics link show dev {port}"));
            ["rx", "tx"]
                .iter()
                .map(|way| {
                    statistics[0]["stats64"][way]["bytes"]
                        .as_u64()
                        .expect("bytes")
                })
                .sum()
        })
    }

    /// The cable that the switch reaches a guest by.
    fn cable_of(&self, guest: usize) -> usize {
        let hwaddr = self.guests[guest].hwaddr("eth0");
        let reached = |cable: &Cable| self.switch.has_learned(&hwaddr, cable.far_interface());
        let found = self.cables.iter().position(reached);
        found.expect("the switch knows a guest that has just spoken")
    }
}

fn settle_in(host: &Namespace, number: u8) {
    host.up("eth0");
    host.address("eth0", &format!("10.0.0.{number}/24"));
    host.address("eth0", &format!("fd00::{number}/64"));
}

fn end(host: &Namespace, number: u8, port: u16) -> End {
    End {
        host: host.clone(),
        interface: "eth0".into(),
        address: SocketAddr::new([10, 0, 0, number].into(), port),
    }
}

/// Streams and connections between each guest and one host each, both ways.
struct Load {
    streams: Vec<Stream>,
    transfers: Vec<Transfer>,
}

impl Load {
    fn start(site: &Site) -> Load {
        let mut load = Load {
            streams: Vec::new(),
            transfers: Vec::new(),
        };
        for ((number, guest), peer) in (1..).zip(&site.guests).zip(&site.peers) {
            let guest = |port| end(guest, number, port);
            let peer = |port| end(peer, 100 + number, port);
            let group = Some([239, 1, 1, number].into());
            load.streams
                .push(Stream::start(&guest(7000), &peer(7000), None, 900));
            // A guest that only receives.
            load.streams
                .push(Stream::start(&peer(7001), &guest(7001), None, 900));
            load.streams
                .push(Stream::start(&peer(7002), &guest(7002), group, 64));
            load.transfers
                .push(Transfer::start(&guest(7003), &peer(7003)));
        }
        load
    }

    fn finish(self) -> Vec<(String, Trace)> {
        for transfer in self.transfers {
            let transferred = transfer.finish();
            assert!(transferred.is_complete(), "{transferred:?}");
        }
        let streams = self.streams.into_iter();
        streams
            .map(|stream| (stream.what().to_owned(), stream.finish()))
            .collect()
    }
}

/// How long the quiet part of the run takes: longer where somebody waits for the figure.
fn quiet() -> Duration {
    let seconds = std::env::var("TEAMR_LONG").map_or(3, |_| 60);
    Duration::from_secs(seconds)
}

#[test]
fn runners_for_an_aggregate_fail_on_a_plain_switch() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    for runner in ["roundrobin", "random", "loadbalance", "activebackup"] {
        let site = Site::new(&lab, runner);
        let moves = SwitchMoves::watch(&site.switch);
        let (answered, twice, sent) = site.ping_all(5);
        let moved: u32 = moves.finish().values().sum();
        println!(
            "{runner}: {answered} of {sent} pings answered, {twice} answers twice, {moved} moves in the switch"
        );
        if runner == "activebackup" {
            assert_eq!((answered, twice, moved), (sent, 0, 0), "{runner}");
        } else {
            assert!(answered < sent || twice > 0 || moved > 0, "{runner}");
        }
    }
}

#[test]
fn slb_carries_guests_on_both_links() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let site = Site::new(&lab, "slb");
    let moves = SwitchMoves::watch(&site.switch);
    let (answered, twice, sent) = site.ping_all(5);
    assert_eq!((answered, twice), (sent, 0));

    let before = site.bytes();
    let load = Load::start(&site);
    let until = now() + u64::try_from(quiet().as_nanos()).expect("a short time");
    while now() < until {
        let (answered, twice, sent) = site.ping_all(2);
        assert_eq!((answered, twice), (sent, 0));
    }
    let after = site.bytes();
    for (what, trace) in load.finish() {
        assert!(
            trace.is_exact(),
            "{what}: lost {:?} of {}, {} twice",
            trace.lost(),
            trace.sent.len(),
            trace.duplicated()
        );
    }
    let crossed = [after[0] - before[0], after[1] - before[1]];
    let total: u64 = crossed.iter().sum();
    println!("bytes by link: {crossed:?}");
    for bytes in crossed {
        assert!(bytes * 10 > total * 3, "{crossed:?}");
    }
    assert_eq!(
        moves.finish(),
        BTreeMap::new(),
        "addresses moved in the switch"
    );
}

#[test]
fn slb_moves_guests_when_a_link_goes_and_comes() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let site = Site::new(&lab, "slb");
    let (answered, twice, sent) = site.ping_all(2);
    assert_eq!((answered, twice), (sent, 0));
    for cable in 0..2 {
        let load = Load::start(&site);
        let port = ["eth1", "eth2"][cable];
        let pulled = now();
        site.cables[cable].pull();
        site.team.wait_port(port, false);
        let known = now();
        let other = site.cables[1 - cable].far_interface();
        for guest in &site.guests {
            let hwaddr = guest.hwaddr("eth0");
            wait_until("the switch to find every guest on the other link", || {
                site.switch.has_learned(&hwaddr, other)
            });
        }
        let found = now();
        site.cables[cable].put_back();
        site.team.wait_port(port, true);
        let (answered, _, sent) = site.ping_all(2);
        assert_eq!(answered, sent, "with {port} again");
        for (what, trace) in load.finish() {
            let (packets, silence) = trace.longest_outage();
            println!("{port} pulled, {what}: {packets} lost in a row, {silence:?}");
            // What was under way when the cable went may be lost, and what was sent until it was
            // known; nothing when the cable came back.
            let lost = trace.lost_outside(pulled - 100_000_000, known.max(found));
            assert!(
                lost.is_empty(),
                "{what}: lost {lost:?} of {}",
                trace.sent.len()
            );
            assert_eq!(trace.duplicated(), 0, "{what}");
            assert!(packets <= 100, "{what}: {packets} lost in a row");
        }
    }
    // Both links are used again.
    let cables: Vec<usize> = (0..3).map(|guest| site.cable_of(guest)).collect();
    assert!(cables.contains(&0) && cables.contains(&1), "{cables:?}");
}

#[test]
fn slb_on_the_kernels_driver_is_refused() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    let config = team_config("team0", "slb", DataPath::Kernel, &[]);
    let output = teamr_command(&host)
        .args(["-c", &config.to_string()])
        .output()
        .expect("start teamr");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("leave \"data_path\" out"), "{told}");
    assert!(!host.has_interface("team0"));
}
