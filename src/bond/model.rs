//! A bond, wherever it was found: its options, its ports, and what is needed to keep its
//! addresses.

use std::fmt;

use super::family::Family;
use super::options::{Opt, Options};

/// A bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    /// Interface name.
    pub name: String,
    /// The driver's options.
    pub options: Options,
    /// In the order in which they join.
    pub ports: Vec<BondPort>,
    /// Addresses and their like.
    pub network: Network,
}

impl Bond {
    /// The port that is preferred to all others.
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
    /// `prio`: higher is preferred; 0 is the driver's default.
    pub prio: i32,
    /// `queue_id`; 0 is none.
    pub queue_id: u16,
    /// What its file says beyond that.
    pub rest: Vec<Setting>,
}

impl BondPort {
    /// A port without settings of its own.
    pub fn new(name: &str) -> BondPort {
        BondPort {
            name: name.to_owned(),
            ..BondPort::default()
        }
    }
}

/// What the host has on top of the bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// An address that was set by hand; a bond and a team take their first port's else.
    pub hwaddr: Option<String>,
    /// In bytes.
    pub mtu: Option<u32>,
    /// IPv4; automatic is DHCP.
    pub ipv4: Addressing,
    /// IPv6; automatic is by router advertisements.
    pub ipv6: Addressing,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// What the bond's file says beyond that.
    pub rest: Vec<Setting>,
}

/// Where the addresses of one IP version are from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressing {
    /// Somebody gives them.
    pub automatic: bool,
    /// Given here, each with its prefix length.
    pub addresses: Vec<String>,
    /// The default gateway.
    pub gateway: Option<String>,
}

/// A setting that only the family it was found in understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whose it is.
    pub family: Family,
    /// Section; empty in a family without sections.
    pub section: String,
    /// Which of several sections of this name, from 0.
    pub occurrence: usize,
    /// Key.
    pub key: String,
    /// Value as it stands in the file.
    pub value: String,
}

/// A file, or commands to be run, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFile {
    /// Bare name.
    pub name: String,
    /// Its text, with the last newline.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Something near is done instead.
    Approximated,
    /// It is gone.
    Lost,
}

/// What does not come out as it went in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How bad.
    pub weight: Weight,
    /// The option or key, with its value.
    pub what: String,
    /// Why, and what happens instead.
    pub why: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Approximated => "approximated",
            Weight::Lost => "lost",
        };
        write!(f, "{weight}: {}: {}", self.what, self.why)
    }
}

/// All that does not come out as it went in, in the order of finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<Note>);

impl Notes {
    /// Something is gone.
    pub fn lost(&mut self, what: impl fmt::Display, why: impl fmt::Display) {
        self.add(Weight::Lost, what, why);
    }

    /// Something near is done instead.
    pub fn approximated(&mut self, what: impl fmt::Display, why: impl fmt::Display) {
        self.add(Weight::Approximated, what, why);
    }

    /// Settings that `writer` does not understand.
    pub fn foreign(&mut self, settings: &[Setting], writer: Option<Family>) {
        for setting in settings {
            let Setting {
                family,
                section,
                key,
                value,
                ..
            } = setting;
            if Some(*family) != writer && !family.is_housekeeping(key) {
                let what = match section.is_empty() {
                    true => format!("{key}={value}"),
                    false => format!("[{section}] {key}={value}"),
                };
                self.lost(what, format!("only {family} understands it"));
            }
        }
    }

    /// Whether anything is gone.
    pub fn any_lost(&self) -> bool {
        self.0.iter().any(|note| note.weight == Weight::Lost)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter()
    }

    /// The same note twice says nothing more.
    fn add(&mut self, weight: Weight, what: impl fmt::Display, why: impl fmt::Display) {
        let note = Note {
            weight,
            what: what.to_string(),
            why: why.to_string(),
        };
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }
}
