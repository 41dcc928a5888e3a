//! A hostile neighbour: a flood on one port does not delay the LACPDUs of another port.

use std::thread::sleep;
use std::time::Duration;

use integration::traffic::{Capture, Flood};
use integration::{CableKind, DataPath, Lab, Namespace, Sharing, Teamr, in_guest, wait_until};
use runners::HwAddr;
use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use runners::wire::marker::Marker;
use serde_json::{Value, json};

const PER_SECOND: u32 = 100_000;
/// Interval between two LACPDUs.
const PERIOD: Duration = Duration::from_millis(100);
/// Longest additional delay under a flood.
const MAX_DELAY: Duration = Duration::from_millis(50);
/// Duration of one measurement.
const TURN: Duration = Duration::from_secs(1);
/// Number of measurements; the median ignores a disturbance by other processes.
const TURNS: usize = 3;

fn config(data_path: DataPath, ports: &[&str]) -> Value {
    let ports: serde_json::Map<String, Value> =
        ports.iter().map(|port| ((*port).to_owned(), json!({}))).collect();
    json!({
        "device": "team0",
        "data_path": data_path.name(),
        "runner": {
            "name": "lacp", "fast_rate": true, "fast_period": PERIOD.as_millis() as u64,
        },
        "ports": ports,
    })
}

