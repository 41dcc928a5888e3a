//! The model of a bond that all readers and writers share: options, ports and addresses; and the
//! notes about settings that a conversion changes or loses.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use runners::HwAddr;

use super::manager::Manager;
use super::options::{Opt, Options, Targets};
use super::settings::Setting;

/// Ports that a bond may have here.
const MOST_PORTS: usize = 1024;

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
    /// Files about devices above the bond.
    pub uppers: Vec<Upper>,
    /// Path of the file that defines the bond; empty for a bond of the kernel.
    pub file: String,
}

impl Bond {
    /// Returns the name of the primary port; `None` if the option names no port of the bond.
    pub fn primary(&self) -> Option<&str> {
        let name = self.options.get(Opt::Primary);
        let port = self.ports.iter().find(|port| port.name == name)?;
        self.options.is_changed(Opt::Primary).then_some(&port.name)
    }

    /// Removes the ports whose names a file or a shell could take for syntax, with a note for each.
    pub fn drop_unsafe_names(&mut self, notes: &mut Notes) {
        self.ports.retain(|port| {
            let fits = super::is_interface_name(&port.name);
            if !fits {
                notes.lost(
                    format_args!("port {:?}", port.name),
                    "a file would not read its name as a name; give the interface another one",
                );
            }
            fits
        });
    }

    /// Removes values that no device can have, with a note for each: a group's hardware address, an
    /// address without a valid prefix length, and options that the driver refuses in the mode.
    pub fn drop_invalid(&mut self, notes: &mut Notes) {
        let file = self.file.as_str();
        let network = &mut self.network;
        let is_group = |hwaddr: &String| hwaddr.parse().is_ok_and(HwAddr::is_multicast);
        if let Some(hwaddr) = network.hwaddr.take_if(|hwaddr| is_group(hwaddr)) {
            let subject = format!("{file}: hardware address {hwaddr}");
            notes.lost(subject, "an address of a group, which no device has");
        }
        for addressing in [&mut network.ipv4, &mut network.ipv6] {
            addressing.addresses.retain(|address| {
                let fits = is_address(address);
                if !fits {
                    let subject = format!("{file}: address {address}");
                    notes.lost(subject, "no IP address with a valid mask or prefix length");
                }
                fits
            });
        }
        for (row, value) in self.options.take_refused() {
            let mode = self.options.get(Opt::Mode);
            notes.lost(
                format_args!("{file}: {}={value}", row.name),
                format_args!("the driver refuses the option in mode {mode}"),
            );
        }
    }

    /// Sets an option by the driver's name, with a note if the driver refuses the value, and for each
    /// address that cannot be asked.
    pub fn set_option(&mut self, name: &str, value: &str, notes: &mut Notes) {
        let targets = Targets::of(name).map(|targets| targets.sort(value));
        let value = match &targets {
            Some((usable, refused)) => {
                for (address, reason) in refused {
                    notes.lost(format_args!("{name}={address}"), reason);
                }
                usable
            }
            None => value,
        };
        if let Err(error) = self.options.set(name, value) {
            notes.lost(format_args!("{name}={value}"), error);
        }
    }

    /// Adds a port, with a note if the name is that of the bond or of another port, or if there are too
    /// many ports.
    pub fn add_port(&mut self, port: BondPort, file: &str, notes: &mut Notes) {
        if port.name == self.name {
            notes.lost(format_args!("{file}: port {}", port.name), "the bond is no port of itself");
            return;
        }
        if self.ports.len() == MOST_PORTS {
            notes.lost(format_args!("{file}: ports"), format_args!("more than {MOST_PORTS}"));
            return;
        }
        match self.ports.iter().any(|known| known.name == port.name) {
            true => notes.lost(
                format_args!("{file}: port {}", port.name),
                "another file is about the same port; only that one is read",
            ),
            false => self.ports.push(port),
        }
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
    /// `actor_port_prio`; `None` for the driver's default.
    pub actor_port_prio: Option<u16>,
    /// All other settings in the file of the port.
    pub other_settings: Vec<Setting>,
}

impl BondPort {
    /// Returns a port without settings.
    pub fn new(name: &str) -> BondPort {
        BondPort { name: name.to_owned(), ..BondPort::default() }
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
    /// Whether DHCPv6 is asked, also without a router's advertisement.
    pub dhcpv6: bool,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// The bridge that has the device as a port.
    pub bridge: Option<String>,
    /// All other settings in the file of the device.
    pub other_settings: Vec<Setting>,
}

impl Network {
    /// Returns the addresses of the IP version of `address`.
    pub fn by_version(&mut self, address: &str) -> &mut Addressing {
        if address.contains(':') { &mut self.ipv6 } else { &mut self.ipv4 }
    }

