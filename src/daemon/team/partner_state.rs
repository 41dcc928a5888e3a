//! What a team knows that neither the kernel nor its configuration tells, kept for the daemon that
//! takes its device over: of each port the last LACPDU that told something new, and the
//! configuration that it was given while the team ran.
//!
//! A JSON file in the run directory, written at each change, so that an end without notice leaves
//! it as a planned one does. It is not flushed to the disk: after a crash of the machine there is
//! nothing to take over. It names the device by its index, since another one may have got its
//! name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Far more than a team of a thousand ports needs.
const LONGEST_FILE: u64 = 1 << 20;

/// A frame, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Pdu(#[serde(with = "runners::hex_digits")] Vec<u8>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct KeptPort {
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pdu: Option<Pdu>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    ifindex: u32,
    /// By interface name.
    ports: BTreeMap<String, KeptPort>,
}

/// What is kept of one team.
#[derive(Debug)]
pub struct PartnerStateFile {
    path: PathBuf,
    kept: Kept,
}

impl PartnerStateFile {
    /// What an earlier daemon left at `path` of the team device with this index; nothing if that
    /// cannot be read.
    pub fn open(path: PathBuf, ifindex: u32) -> Self {
        let is_fit = fs::metadata(&path).is_ok_and(|file| file.len() <= LONGEST_FILE);
        let text = is_fit.then(|| fs::read(&path).unwrap_or_default());
        let kept = text.and_then(|text| serde_json::from_slice(&text).ok());
        let kept = kept.filter(|kept: &Kept| kept.ifindex == ifindex);
        let ports = kept.unwrap_or_default().ports;
        let kept = Kept { ifindex, ports };
        PartnerStateFile { path, kept }
    }

    /// The last LACPDU that came in on the interface `name`.
    pub fn pdu(&self, name: &str) -> Option<Vec<u8>> {
        self.kept.ports.get(name)?.pdu.clone().map(|pdu| pdu.0)
    }

    /// The configuration that the interface `name` was given while the team ran.
    pub fn config(&self, name: &str) -> Option<String> {
        self.kept.ports.get(name)?.config.clone()
    }

    /// Keeps a frame in place of an older one, or forgets that.
    ///
    /// # Errors
    /// If the file cannot be written; what it had stays.
    pub fn keep_pdu(&mut self, name: &str, frame: Option<&[u8]>) -> io::Result<()> {
        let pdu = frame.map(|frame| Pdu(frame.to_vec()));
        self.change(name, |port| port.pdu = pdu)
    }

    /// Keeps the configuration of a port in place of an older one, or forgets that.
    ///
    /// # Errors
    /// If the file cannot be written; what it had stays.
    pub fn keep_config(&mut self, name: &str, text: Option<&str>) -> io::Result<()> {
        let config = text.map(str::to_owned);
        self.change(name, |port| port.config = config)
    }

    /// Forgets all interfaces but these, which are ports now.
    ///
    /// # Errors
    /// If the file cannot be written; what it had stays.
    pub fn keep_only(&mut self, names: &[&str]) -> io::Result<()> {
        let before = self.kept.ports.len();
        let ports = &mut self.kept.ports;
        ports.retain(|name, _| names.contains(&name.as_str()));
        if ports.len() == before {
            return Ok(());
        }
        self.write()
    }

    /// Forgets everything; nothing is left to take over.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn forget(&mut self) -> io::Result<()> {
        self.kept.ports.clear();
        self.write()
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut KeptPort)) -> io::Result<()> {
        let known = self.kept.ports.get(name).cloned().unwrap_or_default();
        let mut port = known.clone();
        change(&mut port);
        if port == known {
            return Ok(());
        }
        if port == KeptPort::default() {
            self.kept.ports.remove(name);
        } else {
            self.kept.ports.insert(name.to_owned(), port);
        }
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        if self.kept.ports.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            };
        }
        let new = self.path.with_extension("memory.new");
        fs::write(&new, serde_json::to_vec(&self.kept)?)?;
        fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn what_is_kept_is_of_one_device_and_of_its_ports() {
        let name = format!("teamr-partner_state-{}.memory", std::process::id());
        let path = env::temp_dir().join(name);
        let mut partner_state = PartnerStateFile::open(path.clone(), 7);
        partner_state
            .keep_config("eth1", Some(r#"{"prio": 1}"#))
            .unwrap();
        partner_state.keep_pdu("eth1", Some(&[1, 2])).unwrap();
        partner_state.keep_pdu("eth2", Some(&[3])).unwrap();
        partner_state.keep_config("eth3", Some("{}")).unwrap();

        let mut next = PartnerStateFile::open(path.clone(), 7);
        assert_eq!(next.config("eth1").as_deref(), Some(r#"{"prio": 1}"#));
        assert_eq!(next.pdu("eth1"), Some(vec![1, 2]));
        assert_eq!(
            (next.config("eth2"), next.pdu("eth2")),
            (None, Some(vec![3]))
        );
        next.keep_only(&["eth1", "eth2"]).unwrap();
        next.keep_pdu("eth2", None).unwrap();
        let next = PartnerStateFile::open(path.clone(), 7);
        assert_eq!(next.config("eth3"), None);
        assert_eq!(next.kept.ports.len(), 1);

        let mut another = PartnerStateFile::open(path.clone(), 8);
        assert_eq!((another.config("eth1"), another.pdu("eth1")), (None, None));
        another.forget().unwrap();
        assert!(!path.exists());
        another.keep_pdu("eth1", Some(&[1])).unwrap();
        another.keep_only(&["eth2"]).unwrap();
        assert!(!path.exists(), "nothing is kept");
    }
}
