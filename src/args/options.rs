//! The options of the daemon: their table, and the parsed command line.
//!
//! Standard: all options of libteam 1.32's teamd, and `-w` and `-L` of SONiC's. Unlike teamd, a
//! warning names an invalid word after `-l`, and the help needs no run directory.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use json_config::DataPathChoice;

use super::getopt::{self, Flag, Getopt, Item, Operands, UsageError};
use super::program_name;
use crate::errno::strerror;
use crate::process::logging::LogOutput;

/// Every option of the daemon.
pub static FLAGS: [Flag; 25] = [
    Flag::new(b"h", "help", None, &["show this help"]),
    Flag::new(b"vV", "version", None, &["show the version"]),
    Flag::new(b"k", "kill", None, &["stop the daemon of this team, wait until it is gone"]),
    Flag::new(b"e", "check", None, &["exit with 0 if the daemon of this team runs, else 1"]),
    added("check-config", None, &["name every mistake in the configuration,", "start nothing"]),
    Flag::new(b"d", "daemonize", None, &["go to the background once the ports are in place"]),
    Flag::new(
        b"f",
        "config-file",
        Some("FILE"),
        &[
            "read the configuration from FILE; of a directory run",
            "the team of every file that ends in .json",
        ],
    ),
    added("watch", None, &["take up files of the directory when they change"]),
    Flag::new(b"c", "config", Some("TEXT"), &["the configuration itself; wins over -f"]),
    Flag::new(b"p", "pid-file", Some("FILE"), &["pid file, else /var/run/teamd/DEVICE.pid"]),
    Flag::new(b"g", "debug", None, &["say more; twice for still more"]),
    Flag::new(
        b"l",
        "log-output",
        Some("WHERE"),
        &["log to stdout, stderr or syslog; else to stderr,", "in the background to syslog"],
    ),
    Flag::new(b"r", "force-recreate", None, &["replace the team device if it exists"]),
    Flag::new(b"o", "take-over", None, &["use the team device if it exists; wins over -r"]),
    Flag::new(b"N", "no-quit-destroy", None, &["leave the team device and its ports at the end"]),
    Flag::new(b"t", "team-dev", Some("DEVICE"), &["name of the team device"]),
    Flag::new(b"n", "no-ports", None, &["start without the ports of the configuration"]),
    Flag::new(b"D", "dbus-enable", None, &["be on the system bus, as org.libteam.teamd.DEVICE"]),
    Flag::new(b"Z", "zmq-enable", Some("ADDRESS"), &["refused: there is no ZeroMQ"]),
    Flag::new(b"U", "usock-enable", None, &["serve the control socket; the default"]),
    Flag::new(b"u", "usock-disable", None, &["do without the control socket"]),
    added(
        "data-path",
        Some("WHICH"),
        &[
            "who moves the frames: kernel, programs, relay, or",
            "auto: the first of them that works here",
        ],
    ),
    added("no-sandbox", None, &["keep all rights and system calls, for debugging"]),
    Flag {
        short: b"w",
        ..added("warm-start", None, &["go on with the team that signal USR1 or USR2 left"])
    },
    Flag {
        short: b"L",
        ..added("lacp-directory", Some("DIR"), &["note in DIR at the end how the team was left"])
    },
];

const fn added(
    long: &'static str,
    value: Option<&'static str>,
    help: &'static [&'static str],
) -> Flag {
    Flag { added: true, ..Flag::new(b"", long, value, help) }
}

/// The command of a command line; the last one given counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    /// Run the team.
    #[default]
    Run,
    /// Show the help.
    Help,
    /// Show the version.
    Version,
    /// Stop the running daemon.
    Kill,
    /// Check whether a daemon runs.
    Check,
    /// Check the configuration strictly.
    CheckConfig,
}

