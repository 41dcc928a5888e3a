//! A change of one text file, made of edits of its lines.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file before and after the import; `None` where there is no such file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Absolute path.
    pub path: PathBuf,
    /// Former text.
    pub before: Option<String>,
    /// New text.
    pub after: Option<String>,
}

impl Change {
    /// Returns the lines that the change removes and adds, each behind a sign, without those of a file
    /// that is new or removed.
    pub fn lines(&self) -> Vec<String> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return Vec::new();
        };
        let (before, after): (Vec<&str>, Vec<&str>) =
            (before.lines().collect(), after.lines().collect());
        let same = |(a, b): &(&&str, &&str)| a == b;
        let first = before.iter().zip(&after).take_while(same).count();
        let rest = before.len().min(after.len()) - first;
        let last = before.iter().rev().zip(after.iter().rev()).take(rest).take_while(same).count();
        let removed = before[first..before.len() - last].iter().map(|line| format!("- {line}"));
        let added = after[first..after.len() - last].iter().map(|line| format!("+ {line}"));
        removed.chain(added).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_the_lines_that_differ() {
        let change = |before: &str, after: &str| Change {
            path: "/f".into(),
            before: Some(before.to_owned()),
            after: Some(after.to_owned()),
        };
        assert_eq!(change("a\nb\nc\n", "a\nd\ne\nc\n").lines(), ["- b", "+ d", "+ e"]);
        assert_eq!(change("a\na\n", "a\n").lines(), ["- a"]);
        assert_eq!(change("a\n", "a\na\n").lines(), ["+ a"]);
        assert!(change("a\n", "a\n").lines().is_empty());
    }
}
