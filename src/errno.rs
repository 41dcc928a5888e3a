//! Error texts as `strerror` words them, since scripts and people know those lines.

use std::io;

use nix::errno::Errno;

/// The system's text for an error number, the error's own text for others.
pub fn strerror(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}
