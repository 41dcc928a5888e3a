//! A team that becomes a bond of any format, and is imported from there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use teamr::bond::{Import, Manager, Outcome, Target, Tree, import};

use super::{Case, cases, shown, team};

/// Returns the path of an exported file of a manager.
fn path(manager: Manager, name: &str) -> String {
    match manager {
        // The files include no other file here.
        Manager::Interfaces => "etc/network/interfaces".to_owned(),
        Manager::Cmdline => format!("etc/cmdline.d/{name}"),
        _ => format!("{}/{name}", manager.folder()),
    }
}

/// Returns the configuration with the rank of each prio in place of the prio: a bond has a primary port,
/// which an import puts above the others.
fn ranked(outcome: &Outcome) -> Map<String, Value> {
    let mut team = team(outcome);
    let ports = team["ports"].as_object_mut().unwrap();
    let prio = |port: &Value| port["prio"].as_i64().unwrap_or(0);
    let prios: BTreeSet<i64> = ports.values().map(prio).collect();
    for port in ports.values_mut() {
        let rank = prios.range(..prio(port)).count();
        port["prio"] = rank.into();
    }
    team
}

/// Exports an imported team to the format of a manager, and imports the bond from there: the team and
/// its addresses are the same. Returns whether the export changed nothing.
fn returns(case: &Case, manager: Manager) -> bool {
    let bond = case.get("bond").unwrap().to_owned();
    let rename = case.get("rename").map(str::to_owned);
    let name = rename.clone().unwrap_or(bond.clone());
    let imported = case.imported();
    let exported = case.exported_to(Target::Files(manager), &imported);
    if exported.notes.iter().next().is_some() {
        return false;
    }
    let mut tree = Tree::default();
    for file in &exported.files {
        tree.insert(path(manager, &file.name), &file.text);
    }
    let to = Some(Manager::Sysfs);
    let first = Import { bond, rename, to, ..Import::default() };
    let first = import(&case.tree(), &first).unwrap();
    let again = Import { bond: name, from: Some(manager), to, ..Import::default() };
    let again = import(&tree, &again).unwrap();
    let place = format!("{} by {manager}:\n{}", case.name, shown(&exported));
    assert_eq!(ranked(&again), ranked(&imported), "{place}");
    // The file of routes stays with wicked.
    let stays = |line: &&str| manager == Manager::Wicked && line.contains(" route replace ");
    let addresses = |outcome: &Outcome| -> Vec<String> {
        let lines = outcome.files[1].text.lines().filter(|line| !stays(line));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(addresses(&again), addresses(&first), "{place}");
    true
}

#[test]
fn a_team_returns_from_each_format() {
    let mut rounds: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases() {
        for target in Target::ALL {
            match target {
                Target::Nmcli | Target::Files(Manager::Sysfs) => {}
                Target::Files(manager) if returns(&case, manager) => {
                    *rounds.entry(manager.name()).or_default() += 1;
                }
                Target::Files(_) => {}
            }
        }
    }
    assert_eq!(rounds.len(), 9, "{rounds:?}");
    assert!(rounds.values().all(|rounds| *rounds >= 5), "{rounds:?}");
}
