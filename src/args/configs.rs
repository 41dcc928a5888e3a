//! Reads the configurations that a command line names: a file, a text, or a directory of files.
//!
//! teamd takes one file or text. Of a directory, each file that ends in `.json` configures a team;
//! all teams run in one process. Each configuration is parsed once, into one [`Plan`]. An invalid
//! file of a directory is a [`Fault`] and does not affect the others.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use json_config::{Config, LARGEST};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use runners::{LONGEST_INTERFACE_NAME, is_interface_name};

use super::options::{Command, Options};
use crate::errno::strerror;
use crate::files;

/// Extension of the configuration files of a directory.
pub const EXTENSION: &str = "json";

/// The text of a configuration.
pub struct Source {
    /// Name of the file, `command line` or `default`; for messages.
    pub origin: String,
    /// Absolute path of the file, if the text has one.
    file: Option<PathBuf>,
    /// JSON text, not yet parsed; or the lines that say why a file of a directory cannot be read.
    pub text: Result<Vec<u8>, String>,
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
    /// Whether neither the command line nor the configuration names the device.
    pub is_unnamed: bool,
    /// Path of the pid file.
    pub pid_file: PathBuf,
    /// Origin of the configuration, as in [`Source`].
    pub origin: String,
    /// Absolute path of the configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// Whether the file is one of a directory.
    pub in_directory: bool,
}

/// A configuration whose team cannot start.
#[derive(Debug)]
pub struct Fault {
    /// Origin of the configuration, as in [`Source`].
    pub origin: String,
    /// Lines that say why; the first one begins with the origin if the configuration is one of a
    /// directory.
    pub lines: String,
}

impl Sources {
    /// Reads the configurations that `options` name.
    ///
    /// # Errors
    /// The lines for stderr: a directory, or a file outside a directory, that cannot be read, or a
    /// directory together with an option of a single team.
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
            (None, Some(file)) => {
                let source = Source::open(file);
                source.text.as_ref().map_err(String::clone)?;
                (vec![source], None)
            }
            (None, None) => (vec![Source::unnamed("default", b"{}".to_vec())], None),
        };
        let has_option_of_one_team = options.team_dev.is_some() || options.pid_file.is_some();
        match &directory {
            None if options.watch => {
                Err("--watch is about a directory of teams: name one with -f.".to_owned())
            }
            Some(directory) if has_option_of_one_team => Err(format!(
                "-t and -p are about one team, {} is a directory of teams: name one of its files.",
                directory.display()
            )),
            _ => Ok(Sources { all, directory }),
        }
    }

    /// Fails for a directory without configurations, with the line for stderr or the log.
    pub fn require_any(&self) -> Result<(), String> {
        match &self.directory {
            Some(directory) if self.all.is_empty() => {
                Err(format!("{}: no file ends in \".{EXTENSION}\"", directory.display()))
            }
            _ => Ok(()),
        }
    }

    /// Returns the teams of the configurations, and the configurations that start no team: invalid
    /// ones, and those that name the device or a port of an earlier one. `pid_file` returns the
    /// default pid file of a device.
    pub fn plan(
        &self,
        options: &Options,
        pid_file: fn(&str) -> PathBuf,
    ) -> (Vec<Plan>, Vec<Fault>) {
        let mut owners = BTreeMap::new();
        let (mut plans, mut faults) = (Vec::new(), Vec::new());
        for source in &self.all {
            let planned = source.plan(options, pid_file);
            let unique = planned.and_then(|plan| plan.enter_names(&mut owners).map(|()| plan));
            match unique {
                Ok(plan) => plans.push(plan),
                Err(complaint) => faults.push(self.fault(source.origin.clone(), &complaint)),
            }
        }
        (plans, faults)
    }

    /// Returns the fault of a configuration.
    pub fn fault(&self, origin: String, complaint: &str) -> Fault {
        let lines = match self.directory {
            Some(_) if !complaint.starts_with(&origin) => format!("{origin}: {complaint}"),
            _ => complaint.to_owned(),
        };
        Fault { origin, lines }
    }
}

impl Plan {
    /// Gives the team another device, whose default pid file is `pid_file`.
    pub fn set_device(&mut self, device: String, options: &Options, pid_file: PathBuf) {
        self.config.set_device(&device);
        self.device = device;
        if options.pid_file.is_none() {
            self.pid_file = pid_file;
        }
    }

