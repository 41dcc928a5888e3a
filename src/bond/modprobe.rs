//! Options of the bonding module in modprobe.d(5): the initial options of every bond of the
//! initscripts, ifupdown and wicked.

use super::tree::Tree;

/// Folders with the files.
pub const FOLDERS: [&str; 4] =
    ["etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];
/// The one file of old systems.
pub const FILE: &str = "etc/modprobe.conf";

/// Returns the options of the module, and those of the alias `name` of the module.
pub fn options(tree: &Tree, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let aliased = has_alias(tree, name);
    for words in lines(tree) {
        if let ["options", module, options @ ..] = &words[..] {
            if *module == "bonding" || (aliased && *module == name) {
                found.push(options.join(" "));
            }
        }
    }
    found
}

/// Returns whether `name` is an alias of the module: on old systems the alias makes `name` a bond.
pub fn has_alias(tree: &Tree, name: &str) -> bool {
    lines(tree).any(|words| words == ["alias", name, "bonding"])
}

/// Returns the words of each line; a line that ends in a backslash continues on the next one.
fn lines(tree: &Tree) -> impl Iterator<Item = Vec<&str>> {
    let files = FOLDERS.iter().flat_map(|folder| tree.folder(folder));
    let texts = files.filter(|(name, _)| name.ends_with(".conf")).map(|(_, text)| text);
    texts.chain(tree.get(FILE)).flat_map(|text| {
        let mut lines = text.lines();
        std::iter::from_fn(move || {
            let mut line = lines.next()?;
            let mut words = Vec::new();
            while let Some(start) = line.strip_suffix('\\') {
                words.extend(start.split_ascii_whitespace());
                line = lines.next().unwrap_or_default();
            }
            words.extend(line.split_ascii_whitespace());
            Some(words)
        })
    })
}
