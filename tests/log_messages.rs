//! The guide docs/guides/log.md has every warning and error of the daemon, and no other message.

use std::fs;
use std::path::{Path, PathBuf};

/// Stands for the variable part of a message.
const VARIABLE: char = '…';

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Adds the Rust sources below a folder to `files`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        match path.extension() {
            None => collect(&path, files),
            Some(extension) if extension == "rs" => files.push(path),
            Some(_) => {}
        }
    }
}

/// Returns the sources of the daemon without their tests.
fn sources() -> Vec<String> {
    const FOLDERS: [&str; 7] = [
        "src/args",
        "src/control",
        "src/daemon",
        "src/datapath",
        "src/netlink",
        "src/process",
        "runners/src",
    ];
    let mut files = vec![root().join("src/main.rs")];
    FOLDERS.iter().for_each(|folder| collect(&root().join(folder), &mut files));
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("a source"));
    texts.map(|text| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()).collect()
}

/// Reads a string literal from its first quote on: its text with [`VARIABLE`] for each argument, and
/// the rest of the source. Returns `None` without a literal.
fn literal(source: &str) -> Option<(String, &str)> {
    let mut rest = source.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some((text, rest.as_str())),
            '\\' => match rest.next()? {
                // A line continues without its indentation.
                '\n' => rest = rest.as_str().trim_start().chars(),
                escaped => text.push(escaped),
            },
            '{' => {
                rest.by_ref().find(|letter| *letter == '}')?;
                text.push(VARIABLE);
            }
            letter => text.push(letter),
        }
    }
}

/// Returns all string literals of a source.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('"') {
        match literal(&rest[at..]) {
            Some((text, after)) => {
                found.push(text);
                rest = after;
            }
            None => rest = &rest[at + 1..],
        }
    }
    found
}

/// Returns the texts of the warnings and errors in a source that have words of their own.
fn warnings(source: &str) -> Vec<String> {
    let calls = ["log::warn!(", "log::error!("].into_iter();
    let calls = calls.flat_map(|call| source.split(call).skip(1));
    let texts = calls.filter_map(|call| Some(literal(call.trim_start())?.0));
    texts.filter(|text| text.contains(char::is_alphabetic)).collect()
}

/// Returns the messages of the guide, from the first column of its tables.
fn messages() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/guides/log.md")).expect("the guide");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").next().unwrap_or_default());
    let spans = cells.flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned));
    spans.filter(|span| !span.is_empty()).collect()
}

/// Returns whether a text is a message of this form: each [`VARIABLE`] stands for any text.
fn has_form(text: &str, form: &str) -> bool {
    let mut parts = form.split(VARIABLE);
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn the_guide_has_every_warning_and_error() {
    let messages = messages();
    let warnings: Vec<String> = sources().iter().flat_map(|source| warnings(source)).collect();
    assert!(warnings.len() > 100, "{}", warnings.len());
    let missing: Vec<&String> = warnings
        .iter()
        .filter(|text| !messages.iter().any(|message| has_form(text, message)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_sources_have_every_message_of_the_guide() {
    let texts: Vec<String> = sources().iter().flat_map(|source| literals(source)).collect();
    let messages = messages();
    assert!(messages.len() > 80, "{}", messages.len());
    let former: Vec<&String> = messages
        .iter()
        .filter(|message| !texts.iter().any(|text| has_form(text, message)))
        .collect();
    assert!(former.is_empty(), "{former:#?}");
}

#[test]
fn a_form_has_variable_parts() {
    assert!(has_form("…: Failed to add port (…).", "…: Failed to add port (…)."));
    assert!(has_form("Failed to read links (…).", "Failed to … (…)."));
    assert!(!has_form("Failed to read links.", "Failed to … (…)."));
    assert!(!has_form("eth1 is gone", "eth1 is"));
    assert_eq!(literals(r#"f("a {b} \"c\"", 1, "d")"#), ["a … \"c\"", "d"]);
}
