//! Runs the commands of an export with the real nmcli, which without a daemon prints the keyfile that
//! it would create.

use std::process::Command;

use teamr::bond::{Import, Manager, Target, Tree, import};

use crate::{cases, team};

/// Options and properties that an older nmcli lacks.
const RECENT: [&str; 4] = ["lacp_active", "ns_ip6_target", "arp_missed_max", "bond-port.prio"];

#[test]
fn nmcli_accepts_the_commands_and_creates_the_same_bond() {
    let version = Command::new("nmcli").arg("--version").output();
    if version.is_err() {
        eprintln!("skipped: no nmcli here");
        return;
    }
    let mut tried = 0;
    for case in cases().iter().filter(|case| case.target() == Target::Nmcli) {
        let imported = case.imported();
        let exported = case.exported(&imported);
        let script = &exported.files[0].text;
        if RECENT.iter().any(|word| script.contains(word)) {
            continue;
        }
        let mut tree = Tree::default();
        for (number, line) in script.lines().enumerate() {
            let Some(words) = line.strip_prefix("nmcli connection add ") else {
                continue;
            };
            let offline = format!("nmcli --offline connection add {words}");
            let output = Command::new("sh").args(["-c", &offline]).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {line}: {error}", case.name);
            let keyfile = String::from_utf8(output.stdout).unwrap();
            tree.insert(format!("{}/{number}", Manager::NetworkManager.folder()), keyfile);
        }
        let bond = team(&imported)["device"].as_str().unwrap().to_owned();
        let again = import(&tree, &Import { bond, ..Import::default() }).unwrap();
        assert_eq!(again.files[0], imported.files[0], "{}", case.name);
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
}
