//! The guest: its drivers, and its isolation from the host.

use std::fs;
use std::hint;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use integration::{Clock, GuestFailure, in_guest, repository, try_in_guest, try_in_guest_within};

fn output(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output();
    let output = output.unwrap_or_else(|error| panic!("`{line}`: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn succeeds(line: &str) -> bool {
    let status = Command::new("sh").args(["-c", line]).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_guest_has_the_drivers_and_cannot_change_its_host() {
    in_guest(|folder| {
        println!("This is Linux {}.", output("uname -r"));
        assert_eq!(output("id -u"), "0");
        for kind in ["team", "bond", "bridge", "dummy", "ifb"] {
            assert!(succeeds(&format!("ip link add name x0 type {kind}")), "no driver for {kind}");
            assert!(succeeds("ip link delete dev x0"), "{kind}");
        }
        println!("It makes teams, bonds, bridges, dummies and ifbs.");
        assert!(succeeds("ip link add name x0 type veth peer name x1"));
        assert!(succeeds("ip link add link x0 name x0.5 type vlan id 5"));
        println!("It makes virtual cables and VLANs.");

        let source = repository().join("integration/Cargo.toml");
        assert!(source.exists(), "the repository is to be seen");
        for place in [repository(), Path::new("/etc"), Path::new("/tmp")] {
            let file = place.join("teamr-guest-was-here");
            assert!(fs::write(&file, "").is_err(), "{} was written", file.display());
        }
        println!("It sees its host's files and can write none but its own.");
        assert!(folder.is_dir(), "the case has a folder");
        fs::write(Path::new("/run/teamd/x"), "").expect("the run directory can be written");
    });
}

#[test]
fn a_failure_in_a_guest_fails_the_test() {
    match try_in_guest(Clock::Real, |folder| {
        fs::write(folder.join("case.log"), "so far").expect("write a log");
        panic!("as a case would");
    }) {
        Ok(()) => panic!("a case that fails passed for a success"),
        // The other test reports the reason.
        Err(GuestFailure::Impossible(_)) => (),
        Err(GuestFailure::Failed { report, folder }) => {
            assert!(report.contains("failed in it with status 101"), "{report}");
            assert_eq!(report.matches("\nas a case would\n").count(), 1, "{report}");
            assert!(report.contains("Powering off"), "no kernel log: {report}");
            let log = fs::read_to_string(folder.join("case.log"));
            assert_eq!(log.expect("the case's log"), "so far");
            fs::remove_dir_all(folder).expect("remove the kept logs");
        }
    }
}

#[test]
fn a_guest_whose_clock_stands_still_is_stopped_and_its_program_named() {
    // Enough to boot beside other load.
    let limit = Duration::from_secs(30);
    let spin = |_: &Path| {
        loop {
            hint::spin_loop();
        }
    };
    match try_in_guest_within(limit, Clock::Virtual, spin) {
        Ok(()) => panic!("a case without an end came to an end"),
        // Another test reports the reason.
        Err(GuestFailure::Impossible(_)) => (),
        Err(GuestFailure::Failed { report, folder }) => {
            // The thread of a test has the name of the test, cut.
            let named = "within 30s; the program that ran then is a_guest_whose_c";
            assert!(report.contains(named), "{report}");
            fs::remove_dir_all(folder).expect("remove the kept logs");
        }
    }
}