    /// Returns the addresses of the IP version of `address`.
    pub fn by_family(&self, address: IpAddr) -> &Addressing {
        if address.is_ipv6() { &self.ipv6 } else { &self.ipv4 }
    }
}

/// Returns an address with its prefix length, from a number or a mask of dotted decimals. An invalid
/// mask stays, so that [`Bond::drop_invalid`] names it.
pub fn with_prefix_len(address: &str, mask: &str) -> String {
    let bits = mask.parse::<Ipv4Addr>().map(u32::from);
    match bits {
        Ok(bits) if bits.leading_ones() == bits.count_ones() => {
            format!("{address}/{}", bits.count_ones())
        }
        _ => format!("{address}/{mask}"),
    }
}

/// Returns the mask of a prefix length as dotted decimals.
pub fn network_mask(prefix_len: u8) -> String {
    let host = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
    Ipv4Addr::from(!host).to_string()
}

/// Returns whether `text` is an IP address, alone or with a possible prefix length.
fn is_address(text: &str) -> bool {
    let (address, prefix_len) = text.split_once('/').unwrap_or((text, "0"));
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    prefix_len.parse::<u8>().is_ok_and(|prefix_len| prefix_len <= most)
}

/// Returns the words of `text`.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_ascii_whitespace().map(str::to_owned)
}

/// Returns the first `prefix_len` bits of an address.
pub fn network_of(address: IpAddr, prefix_len: u8) -> IpAddr {
    let length = u32::from(prefix_len);
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & !host).into()
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & !host).into()
        }
    }
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

/// A file about a device above the bond, such as a VLAN or a bridge, or about routes. The file refers
/// to the bond by its name and stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upper {
    /// Path of the file.
    pub file: String,
    /// Subject of the file, such as `bond0.100`.
    pub name: String,
    /// VLAN id of the frames, without a tag `None`.
    pub vlan: Option<u16>,
    /// Addresses with their prefix lengths.
    pub addresses: Vec<String>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The result behaves almost like the original.
    Approximated,
    /// The result lacks the setting.
    Lost,
}

/// A setting that a conversion changes or loses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
pub struct Notes {
    notes: Vec<Note>,
    known: BTreeSet<Note>,
}

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
            let manager = setting.manager;
            let is_silent =
                manager.is_file_metadata(&setting.key) || manager.is_in_model(&setting.key);
            if Some(manager) != writer && !is_silent {
                self.lost(setting, format_args!("only {manager} understands it"));
            }
        }
    }

    /// Returns whether any setting is lost.
    pub fn any_lost(&self) -> bool {
        self.notes.iter().any(|note| note.severity == Severity::Lost)
    }

    /// Returns the notes.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter()
    }

    /// Adds the notes of another conversion.
    pub fn extend(&mut self, others: Notes) {
        for note in others.notes {
            self.add(note.severity, note.subject, note.reason);
        }
    }

    /// Adds a note, unless the same note is there already.
    fn add(&mut self, severity: Severity, subject: impl fmt::Display, reason: impl fmt::Display) {
        let note = Note { severity, subject: subject.to_string(), reason: reason.to_string() };
        if self.known.insert(note.clone()) {
            self.notes.push(note);
        }
    }
}
