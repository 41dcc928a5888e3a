//! broadcast, roundrobin, random: allowed ports are enabled, whatever the state of their watches.

use runners::{RunnerSettings, TeamSettings};

use crate::play::*;

#[test]
fn ports_stay_enabled_without_a_link() {
    let runners = [
        (RunnerSettings::Broadcast, "broadcast"),
        (ROUNDROBIN, "roundrobin"),
        (RunnerSettings::Random { seed: 7 }, "random 7"),
    ];
    for (runner, policy) in runners {
        let forward = |ports: &str| format!("forward {policy}: {ports}");
        let mut play = Play::new(TeamSettings::new(runner));
        play.at(
            0,
            added(1, UP, prio(0)),
            &[
                "eth1: ethtool-link went up.",
                "team hwaddr 01",
                &forward("1+^"),
                "carrier true",
                "carrier changed to UP",
            ],
        );
        play.at(1, added(2, DOWN, prio(0)), &[&forward("1+^ 2+_"), "port 2 hwaddr 01"]);
        play.at(2, link_is(2, UP), &["eth2: ethtool-link went up.", &forward("1+^ 2+^")]);
        play.at(3, link_is(1, DOWN), &["eth1: ethtool-link went down.", &forward("1+_ 2+^")]);
        play.at(4, allowed(1, false), &[&forward("1-_ 2+^")]);
        play.at(5, removed(1), &[&forward("2+^")]);
        play.at(6, chosen(2), &[]);
        assert_eq!(play.team.active_port(), None);
        play.has_no_deadline();
    }
}
