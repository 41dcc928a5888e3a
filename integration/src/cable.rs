//! A veth link between two hosts, or between a host and a switch.

use crate::links::{VethEnd, create_veth};
use crate::namespace::Namespace;

/// The time at which the kernel reports a carrier change of the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CableKind {
    /// At once, as for any veth link.
    Virtual,
    /// Up to a second after the last report of any link, as for a network card. The kernel
    /// recognizes a virtual device by its peer's interface index; equal indices at both ends
    /// disable the recognition.
    Nic,
}

/// A veth pair with one end on each host. The pair exists as long as both hosts, even after this
/// value is dropped.
#[derive(Clone)]
pub struct Cable {
    far: Namespace,
    far_interface: String,
}

impl Cable {
    pub(crate) fn new(
        near: (&Namespace, &str),
        far: (&Namespace, &str),
        index: Option<u32>,
    ) -> Cable {
        let index = index.unwrap_or(0);
        let [near_end, far_end] = [near.1, far.1].map(|name| VethEnd { name, index });
        near.0.links(&format!("make the cable of {}", near.1), |route| {
            create_veth(route, near_end, far_end, far.0.pid())
        });
        Cable { far: far.0.clone(), far_interface: far.1.to_owned() }
    }

    /// Returns the name of the interface at the far end.
    pub fn far_interface(&self) -> &str {
        &self.far_interface
    }

    /// Pulls the cable: sets the far end down, so both ends lose their carrier at once.
    pub fn pull(&self) {
        self.far.down(&self.far_interface);
    }

    /// Puts the cable back: sets the far end up.
    pub fn put_back(&self) {
        self.far.up(&self.far_interface);
    }
}
