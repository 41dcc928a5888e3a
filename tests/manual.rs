//! The manual pages name every option and every key that the programs know.

use std::fs;
use std::path::Path;

use json_config::keys::KEYS;
use teamr::cli::getopt::Flag;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    fs::read_to_string(path).expect("a manual page")
}

/// The lines that introduce an item.
fn items(page: &str) -> Vec<&str> {
    page.lines()
        .filter(|line| line.starts_with(".It "))
        .collect()
}

fn assert_options(page_name: &str, flags: &[Flag]) {
    let page = page(page_name);
    for flag in flags {
        let long = format!("-{}", flag.long);
        let documented = items(&page)
            .iter()
            .any(|item| item.split_whitespace().any(|word| word == long));
        assert!(documented, "{page_name} lacks --{}", flag.long);
    }
}

#[test]
fn options_of_the_daemon() {
    assert_options("teamr.8", &teamr::cli::options::FLAGS);
}

#[test]
fn options_of_the_client() {
    assert_options("teamrctl.8", &teamr::client::options::FLAGS);
}

#[test]
fn keys_of_the_configuration() {
    let page = page("teamr.conf.5");
    for key in KEYS {
        let documented = items(&page).iter().any(|item| {
            item.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'))
                .any(|word| word == key.name)
        });
        assert!(documented, "teamr.conf.5 lacks {}", key.name);
    }
}
