//! Converts bonds to teams, and teams to bonds.
//!
//! [`Bond`] is the model between all formats. `netplan`, `interfaces`, `ifcfg`, `keyfile`,
//! `networkd`, `nmstate`, `uci`, `cmdline` and `sysfs` read a bond; every reader of files takes its
//! settings from `settings::File`, which requires a decision on each setting. [`to_team`] returns
//! the configuration of the team that replaces the bond, [`from_team`] the bond that replaces a
//! team; most formats, `nmcli` and `ip` write files or commands. Only `cli`, `live`, `running` and
//! [`Root`] touch the disk: the others work on a [`Tree`] of texts. Invalid input gives notes or an
//! error, never a panic.
//!
//! Each setting that a team or a format cannot have becomes a [`Note`].

pub mod bond2team;
pub mod cli;
mod cmdline;
mod convert;
mod from_team;
mod ifcfg;
mod ini;
mod interfaces;
mod ip;
mod keyfile;
mod links;
mod live;
mod manager;
mod model;
mod modprobe;
mod netplan;
mod networkd;
mod nmcli;
mod nmstate;
pub mod options;
mod root;
mod running;
mod settings;
mod shell;
mod span;
mod sysfs;
mod team_files;
mod to_team;
mod tree;
mod uci;
mod uppers;
pub mod yaml;

pub use cli::{Applying, Callbacks};
pub use convert::{Export, Import, Outcome, export, import};
pub use from_team::from_team;
pub use manager::{DeviceKind, Manager, Target};
pub use model::{Addressing, Bond, BondPort, Network, Note, Notes, OutFile, Severity, Upper};
pub use root::Root;
pub use running::{RunningTeam, running_team};
pub use settings::{Setting, is_backup};
pub use to_team::{TeamConfig, to_team};
pub use tree::Tree;

use runners::HwAddr;

/// Returns whether `name` is an interface name that no format, shell or pattern reads as syntax. The
/// kernel allows more names.
pub fn is_interface_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+,=%~^".contains(&byte);
    runners::is_interface_name(name) && name.bytes().all(is_plain)
}

/// Returns whether `text` is a hardware address of six pairs of hexadecimal digits.
fn is_hwaddr(text: &str) -> bool {
    text.parse::<HwAddr>().is_ok()
}
