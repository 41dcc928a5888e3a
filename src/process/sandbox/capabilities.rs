//! The capabilities that a running daemon keeps (capabilities(7)).

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// CAP_NET_ADMIN for links, addresses, filters, the team driver's options and `/proc/sys/net`;
/// CAP_NET_RAW for the packet sockets of ports that are added later.
const KEPT: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// The capabilities for loading programs into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProgramRights {
    /// No program is loaded.
    None,
    /// CAP_BPF: programs that reach their own maps and frames.
    Bpf,
    /// CAP_PERFMON, too, with which a program can read all memory of the kernel.
    BpfAndPerfmon,
}

impl ProgramRights {
    fn capabilities(self) -> &'static [Capability] {
        match self {
            ProgramRights::None => &[],
            ProgramRights::Bpf => &[Capability::CAP_BPF],
            ProgramRights::BpfAndPerfmon => &[Capability::CAP_BPF, Capability::CAP_PERFMON],
        }
    }
}

/// Returns whether the daemon still has CAP_PERFMON.
pub fn has_perfmon() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_PERFMON).unwrap_or(false)
}

/// Returns whether the daemon still has CAP_BPF.
pub fn has_bpf() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_BPF).unwrap_or(false)
}

/// Drops all capabilities of the calling thread.
pub(super) fn drop_all() -> Result<(), CapsError> {
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set)?;
    }
    Ok(())
}

/// Drops all capabilities of the calling thread but the needed ones; adds none.
pub(super) fn reduce(programs: ProgramRights) -> Result<(), CapsError> {
    let kept: CapsHashSet = KEPT.iter().chain(programs.capabilities()).copied().collect();
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
