//! `teamr`, the daemon: from the command line to the loop.
//!
//! Everything that can be known to be wrong before the fork is said before the fork, on stderr.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use json_config::{Config, Problem};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use teamr::args::configs::{Plan, Source, Sources};
use teamr::args::options::{self, Command, Options};
use teamr::args::{VERSION, version_line};
use teamr::daemon::{Daemon, StartOptions};
use teamr::errno::strerror;
use teamr::process::daemonize::{Readiness, Side, daemonize};
use teamr::process::logging::{self, LogOutput};
use teamr::process::pidfile::{self, PidFile};
use teamr::process::sandbox::{self, Filtered};
use teamr::process::{run_dir, signals};
use teamr::sys::memory;
use teamr::sys::process::close_inherited;

/// The lines for stderr, and the error number for who waits.
type Failure = (String, Errno);

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

/// `--check-config`: all problems on stdout, one a line.
fn check_config(options: &Options) -> Result<u8, String> {
    let sources = Sources::read(options)?;
    let mut lines = Vec::new();
    for Source { origin, text, .. } in &sources.all {
        let problems = json_config::check(text);
        lines.extend(problems.iter().map(|problem| match problem.position {
            Some(_) => format!("{origin}:{problem}\n"),
            None => format!("{origin}: {problem}\n"),
        }));
    }
    // Each may be well, and two of them want one device.
    if lines.is_empty() && sources.directory.is_some() {
        lines.extend(sources.plan(options).err().map(|clash| clash + "\n"));
    }
    print(&lines.concat())?;
    Ok(u8::from(!lines.is_empty()))
}

fn serve(options: &Options) -> Result<u8, String> {
    let sources = Sources::read(options)?;
    let plans = sources.plan(options)?;
    let debug = plans.iter().map(|plan| plan.config.debug_level()).max();
    logging::set_debug_level(options.debug.max(debug.unwrap_or_default()));
    if sources.directory.is_some() {
        logging::show_scopes();
    }
    match options.command {
        Command::Kill => kill(&plans, sources.directory.is_some()),
        Command::Check => {
            let runs = |plan: &Plan| pidfile::running(&plan.pid_file).is_some();
            Ok(u8::from(!plans.iter().all(runs)))
        }
        _ => start(options, plans, sources.directory.is_some()),
    }
}

