//! `teamr`, the daemon, from the command line to the loop.
//!
//! [`main`] reads the command line. `check_config`, `is_running` and `kill` answer at once. [`start`]
//! reports on stderr whatever can be checked before the fork, becomes a daemon process and calls
//! [`run`], which starts the teams, gives up rights, reports readiness and enters the loop of
//! [`Daemon::run`].

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use json_config::{Config, Problem};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use teamr::args::configs::{Plan, Source, Sources};
use teamr::args::getopt::Operands;
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

/// Exit status of a daemon that failed after a good start: the service manager may start it again,
/// which it must not after status 1.
const FAILED_LATER: u8 = 2;

/// Whether the command line names one team or a directory of teams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Teams {
    One,
    Directory,
}

/// Why a start failed.
struct Failure {
    /// Lines for stderr.
    lines: String,
    /// For the parent process that waits.
    errno: Errno,
}

fn main() -> ExitCode {
    memory::keep_heap_small();
    logging::init();
    let prepared = signals::reset().and_then(|()| close_inherited());
    if let Err(error) = prepared {
        log::warn!(
            "Failed to reset signals and close inherited files ({}).",
            strerror(&error)
        );
    }
    let options = match Options::parse(std::env::args_os(), Operands::from_env()) {
        Ok(options) => options,
        Err(error) => {
            log::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match options.command {
        Command::Help => Ok(print(&options::help(&options.program))),
        Command::Version => Ok(print(&format!("{}\n", version_line(&options.program)))),
        Command::CheckConfig => check_config(&options),
        Command::Kill | Command::Check | Command::Run => with_teams(&options),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(lines) => {
            log::error!("{lines}");
            ExitCode::FAILURE
        }
    }
}

/// Prints on stdout, and succeeds also if the reader has closed it.
fn print(text: &str) -> u8 {
    let _ = io::stdout().write_all(text.as_bytes());
    0
}

/// `--check-config`: prints all problems on stdout, one a line.
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
    // Two configurations without a problem of their own may name the same device.
    if lines.is_empty() && sources.directory.is_some() {
        let clash = sources.plan(options, run_dir::pid_file).err();
        lines.extend(clash.map(|clash| clash + "\n"));
    }
    print(&lines.concat());
    Ok(u8::from(!lines.is_empty()))
}

/// Executes a command that needs the configurations.
fn with_teams(options: &Options) -> Result<u8, String> {
    let sources = Sources::read(options)?;
    let plans = sources.plan(options, run_dir::pid_file)?;
    let debug = plans.iter().map(|plan| plan.config.debug_level()).max();
    logging::set_debug_level(options.debug.max(debug.unwrap_or_default()));
    let teams = match sources.directory {
        Some(_) => Teams::Directory,
        None => Teams::One,
    };
    if teams == Teams::Directory {
        logging::show_scopes();
    }
    match options.command {
        Command::Kill => kill(&plans, teams),
        Command::Check => Ok(u8::from(!plans.iter().all(is_running))),
        _ => start(options, plans, teams),
    }
}

/// `-e`: returns whether a daemon runs the team.
fn is_running(plan: &Plan) -> bool {
    pidfile::running(&plan.pid_file).is_some()
}

/// `-k`: stops the daemon or daemons of these teams. Refuses to stop a daemon that has other teams
/// than the one named.
fn kill(plans: &[Plan], teams: Teams) -> Result<u8, String> {
    let mut failure = None;
    let mut stopped = false;
    for plan in plans {
        if teams == Teams::One && pidfile::has_siblings(&plan.pid_file) {
            return Err(
                "Its daemon has other teams, too: -k -f DIRECTORY ends all of them, \
                 \"ip link delete\" of its device this one alone."
                    .to_owned(),
            );
        }
        match pidfile::stop(&plan.pid_file) {
            Ok(()) => stopped = true,
            Err(error) => failure = failure.or(Some(error.to_string())),
        }
    }
    match failure {
        Some(failure) if !stopped => Err(failure),
        _ => Ok(0),
    }
}

/// Starts the daemon: checks first, then the fork, then [`run`].
fn start(options: &Options, plans: Vec<Plan>, teams: Teams) -> Result<u8, String> {
    plans.iter().try_for_each(|plan| check_plan(plan, teams))?;
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
    let ident = match (teams, &plans[..]) {
        (Teams::One, [plan]) => format!("{}_{}", options.program, plan.device),
        _ => options.program.clone(),
    };
    logging::set_output(output, &ident);
    run(options, plans, teams, readiness)
}

/// Logs the warnings of a configuration; fails if the team or one of its ports could not start.
fn check_plan(plan: &Plan, teams: Teams) -> Result<(), String> {
    let _log_scope = logging::scope(&plan.device);
    for warning in plan.config.warnings() {
        log::warn!("config: {warning}");
    }
    check_settings(&plan.config).map_err(|problem| {
        let runner = match problem.path.starts_with("runner") {
            true => "Failed to init runner.\n",
            false => "",
        };
        let place = match teams {
            Teams::Directory => format!("{}: ", plan.origin),
            Teams::One => String::new(),
        };
        format!("{place}{problem}\n{runner}Failed: {}", Errno::EINVAL.desc())
    })
}

fn check_settings(config: &Config) -> Result<(), Problem> {
    let mut trial = config.clone();
    trial.team_settings(0)?;
    for name in config.port_names() {
        trial.port_settings(name)?;
    }
    Ok(())
}

/// Runs the daemon from its pid files to its end, in the process that stays.
fn run(
    options: &Options,
    plans: Vec<Plan>,
    teams: Teams,
    mut readiness: Option<Readiness>,
) -> Result<u8, String> {
    let advance = || readiness.iter_mut().for_each(Readiness::advance);
    let daemon = match start_teams(options, plans, teams, advance) {
        Ok(daemon) => daemon,
        Err(failure) => {
            if let Some(readiness) = readiness {
                readiness.fail(failure.errno);
            }
            return Err(failure.lines);
        }
    };
    if options.sandbox {
        enter_sandbox(daemon.loads_programs());
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

/// Starts the teams and calls `advance` after each. A team of a directory that fails does not keep
/// the others from starting.
fn start_teams(
    options: &Options,
    plans: Vec<Plan>,
    teams: Teams,
    mut advance: impl FnMut(),
) -> Result<Daemon, Failure> {
    if teams == Teams::Directory {
        raise_file_limit();
    }
    let mut daemon = Daemon::new().map_err(|error| Failure {
        lines: format!("Failed: {}", strerror(&error)),
        errno: errno_of(&error),
    })?;
    let mut failed = None;
    for plan in plans {
        let device = plan.device.clone();
        let started = start_team(&mut daemon, options, plan);
        match (started, teams) {
            (Ok(()), _) => {}
            (Err(failure), Teams::One) => return Err(failure),
            (Err(failure), Teams::Directory) => {
                let _log_scope = logging::scope(&device);
                log::error!("{}", failure.lines);
                failed = Some(failure.errno);
            }
        }
        advance();
        // A daemon that is to end ends in its own `run`, which releases what it has.
        if teams == Teams::Directory && !daemon.turn_between_starts() {
            return Ok(daemon);
        }
    }
    match failed.filter(|_| !daemon.has_teams()) {
        Some(errno) => Err(Failure {
            lines: format!("No team is left.\nFailed: {}", errno.desc()),
            errno,
        }),
        None => Ok(daemon),
    }
}

fn start_team(daemon: &mut Daemon, options: &Options, plan: Plan) -> Result<(), Failure> {
    let start = start_options(options, &plan);
    let pid_file = PidFile::create(&plan.pid_file).map_err(|error| {
        let errno = error.errno();
        let lines = format!("{error}\nFailed: {}", errno.desc());
        Failure { lines, errno }
    })?;
    let started = daemon.start(plan.config, &start, pid_file);
    started.map_err(|error| Failure {
        lines: error.to_string(),
        errno: errno_of(error.cause()),
    })
}

fn start_options(options: &Options, plan: &Plan) -> StartOptions {
    StartOptions {
        device: plan.device.clone(),
        run_dir: run_dir::path(),
        pid_file: plan.pid_file.clone(),
        daemonized: options.daemonize,
        data_path: options.data_path.unwrap_or(plan.config.data_path()),
        // In place of teamd, teamr sends no frame that teamd does not send.
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

/// Raises the limit of open files, since a team needs some dozens: the usual limit is for programs
/// that call `select`.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(errno) = raised {
        log::warn!(
            "Failed to raise the limit of open files ({}).",
            errno.desc()
        );
    }
}

/// Gives up the rights that the loop does not need. A failure is logged: the host shall not lose
/// its network because the kernel refuses.
fn enter_sandbox(loads_programs: bool) {
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

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
}
