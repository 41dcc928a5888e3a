//! A NetworkManager of a test's own, on a host of a lab.

use std::fs;
use std::path::Path;

use crate::bus::Bus;
use crate::lab::skip;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_until;

/// What a host without udev, systemd and polkit needs.
const CONFIG: &str = "[main]\nplugins=keyfile\nno-auto-default=*\ndns=none\nauth-polkit=false\n\
    [logging]\nlevel=INFO\n";

/// Policies of others, and NetworkManager's dispatcher, which the bus starts.
const SERVICES: &str = "<includedir>/usr/share/dbus-1/system.d</includedir>\
    <servicedir>/usr/share/dbus-1/system-services</servicedir>";

/// NetworkManager and its bus. What its dispatcher has started is ended with the host.
pub struct NetworkManager {
    process: Process,
    _bus: Bus,
}

impl NetworkManager {
    /// Starts it with `more` configuration on a host, which gets an `/etc` of its own for it that
    /// `furnish` may change; none, with a word of it, where there is no NetworkManager.
    pub fn start(
        host: &Namespace,
        more: &str,
        furnish: impl FnOnce(&Namespace),
    ) -> Option<NetworkManager> {
        for program in ["/usr/sbin/NetworkManager", "/usr/bin/nmcli"] {
            if !Path::new(program).exists() {
                skip(&format!(
                    "no {program} here (Debian package network-manager)"
                ));
                return None;
            }
        }
        // What only root of the whole machine may read is left out.
        host.try_run("cp -a /etc /run/etc");
        for line in [
            "mount --bind /run/etc /etc",
            "mount -t tmpfs tmpfs /var/lib/NetworkManager",
            // It sets a bond's options there.
            "mount --bind /sys/devices/virtual/net /sys/devices/virtual/net",
            // Without udev, as in a container, which is known by this.
            "mount -o remount,bind,ro /sys",
            "rm -rf /etc/NetworkManager",
            "mkdir -p /etc/NetworkManager/system-connections /run/dbus /run/NetworkManager",
        ] {
            host.run(line);
        }
        furnish(host);
        let bus = Bus::start_with(host, SERVICES)?;
        let socket = bus.address().trim_start_matches("unix:path=");
        host.run(&format!("ln -s {socket} /run/dbus/system_bus_socket"));
        let config = host.folder().join("NetworkManager.conf");
        fs::write(&config, format!("{CONFIG}{more}")).expect("write a configuration");
        let mut manager = host.command("/usr/sbin/NetworkManager");
        manager.arg("--debug").arg("--config").arg(config);
        let process = Process::start("NetworkManager", host.folder(), manager);
        wait_until("NetworkManager to run", || {
            let said = host.try_run("nmcli --terse --fields RUNNING general");
            said.stdout == b"running\n"
        });
        Some(NetworkManager { process, _bus: bus })
    }

    /// Whether it runs still.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
