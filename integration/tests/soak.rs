//! Long random histories of a team; `integration/soak` runs longer ones.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use integration::soak::Soak;
use integration::{
    Clock, DataPath, Lab, Sharing, in_virtual_time, in_virtual_time_within, on_own_data_paths,
    twice_in_virtual_time,
};

/// Environment variable: the soak that `integration/soak` asks for, as [`Soak::parse`] reads it.
const ASKED: &str = "TEAMR_SOAK";
/// Time on the host before a soak that was asked for is stopped.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// File with a line for each event and each look, in the folder of a guest's case.
const LOG: &str = "soak.log";

fn run(soak: &Soak, clock: Clock, log: &mut dyn Write) {
    if Lab::open(Sharing::Shared).is_none() {
        return;
    }
    let mut open = || Lab::open(Sharing::Shared).expect("a lab as before");
    let report = soak.run(clock, &mut open, log);
    println!("{report:?}");
    assert!(report.events > 0 && report.looks > 0, "{report:?}");
}

fn run_in_namespaces(soak: &Soak) {
    run(soak, Clock::Real, &mut io::sink());
}

/// Runs the soak of a guest in virtual time.
fn run_in_guest(soak: &Soak, folder: &Path) {
    let log = File::create(folder.join(LOG)).expect("create the log");
    run(soak, Clock::Virtual, &mut BufWriter::new(log));
}

fn soak(text: &str) -> Soak {
    Soak::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn asked() -> Soak {
    soak(&env::var(ASKED).unwrap_or_default())
}

#[test]
#[ignore = "integration/soak runs this test"]
fn the_soak_asked_for() {
    in_virtual_time_within(LONGEST, |folder| run_in_guest(&asked(), folder));
}

#[test]
#[ignore = "integration/soak --namespaces runs this test"]
fn the_soak_asked_for_in_namespaces() {
    run_in_namespaces(&asked());
}

#[test]
fn a_day_of_the_kernels_driver_is_what_the_oracle_says() {
    in_virtual_time(|folder| run_in_guest(&soak("hours=24 seed=1 data_path=kernel"), folder));
}

#[test]
fn a_seed_repeats_every_event_and_every_look() {
    twice_in_virtual_time(
        |folder| run_in_guest(&soak("hours=1 seed=1 data_path=kernel"), folder),
        |folders| {
            let [first, second] =
                folders.map(|folder| fs::read_to_string(folder.join(LOG)).expect("a log"));
            assert!(first.lines().count() > 100, "{first}");
            let differs = first.lines().zip(second.lines()).find(|(left, right)| left != right);
            assert_eq!(differs, None, "kept in {folders:?}");
            assert_eq!(first.len(), second.len(), "kept in {folders:?}");
        },
    );
}

fn an_activebackup_team_is_what_the_oracle_says(data_path: DataPath) {
    run_short("activebackup", data_path);
}

fn an_lacp_team_is_what_the_oracle_says(data_path: DataPath) {
    run_short("lacp", data_path);
}

/// Runs some forty events, a tenth of an hour with many daemons and with one.
fn run_short(runner: &str, data_path: DataPath) {
    let text = format!("hours=1.4 seed=1 runner={runner} data_path={}", data_path.name());
    run_in_namespaces(&soak(&text));
}

on_own_data_paths! {
    an_activebackup_team_is_what_the_oracle_says
    an_lacp_team_is_what_the_oracle_says
}
