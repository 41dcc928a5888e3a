//! Conformance to 802.1AX-2014, and the table of it in the documentation.
//!
//! A partner on the wire examines teamr on each data path, teamd and the bonding driver with the
//! same cases. `TEAMR_REWRITE=1 cargo test -p integration --test conformance the_table` writes the
//! table.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

mod cases;
mod core;
mod open_vswitch;
mod partner;

use std::{env, fs};

use integration::drop_in::teamd_is_here;
use integration::kernel::{release, version};
use integration::traffic::Wire;
use integration::{
    DataPath, HostAndPeer, Lab, Process, Sharing, Teamr, in_virtual_time, on_own_data_paths,
    repository,
};
use serde_json::{Value, json};

use cases::{BONDING, CASES, NEWER_BONDING, OPEN_VSWITCH, OTHERS, TEAMD};
use core::CORE;
use open_vswitch::OpenVswitch;
use partner::Partner;

const TABLE: &str = "docs/conformance.md";
const PORT: &str = "eth1";

fn config(data_path: DataPath) -> Value {
    json!({
        "device": "team0",
        "data_path": data_path.name(),
        "runner": {"name": "lacp", "fast_rate": true},
        "ports": {PORT: {}},
    })
}

/// Returns whether the system on the host meets the requirement of each case; `start` starts it.
fn examine<T>(lab: &Lab, name: &str, start: impl FnOnce(&HostAndPeer) -> T) -> Vec<bool> {
    let pair = HostAndPeer::new(lab, &[PORT]);
    let mut partner = Partner::new(Wire::open(&pair.peer, PORT));
    let _running = start(&pair);
    CASES
        .iter()
        .map(|case| {
            let meets = (case.check)(&mut partner);
            println!("{name}, {}: {} {}", case.clause, case.what, if meets { "yes" } else { "no" });
            meets
        })
        .collect()
}

fn examine_teamr(lab: &Lab, data_path: DataPath) -> Vec<bool> {
    examine(lab, data_path.name(), |pair| {
        let team = Teamr::start(&pair.host, &config(data_path));
        pair.host.up("team0");
        team
    })
}

fn teamr_meets_every_requirement(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    assert_eq!(examine_teamr(&lab, data_path), [true; CASES.len()]);
}

on_own_data_paths! { teamr_meets_every_requirement }

/// Examines an implementation of the table in a guest.
fn is_as_the_table_says<T>(place: usize, start: impl FnOnce(&HostAndPeer) -> T) {
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let found = examine(&lab, OTHERS[place], start);
    assert_eq!(found, CASES.each_ref().map(|case| case.others[place]), "{}", OTHERS[place]);
}

#[test]
fn teamr_meets_every_requirement_with_the_kernels_driver() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        assert_eq!(examine_teamr(&lab, DataPath::Kernel), [true; CASES.len()]);
    });
}

#[test]
fn bonding_is_as_the_table_says() {
    in_virtual_time(|_| {
        let is_newer = version(&release()) >= [7, 2];
        is_as_the_table_says(if is_newer { NEWER_BONDING } else { BONDING }, |pair| {
            let host = &pair.host;
            host.ip("link add name bond0 type bond mode 802.3ad miimon 100 lacp_rate fast");
            host.ip(&format!("link set dev {PORT} master bond0"));
            host.up("bond0");
        });
    });
}

#[test]
fn teamd_is_as_the_table_says() {
    if !teamd_is_here() {
        return;
    }
    in_virtual_time(|_| {
        is_as_the_table_says(TEAMD, |pair| {
            let host = &pair.host;
            host.run("mkdir -p /run/teamd");
            let mut command = host.command("teamd");
            command.arg("-c").arg(config(DataPath::Kernel).to_string());
            let process = Process::start("teamd", host.folder(), command);
            integration::wait_until("teamd's device", || host.has_interface("team0"));
            host.up("team0");
            process
        });
    });
}

#[test]
fn open_vswitch_is_as_the_table_says() {
    if !OpenVswitch::is_here() {
        return;
    }
    in_virtual_time(|_| {
        is_as_the_table_says(OPEN_VSWITCH, |pair| OpenVswitch::start(&pair.host, PORT));
    });
}

/// Returns the text of the table.
fn document() -> String {
    let mut text = "# Conformance to IEEE 802.1AX-2014\n\n\
        The tests of both tables check requirements of the standard for LACP and the Marker\n\
        protocol. Distribution Resilience and DRNI (clauses 8 and 9) are not implemented.\n\n\
        ## On the wire\n\n\
        A partner that the test plays examines each implementation with the same frames, teamr on\n\
        its three data paths: `cargo test --package integration --test conformance -- --nocapture`. The\n\
        variable `TEAMR_KERNEL=7.2` chooses the kernel, and thereby the version of the bonding driver.\n\n"
        .to_owned();
    text += &format!("| clause | requirement | teamr | {} |\n", OTHERS.join(" | "));
    text += &format!("|---|---|---{}|\n", "|---".repeat(OTHERS.len()));
    let word = |meets: bool| if meets { "yes" } else { "no" };
    for case in &CASES {
        let others = case.others.map(word).join(" | ");
        text += &format!("| {} | {} | yes | {others} |\n", case.clause, case.what);
    }
    text += "\nThe test reads the state of a port from the LACPDUs that the port sends.\n";
    text += "\nThe standard permits a Mux machine with coupled control, as teamd's and bonding's, which\n\
        follows the partner's Synchronization and not its Collecting.\n";
    text += "\n## In the core\n\n\
        teamr's state machines run under simulated time. Every test passes.\n\n\
        | clause | requirement | test |\n|---|---|---|\n";
    for (clause, what, file, test) in CORE {
        text += &format!("| {clause} | {what} | `{test}` in [{file}](../{file}) |\n");
    }
    text
}

#[test]
fn the_table_is_the_one_in_the_documentation() {
    let path = repository().join(TABLE);
    let text = document();
    if env::var_os("TEAMR_REWRITE").is_some() {
        fs::write(&path, &text).expect("write the table");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{TABLE} is not current; TEAMR_REWRITE=1 writes it");
}

#[test]
fn each_test_of_the_table_exists() {
    for (clause, _, file, test) in CORE {
        let text = fs::read_to_string(repository().join(file)).expect(file);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let start = format!("fn {test}(");
        let at = lines.iter().position(|line| line.starts_with(&start));
        let at = at.unwrap_or_else(|| panic!("{clause}: no test {test} in {file}"));
        // The attribute, or the macro of a property, stands above; a macro makes tests of data paths.
        let is_test = lines[..at].iter().rev().take(8).any(|line| line.contains("test]"));
        let of_macro = ["proptest!", "on_own_data_paths!"].iter().any(|name| text.contains(name));
        assert!(is_test || of_macro, "{clause}: {test} is no test");
    }
}
