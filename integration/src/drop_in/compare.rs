//! Comparison of two daemons' answers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::answer::Answer;
use super::differences::{CLIENT_DIFFERENCES, DIFFERENCES, Difference, What};
use crate::scenario::Scenario;

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Number of answers that are equal, apart from listed differences.
    pub equal: usize,
    /// Indices of the listed differences that occurred.
    pub meant: BTreeSet<usize>,
    /// Every other difference, line by line.
    pub unexpected: Vec<String>,
}

/// Compares teamr's answers in a scenario with teamd's.
pub fn compare_daemons(scenario: &Scenario, teamd: &[Answer], teamr: &[Answer]) -> Comparison {
    // Some questions do not apply to teamr's own data path.
    let questions: BTreeSet<&str> = teamr.iter().map(|answer| &*answer.question).collect();
    let teamd = teamd.iter();
    let teamd = teamd.filter(|answer| questions.contains(&*answer.question));
    let mut comparison = Comparison::default();
    for (teamd, teamr) in teamd.zip(teamr) {
        assert_eq!(teamd.question, teamr.question, "both have the same questions");
        comparison.add(DIFFERENCES, scenario, teamd.clone(), teamr.clone());
    }
    comparison
}

/// Compares the output of teamr's and teamd's clients about one daemon.
pub fn compare_clients(scenario: &Scenario, compared: &[(Answer, Answer)]) -> Comparison {
    let mut comparison = Comparison::default();
    for (teamd, teamr) in compared {
        comparison.add(CLIENT_DIFFERENCES, scenario, teamd.clone(), teamr.clone());
    }
    comparison
}

impl Comparison {
    fn add(
        &mut self,
        known: &[Difference],
        scenario: &Scenario,
        mut teamd: Answer,
        mut teamr: Answer,
    ) {
        for (place, difference) in known.iter().enumerate() {
            let here = difference.concerns(scenario, &teamd.question);
            if here && difference.what.remove(&mut teamd, &mut teamr) {
                self.meant.insert(place);
            }
        }
        if teamd == teamr {
            self.equal += 1;
        } else {
            self.unexpected.push(side_by_side(&teamd, &teamr));
        }
    }
}

impl Difference {
    fn concerns(&self, scenario: &Scenario, question: &str) -> bool {
        scenario.name.starts_with(self.scenario) && question.starts_with(self.question)
    }
}

impl What {
    /// Removes this difference from two answers; returns whether it occurred.
    fn remove(self, teamd: &mut Answer, teamr: &mut Answer) -> bool {
        match self {
            What::Key(key) => {
                remove_keys(teamd, teamr, key, |left, right| left.is_empty() != right.is_empty())
            }
            What::Contents(key) => remove_keys(teamd, teamr, key, |left, right| left != right),
            What::Help => {
                let theirs = teamd.stdout.lines().next().unwrap_or_default();
                let found = theirs.contains("[options]") && teamr.stdout.starts_with("Usage: ");
                if found {
                    teamd.stdout.clone_from(&teamr.stdout);
                }
                found
            }
            What::Lines(begin) | What::LinesOfSomeKernels(begin) => {
                let (mut left, mut right) = (teamd.clone(), teamr.clone());
                let taken = [&mut left, &mut right].map(|answer| {
                    let mut lines = take_lines(&mut answer.stdout, begin);
                    lines.extend(take_lines(&mut answer.stderr, begin));
                    lines
                });
                let found = taken[0] != taken[1];
                if found {
                    (*teamd, *teamr) = (left, right);
                }
                found
            }
            What::More(text) => {
                let found = teamr.stdout.contains(text) && !teamd.stdout.contains(text);
                if found {
                    teamr.stdout = teamr.stdout.replacen(text, "", 1);
                }
                found
            }
            What::Complaint => {
                let found = teamd.stderr != teamr.stderr;
                teamd.stderr.clone_from(&teamr.stderr);
                found
            }
            What::Answer { teamd: left, teamr: right } => {
                let found = is(teamd, left) && is(teamr, right);
                if found {
                    *teamr = teamd.clone();
                }
                found
            }
        }
    }
}

/// Whether an answer equals `text`, see [`What::Answer`].
fn is(answer: &Answer, text: &str) -> bool {
    let output = answer.to_string();
    let (_, output) = output.split_once('\n').unwrap_or_default();
    output.trim_end() == text
}

/// Removes the lines that begin with `begin`, apart from blanks, and returns them.
fn take_lines(text: &mut String, begin: &str) -> Vec<String> {
    let is_one = |line: &str| line.trim_start().starts_with(begin);
    let lines = text.split_inclusive('\n').map(str::to_owned);
    let (taken, left): (Vec<String>, Vec<String>) = lines.partition(|line| is_one(line));
    *text = left.concat();
    taken
}

fn json(answer: &Answer) -> Option<Value> {
    let text = answer.stdout.strip_prefix("REPLY_SUCCESS\n");
    serde_json::from_str(&unmasked(text.unwrap_or(&answer.stdout))).ok()
}

