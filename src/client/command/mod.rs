//! The commands and how words select one.
//!
//! Owns teamdctl's matching: a typed word selects the first word of its level that begins with
//! it. A command is selected as soon as no more words are left than the command has parameters;
//! before that, the next typed word selects a word below.

mod grammar;

use std::fmt::{self, Write};
use std::mem;

use super::called_as::CalledAs;
use grammar::{ADDED, Node, TEAMDCTL};

/// A command with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `config dump`
    ConfigDump,
    /// `config dump noports`
    ConfigDumpNoPorts,
    /// `config dump actual`
    ConfigDumpActual,
    /// `state`, `state view`
    StateView,
    /// `state dump`
    StateDump,
    /// `state item get ITEMPATH`
    StateItemGet(String),
    /// `state item set ITEMPATH VALUE`
    StateItemSet(String, String),
    /// `port add PORTDEV`
    PortAdd(String),
    /// `port remove PORTDEV`
    PortRemove(String),
    /// `port present PORTDEV`
    PortPresent(String),
    /// `port config update PORTDEV PORTCONFIG`
    PortConfigUpdate(String, String),
    /// `port config dump PORTDEV`
    PortConfigDump(String),
    /// `record dump`
    RecordDump,
    /// `record pcap FILE`
    RecordPcap(String),
    /// `doctor`
    Doctor,
    /// `watch`
    Watch,
    /// `metrics`
    Metrics,
    /// `metrics file FILE`
    MetricsFile(String),
    /// `metrics serve ADDRESS`
    MetricsServe(String),
    /// `schema state`
    SchemaState,
}

impl Command {
    /// Returns whether the command reads a team as a whole and may therefore run for several.
    pub fn suits_several_teams(&self) -> bool {
        matches!(
            self,
            Command::ConfigDump
                | Command::ConfigDumpNoPorts
                | Command::ConfigDumpActual
                | Command::StateView
                | Command::StateDump
                | Command::StateItemGet(_)
        )
    }
}

/// Writes the words in full.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::ConfigDump => f.write_str("config dump"),
            Command::ConfigDumpNoPorts => f.write_str("config dump noports"),
            Command::ConfigDumpActual => f.write_str("config dump actual"),
            Command::StateView => f.write_str("state"),
            Command::StateDump => f.write_str("state dump"),
            Command::StateItemGet(path) => write!(f, "state item get {path}"),
            Command::StateItemSet(path, value) => write!(f, "state item set {path} {value}"),
            Command::PortAdd(port) => write!(f, "port add {port}"),
            Command::PortRemove(port) => write!(f, "port remove {port}"),
            Command::PortPresent(port) => write!(f, "port present {port}"),
            Command::PortConfigUpdate(port, _) => write!(f, "port config update {port}"),
            Command::PortConfigDump(port) => write!(f, "port config dump {port}"),
            Command::RecordDump => f.write_str("record dump"),
            Command::RecordPcap(file) => write!(f, "record pcap {file}"),
            Command::Doctor => f.write_str("doctor"),
            Command::Watch => f.write_str("watch"),
            Command::Metrics => f.write_str("metrics"),
            Command::MetricsFile(file) => write!(f, "metrics file {file}"),
            Command::MetricsServe(address) => write!(f, "metrics serve {address}"),
            Command::SchemaState => f.write_str("schema state"),
        }
    }
}

/// The words select no command; displays as teamdctl does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrammarError {
    /// Too few words.
    Incomplete,
    /// A word that selects nothing.
    Unknown(String),
    /// A parameter is missing.
    Expected(&'static str),
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrammarError::Incomplete => f.write_str("None or incomplete command"),
            GrammarError::Unknown(word) => write!(f, "Unknown command \"{word}\"."),
            GrammarError::Expected(name) => {
                write!(f, "Command line parameter \"{name}\" expected.")
            }
        }
    }
}

impl std::error::Error for GrammarError {}

/// The commands of [`bond`](crate::bond::cli), which have options of their own.
const BOND_COMMANDS: &str = "  import BOND\n  export FILE\n";

fn added(called_as: CalledAs) -> &'static [Node] {
    match called_as {
        CalledAs::Teamdctl => &[],
        CalledAs::Teamrctl => &ADDED,
    }
}

