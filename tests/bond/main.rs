//! Converts bonds of all modes and formats to teams and back, and compares the results with files.
//!
//! `cases/NAME.txt` has the input, `NAME.import` the result of the import, and `NAME.export` the
//! result of the export of that team; the exit status and the notes come first. `TEAMR_REWRITE=1
//! cargo test --test bond` rewrites the results.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]
#![allow(missing_docs, reason = "the parts of one test program")]

mod command;
mod formats;
mod hosts;
mod nmcli;
mod unknown_settings;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use json_config::keys::RUNNERS;
use serde_json::{Map, Value, json};
use teamr::bond::{Export, Import, Manager, Outcome, Target, Tree, cli, export, import};

/// One case: lines of `key: value`, then files, each after a line `=== PATH`.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    settings: BTreeMap<String, String>,
    pub files: Vec<(String, String)>,
}

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bond").join(name)
}

pub fn cases() -> Vec<Case> {
    cases_of("cases")
}

pub fn cases_of(name: &str) -> Vec<Case> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = fs::read_to_string(path).unwrap();
        let mut parts = text.split("=== ");
        let settings = parts.next().unwrap_or_default().lines();
        Case {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            settings: settings
                .filter_map(|line| line.split_once(": "))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            files: parts
                .map(|part| part.split_once('\n').unwrap())
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .collect(),
        }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    fn manager(&self) -> Manager {
        Manager::from_name(self.get("from").unwrap()).unwrap()
    }

    pub fn target(&self) -> Target {
        match self.manager() {
            Manager::NetworkManager | Manager::Sysfs => Target::Nmcli,
            manager => Target::Files(manager),
        }
    }

    pub fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in &self.files {
            tree.insert(path, text);
        }
        tree
    }

    /// Returns the result of the import.
    pub fn imported(&self) -> Outcome {
        let order = Import {
            bond: self.get("bond").unwrap().to_owned(),
            from: Some(self.manager()),
            to: self.get("to").and_then(Manager::from_name),
            rename: self.get("rename").map(str::to_owned),
        };
        import(&self.tree(), &order).unwrap()
    }

    /// Returns the result of the export of an imported team.
    pub fn exported(&self, imported: &Outcome) -> Outcome {
        self.exported_to(self.target(), imported)
    }

    /// Returns the result of the export, to a format, of an imported team.
    pub fn exported_to(&self, target: Target, imported: &Outcome) -> Outcome {
        let to = self.get("to").and_then(Manager::from_name);
        self.exported_from(to.unwrap_or_else(|| self.manager()), target, imported)
    }

    /// Returns the result of the export, to a format, of an imported team with the files of a manager.
    pub fn exported_from(&self, from: Manager, to: Target, imported: &Outcome) -> Outcome {
        let mut tree = Tree::default();
        if from == Manager::Sysfs {
            let kernel = self.files.iter().filter(|(path, _)| !path.contains("/bonding"));
            kernel.for_each(|(path, text)| tree.insert(path, text));
        }
        for file in &imported.files[1..] {
            let path = match from {
                // The files include no other file here.
                Manager::Interfaces => "etc/network/interfaces".to_owned(),
                _ => format!("{}/{}", from.folder(), file.name),
            };
            tree.insert(path, &file.text);
        }
        let team = team(imported);
        let order = Export {
            device: team["device"].as_str().unwrap().to_owned(),
            team,
            from: Some(from),
            to,
            rename: None,
        };
        export(&tree, &order).unwrap()
    }
}

pub fn team(imported: &Outcome) -> Map<String, Value> {
    match serde_json::from_str(&imported.files[0].text).unwrap() {
        Value::Object(team) => team,
        _ => panic!("a team is an object"),
    }
}

pub fn shown(outcome: &Outcome) -> String {
    let notes: String = outcome.notes.iter().map(|note| format!("{note}\n")).collect();
    let status = if outcome.notes.any_lost() { cli::LOST } else { cli::KEPT };
    format!("exit status {status}\n{notes}\n{}", cli::framed(&outcome.files))
}

