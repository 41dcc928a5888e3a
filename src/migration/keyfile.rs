//! The edit of NetworkManager's keyfiles: the profile of the bond becomes one of a team, and the
//! profiles of its ports become those of ports of a team.
//!
//! Standard: nm-settings-keyfile(5). Profiles keep their name, UUID, addresses and routes, so that
//! profiles of VLANs and bridges still find them. NetworkManager starts the team as `teamd`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::edit::Change;
use super::ini::{entries, get, has, section};
use super::texts::{Text, folder};
use crate::bond::{TeamConfig, is_backup};

/// NetworkManager's folder of the administrator.
const FOLDER: &str = "etc/NetworkManager/system-connections";
/// NetworkManager's folder of generators.
const GENERATED: &str = "run/NetworkManager/system-connections";

/// Returns the changes of the administrator's profiles; `None` if they do not make the bond.
///
/// # Errors
/// Several profiles make the bond, or none makes a port of it.
pub fn changes(
    root: &Path,
    bond: &str,
    config: &Map<String, Value>,
) -> Result<Option<Vec<Change>>, String> {
    let edited = edit_all(folder(root, FOLDER, is_profile)?, bond, config)?;
    let change = |(path, before, after)| Change { path, before: Some(before), after: Some(after) };
    Ok(edited.map(|edited| edited.into_iter().map(change).collect()))
}

/// Returns profiles of a team for the administrator's folder, made of the profiles that a generator has
/// made of a bond.
///
/// # Errors
/// As [`changes`]; also if the generator has not run.
pub fn from_generated(
    root: &Path,
    bond: &str,
    config: &Map<String, Value>,
) -> Result<Vec<Change>, String> {
    let edited = edit_all(folder(root, GENERATED, is_profile)?, bond, config)?;
    let edited = edited.ok_or_else(|| format!("No file of /{GENERATED} makes \"{bond}\"."))?;
    let change = |(path, _, after): (PathBuf, String, String)| Change {
        path: Path::new("/").join(FOLDER).join(path.file_name().unwrap_or_default()),
        before: None,
        after: Some(after),
    };
    Ok(edited.into_iter().map(change).collect())
}

/// Returns whether NetworkManager reads a file with this name.
fn is_profile(name: &str) -> bool {
    !is_backup(name)
}

/// A file before and after an edit.
type Edited = (PathBuf, String, String);

fn edit_all(
    texts: Vec<Text>,
    bond: &str,
    config: &Map<String, Value>,
) -> Result<Option<Vec<Edited>>, String> {
    let mut makers = texts.iter().filter(|(_, text)| makes(text, bond));
    let Some((maker_path, maker)) = makers.next() else {
        return Ok(None);
    };
    if let Some((other, _)) = makers.next() {
        return Err(format!(
            "{} and {} make \"{bond}\"; remove one of them.",
            maker_path.display(),
            other.display()
        ));
    }
    let keys = ["uuid", "interface-name", "id"];
    let names: Vec<&str> = keys.iter().filter_map(|key| get(maker, "connection", key)).collect();
    let team = TeamConfig::of(config.clone());
    let mut edited = Vec::new();
    for (path, text) in &texts {
        let after = if path == maker_path {
            edit(text, "type", "bond", Some(("team", &team.line())))
        } else if is_port(text, &names) {
            let interface = get(text, "connection", "interface-name").unwrap_or_default();
            let own = team.port_line(interface);
            edit(text, "-type", "bond-port", own.as_deref().map(|own| ("team-port", own)))
        } else {
            continue;
        };
        edited.push((path.clone(), text.clone(), after));
    }
    match edited.len() {
        1 => Err(format!("No profile of NetworkManager makes a port of \"{bond}\".")),
        _ => Ok(Some(edited)),
    }
}

/// Returns whether a profile makes the bond.
fn makes(text: &str, bond: &str) -> bool {
    has(text, "connection", "type", |kind| kind == "bond")
        && has(text, "connection", "interface-name", |name| name == bond)
}

/// Returns whether a profile makes a port of the bond that has these names.
fn is_port(text: &str, names: &[&str]) -> bool {
    let either = |keys: [&str; 2], is: &dyn Fn(&str) -> bool| {
        keys.into_iter().any(|key| has(text, "connection", key, is))
    };
    either(["controller", "master"], &|name| names.contains(&name))
        && either(["port-type", "slave-type"], &|kind| kind == "bond")
}

