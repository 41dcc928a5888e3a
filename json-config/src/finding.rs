//! What a walk over a configuration finds, and how the two readers put it.

use crate::problem::{Problem, Step, path_text};

/// Who minds a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// The strict check alone; for a run it is as good as absent.
    Strict,
    /// A run goes on with something else and says so.
    Fallback,
    /// A run refuses the team or the port.
    Refused,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) path: Vec<Step>,
    /// The key itself is wrong, not its value.
    pub(crate) at_key: bool,
    pub(crate) words: Words,
}

/// What is to be said of a finding.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// What was expected and what was found.
    pub(crate) message: String,
    /// How to mend it.
    pub(crate) mend: String,
    /// What a run does instead, if it goes on.
    pub(crate) instead: String,
    /// What teamd logs.
    pub(crate) teamd: Option<String>,
}

impl Finding {
    /// As the strict check says it.
    pub(crate) fn to_mend(&self) -> Problem {
        self.problem(joined(&self.words.message, &self.words.mend))
    }

    /// As a run says it.
    pub(crate) fn as_run(&self) -> Problem {
        let words = &self.words;
        self.problem(match &words.teamd {
            Some(line) => joined(&format!("{line} ({})", words.message), &words.instead),
            None => joined(&words.message, &words.instead),
        })
    }

    fn problem(&self, message: String) -> Problem {
        Problem {
            path: path_text(&self.path),
            message,
            position: None,
        }
    }
}

fn joined(message: &str, addition: &str) -> String {
    match addition {
        "" => message.to_owned(),
        addition => format!("{message}; {addition}"),
    }
}

/// What one walk has found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// In the order of the file, but what is missing comes behind what is there.
    pub(crate) list: Vec<Finding>,
    /// How many more there were.
    pub(crate) more: usize,
}
