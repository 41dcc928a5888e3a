//! The help of the client and of each command.

use super::*;

#[test]
fn each_command_has_its_help() {
    let run_dir = RunDir::new("help");
    let drain = "Usage: teamrctl [OPTION]... [TEAMDEV] COMMAND\n\n  port drain PORTDEV\n      \
                 Move the flows off a port until port undrain, for instance to change its\n      \
                 cable.\n\nOptions:\n      --last                port drain: also the last port \
                 that carries\n\nteamrctl(8) says more; teamrctl --help has all options.\n";
    run_dir.teamrctl(&["help", "port", "drain"]).shows(drain);
    for words in [
        &["port", "drain", "--help"][..],
        &["lo", "port", "drain", "-h"],
        &["port", "dr", "eth1", "--help"],
    ] {
        run_dir.teamrctl(words).shows(drain);
    }
    // The first word of several commands.
    let hash = run_dir.teamrctl(&["help", "hash"]).out;
    for usage in ["hash FILE", "hash SOURCE DESTINATION", "hash SOURCE DESTINATION PROTOCOL"] {
        assert!(hash.contains(&format!("\n  {usage}\n")), "{hash}");
    }
    assert!(hash.lines().all(|line| line.len() <= 80), "{hash}");
    let all = run_dir.teamrctl(&["help"]).out;
    for words in [&["--help"][..], &["lo", "--help"], &["stauts", "--help"]] {
        run_dir.teamrctl(words).shows(&all);
    }
    let unknown = "Unknown command \"stauts\".\nDid you mean \"status\"?\n";
    run_dir.teamrctl(&["help", "stauts"]).fails(unknown);
    let import = run_dir.teamrctl(&["import", "--help"]).out;
    run_dir.teamrctl(&["help", "import"]).shows(&import);
}

/// teamdctl has one help, whatever stands before the option.
#[test]
fn teamdctl_has_one_help() {
    let run_dir = RunDir::new("one-help");
    let help = run_dir.teamdctl(&["-h"]).out;
    run_dir.teamdctl(&["lo", "state", "--help", "--nothing"]).shows(&help);
    assert!(!help.contains("help COMMAND"), "{help}");
    let answer = run_dir.teamdctl(&["lo", "help"]);
    answer.fails("Unknown command \"help\".\n");
}
