//! A NetworkManager for one test, on a host of a lab.

use std::fs;
use std::path::Path;

use crate::bus::Bus;
use crate::lab::skip;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_until;

/// Configuration for a host without udev, systemd and polkit.
const CONFIG: &str = "[main]\nplugins=keyfile\nno-auto-default=*\ndns=none\nauth-polkit=false\n\
    [logging]\nlevel=INFO\n";

/// The bus policies of installed services, and NetworkManager's dispatcher, which the bus starts.
const SERVICES: &str = "<includedir>/usr/share/dbus-1/system.d</includedir>\
    <servicedir>/usr/share/dbus-1/system-services</servicedir>";

/// NetworkManager and its bus. Processes that its dispatcher started end with the host.
pub struct NetworkManager {
    process: Process,
    _bus: Bus,
}

impl NetworkManager {
    /// Starts NetworkManager with `more` configuration on a host. The host gets its own copy of
    /// `/etc`, which `furnish` may change. Skips the test and returns `None` if NetworkManager is
    /// not installed.
    pub fn start(
        host: &Namespace,
        more: &str,
        furnish: impl FnOnce(&Namespace),
    ) -> Option<NetworkManager> {
        for program in ["/usr/sbin/NetworkManager", "/usr/bin/nmcli"] {
            if !Path::new(program).exists() {
                skip(&format!("no {program} here (Debian package network-manager)"));
                return None;
            }
        }
        // Files that only root of the whole machine may read are left out.
        host.try_run("cp -a /etc /run/etc");
        for line in [
            "mount --bind /run/etc /etc",
            "mount -t tmpfs tmpfs /var/lib/NetworkManager",
            // NetworkManager sets bond options there.
            "mount --bind /sys/devices/virtual/net /sys/devices/virtual/net",
            // NetworkManager takes a read-only /sys as a sign of a container without udev.
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
            let output = host.try_run("nmcli --terse --fields RUNNING general");
            output.stdout == b"running\n"
        });
        Some(NetworkManager { process, _bus: bus })
    }

    /// Whether NetworkManager still runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
