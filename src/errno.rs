//! Error texts of `strerror`, which scripts compare.

use std::io;

/// Returns the system's text for an error number, and the error's own text for other errors.
pub fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library adds the number to the text of the system.
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
    fn texts_of_error_numbers_are_those_of_c() {
        let exists = io::Error::from_raw_os_error(libc::EEXIST);
        assert_eq!(strerror(&exists), "File exists");
        let range = io::Error::from_raw_os_error(libc::ERANGE);
        assert_eq!(strerror(&range), "Numerical result out of range");
    }
}
