//! Carrier, speed, duplex and features of an interface (`linux/ethtool.h`, through `SIOCETHTOOL`).
//!
//! Any socket will do. Unlike a link event, the answer is never late: the driver itself answers.

use std::os::fd::AsFd;
use std::{io, mem};

use super::{ifreq, ioctl};

const ETHTOOL_GLINK: u32 = 0x0a;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
const ETHTOOL_SLINKSETTINGS: u32 = 0x4d;
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
    pub const NONE: LinkSettings = LinkSettings { speed: Some(0), full_duplex: Some(false) };
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

/// Words of 32 features each that are read; Linux 7.1 has three.
const MOST_WORDS: usize = 8;
/// The set of the features' names.
const FEATURE_NAMES: u32 = 4;
const NAME: usize = 32;

/// `struct ethtool_gstrings` with room for all features.
#[repr(C)]
struct FeatureNames {
    command: u32,
    set: u32,
    length: u32,
    names: [[u8; NAME]; MOST_WORDS * 32],
}
const _: () = assert!(mem::size_of::<FeatureNames>() == 12 + NAME * MOST_WORDS * 32);

/// `struct ethtool_gfeatures` with room for all features: available, requested, active and
/// unchangeable ones.
#[repr(C)]
struct Features {
    command: u32,
    words: u32,
    blocks: [[u32; 4]; MOST_WORDS],
}
const _: () = assert!(mem::size_of::<Features>() == 8 + 16 * MOST_WORDS);
const ACTIVE: usize = 2;

/// `struct ethtool_sfeatures` with room for all features: which ones to set, and their values.
#[repr(C)]
struct FeaturesToSet {
    command: u32,
    words: u32,
    blocks: [[u32; 2]; MOST_WORDS],
}
const _: () = assert!(mem::size_of::<FeaturesToSet>() == 8 + 8 * MOST_WORDS);

/// Switches features of the interface `ifindex` on or off, by their names in `ethtool -k`. Returns
/// those that were not so; a kernel may lack others.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EPERM` without CAP_NET_ADMIN.
pub fn switch_features(
    socket: &impl AsFd,
    ifindex: u32,
    features: &[&'static str],
    on: bool,
) -> io::Result<Vec<&'static str>> {
    let name = ifreq::interface(socket.as_fd(), ifindex)?;
    let mut present =
        Features { command: ETHTOOL_GFEATURES, words: 0, blocks: [[0; 4]; MOST_WORDS] };
    // SAFETY: with a count of 0 only command and count are read and written.
    unsafe { request(socket, &name, &mut present)? };
    let words = present.words as usize;
    if words > MOST_WORDS {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    // SAFETY: `words` blocks are written, of which there is room for more.
    unsafe { request(socket, &name, &mut present)? };
    let mut known = FeatureNames {
        command: ETHTOOL_GSTRINGS,
        set: FEATURE_NAMES,
        length: 0,
        names: [[0; NAME]; MOST_WORDS * 32],
    };
    // SAFETY: one name a feature is written, at most 32 a word, and there is room for more words.
    unsafe { request(socket, &name, &mut known)? };
    let mut wanted = FeaturesToSet {
        command: ETHTOOL_SFEATURES,
        words: present.words,
        blocks: [[0; 2]; MOST_WORDS],
    };
    let mut changed = Vec::new();
    for feature in features {
        let is_named =
            |name: &[u8; NAME]| name.split(|byte| *byte == 0).next() == Some(feature.as_bytes());
        let Some(at) = known.names.iter().position(is_named) else { continue };
        let (word, bit) = (at / 32, 1 << (at % 32));
        if (present.blocks[word][ACTIVE] & bit != 0) != on {
            wanted.blocks[word][0] |= bit;
            wanted.blocks[word][1] |= if on { bit } else { 0 };
            changed.push(*feature);
        }
    }
    if !changed.is_empty() {
        // SAFETY: `words` blocks are read, of which there is room for more.
        unsafe { request(socket, &name, &mut wanted)? };
    }
    Ok(changed)
}

/// Returns whether the interface `name` has a carrier.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EOPNOTSUPP` if its driver has no ethtool.
pub fn carrier(socket: &impl AsFd, name: &str) -> io::Result<bool> {
    let mut value = Value { command: ETHTOOL_GLINK, data: 0 };
    // SAFETY: GLINK reads and writes one `ethtool_value`.
    unsafe { request(socket, name, &mut value)? };
    Ok(value.data != 0)
}

/// Returns speed and duplex of the interface `name`; fails as [`carrier`] does.
pub fn link_settings(socket: &impl AsFd, name: &str) -> io::Result<LinkSettings> {
    let Settings { speed, duplex, .. } = read_settings(socket, name)?;
    Ok(LinkSettings {
        speed: (speed != SPEED_UNKNOWN).then_some(speed),
        full_duplex: (duplex != DUPLEX_UNKNOWN).then_some(duplex == DUPLEX_FULL),
    })
}

/// Sets the speed of the interface `name` in Mbit/s, `None` for an unknown one, and full duplex.
///
/// # Errors
/// `EOPNOTSUPP` if the driver has a fixed speed; those of [`carrier`].
pub fn set_speed(socket: &impl AsFd, name: &str, speed: Option<u32>) -> io::Result<()> {
    let mut settings = Settings {
        command: ETHTOOL_SLINKSETTINGS,
        speed: speed.unwrap_or(SPEED_UNKNOWN),
        duplex: DUPLEX_FULL,
        ..read_settings(socket, name)?
    };
    // SAFETY: the kernel reads the fixed part and three masks of `mask_words`, of which `masks` holds
    // the most there can be.
    unsafe { request(socket, name, &mut settings) }
}

fn read_settings(socket: &impl AsFd, name: &str) -> io::Result<Settings> {
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
    Ok(settings)
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
