//! Builds and finds the programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// Returns the root of the source tree; `/` in an installed program.
pub fn repository() -> &'static Path {
    // An installed program has no source tree, and must not contain the name of its build folder.
    match cfg!(feature = "installed") {
        true => Path::new("/"),
        false => Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("this package is a folder of the workspace"),
    }
}

/// Environment variable: folder of programs that are already built.
pub const PROGRAMS: &str = "TEAMR_PROGRAMS";

/// Returns the path of a program of the workspace (`teamr`, `teamrctl`, `traffic`), built in the
/// profile of the running program.
pub fn binary(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(path.exists(), "no program at {}", path.display());
    path
}

/// Returns the folder of the programs. Panics if the build fails.
pub fn programs() -> &'static Path {
    build_programs(Progress::Hidden).unwrap_or_else(|reason| panic!("{reason}"))
}

/// Output of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Warnings and errors.
    Hidden,
    /// All of cargo's output.
    Shown,
}

/// Returns the folder of the programs, or why the build fails.
///
/// The first call runs cargo: `cargo test` does not build the programs of other packages.
pub fn build_programs(progress: Progress) -> Result<&'static Path, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match env::var_os(PROGRAMS) {
        Some(folder) => Ok(folder.into()),
        None => build(progress),
    });
    folder.as_deref().map_err(Clone::clone)
}

/// Returns cargo's target folder.
pub(crate) fn target() -> PathBuf {
    let mut folder = profile_folder();
    folder.pop();
    folder
}

/// Returns cargo's folder for programs of the running program's profile.
fn profile_folder() -> PathBuf {
    let running = env::current_exe().and_then(fs::canonicalize).expect("own path");
    // target/PROFILE/deps/test-0123 or target/PROFILE/demo
    let mut folder = running.parent().expect("a folder above the program").to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}

/// Builds all programs and returns the folder that they are in.
fn build(progress: Progress) -> Result<PathBuf, String> {
    let folder = profile_folder();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(repository())
        .args(["build", "--package", "teamr", "--package", "integration"])
        .args(["--bins", "--profile", profile, "--target-dir"])
        .arg(target());
    if progress == Progress::Hidden {
        cargo.arg("--quiet");
    }
    let status =
        cargo.status().map_err(|error| format!("start cargo to build the programs: {error}"))?;
    if !status.success() {
        return Err(format!("cargo could not build the programs: {status}"));
    }
    Ok(folder)
}
