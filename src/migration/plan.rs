//! The plan of an import: which files change, and how.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::edit::Change;
use super::host::{self, Keeper};
use super::{interfaces, keyfile, netplan, networkd};
use crate::bond::{self, Notes, RunningTeam};

/// The folder of the configurations.
const TEAMS: &str = "etc/teamr";
/// A program of ifupdown2. Its folder proves nothing: our package installs an addon there.
const IFUPDOWN2: &str = "usr/share/ifupdown2/sbin/start-networking";
/// cloud-init's folder, and the file that keeps cloud-init from writing the network's files again.
const CLOUD_INIT: &str = "etc/cloud/cloud.cfg.d";
const CLOUD_INIT_FILE: &str = "99-teamr.cfg";

/// What an import does to a host.
#[derive(Debug)]
pub struct Plan {
    /// The manager of the bond.
    pub keeper: Keeper,
    /// Names of the ports.
    pub ports: Vec<String>,
    /// The files, the configuration of the team first.
    pub changes: Vec<Change>,
    /// Settings of the bond that the team has otherwise, or lacks.
    notes: Notes,
    /// Whether the team lacks a setting.
    pub has_losses: bool,
}

impl Plan {
    /// Returns the plan for the running bond and the files below `root`.
    ///
    /// # Errors
    /// The kernel has no such bond; no file that can be edited makes the bond; a file makes the bond
    /// in a way that an edit would not find.
    pub fn of_host(root: &Path, bond: &str) -> Result<Plan, String> {
        let plan = Plan::new(root, bond, bond::running_team(bond)?)?;
        if plan.keeper == Keeper::NetworkManager {
            host::require_teams_of_network_manager()?;
        }
        Ok(plan)
    }

    fn new(root: &Path, bond: &str, team: RunningTeam) -> Result<Plan, String> {
        let RunningTeam { config, hwaddr, mut notes } = team;
        let ports: Vec<&str> = config
            .get("ports")
            .and_then(Value::as_object)
            .map(|ports| ports.keys().map(String::as_str).collect())
            .unwrap_or_default();
        if ports.is_empty() {
            return Err(format!("\"{bond}\" has no port; nothing was changed."));
        }
        let text = json_config::to_text(&Value::Object(config.clone())) + "\n";
        if let Some(problem) = json_config::check(text.as_bytes()).first() {
            return Err(format!("The configuration of the team is wrong: {problem}."));
        }
        let path = Path::new("/").join(TEAMS).join(format!("{bond}.json"));
        let options =
            [format!("team-config {}", path.display()), format!("team-ports {}", ports.join(" "))];
        // NetworkManager adds the ports in an order of its own.
        let mut with_hwaddr = config.clone();
        if let Some(hwaddr) = hwaddr {
            with_hwaddr.entry("hwaddr").or_insert(hwaddr.into());
        }
        let (keeper, edited) = if let Some(found) = netplan::changes(root, bond, &with_hwaddr)? {
            found
        } else if let Some(mut edited) = interfaces::changes(root, bond, &ports, &options)? {
            match root.join(IFUPDOWN2).exists() {
                true => {
                    edited.push(start_before_ifupdown2(bond));
                    (Keeper::Ifupdown2, edited)
                }
                false => (Keeper::Ifupdown, edited),
            }
        } else if let Some(edited) = keyfile::changes(root, bond, &with_hwaddr)? {
            (Keeper::NetworkManager, edited)
        } else {
            (Keeper::Networkd, networkd::changes(root, bond, &mut notes)?)
        };
        let mut changes = Vec::new();
        // NetworkManager's profiles have the configuration.
        if keeper != Keeper::NetworkManager {
            changes.push(Change { path, before: None, after: Some(text) });
        }
        changes.extend(edited);
        if changes.iter().any(is_of_cloud_init) && root.join(CLOUD_INIT).exists() {
            let path = Path::new("/").join(CLOUD_INIT).join(CLOUD_INIT_FILE);
            let text = "network: {config: disabled}\n".to_owned();
            changes.push(Change { path, before: None, after: Some(text) });
        }
        let exists = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path)).exists();
        let mut new = changes.iter().filter(|change| change.before.is_none());
        match new.find(|change| exists(&change.path)) {
            Some(change) => Err(format!("{} exists; remove it first.", change.path.display())),
            None => {
                let ports = ports.into_iter().map(str::to_owned).collect();
                Ok(Plan { keeper, ports, changes, has_losses: notes.any_lost(), notes })
            }
        }
    }
}

/// Returns the drop-in by which the team's unit starts before ifupdown2, which ignores
/// network-pre.target.
fn start_before_ifupdown2(bond: &str) -> Change {
    Change {
        path: format!("/etc/systemd/system/teamr@{bond}.service.d/ifupdown2.conf").into(),
        before: None,
        after: Some("[Unit]\nBefore=networking.service\n".to_owned()),
    }
}

/// Returns whether cloud-init has written the file, and may write it again.
fn is_of_cloud_init(change: &Change) -> bool {
    let name: PathBuf = change.path.file_name().into_iter().collect();
    change.before.is_some() && name.to_string_lossy().contains("cloud-init")
}

