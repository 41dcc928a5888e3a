//! `runner.keepalive`: the kernel answers the LACP partner while the daemon is frozen or gone, and
//! answers nothing that could mislead a partner.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

mod minutes;
#[path = "../conformance/open_vswitch.rs"]
mod open_vswitch;
mod troubles;

use std::time::{Duration, Instant};
use std::{env, fs};

use integration::traffic::{Pace, Stream, Wire};
use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Sharing, Teamr, TwoTeams, binary, on_own_data_paths,
    tcx, team_config, wait_until,
};
use nix::sys::signal::Signal;
use runners::HwAddr;
use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use serde_json::Value;
use teamr::sys::bpf::Hook;

const LINKS: [&str; 2] = ["eth1", "eth2"];
/// Fast_Periodic_Time of teams on a real clock.
const PERIOD: Duration = Duration::from_millis(100);
/// Longest wait for an answer: longer than the least pause of the program between two answers.
const ANSWER: Duration = Duration::from_millis(150);
const KEEP_DEVICE: [&str; 2] = ["-N", "-o"];
const PAYLOAD: usize = 14;
const PROGRAM: &str = "teamr_keepalive";
/// Environment variable: number of upgrades, by default 3.
const UPGRADES: &str = "TEAMR_UPGRADES";

fn config(data_path: DataPath, ports: &[&str]) -> Value {
    let mut config = team_config("team0", "lacp", data_path, ports);
    config["runner"]["fast_rate"] = true.into();
    config["runner"]["fast_period"] = (PERIOD.as_millis() as u64).into();
    config
}

fn answered(teamr: &Teamr, port: &str) -> u64 {
    let kept = &teamr.state_at_socket()["ports"][port]["teamr"]["lacp"]["keepalive"];
    kept["answered"].as_u64().unwrap_or_else(|| panic!("{kept}"))
}

fn is_armed(teamr: &Teamr, port: &str) -> bool {
    let kept = &teamr.state_at_socket()["ports"][port]["teamr"]["lacp"]["keepalive"];
    kept["armed"] == true
}

/// Returns the names of the programs at the ingress hook of an interface of a host, by TCX.
fn programs(host: &Namespace, interface: &str) -> Vec<String> {
    tcx::programs(host, interface, Hook::Ingress).unwrap_or_default()
}

/// Returns the log lines about transitions of the machines.
fn transitions(teamr: &Teamr) -> Vec<String> {
    let log = teamr.log();
    let entered = log.lines().filter(|line| line.contains("machine enters"));
    entered.map(str::to_owned).collect()
}

/// A partner that the test plays on the far end of `eth1`.
struct Partner {
    wire: Wire,
    info: PortInfo,
    source: HwAddr,
    /// The Actor as the team describes it.
    team: PortInfo,
    /// The last LACPDU of the team.
    last: Vec<u8>,
}

impl Partner {
    /// Brings the team to distribute to this partner.
    fn negotiate(pair: &HostAndPeer) -> Partner {
        let info = PortInfo {
            system_priority: 7,
            system: HwAddr([2, 0, 0, 0, 7, 0]),
            key: 77,
            port_priority: 9,
            port: 3,
            state: StateBits(0x3f),
        };
        let mut partner = Partner {
            wire: Wire::open(&pair.peer, "eth1"),
            info,
            source: HwAddr([2, 0, 0, 0, 7, 1]),
            team: PortInfo::default(),
            last: Vec::new(),
        };
        wait_until("the team to distribute", || {
            let Some((_, frame)) = partner.wire.receive(PERIOD) else { return false };
            partner.team = Lacpdu::parse(&frame[PAYLOAD..]).expect("an LACPDU").actor;
            partner.last = frame;
            partner.wire.send(&partner.pdu());
            partner.team.state == StateBits(0x3f)
        });
        partner
    }

    fn pdu(&self) -> Vec<u8> {
        Lacpdu::new(self.info, self.team, None).frame(self.source)
    }

    /// Receives what the team has sent, until nothing comes in two periods; returns the last
    /// LACPDU.
    fn last_lacpdu(&mut self) -> Vec<u8> {
        while let Some((_, frame)) = self.wire.receive(2 * PERIOD) {
            self.last = frame;
        }
        self.last.clone()
    }

    /// Sends a frame and returns the answer.
    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        self.wire.send(frame);
        self.wire.receive(ANSWER).map(|(_, frame)| frame)
    }
}

