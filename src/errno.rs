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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_in_c() {
        let exists = io::Error::from_raw_os_error(libc::EEXIST);
        assert_eq!(strerror(&exists), "File exists");
    }
}
