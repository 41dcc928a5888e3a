//! Frames of slow protocols on one interface, sent and received by a test that plays a partner.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket,
};
use serde_json::json;
use teamr::sys::packet::PacketSocket;

use super::tool::announce_ready;
use super::{now, usage};
use crate::namespace::Namespace;
use crate::tools;

/// EtherType of slow protocols (802.3, annex 57A).
const SLOW_PROTOCOLS: [u8; 2] = [0x88, 0x09];
/// The kernel's packet type of frames that the host sends.
const PACKET_OUTGOING: u8 = 4;

/// A frame with its time of arrival in nanoseconds of the monotonic clock.
type Timed = (u64, Vec<u8>);

/// The tool that sends and receives frames in the namespace of a host, for a test.
pub struct Wire {
    child: Child,
    input: ChildStdin,
    frames: Receiver<Timed>,
}

impl Wire {
    /// Opens an interface of a host, which must be up.
    pub fn open(host: &Namespace, interface: &str) -> Wire {
        let mut command = host.command(tools::program());
        command.args(["wire", interface]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start traffic wire");
        let input = child.stdin.take().expect("a piped input");
        let mut output = BufReader::new(child.stdout.take().expect("a piped output"));
        output.read_line(&mut String::new()).expect("read from a tool");
        let (sender, frames) = channel();
        // The thread ends with the tool's output.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let frame: Timed = serde_json::from_str(&line).expect("a frame with its time");
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        Wire { child, input, frames }
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        writeln!(self.input, "{}", json!(frame)).expect("write to a tool");
    }

    /// Returns the next received frame of a slow protocol and its time of arrival, in nanoseconds of
    /// the monotonic clock; `None` if none comes within `time`.
    pub fn receive(&self, time: Duration) -> Option<(u64, Vec<u8>)> {
        self.frames.recv_timeout(time).ok()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `wire INTERFACE`: sends each frame, a list of bytes, that standard input has, and writes each
/// received frame of a slow protocol with its time.
pub fn run_wire(args: &[String]) -> io::Result<()> {
    let [interface] = args else {
        return Err(usage("wire INTERFACE"));
    };
    let ifindex = if_nametoindex(interface.as_str())?;
    let index = usize::try_from(ifindex).map_err(io::Error::other)?;
    let sender = PacketSocket::sender(ifindex, 0)?;
    let receiver =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    announce_ready();
    thread::spawn(move || -> io::Result<()> {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let (length, from) = match recvfrom::<LinkAddr>(receiver.as_raw_fd(), &mut bytes) {
                Err(Errno::EINTR | Errno::ENETDOWN) => continue,
                received => received?,
            };
            let is_received = from
                .is_some_and(|from| from.ifindex() == index && from.pkttype() != PACKET_OUTGOING);
            if is_received && bytes.get(12..14) == Some(&SLOW_PROTOCOLS) {
                println!("{}", json!([now(), bytes[..length]]));
            }
        }
    });
    for line in io::stdin().lock().lines() {
        let frame: Vec<u8> = serde_json::from_str(&line?)?;
        // A frame on a link that is down is lost, as on any wire.
        let _ = sender.send(&frame);
    }
    Ok(())
}
