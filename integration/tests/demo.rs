//! `cargo demo` needs no program but ours, and leaves nothing behind however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use integration::{Lab, PROGRAMS, binary, programs, repository, skip, wait_until};

/// Starts a demo in an empty folder for temporary files, without other programs; `None` where the
/// machine does not allow it.
fn start(folder: &Path, demo: &str) -> Option<Child> {
    if let Err(reason) = Lab::check_rights() {
        skip(&reason);
        return None;
    }
    let child = Command::new(binary("demo"))
        .arg(demo)
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
    lines.filter(|line| line.windows(name.len()).any(|part| part == name)).count()
}

/// Lists the folder without the labs' lock file.
fn left_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("read a folder").flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_none_or(|extension| extension != "lock")).collect()
}

/// Returns a line with `0` in place of each number.
fn without_numbers(line: &str) -> String {
    let is_digit = |letter: char| letter.is_ascii_digit() || letter == '.';
    let words = line.split_whitespace().map(|word| match word.chars().all(is_digit) {
        true => "0",
        false => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Asserts that the README shows a part of the output.
fn assert_readme_shows(output: &str) {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README");
    let (_, rest) = readme.split_once("```text\nleft$ ").expect("the output of the demo");
    let (shown, _) = rest.split_once("```").expect("the end of the output");
    let mut printed = output.lines().map(without_numbers);
    for line in format!("left$ {shown}").lines().map(without_numbers) {
        assert!(printed.any(|other| other == line), "the demo does not print {line:?} there");
    }
}

#[test]
fn the_demo_completes_without_other_programs() {
    let folder = new_folder("demo-end");
    let Some(child) = start(&folder, "activebackup") else {
        return;
    };
    let output = child.wait_with_output().expect("wait for the demo");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}:\n{text}", output.status);
    assert_eq!(text.matches("10 of 10 answered, 0 twice").count(), 2);
    for active in ["activebackup, active port eth1", "activebackup, active port eth2"] {
        assert_eq!(text.matches(active).count(), 1, "{text}");
    }
    assert!(text.ends_with("nothing is left behind.\n"), "{text}");
    assert_readme_shows(&text);
    assert!(left_in(&folder).is_empty());
    fs::remove_dir_all(&folder).expect("remove a folder");
}

/// Returns the output of a demo that succeeded and left nothing; `None` where the machine does not
/// allow it.
fn output_of(demo: &str) -> Option<String> {
    let folder = new_folder(&format!("demo-{demo}"));
    let output = start(&folder, demo)?.wait_with_output().expect("wait for the demo");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}:\n{text}", output.status);
    assert!(text.ends_with("nothing is left behind.\n"), "{text}");
    assert!(left_in(&folder).is_empty());
    fs::remove_dir_all(&folder).expect("remove a folder");
    Some(text)
}

#[test]
fn roundrobin_loses_guests_and_slb_does_not() {
    let Some(text) = output_of("slb") else {
        return;
    };
    let (first, second) = text.split_once("Now the runner slb").expect("both runners");
    let whole = "10 of 10 answered, 0 twice";
    assert!(first.matches(whole).count() < 3, "{text}");
    assert!(first.contains("[guests-on-plain-switch]"), "{text}");
    assert_eq!(second.matches(whole).count(), 6, "{text}");
    assert!(second.contains("eth1 is out: no link"), "{text}");
}

#[test]
fn the_lacp_demo_finds_the_wrong_key() {
    let Some(text) = output_of("lacp") else {
        return;
    };
    assert_eq!(text.matches("10 of 10 answered, 0 twice").count(), 2, "{text}");
    assert!(text.contains("[lacp-partner-keys-unlike]"), "{text}");
    assert!(text.contains("leaves on eth"), "{text}");
}

#[test]
fn an_unknown_demo_is_refused() {
    let output = Command::new(binary("demo")).arg("other").output().expect("start the demo");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("activebackup, slb, lacp"));
}

#[test]
fn a_killed_demo_leaves_nothing() {
    let folder = new_folder("demo-killed");
    let Some(mut child) = start(&folder, "activebackup") else {
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
    let Some(mut child) = start(&folder, "activebackup") else {
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

/// The programs and the demo as the package installs them.
#[test]
fn an_installed_teamrctl_starts_the_demo() {
    if let Err(reason) = Lab::check_rights() {
        skip(&reason);
        return;
    }
    let folder = new_folder("demo-installed");
    for (program, place) in [("teamr", "bin"), ("teamrctl", "bin"), ("demo", "libexec/teamr")] {
        let place = folder.join(place);
        fs::create_dir_all(&place).expect("make a folder");
        fs::copy(binary(program), place.join(program)).expect("install a program");
    }
    let temporary = folder.join("tmp");
    fs::create_dir(&temporary).expect("make a folder");
    let output = Command::new(folder.join("bin/teamrctl"))
        .args(["demo", "lacp"])
        .env_clear()
        .env("PATH", &folder)
        .env("TMPDIR", &temporary)
        .output()
        .expect("start teamrctl");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}:\n{text}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(text.contains("[lacp-partner-keys-unlike]"), "{text}");
    assert!(left_in(&temporary).is_empty());
    fs::remove_dir_all(&folder).expect("remove a folder");
}
