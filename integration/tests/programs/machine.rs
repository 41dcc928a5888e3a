//! Instructions of a program as text, and an interpreter that counts the instructions that a frame
//! takes.
//!
//! The interpreter runs the instructions as the assembler writes them, without those that the kernel
//! adds when it loads a program.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// Offsets of the frame's first byte, and of its end, in `struct __sk_buff`.
const DATA: u64 = 76;
const DATA_END: u64 = 80;
/// Addresses of the context, of the frame, of the end of the stack, and of the values of maps.
const CONTEXT: u64 = 0x1000;
const FRAME: u64 = 0x2000;
const STACK: u64 = 0x1_0000;
const MAPS: u64 = 1 << 32;
/// Distance of the addresses of two values of a map, in bytes.
const STRIDE: u64 = 1 << 16;

const MAP_LOOKUP: i32 = 1;
const REDIRECT: i32 = 23;

/// One instruction, by the fields of RFC 9669.
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    to: usize,
    from: usize,
    offset: i16,
    number: i32,
}

impl Instruction {
    fn decode(word: u64) -> Instruction {
        let bytes = word.to_le_bytes();
        let half = |at| [bytes[at], bytes[at + 1]];
        Instruction {
            code: bytes[0],
            to: usize::from(bytes[1] & 15),
            from: usize::from(bytes[1] >> 4),
            offset: i16::from_le_bytes(half(2)),
            number: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }

    /// Returns the width of a load or store, in bytes.
    fn width(self) -> u64 {
        [4, 2, 1, 8][usize::from(self.code >> 3 & 3)]
    }

    fn is_wide(self) -> bool {
        self.code == 0x18
    }
}

/// Returns kind, number of entries and size of a value of a map of this process.
fn describe_map(descriptor: i32) -> String {
    let path = format!("/proc/self/fdinfo/{descriptor}");
    let text = fs::read_to_string(path).expect("a map is open");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
    };
    let kind = match field("map_type:").as_str() {
        "2" => "array",
        "6" => "array of each processor",
        "27" => "ring buffer",
        other => panic!("map type {other}"),
    };
    format!("{kind} {} x {}", field("max_entries:"), field("value_size:"))
}

/// Returns the instructions of a program as lines. Jumps name the number of the target.
pub fn listing(program: &[u64]) -> String {
    let mut text = String::new();
    let mut instructions = program.iter().map(|word| Instruction::decode(*word)).enumerate();
    while let Some((at, instruction)) = instructions.next() {
        let second = match instruction.is_wide() {
            true => instructions.next().map_or(0, |(_, second)| second.number),
            false => 0,
        };
        let _ = writeln!(text, "{at:4}  {}", line(at, instruction, second));
    }
    text
}

fn line(at: usize, instruction: Instruction, second: i32) -> String {
    let Instruction { code, to, from, offset, number } = instruction;
    let bits = 8 * instruction.width();
    let target = at as i64 + 1 + i64::from(offset);
    let operand = match code & 8 {
        0 => number.to_string(),
        _ => format!("r{from}"),
    };
    match code & 7 {
        0 if from == 1 => format!("r{to} = map ({})", describe_map(number)),
        0 if from == 2 => format!("r{to} = value ({}) {second:+}", describe_map(number)),
        0 => format!("r{to} = {}", (i64::from(second) << 32) | i64::from(number as u32)),
        1 => format!("r{to} = u{bits} [r{from} {offset:+}]"),
        2 => format!("u{bits} [r{to} {offset:+}] = {number}"),
        3 if code & 0xe0 == 0xc0 => {
            format!("u{bits} [r{to} {offset:+}] atomic {number:#x} r{from}")
        }
        3 => format!("u{bits} [r{to} {offset:+}] = r{from}"),
        4 if code & 0xf0 == 0xd0 => {
            format!("r{to} = {}{number} r{to}", if code & 8 == 0 { "le" } else { "be" })
        }
        4 => format!("w{to} {} {}", operator(code), operand.replace('r', "w")),
        7 => format!("r{to} {} {operand}", operator(code)),
        _ => match code & 0xf0 {
            0x00 => format!("goto {target}"),
            0x80 => format!("call {}", helper(number)),
            0x90 => "exit".to_owned(),
            _ => format!("if r{to} {} {operand} goto {target}", comparison(code)),
        },
    }
}

fn operator(code: u8) -> &'static str {
    match code & 0xf0 {
        0x00 => "+=",
        0x10 => "-=",
        0x20 => "*=",
        0x30 => "/=",
        0x40 => "|=",
        0x50 => "&=",
        0x60 => "<<=",
        0x70 => ">>=",
        0x90 => "%=",
        0xa0 => "^=",
        _ => "=",
    }
}

fn comparison(code: u8) -> &'static str {
    match code & 0xf0 {
        0x10 => "==",
        0x20 => ">",
        0x40 => "&",
        0x50 => "!=",
        0xa0 => "<",
        _ => "s<",
    }
}

fn helper(number: i32) -> String {
    match number {
        MAP_LOOKUP => "map_lookup_elem".to_owned(),
        REDIRECT => "redirect".to_owned(),
        7 => "get_prandom_u32".to_owned(),
        13 => "clone_redirect".to_owned(),
        26 => "skb_load_bytes".to_owned(),
        130 => "ringbuf_output".to_owned(),
        other => other.to_string(),
    }
}

/// The result of a program for a frame.
pub struct Run {
    /// Number of executed instructions, without those inside helper functions.
    pub instructions: usize,
    /// Number of calls of helper functions, with lookups in maps.
    pub calls: usize,
    /// Index of the interface to which the program redirects the frame; `None` without a redirection.
    pub redirected_to: Option<u64>,
}

