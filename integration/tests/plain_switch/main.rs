//! A host with guests on two cables into one switch without link aggregation.
//!
//! The runners that need aggregation fail there. slb must lose and duplicate no packet, move no
//! address in the switch, and use both links. The packets lost measure how long a guest is silent
//! when a cable is pulled.

mod balance;
mod doctor;
mod load;
mod reports;
mod site;
mod slb;
mod tlb_alb;

use std::fs;

use integration::{DataPath, Lab, Sharing, SwitchMoves, repository};

use site::Site;

/// The runners of the README's table.
const RUNNERS: [&str; 5] = ["roundrobin", "random", "loadbalance", "activebackup", "slb"];

/// Prints the table of the README. The README shows the same runners without a fault; the counts of
/// the others change from run to run.
#[test]
fn runners_that_need_aggregation_fail_on_a_plain_switch() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    for runner in RUNNERS {
        let site = Site::new(&lab, runner, DataPath::Userspace);
        let moves = SwitchMoves::watch(&site.switch);
        let (answered, twice, sent) = site.ping_all(5);
        let moved: u32 = moves.finish().values().sum();
        println!("| `{runner}` | {answered} of {sent} | {moved} |");
        let is_whole = (answered, twice, moved) == (sent, 0, 0);
        assert_eq!(is_whole, ["activebackup", "slb"].contains(&runner), "{runner}, {twice} twice");
        let (shown_answered, shown_sent, shown_moved) = shown(runner);
        assert_eq!(shown_sent, u64::from(sent), "{runner}");
        let shown_whole = (shown_answered, shown_moved) == (shown_sent, 0);
        assert_eq!(shown_whole, is_whole, "{runner}");
    }
    // The table has no other line.
    let lines = table().into_iter().map(|line| line.split('`').nth(1).map(str::to_owned));
    assert_eq!(lines.collect::<Vec<_>>(), RUNNERS.map(|runner| Some(runner.to_owned())));
}

/// Returns the lines of the README's table.
fn table() -> Vec<String> {
    let page = fs::read_to_string(repository().join("README.md")).expect("the README");
    let head = "| runner | pings answered | address moves in the switch |\n|---|---|---|\n";
    let (_, lines) = page.split_once(head).expect("the head of the table");
    lines.lines().take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

/// Returns the answered and sent pings and the moves of a runner in the README's table.
fn shown(runner: &str) -> (u64, u64, u64) {
    let lines = table();
    let line = lines.iter().find(|line| line.starts_with(&format!("| `{runner}` |")));
    let line = line.expect("a line of this runner");
    let numbers = line.split(|letter: char| !letter.is_ascii_digit());
    let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    let [answered, sent, moved] = numbers[..] else { panic!("{line}") };
    (answered, sent, moved)
}
