//! The examples show what their documentation says.
#![allow(clippy::duplicate_mod, reason = "each example is a program with a module `ends`")]

#[path = "../../examples/failover.rs"]
#[expect(dead_code, reason = "`main` only prints the events")]
mod failover;
#[path = "../../examples/lacp_pair.rs"]
#[expect(dead_code, reason = "`main` only prints the events")]
mod lacp_pair;

/// Returns the time of the first event of each end with this text, in milliseconds.
fn times(events: &[String], text: &str) -> [u64; 2] {
    ["A", "B"].map(|end| {
        let is_wanted = |event: &&String| event.contains(&format!("{end}: {text}"));
        let event = events.iter().find(is_wanted);
        let event = event.unwrap_or_else(|| panic!("{end}: {text} is not in {events:#?}"));
        let time = event.split_whitespace().next().expect("a time");
        time.parse().expect("a number")
    })
}

#[test]
fn lacp_pair_shows_both_ends_distribute_after_wait_while_timer() {
    let events = lacp_pair::events();
    let expired = "eth1: Changed port state: \"disabled\" -> \"expired\"";
    assert_eq!(times(&events, expired), [0, 0]);
    let current = "eth1: Changed port state: \"expired\" -> \"current\"";
    assert_eq!(times(&events, current), [1, 1]);
    let in_sync = "port 1 announces activity, timeout, aggregation, synchronization";
    assert_eq!(times(&events, in_sync), [2000, 2000]);
    assert_eq!(times(&events, "carrier true"), [2002, 2002]);
    assert!(events.last().expect("events").ends_with(", distributing"));
}

#[test]
fn failover_shows_both_ends_leave_the_link_and_return() {
    let events = failover::events();
    assert_eq!(times(&events, "forward shares 256/0: 1+^ 2-^"), [7001, 7001]);
    let current = "eth2: Changed port state: \"expired\" -> \"current\"";
    let late = |event: &String| event.starts_with("  9");
    let late: Vec<String> = events.into_iter().filter(late).collect();
    assert_eq!(times(&late, current), [9001, 9001]);
    assert_eq!(times(&late, "forward shares 128/128"), [9003, 9003]);
}
