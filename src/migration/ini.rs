//! Lines of a text with sections, as systemd-networkd and NetworkManager have them.

/// An assignment of a text.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Number of the line, from 0.
    pub line: usize,
    /// Name of the section.
    pub section: &'a str,
    /// Key.
    pub key: &'a str,
    /// Value.
    pub value: &'a str,
}

/// Returns the section that a line begins.
pub fn section(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.strip_suffix(']')
}

/// Returns the assignments of a text.
pub fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut current = "";
    text.lines().enumerate().filter_map(move |(number, line)| {
        current = section(line).unwrap_or(current);
        let line = line.trim();
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
        Some(Entry { line: number, section: current, key: key.trim(), value: value.trim() })
    })
}

/// Returns the last value of a key, which alone counts.
pub fn get<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let found = entries(text).filter(|found| found.section == section && found.key == key);
    found.last().map(|it| it.value)
}

/// Returns whether a key has a value that `is` accepts.
pub fn has(text: &str, section: &str, key: &str, is: impl Fn(&str) -> bool) -> bool {
    entries(text).any(|found| found.section == section && found.key == key && is(found.value))
}
