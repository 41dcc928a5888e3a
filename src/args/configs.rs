//! Reads the configurations that a command line names: a file, a text, or a directory of files.
//!
//! teamd takes one file or text. Of a directory, each file that ends in `.json` configures a team;
//! all teams run in one process. Each configuration is parsed once, into one [`Plan`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use json_config::Config;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use runners::{LONGEST_INTERFACE_NAME, is_interface_name};

use super::options::{Command, Options};
use crate::errno::strerror;
use crate::files;

/// Bytes of the largest configuration file; a configuration of a thousand ports has a tenth.
const LARGEST: u64 = 1 << 20;

/// Extension of the configuration files of a directory.
const EXTENSION: &str = "json";

/// The text of a configuration.
pub struct Source {
    /// Name of the file, `command line` or `default`; for messages.
    pub origin: String,
    /// JSON text, not yet parsed.
    pub text: Vec<u8>,
    /// File name without extension, for a file of a directory: the device of a configuration that
    /// names none.
    stem: Option<String>,
}

/// The configurations that the command line names.
pub struct Sources {
    /// The configurations, in the order of their files' names.
    pub all: Vec<Source>,
    /// Directory of the files, if the command line names a directory.
    pub directory: Option<PathBuf>,
}

/// A team to start, or to find.
pub struct Plan {
    /// Configuration, with the name of the device filled in.
    pub config: Config,
    /// Interface name of the team device.
    pub device: String,
    /// Path of the pid file.
    pub pid_file: PathBuf,
    /// Origin of the configuration, as in [`Source`].
    pub origin: String,
}

impl Sources {
    /// Reads the configurations that `options` name.
    ///
    /// # Errors
    /// The lines for stderr: a file or directory that cannot be read, a directory without
    /// configurations, or a directory together with an option of a single team.
    pub fn read(options: &Options) -> Result<Self, String> {
        let (all, directory) = match (&options.config_text, &options.config_file) {
            (Some(text), file) => {
                if file.is_some() {
                    log::warn!(
                        "Command line config string is present, ignoring given config file."
                    );
                }
                (vec![Source::unnamed("command line", text.clone())], None)
            }
            (None, Some(path)) if path.is_dir() => (in_directory(path)?, Some(path.clone())),
            (None, Some(file)) => (vec![Source::open(file)?], None),
            (None, None) => (vec![Source::unnamed("default", b"{}".to_vec())], None),
        };
        let has_option_of_one_team =
            options.team_dev.is_some() || options.pid_file.is_some() || options.zmq.is_some();
        match &directory {
            Some(directory) if has_option_of_one_team => Err(format!(
                "-t, -p and -Z are about one team, {} is a directory of teams: name one of its files.",
                directory.display()
            )),
            _ => Ok(Sources { all, directory }),
        }
    }

    /// Returns the teams of the configurations; `pid_file` returns the default pid file of a device.
    ///
    /// # Errors
    /// The lines for stderr: the first configuration that is invalid or names the device of another.
    pub fn plan(
        &self,
        options: &Options,
        pid_file: fn(&str) -> PathBuf,
    ) -> Result<Vec<Plan>, String> {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        let mut plans = Vec::new();
        for source in &self.all {
            let plan =
                source
                    .plan(options, pid_file)
                    .map_err(|complaint| match self.directory {
                        Some(_) => format!("{}: {complaint}", source.origin),
                        None => complaint,
                    })?;
            if let Some(owner) = owners.insert(plan.device.clone(), &source.origin) {
                let (device, origin) = (&plan.device, &source.origin);
                return Err(format!(
                    "{origin}: the device \"{device}\" is that of {owner}, too."
                ));
            }
            plans.push(plan);
        }
        Ok(plans)
    }
}

impl Source {
    fn unnamed(origin: &str, text: Vec<u8>) -> Self {
        Source {
            origin: origin.to_owned(),
            text,
            stem: None,
        }
    }