/// A parsed command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name under which the program was started: `teamr` or `teamd`.
    pub program: String,
    /// Command to execute.
    pub command: Command,
    /// `-d`
    pub daemonize: bool,
    /// `-f`, absolute.
    pub config_file: Option<PathBuf>,
    /// Whether to take up changed files of the directory at once.
    pub watch: bool,
    /// `-c`
    pub config_text: Option<Vec<u8>>,
    /// `-p`, as given.
    pub pid_file: Option<PathBuf>,
    /// Number of options `-g`.
    pub debug: u32,
    /// `-l`; `None` for the default.
    pub log_output: Option<LogOutput>,
    /// `-r`
    pub force_recreate: bool,
    /// `-o`
    pub take_over: bool,
    /// `-N`
    pub no_quit_destroy: bool,
    /// `-t`
    pub team_dev: Option<String>,
    /// `-n`
    pub no_ports: bool,
    /// `-U`, `-u`
    pub usock: bool,
    /// `-D`
    pub dbus: bool,
    /// `--data-path`; `None` for the key of the configuration.
    pub data_path: Option<DataPathChoice>,
    /// Whether the daemon gives up rights after the start; false with `--no-sandbox`.
    pub sandbox: bool,
    /// `-w`
    pub warm_start: bool,
    /// `-L`
    pub warm_dir: Option<PathBuf>,
}

impl Options {
    /// Parses a command line that begins with the program.
    ///
    /// # Errors
    /// The text for stderr; the exit status is then 1.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        operands: Operands,
    ) -> Result<Self, UsageError> {
        let items = Getopt::new(&FLAGS, args, operands);
        let mut options = Options::new(program_name(items.argv0()));
        let program = options.program.clone();
        // teamd has no hint.
        let with_hint = |UsageError(text): UsageError| match program.as_str() {
            "teamd" => UsageError(text),
            program => UsageError(format!("{text}\n{}", getopt::hint(program))),
        };
        let mut outcome = Ok(());
        for item in items {
            match item.map_err(with_hint)? {
                Item::Flag(flag, value) => options.set(flag.long, &value)?,
                Item::Operand(_) => {
                    outcome = Err(with_hint(UsageError("Too many arguments".to_owned())));
                }
            }
        }
        outcome.map(|()| options)
    }

    fn new(program: &str) -> Self {
        Options { program: program.to_owned(), usock: true, sandbox: true, ..Options::default() }
    }

    fn set(&mut self, long: &str, value: &OsStr) -> Result<(), UsageError> {
        match long {
            "help" => self.command = Command::Help,
            "version" => self.command = Command::Version,
            "kill" => self.command = Command::Kill,
            "check" => self.command = Command::Check,
            "check-config" => self.command = Command::CheckConfig,
            "daemonize" => self.daemonize = true,
            "watch" => self.watch = true,
            // Absolute, since a daemon changes its working directory.
            "config-file" => self.config_file = Some(absolute(value)?),
            "config" => self.config_text = Some(value.as_bytes().to_vec()),
            "pid-file" => self.pid_file = Some(PathBuf::from(value)),
            "debug" => self.debug = self.debug.saturating_add(1),
            "log-output" => self.log_output = LogOutput::named(&value.to_string_lossy(), "-l"),
            "force-recreate" => self.force_recreate = true,
            "warm-start" => self.warm_start = true,
            "take-over" => self.take_over = true,
            "no-quit-destroy" => self.no_quit_destroy = true,
            "team-dev" => {
                let not_utf8 = || UsageError(format!("option '--{long}': not UTF-8"));
                self.team_dev = Some(value.to_str().ok_or_else(not_utf8)?.to_owned());
            }
            "no-ports" => self.no_ports = true,
            "dbus-enable" => self.dbus = true,
            "zmq-enable" => {
                return Err(UsageError("ZeroMQ support is not compiled-in".to_owned()));
            }
            "usock-enable" => self.usock = true,
            "usock-disable" => self.usock = false,
            "no-sandbox" => self.sandbox = false,
            "lacp-directory" => self.warm_dir = Some(PathBuf::from(value)),
            "data-path" => {
                let word = value.to_string_lossy();
                let choice = DataPathChoice::from_word(&word).ok_or_else(|| {
                    let expected = "expected auto, kernel, programs or relay";
                    UsageError(format!("option '--data-path': {expected}, found \"{word}\""))
                })?;
                self.data_path = Some(choice);
            }
            _ => unreachable!("a flag of the table without a meaning: {long}"),
        }
        Ok(())
    }
}

/// Returns the absolute path of an existing file. Symbolic links stay in the path: a later reading
/// follows a link to where the link then leads.
fn absolute(value: &OsStr) -> Result<PathBuf, UsageError> {
    let existing = fs::metadata(value).and_then(|_| std::path::absolute(value));
    existing.map_err(|e| {
        let (file, why) = (value.to_string_lossy(), strerror(&e));
        UsageError(format!("Failed to get absolute path of \"{file}\": {why}"))
    })
}

