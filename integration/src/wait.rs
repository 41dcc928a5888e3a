//! Waits for a state, never for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

/// Limit of every wait. The limit ends a hang; no test measures anything with it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Shortest time between two probes.
const PAUSE: Duration = Duration::from_millis(5);

/// Later pauses as a part of the time waited: a probe may start programs, and in virtual time no
/// time passes during a probe, so a long wait would consist of thousands of them.
const PART: u32 = 64;

/// Calls `probe` until it returns a value; panics with `what` after [`LIMIT`].
pub fn wait_for<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    poll(probe).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// Polls `holds` until it is true; returns false after [`LIMIT`].
pub fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    poll(|| holds().then_some(())).is_some()
}

/// Polls `holds` until it is true; panics with `what` after [`LIMIT`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Calls `probe` until it returns a value; returns `None` after [`LIMIT`].
fn poll<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        let waited = begin.elapsed();
        if waited >= LIMIT {
            return None;
        }
        thread::sleep((waited / PART).max(PAUSE));
    }
}