/// Makes valid JSON of masked JSON: a mask may replace a number.
fn unmasked(text: &str) -> String {
    ["<pid>", "<team>", "<time>", "<below 2>"].into_iter().fold(text.to_owned(), |text, mask| {
        text.replace(&format!(": {mask}"), &format!(": \"{mask}\""))
    })
}

/// Removes a key from two answers if its values satisfy the condition; returns whether it did.
fn remove_keys(
    teamd: &mut Answer,
    teamr: &mut Answer,
    key: &str,
    differ: fn(&[Value], &[Value]) -> bool,
) -> bool {
    let (Some(mut left), Some(mut right)) = (json(teamd), json(teamr)) else {
        return false;
    };
    let found = differ(&take_key(&mut left, key), &take_key(&mut right, key));
    if found {
        // The order of keys is kept.
        teamd.stdout = format!("{left:#}\n");
        teamr.stdout = format!("{right:#}\n");
    }
    found
}

/// Removes a key everywhere and returns its values.
fn take_key(value: &mut Value, key: &str) -> Vec<Value> {
    match value {
        Value::Object(map) => {
            let mut taken: Vec<Value> = map.shift_remove(key).into_iter().collect();
            taken.extend(map.values_mut().flat_map(|inner| take_key(inner, key)));
            taken
        }
        Value::Array(values) => values.iter_mut().flat_map(|inner| take_key(inner, key)).collect(),
        _ => Vec::new(),
    }
}

/// Returns two answers as one text: lines of teamd alone with `-`, of teamr alone with `+`.
fn side_by_side(teamd: &Answer, teamr: &Answer) -> String {
    let (left, right) = (teamd.to_string(), teamr.to_string());
    let (left, right): (Vec<&str>, Vec<&str>) = (left.lines().collect(), right.lines().collect());
    // Length of the longest common subsequence from each pair of lines on.
    let mut common = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, j) in (0..left.len()).rev().flat_map(|i| (0..right.len()).rev().map(move |j| (i, j))) {
        common[i][j] = match left[i] == right[j] {
            true => common[i + 1][j + 1] + 1,
            false => common[i + 1][j].max(common[i][j + 1]),
        };
    }
    let mut text = format!("{}\n", left[0]);
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || i < left.len() && common[i + 1][j] >= common[i][j + 1] {
            text += &format!("  - {}\n", left[i]);
            i += 1;
        } else {
            text += &format!("  + {}\n", right[j]);
            j += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    fn answer(question: &str, stdout: &str) -> Answer {
        Answer {
            question: question.to_owned(),
            status: Some(0),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        }
    }

    fn outcome(question: &str, teamd: &str, teamr: &str) -> Comparison {
        let (teamd, teamr) = (answer(question, teamd), answer(question, teamr));
        compare_daemons(&SCENARIOS[0], &[teamd], &[teamr])
    }

    #[test]
    fn a_difference_names_its_daemon() {
        let outcome = outcome("x", "a\nb\nc\n", "a\nd\nc\n");
        assert_eq!((outcome.equal, outcome.meant.len()), (0, 0));
        assert_eq!(outcome.unexpected, ["$ x\n  - b\n  + d\n"]);
    }

    #[test]
    fn a_listed_difference_hides_no_other() {
        let question = "teamdctl team0 state dump";
        let with_key = r#"{"a": {"b": <pid>, "teamr": 2}, "teamr": {}}"#;
        let meant = outcome(question, r#"{"a": {"b": <pid>}}"#, with_key);
        assert_eq!((meant.equal, meant.meant.len()), (1, 1));
        for other in [r#"{"a": {"b": 1}}"#, r#"{"a": {}}"#, r#"{"a": {"b": <pid>}, "c": 0}"#] {
            let outcome = outcome(question, other, with_key);
            assert_eq!(outcome.unexpected.len(), 1, "{other}");
        }
    }

    #[test]
    fn contents_differ_only_under_their_key() {
        let mut teamd = answer("x", r#"{"a": [{"b": 1}], "c": 1}"#);
        let same = teamd.clone();
        assert!(!What::Contents("b").remove(&mut teamd, &mut same.clone()));
        let mut teamr = answer("x", r#"{"a": [{"b": 2}], "c": 1}"#);
        assert!(What::Contents("b").remove(&mut teamd, &mut teamr));
        assert_eq!(teamd, teamr);
        let mut other = answer("x", r#"{"a": [{}], "c": 2}"#);
        assert!(!What::Contents("b").remove(&mut teamd, &mut other));
        assert_ne!(teamd, other);
    }

    #[test]
    fn a_difference_is_accepted_only_where_listed() {
        let (left, right) = (" user_linkup (port:a) true \nx\n", "x\n");
        let here = outcome("teamnl team0 options", left, right);
        assert_eq!((here.equal, here.meant.len()), (1, 1));
        assert_eq!(outcome("teamnl team0 ports", left, right).equal, 0);
    }
}
