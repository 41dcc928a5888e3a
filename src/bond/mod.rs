//! Bonds become teams, and teams bonds.
//!
//! [`Bond`] is the neutral model. One reader a source (`sysfs`, `ifcfg`, `keyfile`, `networkd`)
//! makes it from files, [`to_team`] makes a team's configuration of it and [`from_team`] a bond of
//! a team's; one writer a target makes files or commands again. `cli` alone touches the disk:
//! everything else works on a [`Tree`] of texts, and bytes from outside give notes or an error,
//! never a panic.
//!
//! Nothing is dropped in silence: what a team or a target cannot have becomes a [`Note`].

pub mod bond2team;
pub mod cli;
mod convert;
mod family;
mod from_team;
mod ifcfg;
mod ini;
mod ip;
mod keyfile;
mod live;
mod model;
mod networkd;
mod nmcli;
pub mod options;
mod shell;
mod sysfs;
mod to_team;
mod tree;

pub use convert::{Export, Import, Outcome, export, import};
pub use family::{Device, Family, Target};
pub use from_team::from_team;
pub use model::{Addressing, Bond, BondPort, Network, Note, Notes, OutFile, Setting, Weight};
pub use to_team::{TeamConfig, to_team};
pub use tree::Tree;

/// The kernel's rule, `dev_valid_name`, without the characters that a path or a shell minds.
fn is_interface_name(name: &str) -> bool {
    (1..16).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| {
            byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'"' | b'\'' | b'\\')
        })
}

fn is_hwaddr(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    bytes.len() == 6
        && bytes
            .iter()
            .all(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
