//! The corpus: schema and strict check agree, and the messages stay as they are.
//!
//! `corpus/good` and `corpus/bad` contain faults that a schema can express; `corpus/syntax` contains
//! the others. `TEAMR_REWRITE=1 cargo test -p json-config` rewrites the expected messages.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

mod expectation;
mod validator;

use std::fs;
use std::path::{Path, PathBuf};

use json_config::{Config, check};

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

fn messages(folder: &str) -> String {
    let mut messages = String::new();
    for (name, text) in files(folder) {
        messages.push_str(&format!("{name}\n"));
        for problem in check(&text) {
            messages.push_str(&format!("    {problem}\n"));
        }
    }
    messages
}

#[test]
fn schema_and_check_agree() {
    let schema_accepts = validator::load();
    let (good, bad) = (files("tests/corpus/good"), files("tests/corpus/bad"));
    assert!(good.len() + bad.len() >= 100);
    for (name, text) in good.iter().chain(&files("examples")) {
        assert_eq!(check(text), [], "check of {name}");
        assert!(schema_accepts(&serde_json::from_slice(text).unwrap()), "schema on {name}");
    }
    for (name, text) in &bad {
        assert!(!check(text).is_empty(), "check of {name}");
        assert!(!schema_accepts(&serde_json::from_slice(text).unwrap()), "schema on {name}");
    }
}

#[test]
fn the_messages_for_bad_files_are_as_expected() {
    expectation::compare("tests/corpus/bad.expected", &messages("tests/corpus/bad"));
}

#[test]
fn the_messages_for_faults_beyond_the_schema_are_as_expected() {
    expectation::compare("tests/corpus/syntax.expected", &messages("tests/corpus/syntax"));
}

#[test]
fn every_problem_has_a_position() {
    for folder in ["tests/corpus/bad", "tests/corpus/syntax"] {
        for (name, text) in files(folder) {
            for problem in check(&text) {
                assert!(problem.position.is_some(), "{name}: {problem}");
            }
        }
    }
}

#[test]
fn a_file_that_the_check_accepts_runs_without_a_warning() {
    for (name, text) in files("tests/corpus/good").into_iter().chain(files("examples")) {
        let mut config = Config::parse(&text).unwrap();
        assert_eq!(config.warnings(), [], "{name}");
        config.team(0).unwrap();
        config.team_settings(0).unwrap();
        let ports: Vec<String> = config.port_names().map(str::to_owned).collect();
        for port in ports {
            config.port(&port).unwrap();
            config.port_settings(&port).unwrap();
        }
    }
}
