//! The commands and how words select one.
//!
//! Owns teamdctl's matching: a typed word selects the first word of its level that begins with
//! it. A command is selected as soon as no more words are left than the command has parameters;
//! before that, the next typed word selects a word below.

mod grammar;
mod help;

use std::fmt;

use json_config::nearest;

use super::called_as::CalledAs;
pub use grammar::Command;
use grammar::{COMMANDS, OF_TEAMDCTL, Row};
pub use help::help;

impl Command {
    /// Returns whether the command asks for the ports of frames.
    pub fn asks_for_ports(&self) -> bool {
        matches!(self, Command::HashFile(_) | Command::HashFlow(..) | Command::HashFlowOf(..))
    }

    /// Returns whether the command reads a team as a whole and may therefore run for several.
    pub fn suits_several_teams(&self) -> bool {
        matches!(
            self,
            Command::ConfigDump
                | Command::ConfigDumpNoPorts
                | Command::ConfigDumpActual
                | Command::State
                | Command::StateView
                | Command::StateDump
                | Command::StateItemGet(_)
                | Command::Get
                | Command::GetKey(_)
        )
    }
}

/// The words select no command; displays as teamdctl does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrammarError {
    /// Too few words.
    Incomplete,
    /// A word that selects nothing; the nearest known word, if one is near.
    Unknown(String, Option<&'static str>),
    /// A parameter is missing.
    Expected(&'static str),
    /// More words than the command has parameters.
    Surplus {
        /// First word that no command of teamdctl's grammar takes.
        word: String,
        /// First word beyond the parameters.
        surplus: String,
        /// Words and parameters of the command.
        usage: String,
    },
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrammarError::Incomplete => f.write_str("None or incomplete command"),
            GrammarError::Unknown(word, _) | GrammarError::Surplus { word, .. } => {
                write!(f, "Unknown command \"{word}\".")
            }
            GrammarError::Expected(name) => {
                write!(f, "Command line parameter \"{name}\" expected.")
            }
        }
    }
}

impl std::error::Error for GrammarError {}

/// The commands of [`bond`](crate::bond::cli), which have options of their own.
const BOND_COMMANDS: &str = "  import BOND\n  export FILE\n";

fn commands(called_as: CalledAs) -> &'static [Row] {
    match called_as {
        CalledAs::Teamdctl => &COMMANDS[..OF_TEAMDCTL],
        CalledAs::Teamrctl => COMMANDS,
    }
}

/// Returns the command that the words select.
pub fn parse(words: &[String], called_as: CalledAs) -> Result<Command, GrammarError> {
    let mut rows: Vec<&Row> = commands(called_as).iter().collect();
    for (level, typed) in words.iter().enumerate() {
        let known: Vec<&str> = rows.iter().filter_map(|row| row.word(level)).collect();
        let selected = known.iter().copied().find(|word| word.starts_with(typed.as_str()));
        let Some(selected) = selected else {
            let surplus = surplus(&rows, &words[level..]);
            let unknown = || GrammarError::Unknown(typed.clone(), nearest(typed, &known));
            return Err(surplus.filter(|_| known.is_empty()).unwrap_or_else(unknown));
        };
        rows.retain(|row| row.word(level) == Some(selected));
        let rest = &words[level + 1..];
        let complete = || rows.iter().filter(|row| row.word(level + 1).is_none());
        // Two commands with the same words differ in the number of parameters.
        let exact = complete().find(|row| row.params.len() == rest.len());
        let complete = exact.or_else(|| complete().next());
        let suits = |row: &&&Row| rest.len() <= row.params.len() || row.takes_rest();
        if let Some(row) = complete.filter(suits) {
            return match row.params.get(rest.len()) {
                None if row.takes_rest() => Ok((row.make)(&[rest.join(" ")])),
                None => Ok((row.make)(rest)),
                Some(missing) => Err(GrammarError::Expected(missing)),
            };
        }
    }
    Err(GrammarError::Incomplete)
}

/// Returns an error that names the first word beyond the parameters of a command. `rows` are the rows of
/// this command; the row with the most parameters counts. Returns `None` if there is no such word or row.
fn surplus(rows: &[&Row], rest: &[String]) -> Option<GrammarError> {
    let row = rows.iter().max_by_key(|row| row.params.len())?;
    let surplus = rest.get(row.params.len())?.clone();
    Some(GrammarError::Surplus { word: rest[0].clone(), surplus, usage: row.usage() })
}

