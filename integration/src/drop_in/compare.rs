//! Two daemons' answers side by side.

use std::collections::BTreeSet;

use serde_json::Value;

use super::answer::Answer;
use super::differences::{DIFFERENCES, Difference, What};
use crate::scenario::Scenario;

/// The outcome of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// How many answers were equal but for what is meant.
    pub equal: usize,
    /// Which of [`DIFFERENCES`] were seen, by their places.
    pub meant: BTreeSet<usize>,
    /// Each answer that differs otherwise, told line by line.
    pub unexpected: Vec<String>,
}

/// Compares teamr's answers in a scenario with teamd's.
pub fn compare(scenario: &Scenario, teamd: &[Answer], teamr: &[Answer]) -> Comparison {
    assert_eq!(teamd.len(), teamr.len(), "both were asked the same");
    let mut comparison = Comparison::default();
    for (teamd, teamr) in teamd.iter().zip(teamr) {
        let (mut left, mut right) = (teamd.clone(), teamr.clone());
        for (place, difference) in DIFFERENCES.iter().enumerate() {
            let here = difference.concerns(scenario, &teamd.question);
            if here && difference.what.remove(&mut left, &mut right) {
                comparison.meant.insert(place);
            }
        }
        if left == right {
            comparison.equal += 1;
        } else {
            comparison.unexpected.push(side_by_side(&left, &right));
        }
    }
    comparison
}

impl Difference {
    fn concerns(&self, scenario: &Scenario, question: &str) -> bool {
        scenario.name.starts_with(self.scenario) && question.starts_with(self.question)
    }
}

impl What {
    /// Makes two answers equal as far as this goes; tells whether it found a difference.
    fn remove(self, teamd: &mut Answer, teamr: &mut Answer) -> bool {
        match self {
            What::ExtraKey(key) => {
                let (Some(left), Some(mut right)) = (json(teamd), json(teamr)) else {
                    return false;
                };
                let found = remove_key(&mut right, key);
                if found {
                    // The order of keys is kept.
                    teamd.stdout = format!("{left:#}\n");
                    teamr.stdout = format!("{right:#}\n");
                }
                found
            }
            What::Lines(begin) => {
                let (left, right) = (lines(teamd, begin), lines(teamr, begin));
                let found = left != right;
                if found {
                    for answer in [teamd, teamr] {
                        let others = |line: &&str| !line.trim_start().starts_with(begin);
                        let rest: Vec<&str> = answer.stdout.lines().filter(others).collect();
                        answer.stdout = rest.join("\n");
                    }
                }
                found
            }
            What::Answer {
                teamd: left,
                teamr: right,
            } => {
                let found = is(teamd, left) && is(teamr, right);
                if found {
                    *teamr = teamd.clone();
                }
                found
            }
        }
    }
}

/// Whether an answer is all this, see [`What::Answer`].
fn is(answer: &Answer, text: &str) -> bool {
    let said = answer.to_string();
    let (_, said) = said.split_once('\n').unwrap_or_default();
    said.trim_end() == text
}

fn lines<'a>(answer: &'a Answer, begin: &str) -> Vec<&'a str> {
    let lines = answer.stdout.lines();
    lines
        .filter(|line| line.trim_start().starts_with(begin))
        .collect()
}

fn json(answer: &Answer) -> Option<Value> {
    let text = answer.stdout.strip_prefix("REPLY_SUCCESS\n");
    serde_json::from_str(&unmasked(text.unwrap_or(&answer.stdout))).ok()
}

/// Makes JSON of masked JSON again: a mask may stand in the place of a number.
fn unmasked(text: &str) -> String {
    text.replace(": <pid>", ": \"<pid>\"")
        .replace(": <team>", ": \"<team>\"")
}

/// Removes a key everywhere; tells whether it was there.
fn remove_key(value: &mut Value, key: &str) -> bool {
    match value {
        Value::Object(map) => {
            let mut found = map.shift_remove(key).is_some();
            for (_, inner) in map.iter_mut() {
                found |= remove_key(inner, key);
            }
            found
        }
        Value::Array(values) => values
            .iter_mut()
            .fold(false, |found, inner| remove_key(inner, key) | found),
        _ => false,
    }
}

/// Two answers in one text: equal lines plain, the others with whose they are.
pub(super) fn side_by_side(left: &Answer, right: &Answer) -> String {
    let (left, right) = (left.to_string(), right.to_string());
    let (left, right): (Vec<&str>, Vec<&str>) = (left.lines().collect(), right.lines().collect());
    let equal = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let head = left.iter().zip(&right).take_while(equal).count();
    let (left_rest, right_rest) = (&left[head..], &right[head..]);
    let backwards = left_rest.iter().rev().zip(right_rest.iter().rev());
    let tail = backwards.take_while(equal).count();
    let mut text = format!("{}\n", left[0]);
    let mut part = |mark: &str, lines: &[&str]| {
        for line in lines {
            text += &format!("{mark}{line}\n");
        }
    };
    // Some lines around it are enough to know the place.
    part(
        "        ",
        &left[head.saturating_sub(CONTEXT).max(1).min(head)..head],
    );
    part("  first|", &left_rest[..left_rest.len() - tail]);
    part(" second|", &right_rest[..right_rest.len() - tail]);
    let after = &left_rest[left_rest.len() - tail..];
    part("        ", &after[..after.len().min(CONTEXT)]);
    text
}

/// Equal lines shown before and after those that differ.
const CONTEXT: usize = 3;
