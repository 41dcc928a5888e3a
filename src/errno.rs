//! Error texts of `strerror`, which scripts compare, and the repetition of calls after transient
//! errors, which are counted.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Returns the system's text for an error number, and the error's own text for other errors.
pub fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library adds the number to the text of the system.
    let number = error.raw_os_error().map(|code| format!(" (os error {code})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(text) => text.to_owned(),
        None => text,
    }
}

static FAILED_CALLS: AtomicU64 = AtomicU64::new(0);

/// Counts a call that failed and is made again.
pub fn count_failed_call() {
    FAILED_CALLS.fetch_add(1, Ordering::Relaxed);
}

/// Returns the number of calls of this process that failed and were made again.
pub fn failed_calls() -> u64 {
    FAILED_CALLS.load(Ordering::Relaxed)
}

/// Most attempts of a call.
const TRIES: usize = 3;

/// Repeats a call while its error is transient, at most `TRIES` times in all. Returns the last
/// outcome.
pub fn repeat<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 1..TRIES;
    loop {
        match (call(), tries.next()) {
            (Err(error), Some(_)) if is_transient(&error) => count_failed_call(),
            (outcome, _) => return outcome,
        }
    }
}

/// Returns whether the next call may succeed after this error: an interruption, a lack of memory or
/// room, or the refusal of a security module.
pub fn is_transient(error: &io::Error) -> bool {
    let number = error.raw_os_error().unwrap_or_default();
    [libc::EINTR, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM, libc::EMSGSIZE, libc::EPERM]
        .contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_error_numbers_are_those_of_c() {
        let exists = io::Error::from_raw_os_error(libc::EEXIST);
        assert_eq!(strerror(&exists), "File exists");
        let range = io::Error::from_raw_os_error(libc::ERANGE);
        assert_eq!(strerror(&range), "Numerical result out of range");
    }

    #[test]
    fn only_calls_with_transient_errors_are_repeated() {
        let calls_of = |errors: &[i32]| {
            let mut calls = 0;
            let outcome = repeat(|| {
                calls += 1;
                errors
                    .get(calls - 1)
                    .map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(*code)))
            });
            (calls, outcome.err().and_then(|error| error.raw_os_error()))
        };
        let before = failed_calls();
        assert_eq!(calls_of(&[]), (1, None));
        assert_eq!(calls_of(&[libc::ENOMEM, libc::EINTR]), (3, None));
        assert_eq!(calls_of(&[libc::ENODEV]), (1, Some(libc::ENODEV)));
        assert_eq!(calls_of(&[libc::EPERM; 9]), (3, Some(libc::EPERM)));
        assert!(failed_calls() - before >= 4);
    }
}
