//! Files of keys and values: NetworkManager's keyfiles and systemd's units with sections, ifcfg files
//! without.

use std::collections::BTreeMap;

use super::manager::Manager;
use super::model::Notes;
use super::options::{Kind, ROWS, Row};
use super::settings::{File, Setting};
use super::shell::{Statement, expanded, quoted, statements};

/// Sections of systemd's files of which each occurrence is an object of its own. Other sections of
/// the same name are one section.
const REPEATABLE: [&str; 14] = [
    "Address",
    "Route",
    "RoutingPolicyRule",
    "Neighbor",
    "NextHop",
    "IPv6AddressLabel",
    "IPv6Prefix",
    "IPv6RoutePrefix",
    "DHCPServerStaticLease",
    "BridgeVLAN",
    "BridgeFDB",
    "BridgeMDB",
    "SR-IOV",
    "X-Teamr",
];
/// Sections and keys of systemd-networkd that have one value, besides the options of a bond.
const SCALARS: [(&str, &str); 11] = [
    ("NetDev", "Name"),
    ("NetDev", "Kind"),
    ("NetDev", "MACAddress"),
    ("NetDev", "MTUBytes"),
    ("Network", "Bond"),
    ("Network", "Bridge"),
    ("Network", "DHCP"),
    ("Network", "IPv6AcceptRA"),
    ("Network", "PrimarySlave"),
    ("Link", "MTUBytes"),
    ("Link", "MACAddress"),
];

/// Returns whether the last value of a key replaces the earlier ones: systemd.network(5), and
/// GKeyFile of GLib, which has no lists of several lines.
fn is_scalar(manager: Manager, section: &str, key: &str) -> bool {
    let is_option =
        |row: &Row| row.networkd == Some(key) && !matches!(row.kind, Kind::Addresses(_));
    match manager {
        Manager::Networkd if section == "Bond" => ROWS.iter().any(is_option),
        Manager::Networkd => SCALARS.contains(&(section, key)),
        _ => true,
    }
}

/// Parses a file of `manager` with sections.
pub fn parse(manager: Manager, path: &str, text: &str) -> File {
    let mut file = File::new(path);
    extend(&mut file, manager, text);
    file
}

/// Adds the settings of a text, such as a drop-in, to the file. In systemd's files, a line that
/// ends in `\` continues on the next line, and an empty value takes the earlier values of a key
/// away.
pub fn extend(file: &mut File, manager: Manager, text: &str) {
    let is_systemd = manager == Manager::Networkd;
    // systemd skips a byte order mark; GKeyFile refuses the file.
    let text = text.strip_prefix('\u{feff}').filter(|_| is_systemd).unwrap_or(text);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for Setting { section, occurrence, .. } in file.settings() {
        let next = seen.entry(section.clone()).or_default();
        *next = (*next).max(occurrence + 1);
    }
    let (mut section, mut occurrence) = (String::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim().to_owned();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        while is_systemd && line.ends_with('\\') {
            line.pop();
            line.push(' ');
            line.push_str(lines.next().unwrap_or_default().trim());
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
            occurrence = 0;
            if is_systemd && REPEATABLE.contains(&name) {
                let next = seen.entry(section.clone()).or_default();
                occurrence = *next;
                *next += 1;
            }
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !section.is_empty()) {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            if value.is_empty() && is_systemd {
                file.clear(&section, occurrence, &key);
                continue;
            }
            let is_scalar = is_scalar(manager, &section, &key);
            let setting = Setting { manager, section: section.clone(), occurrence, key, value };
            match is_scalar {
                true => file.replace(setting),
                false => file.push(setting),
            }
        } else {
            file.push_unread(&line);
        }
    }
}

