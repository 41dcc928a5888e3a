//! The edit of interfaces(5): a stanza of a bond becomes one of a team.
//!
//! Standard: interfaces(5) of ifupdown and ifupdown2, and the options of ifenslave, `bond-*`, `slaves`.
//! The stanza keeps its place, its addresses and its commands; the hook of ifupdown that the package
//! installs starts the team by `team-config`.

use std::collections::BTreeSet;
use std::path::Path;

use super::edit::Change;
use super::texts::{folder, text};

/// The files of ifupdown.
const FILE: &str = "etc/network/interfaces";
const FOLDER: &str = "etc/network/interfaces.d";

/// First words of lines that begin a stanza or stand alone.
const STANZAS: [&str; 10] = [
    "iface",
    "auto",
    "mapping",
    "source",
    "source-directory",
    "template",
    "rename",
    "no-auto-down",
    "no-scripts",
    "vlan",
];

/// A line with its continuations, as the file has them.
struct Line<'a> {
    text: &'a str,
}

impl<'a> Line<'a> {
    fn words(&self) -> impl Iterator<Item = &'a str> {
        self.text.split([' ', '\t', '\n', '\\']).filter(|word| !word.is_empty())
    }

    fn first(&self) -> &'a str {
        self.words().next().unwrap_or_default()
    }

    fn begins_stanza(&self) -> bool {
        STANZAS.contains(&self.first()) || self.first().starts_with("allow-")
    }

    /// Returns whether the line is an option of bonding.
    fn is_of_bonding(&self) -> bool {
        let first = self.first();
        let is_executor = first == "use" && self.words().nth(1) == Some("bond");
        first.starts_with("bond-") || first.starts_with("bond_") || first == "slaves" || is_executor
    }
}

/// Splits a text into lines; a line that ends in a backslash contains the next one.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (end, _) in text.match_indices('\n') {
        if !text[start..end].ends_with('\\') {
            lines.push(Line { text: &text[start..=end] });
            start = end + 1;
        }
    }
    if start < text.len() {
        lines.push(Line { text: &text[start..] });
    }
    lines
}

/// Returns the changes of ifupdown's files; `None` if they do not make the bond. `options` are the lines
/// that replace those of the bond.
///
/// # Errors
/// A file makes the bond in a way that an edit would not find.
pub fn changes(
    root: &Path,
    bond: &str,
    ports: &[&str],
    options: &[String],
) -> Result<Option<Vec<Change>>, String> {
    let main = root.join(FILE);
    if !main.exists() {
        return Ok(None);
    }
    let mut texts = vec![text(root, &main)?];
    texts.extend(folder(root, FOLDER, |_| true)?);
    let makers = texts.iter().filter(|(_, text)| makes(text, bond)).count();
    if makers == 0 {
        return Ok(None);
    }
    for (path, text) in &texts {
        let is_read = |source: &str| {
            source.trim_start_matches('/').starts_with(FOLDER) || source.starts_with("interfaces.d")
        };
        if let Some(source) = sources(text).iter().find(|source| !is_read(source)) {
            return Err(format!(
                "{} includes {source}, which --apply does not read; move its stanzas to /{FOLDER}.",
                path.display()
            ));
        }
    }
    if makers > 1 {
        return Err(format!("Several files of ifupdown have options of \"{bond}\"."));
    }
    let mut changes = Vec::new();
    for (path, text) in texts {
        let edited = edit(&text, bond, ports, options);
        let edited = edited.map_err(|why| format!("{}: {why}.", path.display()))?;
        if let Some(after) = edited {
            changes.push(Change { path, before: Some(text), after: Some(after) });
        }
    }
    Ok(Some(changes))
}

