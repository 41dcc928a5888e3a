//! The files of a warm restart, which may be a restart of the whole machine: `<directory>/<device>`
//! and, for each port, `<directory>/<port>`.
//!
//! Standard: the files that SONiC's teamd writes with `-L` and reads with `-w`. The file of the
//! device has a line with the carrier as 1 or 0, a line with the number of ports, and for every port
//! a line with its name and a line with 1 if it was enabled. After an ordinary end the file names
//! no ports, which tells the next daemon that there was no warm restart. The file of a port is the
//! last LACPDU, a frame of 124 bytes, of a partner that was current to the end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use runners::{Instant, Port, Team};

use crate::files::{self, Durability};

/// An Ethernet frame with an LACPDU.
const PDU_FRAME: usize = 124;
/// Bytes of a file at most; the names of a thousand ports need fewer.
const MAX_FILE: u64 = 64 * 1024;
/// Time that ports have to come back.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The ports after the end of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortsAtStop {
    /// Device and ports stay.
    InPlace,
    /// The ports were released.
    Detached,
}

/// Writes the files of `team`, whose device is `device`; `pdu` returns the last LACPDU of a port.
///
/// # Errors
/// Errors of writing; `ENOENT` without the directory.
pub fn write(
    directory: &Path,
    device: &str,
    team: &Team,
    ports: PortsAtStop,
    pdu: impl Fn(&Port) -> Option<Vec<u8>>,
) -> io::Result<()> {
    let stay = ports == PortsAtStop::InPlace;
    let ports: Vec<&Port> = team.ports().filter(|_| stay).collect();
    for port in &ports {
        let path = directory.join(port.name());
        match pdu(port) {
            Some(frame) => save(&path, &frame[..frame.len().min(PDU_FRAME)])?,
            None => files::remove(&path)?,
        }
    }
    let ports = ports.iter().map(|port| (port.name(), port.is_enabled()));
    let text = device_file(team.carrier(), ports);
    save(&directory.join(device), text.as_bytes())
}

/// Flushes the file to the disk: the machine restarts next.
fn save(path: &Path, content: &[u8]) -> io::Result<()> {
    files::save(path, content, 0o644, Durability::Machine)
}

fn device_file<'a>(carrier: bool, ports: impl Iterator<Item = (&'a str, bool)>) -> String {
    let ports: Vec<String> =
        ports.map(|(name, enabled)| format!("{name}\n{}\n", u8::from(enabled))).collect();
    format!("{}\n{}\n{}", u8::from(carrier), ports.len(), ports.concat())
}

/// The state with which a team goes on; empty by default.
#[derive(Debug, Default)]
pub struct WarmStart {
    carrier: bool,
    /// By interface name.
    pdus: BTreeMap<String, Vec<u8>>,
    until: Instant,
}

impl WarmStart {
    /// Reads the files of the team `device`, which starts at `now`; unreadable and invalid files
    /// count as missing.
    pub fn read(directory: &Path, device: &str, now: Instant) -> Self {
        let file = files::read(&directory.join(device), MAX_FILE).unwrap_or_default();
        let file = String::from_utf8(file).unwrap_or_default();
        let mut lines = file.lines();
        let carrier = lines.next() == Some("1");
        let names = lines.skip(1).step_by(2);
        let pdus: BTreeMap<String, Vec<u8>> = names
            .filter(|name| Path::new(name).file_name().is_some_and(|own| own == *name))
            .filter_map(|name| {
                let mut frame = files::read(&directory.join(name), MAX_FILE).ok()?;
                frame.truncate(PDU_FRAME);
                Some((name.to_owned(), frame))
            })
            .collect();
        WarmStart {
            // No port comes back to a team whose ports were released.
            carrier: carrier && !pdus.is_empty(),
            pdus,
            until: now + TIMEOUT,
        }
    }

    /// Returns until when the carrier stays on without ports; `None` if it was off.
    pub fn carrier_held(&self) -> Option<Instant> {
        self.carrier.then_some(self.until)
    }

    /// Returns the last LACPDU of the port `name` once, if the port came back in time.
    pub fn take_pdu(&mut self, name: &str, now: Instant) -> Option<Vec<u8>> {
        self.pdus.remove(name).filter(|_| now < self.until)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_device_file_has_a_line_for_each_value() {
        let ports = [("Ethernet0", true), ("Ethernet4", false)];
        assert_eq!(device_file(true, ports.into_iter()), "1\n2\nEthernet0\n1\nEthernet4\n0\n");
        assert_eq!(device_file(false, [].into_iter()), "0\n0\n");
    }

    #[test]
    fn a_warm_start_reads_only_the_files_of_the_named_ports() {
        let template = std::env::temp_dir().join("teamr-warm.XXXXXX");
        let directory = nix::unistd::mkdtemp(&template).unwrap();
        let write = |name, content: &[u8]| fs::write(directory.join(name), content).unwrap();
        let read = || WarmStart::read(&directory, "team0", Instant::ZERO);
        assert_eq!(read().carrier_held(), None, "no file");
        write("Ethernet0", &[1; PDU_FRAME + 9]);
        write("Ethernet4", &[2; PDU_FRAME]);
        write("team0", b"1\n0\n");
        assert_eq!(read().carrier_held(), None, "ports released");
        write("team0", b"1\n3\nEthernet0\n1\n../Ethernet4\n1\nEthernet8\n1\n");
        let mut warm = read();
        let end = Instant::ZERO + TIMEOUT;
        assert_eq!(warm.carrier_held(), Some(end));
        let mut pdu = |name| warm.take_pdu(name, Instant::ZERO);
        assert_eq!(pdu("Ethernet0"), Some(vec![1; PDU_FRAME]));
        assert_eq!(pdu("Ethernet0"), None, "once");
        assert_eq!(pdu("../Ethernet4"), None);
        assert_eq!(pdu("Ethernet4"), None);
        assert_eq!(read().take_pdu("Ethernet0", end), None, "too late");
        write("team0", &[0xff; 40]);
        assert_eq!(read().carrier_held(), None, "no text");
        fs::remove_dir_all(&directory).unwrap();
    }
}
