//! The configurations that a command line names: a file, a text, or each file of a directory.
//!
//! One file or text is teamd's way. A directory is ours: each of its files that ends in `.json` is
//! a team, and all of them run in one process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use json_config::Config;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

use super::options::{Command, Options};
use crate::errno::strerror;

/// Larger files are refused: a configuration of a thousand ports has a tenth of it.
const LARGEST: u64 = 1 << 20;

/// `IFNAMSIZ` with its ending zero.
const LONGEST_NAME: usize = 15;

/// What a configuration's file is called in a directory.
const EXTENSION: &str = "json";

/// A configuration as it was found.
pub struct Source {
    /// Where it is from, for messages.
    pub origin: String,
    /// Its text.
    pub text: Vec<u8>,
    /// In a directory: the device of a configuration that names none.
    stem: Option<String>,
}

/// All that the command line names.
pub struct Sources {
    /// In the order of their files' names.
    pub all: Vec<Source>,
    /// They are the files of this directory.
    pub directory: Option<PathBuf>,
}

/// A team that is to run.
pub struct Plan {
    /// What it is.
    pub config: Config,
    /// Its device.
    pub device: String,
    /// Where its pid file is.
    pub pid_file: PathBuf,
    /// Where the configuration is from.
    pub origin: String,
}

impl Sources {
    /// Reads them.
    ///
    /// # Errors
    /// The lines for stderr: a file or directory that cannot be read, a directory without
    /// configurations, or options that are about one team beside a directory.
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
        let about_one =
            options.team_dev.is_some() || options.pid_file.is_some() || options.zmq.is_some();
        match &directory {
            Some(directory) if about_one => Err(format!(
                "-t, -p and -Z are about one team, {} is a directory of teams: name one of its files.",
                directory.display()
            )),
            _ => Ok(Sources { all, directory }),
        }
    }

    /// The teams of these configurations; `pid_file` returns the pid file of a device.
    ///
    /// # Errors
    /// The lines for stderr: the first configuration that makes no sense, or whose device is
    /// another's, too.
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
        let text = read_limited(file).map_err(|error| {
            let (file, why) = (file.display(), strerror(&error));
            format!("{file}: {why}\nFailed to load config.")
        })?;
        Ok(Source::unnamed(&file.display().to_string(), text))
    }

    /// What it says.
    ///
    /// # Errors
    /// The lines for stderr.
    pub fn parse(&self) -> Result<Config, String> {
        Config::parse(&self.text)
            .map_err(|error| format!("Failed to parse config: {error}\nFailed to load config."))
    }

    fn plan(&self, options: &Options, pid_file: fn(&str) -> PathBuf) -> Result<Plan, String> {
        let mut config = self.parse()?;
        let configured = config.device().map_err(|problem| problem.to_string())?;
        // To find a daemon its pid file is enough.
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

    /// From `-t`, else from the configuration, else in a directory from the file, else the first
    /// that is free; a daemon to be found must be named.
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
        if name.len() > LONGEST_NAME {
            return refuse(Errno::ENAMETOOLONG);
        }
        let impossible = |c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace();
        if name.is_empty() || name == "." || name == ".." || name.contains(impossible) {
            return refuse(Errno::EINVAL);
        }
        Ok(name)
    }
}

/// The configurations of a directory. Hidden files are none.
fn in_directory(directory: &Path) -> Result<Vec<Source>, String> {
    let failed = |error: io::Error| {
        let (directory, why) = (directory.display(), strerror(&error));
        format!("{directory}: {why}\nFailed to load config.")
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_one = path.extension().is_some_and(|it| it == EXTENSION);
        if let Some(stem) = stem.filter(|stem| is_one && !stem.starts_with('.')) {
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

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        let megabytes = LARGEST >> 20;
        return Err(io::Error::other(format!(
            "the configuration is larger than {megabytes} MiB"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::process::run_dir;

    #[test]
    fn a_device_that_is_no_string_is_refused_also_where_another_is_named() {
        let source = Source::unnamed("-", br#"{"device": 5}"#.to_vec());
        for line in ["", "-t team0", "-k", "-k -t team0"] {
            let args = ["teamr"].into_iter().chain(line.split_whitespace());
            let options = Options::parse(args.map(OsString::from), false).unwrap();
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
