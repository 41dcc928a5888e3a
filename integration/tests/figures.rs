//! The record of the benchmarks' figures agrees with the document and with the benchmarks.

use std::fs;

use integration::figures::{RUNS, document, parse};
use integration::repository;

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_document_has_the_recorded_figures() {
    let records = parse(&read("docs/figures.json")).expect("docs/figures.json");
    assert!(!records.is_empty(), "no figure is recorded");
    let text = read("docs/benchmarks.md");
    assert!(
        text.ends_with(&format!("## Recorded figures\n{}", document(&records))),
        "docs/benchmarks.md is not current: `integration/figures --document` writes it"
    );
    for (name, record) in &records {
        assert!(record.runs >= RUNS && !record.figures.is_empty(), "{name}");
        let command = record.command.split_whitespace().collect::<Vec<_>>();
        let [_, "bench", "--package", package, "--bench", bench] = command[..] else {
            panic!("{name}: {}", record.command);
        };
        let source = format!("{package}/benches/{bench}.rs");
        assert!(repository().join(&source).exists(), "{name}: no {source}");
    }
}
