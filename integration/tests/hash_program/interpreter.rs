//! An interpreter of the classic BPF instructions that hash programs use, by the kernel's
//! documentation (networking/filter): a load past the end ends the program with 0.

use teamr::netlink::bpf::{Instruction, OUTSIDE_TAG, OUTSIDE_TAG_PRESENT};

/// Returns the result of `program` for a frame whose outer tag may be beside it.
pub fn run(program: &[Instruction], frame: &[u8], outside_tag: Option<u16>) -> u32 {
    let load = |at: usize, length: usize| -> Option<u32> {
        let bytes = frame.get(at..at + length)?;
        Some(
            bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte)),
        )
    };
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
    let mut at = 0;
    loop {
        let (code, on_true, on_false, k) = program[at];
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { on_true } else { on_false });
        let loaded = match (code, k) {
            (0x28, OUTSIDE_TAG) => Some(u32::from(outside_tag.unwrap_or(0))),
            (0x30, OUTSIDE_TAG_PRESENT) => Some(u32::from(outside_tag.is_some())),
            (0x20, _) => load(k as usize, 4),
            (0x28, _) => load(k as usize, 2),
            (0x30, _) => load(k as usize, 1),
            (0x48, _) => load((x + k) as usize, 2),
            (0xb1, _) => load(k as usize, 1),
            _ => Some(0),
        };
        let Some(loaded) = loaded else { return 0 };
        match code {
            0x20 | 0x28 | 0x30 | 0x48 => a = loaded,
            0xb1 => x = 4 * (loaded & 15),
            0x01 => x = k,
            0x61 => x = memory[k as usize],
            0x02 => memory[k as usize] = a,
            0x03 => memory[k as usize] = x,
            0x54 => a &= k,
            0xac => a ^= x,
            0x07 => x = a,
            0x87 => a = x,
            0x05 => at += k as usize,
            0x15 => jump(a == k),
            0x45 => jump(a & k != 0),
            0x06 => return k,
            0x16 => return a,
            _ => panic!("instruction {code:#x} is not known"),
        }
    }
}
