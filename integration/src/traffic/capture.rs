//! A capture of the frames on one interface.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};

use super::stream::end_of_input;
use super::tool::{Tool, announce_ready};
use super::{now, usage};
use crate::frame::Frame;
use crate::namespace::Namespace;

/// Receive buffer in bytes.
const BUFFER: usize = 16 << 20;

/// The kernel's packet type of frames that the host sends.
const PACKET_OUTGOING: u8 = 4;
/// Bytes kept of each frame.
const SNAP: usize = 128;

/// A running capture.
pub struct Capture {
    remote: Tool,
}

impl Capture {
    /// Captures frames that an interface receives and sends.
    pub fn start(host: &Namespace, interface: &str) -> Capture {
        Capture { remote: Tool::start(host, &["capture".into(), interface.into()]) }
    }

    /// Ends the capture and returns the frames in order.
    pub fn finish(self) -> Vec<Frame> {
        let report = self.remote.finish();
        let frames = report.as_array().expect("a list of frames");
        frames.iter().map(read_frame).collect()
    }
}

fn read_frame(value: &Value) -> Frame {
    let bytes = value["bytes"].as_array().expect("a frame's bytes");
    Frame {
        at: value["at"].as_u64().expect("a frame's time"),
        outgoing: value["outgoing"].as_bool().expect("a frame's direction"),
        bytes: bytes
            .iter()
            .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()).expect("a byte"))
            .collect(),
    }
}

/// `capture INTERFACE`: captures until standard input ends, then writes the first bytes of each
/// frame.
pub fn run_capture(args: &[String]) -> io::Result<()> {
    let [interface] = args else {
        return Err(usage("capture INTERFACE"));
    };
    let index = usize::try_from(if_nametoindex(interface.as_str())?).map_err(io::Error::other)?;
    // An unbound socket receives from all interfaces; the sender's address selects the frames.
    let socket =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 10_000))?;
    // Frames wait in the buffer on a busy machine; without the privilege the buffer is smaller.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
    let stop = end_of_input();
    announce_ready();

    let mut frames = Vec::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut bytes) {
            Ok((length, Some(from))) if from.ifindex() == index => frames.push(json!({
                "at": now(),
                "outgoing": from.pkttype() == PACKET_OUTGOING,
                "bytes": bytes[..length.min(SNAP)],
            })),
            Ok(_) | Err(Errno::EINTR | Errno::ENETDOWN) => {}
            // No frame waits: all frames before the end have been read.
            Err(Errno::EAGAIN) => {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    println!("{}", Value::Array(frames));
    Ok(())
}
