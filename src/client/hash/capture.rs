//! The frames of a capture file of tcpdump or Wireshark: pcap
//! (draft-ietf-opsawg-pcap) or pcapng (draft-ietf-opsawg-pcapng).

const PCAP: [u32; 2] = [0xa1b2_c3d4, 0xa1b2_3c4d];
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const LINKTYPE_ETHERNET: u16 = 1;

/// Order of the bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    /// Returns the order in which the first four bytes are one of `magics`.
    fn of(bytes: &[u8], magics: &[u32]) -> Option<Self> {
        let first = bytes.first_chunk()?;
        let orders = [Order::Little, Order::Big].into_iter();
        orders.clone().find(|order| magics.contains(&order.word(*first)))
    }

    fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        }
    }

    fn half(self, bytes: [u8; 2]) -> u16 {
        match self {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        }
    }

    fn word_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        bytes.get(at..)?.first_chunk().map(|word| self.word(*word))
    }

    /// Returns the number at `at` as a length.
    fn length_at(self, bytes: &[u8], at: usize) -> Option<usize> {
        usize::try_from(self.word_at(bytes, at)?).ok()
    }
}

/// The frames of a capture file.
#[derive(Debug, PartialEq, Eq)]
pub struct Capture<'a> {
    /// The Ethernet frames before the end, or the first damaged record.
    pub frames: Vec<&'a [u8]>,
    /// Whether the file ends within a record, or a record is damaged.
    pub is_cut: bool,
}

/// Returns the Ethernet frames of a capture file.
///
/// # Errors
/// A sentence if the file is no capture, or a pcap of another link type.
pub fn read(file: &[u8]) -> Result<Capture<'_>, String> {
    if let Some(order) = Order::of(file, &PCAP) {
        // The upper bits say whether frames have a checksum.
        return match order.word_at(file, 20).map(|word| word & 0xffff) {
            Some(link) if link == u32::from(LINKTYPE_ETHERNET) => Ok(pcap_frames(file, order)),
            Some(link) => Err(format!("the frames are of link type {link}, not Ethernet (1)")),
            None => Err("the file ends within its header".to_owned()),
        };
    }
    match file.first_chunk() {
        Some(word) if u32::from_le_bytes(*word) == SECTION_HEADER => Ok(pcapng_frames(file)),
        _ => Err("expected a capture file, pcap or pcapng".to_owned()),
    }
}

fn pcap_frames(file: &[u8], order: Order) -> Capture<'_> {
    const HEADER: usize = 24;
    const RECORD: usize = 16;
    let mut frames = Vec::new();
    let mut rest = file.get(HEADER..).unwrap_or_default();
    while let Some(length) = order.length_at(rest, 8) {
        let Some(record) = length.checked_add(RECORD).and_then(|end| rest.split_at_checked(end))
        else {
            break;
        };
        frames.push(&record.0[RECORD..]);
        rest = record.1;
    }
    Capture { frames, is_cut: !rest.is_empty() }
}

