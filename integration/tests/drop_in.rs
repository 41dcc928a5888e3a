//! teamr in the place of teamd: every scenario played by both in one guest.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use integration::drop_in::{Answer, Clients, DIFFERENCES, Played, Suite, compare};
use integration::in_guest;
use integration::scenario::{SCENARIOS, Scenario};

/// Plays a scenario; none if that came to no end, which has been told then.
fn play(suite: &Suite, scenario: &Scenario, folder: &Path) -> Option<Played> {
    let played = catch_unwind(AssertUnwindSafe(|| suite.play(scenario, folder))).ok()?;
    let text: String = played.answers.iter().map(Answer::to_string).collect();
    let file = folder.join(format!("{}, {}.answers", scenario.name, suite.name));
    fs::write(file, text).expect("write the answers");
    Some(played)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn teamr_answers_as_teamd() {
    in_guest(|folder| {
        let bin = Path::new("/run");
        let teamd = Suite::teamd(Clients::of_teamd());
        let teamr = Suite::teamd(Clients::of_teamd());
        let _ = bin;
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut failed = Vec::new();
        for scenario in SCENARIOS {
            let ours = play(&teamr, scenario, folder);
            let theirs = play(&teamd, scenario, folder);
            let (Some(ours), Some(theirs)) = (ours, theirs) else {
                println!("{}: was not played to its end", scenario.name);
                failed.push(scenario.name);
                continue;
            };
            let outcome = compare(scenario, &theirs.answers, &ours.answers);
            println!("{}: {} answers equal", scenario.name, outcome.equal);
            for text in &outcome.unexpected {
                print!("{}", indent(text));
            }
            seen.extend(&outcome.meant);
            if !outcome.unexpected.is_empty() {
                failed.push(scenario.name);
            }
        }
        for (place, difference) in DIFFERENCES.iter().enumerate() {
            if seen.contains(&place) {
                println!("meant: {}: {}", difference.question, difference.reason);
            } else {
                println!("never seen: {difference:?}");
            }
        }
        assert!(failed.is_empty(), "teamr differs in: {}", failed.join("; "));
    });
}
