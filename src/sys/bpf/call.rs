//! The system call bpf(2): its commands, the attributes that each command reads and writes (`union
//! bpf_attr` of `linux/bpf.h`), and the conversion of names, slices and descriptors to attributes.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub(super) const MAP_CREATE: u32 = 0;
pub(super) const MAP_LOOKUP: u32 = 1;
pub(super) const MAP_UPDATE: u32 = 2;
pub(super) const MAP_DELETE: u32 = 3;
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

/// Declares structures of the kernel, each with its size in bytes and its fields by type. The kernel
/// takes the fields past the end of a shorter structure for zeros.
macro_rules! structures {
    ($($(#[$doc:meta])* $size:literal $name:ident {
        $($(#[$note:meta])* $kind:ty: $($field:ident),+;)*
    })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Default)]
        pub(super) struct $name {
            $($(#[$note])* $(pub(super) $field: $kind,)+)*
        }
        const _: () = assert!(mem::size_of::<$name>() == $size);
    )*};
}

structures! {
    44 MapCreate {
        u32: kind, key_size, value_size, entries;
        [u32; 3]: unused;
        [u8; 16]: name;
    }
    24 MapElement {
        u32: map, pad;
        u64: key, value;
    }
    40 Batch {
        u64: begin, end, keys, values;
        u32: count, map;
    }
    64 Load {
        u32: kind, count;
        u64: instructions, license;
        u32: log_level, log_size;
        u64: log;
        [u32; 2]: unused;
        [u8; 16]: name;
    }
    24 Attach {
        u32: ifindex, program, hook, flags, replaces, relative;
    }
    56 Test {
        u32: program, result, data_size, data_out_size;
        u64: data, data_out;
        u32: repeat, nanoseconds, context_size, context_out_size;
        u64: context;
    }
    4 ById {
        u32: id;
    }
    16 Info {
        u32: fd, size;
        u64: info;
    }
    64 Query {
        u32: ifindex, hook;
        [u32; 2]: flags;
        u64: programs;
        u32: count, unused;
        /// The kernel writes the last of these, the hook's revision.
        [u64; 4]: more;
    }
    /// The head of `struct bpf_prog_info`.
    224 ProgInfo {
        u32: kind, id;
        [u64; 5]: unused;
        u32: created_by, map_count;
        u64: maps;
        [u8; 16]: name;
        [u64; 17]: more;
        u32: verified, device;
    }
    /// The head of `struct bpf_map_info`.
    40 MapInfo {
        u32: kind, id, key_size, value_size, entries, flags;
        [u8; 16]: name;
    }
}

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

/// Creates a map.
pub(super) fn create_map(mut attributes: MapCreate) -> io::Result<OwnedFd> {
    // SAFETY: MAP_CREATE reads these attributes, which point nowhere, and opens a descriptor.
    unsafe { bpf_descriptor(MAP_CREATE, &mut attributes) }
}

/// Reads or writes the value of a key, as `command` says: [`MAP_LOOKUP`] or [`MAP_UPDATE`].
///
/// # Safety
/// At `key` and `value` must be a key and a value of the map's sizes, writable for a lookup.
pub(super) unsafe fn element(command: u32, map: &OwnedFd, key: u64, value: u64) -> io::Result<()> {
    // SAFETY: the caller's promise.
    unsafe { bpf(command, &mut MapElement { map: raw(map), pad: 0, key, value }) }.map(drop)
}

/// Opens the map or the program with this id, as `command` says: [`MAP_BY_ID`] or [`PROG_BY_ID`].
pub(super) fn open_by_id(command: u32, id: u32) -> io::Result<OwnedFd> {
    // SAFETY: both commands read one id and open a descriptor.
    unsafe { bpf_descriptor(command, &mut ById { id }) }
}

/// Reads the kernel's description of a map or a program.
///
/// # Safety
/// `T` must be the head of the descriptor's description, and what `info` points to must be of the
/// types that the kernel writes.
pub(super) unsafe fn describe<T>(fd: &OwnedFd, info: T) -> io::Result<T> {
    let mut info = [info];
    let size = mem::size_of::<T>() as u32;
    let mut attributes = Info { fd: raw(fd), size, info: address_mut(&mut info) };
    // SAFETY: the kernel writes at most `size` bytes to `info`, which is that long.
    unsafe { bpf(INFO_BY_FD, &mut attributes)? };
    let [info] = info;
    Ok(info)
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
