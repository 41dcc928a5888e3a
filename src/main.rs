//! `teamr`, the daemon: from the command line to the loop.
//!
//! Everything that can be known to be wrong before the fork is said before the fork, on stderr.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use json_config::{Config, Problem};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use teamr::cli::daemonize::{Readiness, Side, daemonize};
use teamr::cli::logging::{self, LogOutput};
use teamr::cli::options::{self, Command, Options};
use teamr::cli::pidfile::{self, PidFile};
use teamr::cli::sandbox::{self, Filtered};
use teamr::cli::{VERSION, run_dir, signals, version_line};
use teamr::daemon::{Daemon, StartOptions};
use teamr::errno::strerror;
use teamr::sys::memory;
use teamr::sys::process::close_inherited;

/// Larger files are refused: a configuration of a thousand ports has a tenth of it.
const LARGEST_CONFIG: u64 = 1 << 20;

/// `IFNAMSIZ` with its ending zero.
const LONGEST_NAME: usize = 15;

/// Failed after a good start; the service manager may start again, which it must not after 1.
const FAILED_LATER: u8 = 2;

fn main() -> ExitCode {
    memory::be_thrifty();
    logging::init();
    let prepared = signals::reset().and_then(|()| close_inherited());
    if let Err(error) = prepared {
        log::warn!(
            "Failed to leave the parent's signals and files ({}).",
            strerror(&error)
        );
    }
    let posix = std::env::var_os("POSIXLY_CORRECT").is_some();
    let options = match Options::parse(std::env::args_os(), posix) {
        Ok(options) => options,
        Err(error) => {
            log::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match options.command {
        Command::Help => print(&options::help(&options.program)),
        Command::Version => print(&format!("{}\n", version_line(&options.program))),
        Command::CheckConfig => check_config(&options),
        Command::Kill | Command::Check | Command::Run => serve(&options),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(complaint) => {
            log::error!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

/// A reader that has gone away wants no more.
fn print(text: &str) -> Result<u8, String> {
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(0)
}

/// The text of the configuration and where it is from.
fn config_text(options: &Options) -> Result<(Vec<u8>, String), String> {
    match (&options.config_text, &options.config_file) {
        (Some(text), file) => {
            if file.is_some() {
                log::warn!("Command line config string is present, ignoring given config file.");
            }
            Ok((text.clone(), "command line".to_owned()))
        }
        (None, Some(file)) => {
            let text = read_config(file).map_err(|error| {
                let (file, why) = (file.display(), strerror(&error));
                format!("{file}: {why}\nFailed to load config.")
            })?;
            Ok((text, file.display().to_string()))
        }
        (None, None) => Ok((b"{}".to_vec(), "default".to_owned())),
    }
}

fn read_config(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let limit = LARGEST_CONFIG + 1;
    File::open(path)?.take(limit).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST_CONFIG {
        let megabytes = LARGEST_CONFIG >> 20;
        return Err(io::Error::other(format!(
            "the configuration is larger than {megabytes} MiB"
        )));
    }
    Ok(text)
}

/// `--check-config`: all problems on stdout, one a line.
fn check_config(options: &Options) -> Result<u8, String> {
    let (text, origin) = config_text(options)?;
    let problems = json_config::check(&text);
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match problem.position {
            Some(_) => format!("{origin}:{problem}\n"),
            None => format!("{origin}: {problem}\n"),
        })
        .collect();
    print(&lines.concat())?;
    Ok(u8::from(!problems.is_empty()))
}

fn serve(options: &Options) -> Result<u8, String> {
    let (text, _) = config_text(options)?;
    let mut config = Config::parse(&text)
        .map_err(|error| format!("Failed to parse config: {error}\nFailed to load config."))?;
    logging::set_debug_level(options.debug.max(config.debug_level()));
    let pid_file = |device: &str| match &options.pid_file {
        Some(file) => file.clone(),
        None => run_dir::pid_file(device),
    };
    // To find a daemon its pid file is enough.
    let running = || match &options.pid_file {
        Some(file) => Ok(file.clone()),
        None => device_name(options, &config).map(|device| pid_file(&device)),
    };
    match options.command {
        Command::Kill => match pidfile::stop(&running()?) {
            Ok(()) => Ok(0),
            Err(error) => Err(error.to_string()),
        },
        Command::Check => Ok(u8::from(pidfile::running(&running()?).is_none())),
        _ => {
            let device = device_name(options, &config)?;
            config.set_device(&device);
            let pid_file = pid_file(&device);
            start(options, config, device, pid_file)
        }
    }
}

/// From `-t`, else from the configuration, else the first that is free; a daemon to be found
/// must be named.
fn device_name(options: &Options, config: &Config) -> Result<String, String> {
    let named = options.team_dev.as_deref().or(config.device());
    let name = match named {
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

/// What would keep the team or one of its ports from starting.
fn validate(config: &Config) -> Result<(), Problem> {
    let mut trial = config.clone();
    trial.team_settings(0)?;
    for name in config.port_names() {
        trial.port_settings(name)?;
    }
    Ok(())
}

fn start(
    options: &Options,
    config: Config,
    device: String,
    pid_file: PathBuf,
) -> Result<u8, String> {
    for warning in config.warnings() {
        log::warn!("config: {warning}");
    }
    validate(&config).map_err(|problem| {
        let runner = match problem.path.starts_with("runner") {
            true => "Failed to init runner.\n",
            false => "",
        };
        format!("{problem}\n{runner}Failed: {}", Errno::EINVAL.desc())
    })?;
    run_dir::create().map_err(|error| {
        let dir = run_dir::path();
        format!(
            "Failed to create directory \"{}\"\nFailed: {}",
            dir.display(),
            strerror(&error)
        )
    })?;
    if let Some(pid) = pidfile::running(&pid_file) {
        let exists = Errno::EEXIST.desc();
        return Err(format!(
            "Daemon already running on PID {pid}.\nFailed: {exists}"
        ));
    }
    let readiness = if options.daemonize {
        match daemonize().map_err(|error| format!("Failed: {}", strerror(&error)))? {
            Side::Parent(verdict) => return Ok(verdict.conclude()),
            Side::Daemon(readiness) => Some(readiness),
        }
    } else {
        None
    };
    let variable = std::env::var(logging::VARIABLE).ok();
    let output = LogOutput::choose(options.log_output, variable.as_deref(), options.daemonize);
    logging::set_output(output, &format!("{}_{device}", options.program));
    let start = StartOptions {
        run_dir: run_dir::path(),
        pid_file,
        daemonized: options.daemonize,
        data_path: options.data_path.unwrap_or(config.data_path()),
        // Who replaces teamd sees nothing on the wire that it did not send.
        probe: config.probe().unwrap_or(options.program != "teamd"),
        take_over: options.take_over,
        warm_start: options.warm_start,
        recreate: options.force_recreate,
        keep_device: options.no_quit_destroy,
        warm_dir: options.warm_dir.clone(),
        no_ports: options.no_ports,
        usock: options.usock,
        dbus: options.dbus,
        zmq: options.zmq.clone(),
        device,
    };
    run(config, &start, options.sandbox, readiness)
}

/// The daemon's own life, from its pid file to its end.
fn run(
    config: Config,
    start: &StartOptions,
    sandboxed: bool,
    readiness: Option<Readiness>,
) -> Result<u8, String> {
    let (daemon, _pid_file) = match bring_up(config, start) {
        Ok(running) => running,
        Err((complaint, errno)) => {
            if let Some(readiness) = readiness {
                readiness.fail(errno);
            }
            return Err(complaint);
        }
    };
    if sandboxed {
        give_up_rights(daemon.loads_programs());
    }
    if let Some(readiness) = readiness {
        readiness.succeed();
    }
    log::info!("{VERSION} successfully started.");
    match daemon.run() {
        Ok(()) => Ok(0),
        Err(error) => {
            log::error!("Failed: {}", strerror(&error));
            Ok(FAILED_LATER)
        }
    }
}

/// A kernel that does not let us is no reason to leave the host without its network.
fn give_up_rights(loads_programs: bool) {
    match sandbox::enter(loads_programs) {
        Ok(Filtered::Yes) => log::debug!("Gave up all rights that are not needed any more."),
        Ok(Filtered::Unavailable) => {
            log::info!("This kernel cannot filter system calls; all stay allowed.");
        }
        Err(error) => {
            let cause = error
                .source()
                .map_or_else(String::new, |why| format!(" ({why})"));
            log::warn!("Failed to {error}{cause}.");
        }
    }
}

fn bring_up(config: Config, start: &StartOptions) -> Result<(Daemon, PidFile), (String, Errno)> {
    let pid_file = PidFile::create(&start.pid_file).map_err(|error| {
        let errno = error.errno();
        (format!("{error}\nFailed: {}", errno.desc()), errno)
    })?;
    let failed = |error: io::Error| (format!("Failed: {}", strerror(&error)), errno_of(&error));
    let mut daemon = Daemon::new().map_err(failed)?;
    daemon
        .start(config, start)
        .map_err(|error| (error.to_string(), errno_of(error.cause())))?;
    Ok((daemon, pid_file))
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
}
