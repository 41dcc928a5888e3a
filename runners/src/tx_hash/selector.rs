//! The selector: from a frame to one of 256 buckets.
//!
//! Owns the hash. The runner assigns buckets to ports, and the
//! [`Distributor`](crate::Distributor) follows the assignment.
//!
//! **Value.** CRC-32 (IEEE 802.3, as crc32fast computes it) of a key of 36 bytes, multiplied by an odd
//! constant modulo 2³²; the top 8 bits are the bucket. `flow.rs` defines the layout of the key. A
//! field that `tx_hash` does not name, or that the frame lacks, is 0.
//!
//! **Speed.** CRC is linear: the CRC of a key is the CRC of the zero key combined by exclusive-or with
//! one contribution of each byte. Tables hold the contributions, so a frame costs one look-up for
//! each hashed byte and nothing for zeros.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::tx_hash::HashFields;
use crate::tx_hash::flow::{Addresses, Flow, KEY_LEN, fold_ipv6, place, ports_field};
use crate::wire::ethertype;

/// 2³² over the golden ratio, odd.
///
/// CRC alone is linear: it maps a pattern of flows with few free bits, such as ports a power of two
/// apart, either to all buckets evenly or to half of them and fewer. The carries of the
/// multiplication break the pattern, so that every pattern becomes about as even as a random one.
/// The top bits depend on all bits of the CRC. `tests/evenness.rs` checks regular patterns: the
/// busiest port has at most 1.03 times its fair share.
pub const MULTIPLIER: u32 = 0x9e37_79b9;

/// Contribution of one byte of the key to the CRC, by the value of the byte.
pub type Table = [u32; 256];

/// Returns the bucket of a CRC.
#[inline]
fn bucket_of(crc: u32) -> u8 {
    (crc.wrapping_mul(MULTIPLIER) >> 24) as u8
}

/// Computes the bucket of a frame from one set of header fields.
///
/// ```
/// use runners::{HashFields, Selector};
///
/// let selector = Selector::new(HashFields::ETH);
/// let mut frame = [0; 60];
/// frame[11] = 1;
/// assert_eq!(selector.bucket(&frame), selector.bucket(&frame));
/// let payload_changed = { let mut frame = frame; frame[59] = 1; frame };
/// assert_eq!(selector.bucket(&frame), selector.bucket(&payload_changed));
/// ```
#[derive(Clone)]
pub struct Selector {
    fields: HashFields,
    tables: Arc<Tables>,
    /// The variant that reads only the groups of header fields that `fields` names.
    crc: fn(&Tables, &[u8]) -> u32,
}

impl Selector {
    /// Creates a selector for these fields. All selectors of the process for the same fields share
    /// 37 KiB of tables, for which the first selector computes some 500 CRCs.
    pub fn new(fields: HashFields) -> Self {
        let eth = fields.intersects(HashFields::ETH | HashFields::SRC_MAC);
        let network = fields.intersects(HashFields::VLAN | HashFields::IPV4 | HashFields::IPV6);
        let ports = fields.intersects(HashFields::TCP | HashFields::UDP | HashFields::SCTP);
        let crc = match (eth, network, ports) {
            _ if fields.contains(HashFields::ENCAP) => inner_crc,
            (false, false, false) => crc::<false, false, false>,
            (false, false, true) => crc::<false, false, true>,
            (false, true, false) => crc::<false, true, false>,
            (false, true, true) => crc::<false, true, true>,
            (true, false, false) => crc::<true, false, false>,
            (true, false, true) => crc::<true, false, true>,
            (true, true, false) => crc::<true, true, false>,
            (true, true, true) => crc::<true, true, true>,
        };
        Selector { fields, tables: Tables::shared(fields), crc }
    }

    /// Returns the fields.
    pub fn fields(&self) -> HashFields {
        self.fields
    }

    /// Returns the bucket of a whole Ethernet frame, VLAN tags inside. Any bytes have a bucket.
    #[inline]
    pub fn bucket(&self, frame: &[u8]) -> u8 {
        bucket_of((self.crc)(&self.tables, frame))
    }

