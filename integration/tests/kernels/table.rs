//! The table of kernels in the documentation.
//!
//! A line belongs to a kernel and a data path. A run compares, or writes, only the lines of its
//! kernel.

use std::{env, fs};

use integration::kernel::version;
use integration::{DataPath, repository};

const FILE: &str = "docs/kernels.md";
/// The line above the lines of the kernels.
const RULE: &str = "|---";

/// The lines of one kernel.
pub struct Lines {
    release: String,
    version: String,
    text: String,
}

impl Lines {
    /// Starts the lines of the kernel `release`, such as `6.12.95`.
    pub fn new(release: &str) -> Lines {
        let version = version(release).map(|number| number.to_string()).join(".");
        Lines { release: release.to_owned(), version, text: String::new() }
    }

    /// Adds the line of a data path: the kind of its team device, what each runner does there, and what
    /// the kernel refuses.
    pub fn add(
        &mut self,
        data_path: DataPath,
        device: &str,
        cells: &[String],
        refused: Option<&str>,
    ) {
        let refused = refused.unwrap_or_default().replace(&self.release, &self.version);
        let cells = cells.join(" | ");
        self.text += &format!(
            "| {} | {} | {device} | {cells} | {refused} |\n",
            self.version,
            data_path.name()
        );
    }

    /// Returns the text of all lines.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Returns the kernel of a line, as comparable numbers; `None` for a line that is not of a kernel.
fn kernel(line: &str) -> Option<[u32; 2]> {
    let (major, minor) = line.strip_prefix("| ")?.split_once(" |")?.0.split_once('.')?;
    Some([major.parse().ok()?, minor.parse().ok()?])
}

/// Compares the lines of one kernel with those of the documentation, or writes them there. A kernel
/// that the documentation lacks must refuse nothing.
pub fn compare(lines: &str) {
    print!("{lines}");
    let path = repository().join(FILE);
    let document = fs::read_to_string(&path).expect(FILE);
    let run = lines.lines().next().and_then(kernel).expect("lines of a kernel");
    if env::var_os("TEAMR_REWRITE").is_some() {
        return fs::write(&path, replaced(&document, run, lines)).expect("write the table");
    }
    let written: String =
        document.split_inclusive('\n').filter(|line| kernel(line) == Some(run)).collect();
    match written.is_empty() {
        true => assert!(!lines.contains("| no |"), "a kernel that {FILE} lacks refuses this"),
        false => assert_eq!(lines, written, "{FILE} is not current; TEAMR_REWRITE=1 writes it"),
    }
}

/// Returns the document with `lines` as the only lines of the kernel `run`, in the order of kernels.
fn replaced(document: &str, run: [u32; 2], lines: &str) -> String {
    let kept = document.split_inclusive('\n').filter(|line| kernel(line) != Some(run));
    let is_before =
        |line: &&str| line.starts_with(RULE) || kernel(line).is_some_and(|other| other < run);
    let kept: Vec<&str> = kept.collect();
    let last = kept.iter().rposition(is_before).expect("a table of kernels");
    let (before, after) = kept.split_at(last + 1);
    before.concat() + lines + &after.concat()
}
