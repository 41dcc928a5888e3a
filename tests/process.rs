//! The daemon as a process: pid file, background, signals.
//!
//! Forks and locks need processes with one thread, so there is no test harness: this program starts
//! itself again in a role, which `TEAMR_TEST_ROLE` names.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use mio::{Events, Poll, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use teamr::process::daemonize::{Readiness, Side, daemonize};
use teamr::process::pidfile::{self, CreateError, PidFile, StopError};
use teamr::process::signals::{self, Signals};
use teamr::sys::clock;
use teamr::sys::process::close_inherited;

const ROLE: &str = "TEAMR_TEST_ROLE";

type Test = (&'static str, fn(&Path));

fn main() -> ExitCode {
    if let Ok(role) = env::var(ROLE) {
        let path = PathBuf::from(env::args_os().nth(1).unwrap());
        return ExitCode::from(play(&role, &path));
    }
    let tests: [Test; 12] = [
        ("a_running_daemon_is_found_and_stopped", a_running_daemon_is_found_and_stopped),
        ("a_second_daemon_is_refused", a_second_daemon_is_refused),
        ("a_stale_pid_file_is_removed", a_stale_pid_file_is_removed),
        ("another_process_with_the_pid_is_not_killed", another_process_with_the_pid_is_not_killed),
        ("the_pid_file_of_teamd_is_trusted", the_pid_file_of_teamd_is_trusted),
        ("a_readers_lock_is_no_daemon", a_readers_lock_is_no_daemon),
        ("a_fifo_is_no_pid_file", a_fifo_is_no_pid_file),
        (
            "the_parent_returns_when_the_daemon_is_ready",
            the_parent_returns_when_the_daemon_is_ready,
        ),
        ("the_parent_reports_why_the_daemon_failed", the_parent_reports_why_the_daemon_failed),
        ("the_parent_notices_that_the_daemon_died", the_parent_notices_that_the_daemon_died),
        ("inherited_descriptors_are_closed", inherited_descriptors_are_closed),
        ("signals_are_events", signals_are_events),
    ];
    let dir = env::temp_dir().join(format!("teamr-process-{}", std::process::id()));
    for (name, test) in tests {
        print!("test {name} ... ");
        let _ = std::io::stdout().flush();
        fs::create_dir_all(&dir).unwrap();
        test(&dir);
        fs::remove_dir_all(&dir).unwrap();
        println!("ok");
    }
    ExitCode::SUCCESS
}

// Roles.

fn play(role: &str, path: &Path) -> u8 {
    teamr::process::logging::init();
    signals::reset().unwrap();
    match role {
        "lock" => lock(path),
        "read lock" => read_lock(path),
        "check" => u8::from(pidfile::running(path).is_none()),
        "stop" => u8::from(pidfile::stop(path).is_err()),
        "ready" => in_background(|readiness| {
            fs::write(path, facts()).unwrap();
            readiness.succeed();
        }),
        "fail" => in_background(|readiness| readiness.fail(Errno::EBUSY, "")),
        "fail with causes" => {
            in_background(|readiness| readiness.fail(Errno::EBUSY, "eth1: is up\nno port\n"))
        }
        "die" => in_background(|_readiness| std::process::abort()),
        "close" => {
            close_inherited(0).unwrap();
            fs::write(path, facts()).unwrap();
            0
        }
        "signals" => until_quit(),
        _ => unreachable!("no such role: {role}"),
    }
}

/// Has a pid file locked until a signal or the end of the input.
fn lock(path: &Path) -> u8 {
    match PidFile::create(path, std::thread::sleep) {
        Ok(_locked) => {
            println!("locked");
            let _ = std::io::stdin().read(&mut [0]);
            0
        }
        Err(e) => {
            println!("{e}");
            u8::from(matches!(e, CreateError::AlreadyRunning(_)))
        }
    }
}

/// Has a read lock on a file until the end of the input.
fn read_lock(path: &Path) -> u8 {
    let file = File::open(path).unwrap();
    let lock = libc::flock {
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
    println!("locked");
    let _ = std::io::stdin().read(&mut [0]);
    0
}

fn in_background(daemon: impl FnOnce(Readiness)) -> u8 {
    match daemonize().unwrap() {
        Side::Parent(verdict) => verdict.conclude(),
        Side::Daemon(readiness) => {
            daemon(readiness);
            0
        }
    }
}

fn facts() -> String {
    let mut open: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            fs::read_link(&path).map_or(String::new(), |to| to.display().to_string())
        })
        .filter(|to| !to.starts_with("/proc/") && !to.is_empty())
        .collect();
    open.sort();
    let cwd = env::current_dir().unwrap();
    let session = nix::unistd::getsid(None).unwrap() == nix::unistd::getpid();
    format!("{} leader={session} {}", cwd.display(), open.join(" "))
}

