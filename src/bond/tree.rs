//! Texts by their path below a root directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read of a file; relevant files are smaller.
const LARGEST_FILE: u64 = 256 * 1024;
/// Files read of a folder; relevant folders have fewer.
const MOST_FILES: usize = 10_000;

/// Texts by path; paths are relative and have no `.` or `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Adds a text.
    pub fn insert(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.insert(path.into(), text.into());
    }

    /// Returns the text at `path`.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Returns the text at `path` without surrounding blanks; `None` if nothing remains.
    pub fn value(&self, path: &str) -> Option<&str> {
        self.get(path)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// Returns the names and texts of the files in `folder`, sorted by name.
    pub fn folder<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let prefix = format!("{folder}/");
        self.0
            .range(prefix.clone()..)
            .take_while({
                let prefix = prefix.clone();
                move |(path, _)| path.starts_with(&prefix)
            })
            .filter_map(move |(path, text)| Some((path.strip_prefix(&prefix)?, text.as_str())))
            .filter(|(name, _)| !name.contains('/'))
    }

    /// Adds the files of `folder` below `root`, if the folder exists. U+FFFD replaces bytes that are
    /// not UTF-8.
    ///
    /// # Errors
    /// Those of reading the folder or a file.
    pub fn load(&mut self, root: &Path, folder: &str) -> io::Result<()> {
        let entries = match fs::read_dir(root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries.take(MOST_FILES) {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let Some(name) = name.to_str() else { continue };
            if path.is_file() {
                self.load_file(&path, format!("{folder}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Adds one file below `root`, if it exists.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn load_one(&mut self, root: &Path, path: &str) -> io::Result<()> {
        self.load_file(&root.join(path), path.to_owned())
    }

    /// Adds the last component of the target of the symbolic link `path` below `root`.
    pub fn load_link(&mut self, root: &Path, path: &str) {
        let target = fs::read_link(root.join(path)).ok();
        let name = target.as_deref().and_then(Path::file_name);
        if let Some(name) = name.and_then(|name| name.to_str()) {
            self.insert(path, name);
        }
    }

    fn load_file(&mut self, file: &Path, path: String) -> io::Result<()> {
        let mut bytes = Vec::new();
        let read =
            fs::File::open(file).and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut bytes));
        match read {
            Ok(_) => {
                self.insert(path, String::from_utf8_lossy(&bytes).into_owned());
                Ok(())
            }
            // sysfs returns EINVAL for an option that the mode of the bond does not have.
            Err(error) if is_absent(&error) || error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", file.display()),
            )),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
