//! The manual pages name every option, command, variable, key and finding of the programs, and no other
//! option. `tests/state.rs` checks the items of the state against their definition,
//! `integration/tests/manual.rs` against running teams.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use json_config::keys::{KEYS, Preset};
use teamr::args::getopt::Flag;
use teamr::bond::options::{MODES, ROWS};
use teamr::bond::{bond2team, cli as bond};
use teamr::client::called_as::CalledAs;
use teamr::client::command;
use teamr::doctor::EXPLANATIONS;
use teamr::netlink::BUFFER_VARIABLE;
use teamr::process::{logging, run_dir};
use teamr::teamnl;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    fs::read_to_string(path).expect("a manual page")
}

/// Returns the words of each line that begins an item.
fn items(page: &str) -> Vec<Vec<&str>> {
    page.lines()
        .filter_map(|line| Some(line.strip_prefix(".It ")?.split_whitespace().collect()))
        .collect()
}

/// Returns the options of an item without their first dash: `d`, `-daemonize`.
fn options<'a>(item: &[&'a str]) -> Vec<&'a str> {
    match item {
        ["Fl", names @ ..] => {
            let names = names.iter().take_while(|word| **word != "Ar");
            names.copied().filter(|word| *word != ",").collect()
        }
        _ => Vec::new(),
    }
}

fn assert_options(page_name: &str, flags: &[Flag]) {
    let page = page(page_name);
    let items = items(&page);
    let mut documented: Vec<String> =
        items.iter().flat_map(|item| options(item)).map(str::to_owned).collect();
    for flag in flags {
        let mut names = vec![format!("-{}", flag.long)];
        names.extend(flag.short.iter().map(|&letter| char::from(letter).to_string()));
        let item = items.iter().find(|item| options(item).contains(&names[0].as_str()));
        let item = item.unwrap_or_else(|| panic!("{page_name} lacks --{}", flag.long));
        for name in &names {
            assert!(options(item).contains(&name.as_str()), "{page_name} lacks -{name}");
        }
        let takes_value = item.contains(&"Ar");
        assert_eq!(takes_value, flag.value.is_some(), "{page_name}: --{}", flag.long);
        documented.retain(|name| !names.contains(name));
    }
    assert!(documented.is_empty(), "{page_name} has options of its own: {documented:?}");
}

#[test]
fn teamr_8_has_the_options_of_the_daemon() {
    assert_options("teamr.8", &teamr::args::options::FLAGS);
}

#[test]
fn teamrctl_8_has_the_options_of_the_client() {
    assert_options("teamrctl.8", &teamr::client::options::FLAGS);
}

#[test]
fn the_pages_of_the_converters_have_their_options() {
    let mut flags: Vec<Flag> = bond::IMPORT.to_vec();
    let has = |flags: &[Flag], long| flags.iter().any(|flag| flag.long == long);
    for flag in &bond::EXPORT {
        if !has(&flags, flag.long) {
            flags.push(*flag);
        }
    }
    assert_options("teamrctl-import.8", &flags);
    assert_options("bond2team.8", &bond2team::FLAGS);
}

/// Each mode and option of a bond has an item.
#[test]
fn teamrctl_import_8_has_the_options_of_the_bonding_driver() {
    let page = page("teamrctl-import.8");
    for name in MODES.iter().copied().chain(ROWS.iter().map(|row| row.name)) {
        let documented = items(&page).iter().any(|item| item.contains(&name));
        assert!(documented, "teamrctl-import.8 lacks {name}");
    }
}

#[test]
fn teamrnl_8_has_the_options_and_commands_of_teamrnl() {
    assert_options("teamrnl.8", &teamnl::options::FLAGS);
    let page = page("teamrnl.8");
    for verb in teamnl::options::verbs() {
        let documented = items(&page).iter().any(|item| item.starts_with(&["Cm", verb]));
        assert!(documented, "teamrnl.8 lacks {verb}");
    }
}

#[test]
fn teamrctl_8_has_the_commands_of_the_client() {
    let page = page("teamrctl.8");
    let documented: Vec<Vec<String>> = items(&page)
        .iter()
        .filter(|item| item[0] == "Cm")
        // Only the number of arguments is compared.
        .map(|item| {
            let mut argument = false;
            let words = item[1..].iter().filter(|word| **word != "Op" && **word != "Cm");
            let words = words.filter_map(|word| {
                argument |= *word == "Ar";
                match (argument, *word) {
                    (true, "Ar") => None,
                    (true, _) => Some("*"),
                    (false, word) => Some(word),
                }
            });
            words.map(str::to_owned).collect()
        })
        .collect();
    for line in command::describe(CalledAs::Teamrctl).lines() {
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| match word.bytes().all(|byte| byte.is_ascii_uppercase()) {
                true => "*",
                false => word,
            })
            .collect();
        let named = documented.iter().any(|item| {
            // `state` and `state view` are one command with one item.
            *item == words || (words == ["state"] && *item == ["state", "view"])
        });
        assert!(named, "teamrctl.8 lacks {line:?} among {documented:?}");
    }
}

