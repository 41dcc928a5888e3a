//! PDUs leave on time while the relay has more to move than it can.

use std::time::Duration;

use integration::traffic::{Pace, Stream, Transfer};
use integration::{DataPath, Lab, Sharing, Teamr, TwoTeams, wait_until};
use runners::Event;
use runners::wire::lacpdu::SLOW_PROTOCOLS_GROUP;
use serde_json::{Value, json};
use teamr::recording::{Recording, What};

const LINKS: [&str; 2] = ["eth1", "eth2"];
/// The distance between two PDUs.
const PERIOD: Duration = Duration::from_millis(100);
/// With a longer pause a PDU was left out. A process with precedence that never rests is itself
/// held up by the kernel, for 50 ms of each second.
const LONGEST: Duration = Duration::from_millis(200);
/// Connections that send all they can both ways.
const CONNECTIONS: u16 = 8;
/// Of one port, to be looked at.
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

/// When the last PDUs of one port came in, by what the daemon remembers.
fn arrivals(teamr: &Teamr) -> Vec<runners::Instant> {
    let recording: Recording =
        serde_json::from_str(&teamr.ask("record dump")).expect("a recording");
    let pdus = recording
        .entries
        .iter()
        .filter_map(|entry| match &entry.what {
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

/// The longest pause between PDUs among as many as follow from now on.
fn longest_pause(partner: &Teamr) -> Duration {
    let from = arrivals(partner).last().copied().expect("PDUs");
    let mut came = Vec::new();
    wait_until("PDUs to come", || {
        came = arrivals(partner);
        came.retain(|at| *at >= from);
        came.len() > PDUS
    });
    let pauses = came
        .windows(2)
        .map(|pair| pair[1].saturating_since(pair[0]));
    pauses.max().unwrap_or_default()
}

/// Teams at both ends that carry on both ports, by daemons with precedence.
struct Teams {
    hosts: TwoTeams,
    team: Teamr,
    /// Its frames move without it, so it has time to look at the clock.
    partner: Teamr,
}

impl Teams {
    fn new(lab: &Lab) -> Teams {
        let hosts = TwoTeams::new(lab);
        let team = Teamr::start(&hosts.left, &config(DataPath::Userspace));
        let partner = Teamr::start(&hosts.right, &config(DataPath::Programs));
        // The tools alone would keep the processors busy.
        team.take_precedence();
        partner.take_precedence();
        hosts.set_up_teams();
        let teams = Teams {
            hosts,
            team,
            partner,
        };
        wait_until("both ports to carry at both ends", || teams.carry());
        teams
    }

    fn carry(&self) -> bool {
        [&self.team, &self.partner].map(Teamr::carrying) == [LINKS, LINKS]
    }
}

#[test]
fn the_relay_at_its_limit_sends_pdus_on_time() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let teams = Teams::new(&lab);
    for host in [&teams.hosts.left, &teams.hosts.right] {
        // The sender cuts what it sends into many small frames, which the relay takes one by one:
        // it has more to do than the sender.
        for interface in ["team0", "eth1", "eth2"] {
            host.run(&format!("ethtool -K {interface} tso off gso off gro off"));
        }
        host.ip("route replace 10.0.0.0/24 dev team0 advmss 88");
    }
    let peace = longest_pause(&teams.partner);
    let transfers: Vec<Transfer> = (7000..7000 + CONNECTIONS)
        .map(|port| {
            let [near, far] = teams.hosts.ends(port);
            Transfer::start_at(Pace::Flood, &near, &far)
        })
        .collect();
    let load = longest_pause(&teams.partner);
    println!("longest pause {peace:.1?} in peace, {load:.1?} under load");
    assert!(load < LONGEST, "{load:?}, {peace:?} in peace");
    assert!(teams.carry());
    // What waits in their buffers would take minutes in such pieces.
    drop(transfers);
}

/// The queues of both ports are full, a second of frames in each.
#[test]
fn no_pdu_stands_behind_traffic_in_the_queue_of_a_port() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let teams = Teams::new(&lab);
    for link in LINKS {
        let add = format!("tc qdisc add dev {link}");
        let slow = "tbf rate 10mbit burst 16k latency 50ms";
        teams
            .hosts
            .left
            .run(&format!("{add} root handle 1: {slow}"));
        teams
            .hosts
            .left
            .run(&format!("{add} parent 1:1 pfifo_fast"));
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
