//! The last LACPDU of each port, kept for the daemon that takes the team over.
//!
//! A JSON file in the run directory, written when a partner tells something new, so that an end
//! without notice leaves it as a planned one does. It is not flushed to the disk: after a crash
//! of the machine there is nothing to take over.

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

/// What is kept of one team, by interface name.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    pdus: BTreeMap<String, Pdu>,
}

impl Memory {
    /// What an earlier daemon left at `path`; nothing if that cannot be read.
    pub fn open(path: PathBuf) -> Self {
        let is_fit = fs::metadata(&path).is_ok_and(|file| file.len() <= LONGEST_FILE);
        let text = is_fit.then(|| fs::read(&path).unwrap_or_default());
        let pdus = text.and_then(|text| serde_json::from_slice(&text).ok());
        Memory {
            path,
            pdus: pdus.unwrap_or_default(),
        }
    }

    /// The last LACPDU that came in on the interface `name`.
    pub fn pdu(&self, name: &str) -> Option<Vec<u8>> {
        self.pdus.get(name).map(|pdu| pdu.0.clone())
    }

    /// Keeps a frame in place of an older one, or forgets that.
    ///
    /// # Errors
    /// If the file cannot be written; what it had stays.
    pub fn keep(&mut self, name: &str, frame: Option<&[u8]>) -> io::Result<()> {
        let before = match frame {
            Some(frame) => self.pdus.insert(name.to_owned(), Pdu(frame.to_vec())),
            None => self.pdus.remove(name),
        };
        if before.as_ref().map(|pdu| &*pdu.0) == frame {
            return Ok(());
        }
        let new = self.path.with_extension("lacp.new");
        fs::write(&new, serde_json::to_vec(&self.pdus)?)?;
        fs::rename(&new, &self.path)
    }

    /// Forgets everything; nothing is left to take over.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn remove(&mut self) -> io::Result<()> {
        self.pdus.clear();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}
