//! The model of a bond that all readers and writers share: options, ports and addresses; and the
//! notes about settings that a conversion changes or loses.

use std::fmt;

use super::manager::Manager;
use super::options::{Opt, Options};

/// A bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    /// Interface name.
    pub name: String,
    /// The driver's options.
    pub options: Options,
    /// Ports, in the order in which they join.
    pub ports: Vec<BondPort>,
    /// Addresses and other network settings.
    pub network: Network,
}

impl Bond {
    /// Returns the name of the primary port; `None` if the option names no port of the bond.
    pub fn primary(&self) -> Option<&str> {
        let name = self.options.get(Opt::Primary);
        let port = self.ports.iter().find(|port| port.name == name)?;
        self.options.is_changed(Opt::Primary).then_some(&port.name)
    }
}

/// A port of a bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BondPort {
    /// Interface name.
    pub name: String,
    /// `prio`: the highest is preferred; 0 is the driver's default.
    pub prio: i32,
    /// `queue_id`; 0 for none.
    pub queue_id: u16,
    /// All other settings in the file of the port.
    pub other_settings: Vec<Setting>,
}

impl BondPort {
    /// Returns a port without settings.
    pub fn new(name: &str) -> BondPort {
        BondPort {
            name: name.to_owned(),
            ..BondPort::default()
        }
    }
}

/// The settings of a device that the host's network needs, for a bond and a team alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Configured hardware address; `None` for that of the first port.
    pub hwaddr: Option<String>,
    /// MTU in bytes, if configured.
    pub mtu: Option<u32>,
    /// IPv4 addresses; automatic means DHCP.
    pub ipv4: Addressing,
    /// IPv6 addresses; automatic means router advertisements.
    pub ipv6: Addressing,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// The bridge that has the device as a port.
    pub bridge: Option<String>,
    /// All other settings in the file of the device.
    pub other_settings: Vec<Setting>,
}

/// The addresses of one IP version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressing {
    /// Whether the network assigns addresses.
    pub automatic: bool,
    /// Configured addresses, each with its prefix length.
    pub addresses: Vec<String>,
    /// Default gateway.
    pub gateway: Option<String>,
}

/// A setting without a counterpart in the model; only its manager understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Manager of the file that has the setting.
    pub manager: Manager,
    /// Section; empty in a format without sections.
    pub section: String,
    /// Number of the section among those of the same name, from 0.
    pub occurrence: usize,
    /// Key.
    pub key: String,
    /// Value, as in the file.
    pub value: String,
}

/// A configuration file or a script to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFile {
    /// Name without a directory.
    pub name: String,
    /// Text, with the last newline.
    pub text: String,
}

/// How far a conversion departs from a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The result behaves almost like the original.
    Approximated,
    /// The result lacks the setting.
    Lost,
}

/// A setting that a conversion changes or loses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Extent of the change.
    pub severity: Severity,
    /// The option or key, with its value.
    pub subject: String,
    /// The reason, and the behaviour of the result.
    pub reason: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Approximated => "approximated",
            Severity::Lost => "lost",
        };
        write!(f, "{severity}: {}: {}", self.subject, self.reason)
    }
}

/// The notes of a conversion, in the order of discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<Note>);

impl Notes {
    /// Adds a note about a lost setting.
    pub fn lost(&mut self, subject: impl fmt::Display, reason: impl fmt::Display) {
        self.add(Severity::Lost, subject, reason);
    }

    /// Adds a note about an approximated setting.
    pub fn approximated(&mut self, subject: impl fmt::Display, reason: impl fmt::Display) {
        self.add(Severity::Approximated, subject, reason);
    }

    /// Adds a note for each setting that `writer` does not understand.
    pub fn lose_foreign(&mut self, settings: &[Setting], writer: Option<Manager>) {
        for setting in settings {
            let Setting {
                manager,
                section,
                key,
                value,
                ..
            } = setting;
            if Some(*manager) != writer && !manager.is_file_metadata(key) {
                let subject = match section.is_empty() {
                    true => format!("{key}={value}"),
                    false => format!("[{section}] {key}={value}"),
                };
                self.lost(subject, format!("only {manager} understands it"));
            }
        }
    }

    /// Returns whether any setting is lost.
    pub fn any_lost(&self) -> bool {
        self.0.iter().any(|note| note.severity == Severity::Lost)
    }

    /// Returns the notes.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter()
    }

    /// Adds a note, unless the same note is there already.
    fn add(&mut self, severity: Severity, subject: impl fmt::Display, reason: impl fmt::Display) {
        let note = Note {
            severity,
            subject: subject.to_string(),
            reason: reason.to_string(),
        };
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }
}
