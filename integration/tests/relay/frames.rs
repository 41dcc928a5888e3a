//! Frames as a packet socket sends and receives them, with the header of their offloads.

use integration::{Namespace, comes_true};
use teamr::sys::packet::{Options, PacketSocket, VlanTag};

use crate::lab::{inside, interface};

pub fn socket(namespace: &Namespace, name: &str) -> PacketSocket {
    let ifindex = interface(namespace, name).ifindex;
    let options = Options { mark: 0, receive_buffer: 1 << 20, send_buffer: 1 << 20 };
    inside(namespace, || PacketSocket::open(ifindex, options).expect("a socket"))
}

/// A received message: header and frame, and the tag beside them.
pub type Received = (Vec<u8>, Option<VlanTag>);

pub fn receive(socket: &PacketSocket) -> Option<Received> {
    let (mut head, mut tail) = ([0; 22], vec![0; 70000]);
    let received = socket.receive(&mut head, &mut tail).ok()?;
    let mut message = head.to_vec();
    message.extend_from_slice(&tail[..received.length.saturating_sub(head.len())]);
    message.truncate(received.length);
    Some((message, received.tag))
}

/// Waits for the next message.
#[track_caller]
pub fn receive_one(socket: &PacketSocket) -> Received {
    let mut received = None;
    let happened = comes_true(|| {
        received = receive(socket);
        received.is_some()
    });
    assert!(happened, "nothing arrived");
    received.expect("just received")
}

/// Returns a broadcast frame without offloads: header, addresses, EtherType and `length` bytes.
pub fn frame(ether_type: u16, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    bytes.extend([0xff; 6]);
    bytes.extend([2, 0, 0, 0, 0, 1]);
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend((0..length).map(|place| place as u8));
    bytes
}

/// Returns a TCP segment to 10.0.0.9, with these offloads in its header.
pub fn tcp_message(tags: &[u16], flags: u8, segmentation: u8, payload: usize) -> Vec<u8> {
    let network = 14 + 4 * tags.len();
    let mut bytes = vec![flags, segmentation];
    if segmentation != 0 {
        bytes.extend((network as u16 + 40).to_ne_bytes()); // hdr_len
        bytes.extend(1448_u16.to_ne_bytes()); // gso_size
    } else {
        bytes.extend([0; 4]);
    }
    if flags != 0 {
        bytes.extend((network as u16 + 20).to_ne_bytes()); // csum_start
        bytes.extend(16_u16.to_ne_bytes()); // csum_offset
    } else {
        bytes.extend([0; 4]);
    }
    bytes.extend([0xff; 6]);
    bytes.extend([2, 0, 0, 0, 0, 1]);
    for (place, tpid) in tags.iter().enumerate() {
        bytes.extend(tpid.to_be_bytes());
        bytes.extend((0x6064 + place as u16).to_be_bytes());
    }
    bytes.extend([0x08, 0x00]);
    let length = (40 + payload) as u16;
    bytes.extend([0x45, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 8, 10, 0, 0, 9]);
    bytes.extend([0x10, 0, 0x20, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes.extend((0..payload).map(|place| place as u8));
    bytes
}
