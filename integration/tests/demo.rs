//! `cargo demo` needs no program but ours, and leaves nothing behind however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use integration::{Lab, PROGRAMS, binary, programs, skip, wait_until};

/// Starts the demo in an empty folder for temporary files, without other programs; `None` where the
/// machine does not allow it.
fn start(folder: &Path) -> Option<Child> {
    if let Err(reason) = Lab::check_rights() {
        skip(&reason);
        return None;
    }
    let child = Command::new(binary("demo"))
        .env_clear()
        .env(PROGRAMS, programs())
        .env("PATH", folder)
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .spawn();
    Some(child.expect("start the demo"))
}

/// Creates a folder in the folder for temporary files.
fn new_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("teamr-{name}-{}", std::process::id()));
    fs::create_dir(&folder).expect("make a folder");
    folder
}

/// Counts the processes with this folder in their command line.
fn processes_of(folder: &Path) -> usize {
    let name = folder.to_str().expect("a name in UTF-8").as_bytes();
    let processes = fs::read_dir("/proc").expect("read /proc").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines
        .filter(|line| line.windows(name.len()).any(|part| part == name))
        .count()
}

/// Lists the folder without the labs' lock file.
fn left_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("read a folder").flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
        .collect()
}

#[test]
fn the_demo_completes_without_other_programs() {
    let folder = new_folder("demo-end");
    let Some(child) = start(&folder) else {
        return;
    };
    let output = child.wait_with_output().expect("wait for the demo");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}:\n{text}", output.status);
    assert_eq!(text.matches("10 of 10 answered, 0 twice").count(), 2);
    for active in ["active port: eth1", "active port: eth2"] {
        assert_eq!(text.matches(active).count(), 1, "{text}");
    }
    assert!(text.ends_with("nothing is left behind.\n"), "{text}");
    assert!(left_in(&folder).is_empty());
    fs::remove_dir_all(&folder).expect("remove a folder");
}

#[test]
fn a_killed_demo_leaves_nothing() {
    let folder = new_folder("demo-killed");
    let Some(mut child) = start(&folder) else {
        return;
    };
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("One UDP packet") {
        line.clear();
        assert_ne!(output.read_line(&mut line).expect("read the demo"), 0);
    }
    assert!(processes_of(&folder) > 0, "no holder of a host");
    child.kill().expect("kill the demo");
    child.wait().expect("wait for the demo");
    wait_until("the demo's processes to end", || processes_of(&folder) == 0);
    assert!(left_in(&folder).is_empty());
    fs::remove_dir_all(&folder).expect("remove a folder");
}

#[test]
fn the_demo_ends_cleanly_when_the_reader_leaves() {
    let folder = new_folder("demo-unread");
    let Some(mut child) = start(&folder) else {
        return;
    };
    let mut output = child.stdout.take().expect("a pipe");
    output.read_exact(&mut [0; 1]).expect("read the demo");
    drop(output);
    let status = child.wait().expect("wait for the demo");
    assert_eq!(status.code(), Some(1));
    assert!(left_in(&folder).is_empty());
    fs::remove_dir_all(&folder).expect("remove a folder");
}