fn until_quit() -> u8 {
    let mut poll = Poll::new().unwrap();
    let mut signals = Signals::take().unwrap();
    signals.register(poll.registry(), Token(0)).unwrap();
    println!("ready");
    let mut events = Events::with_capacity(1);
    loop {
        poll.poll(&mut events, None).unwrap();
        if signals.read().unwrap().stop.is_some() {
            return 7;
        }
        println!("ignored");
    }
}

// Tests.

fn start(role: &str, path: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg(path).env(ROLE, role);
    command
}

fn start_locker(path: &Path) -> (Child, String) {
    start_with_lines("lock", path)
}

/// Starts a role and returns its first line.
fn start_with_lines(role: &str, path: &Path) -> (Child, String) {
    let mut child = start(role, path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    (child, line)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn a_running_daemon_is_found_and_stopped(dir: &Path) {
    let path = dir.join("t.pid");
    assert_eq!(pidfile::running(&path), None);
    assert_eq!(pidfile::stop(&path), Err(StopError::NotRunning));
    let (mut child, line) = start_locker(&path);
    assert_eq!(line, "locked\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", child.id()));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(pidfile::running(&path), Some(pid(&child)));
    assert_eq!(pidfile::stop(&path), Ok(()));
    assert!(!child.wait().unwrap().success());
    // SIGTERM ended the process before it could remove the file.
    assert_eq!(pidfile::running(&path), None);
    assert!(!path.exists());
    // After an orderly end the process has removed the file.
    let (mut child, _) = start_locker(&path);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!path.exists());
}

fn a_second_daemon_is_refused(dir: &Path) {
    let path = dir.join("t.pid");
    let (mut first, _) = start_locker(&path);
    // The lock counts, and the pid of the process that has the lock is shown.
    let (mut second, line) = start_locker(&path);
    assert_eq!(line, format!("Daemon already running on PID {}.\n", first.id()));
    assert_eq!(second.wait().unwrap().code(), Some(1));
    drop(first.stdin.take());
    first.wait().unwrap();
    let error = PidFile::create(&dir.join("none/t.pid"), std::thread::sleep).unwrap_err();
    assert_eq!(error.errno(), Errno::ENOENT);
    let text = error.to_string();
    assert!(text.ends_with(": No such file or directory\nCould not create PID file."), "{text}");
}

