//! The daemon's own frames on one port, on every data path: LACPDUs, probes and announcements.
//!
//! A packet socket receives a frame before the team driver, traffic control or a filter of ours
//! does, so that control frames arrive on a port that does not collect, too. The socket has a
//! receive buffer of its own: traffic on the port cannot push control frames out. Control frames
//! are sent ahead of the traffic in the port's queue; only a marker is sent behind it, to mark
//! the end of that traffic.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use runners::wire::bfd::{MICRO_GROUP, MICRO_PORT, SINGLE_HOP_PORT};
use runners::wire::icmpv6_type::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION};
use runners::wire::marker::MARKER_SUBTYPE;
use runners::wire::{SLOW_PROTOCOLS_GROUP, ethertype, protocol};
use runners::{ControlFrames, HwAddr};

use super::MARK;
use crate::netlink::bpf::{
    Instruction, JUMP_EQUAL, LOAD_BYTE_AT_X, LOAD_HALF, LOAD_HALF_AT_X, LOAD_X_IMMEDIATE, RETURN,
};
use crate::sys::packet::{PRIORITY_BEST_EFFORT, PRIORITY_CONTROL, PacketSocket};

/// Bytes of the longest control frame, without its tag; longer frames are ignored.
const LONGEST: usize = 2048;
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// Sends and receives control frames on one port.
#[derive(Debug)]
pub struct PortSocket {
    socket: PacketSocket,
    ifindex: u32,
    /// The port's own address, also while the port carries another.
    hwaddr: HwAddr,
    /// The frames that are received.
    wanted: ControlFrames,
    /// Addresses whose frames the interface receives for the socket.
    joined: Vec<[u8; 6]>,
}

impl PortSocket {
    /// Opens a socket that sends on `ifindex`, whose own address is `hwaddr`, and receives nothing
    /// yet.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW and CAP_NET_ADMIN, `ENODEV` if there is no such interface.
    pub fn open(ifindex: u32, hwaddr: HwAddr) -> io::Result<Self> {
        let socket = PacketSocket::sender(ifindex, MARK)?;
        socket.set_priority(PRIORITY_CONTROL)?;
        Ok(PortSocket {
            socket,
            ifindex,
            hwaddr,
            wanted: ControlFrames::default(),
            joined: Vec::new(),
        })
    }

    /// Receives only these frames from now on.
    ///
    /// # Errors
    /// `ENODEV` once the interface is gone.
    pub fn listen(&mut self, wanted: ControlFrames) -> io::Result<()> {
        if wanted != self.wanted {
            let mut addresses = Vec::new();
            if wanted.slow_protocols {
                addresses.push(SLOW_PROTOCOLS_GROUP.0);
            }
            if wanted.bfd {
                addresses.push(MICRO_GROUP.0);
            }
            if wanted.arp || wanted.neighbour_discovery || wanted.bfd || wanted.probes {
                // An inactive port probes from one of these addresses, while it carries the team's.
                addresses.extend([self.hwaddr.0, self.hwaddr.with_local_bit_flipped().0]);
            }
            self.joined.extend(&addresses);
            self.socket.listen(self.ifindex, &accepting(wanted), &addresses)?;
            self.wanted = wanted;
        }
        Ok(())
    }

    /// Has the interface receive no more frames for the socket's addresses. An interface that is set
    /// down before would stay promiscuous until it is up again.
    pub fn leave(&mut self) {
        for address in std::mem::take(&mut self.joined) {
            if let Err(error) = self.socket.leave(self.ifindex, address) {
                log::trace!("cannot leave an address of a control socket: {error}");
            }
        }
    }

    /// Sends a whole Ethernet frame.
    ///
    /// # Errors
    /// `EAGAIN` and `ENOBUFS` for a full queue, `ENETDOWN` while the interface is down, `ENXIO`
    /// once it is gone, `EMSGSIZE` beyond its MTU, `EINVAL` for less than an Ethernet header.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        if !is_marker(frame) {
            return self.socket.send(frame);
        }
        self.socket.set_priority(PRIORITY_BEST_EFFORT)?;
        let sent = self.socket.send(frame);
        self.socket.set_priority(PRIORITY_CONTROL)?;
        sent
    }

    /// Returns the next received frame, its VLAN tag put back; `None` if there is none.
    ///
    /// # Errors
    /// `ENXIO` once the interface is gone.
    pub fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut head = [0; ADDRESSES];
        let mut rest = [0; LONGEST - ADDRESSES];
        loop {
            let received = match self.socket.receive(&mut head, &mut rest) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                received => received?,
            };
            let rest = received.length.checked_sub(ADDRESSES).map(|end| &rest[..end]);
            let Some(rest) = rest.filter(|_| !received.truncated) else {
                continue;
            };
            let mut frame = Vec::with_capacity(received.length + TAG);
            frame.extend_from_slice(&head);
            if let Some(tag) = received.tag {
                frame.extend_from_slice(&tag.tpid.to_be_bytes());
                frame.extend_from_slice(&tag.tci.to_be_bytes());
            }
            frame.extend_from_slice(rest);
            return Ok(Some(frame));
        }
    }
}

