//! tlb and alb: the host's own transmissions, and with alb its receptions, use both links.

use std::collections::BTreeMap;

use integration::traffic::{End, Pace, Stream, now};
use integration::{
    DataPath, Lab, Namespace, Ping, Sharing, SwitchMoves, Teamr, on_own_data_paths, team_config,
    teamr_command, wait_until,
};

use crate::load::{Load, quiet};
use crate::site::{PEERS, Site, config, data_path_in_use, end};

#[test]
fn tlb_and_alb_need_another_data_path_than_the_kernels_driver() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    for runner in ["tlb", "alb"] {
        let config = team_config("team0", runner, DataPath::Kernel, &[]);
        let output =
            teamr_command(&host).args(["-c", &config.to_string()]).output().expect("start teamr");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains("leave \"data_path\" out"), "{stderr}");
        assert!(!host.has_interface("team0"));
    }
    for (runner, best) in [("slb", ["kernel", "programs"]), ("alb", ["programs", "programs"])] {
        let mut config = team_config("team0", runner, DataPath::Userspace, &[]);
        config["data_path"] = "auto".into();
        let team = Teamr::start(&host, &config);
        assert!(best.contains(&&*data_path_in_use(&team)), "{runner}");
        let refused = team.state()["teamr"]["data_path_refused"].clone();
        assert!(refused["programs"].is_null(), "{runner}: {refused}");
        team.stop();
    }
}

/// The host itself sends traffic.
fn send_from_host(site: &Site) {
    site.host.address("br0", "10.0.0.200/24");
    site.host.address("br0", "fd00::200/64");
}

/// The host's own traffic: it exchanges packets with four peers, of which the fourth is the first
/// one with another address.
struct HostTraffic<'a> {
    site: &'a Site,
}

impl<'a> HostTraffic<'a> {
    /// Gives host and peers their addresses and requires replies in both directions.
    fn set_up(site: &'a Site) -> HostTraffic<'a> {
        send_from_host(site);
        site.peers[0].address("eth0", "10.0.0.104/24");
        let (answered, copies, sent) = site.ping_all(3);
        assert_eq!((answered, copies), (sent, 0), "guests");
        let traffic = HostTraffic { site };
        for number in 1..=4_u8 {
            let target = format!("10.0.0.{}", 100 + number);
            assert!(Ping::run(&site.host, &target, 3, "").is_exact(), "{target}");
            let back = Ping::run(traffic.peer(number), "10.0.0.200", 3, "");
            assert!(back.is_exact(), "from {target}");
        }
        for (number, peer) in (101..).zip(&site.peers) {
            assert!(Ping::run(peer, "fd00::200", 3, "").is_exact());
            assert!(Ping::run(&site.host, &format!("fd00::{number}"), 3, "").is_exact());
        }
        traffic
    }

    /// Returns the host of a peer's address.
    fn peer(&self, number: u8) -> &Namespace {
        &self.site.peers[usize::from((number - 1) % PEERS)]
    }

    /// Starts a stream in each direction between the host and each peer.
    fn start(&self, first_port: u16, size: usize) -> Vec<Stream> {
        let ends = |number: u8, port| {
            let host = End { interface: "br0".into(), ..end(&self.site.host, 200, port) };
            (host, end(self.peer(number), 100 + number, port))
        };
        let streams = |number: u8| {
            let port = first_port + 10 * u16::from(number);
            let (host, peer) = ends(number, port);
            let out = Stream::start(&host, &peer, None, size);
            let (host, peer) = ends(number, port + 1);
            [out, Stream::start(&peer, &host, None, size)]
        };
        (1..=4).flat_map(streams).collect()
    }

    /// Waits until a peer has learned another port's address for the host: alb announces it within
    /// two seconds.
    fn wait_receive_balancing(&self) {
        let hwaddr = self.site.host.hwaddr("team0");
        for address in ["10.0.0.200", "fd00::200"] {
            wait_until(&format!("a peer to learn another port for {address}"), || {
                self.site.peers.iter().any(|peer| {
                    let known = peer.run(&format!("ip neighbour show {address}"));
                    known.contains("lladdr") && !known.contains(&hwaddr)
                })
            });
        }
    }
}

/// The traffic of the host and of its guests uses both links, without losses; `ways` are the
/// directions in which the host's traffic is balanced.
fn balance(runner: &str, traffic: &HostTraffic<'_>, ways: &[&str]) {
    let site = traffic.site;
    let before = site.ways();
    let streams = traffic.start(7100, 900);
    // Connections at full speed, with so many streams, overflow the kernel's own queues.
    let load = Load::start(site, Pace::Gentle);
    let until = now() + u64::try_from(quiet().as_nanos()).expect("a short time");
    wait_until("some seconds of traffic", || now() >= until);
    let host = streams.into_iter().map(|stream| (stream.what().to_owned(), stream.finish()));
    for (what, trace) in host.chain(load.finish()) {
        assert!(trace.is_exact(), "{what}: lost {:?}", trace.lost());
    }
    for (way, (before, after)) in ways.iter().zip(before.iter().zip(&site.ways())) {
        let crossed = [after[0] - before[0], after[1] - before[1]];
        println!("{runner}: {way} {crossed:?}");
        let total: u64 = crossed.iter().sum();
        assert!(crossed.iter().all(|bytes| bytes * 4 > total), "{crossed:?}");
    }
}

/// A cable is pulled and put back: the host's traffic continues on the other link.
fn fail_over(traffic: &HostTraffic<'_>, cable: usize) {
    let site = traffic.site;
    let streams = traffic.start(7200, 64);
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
        let lost = trace.lost_outside(pulled.saturating_sub(100_000_000), found);
        assert!(lost.is_empty(), "{what}: lost {lost:?} of {}", trace.sent.len());
        let (packets, silence) = trace.longest_outage();
        println!("{port} pulled, {what}: {packets} lost in a row, {silence:?}");
        assert!(packets <= 100, "{what}: {packets} lost in a row");
        assert_eq!(trace.duplicated(), 0, "{what}");
    }
}

