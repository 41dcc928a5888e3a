//! The commands that switch a host between a bond and a team, and the unit that returns to the bond.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::netlink::GenericSocket;
use crate::netlink::genl::Family;
use crate::sys::clock;
use crate::sys::process::{self, Disposition};

/// The program that makes the bond and its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keeper {
    /// ifupdown: its hook starts the team.
    Ifupdown,
    /// ifupdown2, which sets addresses before its hooks: the team's unit starts the team.
    Ifupdown2,
    /// systemd-networkd: the team's unit starts the team.
    Networkd,
    /// NetworkManager, which starts the team.
    NetworkManager,
}

/// Folders of units.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// NetworkManager's records of devices, by the index of the interface.
const MANAGER_RECORDS: &str = "/run/NetworkManager/devices";
/// Time in which NetworkManager starts a team.
const START: Duration = Duration::from_secs(45);
/// Pause between two attempts of the command of `--until`.
const PAUSE: Duration = Duration::from_secs(1);

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Keeper::Ifupdown => "ifupdown",
            Keeper::Ifupdown2 => "ifupdown2",
            Keeper::Networkd => "systemd-networkd",
            Keeper::NetworkManager => "NetworkManager",
        })
    }
}

impl Keeper {
    /// Takes the bond down, by the old files.
    ///
    /// # Errors
    /// A command failed.
    pub fn take_down(self, bond: &str, ports: &[String]) -> Result<(), String> {
        match self {
            Keeper::Ifupdown | Keeper::Ifupdown2 => take_down_interfaces()?,
            Keeper::Networkd => networkd("stop")?,
            Keeper::NetworkManager => stop_network_manager(ports)?,
        }
        remove(bond)
    }

    /// Starts the team and its manager, by the new files.
    ///
    /// # Errors
    /// A command failed.
    pub fn bring_up_team(self, device: &str) -> Result<(), String> {
        match self {
            Keeper::Ifupdown => bring_up_interfaces(),
            Keeper::Ifupdown2 => {
                run(&["systemctl", "daemon-reload"])?;
                start_unit(device)?;
                bring_up_interfaces()
            }
            Keeper::Networkd => {
                start_unit(device)?;
                networkd("start")
            }
            Keeper::NetworkManager => {
                start_network_manager()?;
                match succeeds_within(&format!("teamr -e -t {device}"), START) {
                    true => Ok(()),
                    false => Err("NetworkManager has not started the team.".to_owned()),
                }
            }
        }
    }

    /// Takes the team down, by the new files, or the bond, if the team has not come up.
    ///
    /// # Errors
    /// A command failed.
    pub fn take_down_team(self, device: &str, ports: &[String]) -> Result<(), String> {
        match self {
            Keeper::Ifupdown => {
                take_down_interfaces()?;
                // A hook that failed leaves the team.
                run(&["systemctl", "stop", &team_unit(device)])?;
            }
            Keeper::Ifupdown2 => {
                take_down_interfaces()?;
                run(&["systemctl", "disable", "--now", &team_unit(device)])?;
            }
            Keeper::Networkd => {
                networkd("stop")?;
                run(&["systemctl", "disable", "--now", &team_unit(device)])?;
            }
            Keeper::NetworkManager => {
                stop_network_manager(ports)?;
                // NetworkManager leaves devices and their daemons in place.
                let _ = run(&["teamr", "-k", "-t", device]);
            }
        }
        remove(device)
    }

    /// Makes the bond, by the old files.
    ///
    /// # Errors
    /// A command failed.
    pub fn bring_up_bond(self) -> Result<(), String> {
        match self {
            Keeper::Ifupdown | Keeper::Ifupdown2 => bring_up_interfaces(),
            Keeper::Networkd => networkd("start"),
            Keeper::NetworkManager => start_network_manager(),
        }
    }
}

/// Starts the team's unit, now and at each boot.
fn start_unit(device: &str) -> Result<(), String> {
    ["enable", "start"]
        .into_iter()
        .try_for_each(|action| run(&["systemctl", action, &team_unit(device)]))
}

/// Starts ifupdown at once: the unit that returns to the bond is ordered before ifupdown, which would
/// wait for the end of that unit.
fn bring_up_interfaces() -> Result<(), String> {
    run(&["systemctl", "start", "--job-mode=ignore-dependencies", "networking.service"])
}

fn take_down_interfaces() -> Result<(), String> {
    run(&["systemctl", "stop", "networking.service"])?;
    // systemd does not stop a unit whose start failed. ifupdown2 fails where nothing is up.
    let _ = run(&["ifdown", "--all", "--exclude=lo"]);
    Ok(())
}

/// Starts or stops networkd with its socket. A running socket would queue events of deleted devices
/// for the next start.
fn networkd(action: &str) -> Result<(), String> {
    run(&["systemctl", action, "systemd-networkd.socket", "systemd-networkd.service"])
}

fn start_network_manager() -> Result<(), String> {
    run(&["systemctl", "start", "NetworkManager.service"])
}

