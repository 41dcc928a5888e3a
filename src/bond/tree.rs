//! Texts by their path below a root directory.

use std::collections::BTreeMap;
use std::io;

use super::root::Root;

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
        self.get(path).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Returns the names and texts of the files in `folder`, sorted by name.
    pub fn folder<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.below(folder).filter(|(name, _)| !name.contains('/'))
    }

    /// Returns the paths, relative to `folder`, and texts of all files below `folder`, sorted.
    pub fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let prefix = format!("{folder}/");
        self.0
            .range(prefix.clone()..)
            .map_while(move |(path, text)| Some((path.strip_prefix(&prefix)?, text.as_str())))
    }

    /// Adds the files of `folder` below `root`, if the folder exists.
    ///
    /// # Errors
    /// When the folder or a file exists and cannot be read.
    pub fn load(&mut self, root: &Root, folder: &str) -> io::Result<()> {
        for name in root.names(folder)? {
            self.load_one(root, &format!("{folder}/{name}"))?;
        }
        Ok(())
    }

    /// Adds the files of `folder` and of its folders, whose names end in `.d`.
    ///
    /// # Errors
    /// When a folder or a file exists and cannot be read.
    pub fn load_with_drop_ins(&mut self, root: &Root, folder: &str) -> io::Result<()> {
        self.load(root, folder)?;
        for name in root.names(folder)?.iter().filter(|name| name.ends_with(".d")) {
            self.load(root, &format!("{folder}/{name}"))?;
        }
        Ok(())
    }

    /// Adds one file below `root`, if it exists.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn load_one(&mut self, root: &Root, path: &str) -> io::Result<()> {
        if let Some(text) = root.text(path)? {
            self.insert(path, text);
        }
        Ok(())
    }

    /// Adds the last component of the target of the symbolic link `path` below `root`.
    pub fn load_link(&mut self, root: &Root, path: &str) {
        if let Some(name) = root.link_target(path) {
            self.insert(path, name);
        }
    }
}
