//! The files of systemd-networkd in their order, with drop-ins, and the interfaces that they match.
//!
//! Standard: systemd.network(5). A file in an earlier folder replaces a file of the same name; of the
//! files that match an interface, the first by name counts.

use std::collections::BTreeMap;

use super::MANAGER;
use crate::bond::ini;
use crate::bond::links::{Condition, Link, is_pattern};
use crate::bond::settings::File;
use crate::bond::tree::Tree;

/// Returns the files whose names end in `ending`, by name, with the settings of their drop-ins.
pub fn files(tree: &Tree, ending: &str) -> Vec<File> {
    let mut texts: BTreeMap<&str, (String, &str)> = BTreeMap::new();
    for folder in MANAGER.folders() {
        for (name, text) in tree.below(folder).filter(|(name, _)| !name.starts_with('.')) {
            texts.entry(name).or_insert_with(|| (format!("{folder}/{name}"), text));
        }
    }
    let whole = texts.iter().filter(|(name, _)| name.ends_with(ending) && !name.contains('/'));
    let with_drop_ins = whole.map(|(name, (path, text))| {
        let mut file = ini::parse(MANAGER, path, text);
        let folder = format!("{name}.d/");
        let drop_ins = texts.iter().filter(|(path, _)| path.starts_with(&folder));
        for (_, (_, text)) in drop_ins.filter(|(path, _)| path.ends_with(".conf")) {
            ini::extend(&mut file, MANAGER, text);
        }
        file
    });
    with_drop_ins.collect()
}

/// The interfaces that a file matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Names.
    pub names: Vec<String>,
    /// The rule that cannot be resolved here.
    pub unresolved: Option<String>,
}

/// Returns the interfaces that `file` matches. Plain names need no interface of the host.
pub fn matched(file: &File, links: &[Link]) -> Matched {
    let rules = rules(file);
    let names = rules.get("Name").cloned().unwrap_or_default();
    let is_plain = !names.is_empty() && !names.iter().any(|name| is_pattern(name));
    if is_plain && rules.len() == 1 {
        return Matched { names, unresolved: None };
    }
    let text: Vec<String> =
        rules.iter().map(|(key, words)| format!("{key}={}", words.join(" "))).collect();
    let text = text.join(" ");
    let known: Option<Vec<Condition>> =
        rules.into_iter().map(|(key, words)| condition(key, words)).collect();
    let conditions = match known {
        Some(conditions) if !links.is_empty() && !conditions.is_empty() => conditions,
        _ => {
            let names = if is_plain { names } else { Vec::new() };
            return Matched { names, unresolved: Some(text) };
        }
    };
    let fulfils = |link: &&Link| conditions.iter().all(|condition| condition.holds(link));
    let names: Vec<String> = links.iter().filter(fulfils).map(|link| link.name.clone()).collect();
    let unresolved = names.is_empty().then_some(text);
    Matched { names, unresolved }
}

/// Returns whether `file` is about the device `link`. A rule of an unsupported kind counts as
/// fulfilled.
pub fn is_about(file: &File, link: &Link) -> bool {
    let known = rules(file).into_iter().filter_map(|(key, words)| condition(key, words));
    let mut known = known.peekable();
    known.peek().is_some() && known.all(|condition| condition.holds(link))
}

/// Returns the rules of the section `Match`, each with its words.
fn rules(file: &File) -> BTreeMap<&str, Vec<String>> {
    let mut rules: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for setting in file.settings().iter().filter(|setting| setting.section == "Match") {
        let words = setting.value.split_ascii_whitespace().map(str::to_owned);
        rules.entry(&setting.key).or_default().extend(words);
    }
    rules
}

/// Returns the condition of a rule; `None` for a rule of an unsupported kind.
fn condition(key: &str, words: Vec<String>) -> Option<Condition> {
    Some(match key {
        "Name" => Condition::Name(words),
        "MACAddress" => Condition::HwAddr(words),
        "PermanentMACAddress" => Condition::PermanentHwAddr(words),
        "Driver" => Condition::Driver(words),
        "Path" => Condition::Path(words),
        "Type" => Condition::Kind(words),
        _ => return None,
    })
}
