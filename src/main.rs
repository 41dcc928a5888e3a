//! `teamr`, the daemon, from the command line to the loop.
//!
//! [`main`] reads the command line. `check_config` and `kill` answer at once. [`start`]
//! reports on stderr whatever can be checked before the fork, becomes a daemon process and calls
//! [`run`], which starts the teams, gives up rights, reports readiness and enters the loop of
//! [`Daemon::run`].

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use json_config::{Config, Problem};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use teamr::args::configs::{EXTENSION, Fault, Plan, Source, Sources};
use teamr::args::getopt::Operands;
use teamr::args::options::{self, Command, Options};
use teamr::args::{VERSION, version_line};
use teamr::daemon::{Daemon, Listing, ReadDirectory, StartOptions, left_team};
use teamr::errno::strerror;
use teamr::process::daemonize::{Readiness, Side, Verdict, daemonize};
use teamr::process::logging::{self, LogOutput};
use teamr::process::pidfile::{self, CreateError, PidFile};
use teamr::process::sandbox::{self, OwnFiles, ProgramRights, Sandbox};
use teamr::process::service_manager::passed_descriptors;
use teamr::process::{run_dir, signals};
use teamr::sys::memory;
use teamr::sys::process::close_inherited;

/// Exit status of a daemon that failed after a good start: the service manager may start it again,
/// which it must not after status 1.
const FAILED_LATER: u8 = 2;

/// Exit status of a daemon that ran some teams of a directory, but not all.
const NOT_ALL_TEAMS: u8 = 3;

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
    let prepared = signals::reset().and_then(|()| close_inherited(passed_descriptors()));
    if let Err(error) = prepared {
        log::warn!("Failed to reset signals and close inherited files ({}).", strerror(&error));
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
    sources.require_any()?;
    let mut lines = Vec::new();
    let mut faulty = Vec::new();
    for Source { origin, text, .. } in &sources.all {
        let problems = match text {
            Ok(text) => json_config::check(text),
            Err(complaint) => {
                lines.push(format!("{complaint}\n"));
                faulty.push(origin);
                continue;
            }
        };
        if !problems.is_empty() {
            faulty.push(origin);
        }
        lines.extend(problems.iter().map(|problem| match problem.position {
            Some(_) => format!("{origin}:{problem}\n"),
            None => format!("{origin}: {problem}\n"),
        }));
    }
    // Two configurations without a problem of their own may name the same device or port.
    if sources.directory.is_some() {
        let (_, mut clashes) = sources.plan(options, run_dir::pid_file);
        clashes.retain(|clash| !faulty.contains(&&clash.origin));
        lines.extend(clashes.into_iter().map(|clash| clash.lines + "\n"));
    }
    print(&lines.concat());
    Ok(u8::from(!lines.is_empty()))
}

/// Executes a command that needs the configurations.
fn with_teams(options: &Options) -> Result<u8, String> {
    let sources = Sources::read(options)?;
    // The daemon to stop may have started with files that are gone.
    if options.command != Command::Kill {
        sources.require_any()?;
    }
    let (mut plans, mut faults) = sources.plan(options, run_dir::pid_file);
    let debug = plans.iter().map(|plan| plan.config.debug_level()).max();
    logging::set_debug_level(options.debug.max(debug.unwrap_or_default()));
    let teams = match sources.directory {
        Some(_) => {
            logging::show_scopes();
            Teams::Directory
        }
        None => Teams::One,
    };
    if options.command == Command::Run {
        plans.iter_mut().for_each(|plan| find_left_team(options, plan));
        plans.retain(|plan| match check_plan(plan) {
            Ok(()) => true,
            Err(complaint) => {
                faults.push(sources.fault(plan.origin.clone(), &complaint));
                false
            }
        });
    }
    let stops_directory = options.command == Command::Kill && teams == Teams::Directory;
    if plans.is_empty() && !stops_directory {
        return Err(faults.into_iter().map(|fault| fault.lines).collect::<Vec<_>>().join("\n"));
    }
    faults.iter().for_each(|fault| log::error!("{}", fault.lines));
    match options.command {
        Command::Kill => kill(&plans, sources.directory.as_deref()),
        Command::Check => {
            let is_running = |plan: &Plan| pidfile::running(&plan.pid_file).is_some();
            Ok(u8::from(!faults.is_empty() || !plans.iter().all(is_running)))
        }
        _ => start(options, plans, teams, faults),
    }
}

