//! The daemon's options: the one table of them, and what a command line made of it says.
//!
//! Standard: libteam 1.32's teamd, option for option, and `-w` and `-L` of SONiC's. Unlike teamd, a bad word after `-l` is
//! named in a warning, and help needs no run directory.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use json_config::DataPathChoice;

use super::getopt::{self, Flag, Getopt, Item, UsageError};
use super::program_name;
use crate::control::zmq::Endpoint;
use crate::errno::strerror;
use crate::process::logging::LogOutput;

/// Every option of the daemon.
pub static FLAGS: [Flag; 24] = [
    Flag::new(b"h", "help", None, &["show this help"]),
    Flag::new(b"vV", "version", None, &["show the version"]),
    Flag::new(
        b"k",
        "kill",
        None,
        &["stop the daemon of this team, wait until it is gone"],
    ),
    Flag::new(
        b"e",
        "check",
        None,
        &["exit with 0 if the daemon of this team runs, else 1"],
    ),
    added(
        "check-config",
        None,
        &["name every mistake in the configuration,", "start nothing"],
    ),
    Flag::new(
        b"d",
        "daemonize",
        None,
        &["go to the background once the ports are in place"],
    ),
    Flag::new(
        b"f",
        "config-file",
        Some("FILE"),
        &[
            "read the configuration from FILE; of a directory run",
            "the team of every file that ends in .json",
        ],
    ),
    Flag::new(
        b"c",
        "config",
        Some("TEXT"),
        &["the configuration itself; wins over -f"],
    ),
    Flag::new(
        b"p",
        "pid-file",
        Some("FILE"),
        &["pid file, else /var/run/teamd/DEVICE.pid"],
    ),
    Flag::new(b"g", "debug", None, &["say more; twice for still more"]),
    Flag::new(
        b"l",
        "log-output",
        Some("WHERE"),
        &[
            "log to stdout, stderr or syslog; else to stderr,",
            "in the background to syslog",
        ],
    ),
    Flag::new(
        b"r",
        "force-recreate",
        None,
        &["replace the team device if it exists"],
    ),
    Flag::new(
        b"o",
        "take-over",
        None,
        &["use the team device if it exists; wins over -r"],
    ),
    Flag::new(
        b"N",
        "no-quit-destroy",
        None,
        &["leave the team device and its ports at the end"],
    ),
    Flag::new(
        b"t",
        "team-dev",
        Some("DEVICE"),
        &["name of the team device"],
    ),
    Flag::new(
        b"n",
        "no-ports",
        None,
        &["start without the ports of the configuration"],
    ),
    Flag::new(
        b"D",
        "dbus-enable",
        None,
        &["be on the system bus, as org.libteam.teamd.DEVICE"],
    ),
    Flag::new(
        b"Z",
        "zmq-enable",
        Some("ADDRESS"),
        &["serve ZeroMQ at ADDRESS, where that is built in"],
    ),
    Flag::new(
        b"U",
        "usock-enable",
        None,
        &["serve the control socket; the default"],
    ),
    Flag::new(
        b"u",
        "usock-disable",
        None,
        &["do without the control socket"],
    ),
    added(
        "data-path",
        Some("WHICH"),
        &[
            "who moves the frames: kernel, programs, relay, or",
            "auto: the first of them that works here",
        ],
    ),
    added(
        "no-sandbox",
        None,
        &["keep all rights and system calls, for debugging"],
    ),
    Flag {
        short: b"w",
        ..added(
            "warm-start",
            None,
            &["go on with the team that signal USR1 or USR2 left"],
        )
    },
    Flag {
        short: b"L",
        ..added(
            "lacp-directory",
            Some("DIR"),
            &["note in DIR at the end how the team was left"],
        )
    },
];

const fn added(
    long: &'static str,
    value: Option<&'static str>,
    help: &'static [&'static str],
) -> Flag {
    Flag {
        added: true,
        ..Flag::new(b"", long, value, help)
    }
}

/// What the daemon is to do; the last one on the command line counts.
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
    /// Tell whether a daemon runs.
    Check,
    /// Check the configuration strictly.
    CheckConfig,
}

/// A command line as understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bare name of the program: `teamr`, or `teamd`.
    pub program: String,
    /// What to do.
    pub command: Command,
    /// `-d`
    pub daemonize: bool,
    /// `-f`, absolute.
    pub config_file: Option<PathBuf>,
    /// `-c`
    pub config_text: Option<Vec<u8>>,
    /// `-p`, as given.
    pub pid_file: Option<PathBuf>,
    /// How often `-g` was given.
    pub debug: u32,
    /// `-l`; automatic if absent.
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
    /// `-Z`
    pub zmq: Option<Endpoint>,
    /// `--data-path`; the configuration decides if absent.
    pub data_path: Option<DataPathChoice>,
    /// Whether rights are given up after the start; `--no-sandbox`.
    pub sandbox: bool,
    /// `-w`
    pub warm_start: bool,
    /// `-L`
    pub warm_dir: Option<PathBuf>,
}

