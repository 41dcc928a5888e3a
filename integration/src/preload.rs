//! A library that stands between a daemon and the C library, and the words by which a test directs
//! it while the daemon runs.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::repository;
use crate::lab::Lab;

/// The environment variable that tells the library the file of the words.
const PLAN: &str = "PRELOAD_PLAN";
/// Bytes of a word.
const WORD: u64 = 8;

/// A library and its file of 64-bit words, which the library maps into its memory.
pub struct Preload {
    library: PathBuf,
    plan: PathBuf,
    words: File,
}

impl Preload {
    /// Compiles `source`, a path in this package, and makes a file of words that are 0.
    pub fn new(lab: &Lab, source: &str, words: usize) -> Preload {
        let source = repository().join("integration").join(source);
        let stem = source.file_stem().map(Path::new).expect("a file");
        let [library, plan] =
            ["so", "plan"].map(|extension| lab.folder().join(stem.with_extension(extension)));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
        let status = cc.arg(&library).arg(&source).args(["-ldl", "-lpthread"]).status();
        assert!(status.is_ok_and(|it| it.success()), "cc cannot compile {}", source.display());
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&plan).expect("a new file");
        file.set_len(WORD * words as u64).expect("size the file");
        Preload { library, plan, words: file }
    }

    /// Preloads the library into a program.
    pub fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env(PLAN, &self.plan);
    }

    /// Writes a word.
    pub fn set(&self, place: usize, word: i64) {
        let at = WORD * place as u64;
        self.words.write_all_at(&word.to_ne_bytes(), at).expect("write a word");
    }

    /// Reads a word.
    pub fn get(&self, place: usize) -> i64 {
        let mut bytes = [0; WORD as usize];
        self.words.read_exact_at(&mut bytes, WORD * place as u64).expect("read a word");
        i64::from_ne_bytes(bytes)
    }
}
