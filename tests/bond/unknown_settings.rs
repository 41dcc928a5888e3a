//! An unknown setting at any place in the files of a bond, its ports, its VLANs and its bridges: the
//! import keeps it or names it in a note.

use std::collections::BTreeSet;

use teamr::bond::{Import, Manager, Outcome, import};

use super::{Case, cases, cases_of};

/// Key and value of the unknown setting.
const KEY: &str = "zzunknown";
const VALUE: &str = "qq7";

/// Returns the text with an unknown setting after line `number`; `None` where no setting can stand.
fn with_unknown(path: &str, text: &str, number: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let line = lines[number];
    let indent: String = line.chars().take_while(|letter| *letter == ' ').collect();
    let ini = [".netdev", ".network", ".nmconnection", ".conf"].iter().any(|e| path.ends_with(e));
    let added = if path.contains("etc/network/") {
        line.starts_with([' ', '\t']).then(|| format!("{indent}{KEY} {VALUE}"))?
    } else if path.contains("etc/config/") {
        line.starts_with('\t').then(|| format!("\toption {KEY} {VALUE}"))?
    } else if path.ends_with(".yaml") || path.ends_with(".yml") {
        // Another member can follow a plain member of a mapping.
        let is_member = line.contains(": ") && !line.trim_start().starts_with('-');
        is_member.then(|| format!("{indent}{KEY}: {VALUE}"))?
    } else if path.contains("/ifcfg-") || (ini && path.contains("etc/")) {
        let begins = lines[..=number].iter().any(|line| line.starts_with('['));
        (path.contains("/ifcfg-") || begins).then(|| format!("{KEY}={VALUE}"))?
    } else {
        return None;
    };
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    lines.insert(number + 1, added);
    Some(lines.join("\n") + "\n")
}

/// Returns the files of a case that the import of the case uses: without one, the result differs.
fn used_files(case: &Case) -> BTreeSet<String> {
    let with = |files: &[(String, String)]| {
        let mut tree = teamr::bond::Tree::default();
        files.iter().for_each(|(path, text)| tree.insert(path, text));
        let bond = case.get("bond").unwrap().to_owned();
        import(&tree, &Import { bond, ..Import::default() }).ok()
    };
    let whole = with(&case.files);
    let used = case.files.iter().enumerate().filter(|(place, _)| {
        let mut files = case.files.clone();
        files.remove(*place);
        with(&files) != whole
    });
    used.map(|(_, (path, _))| path.clone()).collect()
}

/// Returns whether line `number` of a file about many devices belongs to the bond or a port.
fn belongs(path: &str, text: &str, number: usize, names: &[String]) -> bool {
    let lines: Vec<&str> = text.lines().take(number + 1).collect();
    let word = |line: &str, place: usize| line.split_whitespace().nth(place).map(str::to_owned);
    let is_ours = |name: Option<String>| name.is_some_and(|name| names.contains(&name));
    if path.contains("etc/network/") {
        let stanza = lines.iter().rev().find(|line| line.starts_with("iface "));
        is_ours(stanza.and_then(|line| word(line, 1)))
    } else if path.contains("etc/config/") {
        // A section of the bond, of a port, or of an interface on the bond.
        let start = lines.iter().rposition(|line| line.starts_with("config ")).unwrap_or(0);
        let rest: Vec<&str> = text.lines().skip(start + 1).collect();
        let own = rest.iter().take_while(|line| !line.starts_with("config "));
        let values = own.filter_map(|line| line.split_whitespace().nth(2));
        let values: Vec<&str> = values.map(|value| value.trim_matches(['\'', '"'])).collect();
        let is_above = values.contains(&"bridge") || values.contains(&"8021q");
        !is_above && values.iter().any(|value| is_ours(Some((*value).to_owned())))
    } else if path.ends_with(".yml") || path.contains("nmstate") {
        let item = lines.iter().rev().find(|line| line.trim_start().starts_with("- name: "));
        let indent = |line: &str| line.len() - line.trim_start().len();
        let is_in = item.is_some_and(|item| indent(lines[number]) > indent(item));
        is_in && is_ours(item.and_then(|line| word(line, 2))) && !lines.contains(&"routes:")
    } else if path.ends_with(".yaml") {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let mut depth = indent(lines[number]);
        let mut parents = Vec::new();
        for line in lines.iter().rev().filter(|line| !line.trim().is_empty()) {
            if indent(line) < depth {
                depth = indent(line);
                parents.push(line.trim().trim_end_matches(':'));
            }
        }
        let of_device = |one: &&str| ["bonds", "ethernets"].contains(one);
        parents.len() == 1 || (parents.len() > 2 && parents.iter().any(of_device))
    } else {
        true
    }
}

