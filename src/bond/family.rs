//! Who keeps the configuration of a host's network, and so where a bond is found and a team's
//! addresses go.

use std::fmt;

/// Where a bond is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ifcfg files of the initscripts.
    Ifcfg,
    /// NetworkManager's keyfiles.
    NetworkManager,
    /// systemd-networkd's `.netdev` and `.network` files.
    Networkd,
    /// The running kernel.
    Sysfs,
}

impl Family {
    /// All, in the order in which they are tried: files say more than the kernel.
    pub const ALL: [Family; 4] = [
        Family::Ifcfg,
        Family::NetworkManager,
        Family::Networkd,
        Family::Sysfs,
    ];

    /// The one that a word of the command line names.
    pub fn from_name(name: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Family::Ifcfg => "ifcfg",
            Family::NetworkManager => "networkmanager",
            Family::Networkd => "networkd",
            Family::Sysfs => "sysfs",
        }
    }

    /// Whether a key is about the file and its handling, not about the interface.
    pub fn is_housekeeping(self, key: &str) -> bool {
        let keys: &[&str] = match self {
            Family::Ifcfg => &[
                "NAME",
                "UUID",
                "ONBOOT",
                "USERCTL",
                "NM_CONTROLLED",
                "HOTPLUG",
                "STARTMODE",
            ],
            Family::NetworkManager => &[
                "id",
                "uuid",
                "timestamp",
                "permissions",
                "autoconnect",
                "autoconnect-priority",
                "addr-gen-mode",
            ],
            Family::Networkd => &[
                "Description",
                "ConfigureWithoutCarrier",
                "RequiredForOnline",
            ],
            Family::Sysfs => &[],
        };
        keys.contains(&key)
    }

    /// Where its files are, below the root; sysfs has a folder a bond.
    pub fn folder(self) -> &'static str {
        match self {
            Family::Ifcfg => "etc/sysconfig/network-scripts",
            Family::NetworkManager => "etc/NetworkManager/system-connections",
            Family::Networkd => "etc/systemd/network",
            Family::Sysfs => "sys/class/net",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ifcfg => "the initscripts",
            Family::NetworkManager => "NetworkManager",
            Family::Networkd => "systemd-networkd",
            Family::Sysfs => "the kernel",
        })
    }
}

/// Which of the two a file is to be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A bond.
    Bond,
    /// A team, or whatever carries its addresses.
    Team,
}

/// What a bond is exported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Commands for NetworkManager.
    Nmcli,
    /// Files for systemd-networkd.
    Networkd,
    /// ifcfg files.
    Ifcfg,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 3] = [Target::Nmcli, Target::Networkd, Target::Ifcfg];

    /// The one that a word of the command line names.
    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Target::Nmcli => "nmcli",
            Target::Networkd => "networkd",
            Target::Ifcfg => "ifcfg",
        }
    }
}
