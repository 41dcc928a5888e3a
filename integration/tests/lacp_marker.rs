//! Markers: flows move to another port after the partner's response, on the data paths that can
//! hold flows.

use integration::traffic::Stream;
use integration::{DataPath, Lab, Ping, Sharing, Teamr, TwoTeams, wait_until};
use serde_json::{Value, json};

fn config(data_path: &str) -> Value {
    json!({
        "device": "team0",
        "data_path": data_path,
        "runner": {
            "name": "lacp", "fast_rate": true, "tx_hash": ["eth", "ipv4", "udp"],
            "marker": true, "marker_timeout": 1000,
        },
        "ports": {"eth1": {}, "eth2": {}},
    })
}

/// Returns the markers sent on eth1: all, answered in time, unanswered.
fn markers(teamr: &Teamr) -> [u64; 3] {
    let pdus = &teamr.state_at_socket()["ports"]["eth1"]["teamr"]["lacp"]["pdus"];
    let names = ["own_markers", "own_marker_responses", "own_markers_unanswered"];
    names.map(|name| pdus[name].as_u64().expect("a number"))
}

fn assert_flows_keep_order(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let config = config(data_path.name());
    let (team, partner) = (Teamr::start(&hosts.left, &config), Teamr::start(&hosts.right, &config));
    hosts.set_up_teams();
    let wait_for_carrying = |count| {
        wait_until("the ports to carry", || {
            [&team, &partner].map(|team| team.carrying().len()) == [count, count]
        });
    };
    wait_for_carrying(2);
    hosts.cables[1].pull();
    wait_for_carrying(1);
    Ping::run(&hosts.left, "10.0.0.2", 3, "");
    let streams: Vec<Stream> = (7000..7004)
        .map(|port| {
            let [from, to] = hosts.ends(port);
            Stream::start(&from, &to, None, 64)
        })
        .collect();
    let before = markers(&team);
    hosts.cables[1].put_back();
    wait_for_carrying(2);
    wait_until("a response to a marker", || markers(&team)[1] > before[1]);
    for stream in streams {
        let trace = stream.finish();
        assert_eq!(trace.reordered(), 0);
        // One round trip on a busy machine takes far less than the timeout.
        assert!(trace.lost().len() < 500, "{} lost", trace.lost().len());
    }
    let [sent, answered, unanswered] = markers(&team);
    assert_eq!((sent, unanswered), (answered, 0));
}

#[test]
fn the_relay_moves_flows_in_order() {
    assert_flows_keep_order(DataPath::Userspace);
}

#[test]
fn programs_move_flows_in_order() {
    assert_flows_keep_order(DataPath::Programs);
}
