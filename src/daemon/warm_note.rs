//! What a daemon leaves for the one that goes on after a warm restart: `<directory>/<device>`.
//!
//! Standard: the file that SONiC's teamd writes with `-L`. A line each: the carrier as 1 or 0, the
//! number of ports, then for every port its name and whether it carried. After an ordinary end
//! there are no ports in it, so that nobody takes it for a warm restart.

use std::fs;
use std::io;
use std::path::Path;

use runners::{Port, Team};

/// How a team was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// With its device and ports in place.
    InPlace,
    /// Taken apart.
    Apart,
}

/// Writes the note on `team`, whose device is `device`. Fails without the directory.
pub fn write(directory: &Path, device: &str, team: &Team, left: Left) -> io::Result<()> {
    let ports = team.ports().filter(|_| left == Left::InPlace);
    let text = note(
        team.carrier(),
        ports.map(|port: &Port| (port.name(), port.is_enabled())),
    );
    fs::write(directory.join(device), text)
}

fn note<'a>(carrier: bool, ports: impl Iterator<Item = (&'a str, bool)>) -> String {
    let ports: Vec<String> = ports
        .map(|(name, enabled)| format!("{name}\n{}\n", u8::from(enabled)))
        .collect();
    format!("{}\n{}\n{}", u8::from(carrier), ports.len(), ports.concat())
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
}
