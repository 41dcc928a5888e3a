//! A host with guests on two cables into one switch that knows nothing of a team.
//!
//! What goes wrong there with the runners that need an aggregate is shown first; then slb has to
//! do it right: nothing lost, nothing twice, no address that moves in the switch, both links
//! used. How long a guest is silent when a cable is pulled is judged by the packets lost.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use integration::traffic::{End, Pace, Stream, Trace, Transfer, now};
use integration::{
    Cable, CableKind, DataPath, Lab, Namespace, Ping, Process, Sharing, Switch, SwitchMoves, Teamr,
    binary, in_guest, team_config, teamr_command, wait_for, wait_until,
};
use serde_json::Value;

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
    fn new(lab: &Lab, runner: &str, path: DataPath) -> Site {
        let (host, switch) = (lab.host("host"), lab.switch("switch"));
        let cables = [("eth1", "left1"), ("eth2", "left2")].map(|(near, far)| {
            let ends = ((&host, near), (switch.namespace(), far));
            lab.cable(ends.0, ends.1, CableKind::Virtual)
        });
        for cable in &cables {
            switch.plug(cable.far_interface());
        }
        let config = config(runner, path);
        let team = Teamr::start(&host, &config);
        team.take_precedence();
        assert_eq!(mover(&team), path.name());
        // With the address of the team device, as bridges take the lowest of their ports'. With
        // others, which change as ports come, it would be dealt buckets between the guests.
        let hwaddr = host.hwaddr("team0");
        host.ip(&format!(
            "link add name br0 address {hwaddr} type bridge stp_state 0"
        ));
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

fn config(runner: &str, path: DataPath) -> Value {
    let mut config = team_config("team0", runner, path, &["eth1", "eth2"]);
    // A switch may have a carrier before it forwards.
    config["link_watch"]["delay_up"] = 200.into();
    config
}

/// What moves the frames.
fn mover(team: &Teamr) -> String {
    let mover = &team.state()["teamr"]["data_path"];
    mover.as_str().expect("a data path").to_owned()
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
    fn start(site: &Site, pace: Pace) -> Load {
        let mut load = Load {
            streams: Vec::new(),
            transfers: Vec::new(),
        };
        for ((number, guest), peer) in (1..).zip(&site.guests).zip(&site.peers) {
            let guest = |port| end(guest, number, port);
            let peer = |port| end(peer, 100 + number, port);
            let group = Some([239, 1, 1, number].into());
            for (from, to, group, size) in [
                (guest(7000), peer(7000), None, 900),
                // A guest that only receives.
                (peer(7001), guest(7001), None, 900),
                (peer(7002), guest(7002), group, 64),
            ] {
                load.streams
                    .push(Stream::start_at(pace, &from, &to, group, size));
            }
            load.transfers
                .push(Transfer::start_at(pace, &guest(7003), &peer(7003)));
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
        let site = Site::new(&lab, runner, DataPath::Userspace);
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

fn carries_guests_on_both_links(site: &Site, pace: Pace) {
    let moves = SwitchMoves::watch(&site.switch);
    let (answered, twice, sent) = site.ping_all(5);
    assert_eq!((answered, twice), (sent, 0));

    let before = site.bytes();
    let load = Load::start(site, pace);
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

fn moves_guests_when_a_link_goes_and_comes(site: &Site, pace: Pace) {
    let (answered, twice, sent) = site.ping_all(2);
    assert_eq!((answered, twice), (sent, 0));
    for cable in 0..2 {
        let load = Load::start(site, pace);
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
            let most = if pace == Pace::Full { 100 } else { 2 };
            assert!(packets <= most, "{what}: {packets} lost in a row");
        }
    }
    // Both links are used again.
    let cables: Vec<usize> = (0..3).map(|guest| site.cable_of(guest)).collect();
    assert!(cables.contains(&0) && cables.contains(&1), "{cables:?}");
}

/// Neither a crash, nor another daemon, nor another data path makes a guest change its link.
fn goes_on_after_a_crash(mut site: Site, path: DataPath, then: &[&str], pace: Pace) {
    let (answered, twice, sent) = site.ping_all(2);
    assert_eq!((answered, twice), (sent, 0));
    let moves = SwitchMoves::watch(&site.switch);
    let load = Load::start(&site, pace);
    let let_pass = |site: &Site| {
        let enough = if pace == Pace::Full {
            3_000_000
        } else {
            60_000
        };
        let until = site.bytes()[0] + enough;
        wait_until("traffic to pass", || site.bytes()[0] > until);
    };
    let_pass(&site);
    site.team.crash();
    site.team = Teamr::start_args(&site.host, &config("slb", path), &["-o"]);
    site.team.take_precedence();
    for port in ["eth1", "eth2"] {
        site.team.wait_port(port, true);
    }
    let_pass(&site);
    for path in then {
        site.team
            .ask(&format!("state item set teamr.data_path {path}"));
        assert_eq!(mover(&site.team), *path);
        let_pass(&site);
    }
    for (what, trace) in load.finish() {
        assert_eq!(trace.lost(), Vec::<u64>::new(), "{what}");
    }
    assert_eq!(
        moves.finish(),
        BTreeMap::new(),
        "addresses moved in the switch"
    );
    // The end of the second daemon takes away what the first one made.
    site.team.stop();
    for port in ["eth1", "eth2"] {
        let left = site.host.run(&format!("tc qdisc show dev {port}"));
        assert!(!left.contains("clsact"), "{port}: {left}");
    }
}

#[test]
fn slb_goes_on_after_a_crash_and_from_programs_to_the_relay_and_back() {
    on_a_site(DataPath::Programs, |site| {
        goes_on_after_a_crash(site, DataPath::Programs, &["relay", "programs"], Pace::Full);
    });
}

/// The kernel's driver, with programs that have the rules.
#[test]
fn slb_does_all_of_it_in_a_guest() {
    in_guest(|_| {
        on_a_site(DataPath::Kernel, |site| {
            carries_guests_on_both_links(&site, Pace::Gentle);
            moves_guests_when_a_link_goes_and_comes(&site, Pace::Gentle);
            goes_on_after_a_crash(site, DataPath::Kernel, &[], Pace::Gentle);
        });
    });
}

fn on_a_site(path: DataPath, case: impl FnOnce(Site)) {
    if let Some(lab) = Lab::open(Sharing::Alone) {
        case(Site::new(&lab, "slb", path));
    }
}

macro_rules! on_data_path {
    ($module:ident, $path:expr) => {
        mod $module {
            use super::*;

            #[test]
            fn slb_carries_guests_on_both_links() {
                on_a_site($path, |site| {
                    carries_guests_on_both_links(&site, Pace::Full)
                });
            }

            #[test]
            fn slb_moves_guests_when_a_link_goes_and_comes() {
                on_a_site($path, |site| {
                    moves_guests_when_a_link_goes_and_comes(&site, Pace::Full);
                });
            }

            #[test]
            fn the_news_and_the_metrics_tell_of_a_failover() {
                news_and_metrics_tell_of_a_failover($path);
            }
        }
    };
}

on_data_path!(relay, DataPath::Userspace);
on_data_path!(programs, DataPath::Programs);

#[test]
fn tlb_and_alb_are_for_the_relay() {
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
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success());
            assert!(told.contains("leave \"data_path\" out"), "{told}");
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

/// What the doctor names first; none if nothing is wrong.
fn first_finding(site: &Site) -> Option<String> {
    let output = site.team.ctl("doctor --json");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problem = found["team0"][0]["problem"] == true;
    assert_eq!(output.status.code(), Some(if problem { 2 } else { 0 }));
    let id = found["team0"][0]["id"].as_str()?;
    problem.then(|| id.to_owned())
}

#[test]
fn the_doctor_tells_a_plain_switch_by_its_probes() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    for (runner, path, first) in [
        (
            "roundrobin",
            DataPath::Userspace,
            Some("guests-on-plain-switch"),
        ),
        (
            "broadcast",
            DataPath::Userspace,
            Some("broadcast-one-network"),
        ),
        ("activebackup", DataPath::Userspace, None),
        ("slb", DataPath::Userspace, None),
        ("slb", DataPath::Programs, None),
    ] {
        let site = Site::new(&lab, runner, path);
        let told = || site.team.log().contains("What leaves on \"eth");
        // By itself it looks only where a plain switch is wrong.
        if ["roundrobin", "broadcast"].contains(&runner) {
            wait_until("the team to find the plain switch by itself", told);
        } else {
            assert_eq!(site.team.ask("state item get teamr.probe_rounds"), "0\n");
        }
        assert_eq!(first_finding(&site).as_deref(), first, "{runner}");
        if first.is_none() {
            assert!(!told(), "{runner}: {}", site.team.log());
        }
        if runner != "activebackup" {
            continue;
        }
        // Into a network of its own; the guests are asked nothing, so nobody else would tell.
        site.switch.unplug(site.cables[1].far_interface());
        site.team.wait_port("eth2", true);
        assert_eq!(first_finding(&site).as_deref(), Some("separate-networks"));
        site.cables[1].pull();
        site.team.wait_port("eth2", false);
        assert_eq!(first_finding(&site).as_deref(), Some("port-without-link"));
        site.host.ip("link set dev team0 down");
        assert_eq!(first_finding(&site).as_deref(), Some("device-down"));
    }
}

fn news_and_metrics_tell_of_a_failover(path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = Site::new(&lab, "slb", path);
    let (answered, _, sent) = site.ping_all(1);
    assert_eq!(answered, sent);
    let mut command = site.host.command(binary("teamrctl"));
    command.args(["team0", "watch", "--json"]);
    let mut watch = Process::start("watch", lab.folder(), command);
    let told = |watch: &Process, kind: &str, text: &str| {
        let log = watch.log();
        let news = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut news = news.filter(|news| news["kind"] == kind);
        news.any(|news| {
            news["text"]
                .as_str()
                .is_some_and(|told| told.contains(text))
        })
    };
    // The first look only tells how things stand: go on until one has come after it.
    wait_until("the watch to see a port forbidden and allowed", || {
        for allowed in ["false", "true"] {
            site.team.ask(&format!(
                "state item set ports.eth2.teamr.allowed {allowed}"
            ));
        }
        told(&watch, "allowed", "eth2 may carry traffic")
    });
    let designated = site.team.ask("state item get runner.designated_port");
    let designated = designated.trim_end();
    let cable = if designated == "eth1" { 0 } else { 1 };
    site.cables[cable].pull();
    wait_until("the watch to tell of the failover", || {
        told(
            &watch,
            "forwarding",
            &format!("failover from {designated} decided"),
        ) && told(&watch, "moved", "stations moved and were announced")
    });
    watch.kill();

    let other = if designated == "eth1" { "eth2" } else { "eth1" };
    let metrics = site.team.ask("metrics");
    for sample in [
        format!(
            "teamr_info{{team=\"team0\",runner=\"slb\",data_path=\"{}\"}} 1",
            path.name()
        ),
        format!("teamr_port_up{{team=\"team0\",port=\"{designated}\"}} 0"),
        format!("teamr_port_active{{team=\"team0\",port=\"{other}\"}} 1"),
    ] {
        assert!(
            metrics.lines().any(|line| line == sample),
            "{sample}\n{metrics}"
        );
    }
    assert!(metrics.ends_with("\n# EOF\n"));
    let file = lab.folder().join("teamr.prom");
    site.team.ask(&format!("metrics file {}", file.display()));
    let written = std::fs::read_to_string(&file).expect("a file of metrics");
    assert!(written.ends_with("\n# EOF\n"));

    let socket = lab.folder().join("metrics.sock");
    let mut command = site.host.command(binary("teamrctl"));
    command.args(["team0", "metrics", "serve"]).arg(&socket);
    let mut server = Process::start("metrics", lab.folder(), command);
    let mut stream = wait_for("the metrics to be served", || {
        UnixStream::connect(&socket).ok()
    });
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        .expect("send a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\n# EOF\n"), "{answer}");
    server.kill();
}

/// The host itself speaks.
fn speak_by_host(site: &Site) {
    site.host.address("br0", "10.0.0.200/24");
    site.host.address("br0", "fd00::200/64");
}

/// Bytes that crossed each cable, sent and received apart.
fn ways(site: &Site) -> [[u64; 2]; 2] {
    ["tx", "rx"].map(|way| {
        ["eth1", "eth2"].map(|port| {
            let statistics = site
                .host
                .run_json(&format!("ip -json -statistics link show dev {port}"));
            statistics[0]["stats64"][way]["bytes"]
                .as_u64()
                .expect("bytes")
        })
    })
}

/// The host talks with four peers, its guests with theirs, a link goes and comes: all of it as
/// with slb, and what is spread is on both links.
fn spreads(runner: &str, receives: bool) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let site = Site::new(&lab, runner, DataPath::Userspace);
    speak_by_host(&site);
    let fourth = "10.0.0.104";
    site.peers[0].address("eth0", &format!("{fourth}/24"));
    let moves = SwitchMoves::watch(&site.switch);
    let (answered, twice, sent) = site.ping_all(3);
    assert_eq!((answered, twice), (sent, 0), "guests");
    let host = |port| End {
        interface: "br0".into(),
        ..end(&site.host, 200, port)
    };
    // The fourth peer is the first one by another address.
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
    // Everybody has been taught his port by now, or is within two seconds.
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
    let before = ways(&site);
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
    // Beside so many streams connections at full speed overflow the kernel's own queues.
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
    let after = ways(&site);
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
