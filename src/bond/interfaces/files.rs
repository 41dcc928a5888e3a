//! The files of interfaces(5): `source` and `source-directory`, and their stanzas.
//!
//! A path outside the root and a file that is included anew are ignored; depth and number of files have
//! limits.

use std::collections::BTreeSet;
use std::io;

use crate::bond::links::{is_pattern, matches_pattern};
use crate::bond::manager::Manager;
use crate::bond::root::Root;
use crate::bond::settings::{File, Setting, is_backup};
use crate::bond::tree::Tree;

/// The first file.
const MAIN: &str = "etc/network/interfaces";
/// Levels of files that include others.
const DEEPEST: usize = 10;
/// Files.
const MOST_FILES: usize = 500;

/// A stanza `iface`, with one setting for each option.
#[derive(Clone, Debug)]
pub struct Stanza {
    /// Interface.
    pub name: String,
    /// Address family: `inet`, `inet6`; empty if the stanza has none.
    pub family: String,
    /// Method of the addresses; empty if the stanza has none.
    pub method: String,
    /// Options.
    pub file: File,
}

impl Stanza {
    /// Returns the setting `iface` without a value, which stands for the stanza itself: a stanza may have
    /// no options.
    pub fn itself(&self) -> Setting {
        setting(&section(&self.name, &self.family, &self.method), "iface", "")
    }
}

/// Adds the files of interfaces(5) below `root` to `tree`.
///
/// # Errors
/// When an existing file cannot be read.
pub fn load(tree: &mut Tree, root: &Root) -> io::Result<()> {
    let mut failed = None;
    let mut open = |path: &str| match root.text(path) {
        Ok(text) => text,
        Err(error) => {
            failed = Some(error);
            None
        }
    };
    // A folder that is named and missing is no error for ifupdown.
    let names = |folder: &str| root.names(folder).unwrap_or_default();
    for (path, text) in walk(&mut open, &names) {
        tree.insert(path, text);
    }
    failed.map_or(Ok(()), Err)
}

/// Returns the stanzas of all files of the tree, in their order.
pub fn stanzas(tree: &Tree) -> Vec<Stanza> {
    let mut open = |path: &str| tree.get(path).map(str::to_owned);
    let names = |folder: &str| tree.folder(folder).map(|(name, _)| name.to_owned()).collect();
    let mut stanzas = Vec::new();
    for (path, text) in walk(&mut open, &names) {
        parse(&path, &text, &mut stanzas);
    }
    stanzas
}

/// Returns path and text of the first file and of each included file, in the order of reading.
fn walk(
    open: &mut dyn FnMut(&str) -> Option<String>,
    names: &dyn Fn(&str) -> Vec<String>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(MAIN.to_owned(), 0)];
    while let Some((path, depth)) = waiting.pop() {
        if depth > DEEPEST || found.len() == MOST_FILES || !seen.insert(path.clone()) {
            continue;
        }
        let Some(text) = open(&path) else { continue };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut included = Vec::new();
        for line in logical_lines(&text) {
            match &line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
                ["source", patterns @ ..] => {
                    let patterns = patterns.iter().filter_map(|pattern| below(&folder, pattern));
                    included.extend(patterns.flat_map(|pattern| expand(&pattern, names)));
                }
                ["source-directory", folders @ ..] => {
                    let folders = folders.iter().filter_map(|inner| below(&folder, inner));
                    included.extend(folders.flat_map(|folder| {
                        let plain = names(&folder).into_iter().filter(|name| is_plain(name));
                        plain.map(move |name| format!("{folder}/{name}")).collect::<Vec<_>>()
                    }));
                }
                _ => {}
            }
        }
        found.push((path, text));
        waiting.extend(included.into_iter().rev().map(|path| (path, depth + 1)));
    }
    found
}

/// Returns whether `source-directory` reads a file of this name.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Returns `path`, absolute or relative to `folder`, below the root; `None` for one that leads out.
fn below(folder: &str, path: &str) -> Option<String> {
    let start = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns the files that match a pattern in the last component.
fn expand(pattern: &str, names: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    let Some((folder, last)) = pattern.rsplit_once('/').filter(|(_, last)| is_pattern(last)) else {
        return vec![pattern.to_owned()];
    };
    let is_one =
        |name: &String| matches_pattern(last, name) && (last.starts_with('.') || !is_backup(name));
    let names = names(folder).into_iter().filter(is_one);
    names.map(|name| format!("{folder}/{name}")).collect()
}

/// Returns the lines without comments; a line that ends in a backslash continues on the next one.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let line = line.trim();
        if open.is_none() && line.starts_with('#') {
            continue;
        }
        let mut whole = open.take().unwrap_or_default();
        match line.strip_suffix('\\') {
            Some(start) => {
                whole.push_str(start);
                whole.push(' ');
                open = Some(whole);
            }
            None => {
                whole.push_str(line);
                lines.push(whole);
            }
        }
    }
    lines.extend(open);
    lines.retain(|line| !line.trim().is_empty());
    lines
}

