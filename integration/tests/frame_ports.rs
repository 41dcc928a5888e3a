//! `teamrctl hash` names the port that a flow really leaves on.

use std::collections::BTreeMap;

use integration::traffic::{Capture, Flood};
use integration::{
    CableKind, DataPath, Lab, Sharing, SiteWithTeam, binary, in_virtual_time, on_own_data_paths,
    wait_until,
};
use serde_json::Value;

/// Number of flows.
const FLOWS: u16 = 24;
/// The first source port.
const FIRST: u16 = 7000;
const DESTINATION: &str = "02:00:00:00:00:77/10.0.0.2:9";

on_own_data_paths! { hash_names_the_port_of_each_flow hash_names_the_port_of_each_station }

/// Returns the source port or the last byte of the source address of a frame of the test.
type Key = fn(&[u8]) -> Option<u16>;

fn udp(source: [u8; 6], port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0x77];
    frame.extend(source);
    frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 9, 0, 8, 0, 0]);
    frame
}

/// Sends the frames on the team device, and returns the port that each left on, by its key.
fn ports(site: &SiteWithTeam, frames: &[Vec<u8>], key: Key) -> BTreeMap<u16, String> {
    let host = &site.site.left;
    let captures = ["eth1", "eth2"].map(|port| (port, Capture::start(host, port)));
    let sent = || -> u64 {
        let count = |port| host.statistics(port)["tx"]["packets"].as_u64().expect("packets");
        count("eth1") + count("eth2")
    };
    let before = sent();
    let flood = Flood::start(host, "team0", 500, frames);
    wait_until("each frame to leave twice", || sent() - before > 2 * u64::from(FLOWS) + 20);
    flood.finish();
    let mut ports = BTreeMap::new();
    for (port, capture) in captures {
        let frames = capture.finish();
        let sent = frames.iter().filter(|frame| frame.outgoing);
        for key in sent.filter_map(|frame| key(&frame.bytes)) {
            let other = ports.insert(key, port.to_owned());
            assert!(other.is_none_or(|other| other == port), "{key} left on both ports");
        }
    }
    ports
}

/// Returns the port that `hash` names for a flow.
fn named(site: &SiteWithTeam, flow: &str) -> String {
    let answer = site.team.ask(&format!("hash {flow} --json"));
    let choice: Value = serde_json::from_str(&answer).expect("JSON");
    choice["ports"].as_str().expect("a port").to_owned()
}

fn hash_names_the_port_of_each_flow(path: DataPath) {
    for runner in ["loadbalance", "lacp"] {
        name_flows(runner, path);
    }
}

/// The driver has a hash of its own, and under lacp follows the table.
#[test]
fn hash_names_the_port_of_each_flow_of_the_kernels_driver() {
    in_virtual_time(|_| name_flows("lacp", DataPath::Kernel));
}

fn name_flows(runner: &str, path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = SiteWithTeam::new(&lab, runner, path, CableKind::Virtual);
    wait_until("both ports to carry", || site.team.carrying().len() == 2);
    let source = "02:00:00:00:00:66";
    let frames: Vec<Vec<u8>> =
        (0..FLOWS).map(|flow| udp([2, 0, 0, 0, 0, 0x66], FIRST + flow)).collect();
    let key: Key = |frame| {
        let port = u16::from_be_bytes([*frame.get(34)?, *frame.get(35)?]);
        (frame[..6] == [2, 0, 0, 0, 0, 0x77]).then_some(port)
    };
    let left = ports(&site, &frames, key);
    assert_eq!(left.len(), usize::from(FLOWS), "{left:?}");
    for (port, interface) in left {
        assert_eq!(named(&site, &format!("{source}/10.0.0.1:{port} {DESTINATION} udp")), interface);
    }
}

fn hash_names_the_port_of_each_station(path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = SiteWithTeam::new(&lab, "slb", path, CableKind::Virtual);
    let stations = 1..=FLOWS as u8;
    let frames: Vec<Vec<u8>> =
        stations.map(|station| udp([2, 0, 0, 0, 1, station], FIRST)).collect();
    let key: Key = |frame| {
        let is_ours = frame.get(6..11)? == [2, 0, 0, 0, 1] && frame[..6] == [2, 0, 0, 0, 0, 0x77];
        is_ours.then_some(u16::from(frame[11]))
    };
    let left = ports(&site, &frames, key);
    assert_eq!(left.len(), usize::from(FLOWS), "{left:?}");
    for (station, interface) in left {
        let flow = format!("02:00:00:00:01:{station:02x}/10.0.0.1 {DESTINATION} udp");
        assert_eq!(named(&site, &flow), interface, "station {station}");
    }
    name_guest(&site);
}

/// The address of a guest stands for the guest's hardware address, once the host knows the guest.
fn name_guest(site: &SiteWithTeam) {
    let host = &site.site.left;
    host.ip("link add br0 up type bridge");
    host.ip("link set dev team0 master br0");
    host.address("br0", "10.0.0.9/24");
    let hash = || {
        let mut command = host.command(binary("teamrctl"));
        let output = command.args(["hash", "10.0.0.1", DESTINATION, "udp"]).output();
        let output = output.expect("start teamrctl");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let unknown = hash();
    assert!(unknown.contains("no interface of this host has 10.0.0.1"), "{unknown}");
    assert!(unknown.contains("52:54:00:12:34:56/10.0.0.1"), "{unknown}");
    for station in ["02:00:00:00:01:01", "02:00:00:00:01:02"] {
        host.ip(&format!("neighbour replace 10.0.0.1 lladdr {station} dev br0"));
        let known = named(site, &format!("{station}/10.0.0.1 {DESTINATION} udp"));
        assert!(hash().contains(&format!("leaves on {known}: bucket")), "{}", hash());
    }
}
