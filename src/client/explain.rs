//! `explain`: what a finding of the doctor means.

use serde_json::Value;

use super::error::Error;
use super::options::Options;
use super::output::Output;
use super::style::{COLUMNS, wrap};
use crate::doctor::{EXPLANATIONS, Explanation, explain};
use crate::state::{Part, answers};

/// Adds the names of all findings to the results.
pub fn list(options: &Options, output: &mut Output) {
    if options.json {
        let list: Value = EXPLANATIONS.iter().map(to_json).collect();
        output.add_json(&list, options);
        return;
    }
    for explanation in EXPLANATIONS {
        output.results += &format!("{}\n", explanation.id);
    }
}

/// Adds the explanation of a finding to the results.
///
/// # Errors
/// When there is no such finding.
pub fn execute(id: &str, options: &Options, output: &mut Output) -> Result<(), Error> {
    let explanation = explain(id).ok_or_else(|| Error::NoFinding(id.to_owned(), nearest(id)))?;
    if options.json {
        output.add_json(&to_json(explanation), options);
        return Ok(());
    }
    output.results += &format!("{id}\n");
    output.results += &wrap(explanation.meaning, 2, COLUMNS);
    output.results += &wrap(explanation.remedy, 4, COLUMNS);
    Ok(())
}

fn to_json(explanation: &Explanation) -> Value {
    let text = |text: &str| Some(text.to_owned());
    let answer = answers::Explanation {
        id: text(explanation.id),
        meaning: text(explanation.meaning),
        remedy: text(explanation.remedy),
    };
    answer.to_json()
}

fn nearest(id: &str) -> Option<&'static str> {
    let ids: Vec<&str> = EXPLANATIONS.iter().map(|explanation| explanation.id).collect();
    json_config::nearest(id, &ids)
}
