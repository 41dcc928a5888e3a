//! The directory of pid files, sockets and persisted state.
//!
//! The default is teamd's directory, where its clients look. `TEAMR_RUN_DIR` replaces the directory
//! for daemon and client; tests without root need the variable.

use std::env;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// teamd's directory.
pub const DEFAULT: &str = "/var/run/teamd/";

/// Environment variable with another directory.
pub const VARIABLE: &str = "TEAMR_RUN_DIR";

/// Returns the directory in use.
pub fn path() -> PathBuf {
    match env::var_os(VARIABLE) {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(DEFAULT),
    }
}

/// Returns `<run directory>/<device>.pid`.
pub fn pid_file(device: &str) -> PathBuf {
    path().join(format!("{device}.pid"))
}

/// Returns the pid file of the daemon of a directory of teams: its path, with `:` in place of `/`. No
/// device has such a name.
pub fn directory_pid_file(directory: &Path) -> PathBuf {
    let found = directory.canonicalize().or_else(|_| std::path::absolute(directory));
    let path = found.as_deref().unwrap_or(directory).to_string_lossy();
    let name = path.replace('\\', "\\x5c").replace(':', "\\x3a").replace('/', ":");
    pid_file(&name)
}

/// Returns `<run directory>/<device>.sock`.
pub fn socket(device: &str) -> PathBuf {
    path().join(format!("{device}.sock"))
}

/// Creates the directory, mode 0755, if it does not exist.
///
/// As root, also changes the owner of the directory to root: a daemon in its sandbox can unlink its
/// files only in a directory of its own user.
///
/// # Errors
/// A missing parent, as in teamd; a directory that every user may write to, in which any user could
/// replace the daemon's files.
pub fn create() -> io::Result<()> {
    let dir = path();
    match std::fs::DirBuilder::new().mode(0o755).create(&dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && Path::is_dir(&dir) => {}
        made => return made,
    }
    let found = std::fs::metadata(&dir)?;
    if found.mode() & libc::S_IWOTH != 0 {
        return Err(io::Error::other("every user may write to it; withdraw that by chmod o-w"));
    }
    if Uid::effective().is_root() && found.uid() != 0 {
        // Fails in a user namespace; the daemon then leaves its files behind.
        let _ = std::os::unix::fs::chown(&dir, Some(0), None);
    }
    Ok(())
}
