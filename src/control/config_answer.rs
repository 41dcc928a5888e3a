//! The answer of the methods that change the configuration, or would change it.
//!
//! The daemon writes an answer as a JSON object, and `teamrctl` reads it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer of `ConfigDiff`, `ConfigReplace`, `ConfigTry` and `ConfigItemSet`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigAnswer {
    /// The keys that change, also after a refusal.
    pub changes: Vec<KeyChange>,
    /// The outcome.
    pub outcome: ChangeOutcome,
    /// Reason of a refusal or a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Id of the trial that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<String>,
}

/// The outcome of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeOutcome {
    /// Nothing was to be changed.
    #[default]
    Planned,
    /// The configuration is in force.
    Done,
    /// The team is untouched.
    Refused,
    /// The team is again as it was.
    Failed,
}

/// A key that another configuration changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Path of the key.
    pub key: String,
    /// Former value; `None` if the key was absent.
    pub before: Option<Value>,
    /// New value; `None` if the key is absent now.
    pub after: Option<Value>,
    /// Effect on the traffic.
    pub effect: ChangeEffect,
    /// Reason of an effect other than [`Live`](ChangeEffect::Live), or the end of the change with a
    /// trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The effect of a change on the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeEffect {
    /// No frame is lost.
    Live,
    /// Traffic pauses.
    Interrupts,
    /// The running team cannot have the value.
    Refused,
}

impl ChangeEffect {
    /// Returns the word in the answer.
    pub fn name(self) -> &'static str {
        match self {
            ChangeEffect::Live => "live",
            ChangeEffect::Interrupts => "interrupts",
            ChangeEffect::Refused => "refused",
        }
    }
}

impl ConfigAnswer {
    /// Returns the answer without an error.
    pub fn new(outcome: ChangeOutcome, changes: Vec<KeyChange>) -> Self {
        ConfigAnswer { changes, outcome, ..ConfigAnswer::default() }
    }

    /// Returns the answer after a refusal.
    pub fn refused(changes: Vec<KeyChange>, why: String) -> Self {
        ConfigAnswer { error: Some(why), ..ConfigAnswer::new(ChangeOutcome::Refused, changes) }
    }

    /// Returns the answer after an attempt.
    pub fn after(changes: Vec<KeyChange>, attempt: Result<(), String>) -> Self {
        let outcome = if attempt.is_ok() { ChangeOutcome::Done } else { ChangeOutcome::Failed };
        ConfigAnswer { error: attempt.err(), ..ConfigAnswer::new(outcome, changes) }
    }

    /// Says of each change that the change ends with the trial that ends in `time`; zero stands for
    /// no trial.
    pub fn with_trial_for(mut self, time: Duration) -> Self {
        if !time.is_zero() && self.outcome == ChangeOutcome::Done {
            let seconds = time.as_millis().div_ceil(1000);
            let why = format!("lost with the configuration on trial in {seconds} s, unless kept");
            self.changes.iter_mut().for_each(|change| change.why = Some(why.clone()));
        }
        self
    }

    /// Returns the answer as JSON text.
    pub fn to_text(&self) -> String {
        // No map of the answer has keys other than text, the only cause of a failure.
        json_config::to_text(&serde_json::to_value(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_the_object_of_the_manual() {
        let change = |effect, why: Option<&str>| KeyChange {
            key: "runner.name".to_owned(),
            before: None,
            after: Some("lacp".into()),
            effect,
            why: why.map(str::to_owned),
        };
        let live = ConfigAnswer::after(vec![change(ChangeEffect::Live, None)], Ok(()));
        let refused = vec![change(ChangeEffect::Refused, Some("no right"))];
        let refused = ConfigAnswer::refused(refused, "no right".to_owned());
        for (answer, object) in [
            (
                live,
                json!({
                    "changes": [{
                        "key": "runner.name", "before": null, "after": "lacp", "effect": "live",
                    }],
                    "outcome": "done",
                }),
            ),
            (
                refused,
                json!({
                    "changes": [{
                        "key": "runner.name", "before": null, "after": "lacp",
                        "effect": "refused", "why": "no right",
                    }],
                    "outcome": "refused",
                    "error": "no right",
                }),
            ),
        ] {
            assert_eq!(serde_json::to_value(&answer).ok(), Some(object.clone()));
            assert_eq!(serde_json::from_value(object).ok(), Some(answer));
        }
    }
}
