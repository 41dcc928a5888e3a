//! The pid file: proof that a daemon runs, and the way to stop it.
//!
//! The daemon has a write lock on its file as long as it runs. `-k` and `-e` ask the kernel for the
//! process that has the lock, so neither a stale file nor a pid that another process got deceives
//! them. A read lock does not count: any process that may read the file can have one. teamd locks
//! the file only while it writes: the pid in a file without a lock is trusted only if its process is
//! called `teamd`.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::errno::strerror;
use crate::sys::clock;
use crate::sys::process::{pidfd_open, pidfd_send_signal};

/// Time that `-k` waits for the daemon to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The pid file of this process, removed on drop.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// The only descriptor of the file: closing any other would release the lock.
    locked: File,
}

/// Why no pid file was created.
#[derive(Debug)]
pub enum CreateError {
    /// Another daemon has the file.
    AlreadyRunning(Pid),
    /// The file could not be opened or written.
    Open(PathBuf, io::Error),
}

impl CreateError {
    /// Returns the error number for teamd's last line and for the parent process.
    pub fn errno(&self) -> Errno {
        match self {
            CreateError::AlreadyRunning(_) => Errno::EEXIST,
            CreateError::Open(_, e) => Errno::from_raw(e.raw_os_error().unwrap_or(libc::EINVAL)),
        }
    }
}

/// Displays as teamd's lines.
impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateError::AlreadyRunning(pid) => write!(f, "Daemon already running on PID {pid}."),
            CreateError::Open(path, e) => {
                let (path, why) = (path.display(), strerror(e));
                write!(f, "open({path}): {why}\nCould not create PID file.")
            }
        }
    }
}

impl std::error::Error for CreateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CreateError::AlreadyRunning(_) => None,
            CreateError::Open(_, e) => Some(e),
        }
    }
}

impl PidFile {
    /// Writes the pid of this process to `path`, mode 0644, and replaces a stale file.
    ///
    /// Call this after the last fork, which the lock does not survive. Calls `pause` with the time
    /// to wait, up to a second in all, while another process has the lock without its pid in the
    /// file.
    ///
    /// # Errors
    /// [`CreateError::AlreadyRunning`] if a daemon runs.
    pub fn create(path: &Path, mut pause: impl FnMut(Duration)) -> Result<Self, CreateError> {
        let failed = |e| CreateError::Open(path.to_owned(), e);
        loop {
            // Nobody else may open a new file, and so lock it, before this process has its lock.
            let new = OpenOptions::new().write(true).create(true).mode(0o600).clone();
            let mut file = open(path, new).map_err(failed)?;
            if !try_lock(&file).map_err(failed)? {
                if let Some(pid) = holder(&mut file, &mut pause).map_err(failed)? {
                    return Err(CreateError::AlreadyRunning(pid));
                }
                // The other daemon has ended since, or a reader's lock keeps us from a stale file.
                if is_at(&file, path) {
                    fs::remove_file(path).map_err(failed)?;
                }
                continue;
            }
            // The last daemon may have removed the file after the open above.
            if !is_at(&file, path) {
                continue;
            }
            if let Content::Daemon(pid) = read_unlocked(&mut file, path).map_err(failed)? {
                return Err(CreateError::AlreadyRunning(pid));
            }
            let mut pid_file = PidFile { path: path.to_owned(), locked: file };
            // A file that cannot be written is removed again.
            write_pid(&mut pid_file.locked).map_err(failed)?;
            return Ok(pid_file);
        }
    }
}

impl Drop for PidFile {
    /// Removes the file under the lock, so never another daemon's file.
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.path) {
            let path = self.path.display();
            log::warn!("Failed to remove PID file {path}: {}", strerror(&e));
        }
    }
}

/// Returns the daemon of this pid file, if it runs; removes a stale file with a warning.
///
/// Do not call this while this process has a [`PidFile`] of the same path: it would lose the lock.
pub fn running(path: &Path) -> Option<Pid> {
    let found = open(path, OpenOptions::new()).and_then(|mut file| {
        match holder(&mut file, thread::sleep)? {
            Some(pid) => Ok(Content::Daemon(pid)),
            None => read_unlocked(&mut file, path),
        }
    });
    match found {
        Ok(Content::Daemon(pid)) => return Some(pid),
        Ok(Content::Stale) => remove_stale(path),
        Ok(Content::Empty) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => log::warn!("Failed to read PID file {}: {}", path.display(), strerror(&e)),
    }
    None
}

/// Returns whether the daemon of this pid file has the pid file of another team in the same directory.
pub fn has_siblings(path: &Path) -> bool {
    let pid_of =
        |path: &Path| holder(&mut open(path, OpenOptions::new()).ok()?, thread::sleep).ok()?;
    let (Some(pid), Some(directory)) = (pid_of(path), path.parent()) else {
        return false;
    };
    let others = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut others = others.map(|entry| entry.path());
    others.any(|other| {
        // A colon marks the pid file of a directory of teams.
        let is_of_team = !other.to_string_lossy().contains(':');
        let is_one = other.extension() == path.extension() && other != path && is_of_team;
        is_one && pid_of(&other) == Some(pid)
    })
}

/// Removes a stale file under the lock, so never the file of a daemon that has just started. A
/// process that may not write the file leaves it to the next start.
fn remove_stale(path: &Path) {
    let Ok(file) = open(path, OpenOptions::new().write(true).clone()) else {
        return;
    };
    if try_lock(&file).is_ok_and(|locked| locked) && is_at(&file, path) {
        let _ = fs::remove_file(path);
    }
}

