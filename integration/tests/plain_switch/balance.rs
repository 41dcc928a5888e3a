//! slb with `tx_balancer`: one of several guests on a busy link moves to the other link.

use integration::traffic::{Pace, Stream};
use integration::{
    DataPath, Lab, Sharing, SwitchMoves, in_virtual_time, on_own_data_paths, wait_until,
};
use serde_json::json;

use crate::site::{Site, config, end};

/// Balancing interval in tenths of a second; a stream exceeds the balancer's noise threshold in
/// that time.
const INTERVAL: u32 = 10;

fn spreads_guests(path: DataPath, pace: Pace) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let mut config = config("slb", path);
    config["runner"]["tx_balancer"] = json!({"name": "basic", "balancing_interval": INTERVAL});
    let site = Site::configured(&lab, &config, path);
    let (answered, twice, sent) = site.ping_all(2);
    assert_eq!((answered, twice), (sent, 0));

    // Three guests share two links, so two guests share one.
    let cables: Vec<usize> = (0..site.guests.len()).map(|guest| site.cable_of(guest)).collect();
    let shares = |guest: &usize| {
        let others = cables.iter().filter(|cable| **cable == cables[*guest]);
        others.count() > 1
    };
    let busy: Vec<usize> = (0..site.guests.len()).filter(shares).take(2).collect();
    let moves = SwitchMoves::watch(&site.switch);
    let streams: Vec<Stream> = (7000..)
        .zip(&busy)
        .map(|(port, guest)| {
            let number = *guest as u8 + 1;
            let from = end(&site.guests[*guest], number, port);
            let to = end(&site.peers[*guest], 100 + number, port);
            Stream::start_at(pace, &from, &to, None, 1400)
        })
        .collect();
    wait_until("the busy guests to have a link each", || {
        site.cable_of(busy[0]) != site.cable_of(busy[1])
    });
    // The links are balanced: later intervals change nothing.
    let before = site.bytes();
    let enough = |after: [u64; 2]| (0..2).all(|cable| after[cable] > before[cable] + 1_000_000);
    wait_until("both links to be used", || enough(site.bytes()));
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        let sent = trace.sent.len();
        assert!(trace.is_exact(), "{what}: {:?} of {sent}", trace.lost());
    }
    let moves = moves.finish();
    println!("{}: {moves:?}", path.name());
    let moved: Vec<String> = moves.keys().cloned().collect();
    let may_move = busy.iter().map(|guest| site.guests[*guest].hwaddr("eth0")).collect::<Vec<_>>();
    assert_eq!(moves.values().sum::<u32>(), 1, "{moves:?}");
    assert!(may_move.contains(&moved[0]), "{moves:?}");
}

fn slb_spreads_busy_guests(path: DataPath) {
    spreads_guests(path, Pace::Full);
}

on_own_data_paths! { slb_spreads_busy_guests }

#[test]
fn slb_spreads_busy_guests_in_a_guest() {
    in_virtual_time(|_| spreads_guests(DataPath::Kernel, Pace::Steady));
}
