//! Where the programs under test are, built and never stale.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// The root of the source tree.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the workspace")
}

/// Names the folder of the programs to a process for which they have been built already.
pub(crate) const PROGRAMS: &str = "TEAMR_PROGRAMS";

/// Path of a program of the workspace (`teamr`, `teamrctl`, `traffic`), built in the same
/// profile as the running program.
pub fn binary(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(path.exists(), "no program at {}", path.display());
    path
}

/// The folder of the programs.
///
/// Cargo builds the programs of other packages for no test, so the first call asks it to.
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| env::var_os(PROGRAMS).map_or_else(build, PathBuf::from))
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    let mut folder = profile_folder();
    folder.pop();
    folder
}

/// Where cargo puts programs of the profile of the running one.
fn profile_folder() -> PathBuf {
    let running = env::current_exe()
        .and_then(fs::canonicalize)
        .expect("own path");
    // target/PROFILE/deps/test-0123 or target/PROFILE/demo
    let mut folder = running
        .parent()
        .expect("a folder above the program")
        .to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}

/// Builds all programs and returns the folder that they are in.
fn build() -> PathBuf {
    let folder = profile_folder();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(repository())
        .args([
            "build",
            "--quiet",
            "--package",
            "teamr",
            "--package",
            "integration",
            "--bins",
        ])
        .args(if cfg!(feature = "zmq") {
            &["--features", "integration/zmq"][..]
        } else {
            &[]
        })
        .args(["--profile", profile, "--target-dir"])
        .arg(target())
        .status()
        .expect("run cargo");
    assert!(
        status.success(),
        "cargo could not build the programs under test"
    );
    folder
}
