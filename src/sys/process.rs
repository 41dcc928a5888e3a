//! Processes: forking, ending, precedence, signal dispositions, descriptors for pids.

use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, Pid};

use super::check;

/// Forks; refuses with `EDEADLK` in a process with several threads, whose child could find locks
/// held by threads that it does not have.
pub fn fork() -> io::Result<ForkResult> {
    if fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    // SAFETY: the process has one thread, so the child has a consistent copy of everything.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Ends the process at once: nothing is flushed, no destructor runs. For the passing generation
/// of a double fork, which shares its buffers and files with the one that goes on.
pub fn exit_at_once(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Closes every descriptor above stderr, which a careless parent may have left open. To be called
/// before the program has opened any.
///
/// # Errors
/// `EBADF` if a descriptor cannot be closed.
pub fn close_inherited() -> io::Result<()> {
    // SAFETY: close_range takes plain numbers. As documented, the program owns no descriptor above
    // stderr yet, so none is pulled away from its owner.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return Ok(());
    }
    // Before Linux 5.9.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd > libc::STDERR_FILENO)
        .collect();
    for fd in open {
        // SAFETY: as above. The directory's own descriptor, closed by now, gives EBADF.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Makes a process, 0 for the calling one, a real-time task of this priority (`SCHED_FIFO`).
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE, `EINVAL` for a priority that is not one of 1 to 99, `ESRCH`.
pub fn set_real_time(pid: u32, priority: u8) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: a sched_param is plain data, for which zeros are fine.
    let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
    parameters.sched_priority = priority.into();
    // SAFETY: the kernel reads the parameters.
    check(unsafe { libc::sched_setscheduler(pid, libc::SCHED_FIFO, &raw const parameters) })?;
    Ok(())
}

/// What a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// What the system does by default.
    Default,
    /// Nothing.
    Ignore,
}

/// Sets what a signal does.
///
/// # Errors
/// `EINVAL` for SIGKILL and SIGSTOP.
pub fn set_disposition(signal: Signal, disposition: Disposition) -> io::Result<()> {
    let handler = match disposition {
        Disposition::Default => SigHandler::SigDfl,
        Disposition::Ignore => SigHandler::SigIgn,
    };
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler function is installed, so none can be run in a bad moment.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// A descriptor for a process; it becomes readable when the process ends, and never means
/// another process that got the same pid.
///
/// # Errors
/// `ESRCH` without such a process, `ENOSYS` before Linux 5.3.
pub fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process behind a descriptor.
///
/// # Errors
/// `ESRCH` if it has ended, `EPERM` if it is not ours to signal.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null siginfo is allowed.
    let sent = unsafe {
        let number = signal as libc::c_int;
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            number,
            none,
            0,
        )
    };
    match sent {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