impl Drop for PortSocket {
    /// Leaves the addresses before the socket closes. If the interface moves to another network
    /// namespace while the socket closes, the kernel forgets to take the addresses back, and the
    /// interface stays promiscuous.
    fn drop(&mut self) {
        self.leave();
    }
}

impl AsRawFd for PortSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn is_marker(frame: &[u8]) -> bool {
    let [high, low] = ethertype::SLOW_PROTOCOLS.to_be_bytes();
    frame.get(ADDRESSES..ADDRESSES + 3) == Some(&[high, low, MARKER_SUBTYPE])
}

/// Offsets of the fields in a frame without a tag; X holds the length of the tag.
const ETHERTYPE: u32 = 12;
const IPV4_PROTOCOL: u32 = 14 + 9;
const NEXT_HEADER: u32 = 14 + 6;
const ICMP6_TYPE: u32 = 14 + 40;

/// Returns a program that accepts the wanted frames.
fn accepting(wanted: ControlFrames) -> Vec<Instruction> {
    const ACCEPT: Instruction = (RETURN, 0, 0, u32::MAX);
    const REJECT: Instruction = (RETURN, 0, 0, 0);
    let accept_if = |value: u32| [(JUMP_EQUAL, 0, 1, value), ACCEPT];

    // The tag may be in the frame or, taken off by the kernel, beside it.
    let mut program = vec![
        (LOAD_X_IMMEDIATE, 0, 0, 0),
        (LOAD_HALF, 0, 0, ETHERTYPE),
        (JUMP_EQUAL, 0, 1, ethertype::VLAN.into()),
        (LOAD_X_IMMEDIATE, 0, 0, TAG as u32),
        (LOAD_HALF_AT_X, 0, 0, ETHERTYPE),
    ];
    if wanted.slow_protocols {
        program.extend(accept_if(ethertype::SLOW_PROTOCOLS.into()));
    }
    if wanted.probes {
        program.extend(accept_if(ethertype::LOCAL_EXPERIMENTAL.into()));
    }
    if wanted.arp {
        program.extend(accept_if(ethertype::ARP.into()));
    }
    if wanted.bfd {
        program.extend(bfd_to(&[SINGLE_HOP_PORT, MICRO_PORT]));
    }
    if wanted.neighbour_discovery {
        program.extend([
            (JUMP_EQUAL, 1, 0, ethertype::IPV6.into()),
            REJECT,
            (LOAD_BYTE_AT_X, 0, 0, NEXT_HEADER),
            (JUMP_EQUAL, 1, 0, protocol::ICMPV6.into()),
            REJECT,
            (LOAD_BYTE_AT_X, 0, 0, ICMP6_TYPE),
        ]);
        program.extend(accept_if(NEIGHBOUR_SOLICITATION.into()));
        program.extend(accept_if(NEIGHBOUR_ADVERTISEMENT.into()));
    }
    program.push(REJECT);
    program
}

/// Returns instructions that accept UDP to one of two ports in IPv4 without options, or in IPv6 without
/// extension headers, and go on with the ethertype in A otherwise. BFD packets have neither.
fn bfd_to(ports: &[u16; 2]) -> Vec<Instruction> {
    let [first, second] = ports.map(u32::from);
    let one = |kind: u16, next_header: u32, udp: u32| -> [Instruction; 8] {
        [
            (JUMP_EQUAL, 0, 7, kind.into()),
            (LOAD_BYTE_AT_X, 0, 0, next_header),
            (JUMP_EQUAL, 0, 4, protocol::UDP.into()),
            (LOAD_HALF_AT_X, 0, 0, udp + 2),
            (JUMP_EQUAL, 1, 0, first),
            (JUMP_EQUAL, 0, 1, second),
            (RETURN, 0, 0, u32::MAX),
            (LOAD_HALF_AT_X, 0, 0, ETHERTYPE),
        ]
    };
    let ipv4 = one(ethertype::IPV4, IPV4_PROTOCOL, 14 + 20);
    [ipv4, one(ethertype::IPV6, NEXT_HEADER, 14 + 40)].concat()
}