pub fn compare(name: &str, found: &str) {
    let path = folder("").join(name);
    if std::env::var_os("TEAMR_REWRITE").is_some() {
        fs::write(&path, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name}");
}

#[test]
fn every_case_has_its_expected_results() {
    let cases = cases();
    assert!(cases.len() >= 30, "{}", cases.len());
    for case in cases {
        let imported = case.imported();
        compare(&format!("cases/{}.import", case.name), &shown(&imported));
        let exported = case.exported(&imported);
        compare(&format!("cases/{}.export", case.name), &shown(&exported));
    }
}

/// The strict check accepts every imported configuration whose runner this version has.
#[test]
fn imported_configurations_pass_the_strict_check() {
    for case in cases() {
        let imported = case.imported();
        let team = team(&imported);
        let runner = team["runner"]["name"].as_str().unwrap();
        if RUNNERS.contains(&runner) {
            let problems = json_config::check(imported.files[0].text.as_bytes());
            assert_eq!(problems, [], "{}", case.name);
        }
    }
}

/// Import, export, import: the second import returns the same files as the first.
#[test]
fn a_second_import_returns_the_same_files() {
    let mut rounds = 0;
    for case in cases() {
        let imported = case.imported();
        let exported = case.exported(&imported);
        let Target::Files(manager) = case.target() else { continue };
        if case.get("to").is_some() || exported.notes.iter().next().is_some() {
            continue;
        }
        let mut tree = Tree::default();
        for file in &exported.files {
            tree.insert(format!("{}/{}", manager.folder(), file.name), &file.text);
        }
        let bond = team(&imported)["device"].as_str().unwrap().to_owned();
        let again = import(&tree, &Import { bond, ..Import::default() }).unwrap();
        assert_eq!(again.files, imported.files, "{}", case.name);
        rounds += 1;
    }
    assert!(rounds >= 10, "{rounds}");
}

/// Every mode, hash policy and option of the driver is changed in some case.
#[test]
fn every_option_has_a_case() {
    use teamr::bond::options::{Kind, MODES, Opt, ROWS};
    let texts: String = cases()
        .iter()
        .chain(&cases_of("hosts"))
        .flat_map(|case| case.files.iter().map(|(path, text)| format!("{path}\n{text}\n")))
        .collect();
    for row in ROWS {
        let networkd = row.networkd.is_some_and(|name| texts.contains(&format!("{name}=")));
        let own = texts.contains(&format!("{}=", row.name))
            || texts.contains(&format!("bonding/{}\n", row.name));
        assert!(own || networkd, "no case has {}", row.name);
    }
    let Kind::Word(policies) = Opt::XmitHashPolicy.row().kind else {
        panic!("policies are words");
    };
    for word in MODES.iter().chain(policies) {
        assert!(texts.contains(word), "no case has {word}");
    }
}

#[test]
fn a_missing_bond_is_an_error() {
    let order = Import { bond: "bond7".to_owned(), ..Import::default() };
    let error = import(&Tree::default(), &order).unwrap_err();
    assert!(error.starts_with("Failed to find the bond \"bond7\" in netplan (etc/"), "{error}");
}

/// A truncated or mangled text gives notes or an error.
#[test]
fn broken_files_are_harmless() {
    for case in cases().into_iter().chain(cases_of("hosts")) {
        for (place, (path, text)) in case.files.iter().enumerate() {
            for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)).step_by(11) {
                let mut broken = case.clone();
                let mangled = format!("{}\u{fffd}=\\'\"[{}", &text[..cut], &text[cut..]);
                for version in [text[..cut].to_owned(), mangled] {
                    broken.files[place] = (path.clone(), version);
                    let order =
                        Import { bond: case.get("bond").unwrap().to_owned(), ..Import::default() };
                    if let Ok(outcome) = import(&broken.tree(), &order) {
                        team(&outcome);
                    }
                }
            }
        }
    }
}

/// Names and keys are data: no file gets a line, no folder a file and no shell a command from them.
#[test]
fn hostile_names_add_no_line_no_file_and_no_command() {
    let names = ["a\nb", "../x", "$(reboot)", "eth*", "x'y", "[Link]", "a b", "\u{1b}[2J", "é"];
    let ports = names.iter().chain(&["eth1"]);
    let ports: Map<String, Value> = ports.map(|name| ((*name).into(), json!({}))).collect();
    let team = json!({
        "device": "team0",
        "hwaddr": "02:00:00:00:00:01\n[Match]\nName=*",
        "runner": {"name": "activebackup"},
        "ports": ports,
    });
    let mut tree = Tree::default();
    let folder = Manager::NetworkManager.folder();
    tree.insert(
        format!("{folder}/team0.nmconnection"),
        "[connection]\ntype=team\ninterface-name=team0\n[ethtool]\nfeature-$(reboot)=true\n\
         feature-tso=$(reboot)\n",
    );
    for to in Target::ALL {
        let request = Export {
            device: "team0".into(),
            team: team.as_object().unwrap().clone(),
            from: None,
            to,
            rename: None,
        };
        let outcome = export(&tree, &request).unwrap();
        let lost: Vec<_> = outcome.notes.iter().map(|note| note.subject.as_str()).collect();
        for name in names {
            assert!(lost.contains(&&*format!("port {name:?}")), "{name:?} not in {lost:?}");
        }
        assert!(lost.iter().any(|subject| subject.starts_with("hwaddr=")), "{lost:?}");
        for file in &outcome.files {
            assert!(!file.name.contains(|c: char| c.is_control() || "/$*".contains(c)));
            for name in names.into_iter().filter(|name| *name != "$(reboot)") {
                assert!(!file.text.contains(name) || name == "[Link]", "{}", file.text);
            }
            // No shell reads a profile, which has the settings as they were.
            if file.name.ends_with(".nmconnection") {
                continue;
            }
            let quoted =
                file.text.replace("'ethtool.feature-$(reboot)'", "").replace("'$(reboot)'", "");
            assert!(!quoted.contains("$(reboot)"), "{}", file.text);
        }
    }
}