/// Parses the assignments of an ifcfg file. The last assignment of a variable counts; the section
/// is empty. Only the initscripts give the file to a shell, which expands variables.
pub fn parse_ifcfg(manager: Manager, path: &str, text: &str) -> File {
    let mut file = File::new(path);
    let statements = match manager {
        Manager::Ifcfg => expanded(text),
        _ => statements(text),
    };
    for statement in statements {
        match statement {
            Statement::Assignment(key, value) => {
                file.replace(Setting {
                    manager,
                    section: String::new(),
                    occurrence: 0,
                    key,
                    value,
                });
            }
            Statement::Other(text) => file.push_unread(&text),
        }
    }
    file
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

    /// Adds a setting that may be absent to the first section with this name.
    pub fn put_some(&mut self, section: &str, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.put(section, key, value);
        }
    }

    /// Adds the settings that `manager` understands to their former sections, and a note for each
    /// other setting. A key with one value takes the value of the setting.
    pub fn copy(&mut self, settings: &[Setting], manager: Manager, notes: &mut Notes) {
        for setting in settings.iter().filter(|setting| setting.manager == manager) {
            let value = setting.value.clone();
            if is_scalar(manager, &setting.section, &setting.key) {
                self.remove(setting);
            }
            self.put_at(&setting.section, setting.occurrence, &setting.key, value);
        }
        notes.lose_foreign(settings, Some(manager));
    }

    /// Removes all values of the key of a setting from its section.
    fn remove(&mut self, setting: &Setting) {
        let own = self.0.iter_mut().filter(|((section, occurrence), _)| {
            (section, *occurrence) == (&setting.section, setting.occurrence)
        });
        own.for_each(|(_, settings)| settings.retain(|(key, _)| *key != setting.key));
    }

    fn put_at(&mut self, section: &str, occurrence: usize, key: &str, value: String) {
        let entry = (key.to_owned(), value);
        let place = (section.to_owned(), occurrence);
        match self.0.iter_mut().find(|(found, _)| *found == place) {
            Some((_, settings)) => settings.push(entry),
            None => self.0.push((place, vec![entry])),
        }
    }

    /// Returns the text. Settings with an empty section are a shell's assignments.
    pub fn finish(&self) -> String {
        let sections = self.0.iter().map(|((name, _), settings)| {
            let lines = settings.iter();
            match name.is_empty() {
                true => lines.map(|(key, value)| format!("{key}={}\n", quoted(value))).collect(),
                false => lines.fold(format!("[{name}]\n"), |text, (key, value)| {
                    text + &format!("{key}={value}\n")
                }),
            }
        });
        sections.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::settings::Decision;

    /// Returns section, number and value of each setting.
    fn values(file: &File) -> Vec<(&str, usize, &str)> {
        let settings = file.settings().iter();
        settings.map(|found| (&*found.section, found.occurrence, &*found.value)).collect()
    }

    fn noted(file: &File) -> Vec<String> {
        let mut notes = Notes::default();
        file.decide_each(&mut notes, |_, _| Decision::Read);
        notes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sections_of_systemd_repeat_and_lines_continue() {
        let text =
            "# c\n[Route]\nx=1\nx = 2 \\\n 3\n; c\n[Route]\nx=4\n[Link]\ny=1\n[Link]\ny=2\njunk\n";
        let mut file = parse(Manager::Networkd, "f", text);
        extend(&mut file, Manager::Networkd, "[Route]\nx=5\n[Link]\ny=\ny=3\n");
        let expected = [
            ("Route", 0, "1"),
            ("Route", 0, "2  3"),
            ("Route", 1, "4"),
            ("Route", 2, "5"),
            ("Link", 0, "3"),
        ];
        assert_eq!(values(&file), expected);
        assert_eq!(file.get("Link", "x"), None);
        assert_eq!(noted(&file), ["lost: f: \"junk\": the line is no setting"]);
    }

    #[test]
    fn the_last_value_of_a_scalar_counts_and_the_others_are_named() {
        let text = "[bond]\nmode=1\n[ipv4]\nx=\n[bond]\nmode=4\nmiimon=1\nmiimon=1\npath=a\\\n";
        let file = parse(Manager::NetworkManager, "f", text);
        let expected = [("ipv4", 0, ""), ("bond", 0, "4"), ("bond", 0, "1"), ("bond", 0, "a\\")];
        assert_eq!(values(&file), expected);
        let note = |setting: &str| {
            format!(
                "approximated: f: {setting}: a later line has another value, which alone counts"
            )
        };
        assert_eq!(noted(&file), [note("[bond] mode=1")]);

        let text = "[Bond]\nMode=1\nMode=4\nARPIPTargets=192.0.2.1\nARPIPTargets=192.0.2.2\n";
        let file = parse(Manager::Networkd, "f", text);
        let expected = [("Bond", 0, "4"), ("Bond", 0, "192.0.2.1"), ("Bond", 0, "192.0.2.2")];
        assert_eq!(values(&file), expected);
        assert_eq!(noted(&file), [note("[Bond] Mode=1")]);

        let file = parse_ifcfg(Manager::Ifcfg, "f", "MTU=1400\nMTU=9000\n");
        assert_eq!(values(&file), [("", 0, "9000")]);
        assert_eq!(noted(&file), [note("MTU=1400")]);
    }

    #[test]
    fn an_empty_assignment_takes_earlier_values_away() {
        let file = parse(Manager::Networkd, "f", "[A]\nx=1\nx=\nx=2\n");
        assert_eq!(file.all("A", "x").collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn a_continuation_at_the_end_of_the_text_is_harmless() {
        let file = parse(Manager::Networkd, "f", "[A]\nx=1\\");
        assert_eq!(file.get("A", "x"), Some("1"));
    }
}
