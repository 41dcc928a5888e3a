//! The command line of `teamrnl`.

use std::ffi::OsString;

use crate::args::getopt::{self, Flag, Getopt, Item};
use crate::args::{program_name, version_line};

/// The options.
pub static FLAGS: [Flag; 5] = [
    Flag::new(b"h", "help", None, &["Show this help"]),
    Flag::new(b"p", "port_name", Some("PORT"), &["team slave port name"]),
    Flag::new(b"a", "array_index", Some("INDEX"), &["team option array index"]),
    Flag { added: true, ..Flag::new(b"", "json", None, &["Print JSON"]) },
    Flag { added: true, ..Flag::new(b"V", "version", None, &["Show the version"]) },
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

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// `-h`, `-V`: the text to show instead of executing a command.
    pub text: Option<String>,
    /// `-p`
    pub port: Option<String>,
    /// `-a`
    pub index: Option<String>,
    /// `--json`
    pub json: bool,
    /// Team device.
    pub device: String,
    /// Command.
    pub verb: Verb,
    /// Command as typed.
    pub word: String,
    /// Arguments of the command.
    pub arguments: Vec<String>,
}

/// Name under which the program is teamnl.
pub const TEAMNL: &str = "teamnl";

/// An invalid command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// Text of the error.
    pub text: String,
    /// teamnl's empty line between the text and the help, if there is one.
    pub gap: &'static str,
}

impl CommandLine {
    /// Parses a command line without the program.
    ///
    /// # Errors
    /// A usage error, to be shown with the help under teamnl's name.
    pub fn read(items: Getopt) -> Result<CommandLine, UsageError> {
        let usage = |text: String| UsageError { text, gap: "\n" };
        let (help, program) = (help(items.argv0()), program_name(items.argv0()).to_owned());
        let mut line = CommandLine {
            text: None,
            port: None,
            index: None,
            json: false,
            device: String::new(),
            verb: Verb::Ports,
            word: String::new(),
            arguments: Vec::new(),
        };
        for item in items {
            let unknown = |error: getopt::UsageError| UsageError {
                text: match program.as_str() {
                    TEAMNL => format!("{error}\nunknown option."),
                    _ => error.to_string(),
                },
                gap: "",
            };
            match item.map_err(unknown)? {
                Item::Operand(word) => line.arguments.push(text(word)),
                Item::Flag(flag, value) => match flag.long {
                    "port_name" => line.port = Some(text(value)),
                    "array_index" => line.index = Some(text(value)),
                    "json" => line.json = true,
                    "help" => return Ok(CommandLine { text: Some(help), ..line }),
                    "version" => {
                        let version = version_line(&program) + "\n";
                        return Ok(CommandLine { text: Some(version), ..line });
                    }
                    long => unreachable!("a flag of the table without a meaning: {long}"),
                },
            }
        }
        let mut words = std::mem::take(&mut line.arguments).into_iter();
        line.device = words.next().ok_or_else(|| usage("No team device specified.".to_owned()))?;
        line.word = words.next().ok_or_else(|| usage("No command specified.".to_owned()))?;
        let meant = VERBS.iter().find(|(name, _)| name.starts_with(&line.word));
        let unknown = || usage(format!("Unknown command \"{}\".", line.word));
        line.verb = meant.ok_or_else(unknown)?.1;
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
