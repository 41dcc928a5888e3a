//! The edit of systemd-networkd's files: the `.netdev` file of the bond goes, its ports become
//! unmanaged, and the `.network` file of the bond configures the team, which has the same name.
//!
//! Standard: systemd.netdev(5), systemd.network(5).

use std::path::Path;

use super::edit::Change;
use super::ini::{entries, get, has};
use super::texts::folder;
use crate::bond::Notes;

/// networkd's folder of the administrator.
pub const FOLDER: &str = "etc/systemd/network";
/// networkd's folders of generators and packages.
const OF_OTHERS: [&str; 3] =
    ["run/systemd/network", "usr/lib/systemd/network", "lib/systemd/network"];

/// Returns the changes of networkd's files.
///
/// # Errors
/// No file makes the bond, or a file that another program wrote does; a file matches every bond.
pub fn changes(root: &Path, bond: &str, notes: &mut Notes) -> Result<Vec<Change>, String> {
    let ends = |path: &Path, ending: &str| path.extension().is_some_and(|end| end == ending);
    for other in OF_OTHERS {
        for (path, text) in folder(root, other, is_read)? {
            let is_maker = ends(&path, "netdev") && makes(&text, bond);
            if is_maker || (ends(&path, "network") && edit(&text, bond).is_some()) {
                return Err(format!(
                    "{} is about \"{bond}\", and another program wrote it.",
                    path.display()
                ));
            }
        }
    }
    let texts = folder(root, FOLDER, is_read)?;
    let netdev = texts.iter().find(|(path, text)| ends(path, "netdev") && makes(text, bond));
    let (netdev_path, netdev) = netdev.ok_or_else(|| {
        format!(
            "No file of netplan, ifupdown, NetworkManager or systemd-networkd makes \"{bond}\"; use \
             teamrctl import without --apply."
        )
    })?;
    let mtu = get(netdev, "NetDev", "MTUBytes");
    for setting in unread(netdev) {
        if !setting.contains(" MTUBytes=") {
            notes.lost(setting, "a team has no such setting");
        }
    }
    let mut changes =
        vec![Change { path: netdev_path.clone(), before: Some(netdev.clone()), after: None }];
    let mut has_mtu = mtu.is_none();
    for (path, text) in texts.iter().filter(|(path, _)| ends(path, "network")) {
        if matches_by_kind(text) {
            return Err(format!(
                "{} matches bonds by their kind, which the team does not have; let it match by name.",
                path.display()
            ));
        }
        let mut after = edit(text, bond);
        if let Some(mtu) = mtu.filter(|_| is_about(text, bond) && !has_mtu) {
            has_mtu = true;
            after = after.or_else(|| with_mtu(text, mtu));
        }
        if after.is_some() {
            changes.push(Change { path: path.clone(), before: Some(text.clone()), after });
        }
    }
    if !has_mtu {
        notes.lost("MTUBytes", "no .network file names the bond");
    }
    Ok(changes)
}

/// Returns whether networkd reads a file with this name.
fn is_read(name: &str) -> bool {
    name.ends_with(".netdev") || name.ends_with(".network")
}

/// Returns whether a `.netdev` file makes the bond.
fn makes(text: &str, bond: &str) -> bool {
    has(text, "NetDev", "Name", |name| name == bond)
        && has(text, "NetDev", "Kind", |kind| kind == "bond")
}

/// Returns the settings of a `.netdev` file that neither the team nor the running bond has, as
/// `KEY=VALUE`.
fn unread(netdev: &str) -> Vec<String> {
    let read = |section: &str, key: &str| {
        section == "Bond"
            || matches!((section, key), ("NetDev", "Name" | "Kind" | "MACAddress" | "Description"))
    };
    let unread = entries(netdev).filter(|entry| !read(entry.section, entry.key));
    unread.map(|it| format!("[{}] {}={}", it.section, it.key, it.value)).collect()
}

/// Returns whether a `.network` file matches the device by name, without a pattern.
fn is_about(text: &str, device: &str) -> bool {
    has(text, "Match", "Name", |names| names.split_ascii_whitespace().any(|name| name == device))
}

/// Returns whether a `.network` file matches bonds by their kind, which a team does not have.
fn matches_by_kind(text: &str) -> bool {
    let is_bond = |words: &str| words.split_ascii_whitespace().any(|word| word == "bond");
    ["Kind", "Type"].into_iter().any(|key| has(text, "Match", key, is_bond))
}

/// Returns the text of a `.network` file that leaves its ports to the team; `None` if the file
/// makes no port of the bond.
fn edit(text: &str, bond: &str) -> Option<String> {
    if !has(text, "Network", "Bond", |name| name == bond) {
        return None;
    }
    let of_bonding: Vec<usize> = entries(text)
        .filter(|entry| {
            let of_bonding = ["Bond", "PrimarySlave", "ActiveSlave"];
            entry.section == "Network" && of_bonding.contains(&entry.key)
        })
        .map(|entry| entry.line)
        .collect();
    let kept = text.lines().enumerate().filter(|(number, _)| !of_bonding.contains(number));
    let kept: String = kept.map(|(_, line)| format!("{line}\n")).collect();
    Some(format!("{kept}\n[Link]\nUnmanaged=yes\n\n[X-Teamr]\nTeam={bond}\n"))
}

/// Returns the text with an MTU of the device; `None` if the text sets the MTU.
fn with_mtu(text: &str, mtu: &str) -> Option<String> {
    let is_set = has(text, "Link", "MTUBytes", |_| true);
    (!is_set).then(|| format!("{}\n\n[Link]\nMTUBytes={mtu}\n", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETDEV: &str = "[NetDev]\nName=bond0\nKind=bond\nMTUBytes=9000\n\n[Bond]\nMode=1\n";
    const PORT: &str = "# A port.\n[Match]\nMACAddress=02:00:00:00:00:01\n\n[Network]\nBond=bond0\n\
                        PrimarySlave=yes\nLLDP=yes\n";

    #[test]
    fn the_netdev_file_of_a_bond_is_found() {
        assert!(makes(NETDEV, "bond0") && !makes(NETDEV, "bond1"));
        assert!(!makes("[NetDev]\nName=bond0\nKind=bridge\n", "bond0"));
        assert_eq!(unread(NETDEV), ["[NetDev] MTUBytes=9000"]);
    }

    #[test]
    fn a_port_of_a_bond_becomes_unmanaged() {
        let new = edit(PORT, "bond0").unwrap();
        assert_eq!(
            new,
            "# A port.\n[Match]\nMACAddress=02:00:00:00:00:01\n\n[Network]\nLLDP=yes\n\n[Link]\n\
             Unmanaged=yes\n\n[X-Teamr]\nTeam=bond0\n"
        );
        assert_eq!(edit(PORT, "bond1"), None);
        assert_eq!(edit("[Network]\n#Bond=bond0\n", "bond0"), None);
    }

    #[test]
    fn the_mtu_of_a_bond_is_set_once() {
        let file = "[Match]\nName=bond0\n";
        let new = with_mtu(file, "9000").unwrap();
        assert_eq!(new, "[Match]\nName=bond0\n\n[Link]\nMTUBytes=9000\n");
        assert_eq!(with_mtu(&new, "1400"), None);
        assert!(is_about(file, "bond0") && !is_about(file, "bond"));
        assert!(matches_by_kind("[Match]\nKind=bond\n") && !matches_by_kind(file));
    }
}
