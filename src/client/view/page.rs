//! Indented lines of text.

use std::fmt::{Display, Write};

/// Blanks for each level.
const STEP: usize = 2;

/// A text and the level of its next line.
pub(super) struct Page<'a> {
    pub(super) text: &'a mut String,
    pub(super) level: usize,
    pub(super) verbose: bool,
}

impl Page<'_> {
    pub(super) fn bare(&mut self, text: impl Display) {
        let indent = self.level * STEP;
        let _ = writeln!(self.text, "{:indent$}{text}", "");
    }

    pub(super) fn heading(&mut self, text: impl Display) {
        self.bare(format_args!("{text}:"));
    }

    pub(super) fn line(&mut self, label: &str, value: impl Display) {
        self.bare(format_args!("{label}: {value}"));
    }

    /// Adds a line to a verbose view.
    pub(super) fn detail(&mut self, label: &str, value: impl Display) {
        if self.verbose {
            self.line(label, value);
        }
    }

    pub(super) fn indented<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.level += 1;
        let result = body(self);
        self.level -= 1;
        result
    }
}

pub(super) fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

pub(super) fn up_or_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}