/// A team with the port `eth1`, whose daemon is frozen; and its partner.
fn frozen(lab: &Lab, data_path: DataPath) -> (HostAndPeer, Teamr, Partner) {
    let pair = HostAndPeer::new(lab, &["eth1"]);
    pair.peer.up("eth1");
    let mut teamr = Teamr::start(&pair.host, &config(data_path, &["eth1"]));
    pair.host.up("team0");
    let partner = Partner::negotiate(&pair);
    wait_until("the program to be ready", || is_armed(&teamr, "eth1"));
    teamr.signal(Signal::SIGSTOP);
    (pair, teamr, partner)
}

/// Returns frames that differ from the partner's last LACPDU, each with the difference. An answer
/// to any of these frames could mislead a partner.
fn misleading(partner: &Partner) -> Vec<(&'static str, Vec<u8>)> {
    let (info, team) = (partner.info, partner.team);
    let pdu = |actor, view| Lacpdu::new(actor, view, None).frame(partner.source);
    let with = |state| pdu(PortInfo { state: StateBits(state), ..info }, team);
    let view = |state| pdu(info, PortInfo { state: StateBits(state), ..team });
    let same = partner.pdu();
    let tagged = [&same[..12], &[0x81, 0, 0xe0, 0], &same[12..]].concat();
    let mut of_version_2 = same.clone();
    of_version_2[PAYLOAD + 1] = 2;
    let mut marker = same.clone();
    marker[PAYLOAD] = 2;
    let mut unicast = same.clone();
    unicast[..6].copy_from_slice(&partner.team.system.0);
    let system = HwAddr([2, 0, 0, 0, 7, 9]);
    vec![
        ("another switch", pdu(PortInfo { system, ..info }, team)),
        ("another port of the switch", pdu(PortInfo { port: 4, ..info }, team)),
        ("another address", Lacpdu::new(info, team, None).frame(system)),
        ("another key", pdu(PortInfo { key: 78, ..info }, team)),
        ("another priority", pdu(PortInfo { port_priority: 8, ..info }, team)),
        ("a partner out of sync", with(0x37)),
        ("a partner that does not collect", with(0x2f)),
        ("a partner that does not distribute", with(0x1f)),
        ("a partner that expired", with(0xbf)),
        ("a partner with Long Timeout", with(0x3d)),
        ("a partner that heard another port", pdu(info, PortInfo { port: 99, ..team })),
        ("a partner that heard another key", pdu(info, PortInfo { key: 99, ..team })),
        ("a partner that heard no LACPDU", pdu(info, PortInfo::default())),
        ("a partner that heard of another state", view(0x0f)),
        ("a priority tag", tagged),
        ("a short frame", same[..110].to_vec()),
        ("another version", of_version_2),
        ("a marker", marker),
        ("another destination", unicast),
    ]
}

/// The program answers the partner's LACPDU with the team's last one, and nothing else.
fn only_the_last_lacpdu_is_answered(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let (pair, _teamr, mut partner) = frozen(&lab, data_path);
    let last = partner.last_lacpdu();
    let same = partner.pdu();
    for (what, frame) in misleading(&partner) {
        assert_eq!(partner.answer(&frame), None, "{what}");
        assert_eq!(partner.answer(&same).as_ref(), Some(&last), "after {what}");
        assert_eq!(partner.wire.receive(ANSWER), None);
    }
    let mut reserved = same.clone();
    for place in [33, 34, 35, 53, 54, 55, 58, 59, 120] {
        reserved[place] = 0xee;
    }
    let longer = [&same[..], &[0; 60]].concat();
    for (what, frame) in [("reserved bytes", reserved), ("a longer frame", longer)] {
        assert_eq!(partner.answer(&frame).as_ref(), Some(&last), "{what}");
        assert_eq!(partner.wire.receive(ANSWER), None);
    }
    partner.wire.send(&same);
    partner.wire.send(&same);
    assert!(partner.wire.receive(ANSWER).is_some());
    assert_eq!(partner.wire.receive(ANSWER), None, "two answers without a pause");
    pair.host.down("team0");
    assert_eq!(partner.answer(&same), None, "the team device is down");
    pair.host.up("team0");
    wait_until("an answer with the team device up again", || {
        partner.answer(&same).as_ref() == Some(&last)
    });
    assert_eq!(partner.wire.receive(ANSWER), None);
    pair.host.ip("link delete dev team0");
    assert_eq!(partner.answer(&same), None, "the team device is gone");
}

