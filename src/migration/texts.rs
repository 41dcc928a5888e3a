//! The text files of a host, below a root.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// Bytes of the longest file that is read.
const LONGEST: u64 = 1 << 20;

/// A text with its absolute path on the host.
pub type Text = (PathBuf, String);

/// Returns the texts of the regular files in `folder` whose names `is_wanted` accepts, sorted by name;
/// nothing without the folder.
///
/// # Errors
/// The folder or a file cannot be read, or a file is not UTF-8.
pub fn folder(
    root: &Path,
    folder: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Text>, String> {
    let failed = |error: &io::Error| format!("Failed to read /{folder}: {error}.");
    let entries = match fs::read_dir(root.join(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(&error))?,
    };
    let mut texts = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(&error))?;
        let path = entry.path();
        if is_wanted(&entry.file_name().to_string_lossy()) && path.is_file() {
            texts.push(text(root, &path)?);
        }
    }
    texts.sort_unstable();
    Ok(texts)
}

/// Returns the text of the file at `path`, which is below `root`.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub fn text(root: &Path, path: &Path) -> Result<Text, String> {
    let bytes = files::read_named(path, LONGEST);
    let bytes = bytes.map_err(|error| format!("Failed to read {}: {error}.", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8.", path.display()))?;
    Ok((Path::new("/").join(path.strip_prefix(root).unwrap_or(path)), text))
}
