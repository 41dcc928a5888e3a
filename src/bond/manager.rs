//! The programs that manage a host's network, and the places of their configuration files.

use std::fmt;

/// A program that configures bonds and addresses, or the kernel that has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// Netplan's YAML.
    Netplan,
    /// interfaces(5) of ifupdown and ifupdown2.
    Interfaces,
    /// ifcfg files of the initscripts.
    Ifcfg,
    /// ifcfg files of wicked and SUSE.
    Wicked,
    /// NetworkManager's keyfiles.
    NetworkManager,
    /// systemd-networkd's `.netdev` and `.network` files.
    Networkd,
    /// OpenWrt's `/etc/config/network`.
    Uci,
    /// YAML of nmstate.
    Nmstate,
    /// Parameters of dracut on the kernel's command line.
    Cmdline,
    /// The running kernel.
    Sysfs,
}

impl Manager {
    /// All managers, in the order in which they are searched for a device: sources before the files
    /// that generators make of them, and files before the kernel, which has fewer of the settings.
    pub const ALL: [Manager; 10] = [
        Manager::Netplan,
        Manager::Interfaces,
        Manager::Ifcfg,
        Manager::Wicked,
        Manager::NetworkManager,
        Manager::Networkd,
        Manager::Uci,
        Manager::Nmstate,
        Manager::Cmdline,
        Manager::Sysfs,
    ];

    /// Returns the manager with this name.
    pub fn from_name(name: &str) -> Option<Manager> {
        Manager::ALL.into_iter().find(|manager| manager.name() == name)
    }

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Manager::Netplan => "netplan",
            Manager::Interfaces => "interfaces",
            Manager::Ifcfg => "ifcfg",
            Manager::Wicked => "wicked",
            Manager::NetworkManager => "networkmanager",
            Manager::Networkd => "networkd",
            Manager::Uci => "uci",
            Manager::Nmstate => "nmstate",
            Manager::Cmdline => "cmdline",
            Manager::Sysfs => "sysfs",
        }
    }

    /// Returns whether a key describes the file or its handling, not the interface.
    pub fn is_file_metadata(self, key: &str) -> bool {
        let keys: &[&str] = match self {
            Manager::Ifcfg | Manager::Wicked => {
                &["NAME", "UUID", "ONBOOT", "USERCTL", "NM_CONTROLLED", "HOTPLUG", "STARTMODE"]
            }
            Manager::NetworkManager => &[
                "id",
                "uuid",
                "timestamp",
                "permissions",
                "autoconnect",
                "autoconnect-priority",
                "addr-gen-mode",
            ],
            Manager::Networkd => &["Description", "ConfigureWithoutCarrier", "RequiredForOnline"],
            Manager::Netplan => &["renderer", "optional", "critical"],
            Manager::Nmstate => &["profile-name", "description", "uuid"],
            Manager::Interfaces | Manager::Uci | Manager::Cmdline | Manager::Sysfs => &[],
        };
        keys.contains(&key)
    }

    /// Returns whether the model of the bond already has what a setting says. Only files of the same
    /// manager keep such a setting word for word.
    pub fn is_in_model(self, key: &str) -> bool {
        self == Manager::Interfaces && ["iface", "accept_ra", "accept-ra", "dhcp"].contains(&key)
    }

    /// Returns the manager whose files get the addresses of an imported team by default; the kernel
    /// stands for commands.
    pub fn target(self) -> Manager {
        match self {
            Manager::Nmstate => Manager::NetworkManager,
            Manager::Uci | Manager::Cmdline => Manager::Sysfs,
            other => other,
        }
    }

    /// Returns the folder of the operator's files, relative to the root; in sysfs, the folder with one
    /// folder for each interface.
    pub fn folder(self) -> &'static str {
        let folders = self.folders();
        folders.iter().find(|folder| folder.starts_with("etc/")).unwrap_or(&folders[0])
    }

    /// Returns the folders of the configuration files; a file in an earlier folder replaces those of
    /// the same name in later ones.
    pub fn folders(self) -> &'static [&'static str] {
        match self {
            Manager::Netplan => &["run/netplan", "etc/netplan", "usr/lib/netplan", "lib/netplan"],
            Manager::Interfaces => &["etc/network"],
            Manager::Ifcfg => &[
                "etc/sysconfig/network-scripts",
                "run/initramfs/state/etc/sysconfig/network-scripts",
            ],
            Manager::Wicked => &["etc/sysconfig/network"],
            Manager::NetworkManager => &[
                "etc/NetworkManager/system-connections",
                "run/NetworkManager/system-connections",
                "usr/lib/NetworkManager/system-connections",
            ],
            Manager::Networkd => &[
                "etc/systemd/network",
                "run/systemd/network",
                "usr/local/lib/systemd/network",
                "usr/lib/systemd/network",
            ],
            Manager::Uci => &["etc/config"],
            Manager::Nmstate => &["etc/nmstate"],
            Manager::Cmdline => &["proc", "etc/cmdline.d", "etc/kernel"],
            Manager::Sysfs => &["sys/class/net"],
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Manager::Netplan => "netplan",
            Manager::Interfaces => "ifupdown",
            Manager::Ifcfg => "the initscripts",
            Manager::Wicked => "wicked",
            Manager::NetworkManager => "NetworkManager",
            Manager::Networkd => "systemd-networkd",
            Manager::Uci => "netifd",
            Manager::Nmstate => "nmstate",
            Manager::Cmdline => "dracut",
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
    /// Files of a manager; [`Manager::Sysfs`] stands for commands of iproute2.
    Files(Manager),
}

impl Target {
    /// All targets.
    pub const ALL: [Target; 11] = [
        Target::Nmcli,
        Target::Files(Manager::NetworkManager),
        Target::Files(Manager::Networkd),
        Target::Files(Manager::Netplan),
        Target::Files(Manager::Interfaces),
        Target::Files(Manager::Ifcfg),
        Target::Files(Manager::Wicked),
        Target::Files(Manager::Nmstate),
        Target::Files(Manager::Uci),
        Target::Files(Manager::Cmdline),
        Target::Files(Manager::Sysfs),
    ];

    /// Returns the target with this name.
    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Target::Nmcli => "nmcli",
            Target::Files(Manager::Sysfs) => "ip",
            Target::Files(manager) => manager.name(),
        }
    }
}
