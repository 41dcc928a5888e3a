//! What SONiC's tests (sonic-mgmt) assert of a port channel.
//!
//! Timers run on two LACP ends in simulated time; losses and leftovers are those of real daemons.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

#[path = "../../runners/tests/pair/network.rs"]
#[expect(dead_code, reason = "the tests of the core use the rest")]
mod network;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use integration::traffic::Stream;
use integration::{
    DataPath, HostAndPeer, LIMIT, Lab, Ping, Process, Sharing, Teamr, TwoTeams, on_own_data_paths,
    team_config, wait_until,
};
use network::{Pair, fast, millis, seconds};
use runners::{Event, FallbackMethod, LacpSettings};

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Times that each member leaves and returns under a stream.
const ROUNDS: usize = 3;
/// Largest deviation of the time between two LACPDUs.
const DEVIATION: Duration = millis(100);

fn slow() -> LacpSettings {
    LacpSettings::default()
}

/// Returns two ends whose two ports distribute, and that need not hurry any more.
fn distributing(settings: LacpSettings) -> Pair {
    let mut pair = Pair::new([settings.clone(), settings], 1).with_ports(2);
    pair.run(seconds(5));
    assert_eq!([0, 1].map(|team| pair.distributing(team)), [vec![0, 1], vec![0, 1]]);
    pair
}

#[test]
fn a_silent_member_is_down_within_5_s_at_the_fast_and_95_s_at_the_slow_rate() {
    for (settings, earliest, latest) in
        [(fast(), seconds(1), seconds(5)), (slow(), seconds(30), seconds(95))]
    {
        let mut pair = distributing(settings);
        pair.blocked.insert((0, 1));
        pair.run(earliest);
        assert_eq!(pair.distributing(0), [0, 1], "one PDU may be lost");
        pair.run(latest - earliest);
        assert_eq!([0, 1].map(|team| pair.distributing(team)), [[0], [0]]);
        assert_eq!(pair.carrier, [true, true]);
        pair.blocked.clear();
        pair.run(latest);
        assert_eq!([0, 1].map(|team| pair.distributing(team)), [[0, 1], [0, 1]]);
    }
}

#[test]
fn min_ports_takes_the_carrier_with_the_silent_member() {
    let mut pair = distributing(fast());
    pair.handle(0, Event::MinPortsChanged { min_ports: 2 });
    assert!(pair.carrier[0]);
    pair.blocked.insert((0, 1));
    pair.run(seconds(5));
    assert!(!pair.carrier[0]);
    pair.blocked.clear();
    pair.run(seconds(5));
    assert!(pair.carrier[0]);
}

#[test]
fn pdus_are_1_s_or_30_s_apart() {
    for (settings, period) in [(fast(), seconds(1)), (slow(), seconds(30))] {
        let mut pair = distributing(settings);
        pair.run(period);
        let (mut before, mut times) = (pair.sent[&(0, 0)], Vec::new());
        let end = pair.now + period * 20;
        while pair.step(end) {
            let sent = pair.sent[&(0, 0)];
            times.extend((before..sent).map(|_| pair.now));
            before = sent;
        }
        assert!(times.len() >= 19, "{times:?}");
        for pair in times.windows(2) {
            let apart = pair[1].saturating_since(pair[0]);
            assert!(apart.abs_diff(period) <= DEVIATION, "{apart:?}");
        }
    }
}

#[test]
fn a_port_channel_with_fallback_keeps_one_member_without_a_partner() {
    for (fallback, ports) in [(true, vec![0]), (false, vec![])] {
        let method = FallbackMethod::Single;
        let settings = LacpSettings { fallback, fallback_method: method, ..slow() };
        let mut pair = distributing(settings);
        pair.blocked.extend([(0, 0), (0, 1)]);
        pair.run(seconds(95 + 90));
        assert_eq!(pair.distributing(0), ports, "fallback {fallback}");
        assert_eq!(pair.carrier[0], fallback);
        pair.blocked.clear();
        pair.run(seconds(95));
        assert_eq!(pair.distributing(0), [0, 1]);
    }
}

