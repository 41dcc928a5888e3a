//! What is wrong with a team, and what to do about it.
//!
//! Owns the findings: from what is known of a team ([`Facts`]) to sentences. Pure; who gathers the
//! facts is [`crate::client`]. An id never changes its meaning, so that scripts can rely on it.

mod facts;
mod links;
mod network;
mod plan;

use std::fmt;

use serde_json::{Value, json};

pub use facts::{CardFacts, DeviceFacts, Facts};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Traffic is lost, doubled or silent, or will be when a link goes.
    Problem,
    /// It works, and could be better.
    Notice,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name, for scripts.
    pub id: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// One sentence: what is wrong.
    pub cause: String,
    /// One sentence: what to do.
    pub cure: String,
}

impl fmt::Display for Finding {
    /// The cause with the id, then the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Problem => "problem",
            Weight::Notice => "notice",
        };
        let Finding {
            id, cause, cure, ..
        } = self;
        write!(f, "{weight}: {cause} [{id}]\n    {cure}")
    }
}

impl Finding {
    /// For `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "problem": self.weight == Weight::Problem,
            "cause": self.cause,
            "cure": self.cure,
        })
    }
}

/// Findings under way.
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
        self.0.push(Finding {
            id,
            weight,
            cause,
            cure,
        });
    }
}

/// Everything that is wrong, the causes before what follows from them, problems first.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    plan::judge(facts, &mut findings);
    network::judge(facts, &mut findings);
    links::judge(facts, &mut findings);
    // Stable: within a weight the order above stays.
    findings.0.sort_by_key(|finding| finding.weight);
    findings.0
}

/// What can be said of a configuration that no team runs on.
pub fn judge_plan(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    plan::judge(facts, &mut findings);
    findings.0.sort_by_key(|finding| finding.weight);
    findings.0
}

/// Names with "and" before the last one.
fn and(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The same with the verb that belongs to as many.
fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", and(names))
}
