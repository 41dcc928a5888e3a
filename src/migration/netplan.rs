//! The edit of netplan's YAML: the entry of the bond goes, and the team, which another program makes,
//! has its addresses in an entry of `ethernets`.
//!
//! Standard: netplan's YAML reference. With networkd the entries of the ports stay, since they can give
//! an interface its name; a drop-in for each port's generated file leaves the port to the team. With
//! NetworkManager the generated profiles become profiles of the administrator.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::edit::Change;
use super::host::Keeper;
use super::texts::folder;
use super::{keyfile, networkd};
use crate::bond::{self, yaml};

/// netplan's folder of the administrator.
const FOLDER: &str = "etc/netplan";
/// netplan's folders of generators and packages.
const OF_OTHERS: [&str; 3] = ["run/netplan", "usr/lib/netplan", "lib/netplan"];

/// A file of netplan.
struct File {
    path: PathBuf,
    text: String,
    /// The mapping of the text.
    document: Map<String, Value>,
}

impl File {
    /// Returns the section `name`.
    fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.document.get("network")?.get(name)?.as_object()
    }

    fn section_mut(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        let network = self.document.get_mut("network")?.as_object_mut()?;
        network.entry(name).or_insert_with(|| Map::new().into()).as_object_mut()
    }

    /// Returns the change to the document, which keeps the comment at the beginning of the text.
    fn into_change(self) -> Option<Change> {
        let comment = self.text.lines().take_while(|line| line.starts_with('#'));
        let comment: String = comment.map(|line| format!("{line}\n")).collect();
        let after = Some(comment + &yaml::to_text(&self.document));
        let is_changed = yaml::parse(&self.text).ok() != Some(Value::Object(self.document));
        is_changed.then_some(Change { path: self.path, before: Some(self.text), after })
    }
}

/// Returns the program that netplan lets make the bond, and the changes; `None` if netplan's files do
/// not make the bond.
///
/// # Errors
/// A file cannot be edited, such as one that another program writes.
pub fn changes(
    root: &Path,
    bond: &str,
    config: &Map<String, Value>,
) -> Result<Option<(Keeper, Vec<Change>)>, String> {
    let makes = |file: &File| file.section("bonds").is_some_and(|bonds| bonds.contains_key(bond));
    for other in OF_OTHERS {
        if let Some(file) = files(root, other, bond)?.iter().find(|file| makes(file)) {
            return Err(format!(
                "{} is about \"{bond}\", and another program wrote it.",
                file.path.display()
            ));
        }
    }
    let mut files = files(root, FOLDER, bond)?;
    let makers = files.iter().filter(|file| makes(file)).count();
    let Some(maker) = files.iter().position(makes) else {
        return Ok(None);
    };
    if makers > 1 {
        return Err(format!("Several files of /{FOLDER} have an entry of \"{bond}\"."));
    }
    let renderer = renderer(&files, maker, bond).unwrap_or("networkd").to_owned();
    let (own, ports) = take_bond(&mut files[maker], bond)?;
    let has_entry = |port: &String| {
        let mut sections = files.iter().filter_map(|file| file.section("ethernets"));
        sections.any(|section| section.contains_key(port))
    };
    if let Some(port) = ports.iter().find(|port| !has_entry(port)) {
        return Err(format!("The port \"{port}\" of \"{bond}\" has no entry in \"ethernets\"."));
    }
    let (keeper, more) = match renderer.as_str() {
        "networkd" => (Keeper::Networkd, leave_ports(&mut files, &ports, (maker, bond, own))),
        "NetworkManager" => {
            remove_ports(&mut files, &ports, bond)?;
            (Keeper::NetworkManager, keyfile::from_generated(root, bond, config)?)
        }
        other => return Err(format!("netplan's renderer \"{other}\" is unknown.")),
    };
    let changes = files.into_iter().filter_map(File::into_change).chain(more).collect();
    Ok(Some((keeper, changes)))
}

/// Returns the files of a folder. A file that netplan cannot read either is refused if it names the
/// bond, and skipped otherwise.
fn files(root: &Path, of: &str, bond: &str) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    for (path, text) in folder(root, of, |name| name.ends_with(".yaml"))? {
        match yaml::parse(&text) {
            Ok(Value::Object(document)) => files.push(File { path, text, document }),
            Err(error) if text.contains(bond) => {
                return Err(format!("{}: {error}.", path.display()));
            }
            _ => {}
        }
    }
    Ok(files)
}

