//! A guest that boots a whole system from a folder, with the system's own init, in virtual time.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::kernel::{Clock, Kernel};
use super::take_turn;

/// Parameters that keep built-in drivers from making devices at the boot.
const NO_DEVICES: [&str; 3] = ["bonding.max_bonds=0", "dummy.numdummies=0", "ifb.numifbs=0"];

/// Boots the system in the folder `root`, which the guest writes to, until the system is off; after
/// `limit` on the host it is stopped. Returns the text of the console.
///
/// # Errors
/// The machine cannot run a guest, for this reason, or the guest did not end well.
pub fn boot_system(root: &Path, limit: Duration) -> Result<String, String> {
    let kernel = Kernel::with(Clock::Virtual)?;
    let _turn = take_turn()?;
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
        .args(kernel.clock_parameters())
        .args(NO_DEVICES)
        .args(["systemd.log_target=console", "init=/lib/systemd/systemd"])
        .env("LD_PRELOAD", kernel.preloaded())
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("start {command:?}: {error}"))?;
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(console),
        false => Err(format!("the guest ended with {}\n{console}", output.status)),
    }
}
