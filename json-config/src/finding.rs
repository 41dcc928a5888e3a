//! Findings of a walk over a configuration, and their messages for the check and for a run.

use crate::problem::{Problem, Step, path_text};

/// Consequence of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Only the strict check reports it; a run ignores the key.
    Strict,
    /// A run logs it and uses another value.
    Fallback,
    /// A run refuses the team or the port.
    Refused,
}

/// One fault of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) path: Vec<Step>,
    /// The key is wrong, not its value.
    pub(crate) at_key: bool,
    pub(crate) words: Words,
}

/// The parts of a finding's message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// Expectation and finding.
    pub(crate) message: String,
    /// The remedy.
    pub(crate) mend: String,
    /// What a run uses instead.
    pub(crate) instead: String,
    /// teamd's log line.
    pub(crate) teamd: Option<String>,
}

impl Finding {
    /// Returns the problem with its remedy, for the strict check.
    pub(crate) fn for_check(&self) -> Problem {
        self.problem(joined(&self.words.message, &self.words.mend))
    }

    /// Returns the problem with teamd's log line and the consequence, for a run.
    pub(crate) fn for_run(&self) -> Problem {
        let words = &self.words;
        self.problem(match &words.teamd {
            Some(line) => joined(&format!("{line} ({})", words.message), &words.instead),
            None => joined(&words.message, &words.instead),
        })
    }

    fn problem(&self, message: String) -> Problem {
        Problem { path: path_text(&self.path), message, position: None }
    }
}

fn joined(message: &str, addition: &str) -> String {
    match addition {
        "" => message.to_owned(),
        addition => format!("{message}; {addition}"),
    }
}

/// All findings of one walk.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// In the order of the file; missing keys of an object follow its present ones.
    pub(crate) list: Vec<Finding>,
    /// Number of findings beyond the list.
    pub(crate) more: usize,
}
