//! What a daemon leaves for the one that goes on after a warm restart, which may be a restart of
//! the whole machine: `<directory>/<device>` and, for each port, `<directory>/<port>`.
//!
//! Standard: the files that SONiC's teamd writes with `-L` and reads with `-w`. That of the device
//! has a line each for the carrier as 1 or 0, the number of ports, then for every port its name
//! and whether it carried. After an ordinary end there are no ports in it, so that nobody takes it
//! for a warm restart. That of a port is the last LACPDU of a partner that was there to the end, a
//! frame of 124 bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use runners::{Instant, Port, Team};

/// An Ethernet frame with an LACPDU.
const PDU_FRAME: usize = 124;
/// The note of a thousand ports is shorter.
const LONGEST_NOTE: u64 = 64 * 1024;
/// How long ports may take to come back.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a team was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortsAtStop {
    /// With its device and ports in place.
    InPlace,
    /// Taken apart.
    Detached,
}

/// Writes the note on `team`, whose device is `device`; `pdu` knows the last LACPDU of a port by
/// its name. Fails without the directory.
pub fn write(
    directory: &Path,
    device: &str,
    team: &Team,
    left: PortsAtStop,
    pdu: impl Fn(&Port) -> Option<Vec<u8>>,
) -> io::Result<()> {
    let ports: Vec<&Port> = team
        .ports()
        .filter(|_| left == PortsAtStop::InPlace)
        .collect();
    for port in &ports {
        let path = directory.join(port.name());
        match pdu(port) {
            Some(frame) => fs::write(path, &frame[..frame.len().min(PDU_FRAME)])?,
            None => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => (),
            },
        }
    }
    let ports = ports.iter().map(|port| (port.name(), port.is_enabled()));
    fs::write(directory.join(device), note(team.carrier(), ports))
}

fn note<'a>(carrier: bool, ports: impl Iterator<Item = (&'a str, bool)>) -> String {
    let ports: Vec<String> = ports
        .map(|(name, enabled)| format!("{name}\n{}\n", u8::from(enabled)))
        .collect();
    format!("{}\n{}\n{}", u8::from(carrier), ports.len(), ports.concat())
}

/// What a team goes on with; by default, nothing.
#[derive(Debug, Default)]
pub struct WarmStart {
    carrier: bool,
    /// By interface name.
    pdus: BTreeMap<String, Vec<u8>>,
    until: Instant,
}

impl WarmStart {
    /// What was left of the team `device`, which starts at `now`. What cannot be read, or makes
    /// no sense, was not left.
    pub fn read(directory: &Path, device: &str, now: Instant) -> Self {
        let note = read_at_most(&directory.join(device), LONGEST_NOTE).unwrap_or_default();
        let note = String::from_utf8(note).unwrap_or_default();
        let mut lines = note.lines();
        let carrier = lines.next() == Some("1");
        let names = lines.skip(1).step_by(2);
        let pdus: BTreeMap<String, Vec<u8>> = names
            .filter(|name| Path::new(name).file_name().is_some_and(|own| own == *name))
            .filter_map(|name| {
                let frame = read_at_most(&directory.join(name), PDU_FRAME as u64).ok()?;
                Some((name.to_owned(), frame))
            })
            .collect();
        WarmStart {
            // Nobody is to come back to a team that was taken apart.
            carrier: carrier && !pdus.is_empty(),
            pdus,
            until: now + PATIENCE,
        }
    }

    /// Until when the carrier is that of the team that was left.
    pub fn carrier_held(&self) -> Option<Instant> {
        self.carrier.then_some(self.until)
    }

    /// What the partner of the port `name` said last, told once and in time.
    pub fn take_pdu(&mut self, name: &str, now: Instant) -> Option<Vec<u8>> {
        self.pdus.remove(name).filter(|_| now < self.until)
    }
}

fn read_at_most(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(longest).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_fact() {
        let ports = [("Ethernet0", true), ("Ethernet4", false)];
        assert_eq!(
            note(true, ports.into_iter()),
            "1\n2\nEthernet0\n1\nEthernet4\n0\n"
        );
        assert_eq!(note(false, [].into_iter()), "0\n0\n");
    }

    #[test]
    fn a_warm_start_reads_what_the_note_names_and_nothing_else() {
        let template = std::env::temp_dir().join("teamr-warm.XXXXXX");
        let directory = nix::unistd::mkdtemp(&template).unwrap();
        let write = |name: &str, content: &[u8]| {
            fs::write(directory.join(name), content).unwrap();
        };
        let read = || WarmStart::read(&directory, "team0", Instant::ZERO);
        assert_eq!(read().carrier_held(), None, "there is no note");
        write("Ethernet0", &[1; PDU_FRAME + 9]);
        write("Ethernet4", &[2; PDU_FRAME]);
        write("team0", b"1\n0\n");
        assert_eq!(read().carrier_held(), None, "it was taken apart");
        write(
            "team0",
            b"1\n3\nEthernet0\n1\n../Ethernet4\n1\nEthernet8\n1\n",
        );
        let mut warm = read();
        let end = Instant::ZERO + PATIENCE;
        assert_eq!(warm.carrier_held(), Some(end));
        let mut told = |name| warm.take_pdu(name, Instant::ZERO);
        assert_eq!(told("Ethernet0"), Some(vec![1; PDU_FRAME]));
        assert_eq!(told("Ethernet0"), None, "once");
        assert_eq!(told("../Ethernet4"), None);
        assert_eq!(told("Ethernet4"), None);
        assert_eq!(read().take_pdu("Ethernet0", end), None, "too late");
        write("team0", &[0xff; 40]);
        assert_eq!(read().carrier_held(), None, "it is no note");
        fs::remove_dir_all(&directory).unwrap();
    }
}
