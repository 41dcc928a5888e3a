//! The record of an import: every file with its text before and after.
//!
//! The name of the record tells its stage, so that one rename keeps a trial.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::edit::Change;
use super::host::Keeper;
use super::plan::Plan;
use crate::files::{self, Durability};

/// Folder of the records. Only root may enter it: a file of a network manager may contain secrets.
const FOLDER: &str = "/var/lib/teamr/import";
/// Bytes of the longest record.
const LONGEST: u64 = 64 << 20;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The stage of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The bond returns, unless the team is kept.
    Trial,
    /// The team stays.
    Kept,
}

/// An import.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// Name of the bond and the team.
    pub device: String,
    /// Names of the ports.
    pub ports: Vec<String>,
    /// The manager that makes the device.
    pub keeper: Keeper,
    #[serde(skip, default = "Record::initial_stage")]
    pub stage: Stage,
    /// The boot in which the import began.
    boot: String,
    changes: Vec<Change>,
    /// Owner, group and permissions of the old files, in the order of the changes.
    modes: Vec<(u32, u32, u32)>,
}

fn path(device: &str, stage: Stage) -> PathBuf {
    let ending = match stage {
        Stage::Trial => "trial",
        Stage::Kept => "kept",
    };
    Path::new(FOLDER).join(format!("{device}.{ending}"))
}

/// Returns whether there is a record of the device in this stage.
pub fn exists(device: &str, stage: Stage) -> bool {
    path(device, stage).exists()
}

/// Waits until no other process changes the host or a record, and excludes others.
///
/// # Errors
/// The folder of the records cannot be written to.
pub fn lock() -> Result<Flock<File>, String> {
    let create = || {
        DirBuilder::new().recursive(true).mode(0o700).create(FOLDER)?;
        let file = Path::new(FOLDER).join("lock");
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)
    };
    let file = create().map_err(|error| failed("open", Path::new(FOLDER), &error))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| format!("Failed to lock: {error}."))
}

/// Ends the trial of the device and keeps its team; returns whether there was one.
///
/// # Errors
/// The record cannot be renamed.
pub fn keep(device: &str) -> Result<bool, String> {
    let (from, to) = (path(device, Stage::Trial), path(device, Stage::Kept));
    match fs::rename(&from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("rename", &from, &error)),
    }
}

fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).unwrap_or_default()
}

fn failed(action: &str, path: &Path, error: &io::Error) -> String {
    format!("Failed to {action} {}: {error}.", path.display())
}

impl Record {
    fn initial_stage() -> Stage {
        Stage::Trial
    }

    /// Returns the record of an import that begins now.
    ///
    /// # Errors
    /// An earlier trial of the device has not ended.
    pub fn new(device: &str, plan: Plan) -> Result<Record, String> {
        let Plan { ports, keeper, changes, .. } = plan;
        if exists(device, Stage::Trial) {
            return Err(format!(
                "A trial of \"{device}\" has not ended: teamrctl {device} keep, or teamrctl import \
                 --undo {device}."
            ));
        }
        let mode = |change: &Change| match fs::symlink_metadata(&change.path) {
            Ok(old) => (old.uid(), old.gid(), old.mode() & 0o7777),
            // NetworkManager ignores a profile that others can read.
            Err(_) if change.path.extension().is_some_and(|it| it == "nmconnection") => {
                (0, 0, 0o600)
            }
            Err(_) => (0, 0, 0o644),
        };
        let modes = changes.iter().map(mode).collect();
        let (device, boot) = (device.to_owned(), boot_id());
        Ok(Record { device, ports, keeper, stage: Stage::Trial, boot, changes, modes })
    }

    /// Writes the record of a trial to the disk.
    ///
    /// # Errors
    /// The disk refuses the record.
    pub fn save(&self) -> Result<(), String> {
        let path = path(&self.device, Stage::Trial);
        let text = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        let saved = files::save(&path, &text, 0o600, Durability::Machine);
        saved.map_err(|error| failed("write", &path, &error))
    }

    /// Makes a team that was kept one on trial, in this boot.
    ///
    /// # Errors
    /// The disk refuses the record.
    pub fn reopen(self) -> Result<Record, String> {
        let record = Record { stage: Stage::Trial, boot: boot_id(), ..self };
        record.save()?;
        Ok(record)
    }

    /// Returns the record of a device in a stage; `None` without one.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn read(device: &str, stage: Stage) -> Result<Option<Record>, String> {
        let path = path(device, stage);
        let text = match files::read(&path, LONGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| failed("read", &path, &error))?,
        };
        let record: Record = serde_json::from_slice(&text)
            .map_err(|error| format!("{} is damaged: {error}.", path.display()))?;
        Ok(Some(Record { stage, ..record }))
    }

    /// Returns whether netplan must make files of those that the import changes.
    pub fn is_of_netplan(&self) -> bool {
        self.changes.iter().any(|change| change.path.starts_with("/etc/netplan"))
    }

    /// Returns whether the machine has not restarted since the trial began.
    pub fn is_of_this_boot(&self) -> bool {
        self.boot == boot_id()
    }

    /// Writes all files as they are after the import.
    ///
    /// # Errors
    /// A file cannot be written; the files before it are written.
    pub fn write_new(&self) -> Result<(), String> {
        self.write(|change| change.after.as_deref())
    }

    /// Writes all files as they were before the import.
    ///
    /// # Errors
    /// As [`write_new`](Self::write_new).
    pub fn write_old(&self) -> Result<(), String> {
        self.write(|change| change.before.as_deref())
    }

    fn write(&self, text: impl Fn(&Change) -> Option<&str>) -> Result<(), String> {
        for (change, (uid, gid, mode)) in self.changes.iter().zip(&self.modes) {
            let path = &change.path;
            let folder = path.parent().unwrap_or(Path::new("/"));
            let written = match text(change) {
                // A strict umask would hide the configuration from the daemon's user.
                Some(text) => fs::create_dir_all(folder)
                    .and_then(|()| files::save(path, text.as_bytes(), *mode, Durability::Machine))
                    .and_then(|()| fs::set_permissions(path, Permissions::from_mode(*mode)))
                    .and_then(|()| chown(path, Some(*uid), Some(*gid))),
                None => files::remove(path),
            };
            written.map_err(|error| failed("write", path, &error))?;
        }
        Ok(())
    }

    /// # Errors
    /// Names the first file that differs from what the import wrote.
    pub fn require_unchanged(&self) -> Result<(), String> {
        let text = |path: &Path| String::from_utf8(files::read_named(path, LONGEST).ok()?).ok();
        let differs = |change: &&Change| text(&change.path) != change.after;
        match self.changes.iter().find(differs) {
            None => Ok(()),
            Some(change) => Err(format!(
                "{} was changed since the import, and stays; its former text is in {}.",
                change.path.display(),
                path(&self.device, self.stage).display()
            )),
        }
    }

    /// Removes the record, in both stages.
    ///
    /// # Errors
    /// Errors of removing a file.
    pub fn remove(&self) -> Result<(), String> {
        [Stage::Kept, Stage::Trial].into_iter().try_for_each(|stage| {
            let path = path(&self.device, stage);
            files::remove(&path).map_err(|error| failed("remove", &path, &error))
        })
    }
}
