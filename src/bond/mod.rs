//! Converts bonds to teams, and teams to bonds.
//!
//! [`Bond`] is the model between all formats. `sysfs`, `ifcfg`, `keyfile` and `networkd` read a
//! bond; [`to_team`] returns the configuration of the team that replaces the bond, [`from_team`] the
//! bond that replaces a team; `ifcfg`, `keyfile`, `networkd`, `nmcli` and `ip` write files or
//! commands. Only `cli`, `live` and [`Tree`] touch the disk: the others work on a [`Tree`] of texts.
//! Invalid input gives notes or an error, never a panic.
//!
//! Each setting that a team or a format cannot have becomes a [`Note`].

pub mod bond2team;
pub mod cli;
mod convert;
mod from_team;
mod ifcfg;
mod ini;
mod ip;
mod keyfile;
mod live;
mod manager;
mod model;
mod networkd;
mod nmcli;
pub mod options;
mod shell;
mod sysfs;
mod to_team;
mod tree;

pub use convert::{Export, Import, Outcome, export, import};
pub use from_team::from_team;
pub use manager::{DeviceKind, Manager, Target};
pub use model::{Addressing, Bond, BondPort, Network, Note, Notes, OutFile, Setting, Severity};
pub use to_team::{TeamConfig, to_team};
pub use tree::Tree;

use runners::HwAddr;

/// Returns whether `name` is an interface name that needs no quoting in the files of any format.
/// The kernel allows more names.
fn is_interface_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    runners::is_interface_name(name) && name.bytes().all(is_plain)
}

/// Returns whether `text` is a hardware address of six pairs of hexadecimal digits.
fn is_hwaddr(text: &str) -> bool {
    text.parse::<HwAddr>().is_ok()
}
