//! What a command's process does between its fork and its program (`CommandExt::pre_exec`).
//!
//! That moment allows system calls only: no memory may be allocated and no lock taken, because
//! another thread of the parent may have held it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use super::process::set_real_time;

/// Has `command` start in these namespaces, entered in this order (setns(2)). Starting fails with
/// the kernel's error where one may not be entered.
pub fn enter(command: &mut Command, namespaces: Arc<[OwnedFd]>) {
    let enter = move || {
        for namespace in namespaces.iter() {
            setns(namespace, CloneFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: setns is a plain system call.
    unsafe { command.pre_exec(enter) };
}

/// Has the kernel kill the process of `command` when the thread that starts it ends. A change of
/// credentials forgets that, so namespaces are to be entered before.
pub fn kill_with_parent(command: &mut Command) {
    let bind = || Ok(set_pdeathsig(Signal::SIGKILL)?);
    // SAFETY: prctl is a plain system call.
    unsafe { command.pre_exec(bind) };
}

/// Has `command` run as a real-time task of this priority, or as any other where that is not
/// permitted.
pub fn prefer(command: &mut Command, priority: u8) {
    let prefer = move || {
        let _ = set_real_time(0, priority);
        Ok(())
    };
    // SAFETY: sched_setscheduler is a plain system call.
    unsafe { command.pre_exec(prefer) };
}

/// Has `command` run behind all others that want a processor (nice(2) by 10).
pub fn defer(command: &mut Command) {
    let defer = || {
        // SAFETY: nice takes a number.
        let _ = unsafe { libc::nice(10) };
        io::Result::Ok(())
    };
    // SAFETY: nice is a plain system call.
    unsafe { command.pre_exec(defer) };
}