on_own_data_paths! {
    only_the_last_lacpdu_is_answered
    a_detached_program_comes_back
}

/// Packets of a stream that pass while a daemon is away: eight seconds.
const AWAY: u64 = 8000;

fn pass_packets(host: &Namespace, count: u64) {
    let sent = || host.statistics("team0")["tx"]["packets"].as_u64();
    let until = sent().map(|sent| sent + count);
    wait_until("packets to pass", || sent() >= until);
}

fn carry(teams: [&Teamr; 2]) {
    wait_until("both ports to carry at both ends", || teams.map(Teamr::carrying) == [LINKS, LINKS]);
}

/// A daemon is frozen for eight periods, killed, and started again: the partner notices nothing, no
/// packet is lost, and the counters of answers go on. At the end of the team no program is left.
#[test]
fn a_partner_notices_neither_a_frozen_nor_a_killed_daemon() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let (left, right) = (&hosts.left, &hosts.right);
    let mut config = config(DataPath::Programs, &LINKS);
    config["runner"]["fast_period"] = 1000.into();
    let mut team = Teamr::start_args(left, &config, &KEEP_DEVICE);
    let partner = Teamr::start_args(right, &config, &["-g"]);
    hosts.set_up_teams();
    carry([&team, &partner]);
    wait_until("the programs to be ready", || LINKS.iter().all(|port| is_armed(&team, port)));
    let before = transitions(&partner);
    assert!(!before.is_empty(), "the log has no transitions");
    let (there, back) = (hosts.ends(7000), hosts.ends(7001));
    let streams = [
        Stream::start(&there[0], &there[1], None, 64),
        Stream::start(&back[1], &back[0], None, 64),
    ];
    team.signal(Signal::SIGSTOP);
    pass_packets(left, AWAY);
    team.signal(Signal::SIGCONT);
    let while_frozen = answered(&team, "eth1");
    // The program answers once a period, but not in the first one and a half.
    assert!((5..=9).contains(&while_frozen), "{while_frozen} answers");
    carry([&team, &partner]);
    pass_packets(left, 500);
    team.crash();
    pass_packets(left, AWAY);
    let team = Teamr::start_args(left, &config, &KEEP_DEVICE);
    carry([&team, &partner]);
    let in_all = answered(&team, "eth1");
    println!("The kernel answered {while_frozen} LACPDUs, then {}.", in_all - while_frozen);
    assert!(in_all >= while_frozen + 5, "{in_all} answers");
    assert_eq!(transitions(&partner), before, "transitions of the partner");
    for stream in streams {
        let trace = stream.finish();
        assert_eq!(trace.lost(), Vec::<u64>::new());
    }
    let doctor = String::from_utf8_lossy(&team.ctl("doctor").stdout).into_owned();
    assert!(doctor.contains("[lacp-kept-alive]"), "{doctor}");
    assert!(programs(left, "eth1").contains(&PROGRAM.to_owned()));
    assert!(team.stop().success());
    let team = Teamr::start_args(left, &config, &["-o"]);
    carry([&team, &partner]);
    assert!(team.stop().success());
    assert_eq!(programs(left, "eth1"), Vec::<String>::new());
}

/// Packets of the dense stream that pass during one upgrade: almost a second.
const UPGRADE: u64 = 9100;

