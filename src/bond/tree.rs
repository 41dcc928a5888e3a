//! A few texts by their path, as found below some root.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// No file of interest is larger.
const LARGEST_FILE: u64 = 256 * 1024;
/// No folder of interest has more files.
const MOST_FILES: usize = 10_000;

/// Texts by path; paths are relative and have no `.` or `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Adds a text.
    pub fn insert(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.insert(path.into(), text.into());
    }

    /// The text at `path`.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// The same without blanks around it; none if that is empty.
    pub fn value(&self, path: &str) -> Option<&str> {
        self.get(path)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// Bare names and texts of the files in `folder`, by name.
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

    /// Reads the files of `folder` below `root`; without such a folder there are none. Text that
    /// is not UTF-8 is read with marks in its place.
    ///
    /// # Errors
    /// A folder or file that may not be read.
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

    /// Reads one file below `root`, if it is there.
    ///
    /// # Errors
    /// A file that may not be read.
    pub fn load_one(&mut self, root: &Path, path: &str) -> io::Result<()> {
        self.load_file(&root.join(path), path.to_owned())
    }

    /// Notes where the link `path` below `root` leads: the last part of its target.
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
            // Files of sysfs that make no sense in a mode answer with an error of their own.
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
