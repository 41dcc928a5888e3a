//! Waiting for a state instead of for a while.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before it counts as never happening. It bounds a hang; no test
/// measures anything with it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Asks `probe` again and again until it has an answer; panics with `what` after [`LIMIT`].
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Asks until `holds` says yes; false if it has not after [`LIMIT`].
pub fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Asks until `holds` says yes; panics with `what` after [`LIMIT`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
