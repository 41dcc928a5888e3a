//! An interface with settable speed and duplex, which a veth interface lacks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use teamr::sys::packet::{Options, PacketSocket};
use teamr::sys::tun;

use crate::namespace::Namespace;
use crate::traffic::{Tool, announce_ready, usage};

/// Length of the virtio-net header before each frame, on both sides.
const HEADER: libc::c_int = 10;
const OPTIONS: Options = Options { mark: 0, receive_buffer: 1 << 20, send_buffer: 1 << 20 };

/// A TAP device and the program that forwards its frames to a veth interface; gone when dropped.
pub struct TapNic {
    _carrier: Tool,
}

impl TapNic {
    /// Creates the TAP device `name`, down, with a carrier, and sets the interface `cable` up.
    /// Untagged frames sent on one leave on the other.
    pub fn create(host: &Namespace, name: &str, cable: &str) -> TapNic {
        host.up(cable);
        let args = ["tap-nic", name, cable].map(str::to_owned);
        TapNic { _carrier: Tool::start(host, &args) }
    }
}

/// `tap-nic NAME CABLE`: creates a TAP device and forwards its frames until killed.
pub fn run_tap_nic(args: &[String]) -> io::Result<()> {
    let [name, cable] = args else {
        return Err(usage("tap-nic NAME CABLE"));
    };
    let tap = open_tap(name)?;
    tun::set_header_size(&tap, HEADER)?;
    let socket = PacketSocket::open(if_nametoindex(cable.as_str())?, OPTIONS)?;
    announce_ready();
    let mut message = vec![0; 1 << 17];
    loop {
        let mut ends = [tap.as_fd(), socket.as_fd()].map(|end| PollFd::new(end, PollFlags::POLLIN));
        poll(&mut ends, PollTimeout::NONE)?;
        while let Ok(length) = (&tap).read(&mut message) {
            // A frame without buffer space or link is lost, as on any wire.
            let _ = socket.send(&message[..length]);
        }
        while let Ok(received) = socket.receive(&mut message, &mut []) {
            let _ = (&tap).write(&message[..received.length]);
        }
    }
}

/// Creates the TAP device `name`, whose frames have a virtio-net header.
pub(crate) fn open_tap(name: &str) -> io::Result<File> {
    let tap = tun::open()?;
    tun::attach(&tap, name, libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR)?;
    Ok(tap)
}
