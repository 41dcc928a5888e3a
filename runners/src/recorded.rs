//! Serialized forms that keep a recording readable: hardware addresses, frames, counters.

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
        text.parse().map_err(|error| D::Error::custom(format!("{error}, found {text:?}")))
    }
}

/// Bytes as a string of hexadecimal digits, for serde's `with`.
pub mod hex_digits {
    use super::*;

    /// Serializes `bytes` as pairs of digits.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(bytes))
    }

    /// Returns `bytes` as pairs of digits.
    pub fn write(bytes: &[u8]) -> String {
        Hex(bytes).to_string()
    }

    /// Returns the bytes of pairs of digits; `None` for any other text.
    pub fn read(text: &str) -> Option<Vec<u8>> {
        from_hex(text)
    }

    /// Deserializes pairs of digits.
    ///
    /// # Errors
    /// For any other text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text).ok_or_else(|| D::Error::custom("expected pairs of hexadecimal digits"))
    }
}

/// Bucket counters as a list, for serde's `with`: serde itself stops at arrays of 32.
pub(crate) mod counters {
    use super::*;
    use crate::buckets::BUCKETS;

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
        let found = counters.len();
        counters
            .into_boxed_slice()
            .try_into()
            .map_err(|_| D::Error::custom(format!("expected {BUCKETS} counters, found {found}")))
    }
}
