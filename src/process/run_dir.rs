//! Where a running team leaves its pid file and its socket.
//!
//! teamd's directory, so that its clients find the team. `TEAMR_RUN_DIR` puts another in its
//! place, for the daemon and the client alike: tests without root need it.

use std::env;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// The directory of teamd.
pub const DEFAULT: &str = "/var/run/teamd/";

/// Names another directory.
pub const VARIABLE: &str = "TEAMR_RUN_DIR";

/// The directory in use.
pub fn path() -> PathBuf {
    match env::var_os(VARIABLE) {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(DEFAULT),
    }
}

/// `<run directory>/<device>.pid`
pub fn pid_file(device: &str) -> PathBuf {
    path().join(format!("{device}.pid"))
}

/// `<run directory>/<device>.sock`
pub fn socket(device: &str) -> PathBuf {
    path().join(format!("{device}.sock"))
}

/// Makes the directory, mode 0755, if it is not there. A missing parent is an error, as in teamd.
///
/// Root takes the directory from another user: a daemon of its own must unlink its files there
/// when it has given up the right to do so anywhere.
pub fn create() -> io::Result<()> {
    let dir = path();
    match std::fs::DirBuilder::new().mode(0o755).create(&dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && Path::is_dir(&dir) => {}
        made => return made,
    }
    if Uid::effective().is_root() && std::fs::metadata(&dir)?.uid() != 0 {
        // Not ours to change in a user namespace; then no more is lost than tidiness.
        let _ = std::os::unix::fs::chown(&dir, Some(0), None);
    }
    Ok(())
}
