//! A machine that was suspended: the daemon handles overdue deadlines at once.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::time::{Duration, Instant};

use integration::{
    DataPath, Lab, Preload, Sharing, Teamr, TwoTeams, on_own_data_paths, team_config,
    teamr_command, wait_until,
};

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// More than the Long Timeout of 90 s.
const SUSPENDED: Duration = Duration::from_secs(100);
/// Time for overdue deadlines. A daemon that waits for the next periodic LACPDU needs up to 30 s.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The partner sends nothing from before the suspend on: after the suspend the ports have no partner
/// and stop carrying traffic.
fn a_silent_partner_is_not_waited_for(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = TwoTeams::new(&lab);
    let mut config = team_config("team0", "lacp", data_path, &PORTS);
    config["runner"]["fast_rate"] = false.into();
    let clock = Preload::new(&lab, "tests/suspend/clock.c", 1);
    let mut command = teamr_command(&pair.left);
    clock.apply(&mut command);
    let left = Teamr::start_config(&pair.left, &config, command);
    let right = Teamr::start(&pair.right, &config);
    pair.set_up_teams();
    let states = |team: &Teamr| {
        let state = team.state_at_socket();
        PORTS.map(|port| {
            let actor = &state["ports"][port]["runner"]["actor_lacpdu_info"]["state"];
            actor.as_u64().expect("the state of an Actor")
        })
    };
    let is_distributing = |state: &u64| state & 0x20 != 0;
    wait_until("both ports to carry", || states(&left).iter().all(is_distributing));
    right.crash();
    let nanoseconds = i64::try_from(SUSPENDED.as_nanos()).expect("a small number");
    let resumed = Instant::now();
    clock.set(0, nanoseconds);
    wait_until("no port to carry", || !states(&left).iter().any(is_distributing));
    assert!(resumed.elapsed() < AT_ONCE, "after {:?}", resumed.elapsed());
    assert!(left.stop().success());
}

on_own_data_paths! {
    a_silent_partner_is_not_waited_for
}
