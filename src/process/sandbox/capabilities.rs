//! The capabilities that a running daemon keeps (capabilities(7)).

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// CAP_NET_ADMIN for links, addresses, filters, the team driver's options and `/proc/sys/net`;
/// CAP_NET_RAW for the packet sockets of ports that are added later.
const KEPT: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// For programs in the kernel. Without CAP_PERFMON the verifier also follows speculative execution,
/// and gives up on the flow hash. The filter of system calls forbids the other uses of
/// CAP_PERFMON.
const FOR_PROGRAMS: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_PERFMON];

/// Drops all capabilities but the needed ones; adds none.
pub(super) fn reduce(loads_programs: bool) -> Result<(), CapsError> {
    let programs = FOR_PROGRAMS.into_iter().filter(|_| loads_programs);
    let kept: CapsHashSet = KEPT.into_iter().chain(programs).collect();
    // Changing the bounding set needs CAP_SETPCAP. The set has no effect without exec.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::runtime::thread_all_supported() {
            if !kept.contains(&capability) && caps::has_cap(None, CapSet::Bounding, capability)? {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
    }
    if caps::runtime::ambient_set_supported().is_ok() {
        caps::clear(None, CapSet::Ambient)?;
    }
    caps::clear(None, CapSet::Inheritable)?;
    for set in [CapSet::Effective, CapSet::Permitted] {
        let ours = caps::read(None, set)?;
        caps::set(None, set, &ours.intersection(&kept).copied().collect())?;
    }
    Ok(())
}
