//! Maps that are arrays, and what all kinds of maps share: opening by id, and the number of
//! processors. Maps with other keys are in `table`.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::call::{
    ById, INFO_BY_FD, Info, MAP_BY_ID, MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MapCreate, MapElement,
    MapInfo, address, address_mut, bpf, bpf_descriptor, name_field, name_of, raw,
};

/// `BPF_MAP_TYPE_ARRAY`, `BPF_MAP_TYPE_PERCPU_ARRAY`.
const ARRAY: u32 = 2;
const PER_CPU_ARRAY: u32 = 6;
/// Most processors that a kernel can be built for.
const MOST_PROCESSORS: usize = 8192;

/// Kinds of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// One value for each key.
    Array,
    /// One value for each key and processor.
    PerCpuArray,
}

/// An array, with keys from 0 on.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    kind: MapKind,
    value_size: usize,
}

impl Map {
    /// Creates an array of `entries` values of `value_size` bytes, all zero.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `EINVAL` for a size that the kernel refuses, as 0.
    pub fn create(kind: MapKind, value_size: usize, entries: u32, name: &str) -> io::Result<Map> {
        let mut attributes = MapCreate {
            kind: match kind {
                MapKind::Array => ARRAY,
                MapKind::PerCpuArray => PER_CPU_ARRAY,
            },
            key_size: mem::size_of::<u32>() as u32,
            value_size: value_size as u32,
            entries,
            name: name_field(name),
            ..MapCreate::default()
        };
        // SAFETY: MAP_CREATE reads these attributes, which point nowhere, and opens a descriptor.
        let fd = unsafe { bpf_descriptor(MAP_CREATE, &mut attributes)? };
        Ok(Map {
            fd,
            kind,
            value_size,
        })
    }

    /// Opens the map with this id, if it is an array named `name`.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_ADMIN, `ENOENT` if there is no such array.
    pub fn by_id(id: u32, name: &str) -> io::Result<Map> {
        let (fd, info) = map_by_id(id, ARRAY, name)?;
        Ok(Map {
            fd,
            kind: MapKind::Array,
            value_size: info.value_size as usize,
        })
    }

    /// Writes the value of a key of an array.
    ///
    /// # Errors
    /// `EINVAL` for a value of another size or an array with a value for each processor, `E2BIG`
    /// for a key past the end.
    pub fn write(&self, key: u32, value: &[u8]) -> io::Result<()> {
        if self.kind != MapKind::Array || value.len() != self.value_size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let key = [key];
        let mut attributes = MapElement {
            map: raw(&self.fd),
            key: address(&key),
            value: address(value),
            ..MapElement::default()
        };
        // SAFETY: the kernel reads a key of 4 bytes and a value of the size just checked.
        unsafe { bpf(MAP_UPDATE, &mut attributes)? };
        Ok(())
    }

    /// Reads the value of a key, or the values of all processors, each padded to a multiple of 8
    /// bytes.
    ///
    /// # Errors
    /// `ENOENT` for a key past the end.
    pub fn read(&self, key: u32) -> io::Result<Vec<u8>> {
        let mut value = match self.kind {
            MapKind::Array => vec![0; self.value_size],
            MapKind::PerCpuArray => vec![0; self.value_size.next_multiple_of(8) * processors()],
        };
        let key = [key];
        let mut attributes = MapElement {
            map: raw(&self.fd),
            key: address(&key),
            value: address_mut(&mut value),
            ..MapElement::default()
        };
        // SAFETY: the kernel reads a key of 4 bytes and writes a value, or one for each
        // processor that there can be; `value` has that length.
        unsafe { bpf(MAP_LOOKUP, &mut attributes)? };
        Ok(value)
    }
}

impl AsRawFd for Map {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Opens the map with this id, if it is of this kind and name; returns its description, too.
pub(super) fn map_by_id(id: u32, kind: u32, name: &str) -> io::Result<(OwnedFd, MapInfo)> {
    let mut attributes = ById {
        id,
        ..ById::default()
    };
    // SAFETY: MAP_BY_ID reads these attributes, which point nowhere, and opens a descriptor.
    let fd = unsafe { bpf_descriptor(MAP_BY_ID, &mut attributes)? };
    let mut info = [MapInfo::default()];
    let mut attributes = Info {
        fd: raw(&fd),
        size: mem::size_of::<MapInfo>() as u32,
        info: address_mut(&mut info),
    };
    // SAFETY: the kernel writes at most `size` bytes to `info`, which is that long.
    unsafe { bpf(INFO_BY_FD, &mut attributes)? };
    let [info] = info;
    match info.kind == kind && name_of(&info.name) == name {
        true => Ok((fd, info)),
        false => Err(io::Error::from_raw_os_error(libc::ENOENT)),
    }
}

/// Returns the number of processors that there can be, each of which has a value in some maps.
pub(super) fn processors() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit([',', '-']).next().unwrap_or_default();
    // Too many do no harm; with too few, the kernel would write past the buffer.
    last.parse::<usize>().map_or(MOST_PROCESSORS, |last| {
        last.saturating_add(1).min(MOST_PROCESSORS)
    })
}