    /// Enters the device and the ports into `owners`, by kind and name, with the origin.
    ///
    /// # Errors
    /// Another configuration has one of them.
    fn enter_names(
        &self,
        owners: &mut BTreeMap<(&'static str, String), String>,
    ) -> Result<(), String> {
        let ports = self.config.port_names().map(|port| ("port", port.to_owned()));
        let names: Vec<_> = iter::once(("device", self.device.clone())).chain(ports).collect();
        if let Some((kind, name)) = names.iter().find(|name| owners.contains_key(*name)) {
            let owner = &owners[&(*kind, name.clone())];
            return Err(format!("the {kind} \"{name}\" is that of {owner}, too."));
        }
        owners.extend(names.into_iter().map(|name| (name, self.origin.clone())));
        Ok(())
    }
}

impl Source {
    fn unnamed(origin: &str, text: Vec<u8>) -> Self {
        Source { origin: origin.to_owned(), file: None, text: Ok(text), stem: None }
    }

    fn open(file: &Path) -> Self {
        let text = files::read_named(file, LARGEST).map_err(|error| {
            format!("{}: {}\nFailed to load config.", file.display(), strerror(&error))
        });
        // The daemon leaves the working directory.
        let absolute = std::path::absolute(file).ok();
        Source { origin: file.display().to_string(), file: absolute, text, stem: None }
    }

    fn plan(&self, options: &Options, pid_file: fn(&str) -> PathBuf) -> Result<Plan, String> {
        let text = self.text.as_ref().map_err(String::clone)?;
        let mut config = Config::parse(text)
            .map_err(|error| format!("Failed to parse config: {error}\nFailed to load config."))?;
        let configured = config.device().map_err(|problem| problem.to_string())?;
        // The pid file alone identifies a daemon to stop or to check.
        let device = match (&options.pid_file, options.command) {
            (Some(_), Command::Kill | Command::Check) => String::new(),
            _ => self.device_name(options, configured)?,
        };
        let is_unnamed = options.team_dev.is_none() && configured.is_none() && self.stem.is_none();
        config.set_device(&device);
        Ok(Plan {
            config,
            is_unnamed,
            pid_file: match &options.pid_file {
                Some(file) => file.clone(),
                None => pid_file(&device),
            },
            device,
            origin: self.origin.clone(),
            file: self.file.clone(),
            in_directory: self.stem.is_some(),
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
                let remedy = match options.program.as_str() {
                    "teamd" => "",
                    _ => "\nName the device with -t DEVICE, or its configuration with -f FILE.",
                };
                return Err(format!("Team device name not specified.{remedy}"));
            }
            None => (0..)
                .map(|number| format!("team{number}"))
                .find(|name| if_nametoindex(name.as_str()).is_err())
                .unwrap_or_default(),
        };
        if is_interface_name(&name) {
            return Ok(name);
        }
        let is_long = name.len() > LONGEST_INTERFACE_NAME;
        let errno = if is_long { Errno::ENAMETOOLONG } else { Errno::EINVAL };
        Err(format!("\"{name}\" cannot be the name of a device.\nFailed: {}", errno.desc()))
    }
}

/// Reads the configurations of a directory, except hidden files.
fn in_directory(directory: &Path) -> Result<Vec<Source>, String> {
    let failed = |error: io::Error| {
        format!("{}: {}\nFailed to load config.", directory.display(), strerror(&error))
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
    files.sort();
    let open = |(stem, path): (String, PathBuf)| Source { stem: Some(stem), ..Source::open(&path) };
    Ok(files.into_iter().map(open).collect())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs::DirBuilder;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::args::getopt::Operands;
    use crate::process::run_dir;

    /// The open of a FIFO would wait for a writer.
    #[test]
    fn a_file_that_is_not_regular_is_an_error_at_once() {
        let folder = std::env::temp_dir().join(format!("teamr-configs-{}", std::process::id()));
        DirBuilder::new().recursive(true).create(&folder).unwrap();
        let fifo = folder.join("x.json");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        for path in [&fifo, &folder] {
            let args = ["teamr", "-f", path.to_str().unwrap()].map(OsString::from);
            let options = Options::parse(args, Operands::Anywhere).unwrap();
            let complaint = match Sources::read(&options) {
                Err(complaint) => complaint,
                Ok(sources) => {
                    let (plans, faults) = sources.plan(&options, run_dir::pid_file);
                    assert!(plans.is_empty());
                    faults.into_iter().map(|fault| fault.lines).collect()
                }
            };
            assert!(complaint.contains("x.json: not a regular file"), "{complaint}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

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
