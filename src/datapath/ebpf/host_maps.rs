//! The maps of the team's own traffic under tlb and alb: a table of the team's hardware addresses on
//! the ports, which the daemon writes, and a ring buffer of address messages (ARP, neighbour
//! discovery), which the programs write.

use std::collections::BTreeMap;
use std::io;

use runners::wire::{ethertype, protocol};
use runners::{HostBalance, HwAddr, PortId};

use super::maps::MAX_PORTS;
use crate::sys::bpf::{RingBuffer, Table};

/// Bytes of a record of [`HostMaps::messages`] before the message: destination and source, each a
/// hardware address and a VLAN in this machine's byte order, then a number of 8 bytes with the
/// ethertype in its lower half, and 1 in its upper half if the team sent the message.
pub const RECORD_HEAD: usize = 24;
/// Bytes of an ARP message.
pub const ARP: usize = 28;
/// Bytes of an IPv6 header.
pub const IPV6: usize = 40;
/// Bytes of a neighbour discovery message without options.
pub const DISCOVERY: usize = 24;
/// Bytes of the ring buffer: room for some 600 messages of neighbour discovery. The daemon learns
/// nothing from a message that finds no room.
const WAITING: usize = 64 * 1024;

/// The maps of the team's own traffic.
#[derive(Debug)]
pub struct HostMaps {
    /// For each hardware address of the team on a port: the index of the one interface on which frames
    /// to the address are accepted, 0 for none.
    pub addresses: Table,
    /// The entries that the daemon has written to `addresses`.
    written: BTreeMap<HwAddr, u32>,
    /// Address messages, under alb.
    pub messages: Option<RingBuffer>,
}

/// An address message as a frame, without IPv6 extension headers and discovery options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFrame {
    /// Whether the team sent the message.
    pub sent: bool,
    /// The frame from the destination address on.
    pub bytes: Vec<u8>,
}

/// Returns the entries of [`HostMaps::addresses`]. `ifindex` returns the interface of a port that
/// receives; frames to the address of any other port are accepted on the interface `designated`.
pub fn receivers(
    host: &HostBalance,
    ifindex: impl Fn(PortId) -> Option<u32>,
    designated: u32,
) -> BTreeMap<HwAddr, u32> {
    let mut receivers = BTreeMap::new();
    for (port, hwaddr) in &host.addresses {
        receivers.entry(*hwaddr).or_insert_with(|| ifindex(*port).unwrap_or(designated));
    }
    receivers
}

impl HostMaps {
    /// Creates empty maps; with `receive`, as for alb, also the ring buffer of address messages.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF.
    pub fn create(receive: bool) -> io::Result<HostMaps> {
        let messages = receive.then(|| RingBuffer::create("teamr_messages", WAITING));
        Ok(HostMaps {
            addresses: Table::create(
                size_of::<HwAddr>(),
                size_of::<u32>(),
                MAX_PORTS as u32,
                "teamr_addresses",
            )?,
            written: BTreeMap::new(),
            messages: messages.transpose()?,
        })
    }

    /// Makes `receivers` the entries of [`addresses`](Self::addresses): writes what differs, removes
    /// what is no longer there. Fails as bpf(2) does.
    pub fn write_addresses(&mut self, receivers: BTreeMap<HwAddr, u32>) -> io::Result<()> {
        for (hwaddr, ifindex) in &receivers {
            if self.written.get(hwaddr) != Some(ifindex) {
                self.addresses.write(&hwaddr.0, &ifindex.to_ne_bytes())?;
                self.written.insert(*hwaddr, *ifindex);
            }
        }
        let stale = self.written.keys().filter(|hwaddr| !receivers.contains_key(hwaddr));
        for hwaddr in stale.copied().collect::<Vec<_>>() {
            self.addresses.remove(&hwaddr.0)?;
            self.written.remove(&hwaddr);
        }
        Ok(())
    }

    /// Takes the address messages that the programs have handed over since the last call.
    pub fn take_messages(&self) -> Vec<AddressFrame> {
        let records = self.messages.as_ref().map_or(Vec::new(), RingBuffer::take);
        records.iter().filter_map(|record| AddressFrame::read(record)).collect()
    }
}

impl AddressFrame {
    /// Reads a record; `None` for one that is too short.
    fn read(record: &[u8]) -> Option<AddressFrame> {
        /// Offset of the protocol in an IPv6 header.
        const NEXT_HEADER: usize = 6;
        let (head, message) = record.split_first_chunk::<RECORD_HEAD>()?;
        let (addresses, kind) = head.split_first_chunk::<16>()?;
        let (destination, source) = addresses.split_first_chunk::<8>()?;
        let (source, vlan) = source.split_first_chunk::<6>()?;
        let kind = u64::from_ne_bytes(*kind.first_chunk()?);
        let vlan = u16::from_ne_bytes(*vlan.first_chunk()?);
        let mut bytes = [destination.get(..6)?, source].concat();
        if vlan != 0 {
            bytes.extend([ethertype::VLAN, vlan].map(u16::to_be_bytes).concat());
        }
        let ethertype = (kind as u16).to_ne_bytes();
        bytes.extend(ethertype);
        let payload = bytes.len();
        bytes.extend(message);
        if ethertype == ethertype::IPV6.to_be_bytes() {
            *bytes.get_mut(payload + NEXT_HEADER)? = protocol::ICMPV6;
        }
        Some(AddressFrame { sent: kind >> 32 != 0, bytes })
    }
}
