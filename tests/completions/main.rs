//! The shell completions in `dist/completions` follow the tables of the programs, and work.
//! `TEAMR_REWRITE=1 cargo test --test completions` writes them anew.

mod bash;
mod fish;
mod program;
mod zsh;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use program::Program;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/completions")
}

fn files(program: &Program) -> [(PathBuf, String); 3] {
    let name = program.name;
    [
        (format!("bash/{name}"), bash::generate(program)),
        (format!("zsh/_{name}"), zsh::generate(program)),
        (format!("fish/{name}.fish"), fish::generate(program)),
    ]
    .map(|(path, text)| (folder().join(path), text))
}

#[test]
fn the_completions_follow_the_tables() {
    for program in Program::all() {
        for (path, text) in files(&program) {
            if env::var_os("TEAMR_REWRITE").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let there = fs::read_to_string(&path).unwrap_or_default();
            let path = path.display();
            assert!(
                there == text,
                "{path} differs from the tables; TEAMR_REWRITE=1 cargo test --test completions writes it anew"
            );
        }
    }
}

/// Returns the words that a shell offers after a line; `None` without the shell.
fn offered(shell: &str, script: &str, line: &str) -> Option<Vec<String>> {
    let output = Command::new(shell)
        .args(["-c", script, shell])
        .args(line.split(' '))
        .current_dir(folder())
        .output();
    let Ok(output) = output else {
        let missing = format!("there is no {shell} here");
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
        // Not captured by the test harness, so that the skip is counted.
        let _ = writeln!(io::stderr(), "SKIPPED completions: {missing}");
        return None;
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaint, "", "{shell} after {line:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text
        .lines()
        .map(|line| line.split('\t').next().unwrap_or(line));
    Some(words.map(str::to_owned).collect())
}

/// Lines, the words that must be offered after each, and the words that must not.
const CASES: [(&str, &[&str], &[&str]); 14] = [
    ("teamr --da", &["--data-path", "--daemonize"], &["--help"]),
    ("teamr -l s", &["stdout", "stderr", "syslog"], &["lo"]),
    ("teamr --data-path ", &["auto", "kernel", "userspace"], &[]),
    ("teamr -t ", &["lo"], &["stdout"]),
    ("teamd -f bash/teamrc", &["bash/teamrctl"], &["bash/teamr"]),
    ("teamrctl ", &["config", "state", "port", "lo"], &["dump"]),
    (
        "teamrctl lo ",
        &["config", "state", "port"],
        &["lo", "dump"],
    ),
    ("teamrctl -o state ", &["dump", "view", "item"], &["config"]),
    ("teamrctl lo port config update ", &["lo"], &["dump"]),
    ("teamdctl -Z x lo state item ", &["get", "set"], &["dump"]),
    ("teamrnl ", &["lo"], &["ports"]),
    ("teamrnl lo ", &["ports", "options", "monitor"], &["lo"]),
    ("bond2team --master ", &["lo"], &["--master"]),
    ("teamnl -p lo lo set", &["setoption"], &["ports"]),
];

fn assert_works(shell: &str, script: &str) {
    for (line, there, absent) in CASES {
        let Some(words) = offered(shell, script, line) else {
            return;
        };
        let offers = |word: &&&str| words.iter().any(|offer| offer == **word);
        let missing: Vec<_> = there.iter().filter(|word| !offers(word)).collect();
        assert!(
            missing.is_empty(),
            "{shell}: {line:?}: {missing:?} not in {words:?}"
        );
        let surplus: Vec<_> = absent.iter().filter(offers).collect();
        assert!(
            surplus.is_empty(),
            "{shell}: {line:?}: {surplus:?} in {words:?}"
        );
    }
}

#[test]
fn the_completions_work_in_bash() {
    assert_works(
        "bash",
        r#"for file in bash/*; do source "$file"; done
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')"
        printf '%s\n' "${COMPREPLY[@]}""#,
    );
}

#[test]
fn the_completions_work_in_fish() {
    assert_works(
        "fish",
        r#"for file in fish/*; source $file; end
        complete -C "$argv[2..]""#,
    );
}

#[test]
fn the_completions_work_in_zsh() {
    assert_works("zsh", include_str!("offered.zsh"));
}
