//! The items of running teams are those of teamrctl(8), and are settable as their definitions say.

use std::collections::BTreeSet;
use std::fs;

use integration::{
    CableKind, DataPath, Lab, RUNNERS, Sharing, Teamr, control, repository, team_config, wait_until,
};
use serde_json::{Value, json};
use teamr::state::items;

/// Returns the paths of all items, with `P` for a port and `N` for a number at the end of a name.
fn paths(state: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &[String], paths: &mut BTreeSet<String>) {
        let Some(object) = value.as_object() else {
            paths.insert(path.join("."));
            return;
        };
        for (name, below) in object {
            let is_port = path == ["ports"];
            let name = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                _ if is_port => "P".to_owned(),
                stem if stem.len() < name.len() => format!("{stem}N"),
                _ => name.clone(),
            };
            walk(below, &[path, &[name]].concat(), paths);
        }
    }
    let mut found = BTreeSet::new();
    walk(state, &[], &mut found);
    found
}

/// Returns the paths in the page; `a.{b,c}` stands for two.
fn documented() -> BTreeSet<String> {
    let page = fs::read_to_string(repository().join("man/teamrctl.8")).expect("teamrctl(8)");
    // `\:` allows a line to end there.
    let page = page.replace("\\:", "");
    let items = page.lines().filter_map(|line| line.strip_prefix(".It "));
    let words = items.flat_map(|item| item.split(' ').filter(|word| word.contains('.')));
    words
        .flat_map(|word| match word.split_once('{') {
            None => vec![word.to_owned()],
            Some((stem, ends)) => {
                ends.trim_end_matches('}').split(',').map(|end| format!("{stem}{end}")).collect()
            }
        })
        .collect()
}

/// Sets every item of a team to a value that no item accepts but probe_rounds, which accepts any.
fn check_settable(team: &Teamr) {
    let socket = team.control_socket();
    let call = |method: &str, args: &[&str]| control::call_at(&socket, method, args);
    let mut settable = 0;
    for item in items::all() {
        let keys = item.keys.iter().map(|key| match *key {
            "P" => "eth1",
            "link_watch_N" => "link_watch_0",
            key => key,
        });
        let path = keys.collect::<Vec<_>>().join(".");
        let present = call("StateItemValueGet", &[&path]).expect("a reply");
        if present.starts_with("REPLY_SUCCESS") {
            let reply = call("StateItemValueSet", &[&path, "nonsense"]).expect("a reply");
            let is_settable = !reply.contains("OpNotSupp");
            assert_eq!(is_settable, item.field.settable.is_some(), "{path}: {reply}");
            settable += u32::from(is_settable);
        }
    }
    assert!(settable >= 4, "{settable}");
}

#[test]
fn the_manual_has_every_item_of_running_teams() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    lab.cable((&host, "eth1"), (&peer, "eth1"), CableKind::Virtual);
    let documented = documented();
    for runner in RUNNERS.into_iter().chain(["slb", "lacp"]) {
        let mut config = team_config("team0", runner, DataPath::Userspace, &["eth1"]);
        config["link_watch"] = json!([
            {"name": "ethtool"},
            {"name": "arp_ping", "target_host": "192.0.2.1", "vlanid": 5},
            {"name": "nsna_ping", "target_host": "fe80::1"},
        ]);
        let team = Teamr::start(&host, &config);
        wait_until("the port to be there", || team.port_up("eth1").is_some());
        let undocumented: Vec<String> =
            paths(&team.state()).into_iter().filter(|path| !documented.contains(path)).collect();
        assert!(undocumented.is_empty(), "teamrctl(8) lacks {undocumented:?} of {runner}");
        check_settable(&team);
        assert!(team.stop().success());
    }
}
