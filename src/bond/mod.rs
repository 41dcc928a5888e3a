//! Converts bonds to teams, and teams to bonds.
//!
//! [`Bond`] is the neutral model. Each source has a reader (`sysfs`, `ifcfg`, `keyfile`,
//! `networkd`) that makes a bond of files. [`to_team`] converts a bond to a team's configuration,
//! [`from_team`] converts a configuration to a bond. Each target has a writer that makes files or
//! commands of a bond. Only `cli` reads and writes files; all other modules work on a [`Tree`] of
//! texts, and bytes from outside give notes or an error, never a panic.
//!
//! A setting that a team or a target cannot have becomes a [`Note`]; nothing is dropped silently.

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
