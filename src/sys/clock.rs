//! The clocks of the machine. `clippy.toml` keeps every other function of the program from reading
//! one.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Returns the time since the machine started, without the time that it was suspended
/// (`CLOCK_MONOTONIC`; eBPF programs read the same clock by `bpf_ktime_get_ns`).
pub fn monotonic() -> Duration {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Returns the time since the machine started, with the time that it was suspended
/// (`CLOCK_BOOTTIME`).
pub fn boottime() -> Duration {
    read(ClockId::CLOCK_BOOTTIME)
}

/// Returns the time since 1970-01-01 00:00 UTC; zero if the clock is set to an earlier time.
pub fn unix_time() -> Duration {
    read(ClockId::CLOCK_REALTIME)
}

#[allow(clippy::disallowed_methods)] // The one place.
fn read(clock: ClockId) -> Duration {
    // Linux has these clocks. A time before 1970 has negative seconds, which `Duration` lacks.
    let time = clock_gettime(clock).ok();
    time.filter(|time| time.tv_sec() >= 0).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_clock_goes_back_and_unix_time_is_of_this_century() {
        for clock in [monotonic, boottime] {
            let (first, second) = (clock(), clock());
            assert!(first > Duration::ZERO && first <= second);
        }
        assert!(unix_time() > Duration::from_secs(946_684_800));
    }
}
