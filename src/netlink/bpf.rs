//! Classic BPF programs as netlink carries them (`linux/filter.h`, `linux/bpf_common.h`).

/// One instruction: code, jump if true, jump if false, operand (`struct sock_filter`).
pub type Instruction = (u16, u8, u8, u32);

/// Loads into A, in network order: a word, a half-word, a byte at a fixed place.
pub const LOAD_WORD: u16 = 0x20;
/// See [`LOAD_WORD`].
pub const LOAD_HALF: u16 = 0x28;
/// See [`LOAD_WORD`].
pub const LOAD_BYTE: u16 = 0x30;
/// A half-word at X and an offset, into A.
pub const LOAD_HALF_AT_X: u16 = 0x48;
/// A byte at X and an offset, into A.
pub const LOAD_BYTE_AT_X: u16 = 0x50;
/// The length of the IPv4 header at a fixed place, into X.
pub const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
/// A number, into X.
pub const LOAD_X_IMMEDIATE: u16 = 0x01;
/// A word of the scratch memory, into X.
pub const LOAD_X_MEMORY: u16 = 0x61;
/// A, into the scratch memory.
pub const STORE_A: u16 = 0x02;
/// X, into the scratch memory.
pub const STORE_X: u16 = 0x03;
/// A and a number, into A.
pub const AND: u16 = 0x54;
/// A exclusive-or X, into A.
pub const XOR_X: u16 = 0xac;
/// A, into X.
pub const X_FROM_A: u16 = 0x07;
/// X, into A.
pub const A_FROM_X: u16 = 0x87;
/// Goes on after as many instructions as the operand says.
pub const JUMP: u16 = 0x05;
/// Whether A is the operand.
pub const JUMP_EQUAL: u16 = 0x15;
/// Whether A and the operand have a bit in common.
pub const JUMP_ANY_BIT: u16 = 0x45;
/// Ends with a number.
pub const RETURN: u16 = 0x06;
/// Ends with A.
pub const RETURN_A: u16 = 0x16;

/// Loads from here on tell of the frame what its bytes do not (`SKF_AD_OFF`).
const BESIDES_BYTES: u32 = 0xffff_f000;
/// Mark of the socket that sent the frame.
pub const MARK: u32 = BESIDES_BYTES + 20;
/// The VLAN tag that is kept outside of the frame, and whether there is one.
pub const OUTSIDE_TAG: u32 = BESIDES_BYTES + 44;
/// See [`OUTSIDE_TAG`].
pub const OUTSIDE_TAG_PRESENT: u32 = BESIDES_BYTES + 48;

/// A program as the kernel takes it: 8 bytes an instruction, host order.
pub fn encode(program: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for (code, on_true, on_false, operand) in program {
        bytes.extend_from_slice(&code.to_ne_bytes());
        bytes.extend_from_slice(&[*on_true, *on_false]);
        bytes.extend_from_slice(&operand.to_ne_bytes());
    }
    bytes
}