/// Returns the text with a team in place of the bond; `None` if the text has nothing of the bond.
/// `options` are the lines that replace those of the bond.
///
/// # Errors
/// A line that makes the bond by a command.
fn edit(
    text: &str,
    bond: &str,
    ports: &[&str],
    options: &[String],
) -> Result<Option<String>, String> {
    let mut new = String::new();
    let mut stanza = "";
    let mut placed = false;
    for line in lines(text) {
        if line.begins_stanza() {
            let named = line.first() == "iface";
            stanza = line.words().nth(1).filter(|_| named).unwrap_or_default();
        }
        let own = stanza == bond;
        let commands = ["ifenslave", "bonding"];
        if (own || ports.contains(&stanza)) && !line.is_of_bonding() {
            if let Some(word) = commands.iter().find(|word| line.text.contains(*word)) {
                if !line.first().starts_with('#') {
                    let line = line.text.trim();
                    return Err(format!("the line \"{line}\" makes a bond by a command ({word})"));
                }
            }
        }
        if !line.is_of_bonding() || !(own || ports.contains(&stanza)) {
            new += line.text;
        } else if own && !placed {
            placed = true;
            let blanks = line.text.len() - line.text.trim_start().len();
            for option in options {
                new += &format!("{}{option}\n", &line.text[..blanks]);
            }
        }
    }
    Ok((new != text).then_some(new))
}

/// Returns whether a text has a stanza with options of bonding for `bond`.
fn makes(text: &str, bond: &str) -> bool {
    let mut stanza = "";
    lines(text).iter().any(|line| {
        if line.begins_stanza() {
            let named = line.first() == "iface";
            stanza = line.words().nth(1).filter(|_| named).unwrap_or_default();
        }
        stanza == bond && line.is_of_bonding()
    })
}

/// Returns the patterns of the files that a text includes.
fn sources(text: &str) -> BTreeSet<&str> {
    let lines = lines(text).into_iter();
    let source = |line: &Line<'_>| ["source", "source-directory"].contains(&line.first());
    lines.filter(source).flat_map(|line| line.words().skip(1).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
# The host.
auto lo
iface lo inet loopback
source /etc/network/interfaces.d/*

auto eth1
iface eth1 inet manual
\tbond-master bond0

auto bond0
iface bond0 inet static
\taddress 192.0.2.10/24
\tbond-slaves none
\tbond-mode active-backup
\tbond-arp-ip-target 192.0.2.1 \\
\t    192.0.2.2
\tup ip route add 198.51.100.0/24 via 192.0.2.1
iface bond0 inet6 static
\taddress 2001:db8::10/64

auto bond0.10
iface bond0.10 inet manual
";

    #[test]
    fn a_stanza_of_a_bond_becomes_one_of_a_team() {
        let options = ["team-config /etc/teamr/bond0.json".to_owned()];
        let new = edit(HOST, "bond0", &["eth1"], &options).unwrap().unwrap();
        let wanted = HOST
            .replace("\tbond-master bond0\n", "")
            .replace("\tbond-slaves none\n", "\tteam-config /etc/teamr/bond0.json\n")
            .replace("\tbond-mode active-backup\n", "")
            .replace("\tbond-arp-ip-target 192.0.2.1 \\\n\t    192.0.2.2\n", "");
        assert_eq!(new, wanted);
        assert!(makes(HOST, "bond0") && !makes(&new, "bond0") && !makes(HOST, "bond1"));
        assert_eq!(edit(&new, "bond0", &["eth1"], &options), Ok(None));
        assert_eq!(sources(HOST), BTreeSet::from(["/etc/network/interfaces.d/*"]));
    }

    #[test]
    fn a_bond_made_by_commands_is_refused() {
        let text = "iface bond0 inet manual\n  pre-up modprobe bonding\n  bond-mode 1\n";
        let problem = edit(text, "bond0", &[], &[]).unwrap_err();
        assert!(problem.contains("pre-up modprobe bonding"), "{problem}");
        let comment = "iface bond0 inet manual\n  # bonding\n";
        assert_eq!(edit(comment, "bond0", &[], &[]), Ok(None));
    }

    #[test]
    fn a_damaged_text_is_read_to_its_end() {
        for text in ["", "\\", "iface", "iface\n\\\n", "iface bond0 inet static\n bond-mode 1 \\"] {
            let _ = edit(text, "bond0", &["eth1"], &[]);
            let _ = sources(text);
        }
    }
}
