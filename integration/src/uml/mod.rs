//! A machine with the drivers that this one may lack: User-Mode Linux.
//!
//! Debian's package `user-mode-linux` is a whole kernel, with its modules for teams, bonds,
//! bridges and VLANs, that runs as an ordinary program. It sees this machine's file system,
//! read-only, so the programs just built run in it. A test says [`in_guest`]: the guest boots
//! in two seconds and runs that same test once more, this time for real.
//!
//! It owns the machine. What is tried in it is the tests' business.

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

/// Names the guest's folder to the test that runs in it.
const FOLDER: &str = "TEAMR_GUEST_FOLDER";

/// Made by a case that has begun, so that a test that was not found in the guest cannot pass.
const BEGUN: &str = "begun";

/// Between two looks for a free processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a case was not seen to succeed.
#[derive(Debug)]
pub enum GuestFailure {
    /// This machine cannot have a guest, for this reason.
    Impossible(String),
    /// The case failed or never ended.
    Failed {
        /// What happened, and the end of the kernel's log.
        story: String,
        /// Its folder, kept, with whatever it and the guest wrote.
        folder: PathBuf,
    },
}

/// Runs `case` as root of a guest; its argument is a folder that outlives a failure.
///
/// To be called by a test as its only deed, with a closure written there. If the machine cannot
/// have a guest, this says so and returns, or fails when `CI=true`.
pub fn in_guest<F: FnOnce(&Path)>(case: F) {
    match try_in_guest(case) {
        Ok(()) => (),
        Err(GuestFailure::Impossible(reason)) => skip(&reason),
        Err(GuestFailure::Failed { story, folder }) => {
            panic!("{story}\nlogs kept in {}", folder.display())
        }
    }
}

/// As [`in_guest`], for who wants to see it fail.
pub fn try_in_guest<F: FnOnce(&Path)>(case: F) -> Result<(), GuestFailure> {
    if let Some(folder) = env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        fs::write(folder.join(BEGUN), "").expect("write into the case's folder");
        // The test harness has begun a line.
        println!();
        case(&folder);
        return Ok(());
    }
    boot(test_name::<F>())
}

/// The path by which the test harness knows the function that wrote the closure `F`.
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
        story: format!("{test} got a guest and {failure}.\n{}", guest.last_words()),
        folder,
    })
}

/// Waits for a processor that no other guest keeps busy, also not one of another process.
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
