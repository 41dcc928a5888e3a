//! What udev does to interfaces: names, and hardware addresses.
//!
//! udev renames an interface some milliseconds after the interface appears; until then the wrong
//! interface may have the name. udev writes `/run/udev/data/nINDEX` when it has processed the interface.
//!
//! With `MACAddressPolicy=persistent`, the default of systemd.link(5), udev also replaces the random
//! address of a new TAP by one that it computes from the name of the interface and the id of the
//! machine.

use std::fs;
use std::hash::Hasher;
use std::path::Path;

use runners::HwAddr;

/// udev's socket.
const CONTROL: &str = "/run/udev/control";

/// Id of the machine (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";
/// Both halves of the key of udev's hash for persistent addresses.
const HASH_KEY: (u64, u64) = (0x4c4b_fe90_fa48_1ed3, 0x8a2e_b1a1_d7d5_af9d);

/// udev, if it runs in the network namespace of this process.
#[derive(Clone, Copy, Debug)]
pub struct Udev {
    runs: bool,
    /// `None` for a machine without an id.
    machine_id: Option<u128>,
}

impl Udev {
    /// Looks for udev's socket. udev receives the kernel's events of its own network namespace only;
    /// another namespace may share its files.
    pub fn find() -> Udev {
        let sockets = || fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let is_bound = || sockets().lines().any(|line| line.ends_with(&format!(" {CONTROL}")));
        let runs = Path::new(CONTROL).exists() && is_bound();
        let machine_id = fs::read_to_string(MACHINE_ID).unwrap_or_default();
        Udev { runs, machine_id: u128::from_str_radix(machine_id.trim(), 16).ok() }
    }

    /// Returns whether udev, if it runs, gives the virtual interface `name` this address.
    pub fn gives(self, name: &str, hwaddr: HwAddr) -> bool {
        let machine_id = self.machine_id.filter(|_| self.runs);
        machine_id.is_some_and(|machine_id| persistent_hwaddr(machine_id, name) == hwaddr)
    }

    /// Returns whether the interface has its final name: udev has processed it, or does not run.
    pub fn has_named(self, ifindex: u32) -> bool {
        !self.runs || Path::new(&format!("/run/udev/data/n{ifindex}")).exists()
    }
}

/// Returns udev's persistent address for the virtual interface `name`: a SipHash-2-4 of the id of the
/// machine and the name, as a local unicast address.
fn persistent_hwaddr(machine_id: u128, name: &str) -> HwAddr {
    #[expect(deprecated, reason = "the algorithm must be this one")]
    let mut hasher = std::hash::SipHasher::new_with_keys(HASH_KEY.0, HASH_KEY.1);
    hasher.write(&machine_id.to_be_bytes());
    hasher.write(name.as_bytes());
    let [first, b, c, d, e, f, ..] = hasher.finish().to_le_bytes();
    HwAddr([first & !1 | 2, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses are those of systemd-udevd 252.
    #[test]
    fn persistent_addresses_are_those_of_udev() {
        let machine_id = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
        for (name, hwaddr) in
            [("team0", "da:7d:7b:03:70:78"), ("backbone-uplink", "66:e0:51:55:98:41")]
        {
            assert_eq!(persistent_hwaddr(machine_id, name).to_string(), hwaddr, "{name}");
        }
    }
}
