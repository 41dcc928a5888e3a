//! A hostile neighbour: what it sends on one port keeps no PDU of another port waiting.

use std::thread::sleep;
use std::time::Duration;

use integration::traffic::{Capture, Flood};
use integration::{CableKind, DataPath, Lab, Namespace, Sharing, Teamr, in_guest, wait_until};
use runners::HwAddr;
use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use runners::wire::marker::Marker;
use serde_json::{Value, json};

const PER_SECOND: u32 = 100_000;
/// The distance between two PDUs.
const PERIOD: Duration = Duration::from_millis(100);
/// What nothing may add to it.
const LATE: Duration = Duration::from_millis(50);
/// How long is listened at a time, and how often: what else runs on the machine may disturb a
/// turn, but hardly most of them.
const TURN: Duration = Duration::from_secs(1);
const TURNS: usize = 3;

fn config(data_path: DataPath, ports: &[&str]) -> Value {
    let ports: serde_json::Map<String, Value> = ports
        .iter()
        .map(|port| ((*port).to_owned(), json!({})))
        .collect();
    json!({
        "device": "team0",
        "data_path": data_path.name(),
        "runner": {
            "name": "lacp", "fast_rate": true, "fast_period": PERIOD.as_millis() as u64,
        },
        "ports": ports,
    })
}

/// Frames of a foe at our eth1 that cost the daemon as much as they can; `state` is ours.
fn hostile(state: &Value) -> [(&'static str, Vec<Vec<u8>>); 3] {
    let source = HwAddr([2, 0, 0, 0, 9, 0]);
    let pdu = |actor, partner| Lacpdu::new(actor, partner, None).frame(source);
    let stranger = |number: u8| PortInfo {
        system_priority: 1,
        system: HwAddr([2, 0, 0, 0, 9, number]),
        key: number.into(),
        port_priority: 1,
        port: number.into(),
        state: StateBits(0x3f),
    };
    let mut malformed = pdu(stranger(0), PortInfo::default());
    malformed[17] = 0;
    let marker = Marker {
        response: false,
        requester: [9; 12],
    };
    let strangers = (0..7).map(|number| pdu(stranger(number), PortInfo::default()));

    // What eth2's partner would say on another of its ports.
    let us = info(&state["ports"]["eth1"]["runner"]["actor_lacpdu_info"]);
    let partner = info(&state["ports"]["eth2"]["runner"]["partner_lacpdu_info"]);
    let minds = [0x3f, 0x0f].map(StateBits);
    let minds = minds.map(|state| PortInfo {
        port: 99,
        state,
        ..partner
    });
    [
        (
            "markers and what makes no sense",
            vec![malformed, marker.frame(source)],
        ),
        // Each of another partner than the one before, who has never heard of us.
        ("PDUs of ever other partners", strangers.collect()),
        (
            "PDUs of a partner that collects and does not, in turn",
            minds.map(|mind| pdu(mind, us)).to_vec(),
        ),
    ]
}

/// A frame of a protocol for experiments, to everybody.
fn nobodys() -> Vec<u8> {
    [
        &[0xff; 6][..],
        &[2, 0, 0, 0, 9, 0],
        &[0x88, 0xb6],
        &[0; 110],
    ]
    .concat()
}

fn info(told: &Value) -> PortInfo {
    let number = |name: &str| told[name].as_u64().expect("a number") as u16;
    let system = told["system"].as_str().expect("a system");
    let mut octets = system
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).expect("an octet"));
    PortInfo {
        system_priority: number("system_priority"),
        system: HwAddr(std::array::from_fn(|_| octets.next().expect("six octets"))),
        key: number("key"),
        port_priority: number("port_priority"),
        port: number("port"),
        state: StateBits(number("state") as u8),
    }
}

/// How much later than a period after the one before a PDU of ours came, at worst.
fn lateness(host: &Namespace, port: &str) -> Duration {
    let capture = Capture::start(host, port);
    sleep(TURN);
    let frames = capture.finish();
    let came: Vec<u64> = frames
        .iter()
        .filter(|frame| !frame.outgoing && frame.ether_type() == Some(0x8809))
        .map(|frame| frame.at)
        .collect();
    assert!(came.len() > 2, "{} PDUs in {TURN:?}", came.len());
    let gaps = came
        .windows(2)
        .map(|pair| Duration::from_nanos(pair[1] - pair[0]));
    let longest = gaps.max().unwrap_or_default();
    longest.saturating_sub(PERIOD)
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

fn frames_heard(team: &Teamr, port: &str) -> u64 {
    let state = team.state_at_socket();
    let pdus = &state["ports"][port]["teamr"]["lacp"]["pdus"];
    let counters = ["received", "malformed", "markers"].map(|name| &pdus[name]);
    counters.iter().filter_map(|count| count.as_u64()).sum()
}

fn flooded(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (host, partner, foe) = (lab.host("host"), lab.host("partner"), lab.host("foe"));
    lab.cable((&host, "eth1"), (&foe, "eth1"), CableKind::Virtual);
    lab.cable((&host, "eth2"), (&partner, "eth2"), CableKind::Virtual);
    foe.up("eth1");
    let theirs = Teamr::start(&partner, &config(data_path, &["eth2"]));
    let ours = Teamr::start(&host, &config(data_path, &["eth1", "eth2"]));
    // A guest has one processor, which others need as well.
    if data_path != DataPath::Kernel {
        ours.take_precedence();
        theirs.take_precedence();
    }
    partner.up("team0");
    host.up("team0");
    let carries =
        |team: &Teamr| team.state_at_socket()["ports"]["eth2"]["teamr"]["enabled"] == true;
    wait_until("eth2 to carry", || carries(&ours) && carries(&theirs));

    // The machine has as much to do with frames that the daemon does not hear.
    let flood = Flood::start(&foe, "eth1", PER_SECOND, &[nobodys()]);
    let busy: Vec<Duration> = (0..TURNS).map(|_| lateness(&partner, "eth2")).collect();
    let pace = flood.finish();
    println!(
        "{}: {pace:.0} frames a second that are nobody's: at worst {busy:.1?} late in {TURNS} turns",
        data_path.name()
    );
    let busy = median(busy);
    for (what, frames) in hostile(&ours.state()) {
        let before = frames_heard(&ours, "eth1");
        let flood = Flood::start(&foe, "eth1", PER_SECOND, &frames);
        let late: Vec<Duration> = (0..TURNS).map(|_| lateness(&partner, "eth2")).collect();
        let pace = flood.finish();
        let heard = frames_heard(&ours, "eth1") - before;
        println!(
            "  {what}, {pace:.0} a second: at worst {late:.1?} late in {TURNS} turns; {heard} heard"
        );
        assert!(heard > 0, "no {what} were heard");
        let late = median(late);
        assert!(
            late < busy + LATE,
            "{late:?} late under a flood of {what}, {busy:?} under one of others"
        );
    }
    for team in [&ours, &theirs] {
        let log = team.log();
        assert!(
            !log.contains("eth2: Changed port state: \"current\""),
            "eth2 was given up: {log}"
        );
    }
}

#[test]
fn relayed() {
    flooded(DataPath::Userspace);
}

#[test]
fn with_programs() {
    flooded(DataPath::Programs);
}

#[test]
fn with_the_kernels_driver() {
    in_guest(|_| flooded(DataPath::Kernel));
}
