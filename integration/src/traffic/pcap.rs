//! Captured frames as a file in the format of libpcap, with times in nanoseconds.

use std::fs;
use std::io;
use std::path::Path;

use crate::frame::Frame;

// pcap-savefile(5)
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];
const SNAP_LENGTH: u32 = 1 << 18;
const LINK_TYPE_ETHERNET: u32 = 1;
const NANOSECONDS: u64 = 1_000_000_000;

/// Writes frames to a new file.
pub fn write_pcap(path: &Path, frames: &[Frame]) -> io::Result<()> {
    let mut file = MAGIC_NANOSECONDS.to_le_bytes().to_vec();
    file.extend(VERSION.iter().flat_map(|part| part.to_le_bytes()));
    // Time zone and accuracy, both 0.
    file.extend([0; 8]);
    file.extend([SNAP_LENGTH, LINK_TYPE_ETHERNET].iter().flat_map(|word| word.to_le_bytes()));
    for frame in frames {
        let length = frame.bytes.len() as u64;
        for word in [frame.at / NANOSECONDS, frame.at % NANOSECONDS, length, length] {
            let word = u32::try_from(word).map_err(io::Error::other)?;
            file.extend(word.to_le_bytes());
        }
        file.extend(&frame.bytes);
    }
    fs::write(path, file)
}