/// Returns the renderer of the bond: its own, that of all bonds, or that of the whole network.
fn renderer<'a>(files: &'a [File], maker: usize, bond: &str) -> Option<&'a str> {
    let bonds = files[maker].section("bonds");
    let of = |members: Option<&'a Map<String, Value>>| members?.get("renderer")?.as_str();
    let network = files.iter().rev().filter_map(|file| file.document.get("network"));
    of(bonds.and_then(|bonds| bonds.get(bond)).and_then(Value::as_object))
        .or(of(bonds))
        .or(network.map(Value::as_object).find_map(of))
}

/// Removes the entry of the bond; returns the settings that the team keeps, and the ids of the ports.
///
/// # Errors
/// The entry is no mapping, or an id cannot be the name of a file.
fn take_bond(file: &mut File, bond: &str) -> Result<(Map<String, Value>, Vec<String>), String> {
    let path = file.path.display().to_string();
    let refused = || format!("{path}: the entry of \"{bond}\" cannot be edited.");
    let bonds = file.section_mut("bonds").ok_or_else(refused)?;
    let Some(Value::Object(mut own)) = bonds.shift_remove(bond) else {
        return Err(refused());
    };
    let is_empty = bonds.keys().all(|key| key == "renderer");
    if let Some(renderer) = bonds.get("renderer").filter(|_| !own.contains_key("renderer")) {
        own.insert("renderer".to_owned(), renderer.clone());
    }
    if let Some(network) = file.document.get_mut("network").and_then(Value::as_object_mut) {
        if is_empty {
            network.shift_remove("bonds");
        }
    }
    let ports = own.shift_remove("interfaces").unwrap_or_default();
    let ports = ports.as_array().into_iter().flatten().filter_map(Value::as_str);
    let ports: Vec<String> = ports.map(str::to_owned).collect();
    for key in ["parameters", "macaddress"] {
        own.shift_remove(key);
    }
    match ports.iter().all(|port| bond::is_interface_name(port)) && !ports.is_empty() {
        true => Ok((own, ports)),
        false => Err(refused()),
    }
}

/// Adds the entry of the team, and lets networkd leave the ports alone: no boot waits for them. Returns
/// the drop-ins.
fn leave_ports(
    files: &mut [File],
    ports: &[String],
    (maker, bond, own): (usize, &str, Map<String, Value>),
) -> Vec<Change> {
    let sections = files.iter_mut().filter(|file| file.section("ethernets").is_some());
    for section in sections.filter_map(|file| file.section_mut("ethernets")) {
        for (_, entry) in section.iter_mut().filter(|(id, _)| ports.contains(id)) {
            match entry.as_object_mut() {
                Some(entry) => _ = entry.insert("optional".to_owned(), "true".into()),
                None => *entry = json!({"optional": "true"}),
            }
        }
    }
    if let Some(section) = files[maker].section_mut("ethernets") {
        section.insert(bond.to_owned(), own.into());
    }
    let drop_in = |port: &String| Change {
        path: Path::new("/")
            .join(networkd::FOLDER)
            .join(format!("10-netplan-{port}.network.d/teamr.conf")),
        before: None,
        after: Some("[Link]\nUnmanaged=yes\n".to_owned()),
    };
    ports.iter().map(drop_in).collect()
}

