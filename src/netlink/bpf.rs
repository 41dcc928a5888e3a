//! Classic BPF programs as netlink carries them (`linux/filter.h`, `linux/bpf_common.h`).

/// One instruction: code, jump if true, jump if false, operand (`struct sock_filter`).
pub type Instruction = (u16, u8, u8, u32);

/// Loads into A, in network byte order: a word, a half-word, a byte at a fixed offset.
pub const LOAD_WORD: u16 = 0x20;
/// See [`LOAD_WORD`].
pub const LOAD_HALF: u16 = 0x28;
/// See [`LOAD_WORD`].
pub const LOAD_BYTE: u16 = 0x30;
/// Loads a half-word at X and an offset into A.
pub const LOAD_HALF_AT_X: u16 = 0x48;
/// Loads a byte at X and an offset into A.
pub const LOAD_BYTE_AT_X: u16 = 0x50;
/// Loads the length of the IPv4 header at a fixed offset into X.
pub const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
/// Loads a number into X.
pub const LOAD_X_IMMEDIATE: u16 = 0x01;
/// Loads a word of the scratch memory into X.
pub const LOAD_X_MEMORY: u16 = 0x61;
/// Stores A in the scratch memory.
pub const STORE_A: u16 = 0x02;
/// Stores X in the scratch memory.
pub const STORE_X: u16 = 0x03;
/// A becomes A and a number.
pub const AND: u16 = 0x54;
/// A becomes A exclusive-or X.
pub const XOR_X: u16 = 0xac;
/// X becomes A.
pub const X_FROM_A: u16 = 0x07;
/// A becomes X.
pub const A_FROM_X: u16 = 0x87;
/// Skips as many instructions as the operand says.
pub const JUMP: u16 = 0x05;
/// Compares: A equals the operand.
pub const JUMP_EQUAL: u16 = 0x15;
/// Compares: A and the operand have a common bit.
pub const JUMP_ANY_BIT: u16 = 0x45;
/// Ends the program with a number.
pub const RETURN: u16 = 0x06;
/// Ends the program with A.
pub const RETURN_A: u16 = 0x16;

/// Loads from this offset on read metadata of the frame (`SKF_AD_OFF`).
const METADATA: u32 = 0xffff_f000;
/// Mark of the frame, by its socket.
pub const MARK: u32 = METADATA + 20;
/// Hash of the sender's socket, or of a received frame; 0 without a hash.
pub const SOCKET_HASH: u32 = METADATA + 32;
/// The VLAN tag that the kernel keeps beside the frame, and whether there is one.
pub const OUTSIDE_TAG: u32 = METADATA + 44;
/// See [`OUTSIDE_TAG`].
pub const OUTSIDE_TAG_PRESENT: u32 = METADATA + 48;

/// Returns the result of a program for a frame of no socket, whose outer VLAN tag may be outside
/// the frame, as the kernel computes the result (networking/filter): a load past the end of the
/// frame ends the program with 0. Here, an instruction without a name in this module ends the
/// program with 0, too.
pub fn run(program: &[Instruction], frame: &[u8], outside_tag: Option<u16>) -> u32 {
    result(program, frame, outside_tag).unwrap_or(0)
}

fn result(program: &[Instruction], frame: &[u8], outside_tag: Option<u16>) -> Option<u32> {
    let load = |at: u32, length: usize| -> Option<u32> {
        let bytes = frame.get(at as usize..)?.get(..length)?;
        Some(bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    };
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
    let mut at = 0_usize;
    loop {
        // Jumps lead forward only, so every program ends.
        let (code, on_true, on_false, k) = *program.get(at)?;
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { on_true } else { on_false });
        match code {
            LOAD_WORD if k == SOCKET_HASH => a = 0,
            LOAD_HALF if k == OUTSIDE_TAG => a = u32::from(outside_tag.unwrap_or(0)),
            LOAD_BYTE if k == OUTSIDE_TAG_PRESENT => a = u32::from(outside_tag.is_some()),
            LOAD_WORD => a = load(k, 4)?,
            LOAD_HALF => a = load(k, 2)?,
            LOAD_BYTE => a = load(k, 1)?,
            LOAD_HALF_AT_X => a = load(x.checked_add(k)?, 2)?,
            LOAD_BYTE_AT_X => a = load(x.checked_add(k)?, 1)?,
            LOAD_X_HEADER_LENGTH => x = 4 * (load(k, 1)? & 15),
            LOAD_X_IMMEDIATE => x = k,
            LOAD_X_MEMORY => x = *memory.get(k as usize)?,
            STORE_A => *memory.get_mut(k as usize)? = a,
            STORE_X => *memory.get_mut(k as usize)? = x,
            AND => a &= k,
            XOR_X => a ^= x,
            X_FROM_A => x = a,
            A_FROM_X => a = x,
            JUMP => at = at.checked_add(k as usize)?,
            JUMP_EQUAL => jump(a == k),
            JUMP_ANY_BIT => jump(a & k != 0),
            RETURN => return Some(k),
            RETURN_A => return Some(a),
            _ => return None,
        }
    }
}

/// Returns the bytes of a program: 8 for each instruction, in host byte order.
pub fn encode(program: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for (code, on_true, on_false, operand) in program {
        bytes.extend_from_slice(&code.to_ne_bytes());
        bytes.extend_from_slice(&[*on_true, *on_false]);
        bytes.extend_from_slice(&operand.to_ne_bytes());
    }
    bytes
}