/// Returns the words, the parameters and the description of each command of teamrctl.
pub fn table() -> impl Iterator<Item = (&'static str, &'static [&'static str], &'static str)> {
    COMMANDS.iter().map(|row| (row.words, row.params, row.about))
}

/// Returns one line for each command, for the help.
pub fn describe(called_as: CalledAs) -> String {
    let commands = commands(called_as).iter();
    let mut text: String = commands.map(|row| format!("  {}\n", row.usage())).collect();
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
            ("s", Command::State),
            ("s v", Command::StateView),
            // An empty word selects the first of the level.
            ("s ", Command::StateDump),
            (" ", Command::ConfigDump),
            ("s i g a.b", Command::StateItemGet("a.b".into())),
            ("s i s a.b 1", Command::StateItemSet("a.b".into(), "1".into())),
            ("p  p0", Command::PortAdd("p0".into())),
            ("p r p0", Command::PortRemove("p0".into())),
            ("p p p0", Command::PortPresent("p0".into())),
            ("p c  p0 {}", Command::PortConfigUpdate("p0".into(), "{}".into())),
            ("p c d p0", Command::PortConfigDump("p0".into())),
            ("p d p0", Command::PortDrain("p0".into())),
            ("p u p0", Command::PortUndrain("p0".into())),
            ("record p f", Command::RecordPcap("f".into())),
            ("sc s", Command::SchemaState),
            ("diff", Command::Diff),
            ("diff f", Command::DiffWith("f".into())),
            ("rel f", Command::ReloadFrom("f".into())),
            ("t f", Command::Try("f".into())),
            ("k", Command::Keep),
            ("sav", Command::Save),
            ("get", Command::Get),
            ("g mtu", Command::GetKey("mtu".into())),
            ("set a.b 1", Command::Set("a.b".into(), "1".into())),
            ("v a.b", Command::Values("a.b".into())),
            ("cl s", Command::ClearStatistics),
            ("cl s p p0", Command::ClearPortStatistics("p0".into())),
            ("help", Command::Help),
            ("help s", Command::HelpOf("s".into())),
            ("help port config dump", Command::HelpOf("port config dump".into())),
            ("h f", Command::HashFile("f".into())),
        ] {
            assert_eq!(parse(words), Ok(command), "{words:?}");
        }
    }

    #[test]
    fn teamdctl_lacks_the_added_commands() {
        let words = ["record".to_owned(), "dump".to_owned()];
        let unknown = GrammarError::Unknown("record".into(), None);
        assert_eq!(super::parse(&words, CalledAs::Teamdctl), Err(unknown));
        assert_eq!(super::parse(&words, CalledAs::Teamrctl), Ok(Command::RecordDump));
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
            ("port config update p0", "Command line parameter \"PORTCONFIG\" expected."),
        ] {
            let error = parse(words).unwrap_err();
            assert_eq!(error.to_string(), text, "{words:?}");
        }
        assert_eq!(super::parse(&[], CalledAs::Teamdctl), Err(GrammarError::Incomplete));
    }

    #[test]
    fn a_word_beyond_the_parameters_is_named_with_the_command() {
        for (words, surplus, usage) in [
            ("explain a b", "b", "explain FINDING"),
            ("port add a b c", "b", "port add PORTDEV"),
            ("hash a b c d", "d", "hash SOURCE DESTINATION PROTOCOL"),
            ("config dump actual more", "more", "config dump actual"),
        ] {
            match parse(words) {
                Err(GrammarError::Surplus { surplus: found, usage: of, .. }) => {
                    assert_eq!((found.as_str(), of.as_str()), (surplus, usage), "{words:?}");
                }
                other => panic!("{words:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_help_lists_each_command() {
        assert_eq!(describe(CalledAs::Teamdctl).lines().count(), 13);
        let text = describe(CalledAs::Teamrctl);
        assert_eq!(text.lines().count(), 62);
        assert!(text.contains("  port config update PORTDEV PORTCONFIG\n"));
    }
}
