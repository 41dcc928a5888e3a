//! Debian's package `user-mode-linux`, downloaded once and unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use nix::fcntl::FlockArg;

use super::kernel::{found, run};
use crate::lab::lock;

const PACKAGE: &str = "user-mode-linux";

/// Returns the folder of the unpacked package in `cache`, downloaded if absent. The error names what
/// is missing.
pub(super) fn unpacked(cache: &Path) -> Result<PathBuf, String> {
    if !found("modprobe") {
        return Err("no `modprobe` here, which a guest needs".to_owned());
    }
    let root = cache.join("package");
    let _turn = lock("package", FlockArg::LockExclusive)
        .map_err(|error| format!("wait for who fetches the package: {error}"))?;
    if !root.exists() {
        fetch(&root)?;
    }
    Ok(root)
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
        run(command.current_dir(folder)).map(drop)
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
