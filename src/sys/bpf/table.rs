//! Hash tables that drop the least recently used key when they are full
//! (`BPF_MAP_TYPE_LRU_HASH`).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::call::{
    Batch, MAP_DELETE, MAP_LOOKUP_BATCH, MAP_UPDATE, MapCreate, address, address_mut, bpf,
    create_map, element, name_field, raw,
};
use super::map::{map_by_id, processors};

/// `BPF_MAP_TYPE_LRU_HASH`.
const LRU_HASH: u32 = 9;
/// Free entries that each processor may reserve (`LOCAL_FREE_TARGET`) while another processor has
/// to drop keys.
const RESERVED: usize = 128;
/// Most processors whose reserved entries are added.
const MOST_PROCESSORS: usize = 256;

/// A hash table of bounded size.
#[derive(Debug)]
pub struct Table {
    fd: OwnedFd,
    key_size: usize,
    value_size: usize,
    entries: u32,
}

impl Table {
    /// Creates an empty table for `entries` keys at least; sizes in bytes.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `EINVAL` for a size of 0, `ENOMEM`.
    pub fn create(
        key_size: usize,
        value_size: usize,
        entries: u32,
        name: &str,
    ) -> io::Result<Table> {
        let entries = entries + (RESERVED * processors().min(MOST_PROCESSORS)) as u32;
        let fd = create_map(MapCreate {
            kind: LRU_HASH,
            key_size: key_size as u32,
            value_size: value_size as u32,
            entries,
            name: name_field(name),
            ..MapCreate::default()
        })?;
        Ok(Table { fd, key_size, value_size, entries })
    }

    /// Opens the table with this id, if it is named `name`.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_ADMIN, `ENOENT` if there is no such table.
    pub fn by_id(id: u32, name: &str) -> io::Result<Table> {
        let (fd, info) = map_by_id(id, LRU_HASH, name)?;
        Ok(Table {
            fd,
            key_size: info.key_size as usize,
            value_size: info.value_size as usize,
            entries: info.entries,
        })
    }

    /// Writes the value of a key.
    ///
    /// # Errors
    /// `EINVAL` for a key or a value of another size.
    pub fn write(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if key.len() != self.key_size || value.len() != self.value_size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: key and value have the sizes just checked.
        unsafe { element(MAP_UPDATE, &self.fd, address(key), address(value)) }
    }

    /// Removes a key and its value; no error if the table does not have the key.
    ///
    /// # Errors
    /// `EINVAL` for a key of another size.
    pub fn remove(&self, key: &[u8]) -> io::Result<()> {
        if key.len() != self.key_size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the key has the size just checked, and the kernel reads no value.
        match unsafe { element(MAP_DELETE, &self.fd, address(key), 0) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            removed => removed,
        }
    }

    /// Reads all keys and their values, in no order.
    ///
    /// # Errors
    /// `EINVAL` where the kernel cannot read many at once (before 5.6).
    pub fn read(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let count = self.entries as usize;
        let mut keys = vec![0_u8; count * self.key_size];
        let mut values = vec![0_u8; count * self.value_size];
        // Position of the next batch.
        let mut end = [0_u32; 2];
        let mut attributes = Batch {
            end: address_mut(&mut end),
            keys: address_mut(&mut keys),
            values: address_mut(&mut values),
            count: self.entries,
            map: raw(&self.fd),
            ..Batch::default()
        };
        // SAFETY: the kernel writes at most `count` keys and values of this map's sizes, for
        // which there is room, and four bytes to `end`.
        match unsafe { bpf(MAP_LOOKUP_BATCH, &mut attributes) } {
            Ok(_) => {}
            // The batch reached the end.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
        let read = count.min(attributes.count as usize);
        let keys = keys.chunks_exact(self.key_size);
        let values = values.chunks_exact(self.value_size);
        let pairs = keys.zip(values).take(read);
        Ok(pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
    }
}

impl AsRawFd for Table {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn written_pairs_are_read() {
        let table = match Table::create(8, 16, 64, "trial") {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{error}");
                // Not captured by the test harness, so that the skip is counted.
                let _ = writeln!(io::stderr(), "SKIPPED written_pairs_are_read: {error}");
                return;
            }
            table => table.expect("a table"),
        };
        assert_eq!(table.read().expect("read"), []);
        let pair = |number: u8| (vec![number; 8], vec![number; 16]);
        for number in [1, 2, 3, 2] {
            let (key, value) = pair(number);
            table.write(&key, &value).expect("write");
        }
        let mut all = table.read().expect("read");
        all.sort();
        assert_eq!(all, [pair(1), pair(2), pair(3)]);
        for _ in 0..2 {
            table.remove(&[2; 8]).expect("remove");
        }
        assert_eq!(table.read().expect("read").len(), 2);
        assert!(table.remove(&[1; 7]).is_err());
        assert!(table.write(&[1; 7], &[1; 16]).is_err());
        assert!(table.write(&[1; 8], &[1; 15]).is_err());
    }
}
