//! Probes that a team sends by itself: times, runners, and reports.

use runners::{Action, Event, HostTraffic, PortId, RunnerSettings, TeamSettings};

use crate::play::*;

fn team(runner: RunnerSettings, probe: bool) -> Play {
    Play::new(TeamSettings { probe, ..TeamSettings::new(runner) })
}

/// Handles `event` at `millis`. Returns the probes sent, each with its port.
fn probes(play: &mut Play, millis: u64, event: Event) -> Vec<(PortId, Vec<u8>)> {
    play.team.handle(at(millis), event);
    std::iter::from_fn(|| play.team.poll_action())
        .filter_map(|action| match action {
            Action::SendFrame { port, frame } => Some((port, frame)),
            _ => None,
        })
        .collect()
}

fn ports(probes: &[(PortId, Vec<u8>)]) -> Vec<u32> {
    probes.iter().map(|(port, _)| port.0).collect()
}

/// Delivers the first of these probes to port 2. Returns the reports.
fn reports(play: &mut Play, millis: u64, probes: &[(PortId, Vec<u8>)]) -> Vec<String> {
    let frame = probes[0].1.clone();
    let port = PortId(2);
    play.shown(millis, Event::FrameReceived { port, frame })
}

#[test]
fn a_plain_switch_is_reported_once_after_links_came_up() {
    let mut play = team(ROUNDROBIN, true);
    assert_eq!(probes(&mut play, 0, added(1, UP, prio(0))), []);
    play.has_no_deadline();
    assert_eq!(probes(&mut play, 10, added(2, UP, prio(0))), []);
    assert_eq!(probes(&mut play, 500, added(3, UP, prio(0))), []);
    assert_eq!(play.team.next_deadline(), Some(at(1500)));
    let first = probes(&mut play, 1500, Event::DeadlineReached);
    assert_eq!(ports(&first), [1, 2, 3]);
    assert_eq!(
        reports(&mut play, 1501, &first),
        ["What leaves on \"eth1\" comes in on \"eth2\": on plain ports of one network this \
             runner doubles and loses frames; see teamrctl doctor."]
    );
    assert_eq!(reports(&mut play, 1502, &first), [""; 0], "one report a round");
    // The first round found the switch: there is no second one.
    assert_eq!(play.team.next_deadline(), Some(at(36_500)));
    assert_eq!(probes(&mut play, 36_500, Event::DeadlineReached), []);
    play.has_no_deadline();
}

#[test]
fn a_second_round_finds_a_switch_that_forwards_late() {
    let mut play = team(ROUNDROBIN, true);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    let first = probes(&mut play, 1000, Event::DeadlineReached);
    let second = probes(&mut play, 36_000, Event::DeadlineReached);
    assert_eq!(ports(&second), [1, 2]);
    play.has_no_deadline();
    assert_eq!(reports(&mut play, 36_001, &first), [""; 0], "a probe of an old round");
    assert_eq!(reports(&mut play, 36_001, &second).len(), 1);
}

#[test]
fn flapping_links_cause_a_round_every_ten_seconds_at_most() {
    let mut play = team(ROUNDROBIN, true);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    let mut rounds = Vec::new();
    for second in 1..=60 {
        let link = if second % 2 == 0 { UP } else { DOWN };
        for event in [Event::DeadlineReached, link_is(2, link)] {
            if !probes(&mut play, second * 1000, event).is_empty() {
                rounds.push(second);
            }
        }
    }
    assert!(rounds.len() > 2, "{rounds:?}");
    assert!(rounds.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{rounds:?}");
    // One link cannot have a crossed probe.
    play.skip(61_000, link_is(2, DOWN));
    play.has_no_deadline();
}

#[test]
fn a_team_probes_only_if_configured_and_useful_for_its_runner() {
    let slb = RunnerSettings::Slb {
        host: HostTraffic::OnePort,
        balancing_interval: None,
        learning_interval: None,
    };
    for (runner, probe) in [(ROUNDROBIN, false), (backed_up(Default::default()), true), (slb, true)]
    {
        let mut play = team(runner, probe);
        play.skip(0, added(1, UP, prio(0)));
        play.skip(0, added(2, UP, prio(0)));
        for second in 1..60 {
            let sent = probes(&mut play, second * 1000, Event::DeadlineReached);
            assert_eq!(sent, []);
        }
        // A request of the user always starts a round.
        let sent = probes(&mut play, 60_000, Event::ProbesWanted);
        assert_eq!(ports(&sent), [1, 2]);
    }
    // activebackup works on a plain switch: there is nothing to report.
    let mut play = team(backed_up(Default::default()), true);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    let sent = probes(&mut play, 60_000, Event::ProbesWanted);
    assert_eq!(reports(&mut play, 60_001, &sent), [""; 0]);
}
