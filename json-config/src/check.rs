//! The strict check.

use crate::finding::Weight;
use crate::inspect::Walk;
use crate::locate::locate;
use crate::parse::parse_object;
use crate::problem::{Position, Problem};

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
                position: Some(Position {
                    line: error.line,
                    column: error.column,
                }),
            }];
        }
    };
    let wanted = [Weight::Strict, Weight::Fallback, Weight::Refused];
    let findings = Walk::new(&team, &wanted).whole(&team);
    let places = locate(&String::from_utf8_lossy(text), &findings.list);
    let mut problems: Vec<Problem> = findings
        .list
        .iter()
        .zip(places)
        .map(|(finding, position)| Problem {
            position,
            ..finding.for_check()
        })
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
