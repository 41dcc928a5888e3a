//! The client's options.

use std::ffi::OsString;

use super::called_as::CalledAs;
use super::command::{self, Command};
use super::connection::call::Transport;
use crate::args::getopt::{self, Flag, Getopt, Item, UsageError};
use crate::args::{program_name, version_line};

/// Every option of the client.
pub static FLAGS: [Flag; 14] = [
    Flag::new(b"h", "help", None, &["show this help"]),
    Flag::new(b"v", "verbose", None, &["show more of the state"]),
    Flag::new(b"o", "oneline", None, &["JSON on one line"]),
    Flag::new(b"D", "force-dbus", None, &["use D-Bus only"]),
    Flag::new(b"Z", "force-zmq", Some("ADDRESS"), &["refused: there is no ZeroMQ"]),
    Flag::new(b"U", "force-usock", None, &["use the control socket only"]),
    Flag { added: true, ..Flag::new(b"", "json", None, &["print JSON"]) },
    Flag {
        added: true,
        ..Flag::new(b"", "config", Some("FILE"), &["doctor: examine this configuration"])
    },
    Flag {
        added: true,
        ..Flag::new(b"", "bond", Some("BOND"), &["doctor: examine this bond of the kernel"])
    },
    Flag {
        added: true,
        ..Flag::new(b"", "for", Some("SECONDS"), &["try: time of the trial (120)"])
    },
    Flag {
        added: true,
        ..Flag::new(b"", "until", Some("COMMAND"), &["try: keep once this shell command succeeds"])
    },
    Flag {
        added: true,
        ..Flag::new(b"", "last", None, &["port drain: also the last port that carries"])
    },
    Flag {
        added: true,
        ..Flag::new(b"", "since", Some("AGE"), &["watch: only the past events, 10m for instance"])
    },
    Flag { added: true, ..Flag::new(b"V", "version", None, &["show the version"]) },
];

/// An option that only one command has.
struct OfCommand {
    /// Long name of the option.
    name: &'static str,
    /// Words of the command.
    command: &'static str,
    /// Whether a command line has the option.
    is_given: fn(&Options) -> bool,
}

const OF_COMMANDS: [OfCommand; 6] = [
    OfCommand { name: "for", command: "try", is_given: |it| it.time.is_some() },
    OfCommand { name: "until", command: "try", is_given: |it| it.until.is_some() },
    OfCommand { name: "last", command: "port drain", is_given: |it| it.last },
    OfCommand { name: "since", command: "watch", is_given: |it| it.since.is_some() },
    OfCommand { name: "config", command: "doctor", is_given: |it| it.config.is_some() },
    OfCommand { name: "bond", command: "doctor", is_given: |it| it.bond.is_some() },
];

/// Returns the options that only the command with these words has.
pub fn flags_of(words: &str) -> impl Iterator<Item = Flag> {
    let names = OF_COMMANDS.iter().filter(move |option| option.command == words);
    names.filter_map(|option| FLAGS.iter().find(|flag| flag.long == option.name).copied())
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name of the program without its path.
    pub program: String,
    /// The meaning of the program's name.
    pub called_as: CalledAs,
    /// `-V`, and `-h` of teamdctl: the text to show instead of executing a command.
    pub text: Option<String>,
    /// `-h` of teamrctl.
    pub help: bool,
    /// `-v`
    pub verbose: bool,
    /// `-o`
    pub oneline: bool,
    /// `--json`
    pub json: bool,
    /// `--config`
    pub config: Option<String>,
    /// `--bond`
    pub bond: Option<String>,
    /// `--for`
    pub time: Option<String>,
    /// `--until`
    pub until: Option<String>,
    /// `--last`
    pub last: bool,
    /// `--since`
    pub since: Option<String>,
    /// `-U`, `-D`; `None` tries the control socket, then the bus.
    pub forced: Option<Transport>,
    /// The operands: a device, a command and its parameters.
    pub words: Vec<String>,
}

