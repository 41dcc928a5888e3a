//! Identities and addresses of ports, and the state of a link.

use std::fmt;
use std::str::FromStr;

use crate::hex::byte_from_hex;

/// Identity of one interface during one membership in one team.
///
/// The daemon assigns a new number each time an interface joins, so an interface index that the
/// kernel uses again never names two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PortId(pub u32);

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A 48-bit hardware address, written as `02:10:20:30:40:50`.
///
/// ```
/// use runners::HwAddr;
///
/// let hwaddr: HwAddr = "02:10:20:30:40:50".parse()?;
/// assert_eq!(hwaddr, HwAddr([0x02, 0x10, 0x20, 0x30, 0x40, 0x50]));
/// assert_eq!(hwaddr.to_string(), "02:10:20:30:40:50");
/// assert!("02:10:20".parse::<HwAddr>().is_err());
/// # Ok::<(), runners::ParseHwAddrError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HwAddr(pub [u8; 6]);

impl HwAddr {
    /// The broadcast address.
    pub const BROADCAST: HwAddr = HwAddr([0xff; 6]);

    /// Whether the address names a group of stations (IEEE 802, the I/G bit); broadcast does.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Returns the address with its U/L bit inverted (IEEE 802): a second address for a station
    /// that needs one.
    pub const fn with_local_bit_flipped(self) -> HwAddr {
        let [first, b, c, d, e, f] = self.0;
        HwAddr([first ^ 2, b, c, d, e, f])
    }
}

impl fmt::Display for HwAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for HwAddr {
    type Err = ParseHwAddrError;

    /// Parses six pairs of hexadecimal digits with `:` between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut pairs = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(ParseHwAddrError)?;
            *byte = byte_from_hex(pair.as_bytes()).ok_or(ParseHwAddrError)?;
        }
        match pairs.next() {
            None => Ok(HwAddr(bytes)),
            Some(_) => Err(ParseHwAddrError),
        }
    }
}

/// Error for a text that is not a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseHwAddrError;

impl fmt::Display for ParseHwAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a hardware address such as 02:10:20:30:40:50")
    }
}

impl std::error::Error for ParseHwAddrError {}

/// Address family of an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Duplex mode of a link; full orders above half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Duplex {
    /// Half duplex, or no link.
    #[default]
    Half,
    /// Full duplex.
    Full,
}

/// State of a port's physical link, as read from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Link {
    /// Carrier.
    pub up: bool,
    /// Speed in Mbit/s; 0 when unknown or down.
    pub speed: u32,
    /// Duplex mode; full when unknown, half when down.
    pub duplex: Duplex,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hwaddr_parses_its_own_text_and_refuses_all_else() {
        let hwaddr = HwAddr([2, 0x10, 0x20, 0, 0xff, 0x5a]);
        assert_eq!(hwaddr.to_string().parse(), Ok(hwaddr));
        assert_eq!("02:10:20:00:FF:5A".parse(), Ok(hwaddr));
        for text in [
            "",
            "02:10:20:00:ff",
            "02:10:20:00:ff:5a:00",
            "2:10:20:00:ff:5a",
            "+2:10:20:00:ff:5a",
            "021020:00:ff:5a",
            "02-10-20-00-ff-5a",
            "02:10:20:00:ff:é",
        ] {
            assert_eq!(text.parse::<HwAddr>(), Err(ParseHwAddrError), "{text}");
        }
    }
}
