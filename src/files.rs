//! Files and sockets at paths that a configuration or a command line names.
//!
//! Owns the checks before a path is read, replaced or bound. [`read`] and [`save`] keep state between
//! two runs of a program; [`replace`] updates a file that another program reads. A file is replaced
//! in one step, so a reader finds the old contents or the new ones. Symbolic links are not followed,
//! FIFOs are not waited for, and a size limit bounds what is read. [`remove_stale_socket`] removes a
//! socket of this user that no process serves. The contents belong to the callers.

use std::fmt;
use std::fs::{self, File, FileType, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::errno::strerror;

/// Names tried for a temporary file.
const MOST_NAMES: u32 = 100;

/// Read, write and execute. The set-user-ID and similar bits are not copied to a new file.
const PERMISSIONS: u32 = 0o777;

/// Why a path is left as it is. Displays what the path names and the remedy.
#[derive(Debug)]
pub enum PathError {
    /// The path names something else than a regular file.
    NoRegularFile(FileType),
    /// The path names something else than a socket.
    NoSocket(FileType),
    /// A process serves the socket.
    InUse,
    /// The socket belongs to the user with this id.
    OtherUser(u32),
    /// No file can be created in this directory.
    Directory(PathBuf, io::Error),
    /// The system refuses the path itself.
    System(io::Error),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::NoRegularFile(found) => write!(
                f,
                "the path is a {}, and only a regular file is replaced; name another path",
                kind(*found)
            ),
            PathError::NoSocket(found) => write!(
                f,
                "the path is a {}, and only a socket is replaced; name another path",
                kind(*found)
            ),
            PathError::InUse => f.write_str(
                "the socket is in use; end the process that serves it, or name another path",
            ),
            PathError::OtherUser(uid) => write!(
                f,
                "the socket belongs to the user with the id {uid}; remove it, or name another path"
            ),
            PathError::Directory(directory, error) => write!(
                f,
                "no file can be made in \"{}\" ({}); name a directory that can be written to",
                directory.display(),
                strerror(error)
            ),
            PathError::System(error) => f.write_str(&strerror(error)),
        }
    }
}

impl std::error::Error for PathError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PathError::Directory(_, error) | PathError::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for PathError {
    fn from(error: io::Error) -> Self {
        PathError::System(error)
    }
}

impl PathError {
    /// Returns the error of a call that failed to create a file or socket at `path`. Most such
    /// errors have their cause in the directory.
    pub fn making(path: &Path, error: io::Error) -> Self {
        use libc::{EACCES, EEXIST, ENOENT, ENOTDIR, EPERM, EROFS};
        match error.raw_os_error() {
            Some(EACCES | EEXIST | ENOENT | ENOTDIR | EPERM | EROFS) => {
                PathError::Directory(directory(path).to_owned(), error)
            }
            _ => PathError::System(error),
        }
    }
}

/// The crash that a saved file survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process. Nothing is flushed to the disk: after a crash of the machine the
    /// contents would be out of date.
    Process,
    /// A crash of the machine too: the file and its directory are flushed to the disk.
    Machine,
}

/// Returns the contents of the regular file at `path`.
///
/// # Errors
/// As [`read_at_most`]; `ELOOP` for a symbolic link, an error of kind `Other` for anything else
/// that is not a regular file.
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    read_at_most(file, longest)
}