fn pcapng_frames(file: &[u8]) -> Capture<'_> {
    let mut frames = Vec::new();
    let mut order = Order::Little;
    // The link type of each interface of the section.
    let mut links: Vec<u16> = Vec::new();
    let mut rest = file;
    while let Some(kind) = order.word_at(rest, 0) {
        if kind == SECTION_HEADER {
            let Some(found) = Order::of(rest.get(8..).unwrap_or_default(), &[BYTE_ORDER_MAGIC])
            else {
                break;
            };
            order = found;
            links.clear();
        }
        // Type and length stand before the body, the length again behind it.
        let length = order.length_at(rest, 4).filter(|length| *length >= 12);
        let Some((block, others)) = length.and_then(|length| rest.split_at_checked(length)) else {
            break;
        };
        let body = &block[8..block.len() - 4];
        match kind {
            INTERFACE_DESCRIPTION => {
                links.push(body.first_chunk().map_or(0, |link| order.half(*link)));
            }
            ENHANCED_PACKET => {
                let link = order.length_at(body, 0).and_then(|number| links.get(number));
                let end = order.length_at(body, 12).and_then(|length| length.checked_add(20));
                let frame = end.and_then(|end| body.get(20..end));
                frames.extend(frame.filter(|_| link == Some(&LINKTYPE_ETHERNET)));
            }
            SIMPLE_PACKET => {
                let length = order.length_at(body, 0).unwrap_or(0);
                let frame = body.get(4..).unwrap_or_default();
                let frame = frame.get(..length).unwrap_or(frame);
                frames.extend((links.first() == Some(&LINKTYPE_ETHERNET)).then_some(frame));
            }
            _ => {}
        }
        rest = others;
    }
    Capture { frames, is_cut: !rest.is_empty() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pcap(magic: [u8; 4], word: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let mut file = magic.to_vec();
        file.extend([0; 16]);
        file.extend(word(1));
        for frame in [&b"first"[..], b"second"] {
            file.extend([0; 8]);
            file.extend(word(frame.len() as u32));
            file.extend(word(1500));
            file.extend(frame);
        }
        file
    }

    /// Returns a file with an interface of Ethernet, one of another kind, and a frame on each.
    fn pcapng(word: fn(u32) -> [u8; 4], half: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let length = word(body.len() as u32 + 12);
            [&word(kind)[..], &length, body, &length].concat()
        };
        let section = [&word(BYTE_ORDER_MAGIC)[..], &half(1), &half(0), &[0xff; 8]].concat();
        let interface = |link: u16| [&half(link)[..], &[0; 6]].concat();
        let packet = |number: u32, frame: &[u8; 8]| {
            [&word(number)[..], &[0; 8], &word(8), &word(8), frame].concat()
        };
        [
            block(SECTION_HEADER, &section),
            block(INTERFACE_DESCRIPTION, &interface(1)),
            block(INTERFACE_DESCRIPTION, &interface(113)),
            block(ENHANCED_PACKET, &packet(0, b"ethernet")),
            block(ENHANCED_PACKET, &packet(1, b"anything")),
            block(ENHANCED_PACKET, &packet(9, b"anything")),
            block(SIMPLE_PACKET, &[&word(6)[..], b"simple\0\0"].concat()),
            block(5, &[0; 12]),
        ]
        .concat()
    }

    fn assert_whole(file: &[u8], frames: &[&[u8]]) {
        assert_eq!(read(file), Ok(Capture { frames: frames.to_vec(), is_cut: false }));
    }

    #[test]
    fn frames_of_both_formats_are_read_in_both_byte_orders() {
        let first: &[&[u8]] = &[b"first", b"second"];
        let little = pcap([0xd4, 0xc3, 0xb2, 0xa1], u32::to_le_bytes);
        let big = pcap([0xa1, 0xb2, 0x3c, 0x4d], u32::to_be_bytes);
        assert_whole(&little, first);
        assert_whole(&big, first);
        let second: &[&[u8]] = &[b"ethernet", b"simple"];
        let little = pcapng(u32::to_le_bytes, u16::to_le_bytes);
        assert_whole(&little, second);
        assert_whole(&pcapng(u32::to_be_bytes, u16::to_be_bytes), second);
        let cut = read(&little[..little.len() - 1]);
        assert_eq!(cut, Ok(Capture { frames: second.to_vec(), is_cut: true }));
    }

    #[test]
    fn other_files_are_refused() {
        for file in [&b""[..], b"text", b"\xd4\xc3\xb2\xa1"] {
            assert!(read(file).is_err());
        }
        let mut wireless = pcap([0xd4, 0xc3, 0xb2, 0xa1], u32::to_le_bytes);
        wireless[20] = 105;
        let refused = read(&wireless).expect_err("an error");
        assert_eq!(refused, "the frames are of link type 105, not Ethernet (1)");
    }

    proptest! {
        #[test]
        fn damaged_files_end_early(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..200,
            value: u8,
        ) {
            let _ = read(&bytes);
            for file in [
                pcap([0xd4, 0xc3, 0xb2, 0xa1], u32::to_le_bytes),
                pcapng(u32::to_le_bytes, u16::to_le_bytes),
            ] {
                bytes = file;
                let at = at % bytes.len();
                bytes[at] = value;
                let _ = read(&bytes);
                let _ = read(&bytes[..at]);
            }
        }
    }
}
