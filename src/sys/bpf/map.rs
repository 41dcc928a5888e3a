//! Maps that are arrays, and what all kinds of maps share: opening by id, and the number of
//! processors. Maps with other keys are in `table`.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use super::call::{
    MAP_BY_ID, MAP_LOOKUP, MAP_UPDATE, MapCreate, MapInfo, address, address_mut, create_map,
    describe, element, name_field, name_of, open_by_id,
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
        let fd = create_map(MapCreate {
            kind: match kind {
                MapKind::Array => ARRAY,
                MapKind::PerCpuArray => PER_CPU_ARRAY,
            },
            key_size: mem::size_of::<u32>() as u32,
            value_size: value_size as u32,
            entries,
            name: name_field(name),
            ..MapCreate::default()
        })?;
        Ok(Map { fd, kind, value_size })
    }

    /// Opens the map with this id, if it is an array named `name`.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_ADMIN, `ENOENT` if there is no such array.
    pub fn by_id(id: u32, name: &str) -> io::Result<Map> {
        let (fd, info) = map_by_id(id, ARRAY, name)?;
        Ok(Map { fd, kind: MapKind::Array, value_size: info.value_size as usize })
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
        // SAFETY: a key has 4 bytes, and the value the size just checked.
        unsafe { element(MAP_UPDATE, &self.fd, address(&[key]), address(value)) }
    }

    /// Reads the value of a key, or the values of all processors, each padded to a multiple of 8
    /// bytes.
    ///
    /// # Errors
    /// `ENOENT` for a key past the end.
    pub fn read(&self, key: u32) -> io::Result<Vec<u8>> {
        let mut value = self.zeros();
        // SAFETY: a key has 4 bytes, and there is room for a value, or one for each processor
        // that there can be.
        unsafe { element(MAP_LOOKUP, &self.fd, address(&[key]), address_mut(&mut value)) }?;
        Ok(value)
    }

    /// Sets the value of a key, or the values of all processors, to zero.
    ///
    /// # Errors
    /// `E2BIG` for a key past the end.
    pub fn clear(&self, key: u32) -> io::Result<()> {
        // SAFETY: a key has 4 bytes, and there are zeros for a value, or one for each processor
        // that there can be.
        unsafe { element(MAP_UPDATE, &self.fd, address(&[key]), address(&self.zeros())) }
    }

    fn zeros(&self) -> Vec<u8> {
        match self.kind {
            MapKind::Array => vec![0; self.value_size],
            MapKind::PerCpuArray => vec![0; self.value_size.next_multiple_of(8) * processors()],
        }
    }
}

impl AsRawFd for Map {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Opens the map with this id, if it is of this kind and name; returns its description, too.
pub(super) fn map_by_id(id: u32, kind: u32, name: &str) -> io::Result<(OwnedFd, MapInfo)> {
    let fd = open_by_id(MAP_BY_ID, id)?;
    // SAFETY: a map's description begins like this, and points nowhere.
    let info = unsafe { describe(&fd, MapInfo::default())? };
    match info.kind == kind && name_of(&info.name) == name {
        true => Ok((fd, info)),
        false => Err(io::Error::from_raw_os_error(libc::ENOENT)),
    }
}

/// Returns the number of processors that there can be, each of which has a value in some maps.
pub(super) fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(read_processors)
}

fn read_processors() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit([',', '-']).next().unwrap_or_default();
    // Too many do no harm; with too few, the kernel would write past the buffer.
    last.parse::<usize>()
        .map_or(MOST_PROCESSORS, |last| last.saturating_add(1).min(MOST_PROCESSORS))
}