/// Returns the text with `team` in place of `bond` in the keys of [connection] that end in `key`,
/// without the section `old`, and with a section that has the configuration.
fn edit(text: &str, key: &str, old: &str, new: Option<(&str, &str)>) -> String {
    let changed: Vec<(usize, &str)> = entries(text)
        .filter(|it| it.section == "connection" && it.key.ends_with(key) && it.value == "bond")
        .map(|it| (it.line, it.key))
        .collect();
    let mut edited = String::new();
    let mut current = "";
    for (number, line) in text.lines().enumerate() {
        current = section(line).unwrap_or(current);
        match changed.iter().find(|(changed, _)| *changed == number) {
            _ if current == old => {}
            Some((_, key)) => edited += &format!("{key}=team\n"),
            None => edited += &format!("{line}\n"),
        }
    }
    if let Some((section, config)) = new {
        // A backslash begins an escape.
        let config = config.replace('\\', "\\\\");
        edited = format!("{}\n\n[{section}]\nconfig={config}\n", edited.trim_end());
    }
    edited
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BOND: &str = "[connection]\nid=uplink\nuuid=1-2\ntype=bond\ninterface-name=bond0\n\n\
                        [bond]\nmode=active-backup\n\n[ipv4]\nmethod=manual\n\
                        address1=192.0.2.10/24\n";
    const PORT: &str = "[connection]\nid=eth1\ntype=ethernet\ninterface-name=eth1\nmaster=1-2\n\
                        slave-type=bond\n\n[bond-port]\nprio=5\n";
    const VLAN: &str = "[connection]\nid=bond0.7\ntype=vlan\n\n[vlan]\nid=7\nparent=bond0\n";

    fn texts(files: &[(&str, &str)]) -> Vec<Text> {
        files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect()
    }

    fn config() -> Map<String, Value> {
        let config = json!({
            "device": "bond0", "hwaddr": "02:00:00:00:00:01", "runner": {"name": "activebackup"},
            "ports": {"eth1": {"prio": 5}, "eth2": {}}
        });
        config.as_object().cloned().expect("an object")
    }

    #[test]
    fn profiles_of_a_bond_become_those_of_a_team() {
        let other = PORT.replace("eth1", "eth2").replace("1-2", "bond0").replace("slave-", "port-");
        let files = [("b", BOND), ("p", PORT), ("q", &other), ("v", VLAN)];
        let edited = edit_all(texts(&files), "bond0", &config()).unwrap().unwrap();
        let after: Vec<&str> = edited.iter().map(|(_, _, after)| after.as_str()).collect();
        assert_eq!(
            after,
            [
                "[connection]\nid=uplink\nuuid=1-2\ntype=team\ninterface-name=bond0\n\n\
                 [ipv4]\nmethod=manual\naddress1=192.0.2.10/24\n\n[team]\n\
                 config={\"hwaddr\": \"02:00:00:00:00:01\", \"runner\": {\"name\": \
                 \"activebackup\"}}\n",
                "[connection]\nid=eth1\ntype=ethernet\ninterface-name=eth1\nmaster=1-2\n\
                 slave-type=team\n\n[team-port]\nconfig={\"prio\": 5}\n",
                "[connection]\nid=eth2\ntype=ethernet\ninterface-name=eth2\nmaster=bond0\n\
                 port-type=team\n\n",
            ]
        );
    }

    #[test]
    fn profiles_that_do_not_make_a_bond_alone_are_refused() {
        let edited = |files: &[(&str, &str)]| edit_all(texts(files), "bond0", &config());
        assert!(edited(&[("p", PORT), ("v", VLAN)]).unwrap().is_none());
        let twice = edited(&[("b", BOND), ("c", BOND), ("p", PORT)]).unwrap_err();
        assert!(twice.contains("b and c make \"bond0\""), "{twice}");
        let alone = edited(&[("b", BOND), ("v", VLAN)]).unwrap_err();
        assert!(alone.contains("a port of \"bond0\""), "{alone}");
    }
}