fn parse(path: &str, text: &str, stanzas: &mut Vec<Stanza>) {
    // Stanzas other than `iface` have no options that belong to an interface.
    let mut in_iface = false;
    for line in logical_lines(text) {
        let (first, rest) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        match first {
            "iface" => {
                let mut words = rest.split_ascii_whitespace();
                let mut next = || words.next().unwrap_or_default().to_owned();
                let (name, family, method) = (next(), next(), next());
                let mut file = File::new(path);
                let section = section(&name, &family, &method);
                for (key, value) in inherited(&words.collect::<Vec<_>>(), &family, &method) {
                    file.push(setting(&section, key, value));
                }
                stanzas.push(Stanza { name, family, method, file });
                in_iface = true;
            }
            "auto" | "mapping" | "source" | "source-directory" | "no-auto-down" | "no-scripts"
            | "rename" | "template" => in_iface = false,
            _ if first.starts_with("allow-") => in_iface = false,
            _ => {
                if let Some(stanza) = stanzas.last_mut().filter(|_| in_iface) {
                    let section = section(&stanza.name, &stanza.family, &stanza.method);
                    stanza.file.push(setting(&section, first, rest));
                }
            }
        }
    }
}

/// Returns the words `inherits NAME` of the line of a stanza, in any place after the name.
fn inherited<'a>(words: &[&'a str], family: &'a str, method: &'a str) -> Vec<(&'a str, &'a str)> {
    let all = [&[family, method], words].concat();
    let place = all.iter().position(|word| *word == "inherits");
    let name = place.and_then(|place| all.get(place + 1));
    name.map(|name| ("inherits", *name)).into_iter().collect()
}

/// Returns the section of a stanza's settings. The section of a stanza `inet6` also has the method,
/// because ifupdown ignores settings of IPv6 in other stanzas.
fn section(name: &str, family: &str, method: &str) -> String {
    match family {
        "inet6" => format!("iface {name} inet6 {method}"),
        _ => format!("iface {name}"),
    }
}

fn setting(section: &str, key: &str, value: &str) -> Setting {
    Setting {
        manager: Manager::Interfaces,
        section: section.to_owned(),
        occurrence: 0,
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_files_are_read_once_in_their_order_and_stay_below_the_root() {
        let mut tree = Tree::default();
        tree.insert(
            MAIN,
            "# c\nauto lo\nsource interfaces.d/*\nsource /etc/network/interfaces\n\
             source ../../../../etc/passwd\nsource-directory more\niface z inet manual\n",
        );
        tree.insert(
            "etc/network/interfaces.d/b",
            "iface b inet \\\n static\n  address 192.0.2.1/24\n",
        );
        tree.insert("etc/network/interfaces.d/a", "source b\niface a\n");
        tree.insert("etc/network/interfaces.d/c~", "iface c\n");
        tree.insert("etc/network/more/d", "iface d inherits a\nauto x\n  lost 1\n");
        tree.insert("etc/network/more/e.bak", "iface e\n");
        let stanzas = stanzas(&tree);
        let names: Vec<_> = stanzas.iter().map(|s| (&*s.name, &*s.method)).collect();
        assert_eq!(names, [("z", "manual"), ("a", ""), ("b", "static"), ("d", "a")]);
        assert_eq!(stanzas[2].file.get("iface b", "address"), Some("192.0.2.1/24"));
        assert_eq!(stanzas[3].file.get("iface d", "inherits"), Some("a"));
        assert_eq!(stanzas[3].file.settings().len(), 1);
        assert_eq!(below("etc", "../../x"), None);
    }

    #[test]
    fn deep_inclusion_ends() {
        let mut tree = Tree::default();
        tree.insert(MAIN, "source f0\n");
        for number in 0..50 {
            let text = format!("source f{}\niface i{number}\n", number + 1);
            tree.insert(format!("etc/network/f{number}"), text);
        }
        assert_eq!(stanzas(&tree).len(), DEEPEST);
    }
}
