//! The arrows between the top modules of `src`: each is in the table with its reason, and no arrow
//! leads back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module, a module that it uses, and why it may.
#[rustfmt::skip] // One line each.
const ARROWS: [(&str, &str, &str); 68] = [
    ("args", "errno", "errors read as strerror words them"),
    ("args", "files", "configurations are read with a limit"),
    ("args", "process", "-l takes an output of the log"),
    ("bond", "args", "the converters parse command lines"),
    ("bond", "files", "converted files are replaced in one step"),
    ("bond", "netlink", "a live bond is read from the kernel"),
    ("bond", "text", "notes and files go to a terminal"),
    ("client", "args", "teamrctl parses a command line"),
    ("client", "bond", "teamrctl converts bonds"),
    ("client", "control", "both ends of the control protocol share the codec"),
    ("client", "doctor", "teamrctl shows the findings"),
    ("client", "errno", "errors read as strerror words them"),
    ("client", "files", "captures and metrics are written to files"),
    ("client", "migration", "teamrctl puts a team in place of a bond"),
    ("client", "netlink", "the doctor's facts come from the kernel"),
    ("client", "process", "the run directory has the control socket"),
    ("client", "recording", "teamrctl shows recordings"),
    ("client", "snmp", "teamrctl serves a MIB through an SNMP agent"),
    ("client", "state", "views and metrics read the state document"),
    ("client", "sys", "deadlines are read from the clock, and probes go over packet sockets"),
    ("client", "text", "names go to a terminal"),
    ("control", "errno", "errors read as strerror words them"),
    ("control", "files", "the file of a former socket is removed"),
    ("control", "sys", "the wait for the bus has a deadline"),
    ("daemon", "control", "a team has transports for the control methods"),
    ("daemon", "datapath", "a team has a data path"),
    ("daemon", "errno", "errors read as strerror words them"),
    ("daemon", "files", "state is kept for a later daemon"),
    ("daemon", "netlink", "facts come from the kernel"),
    ("daemon", "process", "signals, log, pid file and service manager are the process's"),
    ("daemon", "recording", "the daemon makes recordings"),
    ("daemon", "state", "the daemon fills the state document"),
    ("daemon", "sys", "the clock, ethtool and TIPC's socket are system calls"),
    ("datapath", "errno", "a change is repeated after an error of a moment"),
    ("datapath", "files", "port states are kept for a later daemon"),
    ("datapath", "netlink", "links, filters and the team driver are configured by netlink"),
    ("datapath", "sys", "packet sockets, TAP and bpf(2) are system calls"),
    ("doctor", "state", "findings come from the state document"),
    ("files", "errno", "errors read as strerror words them"),
    ("main", "args", "teamr parses a command line"),
    ("main", "daemon", "teamr is the daemon"),
    ("main", "errno", "errors read as strerror words them"),
    ("main", "process", "teamr becomes a daemon process"),
    ("main", "sys", "the allocator and inherited files are set up by system calls"),
    ("migration", "bond", "the team is made of the running bond"),
    ("migration", "files", "files and records are replaced in one step"),
    ("migration", "netlink", "asks for the team driver"),
    ("migration", "sys", "a trial has a deadline, and outlives its terminal"),
    ("migration", "text", "names of files go to a terminal"),
    ("netlink", "errno", "calls that fail are counted"),
    ("netlink", "sys", "groups and filters of sockets are set by system calls"),
    ("process", "errno", "errors read as strerror words them"),
    ("process", "text", "names go to the log"),
    ("process", "sys", "fork, signals, capabilities and clocks are system calls"),
    ("snmp", "errno", "errors read as strerror words them"),
    ("snmp", "state", "the MIB shows the state document"),
    ("snmp", "sys", "the time since the session began is read from the clock"),
    ("teamnl", "args", "teamrnl parses a command line"),
    ("teamnl", "errno", "errors read as strerror words them"),
    ("teamnl", "netlink", "teamrnl shows the team driver's options"),
    ("teamnl", "process", "the monitor ends on signals"),
    ("teamnl", "state", "answers in JSON are defined with the state"),
    ("teamnl", "text", "names go to a terminal"),
    ("text", "errno", "errors read as strerror words them"),
    ("teamrctl", "args", "the environment decides where operands may stand"),
    ("teamrctl", "client", "the program of the client"),
    ("teamrnl", "args", "the environment decides where operands may stand"),
    ("teamrnl", "teamnl", "the program of teamnl"),
];

/// The modules that each top module uses, as its sources name them.
fn arrows_of_the_sources() -> BTreeSet<(String, String)> {
    let mut arrows = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    collect(&root, None, &mut arrows);
    arrows
}

/// Adds the arrows of all sources in a folder of the module `top`; in `src` and `src/bin` each file
/// is a module of its own.
fn collect(folder: &Path, top: Option<&str>, arrows: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let stem = stem.expect("a name in UTF-8");
        if path.is_dir() {
            let top = top.or((stem != "bin").then_some(stem));
            collect(&path, top, arrows);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let from = top.unwrap_or(stem);
            let text = fs::read_to_string(&path).expect("a source in UTF-8");
            let used = text.lines().flat_map(used_modules);
            let others = used.filter(|to| to != from && from != "lib");
            arrows.extend(others.map(|to| (from.to_owned(), to)));
        }
    }
}

/// Returns the top modules that a line of code names; a comment names none.
fn used_modules(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let paths = ["crate::", "teamr::"].into_iter();
    let rests = paths.flat_map(|root| code.split(root).skip(1));
    let module = |rest: &str| -> String {
        let of_name = |letter: &char| letter.is_ascii_lowercase() || *letter == '_';
        rest.chars().take_while(of_name).collect()
    };
    let modules = rests.map(module);
    modules.filter(|module| !module.is_empty()).collect()
}

#[test]
fn the_table_has_every_arrow_of_the_sources_and_no_other() {
    let known: BTreeSet<(String, String)> = ARROWS
        .iter()
        .map(|(from, to, reason)| {
            assert!(!reason.is_empty(), "{from} -> {to} has no reason");
            ((*from).to_owned(), (*to).to_owned())
        })
        .collect();
    let found = arrows_of_the_sources();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "arrows without a reason in the table: {new:?}");
    let former: Vec<_> = known.difference(&found).collect();
    assert!(former.is_empty(), "arrows that no source has: {former:?}");
}

#[test]
fn no_arrow_leads_back() {
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to, _) in &ARROWS {
        uses.entry(from).or_default().insert(to);
        uses.entry(to).or_default();
    }
    // Modules whose uses are all gone leave, one after the other, unless they form a circle.
    while let Some(last) = uses.iter().find(|(_, uses)| uses.is_empty()) {
        let last = *last.0;
        uses.remove(last);
        uses.values_mut().for_each(|uses| _ = uses.remove(last));
    }
    assert!(uses.is_empty(), "these form a circle: {:?}", uses.keys());
}

#[test]
fn a_line_names_the_modules_of_its_paths() {
    let line = "use crate::netlink::{link, tc}; // crate::daemon";
    assert_eq!(used_modules(line), ["netlink"]);
    assert_eq!(used_modules("teamr::client::run(crate::args::VERSION)"), ["args", "client"]);
    assert!(used_modules("/// [`crate::control`]").is_empty());
}

/// Rust 1.85, which the README allows, ends the arguments of `format_args!` with the statement.
#[test]
fn no_variable_has_format_args() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = ["src", "runners/src", "json-config/src", "integration/src"]
        .map(|it| root.join(it))
        .to_vec();
    let needle = format!("= {}!", "format_args");
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                assert!(!text.contains(&needle), "{}: use format! instead", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}
