//! The part of a program that finds the bucket of a tunneled frame, with `encap`: the innermost
//! packet counts.

use runners::tx_hash::definition::MAX_TUNNELS;
use runners::wire::ethertype;

use super::assembler::{Alu, If, Label, Reg, Size};
use super::bucket::Part;
use super::headers::{self, COPY, ETHERTYPE, half};

use Reg::{R2, R7, R9, R10};

/// Offsets on the stack, past those of [`headers`], of numbers that the verifier does not follow: the
/// CRC of the Ethernet header, …
const FRAME: i16 = headers::END - 4;
/// … the CRC of the innermost packet's addresses, …
const ADDRESSES: i16 = headers::END - 12;
/// … and its protocol, with the offset of the protocol's header.
const PROTOCOL: i16 = headers::END - 20;
const UPPER: i16 = headers::END - 28;

/// Stands for a packet without a readable protocol.
const NO_PROTOCOL: i32 = -1;

impl Part<'_> {
    /// Adds addresses and ports of the innermost packet to the CRC. The outermost packet starts at
    /// R9, and its ethertype is stored.
    pub fn innermost(&mut self) {
        let ended = self.asm.label();
        self.asm.store(Size::Word, R10, FRAME, R7);
        self.asm.store(Size::Word, R10, ADDRESSES, 0);
        self.asm.store(Size::Word, R10, PROTOCOL, NO_PROTOCOL);
        self.asm.store(Size::Word, R10, UPPER, 0);
        self.packet(ended);
        for _ in 0..MAX_TUNNELS {
            headers::inner(self.asm, ended);
            self.packet(ended);
        }
        self.asm.place(ended);
        self.asm.load(Size::Word, R7, R10, FRAME);
        self.asm.load(Size::Word, R2, R10, ADDRESSES);
        self.asm.alu32(Alu::Xor, R7, R2);
        if self.ports() {
            self.asm.load(Size::Word, R9, R10, UPPER);
            self.asm.load(Size::Word, R2, R10, PROTOCOL);
            self.named_ports();
        }
    }

    /// Stores what counts of the packet at R9; R2 becomes its protocol, and R9 the start of the
    /// protocol's header. Continues at `ended` if there is no packet, with all stored as before, or
    /// no protocol.
    fn packet(&mut self, ended: Label) {
        let (ipv6, arp, stored) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::Half, R2, R10, ETHERTYPE);
        self.asm.jump_if(If::Equal, R2, half(ethertype::IPV6), ipv6);
        self.asm.jump_if(If::Equal, R2, half(ethertype::ARP), arp);
        self.asm.jump_if(If::NotEqual, R2, half(ethertype::IPV4), ended);
        headers::ipv4(self.asm, ended);
        self.begin_packet();
        self.fold_ipv4(R10, COPY + 12);
        self.asm.store(Size::Word, R10, ADDRESSES, R7);
        headers::ipv4_upper(self.asm, ended);
        self.asm.jump(stored);

        self.asm.place(arp);
        headers::arp(self.asm, ended);
        self.begin_packet();
        if self.ipv4 {
            self.arp_addresses(ended);
        }
        self.asm.store(Size::Word, R10, ADDRESSES, R7);
        self.asm.jump(ended);

        self.asm.place(ipv6);
        headers::ipv6(self.asm, ended);
        self.begin_packet();
        self.fold_ipv6(R10, COPY + 8);
        self.asm.store(Size::Word, R10, ADDRESSES, R7);
        headers::ipv6_upper(self.asm, ended);
        self.asm.place(stored);
        self.asm.store(Size::Word, R10, PROTOCOL, R2);
        self.asm.store(Size::Word, R10, UPPER, R9);
    }

    /// Drops what was stored of the packet around this one.
    fn begin_packet(&mut self) {
        self.asm.store(Size::Word, R10, PROTOCOL, NO_PROTOCOL);
        self.asm.set(R7, 0);
    }
}
