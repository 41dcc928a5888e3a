//! Imports the configurations of real hosts, with the shapes of public reports: each result is right, or
//! its notes name what is lost. `hosts/NAME.txt` has the files, `hosts/NAME.import` the result.

use json_config::keys::RUNNERS;
use teamr::bond::{Import, Manager, Outcome, Target, Tree, import};

use super::{Case, cases_of, compare, shown, team};

fn imported(case: &Case) -> Result<Outcome, String> {
    let bond = case.get("bond").unwrap().to_owned();
    import(&case.tree(), &Import { bond, ..Import::default() })
}

#[test]
fn every_host_has_its_expected_result() {
    let hosts = cases_of("hosts");
    assert!(hosts.len() >= 40, "{}", hosts.len());
    for host in hosts {
        let text = match imported(&host) {
            Ok(outcome) => shown(&outcome),
            Err(complaint) => format!("exit status 1\n{complaint}\n"),
        };
        compare(&format!("hosts/{}.import", host.name), &text);
    }
}

/// The strict check accepts every result. A team that loses no setting has ports.
#[test]
fn results_pass_the_strict_check_and_have_ports() {
    for host in cases_of("hosts") {
        let Ok(outcome) = imported(&host) else { continue };
        let config = team(&outcome);
        let runner = config["runner"]["name"].as_str().unwrap();
        assert!(RUNNERS.contains(&runner), "{}: {runner}", host.name);
        assert_eq!(json_config::check(outcome.files[0].text.as_bytes()), [], "{}", host.name);
        let has_ports = config["ports"].as_object().is_some_and(|ports| !ports.is_empty());
        assert!(has_ports || outcome.notes.any_lost(), "{}", host.name);
    }
}

/// Import, export to the format of the host, import: nothing is lost on the way, and the result is the
/// same.
#[test]
fn a_bond_that_loses_nothing_comes_back() {
    let formats = [
        (Manager::Interfaces, "etc/network/interfaces"),
        (Manager::Netplan, "etc/netplan/90.yaml"),
        (Manager::Ifcfg, ""),
        (Manager::NetworkManager, ""),
        (Manager::Networkd, ""),
        (Manager::Wicked, ""),
    ];
    let mut rounds = Vec::new();
    for host in cases_of("hosts") {
        for (manager, path) in formats {
            let bond = host.get("bond").unwrap().to_owned();
            let order = Import { bond, from: Some(manager), ..Import::default() };
            let Ok(first) = import(&host.tree(), &order) else { continue };
            // Watches over a VLAN need the file of the VLAN, which stays on the host.
            let needs_vlan = first.files[0].text.contains("vlanid");
            if first.notes.any_lost() || first.files.len() == 1 || needs_vlan {
                continue;
            }
            let exported = host.exported_from(manager, Target::Files(manager), &first);
            assert!(!exported.notes.any_lost(), "{}: {}", host.name, shown(&exported));
            let mut tree = Tree::default();
            for file in &exported.files {
                let own = format!("{}/{}", manager.folder(), file.name);
                tree.insert(if path.is_empty() { own.as_str() } else { path }, &file.text);
            }
            let again = import(&tree, &order).unwrap();
            // Settings that a file does not order may come in another order.
            let lines = |outcome: &Outcome| -> Vec<Vec<String>> {
                let sorted = outcome.files.iter().map(|file| {
                    let mut lines: Vec<String> = file.text.lines().map(str::to_owned).collect();
                    lines.sort();
                    lines
                });
                sorted.collect()
            };
            assert_eq!(lines(&again), lines(&first), "{}", host.name);
            rounds.push(manager.name());
        }
    }
    for (manager, _) in formats {
        assert!(rounds.contains(&manager.name()), "no round trip of {manager}: {rounds:?}");
    }
    assert!(rounds.len() >= 12, "{rounds:?}");
}
