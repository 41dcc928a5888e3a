//! A cable between two hosts, or a host and a switch.

use crate::links::{PairEnd, create_pair};
use crate::namespace::Namespace;

/// How the kernel reports a cable's links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CableKind {
    /// At once, as those of a virtual pair.
    Virtual,
    /// As late as those of a network card: up to a second after the last report of any link.
    /// The kernel takes a device for a virtual one by its peer's interface index, so equal
    /// indices at both ends hide that.
    Nic,
}

/// A pair of interfaces, one at each end. It outlives this value, not its ends' hosts.
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
        let [near_end, far_end] = [near.1, far.1].map(|name| PairEnd { name, index });
        near.0
            .links(&format!("make the cable of {}", near.1), |route| {
                create_pair(route, near_end, far_end, far.0.pid())
            });
        Cable {
            far: far.0.clone(),
            far_interface: far.1.to_owned(),
        }
    }

    /// The interface at the far end.
    pub fn far_interface(&self) -> &str {
        &self.far_interface
    }

    /// Pulls the cable: both ends lose their carrier in one step of the kernel, the far end
    /// by being set down.
    pub fn pull(&self) {
        self.far.down(&self.far_interface);
    }

    /// Puts the cable back.
    pub fn put_back(&self) {
        self.far.up(&self.far_interface);
    }
}
