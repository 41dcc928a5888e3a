//! Ports of a previous daemon, by its port-state file: the team that takes the device over adopts
//! them, or they are given back.

use std::io;

use super::{StartError, StartOptions};
use crate::daemon::kernel::Kernel;
use crate::daemon::team::{AdoptedPort, restore, return_ipv6};
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
    let mut left = port_state.ports().to_vec();
    if take_over {
        left.retain(|found| match adopted_port(kernel, found) {
            Some(port) => {
                adopted.push(port);
                false
            }
            None => true,
        });
    }
    give_back_leftovers(kernel, &mut port_state, &left)
        .map_err(|error| StartError::new("Failed to forget old ports.", error))?;
    Ok((port_state, adopted))
}

/// Returns a previous daemon's port as it is now; `None` if it is no longer as that daemon left it.
fn adopted_port(kernel: &mut Kernel, found: &PortInterface) -> Option<AdoptedPort> {
    let interface = link::fetch(&mut kernel.route, found.ifindex).ok()?;
    let unchanged = interface.name == found.name
        && interface.admin_up
        && interface.master.is_none()
        && tc::is_host_blocked(&mut kernel.route, found.ifindex).ok()?;
    unchanged.then(|| AdoptedPort {
        interface,
        found: found.clone(),
    })
}

/// Gives back the ports `left`, which a daemon that crashed had taken.
fn give_back_leftovers(
    kernel: &mut Kernel,
    port_state: &mut PortStateFile,
    left: &[PortInterface],
) -> io::Result<()> {
    for found in left {
        // The index may stand for another interface by now.
        let same = link::fetch(&mut kernel.route, found.ifindex)
            .is_ok_and(|interface| interface.name == found.name);
        if same {
            log::warn!(
                "{}: giving back the port of a daemon that is gone.",
                found.name
            );
            restore(kernel, found);
            return_ipv6(kernel, &found.name, found.ipv6);
            let program = port_state.program(found.ifindex);
            let released = ebpf::clear_port(&mut kernel.route, found, program)
                .and_then(|()| tc::unblock_host(&mut kernel.route, found.ifindex));
            if let Err(error) = released {
                log::warn!(
                    "{}: Failed to remove filters ({}).",
                    found.name,
                    strerror(&error)
                );
            }
        }
        port_state.forget(found.ifindex)?;
    }
    Ok(())
}
