//! The completions of zsh and fish on a host with an interface whose name is a command. `tests/`
//! has the other tests of the completions, and bash.

use std::fs;
use std::process::Command;

use integration::{Lab, Namespace, Sharing, repository, skip};

/// A name that makes the file `ran` if a shell evaluates it.
const NAME: &str = "x$(>ran)";

/// Returns a host with an interface of that name; `None`, with a line, without the shell.
fn host_with_name(shell: &str) -> Option<(Lab, Namespace)> {
    if Command::new(shell).arg("--version").output().is_err() {
        skip(&format!("no `{shell}` here (Debian package of that name)"));
        return None;
    }
    let lab = Lab::open(Sharing::Shared)?;
    let host = lab.host("host");
    host.ip(&format!("link add {NAME} type veth"));
    Some((lab, host))
}

/// Runs a script in the folder of the host and returns its output. No command of the name runs.
fn run(host: &Namespace, shell: &str, script: &str) -> String {
    let mut command = host.command(shell);
    command.arg("-c").arg(format!("cd {}\n{script}", host.folder().display()));
    command.env("COMPLETIONS", repository().join("dist/completions"));
    let output = command.output().expect("start the shell");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
    assert!(!host.folder().join("ran").exists(), "{shell} ran the name");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn zsh_quotes_a_name_that_is_a_command() {
    let Some((_lab, host)) = host_with_name("zsh") else {
        return;
    };
    // zsh completes only at a terminal, so another zsh gets one.
    let script = r#"
        zmodload zsh/zpty
        zpty inner zsh -f -i
        tell() { zpty -w inner "$1; print do''ne" && zpty -r inner said '*done*' }
        tell "PS1= fpath=($COMPLETIONS/zsh \$fpath); autoload -Uz compinit; compinit -u -D"
        tell "offer() { zle complete-word; print -r -- \"\$BUFFER\" >line; BUFFER=; print offe''red }"
        tell "zle -N offer; bindkey '^T' offer"
        zpty -w -n inner 'teamrctl x'$'\C-t'
        zpty -r inner said '*offered*'
        zpty -d inner"#;
    run(&host, "zsh", script);
    let line = fs::read_to_string(host.folder().join("line")).expect("the completed line");
    let words = run(&host, "zsh", &format!("printf '%s\n' {line}"));
    assert_eq!(words, format!("teamrctl\n{NAME}\n"), "{line}");
}

#[test]
fn fish_offers_a_name_that_is_a_command_as_text() {
    let Some((_lab, host)) = host_with_name("fish") else {
        return;
    };
    let script = r#"
        for file in $COMPLETIONS/fish/*
            source $file
        end
        complete -C 'teamrctl x'"#;
    let offers = run(&host, "fish", script);
    assert!(offers.lines().any(|offer| offer.split('\t').next() == Some(NAME)), "{offers}");
}
