//! Names that the project has replaced by the field's own: none of them comes back.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that appear nowhere, each with its replacement.
const WORDS: [(&str, &str); 13] = [
    ("carry_out", "execute"),
    ("dealt", "assigned"),
    ("deafen", "stop_receiving"),
    ("dressed", "carries_team_hwaddr"),
    ("dresses", "carries_team_hwaddr"),
    ("fulfil", "write_options"),
    ("hand_to", "switch_to"),
    ("lender", "hwaddr_source"),
    ("listen_everywhere", "start_receiving"),
    ("newcomer", "the changed port"),
    ("say_farewell", "send_last_pdus"),
    ("taken_over", "adopted"),
    ("team_elsewhere", "hwaddr_belongs_elsewhere"),
];

/// Names of no type or module, each with its replacement.
const TYPES: [(&str, &str); 11] = [
    ("Bell", "Wakeup"),
    ("Controls", "TeamApi"),
    ("Deal", "BucketAssignment"),
    ("Ear", "PortSocket"),
    ("Journal", "PortStateFile"),
    ("Mover", "DataPathKind"),
    ("Served", "TeamSlot"),
    ("Surroundings", "WatchContext"),
    ("Traces", "PersistedState"),
    ("Wish", "TeamOption"),
    ("Wishes", "Options"),
];

const DECLARATIONS: [&str; 5] = ["enum", "struct", "trait", "type", "union"];

/// Returns a complaint for each replaced name in a text, with its line.
fn complaints(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut previous = "";
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        for word in line.split(|letter| !is_part(letter)) {
            let names: &[_] = match DECLARATIONS.contains(&previous) {
                true => &TYPES,
                false => &WORDS,
            };
            if let Some((_, instead)) = names.iter().find(|(name, _)| *name == word) {
                found.push(format!("{number}: `{word}`, say `{instead}`"));
            }
            previous = word;
        }
    }
    found
}

/// Adds the Rust sources, Markdown files and man pages below a folder to `files`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("list a folder") {
        let path = entry.expect("a folder's entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_text = ["rs", "md", "5", "8"]
            .iter()
            .any(|ending| path.extension().is_some_and(|found| found == *ending));
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, files);
        } else if is_text && path.is_file() {
            files.push(path);
        }
    }
}

#[test]
fn replaced_names_stay_away() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(root, &mut files);
    files.retain(|path| *path != root.join(file!()));
    assert!(files.len() > 100, "only {} files found", files.len());
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("read a file");
        let place = path.strip_prefix(root).unwrap_or(&path).display();
        found.extend(complaints(&text).iter().map(|each| format!("{place}:{each}")));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_replaced_name_is_found_with_its_line() {
    let text = "let port = 1;\nlet a = self.lender(); // a lenders' bell\npub struct Bell<T> {\n";
    assert_eq!(complaints(text), ["2: `lender`, say `hwaddr_source`", "3: `Bell`, say `Wakeup`"]);
    assert_eq!(complaints("[Journal] Bell = Ear"), [""; 0]);
}
