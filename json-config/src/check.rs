//! The strict check.

use crate::config::Config;
use crate::finding::{Finding, Weight};
use crate::inspect::Walk;
use crate::locate::locate;
use crate::parse::parse_object;
use crate::problem::{Position, Problem};

/// The strict check reports every weight.
const WANTED: [Weight; 3] = [Weight::Strict, Weight::Fallback, Weight::Refused];

/// Checks a configuration text strictly.
///
/// Returns every problem with its position, in the order of the text; an empty list for a good
/// configuration. Unlike a run, the check reports unknown keys, keys without effect under the chosen
/// runner or link watch, and wrong types. A text that is not JSON gives one problem without a path.
/// After 100 problems a last one gives the number of the others.
pub fn check(text: &[u8]) -> Vec<Problem> {
    let team = match parse_object(text) {
        Ok(team) => team,
        Err(error) => {
            return vec![Problem {
                path: String::new(),
                message: error.message,
                position: Some(Position { line: error.line, column: error.column }),
            }];
        }
    };
    let findings = Walk::new(&team, &WANTED).whole(&team);
    let places = locate(&String::from_utf8_lossy(text), &findings.list);
    let mut problems: Vec<Problem> = findings
        .list
        .iter()
        .zip(places)
        .map(|(finding, position)| Problem { position, ..finding.for_check() })
        .collect();
    problems.sort_by_key(|problem| problem.position);
    if findings.more > 0 {
        problems.push(Problem {
            path: String::new(),
            message: format!("and {} more problems", findings.more),
            position: None,
        });
    }
    problems
}

/// Returns the problems that [`check`] finds in `after` and not in `before`, without positions, so
/// that older problems of a configuration do not refuse a change.
pub fn new_problems(before: &Config, after: &Config) -> Vec<Problem> {
    let problems = |config: &Config| -> Vec<Problem> {
        let findings = Walk::new(config.object(), &WANTED).whole(config.object());
        findings.list.iter().map(Finding::for_check).collect()
    };
    let known = problems(before);
    let mut new = problems(after);
    new.retain(|problem| !known.contains(problem));
    new
}