/// Stops NetworkManager, and lets it forget the ports: by its records, the next start would take the
/// profile of a port for active, without the device above it.
fn stop_network_manager(ports: &[String]) -> Result<(), String> {
    run(&["systemctl", "stop", "NetworkManager.service"])?;
    for port in ports {
        let index = fs::read_to_string(Path::new("/sys/class/net").join(port).join("ifindex"));
        let record = index.map(|index| Path::new(MANAGER_RECORDS).join(index.trim()));
        // A port without a record is forgotten.
        let _ = record.and_then(fs::remove_file);
    }
    Ok(())
}

/// Makes the files of networkd or NetworkManager anew of netplan's.
///
/// # Errors
/// netplan refuses its files.
pub fn run_netplan() -> Result<(), String> {
    run(&["netplan", "generate"])
}

fn team_unit(device: &str) -> String {
    format!("teamr@{device}.service")
}

fn return_unit(device: &str) -> String {
    format!("teamr-return@{device}.service")
}

/// Deletes the bond or the team, if there is one; its ports are then free, and down.
fn remove(device: &str) -> Result<(), String> {
    let is_there = Path::new("/sys/devices/virtual/net").join(device).exists();
    if is_there { run(&["ip", "link", "delete", "dev", device]) } else { Ok(()) }
}

/// # Errors
/// systemd does not run here, or lacks the units of the package.
pub fn require_units() -> Result<(), String> {
    if !Path::new("/run/systemd/system").exists() {
        return Err("--apply needs systemd, which does not run here.".to_owned());
    }
    let missing = ["teamr@.service", "teamr-return@.service"]
        .into_iter()
        .find(|unit| !UNITS.iter().any(|folder| Path::new(folder).join(unit).exists()));
    match missing {
        Some(unit) => Err(format!("--apply needs {unit}; install the package of teamr.")),
        None => Ok(()),
    }
}

/// # Errors
/// NetworkManager lacks its plugin for teams, or the kernel its team driver.
pub fn require_teams_of_network_manager() -> Result<(), String> {
    let entries = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    // Debian's folders of libraries are below /usr/lib.
    let libraries = ["/usr/lib", "/usr/lib64"].map(PathBuf::from).into_iter();
    let libraries = libraries.chain(entries(Path::new("/usr/lib")));
    let mut versions = libraries.flat_map(|folder| entries(&folder.join("NetworkManager")));
    if !versions.any(|version| version.join("libnm-device-plugin-team.so").exists()) {
        return Err(
            "NetworkManager has no plugin for teams here (package NetworkManager-team); see \
                    teamrctl-import(8)."
                .to_owned(),
        );
    }
    match run(&["modprobe", "--quiet", "team"]).is_ok() || has_team_driver() {
        true => Ok(()),
        false => Err("NetworkManager makes teams with the kernel's team driver alone, which this \
                      kernel lacks; see teamrctl-import(8)."
            .to_owned()),
    }
}

/// Whether the kernel has the team driver now, as a module or built in.
fn has_team_driver() -> bool {
    let driver = GenericSocket::open()
        .and_then(|mut socket| Family::resolve(&mut socket, crate::netlink::team::FAMILY));
    driver.is_ok()
}

/// Makes the bond return after `time`, and at the next boot.
///
/// # Errors
/// systemd refuses the units; nothing is armed then.
pub fn arm(device: &str, time: Duration) -> Result<(), String> {
    let unit = return_unit(device);
    run(&["systemctl", "enable", &unit])?;
    let at = format!("--on-active={}s", time.as_secs());
    // A timer of an earlier trial may be there still.
    let _ = run(&["systemctl", "stop", &timer(device)]);
    let args = ["--quiet", "--timer-property=AccuracySec=100ms"];
    run(&["systemd-run", args[0], args[1], &at, &format!("--unit={unit}")])
}

/// Keeps the bond from returning by itself.
pub fn disarm(device: &str) {
    // A timer that has run out is no unit any more. The unit does nothing without a trial, so that
    // a failure has no effect.
    let _ = run(&["systemctl", "stop", &timer(device)]);
    let _ = run(&["systemctl", "disable", &return_unit(device)]);
}

fn timer(device: &str) -> String {
    format!("teamr-return@{device}.timer")
}

/// Takes the start of the team out of a boot that has not reached it.
pub fn cancel_start(device: &str) {
    for args in [&["disable"][..], &["stop", "--no-block"]] {
        let _ = run(&[&["systemctl"], args, &[&team_unit(device)]].concat());
    }
}

/// Lets this process and its commands go on when the terminal ends.
pub fn ignore_hangup() {
    let _ = process::set_disposition(Signal::SIGHUP, Disposition::Ignore);
}

/// Returns whether a shell command succeeds within `time`; the command runs each second.
pub fn succeeds_within(command: &str, time: Duration) -> bool {
    let end = clock::monotonic() + time;
    while clock::monotonic() < end {
        let status = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).status();
        if status.is_ok_and(|status| status.success()) {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// Runs a command to its end.
fn run(words: &[&str]) -> Result<(), String> {
    let [program, args @ ..] = words else {
        return Ok(());
    };
    let failed = |why: &str| format!("\"{}\" failed: {why}.", words.join(" "));
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let why = stderr.trim().lines().last().unwrap_or("without a message").trim_end_matches('.');
    Err(failed(why))
}