fn a_stale_pid_file_is_removed(dir: &Path) {
    let path = dir.join("t.pid");
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    for stale in [format!("{}\n", gone.id()), "garbage".to_owned(), "-1\n".to_owned()] {
        fs::write(&path, &stale).unwrap();
        assert_eq!(pidfile::running(&path), None, "{stale:?}");
        assert!(!path.exists(), "{stale:?}");
        fs::write(&path, &stale).unwrap();
        let (mut child, line) = start_locker(&path);
        assert_eq!(line, "locked\n", "{stale:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

fn another_process_with_the_pid_is_not_killed(dir: &Path) {
    let path = dir.join("t.pid");
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    fs::write(&path, format!("{}\n", other.id())).unwrap();
    assert_eq!(pidfile::stop(&path), Err(StopError::NotRunning));
    assert!(!path.exists());
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}

/// teamd has no lock while it runs; `cat` under the name teamd takes its place.
fn the_pid_file_of_teamd_is_trusted(dir: &Path) {
    let (path, program) = (dir.join("t.pid"), dir.join("teamd"));
    fs::copy("/bin/cat", &program).unwrap();
    let mut teamd =
        Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // A process that echoes is past its exec and has the name.
    let mut byte = [0];
    teamd.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    teamd.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    fs::write(&path, format!("{}\n", teamd.id())).unwrap();
    assert_eq!(pidfile::running(&path), Some(pid(&teamd)));
    let error = PidFile::create(&path, std::thread::sleep).unwrap_err();
    assert!(matches!(error, CreateError::AlreadyRunning(_)), "{error}");
    assert_eq!(pidfile::stop(&path), Ok(()));
    assert!(!teamd.wait().unwrap().success());
}

fn a_readers_lock_is_no_daemon(dir: &Path) {
    let path = dir.join("t.pid");
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    fs::write(&path, format!("{}\n", other.id())).unwrap();
    let (mut reader, _) = start_with_lines("read lock", &path);
    assert_eq!(pidfile::running(&path), None);
    assert_eq!(pidfile::stop(&path), Err(StopError::NotRunning));
    let (mut daemon, line) = start_locker(&path);
    assert_eq!(line, "locked\n");
    assert_eq!(pidfile::running(&path), Some(pid(&daemon)));
    for child in [&mut daemon, &mut reader, &mut other] {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

fn a_fifo_is_no_pid_file(dir: &Path) {
    let path = dir.join("t.pid");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    for role in ["check", "stop", "lock"] {
        let mut child = start(role, &path).stdout(Stdio::piped()).spawn().unwrap();
        let deadline = clock::monotonic() + Duration::from_secs(10);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if clock::monotonic() > deadline => {
                    child.kill().unwrap();
                    panic!("{role} waits for the FIFO");
                }
                None => std::thread::yield_now(),
            }
        };
        let mut text = String::new();
        child.stdout.unwrap().read_to_string(&mut text).unwrap();
        let refused = format!("open({}): not a regular file\n", path.display());
        assert_eq!(status.code(), Some(if role == "lock" { 0 } else { 1 }));
        assert!(role != "lock" || text.starts_with(&refused), "{text}");
    }
}

fn the_parent_returns_when_the_daemon_is_ready(dir: &Path) {
    let report = dir.join("report");
    let output = start("ready", &report).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let facts = fs::read_to_string(&report).unwrap();
    assert!(facts.starts_with("/ leader=false /dev/null /dev/null /dev/null "), "{facts}");
    let mode = fs::metadata(&report).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "umask 077");
}

fn the_parent_reports_why_the_daemon_failed(dir: &Path) {
    let output = start("fail", dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Daemon process failed.\nFailed: Device or resource busy\n"
    );
    let output = start("fail with causes", dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "eth1: is up\nno port\nDaemon process failed.\nFailed: Device or resource busy\n"
    );
}

/// The parent ends at once, without waiting for 20 s.
fn the_parent_notices_that_the_daemon_died(dir: &Path) {
    let output = start("die", dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Could not receive return value from daemon process.\nFailed: Broken pipe\n"
    );
}

fn inherited_descriptors_are_closed(dir: &Path) {
    let report = dir.join("report");
    let leaked = File::open("/dev/zero").unwrap();
    nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    assert!(start("close", &report).status().unwrap().success());
    let facts = fs::read_to_string(&report).unwrap();
    assert!(!facts.contains("/dev/zero"), "{facts}");
}

fn signals_are_events(dir: &Path) {
    for quit in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut child = start("signals", dir).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill(pid(&child), Signal::SIGHUP).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "ignored");
        kill(pid(&child), quit).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7), "{quit}");
    }
}
