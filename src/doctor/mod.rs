//! The doctor: finds what is wrong with a team, and what to do about it.
//!
//! Owns the findings: from the [`Facts`] about a team to sentences. Pure; the client reads the
//! facts. An id never changes its meaning, so that scripts can rely on it.

mod bond;
mod bridge;
mod config;
mod explain;
mod facts;
mod host;
mod links;
mod network;

use std::fmt;

use serde_json::Value;

use crate::state::Part;
use crate::state::status::FindingStatus;
pub use bond::diagnose_bond;
pub use explain::{EXPLANATIONS, Explanation, explain};
pub use facts::{BridgePortFacts, CardFacts, DeviceFacts, Facts};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Traffic is lost, doubled or silent, or will be when a link goes.
    Problem,
    /// The team works, and could be better.
    Notice,
}

/// One fault, with its cause and its cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name, for scripts.
    pub id: &'static str,
    /// How much the finding matters.
    pub weight: Weight,
    /// One sentence: what is wrong.
    pub cause: String,
    /// One sentence: what to do.
    pub cure: String,
}

impl fmt::Display for Finding {
    /// Writes the cause with the id, and the cure on a second line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Problem => "problem",
            Weight::Notice => "notice",
        };
        let Finding { id, cause, cure, .. } = self;
        write!(f, "{weight}: {cause} [{id}]\n    {cure}")
    }
}

impl Finding {
    /// Returns the finding as a part of the status.
    pub fn to_status(&self) -> FindingStatus {
        FindingStatus {
            id: Some(self.id.to_owned()),
            problem: Some(self.weight == Weight::Problem),
            cause: Some(self.cause.clone()),
            cure: Some(self.cure.clone()),
        }
    }

    /// Returns the finding for `--json`.
    pub fn to_json(&self) -> Value {
        self.to_status().to_json()
    }
}

/// The findings so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn problem(&mut self, id: &'static str, cause: impl Into<String>, cure: impl Into<String>) {
        self.add(id, Weight::Problem, cause.into(), cure.into());
    }

    fn notice(&mut self, id: &'static str, cause: impl Into<String>, cure: impl Into<String>) {
        self.add(id, Weight::Notice, cause.into(), cure.into());
    }

    fn add(&mut self, id: &'static str, weight: Weight, cause: String, cure: String) {
        self.0.push(Finding { id, weight, cause, cure });
    }

    /// Returns the problems, then the notices; the sort is stable.
    fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.weight);
        self.0
    }
}

/// Returns the findings about a running team, problems first, causes before their consequences.
pub fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    config::diagnose(facts, &mut findings);
    network::diagnose(facts, &mut findings);
    bridge::diagnose(facts, &mut findings);
    host::diagnose(facts, &mut findings);
    links::diagnose(facts, &mut findings);
    findings.sorted()
}

/// Returns the findings about a configuration without a running team.
pub fn diagnose_config(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    config::diagnose(facts, &mut findings);
    findings.sorted()
}

/// Returns the names with "and" before the last one.
fn and(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Returns the names with "is" or "are".
fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", and(names))
}

/// Returns the names with "has" or "have".
fn have(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "has" } else { "have" };
    format!("{} {verb}", and(names))
}