    fn open(file: &Path) -> Result<Self, String> {
        let read = File::open(file).and_then(|open| files::read_at_most(open, LARGEST));
        let text = read.map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::FileTooLarge => {
                    format!("the configuration is larger than {} MiB", LARGEST >> 20)
                }
                _ => strerror(&error),
            };
            format!("{}: {why}\nFailed to load config.", file.display())
        })?;
        Ok(Source::unnamed(&file.display().to_string(), text))
    }

    fn plan(&self, options: &Options, pid_file: fn(&str) -> PathBuf) -> Result<Plan, String> {
        let mut config = Config::parse(&self.text)
            .map_err(|error| format!("Failed to parse config: {error}\nFailed to load config."))?;
        let configured = config.device().map_err(|problem| problem.to_string())?;
        // The pid file alone identifies a daemon to stop or to check.
        let device = match (&options.pid_file, options.command) {
            (Some(_), Command::Kill | Command::Check) => String::new(),
            _ => self.device_name(options, configured)?,
        };
        config.set_device(&device);
        Ok(Plan {
            config,
            pid_file: match &options.pid_file {
                Some(file) => file.clone(),
                None => pid_file(&device),
            },
            device,
            origin: self.origin.clone(),
        })
    }

    /// Returns the device that `-t` names, else the configuration, else the file of a directory; else
    /// the first unused name of `team0`, `team1`, ...
    ///
    /// # Errors
    /// The lines for stderr: no interface may have the name, or `-k` or `-e` has no name.
    fn device_name(&self, options: &Options, configured: Option<&str>) -> Result<String, String> {
        let named = options.team_dev.as_deref().or(configured);
        let name = match named.or(self.stem.as_deref()) {
            Some(name) => name.to_owned(),
            None if options.command != Command::Run => {
                return Err("Team device name not specified.".to_owned());
            }
            None => (0..)
                .map(|number| format!("team{number}"))
                .find(|name| if_nametoindex(name.as_str()).is_err())
                .unwrap_or_default(),
        };
        let refuse = |errno: Errno| {
            Err(format!(
                "\"{name}\" cannot be the name of a device.\nFailed: {}",
                errno.desc()
            ))
        };
        if is_interface_name(&name) {
            Ok(name)
        } else if name.len() > LONGEST_INTERFACE_NAME {
            refuse(Errno::ENAMETOOLONG)
        } else {
            refuse(Errno::EINVAL)
        }
    }
}

/// Reads the configurations of a directory, except hidden files.
fn in_directory(directory: &Path) -> Result<Vec<Source>, String> {
    let failed = |error: io::Error| {
        let (directory, why) = (directory.display(), strerror(&error));
        format!("{directory}: {why}\nFailed to load config.")
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_config = path.extension().is_some_and(|it| it == EXTENSION);
        if let Some(stem) = stem.filter(|stem| is_config && !stem.starts_with('.')) {
            files.push((stem.to_owned(), path.clone()));
        }
    }
    if files.is_empty() {
        let directory = directory.display();
        return Err(format!(
            "{directory}: no file ends in \".{EXTENSION}\"\nFailed to load config."
        ));
    }
    files.sort();
    let sources = files.into_iter().map(|(stem, path)| {
        let stem = Some(stem);
        Source::open(&path).map(|source| Source { stem, ..source })
    });
    sources.collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::getopt::Operands;
    use crate::process::run_dir;

    #[test]
    fn a_device_that_is_no_string_is_refused_even_if_an_option_names_one() {
        let source = Source::unnamed("-", br#"{"device": 5}"#.to_vec());
        for line in ["", "-t team0", "-k", "-k -t team0"] {
            let args = ["teamr"].into_iter().chain(line.split_whitespace());
            let options = Options::parse(args.map(OsString::from), Operands::Anywhere).unwrap();
            assert_eq!(
                source.plan(&options, run_dir::pid_file).err().as_deref(),
                Some(
                    "device: Failed to set team device name in config. \
                         (expected string, found integer)"
                )
            );
        }
    }
}
