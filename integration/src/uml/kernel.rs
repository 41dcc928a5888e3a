//! The kernels of guests, each a program, and the libraries that are preloaded into them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::FlockArg;

use crate::binaries::{repository, target};
use crate::lab::lock;

/// Environment variable: the version of the kernel of every guest, such as `7.2`; the default is that of
/// `build`.
const VERSION: &str = "TEAMR_KERNEL";

/// Parameters of a kernel whose clock jumps. Every boot starts at the same time, 2026-01-01, in
/// nanoseconds.
const VIRTUAL_TIME: [&str; 2] = ["time-travel=inf-cpu", "time-travel-start=1767225600000000000"];

/// Environment variable: why no kernel could be built, if `integration/run` has tried.
const FAILURE: &str = "TEAMR_KERNEL_FAILURE";

/// Returns the version that the environment chooses.
fn chosen() -> Option<OsString> {
    env::var_os(VERSION).filter(|version| !version.is_empty())
}

/// Returns whether the environment chooses a kernel.
pub(super) fn is_chosen() -> bool {
    chosen().is_some()
}

/// The clock of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The clock of the host: for what measures speed.
    Real,
    /// A clock that jumps to the next timer when all processes wait, and stands still meanwhile:
    /// for what waits. A program that never sleeps stops this clock for ever.
    Virtual,
}

/// A kernel to boot, with all drivers built in.
pub(super) struct Kernel {
    /// The path of the kernel, a program.
    pub(super) program: PathBuf,
    /// The paths of the libraries to preload into the kernel; see `xstate.c` and `random.c`.
    pub(super) preload: Vec<PathBuf>,
    /// The path of the library for a program that never waits (`pause.c`), if the kernel's clock
    /// stands still for such a program.
    pub(super) pause: Option<PathBuf>,
    /// The clock.
    pub(super) clock: Clock,
}

impl Kernel {
    /// Returns the kernel with this clock, built if absent. The error names what is missing.
    pub(super) fn with(clock: Clock) -> Result<Kernel, String> {
        for tool in ["timeout", "setpriv", "stty"] {
            if !found(tool) {
                return Err(format!("no `{tool}` here, which a guest needs"));
            }
        }
        let cache = target().join("user-mode-linux");
        let mut preload = vec![library(&cache, "xstate")?];
        let mut pause = None;
        if clock == Clock::Virtual {
            preload.push(library(&cache, "random")?);
            pause = Some(library(&cache, "pause")?);
        }
        Ok(Kernel { program: built()?, preload, pause, clock })
    }

    /// Returns the libraries to preload, as the environment variable has them.
    pub(super) fn preloaded(&self) -> String {
        let paths = self.preload.iter().map(|path| path.display().to_string());
        paths.collect::<Vec<_>>().join(" ")
    }

    /// Returns the kernel's parameters for its clock.
    pub(super) fn clock_parameters(&self) -> &'static [&'static str] {
        match self.clock {
            Clock::Real => &[],
            Clock::Virtual => &VIRTUAL_TIME,
        }
    }
}

/// Returns the path of the kernel that is built from source; the first call may build for minutes.
fn built() -> Result<PathBuf, String> {
    let version = chosen();
    if let (Ok(failure), None) = (env::var(FAILURE), &version) {
        return Err(failure);
    }
    let mut build = Command::new(repository().join("integration/src/uml/build"));
    build.args(version);
    let output = run(build.env("CARGO_TARGET_DIR", target()))?;
    Ok(output.trim_end().into())
}

/// Returns the path of the library made of `NAME.c`, compiled if absent or older than its source.
fn library(cache: &Path, name: &str) -> Result<PathBuf, String> {
    let library = cache.join(format!("{name}.so"));
    let source = repository().join(format!("integration/src/uml/{name}.c"));
    let _turn = lock("library", FlockArg::LockExclusive)
        .map_err(|error| format!("wait for the compilation of {name}.c: {error}"))?;
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if modified(&library) < modified(&source) {
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]);
        run(cc.arg(&library).arg(source).arg("-ldl"))?;
    }
    Ok(library)
}

/// Runs a command and returns its standard output. The error contains its standard error.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("start {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", stderr.trim()))
}

/// Whether PATH has this tool.
fn found(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(tool).exists())
}
