//! How those parts of events and settings are written that a recording has to show readably.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use crate::hex::{Hex, from_hex};
use crate::ident::HwAddr;

impl Serialize for HwAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HwAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = from_hex(&text.replace(':', ""));
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(HwAddr)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no hardware address")))
    }
}

/// Bytes as hexadecimal digits, for serde's `with`.
pub mod hex_digits {
    use super::*;

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(bytes))
    }

    /// Reads them.
    ///
    /// # Errors
    /// For anything but pairs of digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text).ok_or_else(|| D::Error::custom("a frame must be hexadecimal digits"))
    }
}

/// The counters of all buckets as a list.
pub(crate) mod counters {
    use super::*;
    use crate::forwarding::BUCKETS;

    pub fn serialize<S: Serializer>(
        counters: &[u64; BUCKETS],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        counters.as_slice().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Box<[u64; BUCKETS]>, D::Error> {
        let counters = Vec::<u64>::deserialize(deserializer)?;
        counters
            .into_boxed_slice()
            .try_into()
            .map_err(|_| D::Error::custom(format!("there must be {BUCKETS} counters")))
    }
}
