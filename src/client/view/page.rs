//! Indented lines of text.

use std::fmt::{Display, Write};

use super::MissingItem;
use crate::text::printable;

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
        let text = text.to_string();
        let _ = writeln!(self.text, "{:indent$}{}", "", printable(&text));
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

    /// Adds these lines to a verbose view.
    ///
    /// # Errors
    /// `missing` if a value is absent, also in a view that is not verbose; no line is added then.
    pub(super) fn details<const N: usize>(
        &mut self,
        missing: MissingItem,
        lines: [(&str, Option<String>); N],
    ) -> Result<(), MissingItem> {
        if lines.iter().any(|(_, value)| value.is_none()) {
            return Err(missing);
        }
        for (label, value) in lines {
            self.detail(label, value.unwrap_or_default());
        }
        Ok(())
    }

    pub(super) fn indented<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.level += 1;
        let result = body(self);
        self.level -= 1;
        result
    }
}

/// Returns an item as text.
pub(super) fn text<T: ToString>(item: &Option<T>) -> Option<String> {
    item.as_ref().map(T::to_string)
}

/// Returns a boolean item as "yes" or "no".
pub(super) fn flag(item: Option<bool>) -> Option<String> {
    item.map(|flag| yes(flag).to_owned())
}

pub(super) fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

pub(super) fn up_or_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}
