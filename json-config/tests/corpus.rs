//! The corpus: schema and strict check come to the same verdict, and the words stay as they are.
//!
//! `corpus/good` and `corpus/bad` hold what a schema can judge; `corpus/syntax` what it cannot.
//! `TEAMR_REWRITE=1 cargo test -p json-config` writes the expected words anew.

mod expectation;
mod schema_verdict;

use std::fs;
use std::path::{Path, PathBuf};

use json_config::{Config, check};

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
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

fn words(folder: &str) -> String {
    let mut words = String::new();
    for (name, text) in files(folder) {
        words.push_str(&format!("{name}\n"));
        for problem in check(&text) {
            words.push_str(&format!("    {problem}\n"));
        }
    }
    words
}

#[test]
fn schema_and_check_agree() {
    let schema_accepts = schema_verdict::load();
    let (good, bad) = (files("tests/corpus/good"), files("tests/corpus/bad"));
    assert!(good.len() + bad.len() >= 100);
    for (name, text) in good.iter().chain(&files("examples")) {
        assert_eq!(check(text), [], "check of {name}");
        assert!(
            schema_accepts(&serde_json::from_slice(text).unwrap()),
            "schema on {name}"
        );
    }
    for (name, text) in &bad {
        assert!(!check(text).is_empty(), "check of {name}");
        assert!(
            !schema_accepts(&serde_json::from_slice(text).unwrap()),
            "schema on {name}"
        );
    }
}

#[test]
fn bad_files_are_explained() {
    expectation::compare("tests/corpus/bad.expected", &words("tests/corpus/bad"));
}

#[test]
fn what_no_schema_can_judge_is_explained() {
    expectation::compare(
        "tests/corpus/syntax.expected",
        &words("tests/corpus/syntax"),
    );
}

#[test]
fn every_problem_has_a_place() {
    for folder in ["tests/corpus/bad", "tests/corpus/syntax"] {
        for (name, text) in files(folder) {
            for problem in check(&text) {
                assert!(problem.position.is_some(), "{name}: {problem}");
            }
        }
    }
}

/// What is strictly good runs without a warning, but for what this version does not have.
#[test]
fn good_files_run() {
    for (name, text) in files("tests/corpus/good")
        .into_iter()
        .chain(files("examples"))
    {
        let mut config = Config::parse(&text).unwrap();
        assert_eq!(config.warnings(), [], "{name}");
        config.team().unwrap();
        config.team_settings(0).unwrap();
        let ports: Vec<String> = config.port_names().map(str::to_owned).collect();
        for port in ports {
            config.port(&port).unwrap();
            if let Err(problem) = config.port_settings(&port) {
                let message = problem.to_string();
                assert!(
                    message.ends_with("is not available in this version"),
                    "{name}: {message}"
                );
            }
        }
    }
}
