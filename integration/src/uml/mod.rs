//! User-Mode Linux: a guest with drivers that this machine may lack, and a clock that can jump.
//!
//! A guest is a kernel that runs as an ordinary program, with drivers for teams, bonds, bridges and
//! VLANs. The guest mounts this machine's file system read-only, so the programs just built run in
//! it. A test calls [`in_virtual_time`] or [`in_guest`]: the guest boots in two seconds and runs
//! the same test again.
//!
//! The kernel is built from Debian's source (`build`); the environment variable `TEAMR_KERNEL=7.2`
//! chooses another version for all guests. With [`in_virtual_time`] its clock jumps to the next timer
//! whenever all processes wait, so a case takes no time for waiting, and the load of the host changes
//! nothing that the case measures. [`in_guest`] has the host's clock, for cases that measure speed.
//!
//! This module starts the guest and reports its result; the cases are in `tests/`.

mod guest;
mod kernel;
mod system;

use std::any::type_name;
use std::fs::File;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{available_parallelism, sleep};
use std::time::Duration;
use std::{env, fs, io};

use nix::fcntl::{Flock, FlockArg};

use crate::binaries::{PROGRAMS, programs};
use crate::lab::{lock, skip};
use guest::{End, Guest};
use kernel::Kernel;

pub use kernel::Clock;
pub use system::boot_system;

/// Environment variable: folder of the case that runs in the guest.
const FOLDER: &str = "TEAMR_GUEST_FOLDER";

/// File that a started case creates: a test that the guest does not find cannot pass.
const BEGUN: &str = "begun";

/// Time on the host before a guest is stopped: the limit ends a hang, and no case comes near.
const LIMIT: Duration = Duration::from_secs(1800);

/// Time between two attempts to get a processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes after which a line of a panic message is the last one in a report.
const PANIC_LENGTH: usize = 2000;

/// Why a case did not succeed.
#[derive(Debug)]
pub enum GuestFailure {
    /// This machine cannot run a guest, for this reason.
    Impossible(String),
    /// The case failed or did not end.
    Failed {
        /// The failure and the end of the kernel's log.
        report: String,
        /// The folder of the case, kept, with files of the case and the guest.
        folder: PathBuf,
    },
}

/// Runs `case` as root of a guest with the host's clock; its argument is a folder that is kept after
/// a failure.
///
/// A test calls this function alone, with a closure written in place. If the machine cannot run a
/// guest, the function prints why and returns, or panics when `CI=true`.
pub fn in_guest<F: FnOnce(&Path)>(case: F) {
    succeed(try_in_guest(Clock::Real, case));
}

/// As [`in_guest`], with a clock that jumps over all waiting.
pub fn in_virtual_time<F: FnOnce(&Path)>(case: F) {
    succeed(try_in_guest(Clock::Virtual, case));
}

/// As [`in_virtual_time`], and calls `check`, on the host, with the folder that the case has left.
pub fn in_virtual_time_then<F: FnOnce(&Path)>(case: F, check: impl FnOnce(&Path)) {
    succeed(try_in_guest_then(LIMIT, Clock::Virtual, case, check));
}

/// As [`in_virtual_time`]; stops the guest after this time of the host.
pub fn in_virtual_time_within<F: FnOnce(&Path)>(limit: Duration, case: F) {
    succeed(try_in_guest_within(limit, Clock::Virtual, case));
}

/// As [`in_guest`], with a given clock; returns the failure.
pub fn try_in_guest<F: FnOnce(&Path)>(clock: Clock, case: F) -> Result<(), GuestFailure> {
    try_in_guest_within(LIMIT, clock, case)
}

/// As [`try_in_guest`]; stops the guest after this time of the host.
pub fn try_in_guest_within<F: FnOnce(&Path)>(
    limit: Duration,
    clock: Clock,
    case: F,
) -> Result<(), GuestFailure> {
    try_in_guest_then(limit, clock, case, |_| ())
}

/// Runs `case` on this machine, or with `TEAMR_KERNEL` as root of a guest of that kernel, in virtual
/// time. A test calls this function alone, with a closure written in place.
pub fn on_chosen_kernel<F: FnOnce()>(case: F) {
    match kernel::is_chosen() {
        true => {
            let test = test_name::<F>();
            succeed(try_named(test, LIMIT, Clock::Virtual, |_| case(), |_| ()));
        }
        false => case(),
    }
}

fn try_in_guest_then<F: FnOnce(&Path)>(
    limit: Duration,
    clock: Clock,
    case: F,
    check: impl FnOnce(&Path),
) -> Result<(), GuestFailure> {
    try_named(test_name::<F>(), limit, clock, case, check)
}

/// Runs `case` in a guest; `test` is the test that calls this function.
fn try_named(
    test: &str,
    limit: Duration,
    clock: Clock,
    case: impl FnOnce(&Path),
    check: impl FnOnce(&Path),
) -> Result<(), GuestFailure> {
    if let Some(folder) = folder_in_guest() {
        run_case(case, &folder);
        return Ok(());
    }
    let folder = new_folder().map_err(GuestFailure::Impossible)?;
    boot(clock, test, &folder, limit)?;
    check(&folder);
    let _ = fs::remove_dir_all(folder);
    Ok(())
}