    /// Computes the bucket by its definition, slowly, to check this and other implementations.
    pub fn defined_bucket(fields: HashFields, frame: &[u8]) -> u8 {
        let flow = match fields.contains(HashFields::ENCAP) {
            true => Flow::parse_inner(frame),
            false => Flow::parse(frame),
        };
        let key = flow.map_or([0; KEY_LEN], |flow| flow.key(fields));
        bucket_of(crc32fast::hash(&key))
    }
}

impl std::fmt::Debug for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Selector").field(&self.fields).finish()
    }
}

/// Contributions of each byte of the key; all 0 for a field that is not named.
struct Tables {
    zero_key: u32,
    eth: [Table; 12],
    vlan: [Table; 8],
    ipv4: [Table; 8],
    ipv6: [Table; 4],
    ports: [Table; 4],
    /// By protocol: all bits set if `tx_hash` names the ports of the protocol.
    port_masks: Table,
}

/// The tables in use, with their fields.
static SHARED: Mutex<Vec<(HashFields, Weak<Tables>)>> = Mutex::new(Vec::new());

impl Tables {
    /// Returns the tables in use for these fields, or new ones.
    fn shared(fields: HashFields) -> Arc<Tables> {
        // The list is whole at any time, so that a panic of another thread does not matter.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shared.iter().find(|(known, _)| *known == fields);
        if let Some(tables) = known.and_then(|(_, tables)| tables.upgrade()) {
            return tables;
        }
        let tables = Arc::new(Tables::new(fields));
        shared.retain(|(_, tables)| tables.strong_count() > 0);
        shared.push((fields, Arc::downgrade(&tables)));
        tables
    }

    fn new(fields: HashFields) -> Self {
        let mut port_masks = [0; 256];
        for protocol in 0..=u8::MAX {
            if ports_field(protocol).is_some_and(|field| fields.contains(field)) {
                port_masks[usize::from(protocol)] = u32::MAX;
            }
        }
        Tables {
            zero_key: crc32fast::hash(&[0; KEY_LEN]),
            eth: eth_tables(fields),
            vlan: tables(place::VLAN.start, fields.contains(HashFields::VLAN)),
            ipv4: tables(place::IPV4.start, fields.contains(HashFields::IPV4)),
            ipv6: tables(place::IPV6.start, fields.contains(HashFields::IPV6)),
            // `port_masks` decides by protocol whether ports count.
            ports: tables(place::PORTS.start, true),
            port_masks,
        }
    }
}

/// Returns the tables of the hardware addresses; for the source alone, the first six are 0.
fn eth_tables(fields: HashFields) -> [Table; 12] {
    let whole = fields.contains(HashFields::ETH);
    let mut eth = tables(place::ETH.start, whole || fields.contains(HashFields::SRC_MAC));
    if !whole {
        eth[..place::SRC_MAC.start].fill([0; 256]);
    }
    eth
}

/// Returns the tables of `N` bytes of the key from `start` on; all 0 unless `named`.
pub(super) fn tables<const N: usize>(start: usize, named: bool) -> [Table; N] {
    let zero_key = crc32fast::hash(&[0; KEY_LEN]);
    let mut tables = [[0; 256]; N];
    for (place, table) in tables.iter_mut().enumerate().filter(|_| named) {
        for value in 1..256usize {
            let lowest = value & value.wrapping_neg();
            table[value] = if value == lowest {
                let mut key = [0; KEY_LEN];
                key[start + place] = value as u8;
                crc32fast::hash(&key) ^ zero_key
            } else {
                table[value ^ lowest] ^ table[lowest]
            };
        }
    }
    tables
}

/// Combines the contributions of `bytes`. Loads four bytes at a time: loads and look-ups take the
/// time, not arithmetic.
#[inline(always)]
fn fold<const N: usize>(tables: &[Table; N], bytes: &[u8; N]) -> u32 {
    const { assert!(N % 4 == 0) };
    let mut crc = 0;
    for (tables, bytes) in tables.chunks_exact(4).zip(bytes.chunks_exact(4)) {
        if let ([first, second, third, fourth], Some(bytes)) = (tables, bytes.first_chunk()) {
            let word = u32::from_le_bytes(*bytes);
            crc ^= first[(word & 0xff) as usize]
                ^ second[(word >> 8 & 0xff) as usize]
                ^ third[(word >> 16 & 0xff) as usize]
                ^ fourth[(word >> 24) as usize];
        }
    }
    crc
}

