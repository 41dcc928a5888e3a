//! Waits for a state, never for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

/// Limit of every wait. The limit ends a hang; no test measures anything with it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Calls `probe` until it returns a value; panics with `what` after [`LIMIT`].
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

/// Polls `holds` until it is true; returns false after [`LIMIT`].
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

/// Polls `holds` until it is true; panics with `what` after [`LIMIT`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
