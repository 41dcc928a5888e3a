//! An assembler for eBPF (RFC 9669): instructions with types, jumps to labels.
//!
//! Owns the encoding. Jumps go forward only, so every program ends.

use std::os::fd::RawFd;

/// A register. R0 holds results, R1 to R5 hold arguments and are destroyed by a call, R6 to R9 are
/// kept; R10 points past the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "numbers are names enough")]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// The right operand of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A number, sign-extended to 64 bits.
    Number(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Operand::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(number: i32) -> Self {
        Operand::Number(number)
    }
}

/// Arithmetic; codes of RFC 9669, table 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usual names")]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Mod = 0x90,
    Xor = 0xa0,
    Move = 0xb0,
}

/// A comparison; codes of RFC 9669, table 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum If {
    /// Equal.
    Equal = 0x10,
    /// Greater, unsigned.
    Greater = 0x20,
    /// A common bit.
    AnyBit = 0x40,
    /// Not equal.
    NotEqual = 0x50,
    /// Less, unsigned.
    Less = 0xa0,
    /// Less, signed.
    SignedLess = 0xc0,
}

/// Width of a load or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 32 bits.
    Word = 0x00,
    /// 16 bits.
    Half = 0x08,
    /// 8 bits.
    Byte = 0x10,
    /// 64 bits.
    Double = 0x18,
}

/// A helper function of the kernel (`enum bpf_func_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    /// Returns a pointer to the value of a key of a map, or null.
    MapLookup = 1,
    /// Writes the value of a key of a map.
    MapUpdate = 2,
    /// Deletes a key of a map.
    MapDelete = 3,
    /// Returns nanoseconds of the monotonic clock, without suspended time.
    Time = 5,
    /// Returns 32 random bits.
    Random = 7,
    /// Writes bytes into the frame.
    StoreBytes = 9,
    /// Corrects a checksum of the frame's transport layer for a change of 2 or 4 bytes.
    CorrectChecksum = 11,
    /// Sends a copy of the frame to an interface.
    CloneRedirect = 13,
    /// Adds a VLAN tag to the frame.
    VlanPush = 18,
    /// Redirects the frame to an interface; returns the verdict to end with.
    Redirect = 23,
    /// Copies bytes of the frame, contiguous or not.
    LoadBytes = 26,
    /// Lengthens or cuts the frame.
    ChangeTail = 38,
    /// Returns nanoseconds since the machine started, with suspended time.
    BootTime = 125,
    /// Writes a record to a ring buffer.
    RingOutput = 130,
}

/// A jump target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

const LOAD: u8 = 0x01;
const STORE_NUMBER: u8 = 0x02;
const STORE: u8 = 0x03;
const ALU_32: u8 = 0x04;
const JUMP: u8 = 0x05;
const ALU_64: u8 = 0x07;
const MEMORY: u8 = 0x60;
const ATOMIC: u8 = 0xc0;
const FROM_REGISTER: u8 = 0x08;
const LOAD_NUMBER_64: u8 = 0x18;
const TO_LITTLE_ENDIAN: u8 = 0xd4;
const TO_BIG_ENDIAN: u8 = 0xdc;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// The meaning of a 64-bit number: a map, or an offset in the value of its key 0.
const MAP: u8 = 1;
const MAP_VALUE: u8 = 2;
const FETCH_ADD: i32 = 0x01;
const COMPARE_EXCHANGE: i32 = 0xf1;

#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    number: i32,
}

impl Instruction {
    fn encode(self) -> u64 {
        let registers = if cfg!(target_endian = "little") {
            self.from << 4 | self.to
        } else {
            self.to << 4 | self.from
        };
        let mut bytes = [self.code, registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&self.offset.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.number.to_ne_bytes());
        u64::from_ne_bytes(bytes)
    }
}