/// Returns lines of mdoc as plain text.
fn plain(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let is_macro = line.starts_with('.');
        let mut words = line.trim_start_matches('.').split(' ');
        while let Some(word) = words.next() {
            match word {
                "Cm" | "Ar" | "Ql" | "Pa" | "Sx" | "Nm" if is_macro => {}
                "Fl" if is_macro => text += &format!(" -{}", words.next().unwrap_or_default()),
                "," | "." | ";" if is_macro => text += word,
                _ => text += &format!(" {word}"),
            }
        }
    }
    text.trim_start().to_owned()
}

/// The description of a command in the help begins the item of the command in the manual.
#[test]
fn teamrctl_8_describes_the_commands_as_the_help_does() {
    let page = page("teamrctl.8");
    let items: Vec<Vec<&str>> =
        page.split("\n.It Cm ").skip(1).map(|item| item.lines().collect()).collect();
    for (words, params, about) in command::table() {
        // `state` and `state view` are one command with one item.
        let words = if words == "state" { "state view" } else { words };
        let described = items.iter().find(|item| {
            let (own, arguments) = item[0].split_once(" Ar").unwrap_or((item[0], ""));
            own.replace(" Op Cm", "") == words
                && arguments.split_whitespace().count() == params.len()
        });
        let described = described.unwrap_or_else(|| panic!("no item: {words} {params:?}"));
        let text = plain(&described[1..]).to_lowercase();
        let begin = about.trim_end_matches('.').to_lowercase();
        assert!(text.starts_with(&begin), "{words} {params:?}:\n{text}\n{begin}");
    }
}

#[test]
fn teamr_8_has_the_variables_of_the_daemon() {
    let page = page("teamr.8");
    let ours = [logging::VARIABLE, run_dir::VARIABLE, BUFFER_VARIABLE];
    let others = ["POSIXLY_CORRECT", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
    for variable in ours.into_iter().chain(others) {
        let documented =
            items(&page).iter().any(|item| item[0] == "Ev" && item.contains(&variable));
        assert!(documented, "teamr.8 lacks {variable}");
    }
}

#[test]
fn teamr_conf_5_has_the_keys_of_the_configuration() {
    let page = page("teamr.conf.5");
    // An item begins with its keys and ends at the next item.
    let keys: Vec<&str> = page.split("\n.It Ic ").skip(1).collect();
    for key in KEYS {
        let is_its_own = |about: &&&str| {
            let line = about.lines().next().unwrap_or_default();
            let mut words =
                line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'));
            words.any(|word| word == key.name)
        };
        let mut abouts = keys.iter().filter(is_its_own).peekable();
        assert!(abouts.peek().is_some(), "teamr.conf.5 lacks {}", key.name);
        let default = match key.default {
            Preset::Integer(number) => number.to_string(),
            Preset::Boolean(value) => value.to_string(),
            Preset::Word(word) => word.to_owned(),
            Preset::Words(words) => words.join(", "),
            Preset::Nothing => continue,
        };
        // Several objects have keys of the same name.
        assert!(
            abouts
                .map(|about| about.to_lowercase())
                .any(|about| about.contains("default") && about.contains(&default)),
            "teamr.conf.5 does not say that {} is by default {default}",
            key.name
        );
    }
}

/// Returns the ids of the findings of one weight, as the sources of the doctor name them.
fn findings(weight: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    let call = format!("findings.{weight}(");
    let mut ids = BTreeSet::new();
    for file in fs::read_dir(folder).expect("the sources of the doctor") {
        let source = fs::read_to_string(file.expect("a file").path()).expect("a source");
        let calls = source.split(&call).skip(1);
        let quoted = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split_once('"'));
        ids.extend(quoted.map(|(id, _)| id.to_owned()));
    }
    ids
}

#[test]
fn the_manual_names_every_finding_of_the_doctor() {
    let page = page("teamrctl.8");
    for (title, weight) in [("Problems", "problem"), ("Notices", "notice")] {
        let (_, after) = page.split_once(&format!("\n.It {title}\n")).expect("a list");
        let list = after.lines().take_while(|line| !line.starts_with('.'));
        let named: BTreeSet<String> = list
            .flat_map(|line| line.split([',', ' ']))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        assert!(named.len() > 15, "{title}: {named:?}");
        assert_eq!(named, findings(weight), "{title}");
    }
}

#[test]
fn explain_has_every_finding_of_the_doctor() {
    let explained: BTreeSet<String> =
        EXPLANATIONS.iter().map(|explanation| explanation.id.to_owned()).collect();
    let found: BTreeSet<String> = findings("problem").union(&findings("notice")).cloned().collect();
    assert_eq!(explained, found);
}
