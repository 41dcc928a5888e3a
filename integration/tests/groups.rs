//! The groups of test programs in `Cargo.toml`, by which `integration/run` starts them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use integration::repository;

/// Returns the names of a group; of all groups without a name.
fn grouped(name: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(repository().join("integration/Cargo.toml"));
    let manifest = manifest.expect("a manifest");
    let (_, table) = manifest.split_once("[package.metadata.groups]\n").expect("a table");
    let table = table.split("\n[").next().expect("an end of the table");
    let groups = table.split("]\n").filter(|group| group.contains(&format!("{name} = [")));
    let quoted = groups.flat_map(|group| group.split('"').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of tests");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Returns the texts of the files of the program at `path`.
fn texts(path: &Path) -> Vec<String> {
    match path.is_dir() {
        true => entries(path).iter().flat_map(|path| texts(path)).collect(),
        false => vec![fs::read_to_string(path).unwrap_or_default()],
    }
}

/// Whether a text has a call of one of these functions.
fn calls(text: &str, functions: &[&str]) -> bool {
    functions.iter().any(|function| text.contains(&format!("{function}(")))
}

/// Whether a file of the program at `path` calls a function that boots a guest.
fn boots_guests(path: &Path) -> bool {
    texts(path)
        .iter()
        .any(|text| calls(text, &["in_guest", "in_virtual_time", "in_virtual_time_within"]))
}

#[test]
fn the_groups_name_every_program_that_boots_a_guest_and_no_absent_program() {
    let grouped = grouped("");
    let mut absent = grouped.clone();
    for program in entries(&repository().join("integration/tests")) {
        let name = program.file_stem().expect("a name").to_string_lossy().into_owned();
        absent.remove(&name);
        // This file names the functions and calls none.
        if name != "groups" && boots_guests(&program) {
            assert!(grouped.contains(&name), "{name} is in no group of integration/Cargo.toml");
        }
    }
    assert_eq!(absent, BTreeSet::new());
}

/// `integration/run` leaves the modules `guest` out where a program has the machine alone.
#[test]
fn cases_in_virtual_time_of_the_first_group_are_in_a_module_of_their_own() {
    let tests = repository().join("integration/tests");
    for name in grouped("alone") {
        let (file, folder) = (tests.join(format!("{name}.rs")), tests.join(&name));
        for text in texts(if folder.is_dir() { &folder } else { &file }) {
            let outside = text.split("\nmod guest {").next().expect("a text");
            let waits = calls(outside, &["in_virtual_time", "in_virtual_time_within"]);
            assert!(!waits, "{name}: a case in virtual time");
        }
    }
}
