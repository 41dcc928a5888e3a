//! Files below a root directory. A symbolic link with an absolute target, or one that leads upwards,
//! stays below the root, as after chroot(2).
//!
//! Standard: openat2(2), `RESOLVE_IN_ROOT`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2, readlinkat};
use nix::sys::stat::Mode;

use crate::files;

/// Bytes of the largest file that is read; relevant files are smaller.
const LARGEST_FILE: u64 = 256 * 1024;
/// Entries of the largest folder that is read; relevant folders have fewer.
const MOST_ENTRIES: usize = 10_000;

/// A root directory.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens the directory `path`.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = open(path, flags, Mode::empty()).map_err(|errno| named(path, errno))?;
        Ok(Root { directory: opened, path: path.to_owned() })
    }

    /// Returns whether the root is that of this host.
    pub fn is_of_host(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Returns the names in `folder`, sorted; none if there is no such folder.
    ///
    /// # Errors
    /// The folder exists and cannot be read, or has too many entries.
    pub fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let failed = |errno| named(&self.path.join(folder), errno);
        let Some(found) = self.below(folder, OFlag::O_RDONLY | OFlag::O_DIRECTORY)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in Dir::from_fd(found).map_err(failed)?.iter() {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if names.len() == MOST_ENTRIES {
                return Err(io::Error::other(format!(
                    "{}: more than {MOST_ENTRIES} entries",
                    self.path.join(folder).display()
                )));
            }
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Returns the text of a file, where U+FFFD replaces bytes that are not UTF-8; `None` without such
    /// a file, or if it is no regular one.
    ///
    /// # Errors
    /// The file exists and cannot be read, or is too large.
    pub fn text(&self, path: &str) -> io::Result<Option<String>> {
        // Without O_NONBLOCK, the open of a FIFO waits for a writer.
        let Some(found) = self.below(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)? else {
            return Ok(None);
        };
        let file = File::from(found);
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        match file.take(LARGEST_FILE + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > LARGEST_FILE => Err(io::Error::other(format!(
                "{}: {}",
                self.path.join(path).display(),
                files::too_large(LARGEST_FILE)
            ))),
            Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            // sysfs returns EINVAL for an option that the mode of the bond does not have, and ENODEV
            // for an interface that has just gone.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV)) => {
                Ok(None)
            }
            Err(error) => {
                let text = format!("{}: {error}", self.path.join(path).display());
                Err(io::Error::new(error.kind(), text))
            }
        }
    }

    /// Returns the last component of the target of the symbolic link `path`.
    pub fn link_target(&self, path: &str) -> Option<String> {
        let link = self.below(path, OFlag::O_PATH | OFlag::O_NOFOLLOW).ok()??;
        let target = PathBuf::from(readlinkat(&link, "").ok()?);
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// Opens `path`; `None` if it does not exist.
    fn below(&self, path: &str, flags: OFlag) -> io::Result<Option<OwnedFd>> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        loop {
            return match openat2(&self.directory, path, how) {
                Ok(found) => Ok(Some(found)),
                // The kernel could not rule out a change of the path meanwhile.
                Err(Errno::EAGAIN) => continue,
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => Ok(None),
                Err(errno) => Err(named(&self.path.join(path), errno)),
            };
        }
    }
}

fn named(path: &Path, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_below_the_root() {
        let folder = std::env::temp_dir().join(format!("teamr-root-{}", std::process::id()));
        let inside = folder.join("inside");
        fs::create_dir_all(inside.join("etc")).unwrap();
        fs::write(folder.join("secret"), "outside").unwrap();
        fs::write(inside.join("etc/real"), "inside").unwrap();
        symlink("../../secret", inside.join("etc/up")).unwrap();
        symlink(folder.join("secret"), inside.join("etc/absolute")).unwrap();
        symlink("/etc/real", inside.join("etc/rooted")).unwrap();
        symlink("loop", inside.join("etc/loop")).unwrap();
        symlink("/", inside.join("etc/all")).unwrap();
        let root = Root::open(&inside).unwrap();
        let text = |path: &str| root.text(path).unwrap();
        assert_eq!(text("etc/rooted").as_deref(), Some("inside"));
        for path in ["etc/up", "etc/absolute", "etc/loop", "etc", "../secret", "etc/all/secret"] {
            assert_eq!(text(path), None, "{path}");
        }
        assert_eq!(root.link_target("etc/rooted").as_deref(), Some("real"));
        assert_eq!(root.names("etc").unwrap().len(), 6);
        assert_eq!(root.names("none").unwrap(), [""; 0]);
        fs::write(inside.join("etc/large"), vec![b' '; LARGEST_FILE as usize + 1]).unwrap();
        assert!(root.text("etc/large").unwrap_err().to_string().contains("larger than"));
        fs::remove_dir_all(folder).unwrap();
    }
}
