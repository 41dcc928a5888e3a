//! `tx_hash` as the classic BPF program that the kernel's loadbalance mode runs on each frame.
//!
//! The hash of every frame is teamd's, with one exception: over IPv6 both ports count. teamd loads
//! the source port and drops it, so that all clients of one server port share a bucket and the way
//! back takes another. A load past the end of the frame ends the program with 0, by the kernel's
//! rule; teamd's hash is 0, too.
//!
//! `srcmac` takes the source half of `eth`. `encap` has no effect: the outermost packet counts.
//! With `socket`, the kernel's hash of the frame's socket is the result, unless that hash is 0.
//!
//! The kernel XORs the 32 bits to 8. Source of the formula: the layout of frames (IEEE 802.3,
//! 802.1Q, RFC 791, RFC 8200).

use runners::HashFields;
use runners::wire::{ethertype, protocol};

use crate::netlink::bpf::{
    A_FROM_X, AND, Instruction, JUMP, JUMP_ANY_BIT, JUMP_EQUAL, LOAD_BYTE, LOAD_HALF,
    LOAD_HALF_AT_X, LOAD_WORD, LOAD_X_HEADER_LENGTH, LOAD_X_IMMEDIATE, LOAD_X_MEMORY, MARK,
    OUTSIDE_TAG, OUTSIDE_TAG_PRESENT, RETURN_A, SOCKET_HASH, STORE_A, STORE_X, X_FROM_A, XOR_X,
    run,
};

const ETHERTYPE: u32 = 12;
const VLAN_ID: u32 = 0x0fff;
const FRAGMENT_OFFSET: u32 = 0x1fff;

/// A jump target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label(usize);

/// Assembles a program; X holds the hash so far throughout.
#[derive(Debug, Default)]
struct Assembler {
    program: Vec<Instruction>,
    /// Jumps to labels that are not placed yet: place of the instruction, which of its two targets.
    jumps: Vec<(usize, Way, Label)>,
    labels: Vec<Option<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    True,
    False,
    Always,
}

impl Assembler {
    fn emit(&mut self, code: u16, operand: u32) {
        self.program.push((code, 0, 0, operand));
    }

    fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.program.len());
    }

    fn jump(&mut self, to: Label) {
        self.compare(Way::Always, JUMP, 0, to);
    }

    /// Compares A with the operand as `code` says, and jumps after the outcome `way`.
    fn compare(&mut self, way: Way, code: u16, operand: u32, to: Label) {
        self.jumps.push((self.program.len(), way, to));
        self.emit(code, operand);
    }

    /// X ^= A.
    fn mix(&mut self) {
        self.emit(XOR_X, 0);
        self.emit(X_FROM_A, 0);
    }

    fn mix_load(&mut self, code: u16, offset: u32) {
        self.emit(code, offset);
        self.mix();
    }

    fn finish(mut self) -> Vec<Instruction> {
        for (at, way, label) in &self.jumps {
            // A label that was never placed is the end; a program has far less than 255
            // instructions.
            let target = self.labels[label.0].unwrap_or(self.program.len());
            let distance = target - at - 1;
            let (_, on_true, on_false, operand) = &mut self.program[*at];
            match way {
                Way::True => *on_true = distance as u8,
                Way::False => *on_false = distance as u8,
                Way::Always => *operand = distance as u32,
            }
        }
        self.program
    }
}

/// Returns the bucket that the driver gives a frame by the program for these fields: the exclusive-or
/// of the bytes of the program's result.
pub fn flow_bucket(fields: HashFields, frame: &[u8]) -> u8 {
    let [a, b, c, d] = run(&hash_program(fields), frame, None).to_ne_bytes();
    a ^ b ^ c ^ d
}