/// Runs `case` twice in virtual time, each time in a new guest, and calls `compare`, on the host,
/// with the folders of both.
pub fn twice_in_virtual_time<F: FnOnce(&Path)>(case: F, compare: impl FnOnce([&Path; 2])) {
    if let Some(folder) = folder_in_guest() {
        return run_case(case, &folder);
    }
    succeed((|| {
        let second = new_folder().map_err(GuestFailure::Impossible)?;
        boot(Clock::Virtual, test_name::<F>(), &second, LIMIT)?;
        // The kernel mixes its command line, which names the folder, into its random numbers.
        let first = second.with_extension("first");
        fs::rename(&second, &first)
            .and_then(|()| fs::create_dir(&second))
            .map_err(|error| GuestFailure::Impossible(format!("rename a folder: {error}")))?;
        boot(Clock::Virtual, test_name::<F>(), &second, LIMIT)?;
        compare([&first, &second]);
        for folder in [first, second] {
            let _ = fs::remove_dir_all(folder);
        }
        Ok(())
    })());
}

fn succeed(result: Result<(), GuestFailure>) {
    match result {
        Ok(()) => (),
        Err(GuestFailure::Impossible(reason)) => skip(&reason),
        Err(GuestFailure::Failed { report, folder }) => {
            panic!("{report}\nlogs kept in {}", folder.display())
        }
    }
}

/// Lets a program sleep before each select(2), if this process runs in virtual time: the clock would
/// stand still for a program that never waits.
pub fn pause_at_select(command: &mut Command) {
    if let Some(library) = env::var_os(guest::PAUSE) {
        command.env("LD_PRELOAD", library);
    }
}

/// Returns the case's folder if this process runs in a guest.
fn folder_in_guest() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

fn run_case(case: impl FnOnce(&Path), folder: &Path) {
    fs::write(folder.join(BEGUN), "").expect("write into the case's folder");
    // Ends the line that the test harness has begun.
    println!();
    case(folder);
}

/// Returns the test harness's name of the function that contains the closure `F`.
fn test_name<F>() -> &'static str {
    let name = type_name::<F>();
    let name = name.trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_, path)| path)
}

/// Boots a guest that runs one test of the running program with `folder` as the case's folder.
fn boot(clock: Clock, test: &str, folder: &Path, limit: Duration) -> Result<(), GuestFailure> {
    let kernel = Kernel::with(clock).map_err(GuestFailure::Impossible)?;
    let _turn = take_turn().map_err(GuestFailure::Impossible)?;
    let mut case = Command::new(env::current_exe().expect("own path"));
    let variables = env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"TEAMR_"));
    case.args(["--exact", test, "--include-ignored", "--nocapture", "--test-threads=1"])
        .envs(variables)
        .env(FOLDER, folder)
        .env(PROGRAMS, programs());
    println!("A guest boots for {test}.");
    let guest = Guest::new(&kernel, folder, limit);
    let mut panic = PanicMessage::default();
    let ended = guest.run(&case, &mut |line| {
        println!("  {line}");
        panic.read(line);
    });
    let failure = match ended {
        Ok(End::Status(0)) if folder.join(BEGUN).exists() => return Ok(()),
        Ok(End::Status(0)) => "found no such test in it".to_owned(),
        Ok(End::Status(status)) => format!("failed in it with status {status}"),
        Ok(End::Died) => "did not come to an end in it".to_owned(),
        Ok(End::Stopped(program)) => format!(
            "did not come to an end in it within {limit:?}; the program that ran then is {}",
            program.as_deref().unwrap_or("unknown")
        ),
        Err(error) => format!("lost it: {error}"),
    };
    Err(GuestFailure::Failed {
        report: format!(
            "{test} got a guest and {failure}.\n{}{}",
            panic.text,
            guest.kernel_log_tail()
        ),
        folder: folder.to_owned(),
    })
}

/// The first panic message in the output of a case, without its backtrace.
#[derive(Default)]
struct PanicMessage {
    text: String,
    is_whole: bool,
}

impl PanicMessage {
    /// Takes the next line of the output.
    fn read(&mut self, line: &str) {
        let begins = line.contains("panicked at ");
        self.is_whole |= !self.text.is_empty()
            && (begins || line.starts_with("stack backtrace:") || line.starts_with("note: "));
        if !self.is_whole && (begins || !self.text.is_empty()) && self.text.len() < PANIC_LENGTH {
            self.text += line;
            self.text += "\n";
        }
    }
}

/// Waits for a processor that no guest of any process uses.
fn take_turn() -> Result<Flock<File>, String> {
    let processors = available_parallelism().map_or(1, NonZero::get);
    loop {
        for processor in 0..processors {
            match lock(&format!("guest-{processor}"), FlockArg::LockExclusiveNonblock) {
                Ok(turn) => return Ok(turn),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Err(format!("wait for other guests: {error}")),
            }
        }
        sleep(PAUSE);
    }
}

fn new_folder() -> Result<PathBuf, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("teamr-guest-{}-{number}", process::id()));
    fs::create_dir(&folder)
        .map_err(|error| format!("make the folder {}: {error}", folder.display()))?;
    Ok(folder)
}