/// Traffic of the host and of its guests while a link fails and returns: as with slb, and the
/// host's traffic is balanced in the directions `ways`.
fn spreads(runner: &str, path: DataPath, ways: &[&str]) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let site = Site::new(&lab, runner, path);
    let moves = SwitchMoves::watch(&site.switch);
    let traffic = HostTraffic::set_up(&site);
    if ways.contains(&"received") {
        traffic.wait_receive_balancing();
    }
    balance(runner, &traffic, ways);
    assert_eq!(moves.finish(), BTreeMap::new(), "addresses moved in the switch");
    for cable in 0..2 {
        fail_over(&traffic, cable);
    }
}

fn tlb_spreads_what_the_host_sends(path: DataPath) {
    spreads("tlb", path, &["sent"]);
}

fn alb_spreads_what_the_host_sends_and_receives(path: DataPath) {
    spreads("alb", path, &["sent", "received"]);
}

on_own_data_paths! {
    tlb_spreads_what_the_host_sends
    alb_spreads_what_the_host_sends_and_receives
}

/// A crash of the daemon, another data path or another runner of the kind loses no packet.
#[test]
fn alb_continues_after_a_crash_and_across_data_paths_and_runners() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let mut site = Site::new(&lab, "alb", DataPath::Programs);
    HostTraffic::set_up(&site).wait_receive_balancing();
    let moves = SwitchMoves::watch(&site.switch);
    let streams = HostTraffic { site: &site }.start(7300, 64);
    let let_pass = |site: &Site| {
        let until = site.bytes()[0] + 60_000;
        wait_until("traffic to pass", || site.bytes()[0] > until);
    };
    let_pass(&site);
    site.team.crash();
    site.team = Teamr::start_args(&site.host, &config("alb", DataPath::Programs), &["-o"]);
    site.team.take_precedence();
    site.team.wait_ports_up(&["eth1", "eth2"]);
    let_pass(&site);
    for path in ["relay", "programs"] {
        site.team.ask(&format!("state item set teamr.data_path {path}"));
        assert_eq!(data_path_in_use(&site.team), path);
        let_pass(&site);
    }
    for runner in ["tlb", "alb"] {
        let file = site.host.folder().join(format!("{runner}.json"));
        let text = config(runner, DataPath::Programs).to_string();
        std::fs::write(&file, text).expect("write a configuration");
        site.team.ask(&format!("reload {}", file.display()));
        assert_eq!(data_path_in_use(&site.team), "programs");
        let_pass(&site);
    }
    for stream in streams {
        let what = stream.what().to_owned();
        assert_eq!(stream.finish().lost(), Vec::<u64>::new(), "{what}");
    }
    assert_eq!(moves.finish(), BTreeMap::new(), "addresses moved in the switch");
}
