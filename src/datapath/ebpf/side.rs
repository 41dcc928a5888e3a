//! The team device and a port as programs see them: where frames go, and where they are met.

use super::hook::Place;
use crate::sys::bpf::{self, Hook};

/// Where frames received on a port go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Interface.
    pub ifindex: u32,
    /// They are received there, not sent.
    pub ingress: bool,
}

/// The team device as programs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamSide {
    /// The device itself: frames are caught before its driver sees them, and received on it.
    Device(u32),
    /// The other end of a pair of interfaces: what the device sends arrives there, and what is
    /// sent there the device receives, both counted and to be captured like on any other.
    Peer(u32),
    /// The device of the kernel's driver, which moves the frames: programs tell it the bucket of
    /// each and drop those that are not to be taken.
    Driver(u32),
}

impl TeamSide {
    /// Where received frames go, if the driver does not take them there.
    pub(super) fn target(self) -> Option<Target> {
        match self {
            TeamSide::Device(ifindex) => Some(Target {
                ifindex,
                ingress: true,
            }),
            TeamSide::Peer(ifindex) => Some(Target {
                ifindex,
                ingress: false,
            }),
            TeamSide::Driver(_) => None,
        }
    }

    pub(super) fn place(self) -> Place {
        match self {
            TeamSide::Device(ifindex) | TeamSide::Driver(ifindex) => Place {
                ifindex,
                hook: Hook::Egress,
            },
            TeamSide::Peer(ifindex) => Place {
                ifindex,
                hook: Hook::Ingress,
            },
        }
    }

    /// The number of the program that a daemon which is gone has left there: nobody else puts
    /// any on the other end.
    pub(super) fn left(self) -> Option<u32> {
        match self {
            TeamSide::Device(_) | TeamSide::Driver(_) => None,
            TeamSide::Peer(ifindex) => {
                let programs = bpf::programs_on(ifindex, self.place().hook);
                programs.ok()?.first().copied()
            }
        }
    }
}

/// Where a port's frames arrive.
pub(super) fn arrival(ifindex: u32) -> Place {
    Place {
        ifindex,
        hook: Hook::Ingress,
    }
}
