//! teamr in place of teamd: both run every scenario in one guest.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use integration::drop_in::{
    Answer, CLIENT_DIFFERENCES, Comparison, DIFFERENCES, Difference, OVER_BUS, PERMISSIVE,
    Programs, Suite, Transcript, What, compare_clients, compare_daemons, teamd_is_here,
};
use integration::scenario::{LACP_SCENARIOS, SCENARIOS, Scenario};
use integration::{Bus, Lab, Sharing, in_virtual_time};

/// Runs a scenario; prints a failure and returns `None` if a step failed.
fn run(suite: &Suite, scenario: &Scenario, folder: &Path) -> Option<Transcript> {
    let transcript = catch_unwind(AssertUnwindSafe(|| suite.run(scenario, folder))).ok()?;
    let text: String = transcript.answers.iter().map(Answer::to_string).collect();
    let file = folder.join(format!("{}, {}.answers", scenario.name, suite.name));
    fs::write(file, text).expect("write the answers");
    Some(transcript)
}

/// The findings of all scenarios.
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

    /// Prints the intended differences, and those that did not occur in their scenarios; returns
    /// the number of unexpected findings.
    fn conclude(mut self, scenarios: &[&Scenario], known: &[Difference]) -> usize {
        for (place, difference) in known.iter().enumerate() {
            let of_others = |scenario: &&Scenario| !scenario.name.starts_with(difference.scenario);
            if scenarios.iter().all(of_others) {
                continue;
            }
            if self.meant.contains(&place) {
                println!("  {difference}");
            } else if !matches!(difference.what, What::LinesOfSomeKernels(_)) {
                println!("  never seen, and should not be listed: {difference}");
                self.unexpected += 1;
            }
        }
        self.unexpected
    }
}

/// Returns Debian's teamd, and teamr with the kernel's driver.
fn suites() -> [Suite; 2] {
    let teamd = Suite {
        name: "teamd",
        daemon: Programs::of_teamd(),
        data_path: None,
        clients: Programs::of_teamd(),
        second_clients: Some(Programs::of_teamr()),
    };
    let teamr = Suite {
        name: "teamr",
        daemon: Programs::of_teamr(),
        data_path: Some("kernel"),
        ..teamd.clone()
    };
    [teamd, teamr]
}

/// Compares both daemons over D-Bus, in a guest.
fn compare_over_bus(folder: &Path, findings: &mut Findings) {
    println!("{}", OVER_BUS.name);
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let bus = Bus::start_with(&lab.host("bus"), PERMISSIVE).expect("a guest can have a bus");
    let [theirs, ours] = suites().map(|suite| suite.run_over_bus(&bus, folder));
    let comparison = compare_daemons(&OVER_BUS, &theirs, &ours);
    findings.add("teamr answering as teamd", &comparison);
}

/// Runs scenarios with both daemons, in a guest, and compares their answers; with `over_bus`, over
/// D-Bus too.
fn compare(scenarios: &[Scenario], over_bus: bool, folder: &Path) {
    let [teamd, teamr] = suites();
    let in_user_space = Suite {
        name: "teamr in user space",
        data_path: Some("userspace"),
        second_clients: None,
        ..teamr.clone()
    };
    let (mut daemons, mut clients) = (Findings::default(), Findings::default());
    let mut unfinished = 0;
    let mut all: Vec<&Scenario> = scenarios.iter().collect();
    if over_bus {
        compare_over_bus(folder, &mut daemons);
        all.push(&OVER_BUS);
    }
    for scenario in scenarios {
        println!("{}", scenario.name);
        let Some(theirs) = run(&teamd, scenario, folder) else {
            unfinished += 1;
            continue;
        };
        let comparison = compare_clients(scenario, &theirs.compared);
        clients.add("teamrctl asking teamd as teamdctl does", &comparison);
        for teamr in [&teamr, &in_user_space] {
            if scenario.needs_kernel() && !teamr.in_kernel() {
                continue;
            }
            let Some(ours) = run(teamr, scenario, folder) else {
                unfinished += 1;
                continue;
            };
            let comparison = compare_daemons(scenario, &theirs.answers, &ours.answers);
            daemons.add(&format!("{} answering as teamd", teamr.name), &comparison);
            if teamr.second_clients.is_some() {
                let comparison = compare_clients(scenario, &ours.compared);
                clients.add("teamrctl asking teamr as teamdctl does", &comparison);
            }
        }
    }
    println!("Differences that are meant:");
    let daemons = daemons.conclude(&all, DIFFERENCES);
    let clients = clients.conclude(&all, CLIENT_DIFFERENCES);
    println!("Differences that are not: {daemons} of the daemons, {clients} of the clients.");
    assert_eq!((unfinished, daemons, clients), (0, 0, 0));
}

#[test]
fn teamr_answers_like_teamd() {
    if teamd_is_here() {
        in_virtual_time(|folder| compare(SCENARIOS, true, folder));
    }
}

#[test]
fn teamr_answers_like_teamd_with_lacp() {
    if teamd_is_here() {
        in_virtual_time(|folder| compare(LACP_SCENARIOS, false, folder));
    }
}