/// Returns the help text.
pub fn help(program: &str) -> String {
    format!(
        "Usage: {program} [OPTION]...\n\
         Run a team: one network device made of several ports.\n\n\
         {}\n\
         Long names may be shortened while they stay unique. Without -f and -c the team\n\
         begins empty and as roundrobin. The name of the device comes from -t, else from\n\
         the configuration, else it is the first free of team0, team1, ...; in a\n\
         directory the file gives it: team5.json.\n\n\
         Exit status: 0 done, 1 not started (or nothing to stop, or not running),\n\
         2 failed after a good start, 3 some teams of a directory did not start.\n",
        getopt::describe(&FLAGS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        let argv = ["/usr/bin/teamd"].iter().chain(args).map(OsString::from);
        Options::parse(argv, Operands::Anywhere).map_err(|e| e.to_string())
    }

    #[test]
    fn every_flag_of_the_table_has_a_meaning() {
        for flag in &FLAGS {
            let value = if flag.long == "data-path" { "auto" } else { "/" };
            let _ = Options::new("teamr").set(flag.long, OsStr::new(value));
        }
    }

    #[test]
    fn the_command_line_of_networkmanager_is_parsed() {
        let line = "-o -n -U -D -N -t team0 -c {} -gg";
        let options = parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
        let expected = Options {
            dbus: true,
            take_over: true,
            no_ports: true,
            no_quit_destroy: true,
            team_dev: Some("team0".to_owned()),
            config_text: Some(b"{}".to_vec()),
            debug: 2,
            ..Options::new("teamd")
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn the_last_of_several_options_counts() {
        let options = parse(&["-k", "-h", "-e", "-U", "-u", "-c", "1", "-c2"]).unwrap();
        assert_eq!(options.command, Command::Check);
        assert!(!options.usock);
        assert_eq!(options.config_text.as_deref(), Some(&b"2"[..]));
        assert_eq!(parse(&["-e", "-V"]).unwrap().command, Command::Version);
    }

    #[test]
    fn a_configuration_file_becomes_absolute() {
        let options = parse(&["-f", "."]).unwrap();
        assert_eq!(
            options.config_file,
            Some(std::env::current_dir().unwrap().canonicalize().unwrap())
        );
    }

    #[test]
    fn an_invalid_log_output_leaves_the_default() {
        assert_eq!(parse(&["-l", "syslog"]).unwrap().log_output, Some(LogOutput::Syslog));
        assert_eq!(parse(&["-l", "paper"]).unwrap().log_output, None);
    }

    #[test]
    fn errors_have_the_texts_of_teamd() {
        for (args, text) in [
            (&["-h", "--nope"][..], "/usr/bin/teamd: unrecognized option '--nope'"),
            (&["team0"], "Too many arguments"),
            (&["-Z", "tcp://*:1"], "ZeroMQ support is not compiled-in"),
            (
                &["-v", "-f", "/nonexistent"],
                "Failed to get absolute path of \"/nonexistent\": No such file or directory",
            ),
            (
                &["--data-path=moon"],
                "option '--data-path': expected auto, kernel, programs or relay, found \"moon\"",
            ),
        ] {
            assert_eq!(parse(args), Err(text.to_owned()), "{args:?}");
        }
    }

    #[test]
    fn an_error_of_teamr_names_the_help() {
        for (args, text) in [
            (&["teamr", "--nope"][..], "teamr: unrecognized option '--nope'"),
            (&["teamr", "team0"], "Too many arguments"),
        ] {
            let parsed = Options::parse(args.iter().map(OsString::from), Operands::Anywhere);
            let error = parsed.unwrap_err().to_string();
            assert_eq!(error, format!("{text}\nTry \"teamr --help\"."), "{args:?}");
        }
    }

    #[test]
    fn the_help_fits_a_terminal() {
        let help = help("teamr");
        for line in help.lines() {
            assert!(line.len() <= 80, "{line:?}");
        }
        for flag in &FLAGS {
            assert!(help.contains(&format!("--{}", flag.long)));
        }
    }
}