impl Options {
    /// Returns the options of a program without a command line.
    pub fn new(argv0: &str) -> Self {
        let program = program_name(argv0);
        Options {
            program: program.to_owned(),
            called_as: CalledAs::from_program(program),
            text: None,
            help: false,
            verbose: false,
            oneline: false,
            json: false,
            config: None,
            bond: None,
            time: None,
            until: None,
            last: false,
            since: None,
            forced: None,
            words: Vec::new(),
        }
    }

    /// Returns an option that the command does not have, and the command that has it: an option
    /// without an effect would hide a mistake.
    pub fn misplaced(&self, command: &Command) -> Option<Misplaced> {
        let mut others = OF_COMMANDS.iter().filter(|option| option.command != command.words());
        let OfCommand { name, command, .. } = others.find(|option| (option.is_given)(self))?;
        Some(Misplaced(name, command))
    }

    /// Reads a command line without the program. Returns a transport that was selected and is
    /// not built in.
    ///
    /// # Errors
    /// A usage error.
    pub fn read(&mut self, items: Getopt) -> Result<Option<Unavailable>, UsageError> {
        let (mut usock, mut dbus, mut zmq) = (false, false, false);
        for item in items {
            let item = item.map_err(|error| match self.called_as {
                CalledAs::Teamdctl => UsageError(format!("{error}\nunknown option.")),
                CalledAs::Teamrctl => error,
            })?;
            match item {
                Item::Operand(word) => self.words.push(text(word)?),
                Item::Flag(flag, value) => match flag.long {
                    "help" if self.called_as == CalledAs::Teamrctl => self.help = true,
                    "help" | "version" => {
                        self.text = Some(match flag.long {
                            "help" => help(&self.program),
                            _ => version_line(&self.program) + "\n",
                        });
                        return Ok(None);
                    }
                    "verbose" => self.verbose = true,
                    "oneline" => self.oneline = true,
                    "json" => self.json = true,
                    "config" => self.config = Some(text(value)?),
                    "bond" => self.bond = Some(text(value)?),
                    "for" => self.time = Some(text(value)?),
                    "until" => self.until = Some(text(value)?),
                    "last" => self.last = true,
                    "since" => self.since = Some(text(value)?),
                    "force-dbus" => dbus = true,
                    "force-zmq" => zmq = true,
                    "force-usock" => usock = true,
                    long => unreachable!("a flag of the table without a meaning: {long}"),
                },
            }
        }
        self.forced = match (usock, dbus, zmq) {
            (false, false, false) => None,
            (true, false, false) => Some(Transport::Usock),
            (false, true, false) => Some(Transport::Dbus),
            (false, false, true) => return Ok(Some(Unavailable("ZeroMQ"))),
            _ => {
                return Err(UsageError(
                    "Only one interface could be forced at a time \
                     (UNIX domain socket, D-Bus, ZMQ)."
                        .to_owned(),
                ));
            }
        };
        Ok(None)
    }
}

/// An option that belongs to some commands only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misplaced(pub &'static str, pub &'static str);

/// Name of a transport that is not built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable(pub &'static str);

fn text(word: OsString) -> Result<String, UsageError> {
    word.into_string()
        .map_err(|word| UsageError(format!("\"{}\" is not UTF-8.", word.to_string_lossy())))
}

/// Returns the help text.
pub fn help(program: &str) -> String {
    let called_as = CalledAs::from_program(program);
    format!(
        "Usage: {program} [OPTION]... [TEAMDEV] COMMAND [ARGUMENT]...\n\
         Control a running team.\n\n\
         Commands; each word may be shortened to its beginning:\n\
         {}\n\
         Options:\n\
         {}\n\
         Without TEAMDEV the command is for the running team; of several teams each has\n\
         its answer under its name. A first word that names a team or an interface is a\n\
         TEAMDEV even if it could be a command. A port name with a dot stands in quotes in an\n\
         ITEMPATH: ports.\"eth1.5\".link.up. An argument beginning with - comes after --.\n\
         import and export come first and in full, and have a --help of their own.\n\
         {}\n\
         Exit status: 0 done, 1 anything else, 2 the doctor found a problem.\n",
        command::describe(called_as),
        getopt::describe(&FLAGS),
        match called_as {
            CalledAs::Teamdctl => String::new(),
            CalledAs::Teamrctl => format!("Help for one command: {program} help COMMAND.\n"),
        }
    )
}