/// Bytes of an untagged frame up to the ports of IPv4 without options.
const COMMON_LEN: usize = 38;

/// The ethertype, then version 4 and a header length of five words; type of service masked out.
const UNTAGGED_IPV4_WITHOUT_OPTIONS: u32 = (ethertype::IPV4 as u32) << 16 | 0x4500;

/// Returns the CRC of a frame's key. The parameters name the groups of fields that count.
fn crc<const ETH: bool, const NETWORK: bool, const PORTS: bool>(
    tables: &Tables,
    frame: &[u8],
) -> u32 {
    // Most frames are untagged IPv4 without options.
    if let Some(head) = frame.first_chunk::<COMMON_LEN>() {
        if let Some(crc) = common_crc::<ETH, NETWORK, PORTS>(tables, head) {
            return crc;
        }
    }
    general_crc::<ETH, NETWORK, PORTS>(tables, frame)
}

/// Returns the CRC for an untagged, unfragmented IPv4 datagram without options; `None` for others.
#[inline(always)]
fn common_crc<const ETH: bool, const NETWORK: bool, const PORTS: bool>(
    tables: &Tables,
    head: &[u8; COMMON_LEN],
) -> Option<u32> {
    let (eth, rest) = head.split_first_chunk::<12>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (_length_and_id, rest) = rest.split_first_chunk::<4>()?;
    let (fragment, rest) = rest.split_first_chunk::<2>()?;
    let (&[_ttl, protocol, _, _], rest) = rest.split_first_chunk::<4>()?;
    let (addresses, rest) = rest.split_first_chunk::<8>()?;
    let ports = rest.first_chunk::<4>()?;
    // One load and one comparison for each word.
    if u32::from_be_bytes(*kind) & 0xffff_ff00 != UNTAGGED_IPV4_WITHOUT_OPTIONS
        || u16::from_be_bytes(*fragment) & 0x3fff != 0
    {
        return None;
    }
    let mut crc = tables.zero_key;
    if ETH {
        crc ^= fold(&tables.eth, eth);
    }
    if NETWORK {
        crc ^= fold(&tables.ipv4, addresses);
    }
    if PORTS {
        let mask = tables.port_masks[usize::from(protocol)];
        crc ^= fold(&tables.ports, ports) & mask;
    }
    Some(crc)
}

/// Returns the CRC for any frame.
#[inline(never)]
fn general_crc<const ETH: bool, const NETWORK: bool, const PORTS: bool>(
    tables: &Tables,
    frame: &[u8],
) -> u32 {
    match Flow::parse(frame) {
        Some(flow) => flow_crc::<ETH, NETWORK, PORTS>(tables, &flow),
        None => tables.zero_key,
    }
}

/// Returns the CRC for any frame, with the innermost packet of tunnels. The tables of fields that are
/// not named contribute 0.
#[inline(never)]
fn inner_crc(tables: &Tables, frame: &[u8]) -> u32 {
    match Flow::parse_inner(frame) {
        Some(flow) => flow_crc::<true, true, true>(tables, &flow),
        None => tables.zero_key,
    }
}

#[inline(always)]
fn flow_crc<const ETH: bool, const NETWORK: bool, const PORTS: bool>(
    tables: &Tables,
    flow: &Flow<'_>,
) -> u32 {
    let mut crc = tables.zero_key;
    if ETH {
        crc ^= fold(&tables.eth, flow.eth);
    }
    if NETWORK {
        if flow.vlan_ids != 0 {
            crc ^= fold(&tables.vlan, &flow.vlan_ids.to_be_bytes());
        }
        crc ^= match &flow.addresses {
            Addresses::None => 0,
            Addresses::Ipv4(addresses) => fold(&tables.ipv4, addresses),
            Addresses::Ipv6(addresses) => fold(&tables.ipv6, &fold_ipv6(addresses)),
        };
    }
    if PORTS {
        if let Some((protocol, ports)) = flow.ports {
            crc ^= fold(&tables.ports, ports) & tables.port_masks[usize::from(protocol)];
        }
    }
    crc
}
