//! Events of the directory of configuration files (inotify(7)), for `--watch`.
//!
//! A package or an editor writes several files, so events less than [`QUIET`] apart are one change.
//! When the directory is removed or renamed, the watch looks for another directory at the same path
//! every [`RETRY`], and reports a new one as a change.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use runners::Instant;

/// Time without an event after which a change counts as complete.
const QUIET: Duration = Duration::from_millis(100);
/// Longest time from the first event of a change to the reading, however many events follow.
const LONGEST: Duration = Duration::from_secs(2);
/// Time between two attempts to watch a directory that is gone.
const RETRY: Duration = Duration::from_secs(1);

/// A watch of the directory at one path.
#[derive(Debug)]
pub(super) struct DirectoryWatch {
    inotify: Inotify,
    path: PathBuf,
    /// Extension of the files that configure teams.
    extension: &'static str,
    /// Watch of the present directory; `None` while there is no directory at `path`.
    watched: Option<WatchDescriptor>,
    /// Time of the first event since the last [`take_due`](Self::take_due).
    changed: Option<Instant>,
    /// Time of the next reading, or of the next attempt to watch.
    due: Option<Instant>,
}

impl DirectoryWatch {
    /// Watches the files with this extension in the directory at `path`.
    ///
    /// # Errors
    /// `EMFILE` or `ENOSPC` at the user's limit of inotify instances or watches, `EACCES` if this
    /// process may not read the directory, `ENOENT` or `ENOTDIR` if `path` is no directory.
    pub fn open(path: &Path, extension: &'static str) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut watch = DirectoryWatch {
            inotify,
            path: path.to_owned(),
            extension,
            watched: None,
            changed: None,
            due: None,
        };
        watch.add()?;
        Ok(watch)
    }

    /// Registers the descriptor of the events with the loop, under `token`.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        let fd = self.inotify.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)
    }

    fn add(&mut self) -> io::Result<()> {
        // A written file is complete when its writer closes it; nobody closes a new link, which
        // IN_CREATE reports.
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        self.watched = Some(self.inotify.add_watch(&self.path, flags)?);
        Ok(())
    }

    /// Reads the waiting events, which count as events at `now`.
    pub fn read(&mut self, now: Instant) {
        loop {
            match self.inotify.read_events() {
                Ok(events) => events.iter().for_each(|event| self.handle_event(now, event)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(errno) => {
                    log::warn!("Failed to read the events of {} ({errno}).", self.path.display());
                    self.record_change(now);
                    return;
                }
            }
        }
    }

    fn handle_event(&mut self, now: Instant, event: &InotifyEvent) {
        let is_gone = AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_IGNORED
            | AddWatchFlags::IN_UNMOUNT;
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return self.record_change(now);
        }
        // Ignore late events of a former directory at this path.
        if self.watched != Some(event.wd) {
            return;
        }
        if event.mask.intersects(is_gone) {
            if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) {
                // The removal fails only if the kernel has removed the watch already.
                let _ = self.inotify.rm_watch(event.wd);
            }
            self.watched = None;
            self.record_change(now);
        } else if event.name.as_deref().is_some_and(|name| is_listed(name, self.extension)) {
            self.record_change(now);
        }
    }

    fn record_change(&mut self, now: Instant) {
        let first = *self.changed.get_or_insert(now);
        self.due = Some((now + QUIET).min(first + LONGEST));
    }

    /// Returns when to call [`take_due`](Self::take_due).
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether the directory is to be read at `now`, and forgets the change. Without a
    /// watch, tries first to watch the directory again.
    pub fn take_due(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.due = None;
        let mut is_changed = self.changed.take().is_some();
        if self.watched.is_none() {
            match self.add() {
                // The new watch has no events of earlier changes.
                Ok(()) => is_changed = true,
                Err(_) => {
                    is_changed = false;
                    self.due = Some(now + RETRY);
                }
            }
        }
        is_changed
    }
}

/// Returns whether a file of this name configures a team.
fn is_listed(name: &OsStr, extension: &str) -> bool {
    let path = Path::new(name);
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    !is_hidden && path.extension().is_some_and(|it| it == extension)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn several_events_are_one_change_and_a_directory_that_returns_is_watched() {
        let template = std::env::temp_dir().join("teamr-watch.XXXXXX");
        let root = nix::unistd::mkdtemp(&template).expect("a folder");
        let directory = root.join("teams");
        fs::create_dir(&directory).expect("a folder");
        let mut watch = DirectoryWatch::open(&directory, "json").expect("a watch");
        for name in [".team0.json.swp", ".hidden.json", "README"] {
            fs::write(directory.join(name), "").expect("a file");
        }
        watch.read(at(0));
        assert_eq!(watch.deadline(), None, "the files configure no team");
        fs::write(directory.join("team0.json"), "{}").expect("a file");
        watch.read(at(10));
        fs::write(directory.join("team1.json"), "{}").expect("a file");
        watch.read(at(90));
        assert_eq!(watch.deadline(), Some(at(190)));
        assert!(!watch.take_due(at(189)) && watch.take_due(at(190)) && !watch.take_due(at(191)));
        for moment in 0..50 {
            fs::write(directory.join("team1.json"), "{}").expect("a file");
            watch.read(at(1000 + 50 * moment));
        }
        assert_eq!(watch.deadline(), Some(at(3000)), "a change without an end is read too");
        assert!(watch.take_due(at(3500)));

        fs::remove_dir_all(&directory).expect("a removed folder");
        watch.read(at(4000));
        assert!(!watch.take_due(at(4100)), "no directory");
        fs::create_dir(&directory).expect("a folder");
        assert_eq!(watch.deadline(), Some(at(5100)));
        assert!(watch.take_due(at(5100)));
        fs::rename(directory.join("none"), &directory).unwrap_err();
        fs::write(directory.join("team0.json"), "{}").expect("a file");
        watch.read(at(6000));
        assert!(watch.take_due(at(6100)));
        fs::remove_dir_all(&root).expect("a removed folder");
    }
}
