//! Problems of a configuration, with path and position.

use std::fmt;

use crate::text::quoted;

/// A problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON path, such as `ports.eth1.prio`; empty for the text as a whole.
    pub path: String,
    /// Expectation and finding, then the consequence or the remedy.
    pub message: String,
    /// Position in the text; only the strict check determines it.
    pub position: Option<Position>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// A position in a text, displayed as `3:17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
}

impl Position {
    /// Position of the first character.
    pub(crate) const START: Position = Position { line: 1, column: 1 };

    /// Returns the position after `text`, which starts at `self`.
    pub(crate) fn after(self, text: &[u8]) -> Position {
        text.iter().fold(self, |place, byte| match byte {
            b'\n' => Position { line: place.line + 1, column: 1 },
            // The second and later bytes of a UTF-8 sequence.
            0x80..=0xbf => place,
            _ => Position { column: place.column + 1, ..place },
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Returns a path as text; an ambiguous name is quoted, as in state paths.
pub(crate) fn path_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                let plain = !key.is_empty()
                    && key.chars().all(|c| c.is_alphanumeric() || "_-$@:".contains(c));
                if plain {
                    text.push_str(&shortened(key));
                } else {
                    text.push_str(&quoted(&shortened(key)));
                }
            }
        }
    }
    text
}

/// Returns at most 40 characters of `text`, so that a huge value cannot flood the log.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_names_are_quoted() {
        let path = |keys: &[&str]| {
            let steps: Vec<Step> = keys.iter().map(|key| Step::Key((*key).into())).collect();
            path_text(&steps)
        };
        assert_eq!(path(&["ports", "eth1", "prio"]), "ports.eth1.prio");
        assert_eq!(path(&["ports", "eth1.5"]), "ports.\"eth1.5\"");
        assert_eq!(path(&["a\nb", ""]), "\"a\\nb\".\"\"");
        assert_eq!(path_text(&[Step::Key("link_watch".into()), Step::Index(1)]), "link_watch[1]");
    }

    #[test]
    fn positions_count_characters() {
        assert_eq!(Position::START.after(b""), Position::START);
        assert_eq!(Position::START.after("é\n€x".as_bytes()).to_string(), "2:3");
    }
}
