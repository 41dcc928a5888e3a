//! Names for ports, hardware addresses and links, so that no bare integer crosses a module.

use std::fmt;

/// One stay of one interface in one team.
///
/// The daemon hands out a new number each time a port is taken, so a kernel's reused
/// interface index never stands for two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PortId(pub u32);

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A 48-bit hardware address, shown as `02:10:20:30:40:50`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HwAddr(pub [u8; 6]);

impl fmt::Display for HwAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl HwAddr {
    /// The same with its other reading of who assigned it (IEEE 802, the U/L bit): a station
    /// that needs a second address may take this one.
    pub fn with_local_bit_flipped(self) -> HwAddr {
        let [first, rest @ ..] = self.0;
        let [b, c, d, e, f] = rest;
        HwAddr([first ^ 2, b, c, d, e, f])
    }
}

/// A kind of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Duplex of a link; ordered, full is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Duplex {
    /// Half duplex, or unknown, or no link.
    #[default]
    Half,
    /// Full duplex.
    Full,
}

/// What the kernel says of a port's physical link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Link {
    /// The carrier is there.
    pub up: bool,
    /// Mbit/s; 0 when unknown or down, so that unknown never beats a known speed.
    pub speed: u32,
    /// Half when unknown or down.
    pub duplex: Duplex,
}