/// Gives a team without a name the device that an earlier daemon left with the team's ports.
fn find_left_team(options: &Options, plan: &mut Plan) {
    let left = plan.is_unnamed.then(|| left_team(&plan.config, &start_options(options, plan)));
    let Some(device) = left.flatten() else { return };
    let pid_file = run_dir::pid_file(&device);
    // A daemon of libteam has no lock that teamr knows.
    if pidfile::running(&pid_file).is_none() {
        plan.set_device(device, options, pid_file);
    }
}

/// `-k`: stops the daemon of this directory, and the daemon or daemons of these teams. Refuses to
/// stop a daemon that has other teams than the one named.
fn kill(plans: &[Plan], directory: Option<&Path>) -> Result<u8, String> {
    let mut failure = None;
    let mut stopped = false;
    let of_directory = directory.map(run_dir::directory_pid_file);
    for pid_file in of_directory.iter().chain(plans.iter().map(|plan| &plan.pid_file)) {
        if directory.is_none() && pidfile::has_siblings(pid_file) {
            return Err("Its daemon has other teams, too: -k -f DIRECTORY ends all of them, \
                 \"ip link delete\" of its device this one alone."
                .to_owned());
        }
        match pidfile::stop(pid_file) {
            Ok(()) => stopped = true,
            Err(error) => failure = failure.or(Some(error.to_string())),
        }
    }
    match failure {
        Some(failure) if !stopped => Err(failure),
        _ => Ok(0),
    }
}

/// Fails if all of these teams run already.
fn refuse_running(options: &Options, plans: &[Plan]) -> Result<(), String> {
    let running: Vec<_> =
        plans.iter().filter_map(|plan| Some((plan, pidfile::running(&plan.pid_file)?))).collect();
    let Some((plan, pid)) = running.last().filter(|_| running.len() == plans.len()) else {
        return Ok(());
    };
    let exists = Errno::EEXIST.desc();
    // Scripts read the lines of teamd.
    let remedy = match options.program.as_str() {
        "teamd" => String::new(),
        _ => format!(
            "\"teamrctl {0} reload\" applies a changed file, \"teamr -k -t {0}\" ends the daemon.\n",
            plan.device
        ),
    };
    Err(format!("Daemon already running on PID {pid}.\n{remedy}Failed: {exists}"))
}

/// Starts the daemon: the run directory first, then the fork, then [`run`]. `faults` are the
/// configurations that start no team.
fn start(
    options: &Options,
    plans: Vec<Plan>,
    teams: Teams,
    faults: Vec<Fault>,
) -> Result<u8, String> {
    run_dir::create().map_err(|error| {
        let dir = run_dir::path();
        format!("Failed to create directory \"{}\"\nFailed: {}", dir.display(), strerror(&error))
    })?;
    refuse_running(options, &plans)?;
    let variable = std::env::var(logging::VARIABLE).ok();
    let output = LogOutput::choose(options.log_output, variable.as_deref(), options.daemonize);
    if options.daemonize && output != LogOutput::Syslog {
        log::warn!(
            "The log is lost: a daemon in the background has neither standard output nor standard \
             error. Log to syslog instead: -l syslog"
        );
    }
    let readiness = if options.daemonize {
        match daemonize().map_err(|error| format!("Failed: {}", strerror(&error)))? {
            Side::Parent(Verdict::Partly) => return Ok(NOT_ALL_TEAMS),
            Side::Parent(verdict) => return Ok(verdict.conclude()),
            Side::Daemon(readiness) => Some(readiness),
        }
    } else {
        None
    };
    let ident = match (teams, &plans[..]) {
        (Teams::One, [plan]) => format!("{}_{}", options.program, plan.device),
        _ => options.program.clone(),
    };
    logging::set_output(output, &ident);
    // teamd's parent process prints no cause.
    if options.daemonize && options.program != "teamd" {
        logging::keep_errors();
    }
    run(options, plans, teams, faults, readiness)
}

/// Logs the warnings of a configuration; fails if the team or one of its ports could not start.
fn check_plan(plan: &Plan) -> Result<(), String> {
    let _log_scope = logging::scope(&plan.device);
    for warning in plan.config.warnings() {
        log::warn!("config: {warning}");
    }
    check_settings(&plan.config).map_err(|problem| {
        let runner = match problem.path.starts_with("runner") {
            true => "Failed to init runner.\n",
            false => "",
        };
        format!("{problem}\n{runner}Failed: {}", Errno::EINVAL.desc())
    })
}

