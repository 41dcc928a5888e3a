//! Where the program of a team device is attached, and where received frames are redirected to.

use super::hook::AttachPoint;
use crate::netlink::tc::Role;
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
    /// Returns where to redirect a frame that the team device is to receive.
    pub fn receiver(self) -> Redirect {
        match self {
            TeamHook::TapEgress(ifindex) | TeamHook::DriverEgress(ifindex) => {
                Redirect { ifindex, ingress: true }
            }
            TeamHook::PeerIngress(ifindex) => Redirect { ifindex, ingress: false },
        }
    }

    /// Where received frames go; `None` where the driver delivers them.
    pub(super) fn redirect(self) -> Option<Redirect> {
        match self {
            TeamHook::TapEgress(_) | TeamHook::PeerIngress(_) => Some(self.receiver()),
            TeamHook::DriverEgress(_) => None,
        }
    }

    pub(super) fn attach_point(self) -> AttachPoint {
        match self {
            TeamHook::TapEgress(ifindex) | TeamHook::DriverEgress(ifindex) => egress(ifindex),
            TeamHook::PeerIngress(ifindex) => ingress(ifindex),
        }
    }

    /// Returns the hook by which other programs of the host could send frames to the team device.
    pub(super) fn guarded_point(self) -> Option<AttachPoint> {
        match self {
            TeamHook::TapEgress(_) | TeamHook::DriverEgress(_) => None,
            TeamHook::PeerIngress(ifindex) => Some(egress(ifindex)),
        }
    }

    /// The id of a previous daemon's program at one of these points. Nobody else attaches programs
    /// to a veth's peer; of the other devices the id is not known.
    pub(super) fn previous_id(self, at: AttachPoint) -> Option<u32> {
        match self {
            TeamHook::TapEgress(_) | TeamHook::DriverEgress(_) => None,
            TeamHook::PeerIngress(_) => {
                let programs = bpf::programs_on(at.ifindex, at.hook);
                programs.ok()?.first().copied()
            }
        }
    }
}

/// Where programs see the frames that an interface receives.
pub(super) fn ingress(ifindex: u32) -> AttachPoint {
    AttachPoint { ifindex, hook: Hook::Ingress, role: Role::Frames }
}

fn egress(ifindex: u32) -> AttachPoint {
    AttachPoint { ifindex, hook: Hook::Egress, role: Role::Frames }
}
