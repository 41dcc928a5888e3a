//! The shell completions in `dist/completions` follow the tables of the programs, and work.
//! `TEAMR_REWRITE=1 cargo test --test completions` writes them anew.

mod bash;
mod fish;
mod program;
mod zsh;

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
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

/// A `teamrctl` that answers for a running team; the names of its ports contain commands of a shell.
const TEAMRCTL: &str = r#"#!/bin/sh
[ "$1" = lo ] && shift
case "$*" in
get)
    echo 'runner.fast_rate: false'
    echo 'ports."x$(touch ran)`touch ran`;&".prio: 1'
    echo 'team1:'
    echo '  runner.name: other'
    ;;
explain) echo port-without-link ;;
'values -- runner.fast_rate') printf 'true\nfalse\n' ;;
'values -- ports."eth1.5".prio') echo 7 ;;
esac
"#;

/// Returns a folder with a `teamrctl` that answers as [`TEAMRCTL`].
fn answering_folder(name: &str) -> PathBuf {
    let folder = env::temp_dir().join(format!("teamr-answers-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("teamrctl");
    fs::write(&program, TEAMRCTL).expect("a program");
    fs::set_permissions(program, Permissions::from_mode(0o755)).expect("permissions");
    folder
}

/// Returns the words that a shell offers after a line; `None` without the shell.
fn offered(shell: &str, script: &str, line: &str) -> Option<Vec<String>> {
    let answers = answering_folder(shell);
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path);
    let path = env::join_paths([answers].into_iter().chain(path)).expect("folders without a colon");
    let output = Command::new(shell)
        .env("PATH", path)
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
    let words = text.lines().map(|line| line.split('\t').next().unwrap_or(line));
    Some(words.map(str::to_owned).collect())
}

/// Lines, the words that must be offered after each, and the words that must not.
const CASES: [(&str, &[&str], &[&str]); 22] = [
    ("teamr --da", &["--data-path", "--daemonize"], &["--help"]),
    ("teamr -l s", &["stdout", "stderr", "syslog"], &["lo"]),
    ("teamr --data-path ", &["auto", "kernel", "userspace"], &[]),
    ("teamr -t ", &["lo"], &["stdout"]),
    ("teamd -f bash/teamrc", &["bash/teamrctl"], &["bash/teamr"]),
    ("teamrctl ", &["config", "state", "port", "lo"], &["dump"]),
    ("teamrctl lo ", &["config", "state", "port"], &["lo", "dump"]),
    ("teamrctl -o state ", &["dump", "view", "item"], &["config"]),
    ("teamrctl lo port config update ", &["lo"], &["dump"]),
    ("teamdctl -Z x lo state item ", &["get", "set"], &["dump"]),
    ("teamrctl set runner.f", &["runner.fast_rate"], &["runner.name", "team1:"]),
    ("teamrctl lo get runner.f", &["runner.fast_rate"], &["runner.name"]),
    ("teamrctl lo set runner.fast_rate ", &["true", "false"], &["runner.fast_rate"]),
    ("teamrctl set ports.\\\"eth1.5\\\".prio ", &["7"], &["true"]),
    ("teamrctl help p", &["port", "ports"], &["state"]),
    ("teamrctl demo ", &["slb", "lacp"], &["lo"]),
    ("teamrctl explain port-", &["port-without-link"], &["lo"]),
    ("teamrctl hash 192.0.2.1 192.0.2.2 ", &["tcp", "udp"], &["lo"]),
    ("teamrnl ", &["lo"], &["ports"]),
    ("teamrnl lo ", &["ports", "options", "monitor"], &["lo"]),
    ("bond2team --master ", &["lo"], &["--master"]),
    ("teamnl -p lo lo set", &["setoption"], &["ports"]),
];

const BASH: &str = r#"for file in bash/*; do source "$file"; done
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    "$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')"
    printf '%s\n' "${COMPREPLY[@]}""#;
const FISH: &str = r#"for file in fish/*; source $file; end
    complete -C "$argv[2..]""#;

fn assert_works(shell: &str, script: &str) {
    for (line, there, absent) in CASES {
        let Some(words) = offered(shell, script, line) else {
            return;
        };
        let offers = |word: &&&str| words.iter().any(|offer| offer == **word);
        let missing: Vec<_> = there.iter().filter(|word| !offers(word)).collect();
        assert!(missing.is_empty(), "{shell}: {line:?}: {missing:?} not in {words:?}");
        let surplus: Vec<_> = absent.iter().filter(offers).collect();
        assert!(surplus.is_empty(), "{shell}: {line:?}: {surplus:?} in {words:?}");
    }
}

#[test]
fn the_completions_work_in_bash() {
    assert_works("bash", BASH);
}

/// The name is data: the completion neither runs it nor offers it without quotes.
#[test]
fn an_interface_name_with_a_command_is_quoted_in_bash() {
    let folder = env::temp_dir().join(format!("teamr-completions-{}", std::process::id()));
    fs::create_dir_all(folder.join("net")).unwrap();
    fs::write(folder.join("net/x$(touch ran)"), "").unwrap();
    for program in Program::all() {
        let script = bash::generate(&program).replace("/sys/class/net", "net");
        let name = program.name;
        let command = format!(
            "{script}\nCOMP_WORDS=({name} --x x) COMP_CWORD=2 word=x\n\
             _{name}_interfaces; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &command]).current_dir(&folder).output();
        let output = output.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "x\\$\\(touch\\ ran\\)\n", "{name}");
    }
    let ran = folder.join("ran").exists();
    fs::remove_dir_all(folder).unwrap();
    assert!(!ran);
}

#[test]
fn the_completions_work_in_fish() {
    assert_works("fish", FISH);
}

#[test]
fn the_completions_work_in_zsh() {
    assert_works("zsh", include_str!("offered.zsh"));
}

/// The shells offer the key of a hostile port as data.
#[test]
fn a_key_with_a_command_is_not_run() {
    let quoted = r#"ports.\"x\$\(touch\ ran\)\`touch\ ran\`\;\&\".prio"#;
    for (shell, script, expected) in [
        ("bash", BASH, quoted),
        ("zsh", include_str!("offered.zsh"), quoted),
        // fish quotes what it inserts.
        ("fish", FISH, r#"ports."x$(touch ran)`touch ran`;&".prio"#),
    ] {
        let Some(words) = offered(shell, script, "teamrctl set po") else {
            continue;
        };
        assert_eq!(words, [expected], "{shell}");
        assert!(!folder().join("ran").exists(), "{shell}");
    }
}
