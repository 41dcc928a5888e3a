//! The frames of a recording as a capture file for Wireshark and tcpdump, one interface a port.
//!
//! Standard: PCAP Next Generation (draft-ietf-opsawg-pcapng).

use runners::{Event, PortId};

use crate::recording::{Entry, Recording, What};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const LINKTYPE_ETHERNET: u16 = 1;

const END_OF_OPTIONS: u16 = 0;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
/// Timestamps in units of 10⁻⁹ s.
const NANOSECONDS: u8 = 9;
const EPB_FLAGS: u16 = 2;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Returns a capture file of all frames that the core received and sent.
pub fn write(recording: &Recording) -> Vec<u8> {
    let mut file = Vec::new();
    // Version 1.0, unknown length of the section.
    let mut header = BYTE_ORDER_MAGIC.to_ne_bytes().to_vec();
    header.extend(1_u16.to_ne_bytes());
    header.extend(0_u16.to_ne_bytes());
    header.extend(u64::MAX.to_ne_bytes());
    block(&mut file, SECTION_HEADER, &header);

    // The number of a port is its index.
    let mut ports = Vec::new();
    let mut entries: Vec<&Entry> = recording.entries.iter().chain(&recording.noise).collect();
    entries.sort_by_key(|entry| entry.at);
    for entry in entries {
        let (port, frame, direction) = match &entry.what {
            What::Event(Event::PortAdded { port, name, .. }) => {
                number(&mut file, &mut ports, *port, name);
                continue;
            }
            What::Event(Event::FrameReceived { port, frame }) => (*port, frame, INBOUND),
            What::Sent { port, frame } => (*port, frame, OUTBOUND),
            _ => continue,
        };
        let number = number(&mut file, &mut ports, port, &format!("port {port}"));
        let time = recording.origin.saturating_add(entry.at.as_nanos());
        let length = frame.len() as u32;
        let mut packet = Vec::new();
        packet.extend(number.to_ne_bytes());
        packet.extend(((time >> 32) as u32).to_ne_bytes());
        packet.extend((time as u32).to_ne_bytes());
        packet.extend(length.to_ne_bytes());
        packet.extend(length.to_ne_bytes());
        packet.extend(frame);
        pad(&mut packet);
        option(&mut packet, EPB_FLAGS, &direction.to_ne_bytes());
        option(&mut packet, END_OF_OPTIONS, &[]);
        block(&mut file, ENHANCED_PACKET, &packet);
    }
    file
}

/// Returns the number of a port; describes the port in the file when the port is new.
fn number(file: &mut Vec<u8>, ports: &mut Vec<PortId>, port: PortId, name: &str) -> u32 {
    if let Some(known) = ports.iter().position(|known| *known == port) {
        return known as u32;
    }
    let mut interface = LINKTYPE_ETHERNET.to_ne_bytes().to_vec();
    interface.extend([0; 2]);
    // Snap length 0: no limit.
    interface.extend(0_u32.to_ne_bytes());
    option(&mut interface, IF_NAME, name.as_bytes());
    option(&mut interface, IF_TSRESOL, &[NANOSECONDS]);
    option(&mut interface, END_OF_OPTIONS, &[]);
    block(file, INTERFACE_DESCRIPTION, &interface);
    ports.push(port);
    ports.len() as u32 - 1
}

fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_ne_bytes();
    file.extend(kind.to_ne_bytes());
    file.extend(length);
    file.extend(body);
    file.extend(length);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_ne_bytes());
    body.extend((value.len() as u16).to_ne_bytes());
    body.extend(value);
    pad(body);
}

/// Pads to a multiple of 32 bits.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use runners::{HwAddr, Instant, RunnerSettings, TeamSettings};

    use super::*;

    #[test]
    fn each_frame_stands_with_its_port_time_and_direction() {
        let entry = |at, what| Entry::new(Instant::from_nanos(at), what);
        let heard = Event::FrameReceived { port: PortId(7), frame: vec![1, 2, 3] };
        let sent = What::Sent { port: PortId(7), frame: vec![4; 4] };
        let recording = Recording {
            device: "team0".to_owned(),
            origin: 1 << 32,
            whole: false,
            settings: TeamSettings::new(RunnerSettings::Broadcast),
            hwaddr: HwAddr::default(),
            opening: 0,
            begin: 0,
            entries: vec![entry(6, sent)],
            noise: vec![entry(5, What::Event(heard))],
        };
        let file = write(&recording);
        let words: Vec<u32> = file
            .chunks(4)
            .map(|word| u32::from_ne_bytes(word.try_into().expect("whole words")))
            .collect();
        // Section, interface with the options "port 7" and resolution, two packets.
        let lengths = [28, 20 + 12 + 8 + 4, 32 + 4 + 12, 32 + 4 + 12];
        assert_eq!(file.len(), lengths.iter().sum::<usize>());
        assert_eq!((words[0], words[1], words[6]), (SECTION_HEADER, 28, 28));
        let heard = &words[(28 + 44) / 4..];
        assert_eq!(heard[..7], [ENHANCED_PACKET, 48, 0, 1, 5, 3, 3]);
        assert_eq!(heard[9], INBOUND);
        let sent = &heard[48 / 4..];
        assert_eq!(sent[..7], [ENHANCED_PACKET, 48, 0, 1, 6, 4, 4]);
        assert_eq!(sent[9], OUTBOUND);
    }
}
