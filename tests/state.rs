//! The state document in the manual and in the schema file follows its definition.
//!
//! `TEAMR_REWRITE=1 cargo test --test state` writes the items of teamrctl(8) and the schemas in
//! `dist` anew.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use teamr::state::definition::Field;
use teamr::state::items::{self, Item};
use teamr::state::schema::{NAMES, named};
use teamr::state::{OrEmpty, Part, State};

/// The lines around the items in the manual.
const BEGIN: &str = ".Sh STATE ITEMS\n";
const END: &str = ".Sh ENVIRONMENT\n";

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a file with its expected text, or writes the text.
fn compare(path: &str, expected: &str) {
    let path = file(path);
    if env::var_os("TEAMR_REWRITE").is_some() {
        fs::write(&path, expected).expect("write a file");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} differs from the definition; TEAMR_REWRITE=1 cargo test --test state writes it anew",
        path.display()
    );
}

fn list(items: &[Item], is_teamd: bool) -> String {
    let mut text = ".Bl -tag -width Ds\n".to_owned();
    for item in items.iter().filter(|item| item.is_teamd() == is_teamd) {
        let about = item.describe().replace("-1", "\\-1");
        // Each sentence on a line of its own, as mdoc(7) asks.
        let about = about.replace(". ", ".\n");
        // A list of bits is longer than a line.
        let path = item.path().replace(',', ",\\:");
        let _ = writeln!(text, ".It {path}\n{about}");
    }
    text + ".El\n"
}

#[test]
fn the_manual_lists_the_items() {
    let page = fs::read_to_string(file("man/teamrctl.8")).expect("teamrctl(8)");
    let (before, rest) = page.split_once(BEGIN).expect("the items");
    let (_, after) = rest.split_once(END).expect("the end of the items");
    let items = items::all();
    let expected = format!(
        "{before}{BEGIN}P stands for the name of a port, N for the number of a link watch.\n\
         An item that does not apply is absent.\n\
         The command\n.Cm schema state\nprints the same as a JSON Schema.\n.Pp\n\
         Items of teamd, by path:\n{}.Pp\nItems that teamd does not have:\n{}{END}{after}",
        list(&items, true),
        list(&items, false)
    );
    compare("man/teamrctl.8", &expected);
}

#[test]
fn the_schema_files_have_the_schemas() {
    for name in NAMES {
        let schema = named(name).expect("a schema");
        let text = json_config::to_text(&schema) + "\n";
        compare(&format!("dist/{name}-schema.json"), &text);
    }
}

#[test]
fn every_doc_line_is_one_plain_sentence() {
    for item in items::all() {
        let Field { name, about, .. } = item.field;
        assert!(about.ends_with('.'), "{name}: {about}");
        assert!(!about.contains("  ") && about.len() < 200, "{name}: {about}");
        let first = about.chars().next();
        assert!(first.is_some_and(char::is_uppercase), "{name}: {about}");
    }
}

/// Documents of the integration tests and of teamd 1.31.
const DOCUMENTS: [&str; 3] = [
    include_str!("view/activebackup.json"),
    include_str!("view/lacp.json"),
    include_str!("view/lacp-own.json"),
];

#[test]
fn a_document_survives_reading_and_writing() {
    for text in DOCUMENTS {
        let document: Value = serde_json::from_str(text).expect("JSON");
        let state = State::read(&document).expect("a state");
        assert_eq!(json_config::to_text(&state.to_json()), json_config::to_text(&document));
    }
}

#[test]
fn an_item_of_another_type_is_absent() {
    let document = json!({
        "setup": {"pid": "713", "runner_name": "lacp"},
        "ports": {"eth1": null, "eth2": {"link": {"speed": -1, "up": 1}}},
        "runner": [],
        "later": {"daemon": 1},
    });
    let state = State::read(&document).expect("a state");
    let setup = state.setup.or_empty();
    assert_eq!((setup.pid, setup.runner_name.as_deref()), (None, Some("lacp")));
    let names: Vec<&str> = state.ports().map(|(name, _)| name).collect();
    assert_eq!(names, ["eth1", "eth2"]);
    let (_, port) = state.ports().nth(1).expect("a port");
    let link = port.link.or_empty();
    assert_eq!((link.speed, link.up), (Some(-1), None));
    for hostile in [json!(null), json!([1]), json!("text"), json!({"ports": 7})] {
        let state = State::read(&hostile).expect("a state");
        assert_eq!(state.ports().count(), 0);
    }
}
