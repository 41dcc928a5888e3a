//! Builds frames for tests, field by field.
#![allow(dead_code, reason = "each test file uses a part")]

/// The fields of a frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Destination and source hardware address.
    pub eth: [u8; 12],
    /// Ethertype and TCI of each tag, outermost first.
    pub tags: Vec<(u16, u16)>,
    pub network: Network,
    pub protocol: u8,
    pub ports: [u16; 2],
    /// Value of all bytes that do not identify a flow: lengths, ids, TTL, sequence numbers, payload.
    pub filler: u8,
}

#[derive(Clone, Debug)]
pub enum Network {
    Ipv4 {
        addresses: [u8; 8],
        /// Words of options.
        options: u8,
        /// Flags and offset.
        fragment: u16,
    },
    Ipv6 {
        addresses: [u8; 32],
        /// Extension headers, by protocol, before a fragment header.
        extensions: Vec<u8>,
        /// Offset and flag of a fragment header.
        fragment: Option<u16>,
    },
    Arp {
        addresses: [u8; 8],
    },
}

impl Frame {
    /// An untagged TCP/IPv4 frame with these addresses and ports.
    pub fn tcp4(source: u32, destination: u32, ports: [u16; 2]) -> Self {
        let addresses = (u64::from(source) << 32 | u64::from(destination)).to_be_bytes();
        Frame {
            eth: [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2],
            tags: Vec::new(),
            network: Network::Ipv4 { addresses, options: 0, fragment: 0x4000 },
            protocol: 6,
            ports,
            filler: 0,
        }
    }

    /// Builds the bytes of the frame.
    pub fn build(&self) -> Vec<u8> {
        let filler = self.filler;
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(self.eth);
        for (tpid, tci) in &self.tags {
            bytes.extend(tpid.to_be_bytes());
            bytes.extend(tci.to_be_bytes());
        }
        match &self.network {
            Network::Ipv4 { addresses, options, fragment } => {
                bytes.extend([0x08, 0x00, 0x45 + options, filler, filler, filler, filler, filler]);
                bytes.extend(fragment.to_be_bytes());
                bytes.extend([filler, self.protocol, filler, filler]);
                bytes.extend(addresses);
                bytes.resize(bytes.len() + usize::from(*options) * 4, filler);
            }
            Network::Ipv6 { addresses, extensions, fragment } => {
                let mut chain = extensions.clone();
                chain.extend(fragment.map(|_| 44));
                chain.push(self.protocol);
                bytes.extend([0x86, 0xdd, 0x60 | (filler & 0x0f), filler, filler, filler]);
                bytes.extend([filler, filler, chain[0], filler]);
                bytes.extend(addresses);
                for (kind, next) in chain.iter().zip(&chain[1..]) {
                    match kind {
                        44 => {
                            let [high, low] = fragment.unwrap_or(0).to_be_bytes();
                            bytes.extend([*next, filler, high, low, 1, 2, 3, 4]);
                        }
                        // AH counts 4-byte words minus two, the others 8-byte units minus one.
                        51 => bytes.extend([&[*next, 2][..], &[filler; 14]].concat()),
                        _ => bytes.extend([&[*next, 1][..], &[filler; 14]].concat()),
                    }
                }
            }
            Network::Arp { addresses } => {
                bytes.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 + (filler & 1)]);
                bytes.extend([filler; 6]);
                bytes.extend(&addresses[..4]);
                bytes.extend([filler; 6]);
                bytes.extend(&addresses[4..]);
                return bytes;
            }
        }
        for port in self.ports {
            bytes.extend(port.to_be_bytes());
        }
        bytes.extend([filler; 32]);
        bytes
    }
}
