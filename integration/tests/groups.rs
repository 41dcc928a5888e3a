//! The groups of test programs in `Cargo.toml`, by which `integration/run` starts them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use integration::repository;

/// Returns the names in the table of groups.
fn grouped() -> BTreeSet<String> {
    let manifest = fs::read_to_string(repository().join("integration/Cargo.toml"));
    let manifest = manifest.expect("a manifest");
    let (_, table) = manifest.split_once("[package.metadata.groups]\n").expect("a table");
    let table = table.split("\n[").next().expect("an end of the table");
    table.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of tests");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Whether a file of the program at `path` calls a function that boots a guest.
fn boots_guests(path: &Path) -> bool {
    if path.is_dir() {
        return entries(path).iter().any(|path| boots_guests(path));
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    ["in_guest", "in_virtual_time"].iter().any(|function| text.contains(&format!("{function}(")))
}

#[test]
fn the_groups_name_every_program_that_boots_a_guest_and_no_absent_program() {
    let grouped = grouped();
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