/// Returns floods for the host's eth1 that cost the daemon as much time as possible. `state` is the
/// state of the host's team.
fn hostile(state: &Value) -> [(&'static str, Vec<Vec<u8>>); 3] {
    let source = HwAddr([2, 0, 0, 0, 9, 0]);
    let pdu = |actor, partner| Lacpdu::new(actor, partner, None).frame(source);
    let other_partner = |number: u8| PortInfo {
        system_priority: 1,
        system: HwAddr([2, 0, 0, 0, 9, number]),
        key: number.into(),
        port_priority: 1,
        port: number.into(),
        state: StateBits(0x3f),
    };
    let mut malformed = pdu(other_partner(0), PortInfo::default());
    malformed[17] = 0;
    let marker = Marker { response: false, requester: [9; 12] };
    let other_partners = (0..7).map(|number| pdu(other_partner(number), PortInfo::default()));

    // LACPDUs as the partner of eth2 would send on another of its ports.
    let actor = info(&state["ports"]["eth1"]["runner"]["actor_lacpdu_info"]);
    let partner = info(&state["ports"]["eth2"]["runner"]["partner_lacpdu_info"]);
    let states = [0x3f, 0x0f].map(StateBits);
    let partners = states.map(|state| PortInfo { port: 99, state, ..partner });
    [
        ("markers and malformed PDUs", vec![malformed, marker.frame(source)]),
        // Each LACPDU is of another system than the one before.
        ("LACPDUs of changing partners", other_partners.collect()),
        (
            "LACPDUs of a partner with changing Collecting",
            partners.map(|partner| pdu(partner, actor)).to_vec(),
        ),
    ]
}

/// Returns a broadcast frame of an experimental protocol, which the daemon does not receive.
fn unrelated_frame() -> Vec<u8> {
    [&[0xff; 6][..], &[2, 0, 0, 0, 9, 0], &[0x88, 0xb6], &[0; 110]].concat()
}

/// Reads the information about an end from the state.
fn info(json: &Value) -> PortInfo {
    let number = |name: &str| json[name].as_u64().expect("a number") as u16;
    let system = json["system"].as_str().expect("a system");
    let mut octets =
        system.split(':').map(|octet| u8::from_str_radix(octet, 16).expect("an octet"));
    PortInfo {
        system_priority: number("system_priority"),
        system: HwAddr(std::array::from_fn(|_| octets.next().expect("six octets"))),
        key: number("key"),
        port_priority: number("port_priority"),
        port: number("port"),
        state: StateBits(number("state") as u8),
    }
}

/// Returns the longest delay of an LACPDU that arrives at a port within one measurement.
fn longest_delay(host: &Namespace, port: &str) -> Duration {
    let capture = Capture::start(host, port);
    sleep(TURN);
    let frames = capture.finish();
    let arrivals: Vec<u64> = frames
        .iter()
        .filter(|frame| !frame.outgoing && frame.ether_type() == Some(0x8809))
        .map(|frame| frame.at)
        .collect();
    assert!(arrivals.len() > 2, "{} PDUs in {TURN:?}", arrivals.len());
    let gaps = arrivals.windows(2).map(|pair| Duration::from_nanos(pair[1] - pair[0]));
    let longest = gaps.max().unwrap_or_default();
    longest.saturating_sub(PERIOD)
}

fn median(of: impl Iterator<Item = Duration>) -> Duration {
    let mut of: Vec<Duration> = of.collect();
    of.sort_unstable();
    of[of.len() / 2]
}

/// Returns the number of slow-protocol frames that a port has received.
fn frames_received(team: &Teamr, port: &str) -> u64 {
    let state = team.state_at_socket();
    let pdus = &state["ports"][port]["teamr"]["lacp"]["pdus"];
    let counters = ["received", "malformed", "markers"].map(|name| &pdus[name]);
    counters.iter().filter_map(|count| count.as_u64()).sum()
}

fn assert_flood_delays_no_pdu(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (host, partner, attacker) = (lab.host("host"), lab.host("partner"), lab.host("attacker"));
    lab.cable((&host, "eth1"), (&attacker, "eth1"), CableKind::Virtual);
    lab.cable((&host, "eth2"), (&partner, "eth2"), CableKind::Virtual);
    attacker.up("eth1");
    let theirs = Teamr::start(&partner, &config(data_path, &["eth2"]));
    let ours = Teamr::start(&host, &config(data_path, &["eth1", "eth2"]));
    // In a guest with one processor, other processes need time, too.
    if data_path != DataPath::Kernel {
        ours.take_precedence();
        theirs.take_precedence();
    }
    partner.up("team0");
    host.up("team0");
    let carries =
        |team: &Teamr| team.state_at_socket()["ports"]["eth2"]["teamr"]["enabled"] == true;
    wait_until("eth2 to carry", || carries(&ours) && carries(&theirs));

    let delay_under = |frames: &[Vec<u8>]| {
        let flood = Flood::start(&attacker, "eth1", PER_SECOND, frames);
        let delay = longest_delay(&partner, "eth2");
        (delay, flood.finish())
    };
    for (what, frames) in hostile(&ours.state()) {
        let before = frames_received(&ours, "eth1");
        // The reference, a flood of frames that the daemon does not receive, takes turns with the
        // hostile flood, so the load of the machine is the same for both.
        let (busy, delays): (Vec<_>, Vec<_>) =
            (0..TURNS).map(|_| (delay_under(&[unrelated_frame()]), delay_under(&frames))).unzip();
        let received = frames_received(&ours, "eth1") - before;
        println!(
            "{}, longest delay and frames a second, each turn: {busy:.1?} of unrelated frames, \
             {delays:.1?} of {what}; {received} received",
            data_path.name()
        );
        assert!(received > 0, "no {what} were received");
        let [busy, delay] = [busy, delays].map(|turns| median(turns.iter().map(|turn| turn.0)));
        assert!(
            delay < busy + MAX_DELAY,
            "{delay:?} under a flood of {what}, {busy:?} under a flood of unrelated frames"
        );
    }
    for team in [&ours, &theirs] {
        let log = team.log();
        assert!(
            !log.contains("eth2: Changed port state: \"current\""),
            "eth2 lost its partner: {log}"
        );
    }
}

#[test]
fn a_flood_delays_no_pdu_of_the_relay() {
    assert_flood_delays_no_pdu(DataPath::Userspace);
}

#[test]
fn a_flood_delays_no_pdu_with_programs() {
    assert_flood_delays_no_pdu(DataPath::Programs);
}

#[test]
fn a_flood_delays_no_pdu_with_the_kernel_driver() {
    // The host's clock: a flood delays by its work, which takes no virtual time.
    in_guest(|_| assert_flood_delays_no_pdu(DataPath::Kernel));
}
