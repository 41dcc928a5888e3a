//! Where the program of a team device is attached, and where received frames are redirected to.

use super::hook::AttachPoint;
use crate::netlink::tc::Role;
use crate::sys::bpf::{self, Hook, Program};

/// How the names of our programs begin.
const NAMES: &str = "teamr_";

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
    /// Transmit function of a netkit: frames that the device sends, and frames sent to the peer the
    /// device receives.
    Netkit {
        /// Interface index of the device.
        device: u32,
        /// Interface index of the peer, which programs see as the frame's interface.
        peer: u32,
    },
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
            TeamHook::PeerIngress(peer) | TeamHook::Netkit { peer, .. } => {
                Redirect { ifindex: peer, ingress: false }
            }
        }
    }

    /// Where received frames go; `None` where the driver delivers them.
    pub(super) fn redirect(self) -> Option<Redirect> {
        match self {
            TeamHook::DriverEgress(_) => None,
            _ => Some(self.receiver()),
        }
    }

    pub(super) fn attach_point(self) -> AttachPoint {
        match self {
            TeamHook::TapEgress(ifindex) | TeamHook::DriverEgress(ifindex) => egress(ifindex),
            TeamHook::PeerIngress(ifindex) => ingress(ifindex),
            TeamHook::Netkit { device, .. } => {
                AttachPoint { ifindex: device, hook: Hook::NetkitPrimary, role: Role::Frames }
            }
        }
    }

    /// Returns the index of the interface that programs at the hook see as the frame's interface.
    pub(super) fn frames_interface(self) -> u32 {
        match self {
            TeamHook::TapEgress(ifindex)
            | TeamHook::DriverEgress(ifindex)
            | TeamHook::PeerIngress(ifindex) => ifindex,
            TeamHook::Netkit { peer, .. } => peer,
        }
    }

    /// Returns the hook by which other programs of the host could send frames to the team device.
    pub(super) fn guarded_point(self) -> Option<AttachPoint> {
        match self {
            TeamHook::TapEgress(_) | TeamHook::DriverEgress(_) => None,
            TeamHook::PeerIngress(peer) | TeamHook::Netkit { peer, .. } => Some(egress(peer)),
        }
    }

    /// The id of a previous daemon's program at one of these points. Hardly anybody else attaches
    /// programs to the peer, or to a netkit of ours; of the other devices the id is not known.
    pub(super) fn previous_id(self, at: AttachPoint) -> Option<u32> {
        match self {
            TeamHook::TapEgress(_) | TeamHook::DriverEgress(_) => None,
            TeamHook::PeerIngress(_) | TeamHook::Netkit { .. } => {
                let programs = bpf::programs_on(at.ifindex, at.hook).ok()?;
                programs.into_iter().find(|id| may_be_ours(*id))
            }
        }
    }
}

/// Returns whether the program with this id has one of our names, or may not be looked up.
fn may_be_ours(id: u32) -> bool {
    let info = Program::by_id(id).and_then(|program| program.info());
    info.map_or(true, |info| info.name.starts_with(NAMES))
}

/// Where programs see the frames that an interface receives.
pub(super) fn ingress(ifindex: u32) -> AttachPoint {
    AttachPoint { ifindex, hook: Hook::Ingress, role: Role::Frames }
}

fn egress(ifindex: u32) -> AttachPoint {
    AttachPoint { ifindex, hook: Hook::Egress, role: Role::Frames }
}
