//! The grammar of commands.
//!
//! Owns the words, their order, and teamdctl's matching: a word stands for the first one of its
//! level that begins with it. A word that can be carried out is taken as soon as no more words
//! are left than it has parameters; before that the next word is looked up below it.

use std::fmt::{self, Write};
use std::mem;

use super::options::Style;

/// What to do, with its parameters.
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
}

impl Command {
    /// Whether it asks about a team as a whole, so that it makes sense for several.
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

/// The words in full.
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
        }
    }
}

/// The words make no command; displays as in teamdctl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrammarError {
    /// There is no word, or too few.
    Incomplete,
    /// A word of no command.
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

struct Node {
    word: &'static str,
    action: Option<Action>,
    below: &'static [Node],
}

struct Action {
    params: &'static [&'static str],
    /// Gets as many words as there are parameters.
    make: fn(&[String]) -> Command,
}

const fn group(word: &'static str, below: &'static [Node]) -> Node {
    Node {
        word,
        action: None,
        below,
    }
}

const fn leaf(
    word: &'static str,
    params: &'static [&'static str],
    make: fn(&[String]) -> Command,
) -> Node {
    Node {
        word,
        action: Some(Action { params, make }),
        below: &[],
    }
}

const fn both(word: &'static str, make: fn(&[String]) -> Command, below: &'static [Node]) -> Node {
    Node {
        below,
        ..leaf(word, &[], make)
    }
}

/// teamdctl's commands.
static GRAMMAR: [Node; 3] = [
    group(
        "config",
        &[both(
            "dump",
            |_| Command::ConfigDump,
            &[
                leaf("noports", &[], |_| Command::ConfigDumpNoPorts),
                leaf("actual", &[], |_| Command::ConfigDumpActual),
            ],
        )],
    ),
    both(
        "state",
        |_| Command::StateView,
        &[
            leaf("dump", &[], |_| Command::StateDump),
            leaf("view", &[], |_| Command::StateView),
            group(
                "item",
                &[
                    leaf("get", &["ITEMPATH"], |words| {
                        Command::StateItemGet(words[0].clone())
                    }),
                    leaf("set", &["ITEMPATH", "VALUE"], |words| {
                        Command::StateItemSet(words[0].clone(), words[1].clone())
                    }),
                ],
            ),
        ],
    ),
    group(
        "port",
        &[
            leaf("add", &["PORTDEV"], |words| {
                Command::PortAdd(words[0].clone())
            }),
            leaf("remove", &["PORTDEV"], |words| {
                Command::PortRemove(words[0].clone())
            }),
            leaf("present", &["PORTDEV"], |words| {
                Command::PortPresent(words[0].clone())
            }),
            group(
                "config",
                &[
                    leaf("update", &["PORTDEV", "PORTCONFIG"], |words| {
                        Command::PortConfigUpdate(words[0].clone(), words[1].clone())
                    }),
                    leaf("dump", &["PORTDEV"], |words| {
                        Command::PortConfigDump(words[0].clone())
                    }),
                ],
            ),
        ],
    ),
];

/// Commands that only teamrctl has.
static OWN_GRAMMAR: [Node; 4] = [
    group(
        "record",
        &[
            leaf("dump", &[], |_| Command::RecordDump),
            leaf("pcap", &["FILE"], |words| {
                Command::RecordPcap(words[0].clone())
            }),
        ],
    ),
    leaf("doctor", &[], |_| Command::Doctor),
    leaf("watch", &[], |_| Command::Watch),
    both(
        "metrics",
        |_| Command::Metrics,
        &[
            leaf("file", &["FILE"], |words| {
                Command::MetricsFile(words[0].clone())
            }),
            leaf("serve", &["ADDRESS"], |words| {
                Command::MetricsServe(words[0].clone())
            }),
        ],
    ),
];

/// Commands that ask no team and have options of their own: [`Conversion`](crate::bond::cli::Conversion).
const OF_NO_TEAM: &str = "  import BOND\n  export FILE\n";

fn own_grammar(style: Style) -> &'static [Node] {
    match style {
        Style::Teamdctl => &[],
        Style::Teamrctl => &OWN_GRAMMAR,
    }
}

/// Finds the command that the words stand for.
pub fn parse(words: &[String], style: Style) -> Result<Command, GrammarError> {
    let mut level: &[Node] = &GRAMMAR;
    // Words of our own are looked up after teamdctl's.
    let mut more = own_grammar(style);
    let mut words = words;
    while let [word, rest @ ..] = words {
        let node = level
            .iter()
            .chain(mem::take(&mut more))
            .find(|node| node.word.starts_with(word.as_str()))
            .ok_or_else(|| GrammarError::Unknown(word.clone()))?;
        match &node.action {
            Some(action) if rest.len() <= action.params.len() => {
                return match action.params.get(rest.len()) {
                    None => Ok((action.make)(rest)),
                    Some(missing) => Err(GrammarError::Expected(missing)),
                };
            }
            _ => (level, words) = (node.below, rest),
        }
    }
    Err(GrammarError::Incomplete)
}

/// One line for each command, for the help.
pub fn describe(style: Style) -> String {
    fn add(text: &mut String, before: &str, nodes: &[Node]) {
        for node in nodes {
            let words = format!("{before} {}", node.word);
            if let Some(action) = &node.action {
                let _ = write!(text, " {words}");
                for param in action.params {
                    let _ = write!(text, " {param}");
                }
                text.push('\n');
            }
            add(text, &words, node.below);
        }
    }
    let mut text = String::new();
    add(&mut text, "", &GRAMMAR);
    add(&mut text, "", own_grammar(style));
    if style == Style::Teamrctl {
        text += OF_NO_TEAM;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Command, GrammarError> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        super::parse(&words, Style::Teamrctl)
    }

    #[test]
    fn a_word_stands_for_the_first_that_begins_with_it() {
        for (words, command) in [
            ("config dump", Command::ConfigDump),
            ("c d n", Command::ConfigDumpNoPorts),
            ("co du a", Command::ConfigDumpActual),
            ("s", Command::StateView),
            ("s v", Command::StateView),
            // An empty word: the first of the level.
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
        ] {
            assert_eq!(parse(words), Ok(command), "{words:?}");
        }
    }

    #[test]
    fn teamdctl_knows_no_command_of_ours() {
        let words = ["record".to_owned(), "dump".to_owned()];
        let unknown = GrammarError::Unknown("record".into());
        assert_eq!(super::parse(&words, Style::Teamdctl), Err(unknown));
        assert_eq!(
            super::parse(&words, Style::Teamrctl),
            Ok(Command::RecordDump)
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_teamdctls_words() {
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
            super::parse(&[], Style::Teamdctl),
            Err(GrammarError::Incomplete)
        );
    }

    #[test]
    fn the_help_names_each_command() {
        assert_eq!(describe(Style::Teamdctl).lines().count(), 13);
        let text = describe(Style::Teamrctl);
        assert_eq!(text.lines().count(), 22);
        assert!(text.contains("  port config update PORTDEV PORTCONFIG\n"));
    }
}
