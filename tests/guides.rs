//! The guides and the README name only commands, configurations, findings, units and files that
//! exist. `integration/tests/guides` runs their commands.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use teamr::args::getopt::{Getopt, Operands};
use teamr::args::options::Options as DaemonOptions;
use teamr::client::called_as::CalledAs;
use teamr::client::options::{FLAGS, Options};
use teamr::client::teams;
use teamr::doctor::EXPLANATIONS;
use teamr::teamnl;
use teamr::teamnl::options::CommandLine;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the README, the documents and the guides, by path.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = ["docs", "docs/guides"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let files = files.map(|file| file.expect("a file").path());
    let pages = files.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let pages = pages.chain([root().join("README.md")]);
    pages.map(|path| (path.clone(), fs::read_to_string(path).expect("a page"))).collect()
}

fn guides() -> Vec<(PathBuf, String)> {
    let guides = root().join("docs/guides");
    let mut pages = pages();
    pages.retain(|(path, _)| path.starts_with(&guides));
    assert!(pages.len() > 10, "{}", pages.len());
    pages
}

/// Returns the fenced blocks of a page: what stands behind the fence, and the lines.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(kind) => {
                is_inside = !is_inside;
                if is_inside {
                    blocks.push((kind, Vec::new()));
                }
            }
            None if is_inside => blocks.last_mut().expect("a block").1.push(line),
            None => {}
        }
    }
    assert!(!is_inside, "a block without an end");
    blocks
}

/// Returns the command lines in the blocks of a page.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (kind, lines) in blocks(page) {
        let prompt = if kind.starts_with("console") { "# " } else { "" };
        if ["console", "sh"].contains(&kind.split(' ').next().unwrap_or_default()) {
            let lines = lines.iter().filter_map(|line| line.strip_prefix(prompt));
            commands.extend(lines.map(str::to_owned));
        }
    }
    commands
}

/// Returns the commands in the sentences of a page, which may lack their arguments.
fn mentions(page: &str) -> Vec<String> {
    let prose = page.split("```").step_by(2).collect::<String>();
    let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
    spans.filter(|span| span.starts_with("teamrctl ") || span.starts_with("teamr -")).collect()
}

/// Splits a line as a shell does, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<OsString> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().expect("a word").push(letter),
        }
    }
    let ends = ["|", ">", ">>", "#", "&&", ";"];
    let words = words.into_iter().take_while(|word| !ends.contains(&word.as_str()));
    words.filter(|word| !word.is_empty()).map(OsString::from).collect()
}

/// Returns why a command line of the client is wrong.
fn client_fault(words: Vec<OsString>) -> Option<String> {
    let mut options = Options::new("teamrctl");
    if words.get(1).is_some_and(|word| word == "import" || word == "export") {
        return None;
    }
    if let Err(error) = options.read(Getopt::new(&FLAGS, words, Operands::Anywhere)) {
        return Some(error.to_string());
    }
    if options.text.is_some() {
        return None;
    }
    let split = teams::split(&options.words, CalledAs::Teamrctl);
    split.err().map(|error| error.text(&options))
}

/// Returns why a command line of one of our programs is wrong.
fn fault(line: &str) -> Option<String> {
    let words = words(line);
    match words.first().and_then(|word| word.to_str()) {
        Some("teamrctl") => client_fault(words),
        Some("teamrnl") => {
            let line =
                CommandLine::read(Getopt::new(&teamnl::options::FLAGS, words, Operands::Anywhere));
            line.err().map(|error| error.text)
        }
        Some("teamr") => {
            // The daemon looks for the file.
            let is_file = |word: &OsString| {
                let word = word.to_string_lossy();
                word.contains("/etc/teamr") || word.ends_with(".json")
            };
            let words = words.into_iter().map(|word| match is_file(&word) {
                true => root().into(),
                false => word,
            });
            DaemonOptions::parse(words, Operands::Anywhere).err().map(|error| error.to_string())
        }
        _ => None,
    }
}