/// Why the daemon was not stopped; displays as teamd's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopError {
    /// No daemon runs.
    NotRunning,
    /// The daemon could not be signalled, or did not end in time (`ETIME`).
    Failed(Errno),
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopError::NotRunning => f.write_str("Daemon not running"),
            StopError::Failed(errno) => write!(f, "Failed to kill daemon: {}", errno.desc()),
        }
    }
}

impl std::error::Error for StopError {}

/// Ends the daemon of this pid file with SIGTERM and waits up to 30 s for its end.
pub fn stop(path: &Path) -> Result<(), StopError> {
    let pid = running(path).ok_or(StopError::NotRunning)?;
    match pidfd_open(pid) {
        Ok(process) => {
            // Checked again: from here on the descriptor means the same process.
            if running(path) != Some(pid) {
                return Ok(());
            }
            pidfd_send_signal(process.as_fd(), Signal::SIGTERM).or_else(ended)?;
            let timeout = PollTimeout::try_from(STOP_TIMEOUT).unwrap_or(PollTimeout::MAX);
            let mut waiting = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waiting, timeout) {
                Ok(0) => Err(StopError::Failed(Errno::ETIME)),
                Ok(_) => Ok(()),
                Err(errno) => Err(StopError::Failed(errno)),
            }
        }
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => stop_without_descriptor(pid),
        Err(e) => ended(e),
    }
}

/// Succeeds if the process has ended by itself.
fn ended(e: io::Error) -> Result<(), StopError> {
    match e.raw_os_error() {
        Some(libc::ESRCH) => Ok(()),
        number => Err(StopError::Failed(Errno::from_raw(number.unwrap_or(libc::EINVAL)))),
    }
}

/// Stops the daemon on kernels before 5.3: polls every 100 ms, as teamd does.
fn stop_without_descriptor(pid: Pid) -> Result<(), StopError> {
    kill(pid, Signal::SIGTERM).or_else(|errno| ended(errno.into()))?;
    let deadline = clock::monotonic() + STOP_TIMEOUT;
    while is_alive(pid) {
        if clock::monotonic() >= deadline {
            return Err(StopError::Failed(Errno::ETIME));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Opens a regular file for reading, and as `options` say. In a directory that others may write to,
/// a symbolic link could lead anywhere and a FIFO would make the process wait.
fn open(path: &Path, mut options: OpenOptions) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = options.read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// Returns whether the lock was acquired.
fn try_lock(file: &File) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EACCES | Errno::EAGAIN) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Returns the process that has the write lock.
///
/// A starting daemon, and a process that removes a stale file, have the lock for a moment without
/// their pid in the file; a killed daemon has the lock until its last thread has closed a socket. The
/// function then calls `pause` with the time to wait, 10 ms, up to a second in all.
fn holder(file: &mut File, mut pause: impl FnMut(Duration)) -> io::Result<Option<Pid>> {
    let mut pid = None;
    for _ in 0..100 {
        // Only a write lock conflicts with a read lock.
        let mut found = whole_file(libc::F_RDLCK);
        fcntl(&*file, FcntlArg::F_GETLK(&mut found))?;
        if i32::from(found.l_type) == libc::F_UNLCK {
            return Ok(None);
        }
        let written = read_pid(file)?.and_then(Result::ok);
        // A process outside of our pid namespace has pid 0 here; the file has its pid.
        pid = match found.l_pid {
            number @ 1.. => Some(Pid::from_raw(number)),
            _ => written,
        };
        if pid.is_some_and(|pid| Some(pid) == written && !is_zombie(pid)) {
            break;
        }
        pause(Duration::from_millis(10));
    }
    Ok(pid)
}

/// The meaning of a pid file.
enum Content {
    Empty,
    Stale,
    Daemon(Pid),
}

/// Reads a file that no daemon has locked.
fn read_unlocked(file: &mut File, path: &Path) -> io::Result<Content> {
    let path = path.display();
    match read_pid(file)? {
        None => return Ok(Content::Empty),
        Some(Err(())) => log::warn!("PID file corrupt, removing. ({path})"),
        Some(Ok(pid)) if !is_alive(pid) => {
            log::warn!("Process {pid} died: No such process; trying to remove PID file. ({path})");
        }
        Some(Ok(pid)) if is_called_teamd(pid) => return Ok(Content::Daemon(pid)),
        Some(Ok(pid)) => {
            log::warn!("Process {pid} is not the daemon; trying to remove PID file. ({path})");
        }
    }
    Ok(Content::Stale)
}

/// Returns the pid in the file; `None` if the file is empty, as between creation and locking.
fn read_pid(file: &mut File) -> io::Result<Option<Result<Pid, ()>>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(64).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    Ok(Some(number.filter(|number| *number > 0).map(Pid::from_raw).ok_or(())))
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.rewind()?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn is_alive(pid: Pid) -> bool {
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

/// Returns whether the process is called `teamd` and is no zombie: after a crash the pid stays until
/// the parent waits for it.
fn is_called_teamd(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "teamd\n")
        && !is_zombie(pid)
}

/// Returns whether the process has ended, with a pid that is left. Standard: proc(5), `stat`.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state may contain parentheses.
    let state = stat.rsplit_once(") ");
    state.is_some_and(|(_, state)| state.starts_with(['Z', 'X']))
}

fn whole_file(lock: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: lock as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
