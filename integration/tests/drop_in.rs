//! teamr in the place of teamd: every scenario played with both in one guest.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use integration::drop_in::{
    Answer, CLIENT_DIFFERENCES, Comparison, DIFFERENCES, Difference, OVER_BUS, PERMISSIVE, Played,
    Programs, Suite, compare_clients, compare_daemons, teamd_is_here,
};
use integration::scenario::{LACP_SCENARIOS, SCENARIOS, Scenario};
use integration::{Bus, Lab, Sharing, in_guest};

/// Plays a scenario; none if that came to no end, which has been told then.
fn play(suite: &Suite, scenario: &Scenario, folder: &Path) -> Option<Played> {
    let played = catch_unwind(AssertUnwindSafe(|| suite.play(scenario, folder))).ok()?;
    let text: String = played.answers.iter().map(Answer::to_string).collect();
    let file = folder.join(format!("{}, {}.answers", scenario.name, suite.name));
    fs::write(file, text).expect("write the answers");
    Some(played)
}

/// What was found in all scenarios.
#[derive(Default)]
struct Findings {
    meant: BTreeSet<usize>,
    unexpected: usize,
}

impl Findings {
    fn add(&mut self, what: &str, comparison: &Comparison) {
        println!("    {what}: {} answers equal", comparison.equal);
        for text in &comparison.unexpected {
            text.lines().for_each(|line| println!("        {line}"));
        }
        self.meant.extend(&comparison.meant);
        self.unexpected += comparison.unexpected.len();
    }

    /// Tells of the differences that are meant; those never seen in the scenarios that they are
    /// listed for do not belong into the list.
    fn conclude(mut self, scenarios: &[&Scenario], known: &[Difference]) -> usize {
        for (place, difference) in known.iter().enumerate() {
            let of_others = |scenario: &&Scenario| !scenario.name.starts_with(difference.scenario);
            if scenarios.iter().all(of_others) {
                continue;
            }
            if self.meant.contains(&place) {
                println!("  {difference}");
            } else {
                println!("  never seen, and should not be listed: {difference}");
                self.unexpected += 1;
            }
        }
        self.unexpected
    }
}

/// Debian's teamd, and teamr in its place with the kernel's driver.
fn suites() -> [Suite; 2] {
    let teamd = Suite {
        name: "teamd",
        daemon: Programs::of_teamd(),
        data_path: None,
        clients: Programs::of_teamd(),
        seconds: Some(Programs::of_teamr()),
    };
    let teamr = Suite {
        name: "teamr",
        daemon: Programs::of_teamr(),
        data_path: Some("kernel"),
        ..teamd.clone()
    };
    [teamd, teamr]
}

/// Asks both daemons the same over D-Bus, in a guest.
fn compare_over_bus(folder: &Path, findings: &mut Findings) {
    println!("{}", OVER_BUS.name);
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let bus = Bus::start_with(&lab.host("bus"), PERMISSIVE).expect("a guest can have a bus");
    let [theirs, ours] = suites().map(|suite| suite.play_over_bus(&bus, folder));
    let comparison = compare_daemons(&OVER_BUS, &theirs, &ours);
    findings.add("teamr answering as teamd", &comparison);
}

/// Plays scenarios with both daemons, in a guest, and lays their answers side by side; if told so,
/// asks over D-Bus, too.
fn compare(scenarios: &[Scenario], over_bus: bool, folder: &Path) {
    let [teamd, teamr] = suites();
    let in_user_space = Suite {
        name: "teamr in user space",
        data_path: Some("userspace"),
        seconds: None,
        ..teamr.clone()
    };
    let (mut daemons, mut clients) = (Findings::default(), Findings::default());
    let mut unfinished = 0;
    let mut played: Vec<&Scenario> = scenarios.iter().collect();
    if over_bus {
        compare_over_bus(folder, &mut daemons);
        played.push(&OVER_BUS);
    }
    for scenario in scenarios {
        println!("{}", scenario.name);
        let Some(theirs) = play(&teamd, scenario, folder) else {
            unfinished += 1;
            continue;
        };
        let comparison = compare_clients(scenario, &theirs.twice);
        clients.add("teamrctl asking teamd as teamdctl does", &comparison);
        for teamr in [&teamr, &in_user_space] {
            if scenario.needs_kernel() && !teamr.in_kernel() {
                continue;
            }
            let Some(ours) = play(teamr, scenario, folder) else {
                unfinished += 1;
                continue;
            };
            let comparison = compare_daemons(scenario, &theirs.answers, &ours.answers);
            daemons.add(&format!("{} answering as teamd", teamr.name), &comparison);
            if teamr.seconds.is_some() {
                let comparison = compare_clients(scenario, &ours.twice);
                clients.add("teamrctl asking teamr as teamdctl does", &comparison);
            }
        }
    }
    println!("Differences that are meant:");
    let daemons = daemons.conclude(&played, DIFFERENCES);
    let clients = clients.conclude(&played, CLIENT_DIFFERENCES);
    println!("Differences that are not: {daemons} of the daemons, {clients} of the clients.");
    assert_eq!((unfinished, daemons, clients), (0, 0, 0));
}

#[test]
fn teamr_answers_as_teamd() {
    if teamd_is_here() {
        in_guest(|folder| compare(SCENARIOS, true, folder));
    }
}

#[test]
fn teamr_answers_as_teamd_with_lacp() {
    if teamd_is_here() {
        in_guest(|folder| compare(LACP_SCENARIOS, false, folder));
    }
}
