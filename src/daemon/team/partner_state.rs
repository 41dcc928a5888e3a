//! The state of a team that neither the kernel nor the configuration has, persisted for a daemon
//! that takes the device over: for each port the last LACPDU with new information, and the requests of
//! clients: a configuration of the port, a drain, the gate, a closed MACsec gate.
//!
//! The state is a JSON file in the run directory, written at each change: a crash of the daemon
//! leaves the same file as a planned end. The file is not flushed to the disk, because after a
//! crash of the machine there is no device to take over. The file names the device by its index,
//! since another device may have the name by then.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};

/// Bytes that a file may have; a team of a thousand ports needs far fewer.
const LONGEST_FILE: u64 = 1 << 20;

/// A frame, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Pdu(#[serde(with = "runners::hex_digits")] Vec<u8>);

/// Exclusions of a port at the request of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PersistedExclusions {
    /// The port is drained.
    pub drained: bool,
    /// The MACsec gate of the port is closed.
    pub macsec_gate_closed: bool,
    /// The gate as a client set it, in place of the key of the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct PortState {
    #[serde(flatten)]
    exclusions: PersistedExclusions,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pdu: Option<Pdu>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    ifindex: u32,
    /// By interface name.
    ports: BTreeMap<String, PortState>,
}

/// The persisted state of one team.
#[derive(Debug)]
pub struct PartnerStateFile {
    path: PathBuf,
    state: State,
}

impl PartnerStateFile {
    /// Reads the file that an earlier daemon left at `path` for the team device with this index;
    /// the state is empty if the file cannot be read or names another device.
    pub fn open(path: PathBuf, ifindex: u32) -> Self {
        let text = files::read(&path, LONGEST_FILE);
        let read = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
        let read = read.filter(|state: &State| state.ifindex == ifindex);
        let ports = read.unwrap_or_default().ports;
        let state = State { ifindex, ports };
        PartnerStateFile { path, state }
    }

    /// Returns the last LACPDU received on the interface `name`.
    pub fn pdu(&self, name: &str) -> Option<Vec<u8>> {
        self.state.ports.get(name)?.pdu.clone().map(|pdu| pdu.0)
    }

    /// Returns the configuration that the interface `name` was given while the team ran.
    pub fn config(&self, name: &str) -> Option<String> {
        self.state.ports.get(name)?.config.clone()
    }

    /// Returns the exclusions of the interface `name`.
    pub fn exclusions(&self, name: &str) -> PersistedExclusions {
        self.state.ports.get(name).map_or_else(PersistedExclusions::default, |port| port.exclusions)
    }

    /// Changes the exclusions of a port.
    ///
    /// # Errors
    /// As [`keep_pdu`](Self::keep_pdu).
    pub fn keep_exclusions(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut PersistedExclusions),
    ) -> io::Result<()> {
        self.change(name, |port| change(&mut port.exclusions))
    }

    /// Replaces the LACPDU of a port; `None` removes it.
    ///
    /// # Errors
    /// Errors of writing the file, whose content stays.
    pub fn keep_pdu(&mut self, name: &str, frame: Option<&[u8]>) -> io::Result<()> {
        self.change(name, |port| port.pdu = frame.map(|frame| Pdu(frame.to_vec())))
    }

    /// Replaces the configuration of a port; `None` removes it.
    ///
    /// # Errors
    /// As [`keep_pdu`](Self::keep_pdu).
    pub fn keep_config(&mut self, name: &str, text: Option<&str>) -> io::Result<()> {
        self.change(name, |port| port.config = text.map(str::to_owned))
    }

    /// Removes all interfaces but these, which are the present ports.
    ///
    /// # Errors
    /// As [`keep_pdu`](Self::keep_pdu).
    pub fn keep_only(&mut self, names: &[String]) -> io::Result<()> {
        let before = self.state.ports.len();
        self.state.ports.retain(|name, _| names.contains(name));
        if self.state.ports.len() == before {
            return Ok(());
        }
        self.write()
    }

    /// Removes the whole state and the file.
    ///
    /// # Errors
    /// Errors of removing the file.
    pub fn forget(&mut self) -> io::Result<()> {
        self.state.ports.clear();
        self.write()
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut PortState)) -> io::Result<()> {
        let known = self.state.ports.get(name).cloned().unwrap_or_default();
        let mut port = known.clone();
        change(&mut port);
        if port == known {
            return Ok(());
        }
        if port == PortState::default() {
            self.state.ports.remove(name);
        } else {
            self.state.ports.insert(name.to_owned(), port);
        }
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        if self.state.ports.is_empty() {
            return files::remove(&self.path);
        }
        let text = serde_json::to_vec(&self.state)?;
        files::save(&self.path, &text, 0o600, Durability::Process)
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn the_state_is_of_one_device_and_of_its_ports() {
        let name = format!("teamr-partner_state-{}.memory", std::process::id());
        let path = env::temp_dir().join(name);
        let mut partner_state = PartnerStateFile::open(path.clone(), 7);
        partner_state.keep_config("eth1", Some(r#"{"prio": 1}"#)).unwrap();
        partner_state.keep_pdu("eth1", Some(&[1, 2])).unwrap();
        partner_state.keep_pdu("eth2", Some(&[3])).unwrap();
        partner_state.keep_config("eth3", Some("{}")).unwrap();

        let mut next = PartnerStateFile::open(path.clone(), 7);
        assert_eq!(next.config("eth1").as_deref(), Some(r#"{"prio": 1}"#));
        assert_eq!(next.pdu("eth1"), Some(vec![1, 2]));
        assert_eq!((next.config("eth2"), next.pdu("eth2")), (None, Some(vec![3])));
        next.keep_exclusions("eth2", |exclusions| exclusions.drained = true).unwrap();
        let drained = PersistedExclusions { drained: true, ..PersistedExclusions::default() };
        assert_eq!(PartnerStateFile::open(path.clone(), 7).exclusions("eth2"), drained);
        next.keep_exclusions("eth2", |exclusions| exclusions.drained = false).unwrap();
        next.keep_only(&["eth1", "eth2"].map(str::to_owned)).unwrap();
        next.keep_pdu("eth2", None).unwrap();
        let next = PartnerStateFile::open(path.clone(), 7);
        assert_eq!(next.config("eth3"), None);
        assert_eq!(next.state.ports.len(), 1);

        let mut another = PartnerStateFile::open(path.clone(), 8);
        assert_eq!((another.config("eth1"), another.pdu("eth1")), (None, None));
        another.forget().unwrap();
        assert!(!path.exists());
        another.keep_pdu("eth1", Some(&[1])).unwrap();
        another.keep_only(&["eth2".to_owned()]).unwrap();
        assert!(!path.exists(), "there is no state");
    }
}
