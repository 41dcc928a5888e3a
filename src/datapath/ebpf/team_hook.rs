//! Where the program of a team device is attached, and where received frames are redirected to.

use super::hook::AttachPoint;
use crate::sys::bpf::{self, Hook};

/// Where a program sends frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Interface index.
    pub ifindex: u32,
    /// The frames are received there, not sent.
    pub ingress: bool,
}

/// The hook at which programs see the frames that the team device sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamHook {
    /// Egress of a TAP: its driver does not see the frames, and received frames are redirected to
    /// its ingress.
    TapEgress(u32),
    /// Ingress of the veth's peer: frames that the device sends arrive there, and frames sent
    /// there the device receives; both are counted, and visible to captures on the device.
    PeerIngress(u32),
    /// Egress of a device of the kernel's team driver, which moves the frames itself: programs
    /// write the bucket into each frame's mark, and drop received frames that are not to be taken.
    DriverEgress(u32),
}

impl TeamHook {
    /// Where received frames go; `None` where the driver delivers them.
    pub(super) fn redirect(self) -> Option<Redirect> {
        match self {
            TeamHook::TapEgress(ifindex) => Some(Redirect {
                ifindex,
                ingress: true,
            }),
            TeamHook::PeerIngress(ifindex) => Some(Redirect {
                ifindex,
                ingress: false,
            }),
            TeamHook::DriverEgress(_) => None,
        }
    }

    pub(super) fn attach_point(self) -> AttachPoint {
        match self {
            TeamHook::TapEgress(ifindex) | TeamHook::DriverEgress(ifindex) => AttachPoint {
                ifindex,
                hook: Hook::Egress,
            },
            TeamHook::PeerIngress(ifindex) => ingress(ifindex),
        }
    }

    /// The id of a previous daemon's program. Nobody else attaches programs to a veth's peer; of
    /// the other devices the id is not known.
    pub(super) fn previous_id(self) -> Option<u32> {
        match self {
            TeamHook::TapEgress(_) | TeamHook::DriverEgress(_) => None,
            TeamHook::PeerIngress(ifindex) => {
                let programs = bpf::programs_on(ifindex, Hook::Ingress);
                programs.ok()?.first().copied()
            }
        }
    }
}

/// Where programs see the frames that an interface receives.
pub(super) fn ingress(ifindex: u32) -> AttachPoint {
    AttachPoint {
        ifindex,
        hook: Hook::Ingress,
    }
}