#[test]
fn a_retry_count_of_5_keeps_a_silent_partner_for_150_s_and_not_for_155() {
    let patient = LacpSettings { retry_count: 5, ..slow() };
    let mut pair = Pair::new([patient, slow()], 1).with_ports(1);
    pair.run(seconds(65));
    assert_eq!(pair.status((1, 0)).partner_retry_count, 5);
    // The last PDU heard is at most 30 s old.
    pair.blocked.insert((1, 0));
    pair.run(seconds(119));
    assert_eq!(pair.distributing(1), [0]);
    pair.run(seconds(36));
    assert_eq!(pair.distributing(1), [0; 0]);
}

fn lacp(data_path: DataPath) -> serde_json::Value {
    let mut config = team_config("team0", "lacp", data_path, &PORTS);
    config["runner"]["fast_rate"] = true.into();
    config["runner"]["tx_hash"] = serde_json::json!(["eth", "ipv4", "udp"]);
    config
}

fn members_that_leave_and_return_cost_1_percent_of_a_stream_at_most(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let [left, right] =
        [&hosts.left, &hosts.right].map(|host| Teamr::start(host, &lacp(data_path)));
    hosts.set_up_teams();
    let both_carry = || {
        wait_until("both ports to carry at both ends", || {
            [&left, &right].map(Teamr::carrying) == [PORTS, PORTS]
        });
    };
    both_carry();
    Ping::run(&hosts.left, "10.0.0.2", 3, "");
    let (there, back) = (hosts.ends(7000), hosts.ends(7001));
    let streams = [
        Stream::start(&there[0], &there[1], None, 64),
        Stream::start(&back[1], &back[0], None, 64),
    ];
    for member in PORTS.into_iter().cycle().take(ROUNDS * PORTS.len()) {
        left.ask(&format!("port remove {member}"));
        left.wait_no_port(member);
        left.ask(&format!("port add {member}"));
        both_carry();
    }
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        let (sent, lost) = (trace.sent.len(), trace.lost().len());
        println!("{} {what}: {lost} of {sent} lost", data_path.name());
        assert!(sent > 1000 && lost * 100 <= sent, "{what}: {lost} of {sent} lost");
    }
    assert!(left.stop().success() && right.stop().success());
}

/// Returns the pids of the processes whose command line names the team's configuration.
fn daemons(file: &str) -> BTreeSet<String> {
    let found = std::fs::read_dir("/proc").expect("list /proc").flatten().filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(file)
    });
    found.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

fn nothing_is_left_after_a_stop_with_every_core_busy(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let files = || pair.host.run("find /run -type f -o -type s");
    let before: Vec<_> = PORTS.map(|port| pair.host.hwaddr(port)).into();
    let team = Teamr::start(&pair.host, &lacp(data_path));
    team.wait_ports_up(&PORTS);
    let config = lab.folder().join("host-team0.json").display().to_string();
    assert_eq!(daemons(&config).len(), 1);
    let cores = available_parallelism().map_or(1, NonZero::get);
    let busy: Vec<Process> = (0..2 * cores)
        .map(|_| {
            let mut command = pair.peer.command("sh");
            command.args(["-c", "while :; do :; done"]);
            Process::start("busy", lab.folder(), command)
        })
        .collect();
    let begin = Instant::now();
    assert!(team.stop().success());
    println!("{}: stopped after {:.1?}", data_path.name(), begin.elapsed());
    assert!(begin.elapsed() < LIMIT);
    drop(busy);
    assert_eq!(daemons(&config), BTreeSet::new());
    assert_eq!(files(), "");
    assert_eq!(pair.host.interfaces().len(), 1 + PORTS.len(), "{:?}", pair.host.interfaces());
    assert_eq!(PORTS.map(|port| pair.host.hwaddr(port)).to_vec(), before);
    let filters = PORTS.map(|port| pair.host.run(&format!("tc qdisc show dev {port} clsact")));
    assert_eq!(filters, ["", ""]);
}

on_own_data_paths! {
    members_that_leave_and_return_cost_1_percent_of_a_stream_at_most
    nothing_is_left_after_a_stop_with_every_core_busy
}
