//! A guest that boots a whole system from a folder, with the system's own init.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::kernel::{Clock, Kernel, run};
use super::take_turn;

/// Boots the system in the folder `root`, which the guest writes to, until the system is off. Returns
/// the text of the console.
///
/// # Errors
/// The machine cannot run a guest with modules, for this reason.
pub fn boot_system(root: &Path, limit: Duration) -> Result<String, String> {
    let kernel = Kernel::with(Clock::Real)?;
    let modules = kernel.modules.as_ref().ok_or("the guest's kernel has no modules")?;
    let folder = root.join("lib/modules");
    if !folder.exists() {
        run(Command::new("cp").arg("--recursive").args([modules, &folder]))?;
    }
    let _turn = take_turn()?;
    let preload: Vec<OsString> = kernel.preload.iter().map(|path| path.clone().into()).collect();
    let mut rootflags = OsString::from("rootflags=");
    rootflags.push(root);
    let mut command = Command::new("setpriv");
    command
        // A test that is killed ends its guest.
        .args(["--pdeathsig", "TERM", "timeout", "--kill-after=10"])
        .arg(limit.as_secs().to_string())
        .arg(&kernel.program)
        .args(["rootfstype=hostfs".into(), rootflags])
        .args(["rw", "mem=1G", "panic=-1", "con=null", "con0=null,fd:1", "ssl=null", "quiet"])
        .args(["systemd.log_target=console", "init=/lib/systemd/systemd"])
        .env("LD_PRELOAD", preload.join(&OsString::from(" ")))
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("start {command:?}: {error}"))?;
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(console),
        false => Err(format!("the guest ended with {}\n{console}", output.status)),
    }
}
