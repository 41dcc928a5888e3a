//! The capabilities that a running daemon keeps (capabilities(7)).

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// Links, addresses, filters, the team driver's options and `/proc/sys/net` need the first,
/// packet sockets for ports that come later the second.
const KEPT: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// For programs in the kernel: without the second the verifier also follows what a processor
/// might only guess, and gives up on the flow hash. What else that permits, the filter of system
/// calls does not.
const FOR_PROGRAMS: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_PERFMON];

/// Gives up all but what is needed; who has fewer gains none.
pub(super) fn reduce(loads_programs: bool) -> Result<(), CapsError> {
    let programs = FOR_PROGRAMS.into_iter().filter(|_| loads_programs);
    let kept: CapsHashSet = KEPT.into_iter().chain(programs).collect();
    // Only who may change it gives up the bounding set; without exec it bounds nothing.
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
