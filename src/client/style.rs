//! Colours of a terminal, and lines that fit one.

use std::env;
use std::io::{self, IsTerminal};

use crate::text::columns as columns_of;

/// Columns of the texts that are not for a terminal of a known size.
pub const COLUMNS: usize = 80;

/// Meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Heads of tables and sections.
    Head,
    /// Carries traffic.
    Good,
    /// Works, and could be better.
    Notice,
    /// Is wrong.
    Bad,
    /// Text without a colour.
    Plain,
}

/// Whether text has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With the escape sequences of ECMA-48.
    Coloured,
    /// Without.
    Plain,
}

impl Style {
    /// Returns the style for standard output: coloured on a terminal, unless `NO_COLOR` has a value
    /// or the terminal [is dumb](is_dumb).
    pub fn of_stdout() -> Self {
        let has_value = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        match io::stdout().is_terminal() && !has_value("NO_COLOR") && !is_dumb() {
            true => Style::Coloured,
            false => Style::Plain,
        }
    }

    /// Returns `text` in the colour of `tone`.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Style::Plain, _) | (_, Tone::Plain) => return text.to_owned(),
            (_, Tone::Head) => 1,
            (_, Tone::Bad) => 31,
            (_, Tone::Good) => 32,
            (_, Tone::Notice) => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Returns whether `TERM` names no terminal that obeys escape sequences.
pub fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Returns the words of `text` in lines of at most `columns` columns. Each line begins with
/// `indent` blanks; a longer word has a line of its own.
pub fn wrap(text: &str, indent: usize, columns: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let width = indent + columns_of(&line) + 1 + columns_of(word);
        if !line.is_empty() && width > columns {
            lines += &format!("{:indent$}{line}\n", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &format!("{:indent$}{line}\n", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_before_the_last_column() {
        assert_eq!(wrap("one two three four", 2, 10), "  one two\n  three\n  four\n");
        assert_eq!(wrap("one-long-word two", 2, 8), "  one-long-word\n  two\n");
        assert_eq!(wrap("", 2, 8), "  \n");
    }

    #[test]
    fn plain_text_has_no_escape_sequence() {
        assert_eq!(Style::Plain.paint(Tone::Bad, "down"), "down");
        assert_eq!(Style::Coloured.paint(Tone::Bad, "down"), "\x1b[31mdown\x1b[0m");
        assert_eq!(Style::Coloured.paint(Tone::Plain, "down"), "down");
    }
}