/// The daemon stops and one of another file starts, [`UPGRADES`] times beside a stream in each
/// direction: the partner notices nothing, and no packet is lost.
#[test]
fn upgrades_lose_no_packet() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let count: u64 = env::var(UPGRADES).map_or(3, |count| count.parse().expect("a number"));
    let hosts = TwoTeams::new(&lab);
    let left = &hosts.left;
    let mut config = config(DataPath::Programs, &LINKS);
    config["runner"]["fast_period"] = 1000.into();
    let files = ["teamr-old", "teamr-new"].map(|name| left.folder().join(name));
    for file in &files {
        fs::copy(binary("teamr"), file).expect("copy a program");
    }
    let start = |number: u64| {
        let mut command = left.command(&files[number as usize % 2]);
        command.args(KEEP_DEVICE).arg("-g");
        let team = Teamr::start_config(left, &config, command);
        team.take_precedence();
        team
    };
    let mut team = start(0);
    let partner = Teamr::start_args(&hosts.right, &config, &["-g"]);
    partner.take_precedence();
    hosts.set_up_teams();
    carry([&team, &partner]);
    let before = transitions(&partner);
    let (there, back) = (hosts.ends(7000), hosts.ends(7001));
    let streams = [(Pace::Dense, &there[0], &there[1]), (Pace::Full, &back[1], &back[0])]
        .map(|(pace, from, to)| Stream::start_at(pace, from, to, None, 64));
    let sent = || left.statistics("team0")["tx"]["packets"].as_u64().expect("a count");
    let (first, begin) = (sent(), Instant::now());
    for number in 1..=count {
        wait_until("the programs to be ready", || LINKS.iter().all(|port| is_armed(&team, port)));
        assert!(team.stop().success());
        team = start(number);
        carry([&team, &partner]);
        wait_until("packets to pass", || sent() >= first + number * UPGRADE);
    }
    let time = begin.elapsed();
    let traces = streams.map(Stream::finish);
    let packets: usize = traces.iter().map(|trace| trace.sent.len()).sum();
    let lost: usize = traces.iter().map(|trace| trace.lost().len()).sum();
    println!("{count} upgrades in {time:.0?}: {lost} of {packets} packets lost");
    assert_eq!(lost, 0);
    assert_eq!(transitions(&partner), before, "transitions of the partner");
}

/// Without a successor the answers end at the limit, and the partner times out.
#[test]
fn the_limit_ends_the_answers() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let mut config = config(DataPath::Programs, &LINKS);
    config["runner"]["keepalive"] = 2.into();
    let team = Teamr::start_args(&hosts.left, &config, &KEEP_DEVICE);
    config["runner"]["keepalive"] = 0.into();
    let partner = Teamr::start(&hosts.right, &config);
    hosts.set_up_teams();
    carry([&team, &partner]);
    wait_until("the programs to be ready", || LINKS.iter().all(|port| is_armed(&team, port)));
    assert!(!is_armed(&partner, "eth1"));
    assert!(!programs(&hosts.right, "eth1").contains(&PROGRAM.to_owned()));
    team.crash();
    let crashed = Instant::now();
    wait_until("the partner to time out", || partner.carrying().is_empty());
    let after = crashed.elapsed();
    println!("The partner timed out {after:.2?} after the crash.");
    // The limit counts from the last LACPDU, a period before the crash at most.
    let limit = Duration::from_secs(2);
    let range = limit - PERIOD..limit + 4 * PERIOD + Duration::from_millis(700);
    assert!(range.contains(&after), "{after:?}");
}

/// The kernel reports no removal of a TCX program.
fn a_detached_program_comes_back(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    if !tcx::is_here(&pair.host) {
        return;
    }
    let team = Teamr::start(&pair.host, &config(data_path, &["eth1"]));
    let is_there = || programs(&pair.host, "eth1").contains(&PROGRAM.to_owned());
    wait_until("the program", is_there);
    assert!(tcx::detach(&pair.host, "eth1", Hook::Ingress, PROGRAM));
    wait_until("the program to be back", is_there);
    assert_eq!(team.state_at_socket()["teamr"]["hooks_restored"], 1);
}

/// A stop that keeps the team asks a partner at the slow rate for an LACPDU each period.
#[test]
fn a_planned_stop_asks_for_the_short_period() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let mut config = config(DataPath::Programs, &LINKS);
    config["runner"]["fast_rate"] = false.into();
    let team = Teamr::start_args(&hosts.left, &config, &KEEP_DEVICE);
    let partner = Teamr::start(&hosts.right, &config);
    hosts.set_up_teams();
    carry([&team, &partner]);
    let partners_rate = || {
        let port = &partner.state_at_socket()["ports"]["eth1"]["teamr"]["lacp"];
        port["machines"]["periodic"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(partners_rate(), "SLOW_PERIODIC");
    assert!(team.stop().success());
    wait_until("the fast rate", || partners_rate() == "FAST_PERIODIC");
    let team = Teamr::start_args(&hosts.left, &config, &KEEP_DEVICE);
    wait_until("the slow rate", || partners_rate() == "SLOW_PERIODIC");
    assert_eq!(team.carrying(), LINKS);
}
