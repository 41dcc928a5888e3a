//! A VLAN interface on any interface, also without the kernel's 8021q driver.
//!
//! Without the driver a program replaces it with two TAP devices: one, together with the lower
//! interface, is a port of a bridge that ignores tags, and the other is the host's VLAN interface.
//! Segmentation and checksums stay offloaded to the lower interface.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use teamr::sys::tun;

use crate::namespace::Namespace;
use crate::tap_nic::open_tap;
use crate::traffic::{Tool, announce_ready, usage};

/// Length of the virtio-net header before each frame.
const HEADER: usize = 10;
/// Header flag: the checksum is unfinished.
const NEEDS_CHECKSUM: u8 = 1;
/// Length of both hardware addresses.
const ADDRESSES: usize = 12;
/// Length of TPID and TCI.
const TAG: usize = 4;

/// A VLAN interface. On drop the replacement program, if any, ends and its interface disappears.
pub struct Vlan {
    _tagger: Option<Tool>,
}

impl Vlan {
    /// Creates `name` as the interface of VLAN `id` on `lower` and sets it up.
    pub fn new(host: &Namespace, lower: &str, name: &str, id: u16) -> Vlan {
        let kernels = format!("ip link add link {lower} name {name} type vlan id {id}");
        let tagger = if host.try_run(&kernels).status.success() {
            None
        } else {
            let tool =
                Tool::start(host, &["vlan".into(), "trunk".into(), name.into(), id.to_string()]);
            host.ip("link add name trunks type bridge");
            for port in [lower, "trunk"] {
                host.ip(&format!("link set dev {port} master trunks up"));
            }
            host.up("trunks");
            Some(tool)
        };
        host.up(name);
        Vlan { _tagger: tagger }
    }
}

/// `vlan TRUNK NAME ID`: tags frames from NAME and sends them on TRUNK, and untags frames in the
/// other direction, until killed.
pub fn run_vlan(args: &[String]) -> io::Result<()> {
    let [trunk, name, id] = args else {
        return Err(usage("vlan TRUNK NAME ID"));
    };
    let id: u16 = id.parse().map_err(io::Error::other)?;
    let [trunk, access] = [open_tap(trunk)?, open_tap(name)?];
    for tap in [&trunk, &access] {
        tun::set_offload(tap, libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6)?;
    }
    announce_ready();
    let mut frame = vec![0; HEADER + ADDRESSES + TAG + (1 << 16)];
    loop {
        let mut ready = [&trunk, &access].map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN));
        poll(&mut ready, PollTimeout::NONE)?;
        while let Some(length) = read(&trunk, &mut frame)? {
            if let Some(length) = untag(&mut frame, length, id) {
                write(&access, &frame[..length])?;
            }
        }
        while let Some(length) = read(&access, &mut frame)? {
            let length = tag(&mut frame, length, id);
            write(&trunk, &frame[..length])?;
        }
    }
}

fn read(mut tap: &File, frame: &mut [u8]) -> io::Result<Option<usize>> {
    match tap.read(frame) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a frame. A frame for an interface that is down is lost, as on any interface.
fn write(mut tap: &File, frame: &[u8]) -> io::Result<()> {
    match tap.write(frame) {
        Err(error) if error.raw_os_error() != Some(libc::EIO) => Err(error),
        _ => Ok(()),
    }
}

/// Inserts a tag and returns the new length.
fn tag(frame: &mut [u8], length: usize, id: u16) -> usize {
    let at = HEADER + ADDRESSES;
    frame.copy_within(at..length, at + TAG);
    frame[at..at + 2].copy_from_slice(&0x8100_u16.to_be_bytes());
    frame[at + 2..at + TAG].copy_from_slice(&id.to_be_bytes());
    move_offsets(frame, |offset| offset.saturating_add(4));
    length + TAG
}

/// Removes the tag and returns the new length; `None` if the frame is not of this VLAN.
fn untag(frame: &mut [u8], length: usize, id: u16) -> Option<usize> {
    let at = HEADER + ADDRESSES;
    let fields = frame[..length].get(at..at + TAG)?;
    let tci = u16::from_be_bytes([fields[2], fields[3]]);
    if fields[..2] != 0x8100_u16.to_be_bytes() || tci & 0xfff != id {
        return None;
    }
    frame.copy_within(at + TAG..length, at);
    move_offsets(frame, |offset| offset.saturating_sub(4));
    Some(length - TAG)
}

/// Moves the offsets in the virtio-net header that point behind the tag: the length of all headers
/// (0 for unknown) and the start of the checksum.
fn move_offsets(frame: &mut [u8], by: impl Fn(u16) -> u16) {
    if frame[0] & NEEDS_CHECKSUM == 0 {
        return;
    }
    for at in [2, 6] {
        let offset = u16::from_ne_bytes([frame[at], frame[at + 1]]);
        frame[at..at + 2].copy_from_slice(&by(offset).to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untag_restores_the_tagged_frame() {
        let length = HEADER + 60;
        let mut frame: Vec<u8> = (0..80).collect();
        frame[0] = NEEDS_CHECKSUM;
        frame[6..8].copy_from_slice(&34_u16.to_ne_bytes());
        let before = frame.clone();

        let longer = tag(&mut frame, length, 10);
        assert_eq!(longer, length + 4);
        assert_eq!(frame[22..26], [0x81, 0, 0, 10]);
        assert_eq!(frame[6..8], 38_u16.to_ne_bytes());
        assert_eq!(untag(&mut frame.clone(), longer, 11), None, "another VLAN's");
        assert_eq!(untag(&mut frame.clone(), HEADER + 15, 10), None, "cut short");
        assert_eq!(untag(&mut frame, longer, 10), Some(length));
        assert_eq!(frame[..length], before[..length]);
        assert_eq!(untag(&mut frame, length, 10), None, "without a tag");
    }
}
