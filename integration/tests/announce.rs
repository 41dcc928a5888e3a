//! Announcements after a failover, on the data paths whose driver sends none.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

use integration::traffic::Capture;
use integration::{
    CableKind, DataPath, Frame, HostAndPeer, Lab, Namespace, Process, Sharing, Teamr,
    on_own_data_paths, team_config, teamr_command, wait_until,
};
use teamr::sys::process::set_real_time;

const PORTS: [&str; 2] = ["eth1", "eth2"];
const REVERSE_ARP: u16 = 0x8035;
const ARP: u16 = 0x0806;
const SLOW_PROTOCOLS: u16 = 0x8809;

/// Macvlans with an address on one team, and as many on another interface.
const MACVLANS: usize = 2000;
/// Period of the PDUs of another team.
const PERIOD: Duration = Duration::from_millis(100);
/// Longest delay of a PDU, also of a debug build on a busy machine.
const DELAY: Duration = Duration::from_millis(400);

/// Makes a macvlan that moves to the container, whose namespace has a number here from then on.
fn move_macvlan(host: &Namespace, container: &Namespace) {
    host.ip("link add link team0 name mv0 type macvlan mode bridge");
    host.ip(&format!("link set dev mv0 netns {}", container.pid()));
}

/// Makes a macvlan in the container's namespace, which gets no number here.
fn create_macvlan_there(host: &Namespace, container: &Namespace) {
    let numbers = || host.ip("netns list-id");
    let before = numbers();
    let index = host.link("team0")["ifindex"].clone();
    container.ip(&format!("netns attach host {}", host.pid()));
    container.ip("netns set host 5");
    let lower = format!("link-netns host link if{index}");
    container.ip(&format!("link add mv0 {lower} type macvlan mode bridge"));
    assert_eq!(numbers(), before);
}

fn a_macvlan_in_a_container_is_announced(data_path: DataPath) {
    for make in [move_macvlan, create_macvlan_there] {
        a_macvlan_is_announced(data_path, make);
    }
}

fn a_macvlan_is_announced(data_path: DataPath, make: fn(&Namespace, &Namespace)) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    let container = lab.host("container");
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config["ports"]["eth1"]["prio"] = 100.into();
    let team = Teamr::start(&host, &config);
    host.up("team0");
    team.wait_ports_up(&PORTS);
    team.wait_active("eth1");
    make(&host, &container);
    container.up("mv0");
    let hwaddr = container.hwaddr("mv0");

    let capture = Capture::start(&peer, "eth2");
    peer.ip("link set dev eth1 down");
    team.wait_active("eth2");
    let frames = capture.finish();
    let is_announcement = |frame: &&Frame| {
        !frame.outgoing && frame.ether_type() == Some(REVERSE_ARP) && frame.source() == hwaddr
    };
    let count = frames.iter().filter(is_announcement).count();
    assert!(count > 0, "{frames:x?}\n{}", team.log());
}

on_own_data_paths! {
    a_macvlan_in_a_container_is_announced
}

/// Adds [`MACVLANS`] macvlans with an address each to one interface, and as many to another.
fn add_macvlans(lab: &Lab, host: &Namespace, lower: &str, other: &str) {
    let mut lines = String::new();
    for number in 1..=MACVLANS {
        let (high, low) = (number / 256, number % 256);
        let name = format!("mv{number}");
        writeln!(lines, "link add link {lower} name {name} type macvlan").expect("text");
        writeln!(lines, "link add link {other} name other{number} type macvlan").expect("text");
        writeln!(lines, "address add 10.{high}.{low}.1/24 dev {name}").expect("text");
    }
    let batch = lab.folder().join("macvlans");
    fs::write(&batch, lines).expect("write a batch");
    host.ip(&format!("-batch {}", batch.display()));
}

/// Starts two teams in one process: `team0` with two ports, and `lag` with one.
fn start_two_teams(lab: &Lab, host: &Namespace) -> Process {
    let directory = lab.folder().join("teams");
    fs::create_dir(&directory).expect("make a directory");
    let mut backup = team_config("team0", "activebackup", DataPath::Programs, &PORTS);
    backup["ports"]["eth1"]["prio"] = 100.into();
    let mut lag = team_config("lag", "lacp", DataPath::Programs, &["eth3"]);
    lag["runner"]["fast_rate"] = true.into();
    lag["runner"]["fast_period"] = (PERIOD.as_millis() as u64).into();
    for config in [&backup, &lag] {
        let file = directory.join(format!("{}.json", config["device"].as_str().expect("a name")));
        fs::write(file, config.to_string()).expect("write a configuration");
    }
    let mut command = teamr_command(host);
    command.arg("-f").arg(&directory);
    let daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    // Delays on a busy machine do not count against teamr.
    let _ = set_real_time(daemon.pid(), 5);
    daemon
}

#[test]
fn thousands_of_macvlans_are_announced_and_delay_no_pdu_of_another_team() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    for port in ["eth3", "eth4"] {
        lab.cable((&host, port), (&peer, port), CableKind::Virtual);
        peer.up(port);
    }
    let mut daemon = start_two_teams(&lab, &host);
    host.up("team0");
    host.up("lag");
    add_macvlans(&lab, &host, "team0", "eth4");
    let uses = |port: &str| daemon.log().contains(&format!("Changed active port to \"{port}\""));
    wait_until("the preferred port", || uses("eth1"));

    let (pdus, announcements) = (Capture::start(&peer, "eth3"), Capture::start(&peer, "eth2"));
    wait_for_pdus(&peer);
    peer.ip("link set dev eth1 down");
    let received = || peer.statistics("eth2")["rx"]["packets"].as_u64().unwrap_or_default();
    wait_until("the announcements", || received() >= MACVLANS as u64);
    let announced: BTreeSet<[u8; 4]> =
        announcements.finish().iter().filter_map(gratuitous_address).collect();
    assert_eq!(announced.len(), MACVLANS);
    wait_for_pdus(&peer);

    let is_pdu = |frame: &&Frame| !frame.outgoing && frame.ether_type() == Some(SLOW_PROTOCOLS);
    let times: Vec<u64> = pdus.finish().iter().filter(is_pdu).map(|frame| frame.at).collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("some PDUs");
    let longest = Duration::from_nanos(longest);
    println!("longest time between two PDUs: {longest:?}, of {} PDUs", times.len());
    assert!(longest < PERIOD + DELAY, "{longest:?}");
    assert!(daemon.stop().success());
}

/// Waits for three PDUs of the team `lag`.
fn wait_for_pdus(peer: &Namespace) {
    let received = || peer.statistics("eth3")["rx"]["packets"].as_u64().unwrap_or_default();
    let before = received();
    wait_until("more PDUs", || received() >= before + 3);
}

/// Returns the address that a gratuitous ARP announces.
fn gratuitous_address(frame: &Frame) -> Option<[u8; 4]> {
    let sender = frame.bytes.get(28..32)?;
    let is_gratuitous = frame.ether_type() == Some(ARP) && frame.bytes.get(38..42) == Some(sender);
    is_gratuitous.then(|| sender.try_into().ok()).flatten()
}
