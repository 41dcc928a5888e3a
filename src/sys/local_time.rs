//! The wall clock as the system's log shows it.

use std::mem::MaybeUninit;

use super::clock;

/// A moment within a year, in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// 0 is January.
    pub month: u8,
    /// From 1.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// The time now.
pub fn now() -> LocalTime {
    let mut broken_down = MaybeUninit::<libc::tm>::zeroed();
    let seconds = clock::unix_time().as_secs() as libc::time_t;
    // SAFETY: localtime_r reads the seconds and writes only to the tm it is given, which outlives
    // the call; all zeroes is a valid tm should it fail.
    let tm = unsafe {
        libc::localtime_r(&seconds, broken_down.as_mut_ptr());
        broken_down.assume_init()
    };
    let field = |value: libc::c_int| u8::try_from(value).unwrap_or_default();
    LocalTime {
        month: field(tm.tm_mon),
        day: field(tm.tm_mday),
        hour: field(tm.tm_hour),
        minute: field(tm.tm_min),
        second: field(tm.tm_sec),
    }
}