/// Stops the daemons of these teams, which may be one. Who names one team does not mean to end
/// others; `all` is whether a directory of teams was named.
fn kill(plans: &[Plan], all: bool) -> Result<u8, String> {
    let mut complaint = None;
    let mut stopped = false;
    for plan in plans {
        if !all && pidfile::has_siblings(&plan.pid_file) {
            return Err(
                "Its daemon has other teams, too: -k -f DIRECTORY ends all of them, \
                 \"ip link delete\" of its device this one alone."
                    .to_owned(),
            );
        }
        match pidfile::stop(&plan.pid_file) {
            Ok(()) => stopped = true,
            Err(error) => complaint = complaint.or(Some(error.to_string())),
        }
    }
    match complaint {
        Some(complaint) if !stopped => Err(complaint),
        _ => Ok(0),
    }
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

/// Starts the daemon; `named` is whether it is one of a directory's teams.
fn start(options: &Options, plans: Vec<Plan>, named: bool) -> Result<u8, String> {
    for plan in &plans {
        let _log_scope = logging::scope(&plan.device);
        for warning in plan.config.warnings() {
            log::warn!("config: {warning}");
        }
        validate(&plan.config).map_err(|problem| {
            let runner = match problem.path.starts_with("runner") {
                true => "Failed to init runner.\n",
                false => "",
            };
            let place = match named {
                true => format!("{}: ", plan.origin),
                false => String::new(),
            };
            format!("{place}{problem}\n{runner}Failed: {}", Errno::EINVAL.desc())
        })?;
    }
    run_dir::create().map_err(|error| {
        let dir = run_dir::path();
        format!(
            "Failed to create directory \"{}\"\nFailed: {}",
            dir.display(),
            strerror(&error)
        )
    })?;
    let running: Vec<_> = plans
        .iter()
        .filter_map(|plan| pidfile::running(&plan.pid_file))
        .collect();
    if let Some(pid) = running.last().filter(|_| running.len() == plans.len()) {
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
    let ident = match (named, &plans[..]) {
        (false, [plan]) => format!("{}_{}", options.program, plan.device),
        _ => options.program.clone(),
    };
    logging::set_output(output, &ident);
    run(options, plans, named, readiness)
}

fn start_options(options: &Options, plan: &Plan) -> StartOptions {
    StartOptions {
        device: plan.device.clone(),
        run_dir: run_dir::path(),
        pid_file: plan.pid_file.clone(),
        daemonized: options.daemonize,
        data_path: options.data_path.unwrap_or(plan.config.data_path()),
        // Who replaces teamd sees nothing on the wire that it did not send.
        probe: plan.config.probe().unwrap_or(options.program != "teamd"),
        take_over: options.take_over,
        warm_start: options.warm_start,
        recreate: options.force_recreate,
        keep_device: options.no_quit_destroy,
        warm_dir: options.warm_dir.clone(),
        no_ports: options.no_ports,
        usock: options.usock,
        dbus: options.dbus,
        zmq: options.zmq.clone(),
    }
}

/// The daemon's own life, from its pid files to its end.
fn run(
    options: &Options,
    plans: Vec<Plan>,
    named: bool,
    mut readiness: Option<Readiness>,
) -> Result<u8, String> {
    let advance = || readiness.iter_mut().for_each(Readiness::advance);
    let daemon = match bring_up(options, plans, named, advance) {
        Ok(daemon) => daemon,
        Err((complaint, errno)) => {
            if let Some(readiness) = readiness {
                readiness.fail(errno);
            }
            return Err(complaint);
        }
    };
    if options.sandbox {
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

/// Of a directory's teams, one that cannot be had keeps no other from starting; `advance` is called
/// after each.
fn bring_up(
    options: &Options,
    plans: Vec<Plan>,
    named: bool,
    mut advance: impl FnMut(),
) -> Result<Daemon, Failure> {
    if named {
        allow_many_files();
    }
    let mut daemon = Daemon::new().map_err(|error| {
        let complaint = format!("Failed: {}", strerror(&error));
        (complaint, errno_of(&error))
    })?;
    let mut failed = None;
    for plan in plans {
        let device = plan.device.clone();
        if let Err((complaint, errno)) = bring_up_team(&mut daemon, options, plan) {
            if !named {
                return Err((complaint, errno));
            }
            let _log_scope = logging::scope(&device);
            log::error!("{complaint}");
            failed = Some(errno);
        }
        advance();
        // What it has got so far is given back by its own end.
        if named && !daemon.turn_between_starts() {
            return Ok(daemon);
        }
    }
    match failed.filter(|_| !daemon.has_teams()) {
        Some(errno) => Err((format!("No team is left.\nFailed: {}", errno.desc()), errno)),
        None => Ok(daemon),
    }
}

/// A team needs some dozens, and the usual limit was made for programs that wait for files by
/// `select`.
fn allow_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(errno) = raised {
        log::warn!(
            "Failed to raise the limit of open files ({}).",
            errno.desc()
        );
    }
}

fn bring_up_team(daemon: &mut Daemon, options: &Options, plan: Plan) -> Result<(), Failure> {
    let start = start_options(options, &plan);
    let pid_file = PidFile::create(&plan.pid_file).map_err(|error| {
        let errno = error.errno();
        (format!("{error}\nFailed: {}", errno.desc()), errno)
    })?;
    daemon
        .start(plan.config, &start, pid_file)
        .map_err(|error| (error.to_string(), errno_of(error.cause())))
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
}
