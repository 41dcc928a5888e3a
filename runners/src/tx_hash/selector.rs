//! The tx selector: from a frame to one of 256 buckets.
//!
//! Owns the value of the hash. Which port carries a bucket is the runner's decision, carried
//! out by the [`Distributor`](crate::Distributor).
//!
//! **The value.** CRC-32 (IEEE 802.3, as crc32fast computes it) of a key of 36 bytes, times an
//! odd constant modulo 2³²; the top 8 bits are the bucket. The key, with each field's place,
//! is laid out in `flow.rs`; a field that `tx_hash` does not name, or the frame does not have,
//! is zeros.
//!
//! **The speed.** CRC is linear: the CRC of a key is that of the zero key, exclusive-or one
//! contribution for each byte. The contributions are tabled when the selector is built, so
//! that a frame costs one look-up for each byte that is hashed, and nothing for the zeros.

use crate::tx_hash::HashFields;
use crate::tx_hash::flow::{Addresses, Flow, KEY_LEN, fold_ipv6, place, ports_field};
use crate::wire::ethertype;

/// 2³² over the golden ratio, odd.
///
/// The multiply is there because CRC alone is linear: a pattern of flows with few free bits,
/// such as ports a power of two apart, is spread either perfectly or over half the buckets and
/// less, as its image in the 8 bits has full rank or not. Carries run across that structure,
/// so that every pattern comes out about as even as chance. The top bits are taken since they
/// depend on all bits of the CRC. `tests/evenness.rs` holds regular patterns to the limit;
/// the busiest port was there at most 1.03 times its fair share.
pub const MULTIPLIER: u32 = 0x9e37_79b9;

/// What one byte of the key adds to the CRC, by its value.
pub type Table = [u32; 256];

/// From a CRC to a bucket.
#[inline]
fn bucket_of(crc: u32) -> u8 {
    (crc.wrapping_mul(MULTIPLIER) >> 24) as u8
}

/// The bucket of each frame for one set of fields; built once, then only read.
#[derive(Clone)]
pub struct Selector {
    fields: HashFields,
    tables: Box<Tables>,
    /// The variant that looks at what the fields can need and at nothing else.
    crc: fn(&Tables, &[u8]) -> u32,
}

impl Selector {
    /// A selector for these fields. Computes some 500 CRCs and keeps 37 KiB of tables.
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
        Selector {
            fields,
            tables: Box::new(Tables::new(fields)),
            crc,
        }
    }

    /// The fields that it was built for.
    pub fn fields(&self) -> HashFields {
        self.fields
    }

    /// The bucket of a whole Ethernet frame, VLAN tags inside. Any bytes have one.
    #[inline]
    pub fn bucket(&self, frame: &[u8]) -> u8 {
        bucket_of((self.crc)(&self.tables, frame))
    }

    /// The same value by its definition, slowly; for tests and for other implementations.
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

/// The contributions of each byte of the key; all 0 for a field that is not named.
#[derive(Clone)]
struct Tables {
    zero_key: u32,
    eth: [Table; 12],
    vlan: [Table; 8],
    ipv4: [Table; 8],
    ipv6: [Table; 4],
    ports: [Table; 4],
    /// By protocol: all ones if its ports are named.
    port_masks: Table,
}

impl Tables {
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
            // Named or not is settled by the protocol, in `port_masks`.
            ports: tables(place::PORTS.start, true),
            port_masks,
        }
    }
}

/// The tables of the hardware addresses; of the source alone, the first six stay 0.
fn eth_tables(fields: HashFields) -> [Table; 12] {
    let whole = fields.contains(HashFields::ETH);
    let mut eth = tables(
        place::ETH.start,
        whole || fields.contains(HashFields::SRC_MAC),
    );
    if !whole {
        eth[..place::SRC_MAC.start].fill([0; 256]);
    }
    eth
}

/// The tables of the `N` bytes of the key from `start` on.
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

/// Four bytes a load: look-ups and loads, not arithmetic, are what the time goes into.
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

/// As much as the ports of IPv4 without options need.
const COMMON_LEN: usize = 38;

/// The ethertype, then version 4 and a header of five words, with the type of service blank.
const UNTAGGED_IPV4_WITHOUT_OPTIONS: u32 = (ethertype::IPV4 as u32) << 16 | 0x4500;

/// The CRC of a frame's key. The parameters say which groups of fields are named at all.
fn crc<const ETH: bool, const NETWORK: bool, const PORTS: bool>(
    tables: &Tables,
    frame: &[u8],
) -> u32 {
    // Untagged IPv4 without options comes first, since most frames are that.
    if let Some(head) = frame.first_chunk::<COMMON_LEN>() {
        if let Some(crc) = common_crc::<ETH, NETWORK, PORTS>(tables, head) {
            return crc;
        }
    }
    general_crc::<ETH, NETWORK, PORTS>(tables, frame)
}

/// The CRC for an unfragmented IPv4 datagram without tags and options; none if it is not one.
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
    // Whole words: one load and one comparison each.
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

/// The CRC for any frame.
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

/// The CRC for any frame, inside tunnels. Tables of fields that are not named add nothing.
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
