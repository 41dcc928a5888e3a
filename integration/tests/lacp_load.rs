//! LACPDUs leave on time while the relay has more frames than it can forward.

use std::time::Duration;

use integration::traffic::{Pace, Stream, Transfer};
use integration::{DataPath, Lab, Sharing, Teamr, TwoTeams, wait_until};
use runners::Event;
use runners::wire::SLOW_PROTOCOLS_GROUP;
use serde_json::{Value, json};
use teamr::recording::{Recording, What};

const LINKS: [&str; 2] = ["eth1", "eth2"];
/// Interval between two LACPDUs.
const PERIOD: Duration = Duration::from_millis(100);
/// A longer pause means that an LACPDU is missing. The kernel stops even a process with precedence
/// for 50 ms of each second, if the process never sleeps.
const LONGEST: Duration = Duration::from_millis(200);
/// Number of TCP connections that send at full speed in both directions.
const CONNECTIONS: u16 = 8;
/// Number of LACPDUs of one port in a measurement.
const PDUS: usize = 30;

fn config(data_path: DataPath) -> Value {
    json!({
        "device": "team0",
        "data_path": data_path.name(),
        "runner": {
            "name": "lacp", "fast_rate": true, "fast_period": PERIOD.as_millis() as u64,
            "tx_hash": ["ipv4", "tcp"],
        },
        "ports": {"eth1": {}, "eth2": {}},
    })
}

/// Returns when the last LACPDUs of one port arrived, according to the daemon's recording.
fn arrivals(teamr: &Teamr) -> Vec<runners::Instant> {
    let recording: Recording =
        serde_json::from_str(&teamr.ask("record dump")).expect("a recording");
    let pdus = recording.entries.iter().filter_map(|entry| match &entry.what {
        What::Event(Event::FrameReceived { port, frame })
            if frame.starts_with(&SLOW_PROTOCOLS_GROUP.0) =>
        {
            Some((*port, entry.at))
        }
        _ => None,
    });
    let pdus: Vec<_> = pdus.collect();
    let last = pdus.last().map(|(port, _)| *port);
    let of_port = pdus.iter().filter(|(port, _)| Some(*port) == last);
    of_port.map(|(_, at)| *at).collect()
}

/// Waits for new LACPDUs and returns the longest pause between two of them.
fn longest_pause(partner: &Teamr) -> Duration {
    let from = arrivals(partner).last().copied().expect("PDUs");
    let mut new = Vec::new();
    wait_until("new LACPDUs", || {
        new = arrivals(partner);
        new.retain(|at| *at >= from);
        new.len() > PDUS
    });
    let pauses = new.windows(2).map(|pair| pair[1].saturating_since(pair[0]));
    pauses.max().unwrap_or_default()
}

/// Teams at both ends that carry on both ports; both daemons have precedence.
struct Teams {
    hosts: TwoTeams,
    team: Teamr,
    /// The programs forward this team's frames, so the daemon has time to read LACPDUs.
    partner: Teamr,
}

impl Teams {
    fn new(lab: &Lab) -> Teams {
        let hosts = TwoTeams::new(lab);
        let team = Teamr::start(&hosts.left, &config(DataPath::Userspace));
        let partner = Teamr::start(&hosts.right, &config(DataPath::Programs));
        // Otherwise the traffic tools occupy both processors.
        team.take_precedence();
        partner.take_precedence();
        hosts.set_up_teams();
        let teams = Teams { hosts, team, partner };
        wait_until("both ports to carry at both ends", || teams.carry());
        teams
    }

    fn carry(&self) -> bool {
        [&self.team, &self.partner].map(Teamr::carrying) == [LINKS, LINKS]
    }
}

#[test]
fn the_overloaded_relay_sends_pdus_on_time() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let teams = Teams::new(&lab);
    for host in [&teams.hosts.left, &teams.hosts.right] {
        // Small frames without offloads cost the relay more than the sender.
        for interface in ["team0", "eth1", "eth2"] {
            host.run(&format!("ethtool -K {interface} tso off gso off gro off"));
        }
        host.ip("route replace 10.0.0.0/24 dev team0 advmss 88");
    }
    let idle = longest_pause(&teams.partner);
    let transfers: Vec<Transfer> = (7000..7000 + CONNECTIONS)
        .map(|port| {
            let [near, far] = teams.hosts.ends(port);
            Transfer::start_at(Pace::Flood, &near, &far)
        })
        .collect();
    let load = longest_pause(&teams.partner);
    println!("longest pause {idle:.1?} without load, {load:.1?} under load");
    assert!(load < LONGEST, "{load:?}, {idle:?} without load");
    assert!(teams.carry());
    // The full socket buffers would take minutes to drain.
    drop(transfers);
}

/// The queue of each port holds a second of traffic.
#[test]
fn pdus_overtake_traffic_in_the_queue_of_a_port() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let teams = Teams::new(&lab);
    for link in LINKS {
        let add = format!("tc qdisc add dev {link}");
        let slow = "tbf rate 10mbit burst 16k latency 50ms";
        teams.hosts.left.run(&format!("{add} root handle 1: {slow}"));
        teams.hosts.left.run(&format!("{add} parent 1:1 pfifo_fast"));
    }
    let streams: Vec<Stream> = (7000..7000 + CONNECTIONS)
        .map(|port| {
            let [near, far] = teams.hosts.ends(port);
            Stream::start(&near, &far, None, 1400)
        })
        .collect();
    let load = longest_pause(&teams.partner);
    println!("longest pause {load:.1?}");
    let lost: usize = streams.into_iter().map(|it| it.finish().lost().len()).sum();
    assert!(lost > 0, "the queues were never full");
    assert!(load < LONGEST, "{load:?}");
    assert!(teams.carry());
}
