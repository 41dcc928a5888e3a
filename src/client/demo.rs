//! `demo`: teams at work in network namespaces.
//!
//! The demo is a program of the package; `cargo demo` builds and runs the same program.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::error::Error;

/// Path of the demo, relative to the folder of the programs.
const PLACE: &str = "../libexec/teamr/demo";
/// Environment variable of the demo: the folder of the programs.
const PROGRAMS: &str = "TEAMR_PROGRAMS";

/// Replaces this process with the demo of this name, or with the first demo. Returns only after a
/// failure.
///
/// # Errors
/// The demo cannot be started, for example because the programs were installed without it.
pub fn execute(name: Option<&str>) -> Result<(), Error> {
    let folder = folder().map_err(|e| Error::Demo(PLACE.to_owned(), e))?;
    let demo = folder.join(PLACE);
    let error = Command::new(&demo).args(name).env(PROGRAMS, folder).exec();
    Err(Error::Demo(demo.display().to_string(), error))
}

/// Returns the folder of the running program.
fn folder() -> io::Result<PathBuf> {
    let mut folder = env::current_exe()?;
    folder.pop();
    Ok(folder)
}
