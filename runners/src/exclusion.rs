//! Causes that keep a port from carrying traffic, whatever its link state.

use std::fmt;

/// Why a port may not carry traffic; displays as a clause about the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// The interface refuses the team's hardware address.
    RefusesHwAddr,
    /// The user forbids the port to carry traffic.
    Forbidden,
    /// The gate of the port is closed.
    GateClosed,
    /// With lacp: the MACsec gate of the port is closed.
    MacsecGateClosed,
    /// Damping suppresses the port.
    Damped,
    /// The port corrupts frames, and enough others carry.
    Corrupting,
    /// The port sends nothing, and may receive what is on its way.
    Draining,
    /// The port is drained.
    Drained,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Exclusion::RefusesHwAddr => "its interface refuses the team's hardware address",
            Exclusion::Forbidden => "it is not allowed to carry traffic",
            Exclusion::GateClosed => "its gate is closed",
            Exclusion::MacsecGateClosed => "its MACsec gate is closed",
            Exclusion::Damped => "damping suppresses it, because its link was lost too often",
            Exclusion::Corrupting => "it corrupts frames, and enough others carry",
            Exclusion::Draining => "it is being drained",
            Exclusion::Drained => "it is drained",
        })
    }
}