/// Removes the entries of the ports, whose profiles become those of NetworkManager.
///
/// # Errors
/// Another device of netplan needs the bond.
fn remove_ports(files: &mut [File], ports: &[String], bond: &str) -> Result<(), String> {
    for file in files.iter_mut() {
        let sections = file.document.get("network").and_then(Value::as_object);
        let devices = sections.into_iter().flatten().filter_map(|(_, section)| section.as_object());
        for (name, device) in devices.flatten() {
            let is = |value: &Value| value.as_str() == Some(bond);
            let lowers = device.get("interfaces").and_then(Value::as_array);
            if device.get("link").is_some_and(is) || lowers.is_some_and(|all| all.iter().any(is)) {
                return Err(format!(
                    "netplan makes \"{name}\" of \"{bond}\", and NetworkManager the team; move \"{name}\" \
                     to a profile of NetworkManager first (nmcli)."
                ));
            }
        }
        let mut is_empty = false;
        if file.section("ethernets").is_some() {
            if let Some(section) = file.section_mut("ethernets") {
                section.retain(|id, _| !ports.contains(id));
                is_empty = section.is_empty();
            }
        }
        if let Some(network) = file.document.get_mut("network").and_then(Value::as_object_mut) {
            if is_empty {
                network.shift_remove("ethernets");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HOST: &str = "# The network.\nnetwork:\n  version: 2\n  ethernets:\n    eth1:\n    port2:\n      \
                        match: {name: eth2}\n  bonds:\n    bond0:\n      interfaces: [eth1, port2]\n      \
                        addresses: [192.0.2.10/24]\n      parameters: {mode: active-backup}\n  vlans:\n    \
                        bond0.7: {id: 7, link: bond0}\n";

    /// Returns the changes of a host with these files.
    fn planned(
        name: &str,
        files: &[(&str, &str)],
    ) -> Result<Option<(Keeper, Vec<Change>)>, String> {
        let root =
            std::env::temp_dir().join(format!("teamr-netplan-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
            fs::write(path, text).expect("write a file");
        }
        let config = json!({"runner": {"name": "activebackup"}, "ports": {"eth1": {}, "eth2": {}}});
        let planned = changes(&root, "bond0", config.as_object().expect("an object"));
        fs::remove_dir_all(root).expect("remove the files");
        planned
    }

    #[test]
    fn the_entry_of_a_bond_becomes_one_of_a_team() {
        let (keeper, changes) =
            planned("networkd", &[("etc/netplan/50.yaml", HOST)]).unwrap().unwrap();
        assert_eq!(keeper, Keeper::Networkd);
        let paths: Vec<&str> = changes.iter().filter_map(|it| it.path.to_str()).collect();
        let drop_ins = ["eth1", "port2"]
            .map(|port| format!("/etc/systemd/network/10-netplan-{port}.network.d/teamr.conf"));
        assert_eq!(paths, ["/etc/netplan/50.yaml", &drop_ins[0], &drop_ins[1]]);
        assert_eq!(
            changes[0].after.as_deref(),
            Some(
                "# The network.\nnetwork:\n  version: 2\n  ethernets:\n    eth1:\n      optional: true\n    \
                 port2:\n      match:\n        name: eth2\n      optional: true\n    bond0:\n      \
                 addresses:\n      - 192.0.2.10/24\n  vlans:\n    bond0.7:\n      id: 7\n      link: \
                 bond0\n"
            )
        );
        assert_eq!(planned("none", &[("etc/netplan/50.yaml", "network: {}\n")]), Ok(None));
    }

    #[test]
    fn entries_become_profiles_where_network_manager_renders() {
        let host = HOST.replace("version: 2", "renderer: NetworkManager");
        let problem = planned("upper", &[("etc/netplan/50.yaml", &host)]).unwrap_err();
        assert!(problem.contains("netplan makes \"bond0.7\" of \"bond0\""), "{problem}");
        let (host, _) = host.split_once("  vlans").unwrap();
        let folder = "run/NetworkManager/system-connections";
        let bond = "[connection]\nid=b\ntype=bond\ninterface-name=bond0\n";
        let port = "[connection]\nid=p\ninterface-name=eth1\nmaster=bond0\nslave-type=bond\n";
        let files = [
            ("etc/netplan/50.yaml", host),
            (&format!("{folder}/netplan-bond0.nmconnection"), bond),
            (&format!("{folder}/netplan-eth1.nmconnection"), port),
        ];
        let (keeper, changes) = planned("manager", &files).unwrap().unwrap();
        assert_eq!(keeper, Keeper::NetworkManager);
        assert_eq!(
            changes[0].after.as_deref(),
            Some("# The network.\nnetwork:\n  renderer: NetworkManager\n")
        );
        let profile =
            Path::new("/etc/NetworkManager/system-connections/netplan-bond0.nmconnection");
        assert_eq!((changes[1].path.as_path(), changes[1].before.as_deref()), (profile, None));
    }

    #[test]
    fn files_that_an_edit_would_not_change_are_refused() {
        for (name, files, why) in [
            (
                "twice",
                [("etc/netplan/1.yaml", HOST), ("etc/netplan/2.yaml", HOST)],
                "Several files",
            ),
            ("run", [("run/netplan/1.yaml", HOST), ("etc/netplan/2.yaml", "")], "another program"),
            (
                "yaml",
                [("etc/netplan/1.yaml", "bond0: ["), ("etc/netplan/2.yaml", HOST)],
                "1.yaml: ",
            ),
        ] {
            let problem = planned(name, &files).unwrap_err();
            assert!(problem.contains(why), "{name}: {problem}");
        }
        let without = HOST.replace("    eth1:\n", "");
        let problem = planned("port", &[("etc/netplan/1.yaml", &without)]).unwrap_err();
        assert!(problem.contains("\"eth1\" of \"bond0\" has no entry"), "{problem}");
    }
}
