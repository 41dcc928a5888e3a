//! The kernel's counters of interfaces, and the rates between two readings.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use runners::interface_name_bytes;

use crate::client::facts::{INTERFACES, number};
use crate::sys::clock;

/// Counters of an interface since the interface exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Frames received damaged or not sent.
    pub errors: u64,
}

/// The counters of several interfaces at a time.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// On the monotonic clock.
    at: Duration,
    counters: BTreeMap<String, Counters>,
}

/// Rates of an interface, in bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
}

impl Reading {
    /// Reads the counters of these interfaces; leaves out those that do not exist.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let counters = names.filter_map(|name| Some((name.to_owned(), read(name)?)));
        Reading { counters: counters.collect(), at: clock::monotonic() }
    }

    /// Returns the counters of an interface.
    pub fn get(&self, name: &str) -> Option<Counters> {
        self.counters.get(name).copied()
    }

    /// Returns the rates of an interface since the reading `before`; `None` if one reading lacks
    /// the interface, or the interface was made anew.
    pub fn rates_since(&self, before: &Reading, name: &str) -> Option<Rates> {
        let (now, then) = (self.get(name)?, before.get(name)?);
        let nanos = self.at.saturating_sub(before.at).as_nanos().max(1);
        let rate = |now: u64, then: u64| {
            let bits = u128::from(now.checked_sub(then)?) * 8;
            u64::try_from(bits * 1_000_000_000 / nanos).ok()
        };
        Some(Rates { rx: rate(now.received, then.received)?, tx: rate(now.sent, then.sent)? })
    }
}

fn read(name: &str) -> Option<Counters> {
    let bytes = interface_name_bytes(name);
    let folder = Path::new(INTERFACES).join(OsStr::from_bytes(&bytes)).join("statistics");
    let count = |file| number(&folder.join(file)).and_then(|count| u64::try_from(count).ok());
    Some(Counters {
        received: count("rx_bytes")?,
        sent: count("tx_bytes")?,
        errors: count("rx_errors")?.saturating_add(count("tx_errors")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(seconds: u64, received: u64, sent: u64) -> Reading {
        let counters = Counters { received, sent, errors: 0 };
        Reading {
            at: Duration::from_secs(seconds),
            counters: BTreeMap::from([("eth1".to_owned(), counters)]),
        }
    }

    #[test]
    fn rates_are_in_bits_per_second() {
        let (before, after) = (reading(10, 1000, 0), reading(12, 2000, 500));
        assert_eq!(after.rates_since(&before, "eth1"), Some(Rates { rx: 4000, tx: 2000 }));
        assert_eq!(after.rates_since(&before, "eth2"), None);
        assert_eq!(before.rates_since(&after, "eth1"), None);
        let same = reading(10, 1000, 0);
        assert_eq!(same.rates_since(&before, "eth1"), Some(Rates { rx: 0, tx: 0 }));
    }
}
