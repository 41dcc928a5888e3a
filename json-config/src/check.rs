//! The strict check.

use crate::inspect::{Walk, Weight};
use crate::locate::locate;
use crate::parse::parse_object;
use crate::problem::{Position, Problem};

/// Holds a configuration text against everything that is known of configurations.
///
/// Returns every problem with its place, in the order of the text; none means that the
/// configuration is good. Unlike a run, the check minds unknown keys, keys that have no effect
/// with the chosen runner or link watch, and wrong types. A text that is not JSON gives one
/// problem without a path. Of more than 100 problems the rest is only counted, in a last one.
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
            ..finding.to_mend()
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