/// Returns the command that the words select.
pub fn parse(words: &[String], called_as: CalledAs) -> Result<Command, GrammarError> {
    let mut level: &[Node] = &TEAMDCTL;
    let mut added = added(called_as);
    let mut words = words;
    while let [word, rest @ ..] = words {
        let node = level
            .iter()
            .chain(mem::take(&mut added))
            .find(|node| node.word.starts_with(word.as_str()))
            .ok_or_else(|| GrammarError::Unknown(word.clone()))?;
        match &node.command {
            Some(command) if rest.len() <= command.params.len() => {
                return match command.params.get(rest.len()) {
                    None => Ok((command.make)(rest)),
                    Some(missing) => Err(GrammarError::Expected(missing)),
                };
            }
            _ => (level, words) = (node.below, rest),
        }
    }
    Err(GrammarError::Incomplete)
}

/// Returns one line for each command, for the help.
pub fn describe(called_as: CalledAs) -> String {
    fn add(text: &mut String, before: &str, nodes: &[Node]) {
        for node in nodes {
            let words = format!("{before} {}", node.word);
            if let Some(command) = &node.command {
                let _ = write!(text, " {words}");
                for param in command.params {
                    let _ = write!(text, " {param}");
                }
                text.push('\n');
            }
            add(text, &words, node.below);
        }
    }
    let mut text = String::new();
    add(&mut text, "", &TEAMDCTL);
    add(&mut text, "", added(called_as));
    if called_as == CalledAs::Teamrctl {
        text += BOND_COMMANDS;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Command, GrammarError> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        super::parse(&words, CalledAs::Teamrctl)
    }

    #[test]
    fn a_beginning_selects_the_first_word_that_has_it() {
        for (words, command) in [
            ("config dump", Command::ConfigDump),
            ("c d n", Command::ConfigDumpNoPorts),
            ("co du a", Command::ConfigDumpActual),
            ("s", Command::StateView),
            ("s v", Command::StateView),
            // An empty word selects the first of the level.
            ("s ", Command::StateDump),
            (" ", Command::ConfigDump),
            ("s i g a.b", Command::StateItemGet("a.b".into())),
            (
                "s i s a.b 1",
                Command::StateItemSet("a.b".into(), "1".into()),
            ),
            ("p  p0", Command::PortAdd("p0".into())),
            ("p r p0", Command::PortRemove("p0".into())),
            ("p p p0", Command::PortPresent("p0".into())),
            (
                "p c  p0 {}",
                Command::PortConfigUpdate("p0".into(), "{}".into()),
            ),
            ("p c d p0", Command::PortConfigDump("p0".into())),
            ("record p f", Command::RecordPcap("f".into())),
            ("sc s", Command::SchemaState),
        ] {
            assert_eq!(parse(words), Ok(command), "{words:?}");
        }
    }

    #[test]
    fn teamdctl_lacks_the_added_commands() {
        let words = ["record".to_owned(), "dump".to_owned()];
        let unknown = GrammarError::Unknown("record".into());
        assert_eq!(super::parse(&words, CalledAs::Teamdctl), Err(unknown));
        assert_eq!(
            super::parse(&words, CalledAs::Teamrctl),
            Ok(Command::RecordDump)
        );
    }

    #[test]
    fn grammar_errors_have_teamdctls_text() {
        for (words, text) in [
            ("config", "None or incomplete command"),
            ("state item", "None or incomplete command"),
            ("stats", "Unknown command \"stats\"."),
            ("state stats", "Unknown command \"stats\"."),
            ("port add a b", "Unknown command \"a\"."),
            ("config dump actual more", "Unknown command \"more\"."),
            ("port add", "Command line parameter \"PORTDEV\" expected."),
            (
                "port config update p0",
                "Command line parameter \"PORTCONFIG\" expected.",
            ),
        ] {
            let error = parse(words).unwrap_err();
            assert_eq!(error.to_string(), text, "{words:?}");
        }
        assert_eq!(
            super::parse(&[], CalledAs::Teamdctl),
            Err(GrammarError::Incomplete)
        );
    }

    #[test]
    fn the_help_lists_each_command() {
        assert_eq!(describe(CalledAs::Teamdctl).lines().count(), 13);
        let text = describe(CalledAs::Teamrctl);
        assert_eq!(text.lines().count(), 23);
        assert!(text.contains("  port config update PORTDEV PORTCONFIG\n"));
    }
}
