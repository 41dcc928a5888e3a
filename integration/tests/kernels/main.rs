//! The runners and data paths of one kernel, compared with the table of `docs/kernels.md`.
//!
//! Each runner keeps a stream on each data path while a cable is pulled. `TEAMR_KERNEL=6.12` chooses
//! the kernel; `integration/run --kernels` runs every kernel of the table. With `TEAMR_REWRITE=1` a
//! run writes the lines of its kernel into the table.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

mod announcements;
mod bonding_cases;
mod detached_programs;
mod directions;
#[path = "../conformance/partner.rs"]
#[expect(dead_code, reason = "the tests of conformance use the rest")]
mod partner;
mod port_priorities;
mod pulled_cable;
mod refusal;
mod table;

use std::fs;

use integration::kernel::release;
use integration::{CableKind, DataPath, Lab, Sharing, SiteWithTeam, in_virtual_time_then};

use pulled_cable::{RUNNERS, Runner};
use refusal::refusals;
use table::Lines;

/// The file of the case with the lines of the table.
const LINES: &str = "lines";

/// Returns what each runner does on a data path that the kernel refuses to the runners `refused`.
fn cells(lab: &Lab, data_path: DataPath, refused: &[&str]) -> Vec<String> {
    let cell = |runner: &Runner| match refused.contains(&runner.name) {
        _ if !runner.data_paths.contains(&data_path) => "-",
        true => "no",
        false => runner.keeps_its_streams(lab, data_path),
    };
    RUNNERS.iter().map(|runner| cell(runner).to_owned()).collect()
}

/// Returns the kind of the team device on a data path.
fn device_kind(lab: &Lab, data_path: DataPath) -> String {
    let setup = SiteWithTeam::new(lab, "activebackup", data_path, CableKind::Virtual);
    let kind = setup.team.state()["teamr"]["device_kind"].clone();
    kind.as_str().expect("a kind").to_owned()
}

#[test]
fn each_runner_works_on_each_data_path_as_the_table_says() {
    in_virtual_time_then(
        |folder| {
            let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
            let release = release();
            println!("This is Linux {release}.");
            let mut lines = Lines::new(&release);
            let every = RUNNERS.each_ref().map(|runner| runner.name);
            let [kernel, programs] = refusals(&lab);
            let none: &[&str] = &[];
            for (data_path, refused, reason) in [
                (DataPath::Kernel, &["slb"][..], kernel),
                (DataPath::Programs, &every, programs),
                (DataPath::Userspace, none, None),
            ] {
                let refused = if reason.is_some() { refused } else { none };
                let device = match refused.len() == every.len() {
                    true => "-".to_owned(),
                    false => device_kind(&lab, data_path),
                };
                lines.add(data_path, &device, &cells(&lab, data_path, refused), reason.as_deref());
            }
            fs::write(folder.join(LINES), lines.text()).expect("write the lines of the table");
        },
        |folder| {
            let lines = fs::read_to_string(folder.join(LINES)).expect("the lines of the table");
            table::compare(&lines);
        },
    );
}