/// Returns the program for a set of fields; about 120 instructions at most.
pub fn hash_program(fields: HashFields) -> Vec<Instruction> {
    let upper = HashFields::TCP | HashFields::UDP | HashFields::SCTP;
    let network = HashFields::IPV4 | HashFields::IPV6 | upper;
    let mut asm = Assembler::default();
    let end = asm.label();
    if fields.contains(HashFields::SOCKET) {
        let without = asm.label();
        asm.emit(LOAD_WORD, SOCKET_HASH);
        asm.compare(Way::True, JUMP_EQUAL, 0, without);
        asm.emit(RETURN_A, 0);
        asm.place(without);
    }
    asm.emit(LOAD_X_IMMEDIATE, 0);
    if fields.intersects(HashFields::ETH) {
        asm.mix_load(LOAD_WORD, 2);
        asm.mix_load(LOAD_HALF, 0);
    }
    if fields.intersects(HashFields::ETH | HashFields::SRC_MAC) {
        asm.mix_load(LOAD_WORD, 8);
        asm.mix_load(LOAD_HALF, 6);
    }
    if fields.intersects(HashFields::VLAN | network) {
        let tagged = asm.label();
        asm.emit(LOAD_HALF, ETHERTYPE);
        asm.compare(Way::True, JUMP_EQUAL, ethertype::VLAN.into(), tagged);
        if fields.intersects(HashFields::VLAN) {
            let untagged = asm.label();
            asm.emit(LOAD_BYTE, OUTSIDE_TAG_PRESENT);
            asm.compare(Way::True, JUMP_EQUAL, 0, untagged);
            asm.mix_load(LOAD_HALF, OUTSIDE_TAG);
            asm.place(untagged);
        }
        if fields.intersects(network) {
            mix_network(&mut asm, fields, 14, end);
        }
        asm.jump(end);
        asm.place(tagged);
        if fields.intersects(HashFields::VLAN) {
            asm.emit(LOAD_HALF, 14);
            asm.emit(AND, VLAN_ID);
            asm.mix();
        }
        if fields.intersects(network) {
            mix_network(&mut asm, fields, 18, end);
        }
    }
    asm.place(end);
    asm.emit(A_FROM_X, 0);
    asm.emit(RETURN_A, 0);
    asm.finish()
}

/// Returns the program for slb: the bucket is the last byte of the frame's mark.
pub fn marked_bucket() -> [Instruction; 3] {
    [(LOAD_WORD, 0, 0, MARK), (AND, 0, 0, 0xff), (RETURN_A, 0, 0, 0)]
}

/// Mixes in addresses and ports of the packet at `start`, which follows its EtherType.
fn mix_network(asm: &mut Assembler, fields: HashFields, start: u32, end: Label) {
    let not_ipv4 = asm.label();
    asm.emit(LOAD_HALF, start - 2);
    asm.compare(Way::False, JUMP_EQUAL, ethertype::IPV4.into(), not_ipv4);
    if fields.intersects(HashFields::IPV4) {
        asm.mix_load(LOAD_WORD, start + 12);
        asm.mix_load(LOAD_WORD, start + 16);
    }
    if protocols(fields).next().is_some() {
        // Only a first fragment has ports.
        asm.emit(LOAD_HALF, start + 6);
        asm.compare(Way::True, JUMP_ANY_BIT, FRAGMENT_OFFSET, end);
        unless_protocol(asm, fields, start + 9, end);
        asm.emit(STORE_X, 0);
        asm.emit(LOAD_X_HEADER_LENGTH, start);
        asm.emit(LOAD_HALF_AT_X, start);
        asm.emit(STORE_A, 1);
        asm.emit(LOAD_HALF_AT_X, start + 2);
        for place in [0, 1] {
            asm.emit(LOAD_X_MEMORY, place);
            asm.emit(XOR_X, 0);
        }
        asm.emit(X_FROM_A, 0);
    }
    asm.jump(end);
    asm.place(not_ipv4);
    asm.compare(Way::False, JUMP_EQUAL, ethertype::IPV6.into(), end);
    if fields.intersects(HashFields::IPV6) {
        for word in 0..8 {
            asm.mix_load(LOAD_WORD, start + 8 + 4 * word);
        }
    }
    if protocols(fields).next().is_some() {
        unless_protocol(asm, fields, start + 6, end);
        asm.mix_load(LOAD_HALF, start + 40);
        asm.mix_load(LOAD_HALF, start + 42);
    }
    asm.jump(end);
}

/// Returns the protocol numbers whose ports count.
fn protocols(fields: HashFields) -> impl Iterator<Item = u32> {
    let numbers = [
        (HashFields::TCP, protocol::TCP),
        (HashFields::UDP, protocol::UDP),
        (HashFields::SCTP, protocol::SCTP),
    ];
    let counting = numbers.into_iter().filter(move |(field, _)| fields.intersects(*field));
    counting.map(|(_, number)| number.into())
}

/// Jumps to `end` unless the ports of the protocol at `offset` count.
fn unless_protocol(asm: &mut Assembler, fields: HashFields, offset: u32, end: Label) {
    let counts = asm.label();
    asm.emit(LOAD_BYTE, offset);
    for number in protocols(fields) {
        asm.compare(Way::True, JUMP_EQUAL, number, counts);
    }
    asm.jump(end);
    asm.place(counts);
}
