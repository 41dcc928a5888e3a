//! User-Mode Linux: a guest with drivers that this machine may lack.
//!
//! Debian's package `user-mode-linux` is a complete kernel, with modules for teams, bonds, bridges
//! and VLANs, that runs as an ordinary program. The guest mounts this machine's file system
//! read-only, so the programs just built run in it. A test calls [`in_guest`]: the guest boots in
//! two seconds and runs the same test again.
//!
//! This module starts the guest and reports its result; the cases are in `tests/`.

mod guest;
mod package;

use std::any::type_name;
use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{available_parallelism, sleep};
use std::time::Duration;
use std::{env, fs, io};

use nix::fcntl::{Flock, FlockArg};

use crate::binaries::{PROGRAMS, programs};
use crate::lab::{lock, skip};
use guest::Guest;

/// Environment variable: folder of the case that runs in the guest.
const FOLDER: &str = "TEAMR_GUEST_FOLDER";

/// File that a started case creates: a test that the guest does not find cannot pass.
const BEGUN: &str = "begun";

/// Time between two attempts to get a processor.
const PAUSE: Duration = Duration::from_millis(100);

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

/// Runs `case` as root of a guest; its argument is a folder that is kept after a failure.
///
/// A test calls this function alone, with a closure written in place. If the machine cannot run a
/// guest, the function prints why and returns, or panics when `CI=true`.
pub fn in_guest<F: FnOnce(&Path)>(case: F) {
    match try_in_guest(case) {
        Ok(()) => (),
        Err(GuestFailure::Impossible(reason)) => skip(&reason),
        Err(GuestFailure::Failed { report, folder }) => {
            panic!("{report}\nlogs kept in {}", folder.display())
        }
    }
}

/// As [`in_guest`], but returns the failure.
pub fn try_in_guest<F: FnOnce(&Path)>(case: F) -> Result<(), GuestFailure> {
    if let Some(folder) = env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        fs::write(folder.join(BEGUN), "").expect("write into the case's folder");
        // Ends the line that the test harness has begun.
        println!();
        case(&folder);
        return Ok(());
    }
    boot(test_name::<F>())
}

/// Returns the test harness's name of the function that contains the closure `F`.
fn test_name<F>() -> &'static str {
    let name = type_name::<F>();
    let name = name.trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_, path)| path)
}

/// Boots a guest that runs one test of the running program.
fn boot(test: &str) -> Result<(), GuestFailure> {
    let package = package::unpacked().map_err(GuestFailure::Impossible)?;
    let _turn = take_turn().map_err(GuestFailure::Impossible)?;
    let folder = new_folder().map_err(GuestFailure::Impossible)?;
    let mut case = Command::new(env::current_exe().expect("own path"));
    case.args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, &folder)
        .env(PROGRAMS, programs());
    println!("A guest boots for {test}.");
    let guest = Guest::new(&package, &folder);
    let failure = match guest.run(&case, &mut |line| println!("  {line}")) {
        Ok(Some(0)) if folder.join(BEGUN).exists() => {
            let _ = fs::remove_dir_all(&folder);
            return Ok(());
        }
        Ok(Some(0)) => "found no such test in it".to_owned(),
        Ok(Some(status)) => format!("failed in it with status {status}"),
        Ok(None) => "did not come to an end in it".to_owned(),
        Err(error) => format!("lost it: {error}"),
    };
    Err(GuestFailure::Failed {
        report: format!(
            "{test} got a guest and {failure}.\n{}",
            guest.kernel_log_tail()
        ),
        folder,
    })
}

/// Waits for a processor that no guest of any process uses.
fn take_turn() -> Result<Flock<File>, String> {
    let processors = available_parallelism().map_or(1, NonZero::get);
    loop {
        for processor in 0..processors {
            match lock(
                &format!("guest-{processor}"),
                FlockArg::LockExclusiveNonblock,
            ) {
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
