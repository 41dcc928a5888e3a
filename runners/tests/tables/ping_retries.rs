//! `retry_interval` of arp_ping and nsna_ping: the time until the team leaves a silent path, and that
//! the team keeps a slow or lossy path.

use std::time::Duration;

use runners::wire::Arp;
use runners::{Event, LinkWatchSettings, PortId, PortSettings, SplitMix64};

use crate::arp_watch::{BROADCAST, SOURCE, STRANGER, activebackup, pair, ping, port};
use crate::nsna_ping;
use crate::play::{UP, added, at};
use crate::site::{Site, TARGET, arp_frame};

const RETRY: Duration = Duration::from_millis(12);

/// A watch with requests every 100 ms, and every 12 ms after a request without an answer. More than
/// `missed_max` misses take the watch down.
fn retrying(missed_max: u32) -> PortSettings {
    let mut ping = ping();
    ping.probing.retry_interval = Some(RETRY);
    ping.probing.missed_max = missed_max;
    port(0, ping)
}

fn retrying_nsna() -> PortSettings {
    let mut settings = nsna_ping::port(0);
    for watch in &mut settings.link_watches {
        if let LinkWatchSettings::NsnaPing(nsna) = watch {
            nsna.probing.retry_interval = Some(RETRY);
        }
    }
    settings
}

/// A team of two ports on one switch; the first one is preferred.
fn two(settings: &PortSettings) -> Site {
    let mut site = Site::new(activebackup(), &[1, 2], &[1, 2]);
    site.handle(added(1, UP, PortSettings { prio: 10, ..settings.clone() }));
    site.handle(added(2, UP, settings.clone()));
    site
}

/// Returns the time after `lost`, in ms, at which the first port stops being active.
fn left_after(site: &mut Site, lost: u64) -> u64 {
    while site.active() == Some(1) {
        let due = site.team.next_deadline().expect("the watch sends requests");
        site.pass(due.as_nanos().div_ceil(1_000_000));
    }
    let after = site.now.saturating_since(at(lost));
    u64::try_from(after.as_millis()).expect("a short time")
}

fn downs(site: &Site) -> usize {
    site.actions.iter().filter(|line| line.contains("went down")).count()
}

/// The path falls silent at each phase of the interval. The watch never goes down before four requests
/// had time for an answer.
#[test]
fn a_silent_path_is_left_within_one_and_a_half_intervals() {
    for settings in [retrying(3), retrying_nsna()] {
        let mut latest = 0;
        for lost in 2000..2100 {
            let mut site = two(&settings);
            site.pass(lost);
            assert_eq!(site.active(), Some(1));
            site.reached = vec![2];
            site.switched = Vec::new();
            let after = left_after(&mut site, lost);
            latest = latest.max(after);
            assert_eq!(site.active(), Some(2), "{lost}");
            let requests: Vec<_> =
                site.sent.iter().filter(|(when, on, _)| *on == 1 && *when > at(lost)).collect();
            assert_eq!(requests.len(), 4, "{lost}");
            let last = requests[3].0;
            assert!(site.now.saturating_since(last) >= RETRY, "{lost}: the last one had no time");
            assert_eq!(site.missed(1), 4);
            // A watch that is down sends one request an interval, and the path is not used again.
            let from = site.now.as_nanos() / 1_000_000 + 1;
            site.pass(from + 1000);
            assert_eq!(site.sent_on(1, from).len(), 10, "{lost}");
            assert_eq!((site.active(), downs(&site)), (Some(2), 1));
        }
        assert!((140..=150).contains(&latest), "{latest}");
    }
}

#[test]
fn a_watch_that_is_answered_sends_no_more_requests() {
    for (retrying, plain) in [(retrying(3), port(0, ping())), (retrying_nsna(), nsna_ping::port(0))]
    {
        let sent = [retrying, plain].map(|settings| {
            let mut site = two(&settings);
            site.pass(60_000);
            assert_eq!((site.active(), downs(&site)), (Some(1), 0));
            site.sent
        });
        assert_eq!(sent[0], sent[1]);
    }
}

/// Replies take longer than `retry_interval`.
#[test]
fn a_slow_neighbour_keeps_its_path() {
    for delay in [13, 24, 40, 49, 60, 90] {
        for settings in [retrying(0), retrying(3), retrying_nsna()] {
            let mut site = two(&settings);
            site.answer_delay = Box::new(move || Some(Duration::from_millis(delay)));
            site.pass(1000);
            site.actions.clear();
            let sent = site.sent_on(1, 0).len();
            site.pass(61_000);
            // With missed_max 0 half an interval of silence takes the watch down, retries or not.
            if delay < 50 || settings != retrying(0) {
                assert_eq!((site.active(), downs(&site)), (Some(1), 0), "{delay} ms");
            }
            if delay < 50 {
                assert_eq!(site.sent_on(1, 0).len() - sent, 600, "{delay} ms: retries at rest");
            }
        }
    }
}

