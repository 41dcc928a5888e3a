//! Durations of failovers.

use std::time::Duration;

use runners::{Event, FailoverTimes, PortSettings, TeamSettings};

use crate::play::*;

fn times(count: u64, total: u64, last: u64) -> FailoverTimes {
    FailoverTimes { count, total: Duration::from_millis(total), last: Duration::from_millis(last) }
}

/// A port whose watch goes down `delay_down` ms after the carrier.
fn slow(prio: i32, delay_down: u64) -> PortSettings {
    PortSettings { prio, link_watches: vec![ethtool(0, delay_down)], ..PortSettings::default() }
}

#[test]
fn a_failover_lasts_from_the_lost_link_to_the_new_forwarding() {
    let mut play = Play::new(TeamSettings::new(backed_up(Default::default())));
    play.skip(0, added(1, UP, slow(5, 20)));
    play.skip(0, added(2, UP, slow(0, 30)));
    // The waiting port carries nothing.
    play.skip(500, link_is(2, DOWN));
    play.skip(600, link_is(2, UP));
    play.skip(1000, link_is(1, DOWN));
    assert_eq!(play.team.failover_times(), times(0, 0, 0));
    play.skip(1020, Event::DeadlineReached);
    assert_eq!(play.team.failover_times(), times(1, 20, 20));
    // A link that returns within the delay is no failover.
    play.skip(2000, link_is(2, DOWN));
    play.skip(2010, link_is(2, UP));
    play.skip(2100, Event::DeadlineReached);
    // The loss of the last port is no failover.
    play.skip(3000, link_is(2, DOWN));
    play.skip(3030, Event::DeadlineReached);
    assert_eq!(play.team.failover_times(), times(1, 20, 20));
    play.skip(4000, link_is(2, UP));
    play.skip(4000, link_is(1, UP));
    play.skip(5000, link_is(1, DOWN));
    play.skip(5020, Event::DeadlineReached);
    assert_eq!(play.team.failover_times(), times(2, 40, 20));
}

#[test]
fn plain_runners_skip_a_port_without_a_link_at_once() {
    let mut play = Play::new(TeamSettings::new(ROUNDROBIN));
    play.skip(0, added(1, UP, slow(0, 500)));
    play.skip(0, added(2, UP, slow(0, 500)));
    play.skip(1000, link_is(2, DOWN));
    assert_eq!(play.team.failover_times(), times(1, 0, 0));
}
