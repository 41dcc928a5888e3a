//! Files and sockets at paths that a configuration or a command line names.
//!
//! Owns the checks before a path is read, replaced or bound. [`read`] and [`save`] keep state between
//! two runs of a program; [`replace`] updates a file that another program reads. A file is replaced
//! in one step, so a reader finds the old contents or the new ones. Symbolic links are not followed,
//! FIFOs are not waited for, and a size limit bounds a read. The contents belong to the callers.

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
    /// The path names something else than the file type in words.
    WrongType(FileType, &'static str),
    /// The regular file has contents that the caller did not write.
    OtherContents,
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
            PathError::WrongType(found, wanted) => write!(
                f,
                "the path is a {}, and only a {wanted} is replaced; name another path",
                kind(*found)
            ),
            PathError::OtherContents => {
                f.write_str("the file has other contents; remove the file, or name another path")
            }
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
    read_at_most(open_regular(path, libc::O_NOFOLLOW)?, longest)
}

/// As [`read`], and follows symbolic links: for a file that the operator names.
///
/// # Errors
/// As [`read`], except `ELOOP`.
pub fn read_named(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    read_at_most(open_regular(path, 0)?, longest).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            io::Error::new(error.kind(), format!("{error}; name another file"))
        }
        _ => error,
    })
}

fn open_regular(path: &Path, flags: i32) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(flags | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// Returns the contents of an open file.
///
/// # Errors
/// Errors of reading; `FileTooLarge` for more than `longest` bytes.
pub fn read_at_most(file: File, longest: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.take(longest + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > longest {
        return Err(too_large(longest));
    }
    Ok(contents)
}

/// Returns the error of a file with more than `longest` bytes.
pub fn too_large(longest: u64) -> io::Error {
    let limit = match longest {
        1.. if longest.trailing_zeros() >= 20 => format!("{} MiB", longest >> 20),
        1.. if longest.trailing_zeros() >= 10 => format!("{} KiB", longest >> 10),
        _ => format!("{longest} bytes"),
    };
    let text = format!("the file is larger than {limit}, the limit for such a file");
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// Writes `contents` to the file at `path` in one step; the file then has the permissions `mode`
/// less the umask. A symbolic link at `path` is replaced, not followed.
///
/// # Errors
/// Errors of creating, writing and renaming; the old file is then as before.
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
/// Errors of removing a file that exists.
pub fn remove(path: &Path) -> io::Result<()> {
    existing(fs::remove_file(path)).map(drop)
}

/// Returns `None` for the error that the path names nothing.
fn existing<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Writes `contents` to the file at `path` in one step. The new file keeps the owner and the
/// permissions of the old one; without an old one it has those of any new file. Nothing is flushed
/// to the disk.
///
/// # Errors
/// `path` names something else than a regular file, or a file that is neither empty nor begins with
/// `beginning`; no file can be created in its directory. The old file is then as before.
pub fn replace(path: &Path, contents: &[u8], beginning: &[u8]) -> Result<(), PathError> {
    let old = existing(fs::symlink_metadata(path))?;
    if let Some(other) = old.as_ref().filter(|old| !old.is_file()) {
        return Err(PathError::WrongType(other.file_type(), "regular file"));
    }
    if old.as_ref().is_some_and(|old| old.len() > 0) && !begins_with(path, beginning)? {
        return Err(PathError::OtherContents);
    }
    let created = create_beside(path, 0o666);
    let (file, temporary) = created.map_err(|error| PathError::making(path, error))?;
    Ok(rename_or_remove(fill(file, old, contents), &temporary, path)?)
}

/// Returns whether the file at `path`, if there still is one, begins with these bytes.
fn begins_with(path: &Path, beginning: &[u8]) -> io::Result<bool> {
    let Some(file) = existing(open_regular(path, libc::O_NOFOLLOW))? else {
        return Ok(true);
    };
    let mut found = Vec::new();
    file.take(beginning.len() as u64).read_to_end(&mut found)?;
    Ok(found == beginning)
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
        let created = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
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
    let Some(found) = existing(fs::symlink_metadata(path))? else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(PathError::WrongType(found.file_type(), "socket"));
    }
    if found.uid() != Uid::effective().as_raw() {
        return Err(PathError::OtherUser(found.uid()));
    }
    // A blocking connect would wait while the queue of a listener is full.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(PathError::InUse),
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ENOENT) => Ok(remove(path)?),
            // The queue of the socket is full, or the socket is of another type.
            Some(libc::EAGAIN | libc::EPROTOTYPE) => Err(PathError::InUse),
            _ => Err(error.into()),
        },
    }
}