/// A program under construction.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    /// Instruction of each label, once the label is placed.
    labels: Vec<Option<usize>>,
    /// Jumps and their labels.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn emit(&mut self, code: u8, to: Reg, from: Reg, offset: i16, number: i32) {
        self.code.push(Instruction { code, to: to as u8, from: from as u8, offset, number });
    }

    fn operate(&mut self, class: u8, operation: u8, to: Reg, operand: Operand, offset: i16) {
        match operand {
            Operand::Reg(from) => {
                self.emit(class | FROM_REGISTER | operation, to, from, offset, 0);
            }
            Operand::Number(number) => self.emit(class | operation, to, Reg::R0, offset, number),
        }
    }

    /// Computes on 64 bits; the result is in `to`.
    pub fn alu(&mut self, operation: Alu, to: Reg, operand: impl Into<Operand>) {
        self.operate(ALU_64, operation as u8, to, operand.into(), 0);
    }

    /// Computes on 32 bits; the upper bits of `to` become 0.
    pub fn alu32(&mut self, operation: Alu, to: Reg, operand: impl Into<Operand>) {
        self.operate(ALU_32, operation as u8, to, operand.into(), 0);
    }

    /// `to` becomes the operand.
    pub fn set(&mut self, to: Reg, operand: impl Into<Operand>) {
        self.alu(Alu::Move, to, operand);
    }

    /// Swaps the low 16, 32 or 64 bits between this machine's byte order and the network's.
    pub fn network_order(&mut self, to: Reg, bits: i32) {
        self.emit(TO_BIG_ENDIAN, to, Reg::R0, 0, bits);
    }

    /// Swaps the low 16, 32 or 64 bits between this machine's byte order and little-endian; the
    /// bits above become 0.
    pub fn little_endian(&mut self, to: Reg, bits: i32) {
        self.emit(TO_LITTLE_ENDIAN, to, Reg::R0, 0, bits);
    }

    /// Loads from `base` and an offset.
    pub fn load(&mut self, size: Size, to: Reg, base: Reg, offset: i16) {
        self.emit(LOAD | MEMORY | size as u8, to, base, offset, 0);
    }

    /// Stores at `base` and an offset.
    pub fn store(&mut self, size: Size, base: Reg, offset: i16, operand: impl Into<Operand>) {
        let code = MEMORY | size as u8;
        match operand.into() {
            Operand::Reg(from) => self.emit(STORE | code, base, from, offset, 0),
            Operand::Number(number) => {
                self.emit(STORE_NUMBER | code, base, Reg::R0, offset, number);
            }
        }
    }

    /// Adds `from` to the 64 bits at `base` atomically; `from` becomes their former value.
    pub fn fetch_add(&mut self, base: Reg, from: Reg) {
        let code = STORE | ATOMIC | Size::Double as u8;
        self.emit(code, base, from, 0, FETCH_ADD);
    }

    /// Writes the 32 bits of `from` at `base` if R0 has their former value; R0 becomes the former
    /// value. Atomic.
    pub fn compare_exchange(&mut self, base: Reg, from: Reg) {
        let code = STORE | ATOMIC | Size::Word as u8;
        self.emit(code, base, from, 0, COMPARE_EXCHANGE);
    }

    /// `to` becomes the number.
    pub fn set_wide(&mut self, to: Reg, number: u64) {
        self.emit(LOAD_NUMBER_64, to, Reg::R0, 0, number as u32 as i32);
        self.emit(0, Reg::R0, Reg::R0, 0, (number >> 32) as u32 as i32);
    }

    fn load_descriptor(&mut self, to: Reg, what: u8, map: RawFd, offset: i32) {
        self.code.push(Instruction {
            code: LOAD_NUMBER_64,
            to: to as u8,
            from: what,
            offset: 0,
            number: map,
        });
        self.emit(0, Reg::R0, Reg::R0, 0, offset);
    }

    /// `to` becomes the map.
    pub fn load_map(&mut self, to: Reg, map: RawFd) {
        self.load_descriptor(to, MAP, map, 0);
    }

    /// `to` becomes the address of a byte in the only value of a map.
    pub fn load_value(&mut self, to: Reg, map: RawFd, offset: i32) {
        self.load_descriptor(to, MAP_VALUE, map, offset);
    }

    /// Emits a jump to the next instruction, which the kernel takes out: the verifier compares its paths
    /// where jumps end, and follows one of those that are alike.
    pub fn meeting_point(&mut self) {
        let next = self.label();
        self.jump(next);
        self.place(next);
    }

    /// Returns a label, to be placed later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places `label` at the next instruction.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// Jumps to `label`.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(JUMP, Reg::R0, Reg::R0, 0, 0);
    }

    /// Jumps to `label` if the comparison of 64 bits holds.
    pub fn jump_if(&mut self, comparison: If, left: Reg, right: impl Into<Operand>, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.operate(JUMP, comparison as u8, left, right.into(), 0);
    }

    /// Calls a helper function.
    pub fn call(&mut self, helper: Helper) {
        self.emit(CALL, Reg::R0, Reg::R0, 0, helper as i32);
    }

    /// Ends the program with the value of R0.
    pub fn exit(&mut self) {
        self.emit(EXIT, Reg::R0, Reg::R0, 0, 0);
    }

    /// Ends the program with a number.
    pub fn exit_with(&mut self, number: i32) {
        self.set(Reg::R0, number);
        self.exit();
    }

    /// Returns the finished program.
    ///
    /// A jump to a label that was never placed, or is too far, gets an offset that the kernel's
    /// verifier refuses.
    pub fn finish(mut self) -> Vec<u64> {
        for (from, label) in &self.jumps {
            let distance = self.labels[label.0].and_then(|to| to.checked_sub(from + 1));
            self.code[*from].offset =
                distance.and_then(|distance| i16::try_from(distance).ok()).unwrap_or(i16::MIN);
        }
        self.code.into_iter().map(Instruction::encode).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel's tools print the instructions.
    fn bytes(program: &[u64]) -> Vec<[u8; 8]> {
        program.iter().map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_are_encoded_as_the_standard_says() {
        let mut asm = Assembler::default();
        let end = asm.label();
        asm.set(Reg::R6, Reg::R1);
        asm.load(Size::Word, Reg::R2, Reg::R6, 16);
        asm.jump_if(If::NotEqual, Reg::R2, 8, end);
        asm.load_map(Reg::R1, 5);
        asm.call(Helper::MapLookup);
        asm.place(end);
        asm.exit_with(2);
        assert_eq!(
            bytes(&asm.finish()),
            [
                [0xbf, 0x16, 0, 0, 0, 0, 0, 0],
                [0x61, 0x62, 16, 0, 0, 0, 0, 0],
                [0x55, 0x02, 3, 0, 8, 0, 0, 0],
                [0x18, 0x11, 0, 0, 5, 0, 0, 0],
                [0; 8],
                [0x85, 0, 0, 0, 1, 0, 0, 0],
                [0xb7, 0, 0, 0, 2, 0, 0, 0],
                [0x95, 0, 0, 0, 0, 0, 0, 0],
            ]
        );
    }
}
