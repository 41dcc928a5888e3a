//! The settings of one file, none of which a reader can lose without a note.
//!
//! A reader gets the settings only through [`File::decide_each`], which asks the reader for a decision on
//! each setting. A setting that the reader does not know becomes a note; a line that is no setting
//! becomes a note, too.

use std::borrow::Cow;
use std::fmt;

use super::manager::Manager;
use super::model::Notes;

/// Settings and other lines kept of a file; relevant files have fewer.
const MOST_LINES: usize = 5_000;

/// A key with its value, as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Manager of the file that has the setting.
    pub manager: Manager,
    /// Section; empty in a format without sections.
    pub section: String,
    /// Number of the section among those of the same name, from 0.
    pub occurrence: usize,
    /// Key.
    pub key: String,
    /// Value, as in the file.
    pub value: String,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { section, key, value, .. } = self;
        match section.is_empty() {
            true => write!(f, "{key}={value}"),
            false => write!(f, "[{section}] {key}={value}"),
        }
    }
}

/// The decision of a reader on a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The model has the setting, or the result behaves as with the setting.
    Read,
    /// A writer of the same format copies the setting unchanged.
    Kept,
    /// The result lacks the setting, for this reason.
    Lost(Cow<'static, str>),
}

impl Decision {
    /// Returns the decision on a setting that the reader does not know.
    pub const UNKNOWN: Decision = Decision::Lost(Cow::Borrowed("no reader knows this key here"));

    /// Returns the decision on a setting that is lost for a fixed reason.
    pub const fn lost(reason: &'static str) -> Decision {
        Decision::Lost(Cow::Borrowed(reason))
    }

    /// Returns [`Decision::Read`], or the error as the reason of a loss.
    pub fn of<T>(result: Result<T, impl fmt::Display>) -> Decision {
        match result {
            Ok(_) => Decision::Read,
            Err(error) => Decision::Lost(error.to_string().into()),
        }
    }
}

/// A file: its settings in their order, and its other lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Path below the root.
    pub path: String,
    settings: Vec<Setting>,
    /// Settings that a later one of the same key has replaced.
    replaced: Vec<Setting>,
    unread: Vec<String>,
}

impl File {
    /// Returns a file without settings.
    pub fn new(path: impl Into<String>) -> File {
        File { path: path.into(), ..File::default() }
    }

    /// Returns the name without its folder.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Adds a setting.
    pub fn push(&mut self, setting: Setting) {
        match self.lines() >= MOST_LINES {
            true => self.push_unread(&setting.to_string()),
            false => self.settings.push(setting),
        }
    }

    /// Adds a setting in place of an earlier one of its key. The file keeps an earlier setting with
    /// another value, for a note.
    pub fn replace(&mut self, setting: Setting) {
        let is_same = |known: &Setting| {
            (&known.section, known.occurrence, &known.key)
                == (&setting.section, setting.occurrence, &setting.key)
        };
        if let Some(at) = self.settings.iter().position(is_same) {
            let earlier = self.settings.remove(at);
            self.replaced.extend(Some(earlier).filter(|known| known.value != setting.value));
        }
        self.push(setting);
    }

    /// Adds a line that is no setting.
    pub fn push_unread(&mut self, line: &str) {
        // The first line beyond the limit stays, as a sign of the loss.
        if self.lines() <= MOST_LINES {
            self.unread.push(line.to_owned());
        }
    }

    fn lines(&self) -> usize {
        self.settings.len() + self.replaced.len() + self.unread.len()
    }

    /// Removes the earlier values of a key, as an empty assignment does in systemd's files.
    pub fn clear(&mut self, section: &str, occurrence: usize, key: &str) {
        self.settings.retain(|setting| {
            setting.section != section || setting.occurrence != occurrence || setting.key != key
        });
    }

    /// Returns the last value of a key.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let mut found = self.settings.iter().rev();
        let found = found.find(|setting| setting.section == section && setting.key == key)?;
        Some(&found.value)
    }

    /// Returns all values of a key.
    pub fn all<'a>(&'a self, section: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
        let settings = self.settings.iter();
        settings.filter(move |s| s.section == section && s.key == key).map(|s| s.value.as_str())
    }

    /// Returns all settings in their order, to look single settings up. A reader translates settings
    /// only in [`decide_each`](Self::decide_each).
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Lets `decide` decide on each setting, and returns the kept ones. Adds a note for each lost
    /// setting, for each that a later one has replaced, and for each line that is no setting.
    pub fn decide_each(
        &self,
        notes: &mut Notes,
        mut decide: impl FnMut(&Setting, &mut Notes) -> Decision,
    ) -> Vec<Setting> {
        let mut kept = Vec::new();
        for setting in &self.settings {
            match decide(setting, notes) {
                Decision::Read => {}
                Decision::Kept => kept.push(setting.clone()),
                Decision::Lost(reason) => {
                    notes.lost(format_args!("{}: {setting}", self.path), reason);
                }
            }
        }
        for setting in &self.replaced {
            notes.approximated(
                format_args!("{}: {setting}", self.path),
                "a later line has another value, which alone counts",
            );
        }
        for line in &self.unread {
            notes.lost(format_args!("{}: {line:?}", self.path), "the line is no setting");
        }
        kept
    }
}

/// Returns whether a name is that of a copy which an editor or a package manager leaves.
pub fn is_backup(name: &str) -> bool {
    const ENDINGS: [&str; 12] = [
        "~", ".bak", ".orig", ".rej", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".augnew",
        ".augtmp", ".old", ".tmp",
    ];
    const DEBIAN: [&str; 5] = [".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp", ".ucf-dist"];
    name.starts_with('.') || ENDINGS.iter().chain(&DEBIAN).any(|ending| name.ends_with(ending))
}
