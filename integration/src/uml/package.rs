//! Debian's package `user-mode-linux`, downloaded once and unpacked, not installed.

use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::{env, fs};

use nix::fcntl::FlockArg;

use crate::binaries::{repository, target};
use crate::lab::lock;

const PACKAGE: &str = "user-mode-linux";

/// The unpacked package.
pub(super) struct Package {
    root: PathBuf,
}

impl Package {
    /// Returns the path of the kernel, a program.
    pub(super) fn kernel(&self) -> PathBuf {
        self.root.join("usr/bin/linux.uml")
    }

    /// Returns the path of the library to preload into the kernel; see `xstate.c`.
    pub(super) fn xstate(&self) -> PathBuf {
        self.root.join("xstate.so")
    }

    /// Returns the folder with one folder of modules for each kernel release.
    pub(super) fn modules(&self) -> PathBuf {
        self.root.join("usr/lib/uml/modules")
    }
}

/// Returns the package, downloaded if absent. The error names what is missing.
pub(super) fn unpacked() -> Result<Package, String> {
    for tool in ["modprobe", "timeout", "stty"] {
        if !found(tool) {
            return Err(format!("no `{tool}` here, which a guest needs"));
        }
    }
    let root = target().join(PACKAGE);
    let _turn = lock("package", FlockArg::LockExclusive)
        .map_err(|error| format!("wait for who fetches the package: {error}"))?;
    if !root.exists() {
        fetch(&root)?;
    }
    let package = Package { root };
    if !package.kernel().exists() {
        let root = package.root.display();
        return Err(format!("no kernel in {root}; delete it to fetch it anew"));
    }
    if !package.xstate().exists() {
        compile(&package.xstate())?;
    }
    Ok(package)
}

/// Compiles `xstate.c` to the shared library `library`.
fn compile(library: &Path) -> Result<(), String> {
    let source = repository().join("integration/src/uml/xstate.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .arg(library)
        .arg(source)
        .arg("-ldl");
    run(&mut cc)
}

/// Downloads and unpacks into a folder beside `root` and renames the complete folder to `root`, so
/// that an interruption leaves no partial package.
fn fetch(root: &Path) -> Result<(), String> {
    if !found("apt-get") || !found("dpkg") {
        return Err(format!(
            "the package {PACKAGE} comes from Debian, and here is no apt-get and dpkg"
        ));
    }
    let part = root.with_extension(process::id().to_string());
    fs::create_dir_all(&part).map_err(|error| format!("make {}: {error}", part.display()))?;
    let done = download(&part).and_then(|()| unpack(&part));
    let done = done.and_then(|()| {
        fs::rename(&part, root).map_err(|error| format!("rename {}: {error}", part.display()))
    });
    let _ = fs::remove_dir_all(&part);
    done
}

fn download(folder: &Path) -> Result<(), String> {
    let fetch = || {
        let mut command = Command::new("apt-get");
        command.args(["-q", "download", PACKAGE]);
        run(command.current_dir(folder))
    };
    fetch().or_else(|error| {
        // A new machine has no list of packages yet.
        run(Command::new("apt-get").args(["-q", "update"])).map_err(|_| error)?;
        fetch()
    })
}

fn unpack(folder: &Path) -> Result<(), String> {
    let files = fs::read_dir(folder).map_err(|error| format!("list a folder: {error}"))?;
    let archive = files
        .filter_map(|file| Some(file.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .ok_or("apt-get brought no package")?;
    run(Command::new("dpkg").arg("-x").arg(&archive).arg(folder))?;
    fs::remove_file(&archive).map_err(|error| format!("remove an archive: {error}"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("start {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", stderr.trim()))
}

fn found(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(tool).exists())
}