/// Asserts that the result has the unknown setting of a file, or that a note names the setting and
/// the exit status reports a loss.
fn assert_said(place: &str, case: &Case, path: &str, to: Option<Manager>, outcome: &Outcome) {
    let notes = || outcome.notes.iter();
    let is_named = notes().any(|note| note.subject.contains(KEY) || note.reason.contains(KEY));
    let is_kept = outcome.files.iter().any(|file| file.text.contains(KEY));
    let file = path.rsplit('/').next().unwrap();
    let about_file = || notes().filter(|note| note.subject.contains(file));
    // A file above the bond stays, or is named as a whole; files of a team stay.
    let is_team = outcome.files.len() == 1;
    let stays = to.is_none() && (above(path, case) || is_team);
    let is_named_whole = above(path, case) && about_file().next().is_some();
    // Another file about a device that has its file is named as a whole, too, and the file of a port that
    // cannot be found.
    let whole = ["second file", "another", "no single interface"];
    let is_other = about_file().any(|note| whole.iter().any(|why| note.reason.contains(why)));
    assert!(is_named || is_kept || stays || is_named_whole || is_other, "{place}");
    assert!(is_kept || stays || is_other || outcome.notes.any_lost(), "{place}: exit status");
}

#[test]
fn an_unknown_key_at_any_place_is_kept_or_named() {
    let mut managers = BTreeSet::new();
    let mut tried = 0;
    for case in cases().into_iter().step_by(3).chain(cases_of("hosts")) {
        let used = used_files(&case);
        let mut names = vec![case.get("bond").unwrap().to_owned()];
        let order = Import { bond: names[0].clone(), ..Import::default() };
        if let Ok(outcome) = import(&case.tree(), &order) {
            let ports = super::team(&outcome)["ports"].as_object().unwrap().clone();
            names.extend(ports.keys().cloned());
        }
        for (path, text) in case.files.iter().filter(|(path, _)| used.contains(path)) {
            for number in 0..text.lines().count() {
                let Some(changed) = with_unknown(path, text, number) else { continue };
                if !belongs(path, text, number, &names) {
                    continue;
                }
                let mut tree = case.tree();
                tree.insert(path, &changed);
                for to in [None, Some(Manager::Sysfs)] {
                    let bond = case.get("bond").unwrap().to_owned();
                    let order = Import { bond, to, ..Import::default() };
                    if let Ok(outcome) = import(&tree, &order) {
                        let place = format!("{}: {path}:{}: to {to:?}", case.name, number + 2);
                        assert_said(&place, &case, path, to, &outcome);
                        tried += 1;
                        managers.extend(path.split('/').nth(1).map(str::to_owned));
                    }
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
    for folder in
        ["systemd", "sysconfig", "NetworkManager", "network", "netplan", "nmstate", "config"]
    {
        assert!(managers.contains(folder), "no case of {folder}: {managers:?}");
    }
}

/// Returns whether a file is about a device above the bond.
fn above(path: &str, case: &Case) -> bool {
    let file = path.rsplit('/').next().unwrap();
    let bond = case.get("bond").unwrap();
    let is_vlan = file.contains(&format!("{bond}."))
        && !file.ends_with(&format!("{bond}.netdev"))
        && !file.ends_with(&format!("{bond}.network"))
        && !file.ends_with(&format!("{bond}.nmconnection"));
    is_vlan
        || file.starts_with("ovs-port")
        || file.contains("vlan")
        || file.contains("br") && !file.contains("bridge-port")
}
