//! Answers that the kernel may give in place of a team, and a team that did not run for a while.

use runners::wire::lacpdu::{Lacpdu, StateBits};
use runners::{Event, KeepAlive, LacpSettings, PortId};

use crate::network::{Pair, fast, millis, seconds};

const PORT: PortId = PortId(0);
/// Bytes before an LACPDU in its frame.
const HEADER: usize = 14;

/// Returns a pair with one link, on which both teams distribute.
fn distributing_pair(settings: LacpSettings) -> Pair {
    let mut pair = Pair::new([settings.clone(), settings], 1).with_ports(1);
    pair.run(seconds(40));
    assert_eq!((pair.distributing(0), pair.distributing(1)), (vec![0], vec![0]));
    pair
}

fn keep_alive(pair: &Pair) -> KeepAlive {
    pair.teams[0].keep_alive(PORT).expect("a partner")
}

#[test]
fn an_answer_requires_the_lacpdu_that_the_partner_sends() {
    for (settings, period) in [(fast(), seconds(1)), (LacpSettings::default(), seconds(30))] {
        let pair = distributing_pair(settings);
        let kept = keep_alive(&pair);
        let of_partner = pair.teams[1].keep_alive(PORT).expect("a partner").answer();
        let expected = kept.expected();
        for range in KeepAlive::COMPARED {
            assert_eq!(expected[range.clone()], of_partner[range.clone()], "{range:?}");
        }
        let answer = Lacpdu::parse(&kept.answer()[HEADER..]).expect("an LACPDU");
        assert_eq!(answer.actor, pair.status((0, 0)).actor);
        assert_eq!(answer.partner, pair.status((0, 0)).partner);
        assert_eq!((kept.period, kept.pause, kept.heard), (period, millis(500), true));
        assert!(pair.now.saturating_since(kept.sent) <= period);
    }
}

#[test]
fn the_kernel_may_not_answer_for_a_port_that_does_not_distribute() {
    type Change = fn(&mut Pair);
    let changes: [(&str, Change); 5] = [
        ("no link", |pair| pair.link_down((0, 0))),
        ("a drain", |pair| pair.drain((0, 0), true)),
        ("a forbidden port", |pair| pair.allow((0, 0), false)),
        ("the team device down", |pair| pair.handle(0, Event::TeamAdminChanged { up: false })),
        ("a silent partner", |pair| {
            pair.blocked.insert((0, 0));
            pair.run(millis(3001));
        }),
    ];
    for (what, change) in changes {
        let mut pair = distributing_pair(fast());
        assert!(pair.teams[0].keep_alive(PORT).is_some(), "before {what}");
        change(&mut pair);
        assert_eq!(pair.teams[0].keep_alive(PORT), None, "{what}");
    }
    let alone = Pair::new([fast(), fast()], 1);
    assert_eq!(alone.teams[0].keep_alive(PORT), None, "without the port");
}

#[test]
fn a_team_that_is_left_in_place_asks_for_the_short_period() {
    let never = LacpSettings { keepalive: seconds(0), ..LacpSettings::default() };
    for (settings, asks) in [(LacpSettings::default(), true), (never, false)] {
        let mut pair = distributing_pair(settings);
        pair.handle(0, Event::LeftInPlace);
        pair.run(millis(5));
        assert_eq!(pair.status((1, 0)).partner.state.has(StateBits::TIMEOUT), asks);
        assert_eq!(pair.distributing(1), [0], "the partner goes on");
        let periodic = pair.status((1, 0)).machines.periodic;
        assert_eq!(periodic == "FAST_PERIODIC", asks, "{periodic}");
    }
}

/// A team that was frozen for ten minutes keeps a partner whose LACPDU is queued; a silent partner
/// counts as lost a second later.
#[test]
fn a_resumed_team_handles_queued_frames_before_a_timeout() {
    for (event, speaks, keeps) in [
        (Event::Resumed, true, true),
        (Event::Resumed, false, false),
        (Event::DeadlineReached, true, false),
    ] {
        let mut pair = distributing_pair(fast());
        let waiting = pair.teams[1].keep_alive(PORT).expect("a partner").answer();
        pair.blocked.extend([(0, 0), (1, 0)]);
        pair.now = pair.now + seconds(600);
        pair.flaps = 0;
        pair.handle(0, event.clone());
        if speaks {
            pair.receive((0, 0), waiting);
        }
        assert_eq!(pair.flaps == 0, event == Event::Resumed, "{event:?}");
        let end = pair.now + millis(1001);
        while let Some(due) = pair.teams[0].next_deadline().filter(|due| *due < end) {
            pair.now = due;
            pair.handle(0, Event::DeadlineReached);
        }
        assert_eq!(pair.flaps == 0, keeps, "{event:?}, the partner speaks: {speaks}");
    }
}
