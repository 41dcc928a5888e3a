//! The command line of `teamrnl`.

use std::ffi::OsString;
use std::fmt;

use crate::args::getopt::{Flag, Getopt, Item};

/// The options.
pub static FLAGS: [Flag; 4] = [
    Flag::new(b"h", "help", None, &["Show this help"]),
    Flag::new(b"p", "port_name", Some("PORT"), &["team slave port name"]),
    Flag::new(
        b"a",
        "array_index",
        Some("INDEX"),
        &["team option array index"],
    ),
    Flag {
        added: true,
        ..Flag::new(b"V", "version", None, &["Show the version"])
    },
];

/// A command for a team device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Lists ports.
    Ports,
    /// Lists options.
    Options,
    /// Shows one option.
    GetOption,
    /// Sets one option.
    SetOption,
    /// Shows changes until interrupted.
    Monitor,
}

/// The commands, in the order in which a prefix is matched.
const VERBS: [(&str, Verb); 5] = [
    ("ports", Verb::Ports),
    ("options", Verb::Options),
    ("getoption", Verb::GetOption),
    ("setoption", Verb::SetOption),
    ("monitor", Verb::Monitor),
];

/// A text to show instead of executing a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// The help.
    Help,
    /// The version.
    Version,
}

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// `-h`, `-V`
    pub only: Option<Only>,
    /// `-p`
    pub port: Option<String>,
    /// `-a`
    pub index: Option<String>,
    /// Team device.
    pub device: String,
    /// Command.
    pub verb: Verb,
    /// Command as typed.
    pub word: String,
    /// Arguments of the command.
    pub arguments: Vec<String>,
}

/// An invalid command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    text: String,
    /// Whether an empty line precedes the help.
    pub gap: bool,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for UsageError {}

impl CommandLine {
    /// Parses a command line without the program.
    ///
    /// # Errors
    /// The text to print before the help.
    pub fn read(items: Getopt) -> Result<CommandLine, UsageError> {
        let usage = |text: String, gap| UsageError { text, gap };
        let mut line = CommandLine {
            only: None,
            port: None,
            index: None,
            device: String::new(),
            verb: Verb::Ports,
            word: String::new(),
            arguments: Vec::new(),
        };
        for item in items {
            let item = item.map_err(|e| usage(format!("{e}\nunknown option."), false))?;
            let only = match item {
                Item::Operand(word) => {
                    line.arguments.push(text(word));
                    continue;
                }
                Item::Flag(flag, value) => match flag.long {
                    "help" => Only::Help,
                    "version" => Only::Version,
                    "port_name" => {
                        line.port = Some(text(value));
                        continue;
                    }
                    "array_index" => {
                        line.index = Some(text(value));
                        continue;
                    }
                    long => unreachable!("a flag of the table without a meaning: {long}"),
                },
            };
            line.only = Some(only);
            return Ok(line);
        }
        let mut words = std::mem::take(&mut line.arguments).into_iter();
        line.device = words
            .next()
            .ok_or_else(|| usage("No team device specified.".to_owned(), true))?;
        line.word = words
            .next()
            .ok_or_else(|| usage("No command specified.".to_owned(), true))?;
        let meant = VERBS.iter().find(|(name, _)| name.starts_with(&line.word));
        line.verb = match meant {
            Some((_, verb)) => *verb,
            None => return Err(usage(format!("Unknown command \"{}\".", line.word), true)),
        };
        line.arguments = words.collect();
        Ok(line)
    }
}

/// Returns a word as text, with U+FFFD for bytes that are not UTF-8, which no option's name has.
fn text(word: OsString) -> String {
    word.to_string_lossy().into_owned()
}

/// Returns the words of the commands.
pub fn verbs() -> impl Iterator<Item = &'static str> {
    VERBS.iter().map(|(word, _)| *word)
}

/// Returns the help text for a program started as `argv0`, byte for byte that of teamnl.
pub fn help(argv0: &str) -> String {
    let mut text = format!("{argv0} [options] teamdevname command [command args]\n");
    for flag in FLAGS.iter().filter(|flag| !flag.added) {
        let letter = char::from(flag.short[0]);
        text += &format!("\t-{letter} --{:<20}{}\n", flag.long, flag.help.concat());
    }
    text + "Commands:\n\
            \tports\n\
            \toptions\n\
            \tgetoption OPT_NAME\n\
            \tsetoption OPT_NAME OPT_VALUE\n\
            \tmonitor OPT_STYLE\n"
}