/// Replies take up to 45 ms, and one of ten is lost.
#[test]
fn lost_and_late_replies_take_no_watch_down() {
    for seed in 0..4 {
        let mut random = SplitMix64::new(seed);
        let mut site = two(&retrying(3));
        site.answer_delay = Box::new(move || {
            let delay = Duration::from_millis(1 + random.below(45) as u64);
            (random.below(10) > 0).then_some(delay)
        });
        site.pass(1000);
        site.actions.clear();
        site.sent.clear();
        site.pass(1_800_000);
        assert_eq!(downs(&site), 0, "seed {seed}");
        let sent = site.sent_on(1, 0).len();
        assert!(sent < 18_000 * 3 / 2, "{sent} requests in half an hour");
    }
}

/// The switch drops all frames of the port for less than the time of a series.
#[test]
fn a_short_gap_takes_no_watch_down() {
    for began in 2000..2100 {
        let mut site = two(&retrying(3));
        site.pass(began);
        site.reached = vec![2];
        site.pass(began + 36);
        site.reached = vec![1, 2];
        site.pass(began + 1000);
        assert_eq!((site.active(), downs(&site)), (Some(1), 0), "{began}");
    }
}

/// The neighbour of both ports falls silent: the second port stays as long as without retries, so the
/// team keeps its carrier for a neighbour that restarts.
#[test]
fn the_last_port_stays_as_long_as_without_retries() {
    for settings in [retrying(3), retrying_nsna()] {
        for lost in 2000..2100 {
            let mut site = two(&settings);
            site.pass(lost);
            site.reached = Vec::new();
            site.switched = Vec::new();
            assert!(left_after(&mut site, lost) <= 150);
            site.pass(lost + 349);
            assert_eq!(site.active(), Some(2), "{lost}");
            site.pass(lost + 560);
            assert_eq!(site.active(), None, "{lost}");
        }
    }
}

#[test]
fn a_single_port_has_no_retries() {
    let mut site = Site::new(activebackup(), &[1], &[1]);
    site.handle(added(1, UP, retrying(3)));
    site.pass(2000);
    site.reached = Vec::new();
    site.pass(2359);
    assert_eq!(site.active(), Some(1));
    site.pass(2360);
    assert_eq!(site.active(), None);
    assert_eq!(site.sent_on(1, 2000).len(), 4);
}

/// Frames of other hosts alone keep the watch up, without retries for a target that never replies.
#[test]
fn a_target_that_never_replied_causes_no_retries() {
    let mut site = pair(ping(), &[], &[]);
    site.handle(Event::PortSettingsChanged { port: PortId(1), settings: retrying(3) });
    for tenth in 0..100 {
        site.pass(tenth * 100 + 70);
        for port in [1, 2] {
            site.receive(port, &arp_frame(BROADCAST, Arp::REQUEST, STRANGER, SOURCE, TARGET));
        }
    }
    assert_eq!((site.active(), downs(&site)), (Some(1), 0));
    assert!(site.sent_on(1, 1000).len() <= 90, "{}", site.sent_on(1, 1000).len());
}

#[test]
fn retries_never_keep_a_path_longer() {
    for pause in [50, 80, 100, 5000] {
        for missed_max in [0, 1, 3] {
            let mut settings = retrying(missed_max);
            for watch in &mut settings.link_watches {
                if let LinkWatchSettings::ArpPing(ping) = watch {
                    ping.probing.retry_interval = Some(Duration::from_millis(pause));
                }
            }
            let mut site = two(&settings);
            site.pass(2000);
            site.reached = vec![2];
            let after = left_after(&mut site, 2000);
            assert!(after <= 60 + 100 * u64::from(missed_max), "{pause}, {missed_max}: {after}");
        }
    }
}

/// The process stands still while a series runs: answers that arrive meanwhile are read afterwards.
#[test]
fn a_pause_of_the_process_counts_as_one_request_of_a_series() {
    let mut site = two(&retrying(3));
    site.pass(2010);
    site.now = at(2060);
    site.handle(Event::DeadlineReached);
    assert_eq!(site.active(), Some(1));
    site.pass(5000);
    assert_eq!((site.active(), downs(&site)), (Some(1), 0));
}