#[test]
fn every_command_line_is_one_of_the_programs() {
    let mut count = 0;
    for (path, page) in pages() {
        for line in commands(&page) {
            assert_eq!(fault(&line), None, "{}: {line}", path.display());
            count += usize::from(line.starts_with("teamr"));
        }
        for line in mentions(&page) {
            let is_short =
                |fault: &String| fault.contains("parameter \"") || fault.contains("incomplete");
            let fault = fault(&line).filter(|fault| !is_short(fault));
            assert_eq!(fault, None, "{}: {line}", path.display());
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
    assert!(fault("teamrctl stauts").is_some() && fault("teamr --nothing").is_some());
    assert!(fault("teamrctl port drain").is_some());
}

/// Returns the pages of the manual, by path.
fn manual() -> Vec<(PathBuf, String)> {
    let files = fs::read_dir(root().join("man")).expect("the manual");
    let paths = files.map(|file| file.expect("a page").path());
    paths.map(|path| (path.clone(), fs::read_to_string(path).expect("a page"))).collect()
}

/// Returns the displays of a page of the manual.
fn displays(page: &str) -> impl Iterator<Item = &str> {
    let rests = page.split("\n.Bd -literal\n").skip(1);
    rests.map(|rest| rest.split("\n.Ed").next().unwrap_or_default())
}

/// Returns the command lines of the manual: those of the displays, of the examples and of the sentences.
fn commands_of_the_manual() -> Vec<(PathBuf, String)> {
    let mut lines = Vec::new();
    for (path, page) in manual() {
        let displays = displays(&page).flat_map(str::lines);
        let short = page.lines().filter_map(|line| line.strip_prefix(".Dl "));
        let quoted = page.lines().filter_map(|line| line.strip_prefix(".Ql "));
        let quoted = quoted.filter(|line| line.contains(' '));
        let quoted = quoted.map(|line| line.trim_end_matches([' ', '.', ',', ';']));
        let all = displays.chain(short).chain(quoted).filter(|line| line.starts_with("teamr"));
        lines.extend(all.map(|line| (path.clone(), line.to_owned())));
    }
    lines
}

#[test]
fn every_command_line_of_the_manual_is_one_of_the_programs() {
    let lines = commands_of_the_manual();
    assert!(lines.len() >= 8, "{lines:?}");
    for (path, line) in lines {
        assert_eq!(fault(&line), None, "{}: {line}", path.display());
    }
    assert!(fault("teamrnl team0 portss").is_some());
}

#[test]
fn every_configuration_of_the_manual_is_valid() {
    let mut count = 0;
    for (path, page) in manual() {
        for display in displays(&page).filter(|display| display.starts_with('{')) {
            let problems = json_config::check(display.as_bytes());
            assert!(problems.is_empty(), "{}: {problems:?}", path.display());
            count += 1;
        }
    }
    assert!(count >= 1, "{count}");
}

#[test]
fn every_unit_is_in_the_package() {
    for (path, page) in pages() {
        for line in commands(&page).iter().filter(|line| line.starts_with("systemctl ")) {
            let unit = line.split(' ').next_back().unwrap_or_default();
            let name = unit.split('@').next().unwrap_or_default();
            let file = if unit.contains('@') { format!("{name}@") } else { name.to_owned() };
            let file = root().join(format!("dist/systemd/{file}.service"));
            assert!(file.exists(), "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_configuration_is_valid() {
    let mut count = 0;
    for (path, page) in guides() {
        for (kind, lines) in blocks(&page) {
            if kind.starts_with("json") {
                let problems = json_config::check(lines.join("\n").as_bytes());
                assert!(problems.is_empty(), "{}: {problems:?}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn every_finding_exists() {
    for (path, page) in guides() {
        let is_id = |word: &&str| {
            word.contains('-')
                && !["-", "team-"].iter().any(|start| word.starts_with(start))
                && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())
        };
        for id in page.split('`').skip(1).step_by(2).filter(is_id) {
            let known = EXPLANATIONS.iter().any(|explanation| explanation.id == id);
            assert!(known, "{}: {id}", path.display());
        }
    }
}

#[test]
fn every_link_leads_to_a_file() {
    for (path, page) in pages() {
        let links = page.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            let target = path.parent().expect("a folder").join(file);
            assert!(file.is_empty() || target.exists(), "{}: {link}", path.display());
        }
    }
}

#[test]
fn the_list_has_every_guide() {
    let list = fs::read_to_string(root().join("docs/guides/README.md")).expect("the list");
    for (path, _) in guides() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(name == "README.md" || list.contains(&format!("({name})")), "{name}");
    }
}