impl Options {
    /// Reads a command line that begins with the program; `posix` is whether `POSIXLY_CORRECT`
    /// is set. The error is what goes to stderr, with exit status 1.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        posix: bool,
    ) -> Result<Self, UsageError> {
        let items = Getopt::new(&FLAGS, args, posix);
        let mut options = Options::new(program_name(items.argv0()));
        let mut operands = false;
        for item in items {
            match item? {
                Item::Flag(flag, value) => options.set(flag.long, &value)?,
                Item::Operand(_) => operands = true,
            }
        }
        match operands {
            false => Ok(options),
            true => Err(UsageError("Too many arguments".to_owned())),
        }
    }

    fn new(program: &str) -> Self {
        Options {
            program: program.to_owned(),
            command: Command::default(),
            daemonize: false,
            config_file: None,
            config_text: None,
            pid_file: None,
            debug: 0,
            log_output: None,
            force_recreate: false,
            take_over: false,
            no_quit_destroy: false,
            team_dev: None,
            no_ports: false,
            usock: true,
            dbus: false,
            zmq: None,
            data_path: None,
            sandbox: true,
            warm_start: false,
            warm_dir: None,
        }
    }

    fn set(&mut self, long: &str, value: &OsStr) -> Result<(), UsageError> {
        match long {
            "help" => self.command = Command::Help,
            "version" => self.command = Command::Version,
            "kill" => self.command = Command::Kill,
            "check" => self.command = Command::Check,
            "check-config" => self.command = Command::CheckConfig,
            "daemonize" => self.daemonize = true,
            // Absolute at once: going to the background changes the directory.
            "config-file" => {
                let path = fs::canonicalize(value).map_err(|e| {
                    let (file, why) = (value.to_string_lossy(), strerror(&e));
                    UsageError(format!("Failed to get absolute path of \"{file}\": {why}"))
                })?;
                self.config_file = Some(path);
            }
            "config" => self.config_text = Some(value.as_bytes().to_vec()),
            "pid-file" => self.pid_file = Some(PathBuf::from(value)),
            "debug" => self.debug = self.debug.saturating_add(1),
            "log-output" => self.log_output = LogOutput::named(&value.to_string_lossy(), "-l"),
            "force-recreate" => self.force_recreate = true,
            "warm-start" => self.warm_start = true,
            "take-over" => self.take_over = true,
            "no-quit-destroy" => self.no_quit_destroy = true,
            "team-dev" => self.team_dev = Some(text(long, value)?),
            "no-ports" => self.no_ports = true,
            "dbus-enable" => self.dbus = true,
            "zmq-enable" if !cfg!(feature = "zmq") => {
                return Err(UsageError("ZeroMQ support is not compiled-in".to_owned()));
            }
            "zmq-enable" => {
                let endpoint = Endpoint::parse(&text(long, value)?);
                self.zmq = Some(endpoint.map_err(|e| UsageError(format!("-Z: {e}")))?);
            }
            "usock-enable" => self.usock = true,
            "usock-disable" => self.usock = false,
            "no-sandbox" => self.sandbox = false,
            "lacp-directory" => self.warm_dir = Some(PathBuf::from(value)),
            "data-path" => self.data_path = Some(data_path(&text(long, value)?)?),
            _ => unreachable!("a flag of the table without a meaning: {long}"),
        }
        Ok(())
    }
}

fn text(long: &str, value: &OsStr) -> Result<String, UsageError> {
    match value.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(UsageError(format!("option '--{long}': not UTF-8"))),
    }
}

fn data_path(word: &str) -> Result<DataPathChoice, UsageError> {
    DataPathChoice::from_word(word).ok_or_else(|| {
        UsageError(format!(
            "option '--data-path': expected auto, kernel, programs or relay, found \"{word}\""
        ))
    })
}

/// The help text.
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
         2 failed after a good start.\n",
        getopt::describe(&FLAGS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        let argv = ["/usr/bin/teamd"].iter().chain(args).map(OsString::from);
        Options::parse(argv, false).map_err(|e| e.to_string())
    }

    #[test]
    fn every_flag_of_the_table_has_a_meaning() {
        for flag in &FLAGS {
            let value = if flag.long == "data-path" {
                "auto"
            } else {
                "/"
            };
            let _ = Options::new("teamr").set(flag.long, OsStr::new(value));
        }
    }

    #[test]
    fn network_managers_command_line() {
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
    fn the_last_one_wins() {
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
    fn a_bad_word_for_the_log_leaves_it_automatic() {
        assert_eq!(
            parse(&["-l", "syslog"]).unwrap().log_output,
            Some(LogOutput::Syslog)
        );
        assert_eq!(parse(&["-l", "paper"]).unwrap().log_output, None);
    }

    #[test]
    fn complaints_are_teamds() {
        for (args, text) in [
            (
                &["-h", "--nope"][..],
                "/usr/bin/teamd: unrecognized option '--nope'",
            ),
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
