//! The programs that manage a host's network, and the places of their configuration files.

use std::fmt;

/// A program that configures bonds and addresses, or the kernel that has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// ifcfg files of the initscripts.
    Ifcfg,
    /// NetworkManager's keyfiles.
    NetworkManager,
    /// systemd-networkd's `.netdev` and `.network` files.
    Networkd,
    /// The running kernel.
    Sysfs,
}

impl Manager {
    /// All managers, in the order in which they are searched for a device: files before the kernel,
    /// which has fewer of the settings.
    pub const ALL: [Manager; 4] = [
        Manager::Ifcfg,
        Manager::NetworkManager,
        Manager::Networkd,
        Manager::Sysfs,
    ];

    /// Returns the manager with this name.
    pub fn from_name(name: &str) -> Option<Manager> {
        Manager::ALL
            .into_iter()
            .find(|manager| manager.name() == name)
    }

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Manager::Ifcfg => "ifcfg",
            Manager::NetworkManager => "networkmanager",
            Manager::Networkd => "networkd",
            Manager::Sysfs => "sysfs",
        }
    }

    /// Returns whether a key describes the file or its handling, not the interface.
    pub fn is_file_metadata(self, key: &str) -> bool {
        let keys: &[&str] = match self {
            Manager::Ifcfg => &[
                "NAME",
                "UUID",
                "ONBOOT",
                "USERCTL",
                "NM_CONTROLLED",
                "HOTPLUG",
                "STARTMODE",
            ],
            Manager::NetworkManager => &[
                "id",
                "uuid",
                "timestamp",
                "permissions",
                "autoconnect",
                "autoconnect-priority",
                "addr-gen-mode",
            ],
            Manager::Networkd => &[
                "Description",
                "ConfigureWithoutCarrier",
                "RequiredForOnline",
            ],
            Manager::Sysfs => &[],
        };
        keys.contains(&key)
    }

    /// Returns the folder of the configuration files, relative to the root; in sysfs, the folder with
    /// one folder for each interface.
    pub fn folder(self) -> &'static str {
        match self {
            Manager::Ifcfg => "etc/sysconfig/network-scripts",
            Manager::NetworkManager => "etc/NetworkManager/system-connections",
            Manager::Networkd => "etc/systemd/network",
            Manager::Sysfs => "sys/class/net",
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Manager::Ifcfg => "the initscripts",
            Manager::NetworkManager => "NetworkManager",
            Manager::Networkd => "systemd-networkd",
            Manager::Sysfs => "the kernel",
        })
    }
}

/// The kind of device that a reader looks for or a writer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A bond.
    Bond,
    /// A team, or the device with the addresses of a team.
    Team,
}

/// The format of an exported bond.
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
    /// All targets.
    pub const ALL: [Target; 3] = [Target::Nmcli, Target::Networkd, Target::Ifcfg];

    /// Returns the target with this name.
    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Target::Nmcli => "nmcli",
            Target::Networkd => "networkd",
            Target::Ifcfg => "ifcfg",
        }
    }
}
