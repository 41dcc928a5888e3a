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

/// A frame of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A frame of an Ethernet interface.
    Ethernet(&'a [u8]),
    /// A frame of an interface with another link type.
    Other(u16),
}

/// The frames of a capture file.
#[derive(Debug, PartialEq, Eq)]
pub struct Capture<'a> {
    /// The frames before the end, or before the damage.
    pub frames: Vec<Frame<'a>>,
    /// Where the file is damaged or ends early, and why, in words.
    pub damage: Option<String>,
}

/// Returns the frames of a capture file.
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
        frames.push(Frame::Ethernet(&record.0[RECORD..]));
        rest = record.1;
    }
    let record = frames.len() + 1;
    let damage = (!rest.is_empty()).then(|| format!("the file ends within record {record}"));
    Capture { frames, damage }
}

fn pcapng_frames(file: &[u8]) -> Capture<'_> {
    let mut section = Section { order: Order::Little, links: Vec::new() };
    let mut frames = Vec::new();
    let mut rest = file;
    let mut number = 0_u64;
    while !rest.is_empty() {
        number += 1;
        match section.read(rest) {
            Ok((frame, others)) => {
                frames.extend(frame);
                rest = others;
            }
            Err(why) => {
                return Capture { frames, damage: Some(format!("block {number}: {why}")) };
            }
        }
    }
    Capture { frames, damage: None }
}

/// The facts of a section of a pcapng file that its blocks need.
struct Section {
    order: Order,
    /// The link type of each interface.
    links: Vec<u16>,
}

impl Section {
    /// Reads the first block of `rest`. Returns its frame, if the block has one, and the blocks behind.
    ///
    /// # Errors
    /// The fault of the block.
    fn read<'a>(&mut self, rest: &'a [u8]) -> Result<(Option<Frame<'a>>, &'a [u8]), String> {
        const CUT: &str = "the file ends within the block";
        let kind = self.order.word_at(rest, 0).ok_or(CUT)?;
        if kind == SECTION_HEADER {
            let magic = rest.get(8..12).ok_or(CUT)?;
            let found = Order::of(magic, &[BYTE_ORDER_MAGIC]);
            self.order = found.ok_or("the section header has no byte order")?;
            self.links.clear();
        }
        let length = self.order.length_at(rest, 4).ok_or(CUT)?;
        // Type and length stand before the body, the length again behind it.
        if length < 12 {
            return Err(format!(
                "its length is {length} bytes, less than the 12 of an empty block"
            ));
        }
        let (block, others) = rest.split_at_checked(length).ok_or(CUT)?;
        let body = &block[8..block.len() - 4];
        let frame = match kind {
            INTERFACE_DESCRIPTION => {
                let link =
                    body.first_chunk().ok_or("the description of an interface is too short")?;
                self.links.push(self.order.half(*link));
                None
            }
            ENHANCED_PACKET => Some(self.enhanced(body)?),
            SIMPLE_PACKET => Some(self.simple(body)?),
            _ => None,
        };
        Ok((frame, others))
    }

    fn enhanced<'a>(&self, body: &'a [u8]) -> Result<Frame<'a>, String> {
        const HEADER: usize = 20;
        let number = |at| self.order.length_at(body, at).ok_or("its header is too short");
        let (interface, length) = (number(0)?, number(12)?);
        let frame = length.checked_add(HEADER).and_then(|end| body.get(HEADER..end));
        let frame =
            frame.ok_or_else(|| format!("its frame of {length} bytes is longer than the block"))?;
        self.of_interface(interface, frame)
    }

    fn simple<'a>(&self, body: &'a [u8]) -> Result<Frame<'a>, String> {
        const HEADER: usize = 4;
        let length = self.order.length_at(body, 0).ok_or("its header is too short")?;
        let frame = &body[HEADER..];
        // The length is that of the frame before a snapshot length cut it.
        self.of_interface(0, frame.get(..length).unwrap_or(frame))
    }

    fn of_interface<'a>(&self, interface: usize, frame: &'a [u8]) -> Result<Frame<'a>, String> {
        match self.links.get(interface) {
            Some(&LINKTYPE_ETHERNET) => Ok(Frame::Ethernet(frame)),
            Some(&link) => Ok(Frame::Other(link)),
            None => Err(format!(
                "its frame is of interface {interface}, which no block before describes"
            )),
        }
    }
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
            block(SIMPLE_PACKET, &[&word(6)[..], b"simple\0\0"].concat()),
            block(5, &[0; 12]),
        ]
        .concat()
    }

    fn assert_whole(file: &[u8], frames: &[Frame<'_>]) {
        assert_eq!(read(file), Ok(Capture { frames: frames.to_vec(), damage: None }));
    }

    /// Returns the number of frames before the damage, and the damage.
    fn damage(file: &[u8]) -> (usize, String) {
        let capture = read(file).expect("a capture");
        (capture.frames.len(), capture.damage.expect("a damaged file"))
    }

    #[test]
    fn frames_of_both_formats_are_read_in_both_byte_orders() {
        let first = &[Frame::Ethernet(b"first"), Frame::Ethernet(b"second")];
        let little = pcap([0xd4, 0xc3, 0xb2, 0xa1], u32::to_le_bytes);
        let big = pcap([0xa1, 0xb2, 0x3c, 0x4d], u32::to_be_bytes);
        assert_whole(&little, first);
        assert_whole(&big, first);
        let second = &[Frame::Ethernet(b"ethernet"), Frame::Other(113), Frame::Ethernet(b"simple")];
        let little = pcapng(u32::to_le_bytes, u16::to_le_bytes);
        assert_whole(&little, second);
        assert_whole(&pcapng(u32::to_be_bytes, u16::to_be_bytes), second);
    }

    #[test]
    fn the_damage_of_a_file_names_its_place() {
        let file = pcap([0xd4, 0xc3, 0xb2, 0xa1], u32::to_le_bytes);
        let cut = &file[..file.len() - 1];
        assert_eq!(damage(cut), (1, "the file ends within record 2".to_owned()));
        let file = pcapng(u32::to_le_bytes, u16::to_le_bytes);
        let cut = &file[..file.len() - 1];
        assert_eq!(damage(cut), (3, "block 7: the file ends within the block".to_owned()));
        // A section header of 28 bytes, two interfaces of 20, and the number of the interface.
        const FIRST_PACKET: usize = 28 + 2 * 20;
        for (at, value, text) in [
            (FIRST_PACKET + 8, 9, "its frame is of interface 9, which no block before describes"),
            (FIRST_PACKET + 20, 99, "its frame of 99 bytes is longer than the block"),
            (FIRST_PACKET + 4, 8, "its length is 8 bytes, less than the 12 of an empty block"),
        ] {
            let mut file = file.clone();
            file[at] = value;
            assert_eq!(damage(&file), (0, format!("block 4: {text}")));
        }
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