/// Returns the contents of an open file.
///
/// # Errors
/// Those of reading; `FileTooLarge` for more than `longest` bytes.
pub fn read_at_most(file: File, longest: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.take(longest + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > longest {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(contents)
}

/// Writes `contents` to the file at `path` in one step; the file then has the permissions `mode`
/// less the umask. A symbolic link at `path` is replaced, not followed.
///
/// # Errors
/// Those of creating, writing and renaming; the old file is then as before.
pub fn save(path: &Path, contents: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let (mut file, temporary) = create_beside(path, mode)?;
    let written = file.write_all(contents).and_then(|()| match durability {
        Durability::Process => Ok(()),
        Durability::Machine => file.sync_all(),
    });
    rename_or_remove(written, &temporary, path)?;
    match durability {
        Durability::Process => Ok(()),
        Durability::Machine => File::open(directory(path))?.sync_all(),
    }
}

/// Removes the file at `path`, if there is one.
///
/// # Errors
/// Those of removing a file that exists.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes `contents` to the file at `path` in one step. The new file keeps the owner and the
/// permissions of the old one; without an old one it has those of any new file. Nothing is flushed
/// to the disk.
///
/// # Errors
/// `path` names something else than a regular file, or no file can be created in its directory. The
/// old file is then as before.
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), PathError> {
    let old = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Some(found),
        Ok(found) => return Err(PathError::NoRegularFile(found.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let created = create_beside(path, 0o666);
    let (file, temporary) = created.map_err(|error| PathError::making(path, error))?;
    Ok(rename_or_remove(
        fill(file, old, contents),
        &temporary,
        path,
    )?)
}

/// Renames the temporary file to `path` if it was written, else removes it.
fn rename_or_remove(written: io::Result<()>, temporary: &Path, path: &Path) -> io::Result<()> {
    let renamed = written.and_then(|()| fs::rename(temporary, path));
    if renamed.is_err() {
        let _ = fs::remove_file(temporary);
    }
    renamed
}

/// Writes the contents of a new file, which gets the owner and the permissions of the old one.
fn fill(mut file: File, old: Option<Metadata>, contents: &[u8]) -> io::Result<()> {
    if let Some(old) = old {
        let new = file.metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & PERMISSIONS))?;
    }
    file.write_all(contents)
}

/// Creates an empty file in the directory of `path`. The name of the new file does not contain that
/// of `path`, which may have the greatest length, and ends in `.new`, which no reader looks for.
fn create_beside(path: &Path, mode: u32) -> io::Result<(File, PathBuf)> {
    let directory = directory(path);
    for number in 0..MOST_NAMES {
        let temporary = directory.join(format!(".teamr-{}-{number}.new", std::process::id()));
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary);
        match created {
            Ok(file) => return Ok((file, temporary)),
            // An earlier process with our id left the file, or another user put something there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EEXIST))
}

/// Returns the directory of the last component of `path`.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes the socket at `path` if an ended process of this user left it there.
///
/// # Errors
/// `path` names something else than a socket, or a socket that is served or belongs to another user.
pub fn remove_stale_socket(path: &Path) -> Result<(), PathError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !found.file_type().is_socket() {
        return Err(PathError::NoSocket(found.file_type()));
    }
    if found.uid() != Uid::effective().as_raw() {
        return Err(PathError::OtherUser(found.uid()));
    }
    // A blocking connect would wait while the queue of a listener is full.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(PathError::System)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => match error.raw_os_error() {
            // The queue of the socket is full, or the socket is of another type.
            Some(libc::EAGAIN | libc::EPROTOTYPE) => Err(PathError::InUse),
            _ => Err(error.into()),
        },
        Ok(()) => Err(PathError::InUse),
    }
}

