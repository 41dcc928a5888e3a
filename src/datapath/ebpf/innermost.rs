//! The part of a program that finds the bucket by what is inside tunnels, with `encap`: each tunnel
//! that is entered takes the place of the one around it.

use runners::tx_hash::definition::{MAX_TUNNELS, place};
use runners::wire::ethertype;

use super::assembler::{Alu, If, Label, Reg, Size};
use super::bucket::Part;
use super::walk::{self, COPY, KIND, half};

use Reg::{R2, R7, R9, R10};

/// The stack, past what [`walk`] uses: the CRC of what is outside of all packets, …
const FRAME: i16 = walk::END - 8;
/// … that of the addresses of the innermost packet, …
const ADDRESSES: i16 = walk::END - 16;
/// … and its protocol, with the place of its header.
const PROTOCOL: i16 = walk::END - 24;
const UPPER: i16 = walk::END - 32;

/// Of a packet without a protocol that can be read.
const NO_PROTOCOL: i32 = -1;

impl Part<'_> {
    /// Adds addresses and ports of the innermost packet to the CRC; the first one's ethertype is
    /// noted, and it starts at R9.
    pub fn innermost(&mut self) {
        let ended = self.asm.label();
        self.asm.store(Size::Double, R10, FRAME, R7);
        self.asm.store(Size::Double, R10, ADDRESSES, 0);
        self.asm.store(Size::Double, R10, PROTOCOL, NO_PROTOCOL);
        self.asm.store(Size::Double, R10, UPPER, 0);
        self.packet(ended);
        for _ in 0..MAX_TUNNELS {
            walk::inner(self.asm, ended);
            self.packet(ended);
        }
        self.asm.place(ended);
        self.asm.load(Size::Double, R7, R10, FRAME);
        self.asm.load(Size::Double, R2, R10, ADDRESSES);
        self.asm.alu32(Alu::Xor, R7, R2);
        if self.ports() {
            self.asm.load(Size::Double, R9, R10, UPPER);
            self.asm.load(Size::Double, R2, R10, PROTOCOL);
            self.named_ports();
        }
    }

    /// Notes what is read of the packet at R9, or goes on at `ended` with all noted as it was.
    /// Afterwards R2 is its protocol, whose header is at R9; without one, that is the end, too.
    fn packet(&mut self, ended: Label) {
        let (ipv6, arp, noted) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::Double, R2, R10, KIND);
        self.asm.jump_if(If::Equal, R2, half(ethertype::IPV6), ipv6);
        self.asm.jump_if(If::Equal, R2, half(ethertype::ARP), arp);
        self.asm
            .jump_if(If::NotEqual, R2, half(ethertype::IPV4), ended);
        walk::ipv4(self.asm, ended);
        self.begin_packet();
        if self.ipv4 {
            self.fold(place::IPV4.start, place::IPV4.len(), R10, COPY + 12);
        }
        self.asm.store(Size::Double, R10, ADDRESSES, R7);
        walk::ipv4_upper(self.asm, ended);
        self.asm.jump(noted);

        self.asm.place(arp);
        walk::arp(self.asm, ended);
        self.begin_packet();
        if self.ipv4 {
            self.arp_addresses(ended);
        }
        self.asm.store(Size::Double, R10, ADDRESSES, R7);
        self.asm.jump(ended);

        self.asm.place(ipv6);
        walk::ipv6(self.asm, ended);
        self.begin_packet();
        if self.ipv6 {
            self.fold_ipv6(R10, COPY + 8);
        }
        self.asm.store(Size::Double, R10, ADDRESSES, R7);
        walk::ipv6_upper(self.asm, ended);
        self.asm.place(noted);
        self.asm.store(Size::Double, R10, PROTOCOL, R2);
        self.asm.store(Size::Double, R10, UPPER, R9);
    }

    /// There is a packet: what was noted of the one around it counts no more.
    fn begin_packet(&mut self) {
        self.asm.store(Size::Double, R10, PROTOCOL, NO_PROTOCOL);
        self.asm.set(R7, 0);
    }
}
