//! Ports that a daemon which is gone had taken, by the note on them: they stand in the team that is
//! taken over, or are given back.

use std::io;

use super::{StartError, StartOptions};
use crate::daemon::kernel::Kernel;
use crate::daemon::team::{Standing, restore, return_ipv6};
use crate::datapath::PortInterface;
use crate::datapath::ebpf;
use crate::datapath::port_state::Journal;
use crate::errno::strerror;
use crate::netlink::{link, tc};

/// The note on the ports, and those in it that go on with a device that is taken over; the
/// others are given back.
pub(super) fn settle_leftovers(
    kernel: &mut Kernel,
    options: &StartOptions,
    take_over: bool,
) -> Result<(Journal, Vec<Standing>), StartError> {
    let file = format!("{}.ports", options.device);
    let mut journal = Journal::open(options.run_dir.join(file));
    let mut standing = Vec::new();
    let mut left = journal.ports().to_vec();
    if take_over {
        left.retain(|found| match standing_port(kernel, found) {
            Some(port) => {
                standing.push(port);
                false
            }
            None => true,
        });
    }
    give_back_leftovers(kernel, &mut journal, &left)
        .map_err(|error| StartError::new("Failed to forget old ports.", error))?;
    Ok((journal, standing))
}

/// A port that a daemon which is gone left in the team, as it is now.
fn standing_port(kernel: &mut Kernel, found: &PortInterface) -> Option<Standing> {
    let interface = link::fetch(&mut kernel.route, found.ifindex).ok()?;
    let stands = interface.name == found.name
        && interface.admin_up
        && interface.master.is_none()
        && tc::is_host_blocked(&mut kernel.route, found.ifindex).ok()?;
    stands.then(|| Standing {
        interface,
        found: found.clone(),
    })
}

/// Gives back those of the ports `left` that a daemon that ended without notice had taken.
fn give_back_leftovers(
    kernel: &mut Kernel,
    journal: &mut Journal,
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
            let program = journal.traces().programs.get(&found.ifindex).copied();
            let released = ebpf::clear(&mut kernel.route, found, program)
                .and_then(|()| tc::unblock_host(&mut kernel.route, found.ifindex));
            if let Err(error) = released {
                log::warn!(
                    "{}: Failed to remove filters ({}).",
                    found.name,
                    strerror(&error)
                );
            }
        }
        journal.forget(found.ifindex)?;
    }
    Ok(())
}
