//! The constants of the hash, for another implementation of [`Selector`](super::Selector) that must
//! compute the same buckets.

pub use super::flow::{IPV6_SHIFT, IPV6_WEIGHTS, KEY_LEN, MAX_TUNNELS, place};
pub use super::selector::MULTIPLIER;
pub use crate::wire::{MAX_EXTENSIONS, MAX_TAGS};

use super::flow::ports_field;
use super::selector::{Table, tables};
use crate::tx_hash::HashFields;

/// Returns the CRC of a key of zeros.
pub fn zero_key() -> u32 {
    crc32fast::hash(&[0; KEY_LEN])
}

/// Returns the contribution of each byte of the key to its CRC, combined by exclusive-or; indexed by
/// place, then by value.
pub fn contributions() -> [Table; KEY_LEN] {
    tables(0, true)
}

/// Returns the protocols whose ports `fields` names.
pub fn protocols_with_ports(fields: HashFields) -> impl Iterator<Item = u8> {
    let named =
        move |protocol: &u8| ports_field(*protocol).is_some_and(|field| fields.contains(field));
    (0..=u8::MAX).filter(named)
}
