//! Texts for terminals and logs.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::errno::strerror;

/// Returns `text` with `\x1b` and the like in place of control characters other than the newline and
/// the tabulator, and of characters without a width, which change the order of a line: an interface
/// name may have any, and a terminal obeys them.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || is_format(c);
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

/// Returns whether a character is invisible: line separators, and marks of Unicode's Bidirectional
/// Algorithm.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns the columns of printable text on a terminal: two for each wide character (Unicode's East
/// Asian Width), none for a combining mark.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Returns the beginning of `text` that fits `limit` columns.
pub fn cut(text: &str, limit: usize) -> String {
    let mut columns = 0;
    let fits = |c: &char| {
        columns += columns_of(*c);
        columns <= limit
    };
    text.chars().take_while(fits).collect()
}

/// Returns `text` with blanks behind it up to `width` columns.
pub fn pad(text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(columns(text));
    format!("{text}{:blanks$}", "")
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
        assert_eq!(printable("eth\u{202e}0\u{2028}"), "eth\\x202e0\\x2028");
    }

    #[test]
    fn wide_characters_have_two_columns() {
        assert_eq!(columns("eth1"), 4);
        assert_eq!(columns("日本"), 4);
        assert_eq!(columns("e\u{301}"), 1);
        assert_eq!(cut("日本語", 5), "日本");
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(pad("日本", 3), "日本");
    }
}
