//! The client's options.

use std::ffi::OsString;

use super::called_as::CalledAs;
use super::command;
use super::connection::call::Transport;
use crate::args::getopt::{self, Flag, Getopt, Item, UsageError};
use crate::args::program_name;
use crate::control::zmq::Endpoint;

/// Every option of the client.
pub static FLAGS: [Flag; 9] = [
    Flag::new(b"h", "help", None, &["show this help"]),
    Flag::new(b"v", "verbose", None, &["show more of the state"]),
    Flag::new(b"o", "oneline", None, &["JSON on one line"]),
    Flag::new(b"D", "force-dbus", None, &["use D-Bus only"]),
    Flag::new(
        b"Z",
        "force-zmq",
        Some("ADDRESS"),
        &["use ZeroMQ at ADDRESS only, where that is built in"],
    ),
    Flag::new(b"U", "force-usock", None, &["use the control socket only"]),
    Flag {
        added: true,
        ..Flag::new(b"", "json", None, &["print JSON"])
    },
    Flag {
        added: true,
        ..Flag::new(
            b"",
            "config",
            Some("FILE"),
            &["doctor: examine this configuration"],
        )
    },
    Flag {
        added: true,
        ..Flag::new(b"V", "version", None, &["show the version"])
    },
];

/// An option that shows a text instead of executing a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// The help.
    Help,
    /// The version.
    Version,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name of the program without its path.
    pub program: String,
    /// The meaning of the program's name.
    pub called_as: CalledAs,
    /// `-h`, `-V`
    pub only: Option<Only>,
    /// `-v`
    pub verbose: bool,
    /// `-o`
    pub oneline: bool,
    /// `--json`
    pub json: bool,
    /// `--config`
    pub config: Option<String>,
    /// `-U`, `-D`, `-Z`; `None` tries the control socket, then the bus.
    pub forced: Option<Transport>,
    /// Address of `-Z`.
    pub zmq: Option<Endpoint>,
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
            only: None,
            verbose: false,
            oneline: false,
            json: false,
            config: None,
            forced: None,
            zmq: None,
            words: Vec::new(),
        }
    }

    /// Reads a command line without the program. Returns a transport that was selected and is
    /// not built in.
    ///
    /// # Errors
    /// A usage error, to be shown with the help.
    pub fn read(&mut self, items: Getopt) -> Result<Option<Unavailable>, UsageError> {
        let (mut usock, mut dbus, mut zmq_missing) = (false, false, false);
        for item in items {
            let item = item.map_err(|e| UsageError(format!("{e}\nunknown option.")))?;
            match item {
                Item::Operand(word) => self.words.push(text(word)?),
                Item::Flag(flag, value) => match flag.long {
                    "help" => {
                        self.only = Some(Only::Help);
                        return Ok(None);
                    }
                    "version" => {
                        self.only = Some(Only::Version);
                        return Ok(None);
                    }
                    "verbose" => self.verbose = true,
                    "oneline" => self.oneline = true,
                    "json" => self.json = true,
                    "config" => self.config = Some(text(value)?),
                    "force-dbus" => dbus = true,
                    "force-zmq" if !cfg!(feature = "zmq") => zmq_missing = true,
                    "force-zmq" => {
                        let endpoint = Endpoint::parse(&text(value)?);
                        self.zmq = Some(endpoint.map_err(|e| UsageError(format!("-Z: {e}")))?);
                    }
                    "force-usock" => usock = true,
                    long => unreachable!("a flag of the table without a meaning: {long}"),
                },
            }
        }
        self.forced = match (usock, dbus, self.zmq.is_some() || zmq_missing) {
            (false, false, false) => None,
            (true, false, false) => Some(Transport::Usock),
            (false, true, false) => Some(Transport::Dbus),
            (false, false, true) if zmq_missing => return Ok(Some(Unavailable("ZeroMQ"))),
            (false, false, true) => Some(Transport::Zmq),
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

/// Name of a transport that is not built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable(pub &'static str);

fn text(word: OsString) -> Result<String, UsageError> {
    word.into_string()
        .map_err(|word| UsageError(format!("\"{}\" is not UTF-8.", word.to_string_lossy())))
}

/// Returns the help text.
pub fn help(program: &str) -> String {
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
         import and export come first and in full, and have a --help of their own.\n\n\
         Exit status: 0 done, 1 anything else, 2 the doctor found a problem.\n",
        command::describe(CalledAs::from_program(program)),
        getopt::describe(&FLAGS)
    )
}
