//! The system call bpf(2): its commands, the attributes that each command reads and writes (`union
//! bpf_attr` of `linux/bpf.h`), and the conversion of names, slices and descriptors to attributes.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub(super) const MAP_CREATE: u32 = 0;
pub(super) const MAP_LOOKUP: u32 = 1;
pub(super) const MAP_UPDATE: u32 = 2;
pub(super) const PROG_LOAD: u32 = 5;
pub(super) const PROG_ATTACH: u32 = 8;
pub(super) const PROG_DETACH: u32 = 9;
pub(super) const PROG_TEST_RUN: u32 = 10;
pub(super) const PROG_BY_ID: u32 = 13;
pub(super) const MAP_BY_ID: u32 = 14;
pub(super) const INFO_BY_FD: u32 = 15;
pub(super) const PROG_QUERY: u32 = 16;
pub(super) const MAP_LOOKUP_BATCH: u32 = 24;

/// Characters of the name of a map or a program (`BPF_OBJ_NAME_LEN` less the ending zero).
const NAME: usize = 15;

#[repr(C)]
#[derive(Default)]
pub(super) struct MapCreate {
    pub(super) kind: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) entries: u32,
    pub(super) flags: u32,
    pub(super) inner: u32,
    pub(super) numa_node: u32,
    pub(super) name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
pub(super) struct MapElement {
    pub(super) map: u32,
    pub(super) pad: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct Batch {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) keys: u64,
    pub(super) values: u64,
    pub(super) count: u32,
    pub(super) map: u32,
    pub(super) element_flags: u64,
    pub(super) flags: u64,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct Load {
    pub(super) kind: u32,
    pub(super) count: u32,
    pub(super) instructions: u64,
    pub(super) license: u64,
    pub(super) log_level: u32,
    pub(super) log_size: u32,
    pub(super) log: u64,
    pub(super) kernel_version: u32,
    pub(super) flags: u32,
    pub(super) name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
pub(super) struct Attach {
    pub(super) ifindex: u32,
    pub(super) program: u32,
    pub(super) hook: u32,
    pub(super) flags: u32,
    pub(super) replaces: u32,
    pub(super) relative: u32,
    pub(super) revision: u64,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct Test {
    pub(super) program: u32,
    pub(super) result: u32,
    pub(super) data_size: u32,
    pub(super) data_out_size: u32,
    pub(super) data: u64,
    pub(super) data_out: u64,
    pub(super) repeat: u32,
    pub(super) nanoseconds: u32,
    pub(super) context_size: u32,
    pub(super) context_out_size: u32,
    pub(super) context: u64,
    pub(super) context_out: u64,
    pub(super) flags: u32,
    pub(super) processor: u32,
    pub(super) batch: u32,
    pub(super) pad: u32,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct ById {
    pub(super) id: u32,
    pub(super) next: u32,
    pub(super) flags: u32,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct Info {
    pub(super) fd: u32,
    pub(super) size: u32,
    pub(super) info: u64,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct Query {
    pub(super) ifindex: u32,
    pub(super) hook: u32,
    pub(super) query_flags: u32,
    pub(super) attach_flags: u32,
    pub(super) programs: u64,
    pub(super) count: u32,
    pub(super) pad: u32,
    pub(super) program_flags: u64,
    pub(super) links: u64,
    pub(super) link_flags: u64,
    pub(super) revision: u64,
}

/// The head of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
pub(super) struct ProgInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) tag: [u8; 8],
    pub(super) jited_length: u32,
    pub(super) xlated_length: u32,
    pub(super) jited: u64,
    pub(super) xlated: u64,
    pub(super) load_time: u64,
    pub(super) created_by: u32,
    pub(super) map_count: u32,
    pub(super) maps: u64,
    pub(super) name: [u8; 16],
}

/// The head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
pub(super) struct MapInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) entries: u32,
    pub(super) flags: u32,
    pub(super) name: [u8; 16],
}

const _: () = assert!(mem::size_of::<MapCreate>() == 44);
const _: () = assert!(mem::size_of::<MapElement>() == 32);
const _: () = assert!(mem::size_of::<Batch>() == 56);
const _: () = assert!(mem::size_of::<Load>() == 64);
const _: () = assert!(mem::size_of::<Attach>() == 32);
const _: () = assert!(mem::size_of::<Test>() == 80);
const _: () = assert!(mem::size_of::<Query>() == 64);
const _: () = assert!(mem::size_of::<ProgInfo>() == 80);
const _: () = assert!(mem::size_of::<MapInfo>() == 40);

/// # Safety
/// `attributes`, and all that they point to, must be of the types that `command` reads and writes.
pub(super) unsafe fn bpf<T>(command: u32, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = mem::size_of::<T>();
    // SAFETY: the kernel reads and writes `size` bytes; the caller answers for the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            libc::c_long::from(command),
            std::ptr::from_mut(attributes),
            size as libc::c_uint,
        )
    };
    crate::sys::check(result as libc::c_int)
}

/// # Safety
/// As for [`bpf`], and `command` must be one that returns a descriptor.
pub(super) unsafe fn bpf_descriptor<T>(command: u32, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attributes)? };
    // SAFETY: the kernel has just opened it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn raw(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd() as u32
}

pub(super) fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

pub(super) fn address_mut<T>(slice: &mut [T]) -> u64 {
    slice.as_mut_ptr() as u64
}

pub(super) fn name_field(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    let length = name.len().min(NAME);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    field
}

pub(super) fn name_of(field: &[u8]) -> String {
    let length = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..length.unwrap_or(field.len())]).into_owned()
}