fn check_settings(config: &Config) -> Result<(), Problem> {
    let mut copy = config.clone();
    copy.team_settings(0)?;
    for name in config.port_names() {
        copy.port_settings(name)?;
    }
    Ok(())
}

/// Runs the daemon from its pid files to its end, in the process that stays.
fn run(
    options: &Options,
    plans: Vec<Plan>,
    teams: Teams,
    faults: Vec<Fault>,
    mut readiness: Option<Readiness>,
) -> Result<u8, String> {
    let own = own_files(options, &plans);
    let advance = || readiness.iter_mut().for_each(Readiness::advance);
    let mut not_started: Vec<String> = faults.into_iter().map(|fault| fault.origin).collect();
    let mut daemon = match start_teams(options, plans, teams, &mut not_started, advance) {
        Ok(daemon) => daemon,
        Err(failure) => {
            if let Some(readiness) = readiness {
                readiness.fail(failure.errno, &logging::take_errors());
            }
            return Err(failure.lines);
        }
    };
    let mut of_directory = None;
    if teams == Teams::Directory {
        daemon.set_directory(directory(options));
        if options.watch {
            watch_directory(options, &mut daemon);
        }
        of_directory = create_directory_pid_file(options, &mut daemon);
    }
    let sandbox = options.sandbox.then(|| enter_sandbox(daemon.program_rights(), &own));
    let has_all_teams = not_started.is_empty();
    if let Some(readiness) = readiness {
        match has_all_teams {
            true => readiness.succeed(),
            false => readiness.succeed_partly(),
        }
    }
    daemon.set_not_started(not_started);
    logging::take_errors();
    log::info!("{VERSION} successfully started.");
    if !options.daemonize && options.program != "teamd" && io::stderr().is_terminal() {
        let _ = writeln!(
            io::stderr(),
            "The daemon runs in the foreground; Ctrl-C ends it, -d starts it in the background."
        );
    }
    let ended = daemon.run();
    drop(of_directory);
    drop(sandbox);
    match ended {
        Ok(()) if has_all_teams => Ok(0),
        Ok(()) => Ok(NOT_ALL_TEAMS),
        Err(error) => {
            log::error!("Failed: {}", strerror(&error));
            Ok(FAILED_LATER)
        }
    }
}

/// Watches the directory of the command line. A failure is logged, and the daemon runs without the
/// watch.
fn watch_directory(options: &Options, daemon: &mut Daemon) {
    let path = options.config_file.as_deref().and_then(|path| std::path::absolute(path).ok());
    let Some(path) = path else { return };
    if let Err(error) = daemon.watch_directory(&path, EXTENSION) {
        log::warn!("Failed to watch {} ({}).", path.display(), strerror(&error));
    }
}

/// Creates the pid file by which `-k` finds the daemon of a directory whose files are gone. A
/// second daemon of the directory, and a daemon that cannot create the file, run without the file.
fn create_directory_pid_file(options: &Options, daemon: &mut Daemon) -> Option<PidFile> {
    let path = run_dir::directory_pid_file(options.config_file.as_deref()?);
    match PidFile::create(&path, |pause| daemon.serve_partners(pause)) {
        Ok(pid_file) => Some(pid_file),
        Err(CreateError::AlreadyRunning(_)) => None,
        Err(error) => {
            log::warn!("{error}");
            None
        }
    }
}

/// Starts the teams and calls `advance` after each. A team of a directory that fails does not keep
/// the others from starting; its origin is added to `not_started`.
fn start_teams(
    options: &Options,
    plans: Vec<Plan>,
    teams: Teams,
    not_started: &mut Vec<String>,
    mut advance: impl FnMut(),
) -> Result<Daemon, Failure> {
    if teams == Teams::Directory {
        raise_file_limit();
    }
    let mut daemon = Daemon::new().map_err(|error| Failure {
        lines: format!("Failed: {}", strerror(&error)),
        errno: errno_of(&error),
    })?;
    daemon.expect_teams(plans.len());
    let mut failed = None;
    for plan in plans {
        let (device, origin) = (plan.device.clone(), plan.origin.clone());
        let started = start_team(&mut daemon, options, plan);
        match (started, teams) {
            (Ok(()), _) => {}
            (Err(failure), Teams::One) => return Err(failure),
            (Err(failure), Teams::Directory) => {
                let _log_scope = logging::scope(&device);
                log::error!("{}", failure.lines);
                failed = Some(failure.errno);
                not_started.push(origin);
            }
        }
        advance();
        // A daemon that is to end ends in its own `run`, which releases what it has.
        if teams == Teams::Directory && !daemon.turn_between_starts() {
            return Ok(daemon);
        }
    }
    match failed.filter(|_| !daemon.has_teams()) {
        Some(errno) => {
            Err(Failure { lines: format!("No team is left.\nFailed: {}", errno.desc()), errno })
        }
        None => Ok(daemon),
    }
}

