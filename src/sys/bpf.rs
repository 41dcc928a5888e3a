//! Extended BPF: maps, programs and the hooks of traffic control that need no qdisc (bpf(2),
//! `linux/bpf.h`).

mod call;
mod hook;
mod map;
mod program;
mod ring_buffer;
mod table;

use call::{
    INFO_BY_FD, MAP_BY_ID, MAP_CREATE, MAP_DELETE, MAP_LOOKUP, MAP_LOOKUP_BATCH, MAP_UPDATE,
    PROG_ATTACH, PROG_BY_ID, PROG_DETACH, PROG_LOAD, PROG_QUERY,
};

pub use hook::{Hook, detach_by_id, programs_on};
pub use map::{Map, MapKind};
pub use program::{Program, ProgramInfo, TestRun};
pub use ring_buffer::RingBuffer;
pub use table::Table;

/// The commands that a running daemon uses.
pub const COMMANDS: [u32; 12] = [
    MAP_CREATE,
    MAP_LOOKUP,
    MAP_UPDATE,
    MAP_DELETE,
    MAP_LOOKUP_BATCH,
    PROG_LOAD,
    PROG_ATTACH,
    PROG_DETACH,
    PROG_BY_ID,
    MAP_BY_ID,
    INFO_BY_FD,
    PROG_QUERY,
];
