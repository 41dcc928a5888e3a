//! Carrier, speed and duplex of an interface (`linux/ethtool.h`, through `SIOCETHTOOL`).
//!
//! Any socket will do. Unlike a link event, the answer is never late: the driver itself answers.

use std::os::fd::AsFd;
use std::{io, mem};

use super::{ifreq, ioctl};

const ETHTOOL_GLINK: u32 = 0x0a;
const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
const SPEED_UNKNOWN: u32 = u32::MAX;
const DUPLEX_FULL: u8 = 1;
const DUPLEX_UNKNOWN: u8 = u8::MAX;

/// Speed and duplex of a link, as far as its driver knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Mbit/s.
    pub speed: Option<u32>,
    /// Full duplex.
    pub full_duplex: Option<bool>,
}

impl LinkSettings {
    /// Settings without a link, or of a driver without ethtool.
    pub const NONE: LinkSettings = LinkSettings {
        speed: Some(0),
        full_duplex: Some(false),
    };
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}
const _: () = assert!(mem::size_of::<Value>() == 8);

/// Most words in each of the three link-mode masks: the count is a signed byte.
const MASK_WORDS: usize = 127;

/// `struct ethtool_link_settings` with room for its masks.
#[repr(C)]
struct Settings {
    command: u32,
    speed: u32,
    duplex: u8,
    /// Port, PHY address, autonegotiation, MDIO support, two of crossover.
    unused: [u8; 6],
    mask_words: i8,
    /// Transceiver, two of master and slave, rate matching.
    unused_too: [u8; 4],
    reserved: [u32; 7],
    masks: [u32; 3 * MASK_WORDS],
}
const _: () = assert!(mem::size_of::<Settings>() == 48 + 4 * 3 * MASK_WORDS);

/// Whether the interface `name` has a carrier.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EOPNOTSUPP` if its driver has no ethtool.
pub fn carrier(socket: &impl AsFd, name: &str) -> io::Result<bool> {
    let mut value = Value {
        command: ETHTOOL_GLINK,
        data: 0,
    };
    // SAFETY: GLINK reads and writes one `ethtool_value`.
    unsafe { request(socket, name, &mut value)? };
    Ok(value.data != 0)
}

/// Speed and duplex of the interface `name`.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EOPNOTSUPP` if its driver has no ethtool.
pub fn link_settings(socket: &impl AsFd, name: &str) -> io::Result<LinkSettings> {
    let mut settings = Settings {
        command: ETHTOOL_GLINKSETTINGS,
        speed: 0,
        duplex: 0,
        unused: [0; 6],
        mask_words: 0,
        unused_too: [0; 4],
        reserved: [0; 7],
        masks: [0; 3 * MASK_WORDS],
    };
    // The first call returns the length of the masks, negated; the second call has to repeat that
    // length to get the settings.
    // SAFETY: with a count of 0 only the fixed part is read and written.
    unsafe { request(socket, name, &mut settings)? };
    if settings.mask_words >= 0 {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    settings.command = ETHTOOL_GLINKSETTINGS;
    settings.mask_words = settings.mask_words.saturating_neg();
    // SAFETY: after the fixed part three masks of `mask_words` are written, of which `masks`
    // holds the most there can be.
    unsafe { request(socket, name, &mut settings)? };
    let Settings { speed, duplex, .. } = settings;
    Ok(LinkSettings {
        speed: (speed != SPEED_UNKNOWN).then_some(speed),
        full_duplex: (duplex != DUPLEX_UNKNOWN).then_some(duplex == DUPLEX_FULL),
    })
}

/// # Safety
/// `command` must be of the type that its first word, the ethtool command, reads and writes.
unsafe fn request<T>(socket: &impl AsFd, name: &str, command: &mut T) -> io::Result<()> {
    let mut ifreq = ifreq::named(name)?;
    ifreq.ifr_ifru.ifru_data = std::ptr::from_mut(command).cast();
    // SAFETY: SIOCETHTOOL takes one ifreq that points to a command; the caller answers for it.
    unsafe { ioctl(socket.as_fd(), libc::SIOCETHTOOL as libc::Ioctl, &mut ifreq)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn loopback_has_a_carrier_and_no_settings() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket to ask through");
        assert!(carrier(&socket, "lo").expect("loopback answers"));
        let error = link_settings(&socket, "lo").expect_err("loopback has no speed");
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    }

    #[test]
    fn names_without_an_interface_are_errors() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket to ask through");
        let error = carrier(&socket, "no-such-thing").expect_err("not there");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        for name in ["sixteen-bytes-16", "nul\0"] {
            let error = carrier(&socket, name).expect_err("impossible");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