/// Returns the name of a file type.
fn kind(file: FileType) -> &'static str {
    let kinds = [
        (file.is_symlink(), "symbolic link"),
        (file.is_dir(), "directory"),
        (file.is_fifo(), "FIFO"),
        (file.is_char_device(), "character device"),
        (file.is_block_device(), "block device"),
        (file.is_socket(), "socket"),
    ];
    kinds.iter().find(|(is_kind, _)| *is_kind).map_or("regular file", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::{chown, symlink};
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
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<BTreeSet<String>>().into_iter().collect()
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
        let text = "the file is larger than 3 bytes, the limit for such a file";
        assert_eq!(strerror(&refused), text);
        assert!(too_large(4 << 10).to_string().contains(" 4 KiB,"));
        assert!(too_large(64 << 20).to_string().contains(" 64 MiB,"));
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
        assert!(save(&place.path("missing/state"), b"", 0o600, Durability::Process).is_err());
        assert!(save(&place.0, b"", 0o600, Durability::Process).is_err());
        assert_eq!(place.names(), ["state", "target"]);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(place.names(), ["target"]);
    }

    #[test]
    fn paths_of_another_type_are_left_as_they_are() {
        let place = Place::new("types");
        let others = others(&place);
        let _listener = UnixListener::bind(place.path("socket")).unwrap();
        let names = place.names();
        type Change = fn(&Path) -> Result<(), PathError>;
        let changes: [(Change, &str, &str, &str); 2] = [
            (|path| replace(path, b"new", b""), "regular file", "socket", "socket"),
            (remove_stale_socket, "socket", "file", "regular file"),
        ];
        for (change, wanted, name, words) in changes {
            for (path, words) in others.iter().chain([&(place.path(name), words)]) {
                let before = fs::symlink_metadata(path).unwrap();
                assert_eq!(
                    change(path).unwrap_err().to_string(),
                    format!(
                        "the path is a {words}, and only a {wanted} is replaced; name another path"
                    )
                );
                let after = fs::symlink_metadata(path).unwrap();
                assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
            }
        }
        assert_eq!(fs::read(place.path("file")).unwrap(), b"kept");
        assert_eq!(place.names(), names);
    }

    #[test]
    fn a_replaced_file_keeps_its_owner_and_permissions() {
        let place = Place::new("replace");
        let path = place.path("metrics.prom");
        replace(&path, b"first", b"").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        // Only root may give a file away; everybody else keeps his own.
        let given = chown(&path, Some(1), Some(2)).is_ok();
        fs::set_permissions(&path, Permissions::from_mode(0o4640)).unwrap();
        let first = fs::metadata(&path).unwrap();
        assert_eq!(given, (first.uid(), first.gid()) == (1, 2));
        replace(&path, b"second", b"first").unwrap();
        let second = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_ne!(second.ino(), first.ino(), "written in place");
        assert_eq!(second.mode() & 0o7777, 0o640);
        assert_eq!((second.uid(), second.gid()), (first.uid(), first.gid()));
        assert_eq!(place.names(), ["metrics.prom"]);
    }

    #[test]
    fn a_file_with_other_contents_stays() {
        let place = Place::new("others");
        let path = place.path("file");
        fs::write(&path, "kept").unwrap();
        for beginning in [&b"kex"[..], b"kept and more"] {
            let refused = replace(&path, b"new", beginning).unwrap_err();
            assert!(matches!(refused, PathError::OtherContents), "{refused:?}");
            assert_eq!(fs::read(&path).unwrap(), b"kept");
        }
        fs::write(&path, "").unwrap();
        replace(&path, b"kept", b"kex").unwrap();
        replace(&path, b"new", b"ke").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_temporary_file_replaces_no_existing_file() {
        let place = Place::new("temporary");
        fs::write(place.path("file"), "kept").unwrap();
        let taken = |number: u32| format!(".teamr-{}-{number}.new", std::process::id());
        symlink(place.path("file"), place.path(&taken(0))).unwrap();
        fs::write(place.path(&taken(1)), "kept too").unwrap();
        replace(&place.path("metrics.prom"), b"new", b"").unwrap();
        assert_eq!(fs::read(place.path("metrics.prom")).unwrap(), b"new");
        assert_eq!(fs::read(place.path("file")).unwrap(), b"kept");
        assert_eq!(fs::read(place.path(&taken(1))).unwrap(), b"kept too");
        assert_eq!(place.names(), [&taken(0), &taken(1), "file", "metrics.prom"]);
    }

    #[test]
    fn an_unusable_directory_is_named_in_the_error() {
        let place = Place::new("nowhere");
        let refused = replace(&place.path("missing/metrics.prom"), b"new", b"").unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "no file can be made in \"{}\" (No such file or directory); name a directory that \
                 can be written to",
                place.path("missing").display()
            )
        );
    }

    /// A served socket may have a full queue, or be of another type.
    #[test]
    fn only_an_unserved_socket_is_removed() {
        let place = Place::new("stale");
        let path = place.path("socket");
        remove_stale_socket(&path).unwrap();
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        // The first connection fills the queue.
        for _ in 0..2 {
            assert!(matches!(remove_stale_socket(&path), Err(PathError::InUse)));
        }
        let datagrams = place.path("datagrams");
        let _socket = UnixDatagram::bind(&datagrams).unwrap();
        assert!(matches!(remove_stale_socket(&datagrams), Err(PathError::InUse)));
        assert_eq!(place.names(), ["datagrams", "socket"]);
        drop(listener);
        remove_stale_socket(&path).unwrap();
        assert_eq!(place.names(), ["datagrams"]);
    }

    #[test]
    fn a_socket_of_another_user_stays() {
        let place = Place::new("foreign");
        let path = place.path("socket");
        drop(UnixListener::bind(&path).unwrap());
        // Only root may give a file away.
        if chown(&path, Some(1), None).is_err() {
            return;
        }
        assert_eq!(
            remove_stale_socket(&path).unwrap_err().to_string(),
            "the socket belongs to the user with the id 1; remove it, or name another path"
        );
        assert!(fs::symlink_metadata(&path).is_ok());
    }
}
