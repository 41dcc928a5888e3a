//! Texts for terminals and logs.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::errno::strerror;

/// Returns `text` with `\x1b` and the like in place of control characters other than the newline and
/// the tabulator: an interface name may have any, and a terminal obeys them.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_hidden) {
        return text.into();
    }
    text.chars()
        .fold(String::new(), |text, c| match is_hidden(c) {
            true => text + &format!("\\x{:02x}", u32::from(c)),
            false => text + c.encode_utf8(&mut [0; 4]),
        })
        .into()
}

/// Returns the text of files for standard output: [`printable`] on a terminal, as it is for a file or a
/// pipe, which another program reads.
pub fn for_stdout(text: &str) -> Cow<'_, str> {
    match io::stdout().is_terminal() {
        true => printable(text),
        false => text.into(),
    }
}

/// Writes the results of a program to `out`, then the errors to `err`. Returns `status`, or 1 if the
/// results cannot be written; a reader that closes the pipe early is no error.
pub fn deliver(
    status: u8,
    results: &str,
    errors: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    // A command that wrote to `out` itself has reported its own failure, and left no results.
    let written = match results.is_empty() {
        true => Ok(()),
        false => out.write_all(results.as_bytes()).and_then(|()| out.flush()),
    };
    let _ = err.write_all(printable(errors).as_bytes());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(err, "Failed to write the results: {}.", strerror(&error));
            1
        }
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_as_numbers() {
        assert_eq!(printable("eth1:\té\n"), "eth1:\té\n");
        assert_eq!(printable("a\x1b[2J\u{9b}\x7f\r\0"), "a\\x1b[2J\\x9b\\x7f\\x0d\\x00");
    }
}
