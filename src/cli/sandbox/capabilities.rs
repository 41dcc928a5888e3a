//! The capabilities that a running daemon keeps (capabilities(7)).

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// Links, addresses, filters, the team driver's options and `/proc/sys/net` need the first,
/// packet sockets for ports that come later the second, programs in the kernel the others:
/// without the last the verifier also follows what a processor might only guess, and gives up
/// on the flow hash. What else it permits, the filter of system calls does not.
const KEPT: [Capability; 4] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
];

/// Gives up all but [`KEPT`]; who has fewer gains none.
pub(super) fn reduce() -> Result<(), CapsError> {
    // Only who may change it gives up the bounding set; without exec it bounds nothing.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::runtime::thread_all_supported() {
            if !KEPT.contains(&capability) && caps::has_cap(None, CapSet::Bounding, capability)? {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
    }
    if caps::runtime::ambient_set_supported().is_ok() {
        caps::clear(None, CapSet::Ambient)?;
    }
    caps::clear(None, CapSet::Inheritable)?;
    let kept: CapsHashSet = KEPT.into_iter().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        let ours = caps::read(None, set)?;
        caps::set(None, set, &ours.intersection(&kept).copied().collect())?;
    }
    Ok(())
}
