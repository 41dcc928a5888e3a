//! Error texts as `strerror` words them, since scripts and people know those lines.

use std::io;

/// The system's text for an error number, the error's own text for others.
pub fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library has the text from the system and adds the number.
    let number = error
        .raw_os_error()
        .map(|code| format!(" (os error {code})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(text) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_in_c() {
        let exists = io::Error::from_raw_os_error(libc::EEXIST);
        assert_eq!(strerror(&exists), "File exists");
        let range = io::Error::from_raw_os_error(libc::ERANGE);
        assert_eq!(strerror(&range), "Numerical result out of range");
    }
}
