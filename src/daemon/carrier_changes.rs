//! The kernel's count of an interface's carrier changes, read without a lock.
//!
//! The kernel counts a change when the driver sets the carrier, before the link event. An ethtool
//! request for the carrier waits for the lock of all network configuration (RTNL), which a slow driver
//! can hold for seconds, as in a self-test; a reading of the count waits for no lock.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use runners::interface_name_bytes;

/// Directory of the interfaces of a network namespace: of the one whose sysfs is mounted.
const INTERFACES: &str = "/sys/class/net";
/// Length of the longest count with its newline, in bytes.
const LONGEST: usize = 24;

/// The carrier changes of one interface.
#[derive(Debug)]
pub struct CarrierChanges {
    /// `None` if sysfs does not show the interface, such as the sysfs of another network namespace.
    file: Option<File>,
    /// The count at the last call; `None` before the first call and after a failed reading.
    last: Cell<Option<u64>>,
}

impl CarrierChanges {
    /// Opens the count of the interface `name`, which has the index `ifindex`.
    pub fn open(name: &str, ifindex: u32) -> Self {
        let name = interface_name_bytes(name);
        CarrierChanges::open_in(&Path::new(INTERFACES).join(OsStr::from_bytes(&name)), ifindex)
    }

    fn open_in(interface: &Path, ifindex: u32) -> Self {
        let shown = fs::read_to_string(interface.join("ifindex")).ok();
        let is_shown = shown.and_then(|text| text.trim().parse().ok()) == Some(ifindex);
        let file = is_shown.then(|| File::open(interface.join("carrier_changes")).ok());
        CarrierChanges { file: file.flatten(), last: Cell::default() }
    }

    /// Returns whether the carrier may have changed since the last call: true at the first call and
    /// without a readable count.
    pub fn may_have_changed(&self) -> bool {
        let count = self.read();
        let last = self.last.replace(count);
        count.is_none() || count != last
    }

    fn read(&self) -> Option<u64> {
        let mut buffer = [0; LONGEST];
        let length = self.file.as_ref()?.read_at(&mut buffer, 0).ok()?;
        std::str::from_utf8(buffer.get(..length)?).ok()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let interface =
            std::env::temp_dir().join(format!("carrier-changes-{}", std::process::id()));
        fs::create_dir_all(&interface).unwrap();
        let write = |file: &str, text: &str| fs::write(interface.join(file), text).unwrap();
        write("ifindex", "7\n");
        write("carrier_changes", "2\n");
        let seen = |changes: &CarrierChanges| [(); 2].map(|()| changes.may_have_changed());
        let changes = CarrierChanges::open_in(&interface, 7);
        assert_eq!(seen(&changes), [true, false]);
        write("carrier_changes", "4\n");
        assert_eq!(seen(&changes), [true, false]);
        // Without a count the driver has to be asked each time.
        write("carrier_changes", "");
        assert_eq!(seen(&changes), [true, true]);
        assert_eq!(seen(&CarrierChanges::open_in(&interface, 8)), [true, true]);
        fs::remove_dir_all(&interface).unwrap();
    }
}
