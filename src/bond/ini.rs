//! Files of sections, keys and values: NetworkManager's keyfiles and systemd's units.

use std::collections::BTreeMap;

use super::manager::Manager;
use super::model::Setting;

/// The settings of a file, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ini(Vec<Entry>);

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Section.
    pub section: String,
    /// Number of the section among those of the same name, from 0.
    pub occurrence: usize,
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

impl Entry {
    /// Returns the entry as a setting that only `manager` understands.
    pub fn of(&self, manager: Manager) -> Setting {
        Setting {
            manager,
            section: self.section.clone(),
            occurrence: self.occurrence,
            key: self.key.clone(),
            value: self.value.clone(),
        }
    }
}

impl Ini {
    /// Parses a text. A line that ends in `\` continues on the next line, as in systemd's files;
    /// invalid lines are ignored.
    pub fn parse(text: &str) -> Ini {
        let mut entries = Vec::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let (mut section, mut occurrence) = (String::new(), 0);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.starts_with(['#', ';']) {
                continue;
            }
            while let Some(more) = line.strip_suffix('\\') {
                line = format!("{more} {}", lines.next().unwrap_or_default().trim());
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.to_owned();
                let count = seen.entry(section.clone()).or_default();
                occurrence = *count;
                *count += 1;
            } else if let Some((key, value)) = line.split_once('=') {
                entries.push(Entry {
                    section: section.clone(),
                    occurrence,
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                });
            }
        }
        Ini(entries)
    }

    /// Returns the last value of a key.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let mut found = self.0.iter().rev();
        let entry = found.find(|entry| entry.section == section && entry.key == key)?;
        Some(&entry.value)
    }

    /// Returns all entries, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}

/// Name and number of a section, with its keys and values.
type Section = ((String, usize), Vec<(String, String)>);

/// Builds a text of sections.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<Section>);

impl Writer {
    /// Adds a setting to the first section with this name.
    pub fn put(&mut self, section: &str, key: &str, value: impl ToString) {
        self.put_at(section, 0, key, value.to_string());
    }

    /// Adds the settings that only `manager` understands to their former sections.
    pub fn put_settings_of(&mut self, other_settings: &[Setting], manager: Manager) {
        for setting in other_settings
            .iter()
            .filter(|setting| setting.manager == manager)
        {
            let value = setting.value.clone();
            self.put_at(&setting.section, setting.occurrence, &setting.key, value);
        }
    }

    fn put_at(&mut self, section: &str, occurrence: usize, key: &str, value: String) {
        let entry = (key.to_owned(), value);
        let place = (section.to_owned(), occurrence);
        match self.0.iter_mut().find(|(found, _)| *found == place) {
            Some((_, settings)) => settings.push(entry),
            None => self.0.push((place, vec![entry])),
        }
    }

    /// Returns the text.
    pub fn finish(&self) -> String {
        let sections = self.0.iter().map(|((name, _), settings)| {
            let lines: String = settings
                .iter()
                .map(|(key, value)| format!("{key}={value}\n"))
                .collect();
            format!("[{name}]\n{lines}")
        });
        sections.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_repeat_and_lines_continue() {
        let ini = Ini::parse("# c\n[A]\nx=1\nx = 2 \\\n 3\n; c\n[B]\ny=\n[A]\nx=4\njunk\n");
        let values: Vec<(usize, &str)> = ini
            .entries()
            .iter()
            .map(|entry| (entry.occurrence, entry.value.as_str()))
            .collect();
        assert_eq!(values, [(0, "1"), (0, "2  3"), (0, ""), (1, "4")]);
        assert_eq!(ini.get("B", "y"), Some(""));
        assert_eq!(ini.get("B", "x"), None);
    }

    #[test]
    fn a_continuation_at_the_end_of_the_text_is_harmless() {
        assert_eq!(Ini::parse("[A]\nx=1\\").get("A", "x"), Some("1"));
    }
}