/// Runs a program on a common frame: one whose headers the program reads without copying them.
///
/// `fields` are the 32-bit fields of the context by offset; `values` the beginning of each value of a
/// map, by the size of the value. All other memory is zero.
pub fn run(
    program: &[u64],
    frame: &[u8],
    fields: &[(i16, u32)],
    values: &BTreeMap<usize, Vec<u8>>,
) -> Run {
    let mut machine = Machine { memory: BTreeMap::new(), values, registers: [0; 11] };
    let end = FRAME + frame.len() as u64;
    for (offset, value) in [(DATA, FRAME), (DATA_END, end)] {
        machine.store(CONTEXT + offset, 4, value);
    }
    for (offset, value) in fields {
        machine.store(CONTEXT.wrapping_add_signed((*offset).into()), 4, (*value).into());
    }
    for (at, byte) in (FRAME..).zip(frame) {
        machine.store(at, 1, (*byte).into());
    }
    machine.registers[1] = CONTEXT;
    machine.registers[10] = STACK;
    machine.run(program)
}

struct Machine<'a> {
    memory: BTreeMap<u64, u8>,
    values: &'a BTreeMap<usize, Vec<u8>>,
    registers: [u64; 11],
}

impl Machine<'_> {
    fn load(&self, address: u64, width: u64) -> u64 {
        (0..width).rev().fold(0, |value, at| value << 8 | u64::from(self.byte(address + at)))
    }

    fn byte(&self, address: u64) -> u8 {
        if let Some(byte) = self.memory.get(&address) {
            return *byte;
        }
        let Some(place) = address.checked_sub(MAPS) else { return 0 };
        let size = (place / MAPS) as usize;
        let value = self.values.get(&size);
        value.and_then(|value| value.get((place % STRIDE) as usize)).copied().unwrap_or_default()
    }

    fn store(&mut self, address: u64, width: u64, value: u64) {
        for at in 0..width {
            self.memory.insert(address + at, (value >> (8 * at)) as u8);
        }
    }

    /// Returns the address of a value of a map: maps with values of one size share their memory.
    fn value(descriptor: i32, key: u64) -> u64 {
        let text = describe_map(descriptor);
        let size = text.rsplit(' ').next().and_then(|size| size.parse::<u64>().ok());
        MAPS + size.expect("a size") * MAPS + key * STRIDE
    }

    fn run(mut self, program: &[u64]) -> Run {
        let mut run = Run { instructions: 0, calls: 0, redirected_to: None };
        let mut at = 0;
        loop {
            let instruction = Instruction::decode(program[at]);
            let Instruction { code, to, from, offset, number } = instruction;
            let width = instruction.width();
            let there = |base: u64| base.wrapping_add_signed(offset.into());
            run.instructions += 1;
            at += 1;
            match code & 7 {
                0 => {
                    let second = Instruction::decode(program[at]).number;
                    self.registers[to] = match from {
                        1 => number as u64,
                        2 => Self::value(number, 0) + second as u64,
                        _ => (second as u64) << 32 | u64::from(number as u32),
                    };
                    at += 1;
                }
                1 => self.registers[to] = self.load(there(self.registers[from]), width),
                2 => self.store(there(self.registers[to]), width, number as u64),
                3 => self.store(there(self.registers[to]), width, self.registers[from]),
                4 | 7 => self.compute(instruction),
                _ => match code & 0xf0 {
                    0x80 => {
                        run.calls += 1;
                        if number == REDIRECT {
                            run.redirected_to = Some(self.registers[1]);
                        }
                        self.registers[0] = match number {
                            MAP_LOOKUP => {
                                let key = self.load(self.registers[2], 4);
                                Self::value(self.registers[1] as i32, key)
                            }
                            REDIRECT => 7,
                            other => panic!("a common frame needs no helper {other}"),
                        };
                    }
                    0x90 => return run,
                    _ if self.jumps(instruction) => at = at.wrapping_add_signed(offset.into()),
                    _ => {}
                },
            }
        }
    }

    fn operand(&self, instruction: Instruction) -> u64 {
        match instruction.code & 8 {
            0 => i64::from(instruction.number) as u64,
            _ => self.registers[instruction.from],
        }
    }

    fn compute(&mut self, instruction: Instruction) {
        let (left, right) = (self.registers[instruction.to], self.operand(instruction));
        let is_short = instruction.code & 7 == 4;
        let (left, right) = match is_short {
            true => (left & 0xffff_ffff, right & 0xffff_ffff),
            false => (left, right),
        };
        let result = match instruction.code & 0xf0 {
            0x00 => left.wrapping_add(right),
            0x10 => left.wrapping_sub(right),
            0x20 => left.wrapping_mul(right),
            0x30 => left / right,
            0x40 => left | right,
            0x50 => left & right,
            0x60 => left << right,
            0x70 => left >> right,
            0x90 => left % right,
            0xa0 => left ^ right,
            0xb0 => right,
            // The order of bytes decides nothing on a common frame.
            _ => left,
        };
        self.registers[instruction.to] = if is_short { result & 0xffff_ffff } else { result };
    }

    fn jumps(&self, instruction: Instruction) -> bool {
        let (left, right) = (self.registers[instruction.to], self.operand(instruction));
        match instruction.code & 0xf0 {
            0x00 => true,
            0x10 => left == right,
            0x20 => left > right,
            0x40 => left & right != 0,
            0x50 => left != right,
            0xa0 => left < right,
            _ => (left as i64) < right as i64,
        }
    }
}