impl fmt::Display for Plan {
    /// Writes each file with its changed lines, and the notes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The files of {} change:", self.keeper)?;
        for change in &self.changes {
            let action = match (&change.before, &change.after) {
                (None, _) => "new",
                (_, None) => "removed",
                _ => "changed",
            };
            writeln!(f, "  {action}: {}", change.path.display())?;
            for line in change.lines() {
                writeln!(f, "      {line}")?;
            }
        }
        for note in self.notes.iter() {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns a root with these files.
    fn host(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("teamr-plan-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
            fs::write(path, text).expect("write a file");
        }
        root
    }

    fn plan(root: &Path) -> Result<Plan, String> {
        let config = r#"{"device": "bond0", "runner": {"name": "activebackup"},
                         "ports": {"eth1": {}, "eth2": {}}}"#;
        let config = serde_json::from_str(config).expect("an object");
        let hwaddr = Some("02:00:00:00:00:01".to_owned());
        let team = RunningTeam { config, hwaddr, notes: Notes::default() };
        let plan = Plan::new(root, "bond0", team);
        fs::remove_dir_all(root).expect("remove the files");
        plan
    }

    const BOND: &str = "iface bond0 inet manual\n  bond-slaves eth1 eth2\n";
    const NETDEV: &str = "[NetDev]\nName=bond0\nKind=bond\nMTUBytes=9000\n";
    const PORT: &str = "[Match]\nName=eth*\n[Network]\nBond=bond0\n";
    const NETWORK: &str = "[Match]\nName=bond0\n[Network]\nAddress=192.0.2.10/24\n";

    #[test]
    fn a_plan_lists_each_file_with_its_lines() {
        let root = host("interfaces", &[("etc/network/interfaces", BOND)]);
        let plan = plan(&root).unwrap();
        let text = plan.to_string();
        assert_eq!(
            text,
            "The files of ifupdown change:\n  new: /etc/teamr/bond0.json\n  changed: \
             /etc/network/interfaces\n      -   bond-slaves eth1 eth2\n      +   team-config \
             /etc/teamr/bond0.json\n      +   team-ports eth1 eth2\n"
        );
        assert!(!plan.has_losses);
    }

    #[test]
    fn the_addon_for_ifupdown2_makes_no_host_of_ifupdown2() {
        let addon = ("usr/share/ifupdown2/addons/team.py", "");
        let root = host("addon", &[("etc/network/interfaces", BOND), addon]);
        assert_eq!(plan(&root).unwrap().keeper, Keeper::Ifupdown);
    }

    #[test]
    fn a_team_starts_before_ifupdown2() {
        let root = host("ifupdown2", &[("etc/network/interfaces", BOND), (IFUPDOWN2, "")]);
        let plan = plan(&root).unwrap();
        assert_eq!(plan.keeper, Keeper::Ifupdown2);
        let drop_in = plan.changes.last().and_then(|change| change.after.as_deref());
        assert_eq!(drop_in, Some("[Unit]\nBefore=networking.service\n"));
    }

    #[test]
    fn the_files_of_networkd_lose_the_bond_alone() {
        let root = host(
            "networkd",
            &[
                ("etc/systemd/network/bond0.netdev", NETDEV),
                ("etc/systemd/network/bond0.network", NETWORK),
                ("etc/systemd/network/ports.network", PORT),
                ("etc/systemd/network/other.network", "[Match]\nName=eth3\n"),
            ],
        );
        let plan = plan(&root).unwrap();
        assert_eq!(plan.keeper, Keeper::Networkd);
        let paths: Vec<&str> = plan.changes.iter().filter_map(|it| it.path.to_str()).collect();
        let folder = "/etc/systemd/network";
        let expected = ["bond0.netdev", "bond0.network", "ports.network"];
        assert_eq!(paths[1..], expected.map(|name| format!("{folder}/{name}")));
        assert_eq!(plan.changes[1].after, None);
        let mtu = plan.changes[2].after.as_deref().unwrap();
        assert!(mtu.starts_with(NETWORK) && mtu.ends_with("MTUBytes=9000\n"), "{mtu}");
    }

    #[test]
    fn what_cannot_be_edited_is_refused() {
        let refused = |name: &str, files: &[(&str, &str)], why: &str| {
            let problem = plan(&host(name, &[files, &[("empty", "")]].concat())).unwrap_err();
            assert!(problem.contains(why), "{name}: {problem}");
        };
        let source = format!("source /etc/net/*\n{BOND}");
        let command = format!("{BOND}  up ifenslave bond0 eth1\n");
        let netdev = ("etc/systemd/network/bond0.netdev", NETDEV);
        let kind = ("etc/systemd/network/all.network", "[Match]\nKind=bond\n");
        refused("none", &[], "No file of netplan, ifupdown");
        refused(
            "json",
            &[("etc/teamr/bond0.json", "{}"), ("etc/network/interfaces", BOND)],
            "bond0.json exists",
        );
        refused("source", &[("etc/network/interfaces", &source)], "includes /etc/net/*");
        refused("run", &[("run/systemd/network/10-bond0.netdev", NETDEV)], "another program");
        refused("kind", &[netdev, kind], "by their kind");
        refused("command", &[("etc/network/interfaces", &command)], "by a command");
    }
}
