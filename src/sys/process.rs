//! Processes: fork, exit, real-time priority, signal dispositions, descriptors of processes.

use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, Pid};

use super::check;

/// Forks; fails with `EDEADLK` in a process with several threads, whose child could inherit locks
/// that no thread releases.
pub fn fork() -> io::Result<ForkResult> {
    if fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    // SAFETY: the process has one thread, so the child has a consistent copy of everything.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Ends the process at once: nothing is flushed, no destructor runs. For the parents of a double
/// fork, which share their buffers and files with the daemon.
pub fn exit_at_once(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// The first descriptor above stderr.
const FIRST: RawFd = libc::STDERR_FILENO + 1;
/// Descriptors from [`FIRST`] on that [`close_inherited`] has left open and that nobody owns yet.
static PASSED: AtomicI32 = AtomicI32::new(0);

/// Closes every descriptor above stderr that the parent has left open, but the first `passed` ones.
/// Call this before the program opens any.
///
/// # Errors
/// `EBADF` if a descriptor cannot be closed.
pub fn close_inherited(passed: u16) -> io::Result<()> {
    let first = FIRST + RawFd::from(passed);
    PASSED.store(passed.into(), Ordering::Relaxed);
    // SAFETY: close_range takes plain numbers. As documented, the program owns no descriptor above
    // stderr yet, so none is pulled away from its owner.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return Ok(());
    }
    // Before Linux 5.9.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd >= first)
        .collect();
    for fd in open {
        // SAFETY: as above. The directory's own descriptor, closed by now, gives EBADF.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Returns the descriptors that [`close_inherited`] has left open, `None` for a number that is not
/// open. No other program inherits them from now on. The next call returns an empty list.
pub fn take_passed() -> Vec<Option<OwnedFd>> {
    let passed = PASSED.swap(0, Ordering::Relaxed);
    let descriptors = (FIRST..FIRST + passed).map(|fd| {
        // SAFETY: fcntl takes plain numbers; a number that is not open gives EBADF.
        let is_open = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == 0;
        // SAFETY: the parent has opened the descriptor for this program, whose own ones are others,
        // and the swap above gives each to one caller.
        is_open.then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    });
    descriptors.collect()
}

/// Makes a process, or the calling one if 0, a real-time task of this priority (`SCHED_FIFO`).
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

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The system's default.
    Default,
    /// The signal is ignored.
    Ignore,
}

/// Sets the effect of a signal.
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

/// Opens a descriptor of a process, which becomes readable when the process ends, and never stands
/// for another process with the same pid.
///
/// # Errors
/// `ESRCH` without such a process, `ENOSYS` before Linux 5.3.
pub fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes plain numbers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) } as RawFd)?;
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process of a descriptor.
///
/// # Errors
/// `ESRCH` if the process has ended, `EPERM` without the right to signal it.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null siginfo is allowed.
    let sent = unsafe {
        let number = signal as libc::c_int;
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, none, 0)
    };
    check(sent as libc::c_int)?;
    Ok(())
}