/// Returns the name of a file type.
fn kind(file: FileType) -> &'static str {
    if file.is_symlink() {
        "symbolic link"
    } else if file.is_dir() {
        "directory"
    } else if file.is_fifo() {
        "FIFO"
    } else if file.is_char_device() {
        "character device"
    } else if file.is_block_device() {
        "block device"
    } else if file.is_socket() {
        "socket"
    } else {
        "regular file"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    use nix::unistd::mkfifo;

    use super::*;

    /// The directory of one test, removed with its contents on drop.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let place =
                std::env::temp_dir().join(format!("teamr-files-{name}-{}", std::process::id()));
            fs::create_dir(&place).unwrap();
            Place(place)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
            let mut names: Vec<String> = entries
                .map(|entry| name(entry).into_string().unwrap())
                .collect();
            names.sort_unstable();
            names
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Returns one path of each type that is neither a regular file nor a socket, with the name of
    /// the type. A user who may not create a device gets `/dev/null`.
    fn others(place: &Place) -> Vec<(PathBuf, &'static str)> {
        fs::write(place.path("file"), "kept").unwrap();
        symlink(place.path("file"), place.path("link")).unwrap();
        symlink(place.path("nothing"), place.path("dangling")).unwrap();
        fs::create_dir(place.path("directory")).unwrap();
        mkfifo(&place.path("fifo"), Mode::S_IRWXU).unwrap();
        let device = place.path("device");
        let made = mknod(&device, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3));
        let device = made.map_or_else(|_| PathBuf::from("/dev/null"), |()| device);
        vec![
            (place.path("link"), "symbolic link"),
            (place.path("dangling"), "symbolic link"),
            (place.path("directory"), "directory"),
            (place.path("fifo"), "FIFO"),
            (device, "character device"),
        ]
    }

    #[test]
    fn only_a_regular_file_within_the_limit_is_read() {
        let place = Place::new("read");
        for (path, _) in others(&place) {
            assert!(read(&path, 10).is_err(), "{}", path.display());
        }
        let path = place.path("file");
        assert_eq!(read(&path, 4).unwrap(), b"kept");
        let refused = read(&path, 3).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_saved_file_has_its_mode_and_replaces_a_symbolic_link() {
        let place = Place::new("save");
        fs::write(place.path("target"), "kept").unwrap();
        let path = place.path("state");
        symlink(place.path("target"), &path).unwrap();
        for durability in [Durability::Process, Durability::Machine] {
            save(&path, b"new", 0o600, durability).unwrap();
            let found = fs::symlink_metadata(&path).unwrap();
            assert_eq!(found.mode() & 0o7777, 0o600);
            assert_eq!(read(&path, 3).unwrap(), b"new");
        }
        assert_eq!(fs::read(place.path("target")).unwrap(), b"kept");
        assert!(
            save(
                &place.path("missing/state"),
                b"",
                0o600,
                Durability::Process
            )
            .is_err()
        );
        assert!(save(&place.0, b"", 0o600, Durability::Process).is_err());
        assert_eq!(place.names(), ["state", "target"]);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(place.names(), ["target"]);
    }

    #[test]
    fn only_a_regular_file_is_replaced() {
        let place = Place::new("replace");
        let mut others = others(&place);
        let _listener = UnixListener::bind(place.path("socket")).unwrap();
        others.push((place.path("socket"), "socket"));
        let names = place.names();
        for (path, words) in others {
            let before = fs::symlink_metadata(&path).unwrap();
            let refused = replace(&path, b"new").unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!(
                    "the path is a {words}, and only a regular file is replaced; name another path"
                )
            );
            let after = fs::symlink_metadata(&path).unwrap();
            assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
        }
        assert_eq!(fs::read(place.path("file")).unwrap(), b"kept");
        assert_eq!(place.names(), names);
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        let place = Place::new("mode");
        let path = place.path("metrics.prom");
        replace(&path, b"first").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        fs::set_permissions(&path, Permissions::from_mode(0o4640)).unwrap();
        let first = fs::metadata(&path).unwrap().ino();
        replace(&path, b"second").unwrap();
        let second = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_ne!(second.ino(), first, "written in place");
        assert_eq!(second.mode() & 0o7777, 0o640);
        assert_eq!(place.names(), ["metrics.prom"]);
    }

    #[test]
    fn a_replaced_file_keeps_its_owner() {
        let place = Place::new("owner");
        let path = place.path("metrics.prom");
        fs::write(&path, "old").unwrap();
        // Only root may give a file away; everybody else keeps his own.
        let given = std::os::unix::fs::chown(&path, Some(1), Some(2));
        let before = fs::metadata(&path).unwrap();
        assert_eq!(given.is_ok(), (before.uid(), before.gid()) == (1, 2));
        replace(&path, b"new").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    }

    #[test]
    fn a_temporary_file_replaces_no_existing_file() {
        let place = Place::new("temporary");
        fs::write(place.path("file"), "kept").unwrap();
        let taken = |number: u32| format!(".teamr-{}-{number}.new", std::process::id());
        symlink(place.path("file"), place.path(&taken(0))).unwrap();
        fs::write(place.path(&taken(1)), "kept too").unwrap();
        replace(&place.path("metrics.prom"), b"new").unwrap();
        assert_eq!(fs::read(place.path("metrics.prom")).unwrap(), b"new");
        assert_eq!(fs::read(place.path("file")).unwrap(), b"kept");
        assert_eq!(fs::read(place.path(&taken(1))).unwrap(), b"kept too");
        assert_eq!(
            place.names(),
            [&taken(0), &taken(1), "file", "metrics.prom"]
        );
    }

    #[test]
    fn an_unusable_directory_is_named_in_the_error() {
        let place = Place::new("nowhere");
        let refused = replace(&place.path("missing/metrics.prom"), b"new").unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "no file can be made in \"{}\" (No such file or directory); name a directory that \
                 can be written to",
                place.path("missing").display()
            )
        );
    }

    #[test]
    fn only_a_socket_is_removed() {
        let place = Place::new("sockets");
        let mut others = others(&place);
        others.push((place.path("file"), "regular file"));
        for (path, words) in others {
            let before = fs::symlink_metadata(&path).unwrap();
            let refused = remove_stale_socket(&path).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("the path is a {words}, and only a socket is replaced; name another path")
            );
            let after = fs::symlink_metadata(&path).unwrap();
            assert_eq!(after.ino(), before.ino());
        }
        assert_eq!(fs::read(place.path("file")).unwrap(), b"kept");
    }

    #[test]
    fn only_an_unserved_socket_is_removed() {
        let place = Place::new("stale");
        let path = place.path("socket");
        remove_stale_socket(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        assert!(matches!(remove_stale_socket(&path), Err(PathError::InUse)));
        drop(listener);
        remove_stale_socket(&path).unwrap();
        assert!(fs::symlink_metadata(&path).is_err());
    }

    #[test]
    fn a_socket_with_a_full_queue_or_of_another_type_is_in_use() {
        let place = Place::new("busy");
        let path = place.path("full");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert!(matches!(remove_stale_socket(&path), Err(PathError::InUse)));
        let path = place.path("datagrams");
        let _socket = UnixDatagram::bind(&path).unwrap();
        assert!(matches!(remove_stale_socket(&path), Err(PathError::InUse)));
        assert_eq!(place.names(), ["datagrams", "full"]);
    }

    #[test]
    fn a_socket_of_another_user_stays() {
        let place = Place::new("foreign");
        let path = place.path("socket");
        drop(UnixListener::bind(&path).unwrap());
        // Only root may give a file away.
        if std::os::unix::fs::chown(&path, Some(1), None).is_err() {
            return;
        }
        let refused = remove_stale_socket(&path).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the socket belongs to the user with the id 1; remove it, or name another path"
        );
        assert!(fs::symlink_metadata(&path).is_ok());
    }
}
