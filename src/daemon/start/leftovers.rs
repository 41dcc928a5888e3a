//! Ports of a previous daemon, by its port-state file: the team that takes the device over adopts
//! them, or they are given back. Every start also gives back the ports of daemons whose device was
//! deleted after their end, and sets up the links that followed the device.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::{StartError, StartOptions};
use crate::daemon::device_lock::DeviceLock;
use crate::daemon::kernel::Kernel;
use crate::daemon::team::{AdoptedPort, HeldLinks, restore};
use crate::datapath::PortInterface;
use crate::datapath::ebpf;
use crate::datapath::port_state::PortStateFile;
use crate::errno::strerror;
use crate::netlink::{link, tc};

/// Opens the port-state file, and returns the file and the ports that a device which is taken over
/// adopts; gives the other ports back.
pub(super) fn settle_leftovers(
    kernel: &mut Kernel,
    options: &StartOptions,
    take_over: bool,
) -> Result<(PortStateFile, Vec<AdoptedPort>), StartError> {
    let file = format!("{}.ports", options.device);
    let mut port_state = PortStateFile::open(options.run_dir.join(file));
    let mut adopted = Vec::new();
    for found in port_state.ports().to_vec() {
        if let Some(port) = take_over.then(|| adopted_port(kernel, &found)).flatten() {
            adopted.push(port);
            continue;
        }
        give_back(kernel, &port_state, &found);
        port_state
            .forget(found.ifindex)
            .map_err(|error| StartError::new("Failed to forget old ports.", error))?;
    }
    Ok((port_state, adopted))
}

/// Gives back the ports, and sets up the held links, of all teams that have neither a daemon nor a
/// device.
/// The caller has the lock of the device `own`.
pub(super) fn give_back_orphans(kernel: &mut Kernel, run_dir: &Path, own: &str) {
    let given_back = link::all(&mut kernel.route).and_then(|links| {
        let devices = links.iter().map(|link| link.ifindex).collect();
        for entry in fs::read_dir(run_dir)? {
            let path = entry?.path();
            let device = path.file_stem().and_then(|stem| stem.to_str());
            let is_of = |extension: &str| path.extension() == Some(extension.as_ref());
            if let Some(device) = device.filter(|_| is_of("ports") || is_of("follow")) {
                let is_named = links.iter().any(|link| link.name == device);
                let _lock = match device == own {
                    true => None,
                    false => match DeviceLock::acquire(device) {
                        Ok(lock) => Some(lock),
                        Err(_) => continue,
                    },
                };
                match is_of("ports") {
                    true => give_back_without_device(kernel, &path, is_named, &devices)?,
                    // The team's own daemon decides about its links.
                    false if device == own || is_named => (),
                    false => {
                        let mut held = HeldLinks::open(path);
                        held.keep_present(&mut kernel.route);
                        held.restore_all(&mut kernel.route);
                    }
                }
            }
        }
        // The team driver itself restores its ports, except IPv6.
        let ports = links.iter().filter(|link| link.master.is_none());
        for port in ports {
            let device = kernel.ipv6_disabled_for(&port.name);
            if device.is_some_and(|device| device != 0 && !devices.contains(&device)) {
                kernel.return_ipv6(&port.name, true);
            }
        }
        Ok(())
    });
    if let Err(error) = given_back {
        log::warn!("Failed to look for the ports of former daemons ({}).", strerror(&error));
    }
}

/// Gives back the ports of the file at `path` that are still as their daemon left them, if the
/// device is none of `devices`; `is_named` tells whether one of these has its name.
fn give_back_without_device(
    kernel: &mut Kernel,
    path: &Path,
    is_named: bool,
    devices: &BTreeSet<u32>,
) -> io::Result<()> {
    let mut port_state = PortStateFile::open(path);
    let device = port_state.device();
    let exists = device.ifindex.map_or(is_named, |ifindex| devices.contains(&ifindex));
    if exists || !device.is_here() {
        return Ok(());
    }
    for found in port_state.ports().to_vec() {
        // Without the filters others may use the interface by now.
        if tc::is_host_blocked(&mut kernel.route, found.ifindex).unwrap_or(false) {
            give_back(kernel, &port_state, &found);
        }
        port_state.forget(found.ifindex)?;
    }
    Ok(())
}

/// Returns a previous daemon's port as it is now; `None` if it is no longer as that daemon left it.
fn adopted_port(kernel: &mut Kernel, found: &PortInterface) -> Option<AdoptedPort> {
    let interface = link::fetch(&mut kernel.route, found.ifindex).ok()?;
    let unchanged = interface.name == found.name
        && interface.admin_up
        && interface.master.is_none()
        && tc::is_host_blocked(&mut kernel.route, found.ifindex).ok()?;
    unchanged.then(|| AdoptedPort { interface, found: found.clone() })
}

/// Gives back a port that a daemon which crashed had taken.
fn give_back(kernel: &mut Kernel, port_state: &PortStateFile, found: &PortInterface) {
    // The index may stand for another interface by now.
    let interface = link::fetch(&mut kernel.route, found.ifindex);
    if !interface.is_ok_and(|interface| interface.name == found.name) {
        return;
    }
    log::warn!("{}: giving back the port of a daemon that is gone.", found.name);
    restore(kernel, found);
    kernel.return_ipv6(&found.name, found.ipv6);
    let program = port_state.program(found.ifindex);
    let released = ebpf::clear_port(&mut kernel.route, found, program)
        .and_then(|()| ebpf::keep_alive::clear(&mut kernel.route, found.ifindex))
        .and_then(|()| tc::unblock_host(&mut kernel.route, found.ifindex));
    if let Err(error) = released {
        log::warn!("{}: Failed to remove filters ({}).", found.name, strerror(&error));
    }
}