/// Returns a function that reads the directory of the command line anew.
fn directory(options: &Options) -> ReadDirectory {
    let mut options = options.clone();
    // The daemon leaves the working directory.
    options.config_file = options.config_file.and_then(|path| std::path::absolute(path).ok());
    Box::new(move || {
        let sources = Sources::read(&options)?;
        if let Err(complaint) = sources.require_any() {
            log::warn!("{complaint}: the teams end, and the daemon with them.");
        }
        let (plans, clashes) = sources.plan(&options, run_dir::pid_file);
        let fault = |fault: Fault| (PathBuf::from(fault.origin), fault.lines);
        let mut listing =
            Listing { teams: Vec::new(), faults: clashes.into_iter().map(fault).collect() };
        for plan in plans {
            match check_plan(&plan) {
                Ok(()) => {
                    let start = start_options(&options, &plan);
                    listing.teams.push((plan.config, start));
                }
                Err(complaint) => {
                    listing.faults.push(fault(sources.fault(plan.origin, &complaint)));
                }
            }
        }
        Ok(listing)
    })
}

fn start_team(daemon: &mut Daemon, options: &Options, plan: Plan) -> Result<(), Failure> {
    let start = start_options(options, &plan);
    let created = PidFile::create(&plan.pid_file, |pause| daemon.serve_partners(pause));
    let pid_file = created.map_err(|error| {
        let errno = error.errno();
        let lines = format!("{error}\nFailed: {}", errno.desc());
        Failure { lines, errno }
    })?;
    let started = daemon.start(plan.config, &start, pid_file);
    started.map_err(|error| Failure { lines: error.to_string(), errno: errno_of(error.cause()) })
}

fn start_options(options: &Options, plan: &Plan) -> StartOptions {
    StartOptions {
        device: plan.device.clone(),
        config_file: plan.file.clone(),
        in_directory: plan.in_directory,
        run_dir: run_dir::path(),
        pid_file: plan.pid_file.clone(),
        daemonized: options.daemonize,
        names_device: options.team_dev.is_some(),
        data_path: options.data_path,
        // In place of teamd, teamr sends no frame that teamd does not send.
        probes_by_default: options.program != "teamd",
        take_over: options.take_over,
        warm_start: options.warm_start,
        recreate: options.force_recreate,
        keep_device: options.no_quit_destroy,
        warm_dir: options.warm_dir.clone(),
        no_ports: options.no_ports,
        usock: options.usock,
        dbus: options.dbus,
    }
}

/// Raises the limit of open files, since a team needs some dozens: the usual limit is for programs
/// that call `select`.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(errno) = raised {
        log::warn!("Failed to raise the limit of open files ({}).", errno.desc());
    }
}

/// Returns the files that a daemon of these teams writes, removes and reads.
fn own_files(options: &Options, plans: &[Plan]) -> OwnFiles {
    let run_dir = run_dir::path();
    let parents = plans.iter().filter_map(|plan| plan.pid_file.parent());
    let removed = parents.map(Path::to_owned).collect::<BTreeSet<_>>().into_iter().collect();
    let directory = options.config_file.iter().filter(|path| path.is_dir());
    OwnFiles {
        starts_teams: directory.clone().next().is_some(),
        listed: directory.filter_map(|path| std::path::absolute(path).ok()).collect(),
        written: std::iter::once(run_dir).chain(options.warm_dir.clone()).collect(),
        removed,
        read: plans.iter().filter_map(|plan| plan.file.clone()).collect(),
    }
}

/// Gives up the rights that the loop does not need. A failure is logged: the host shall not lose
/// its network because the kernel refuses.
fn enter_sandbox(programs: ProgramRights, own: &OwnFiles) -> Option<Sandbox> {
    let entered = sandbox::enter(programs, own);
    let entered = entered.inspect_err(|error| log::warn!("Failed to {error}.")).ok()?;
    for what in entered.unrestricted() {
        log::info!("This kernel cannot restrict {what}.");
    }
    Some(entered)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
}
