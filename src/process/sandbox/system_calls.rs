//! The system calls that a running daemon keeps (seccomp(2)).
//!
//! Any other call fails with EPERM, as for a missing right: a host must not lose its network because
//! a new C library makes an unexpected call. In a debug build such a call ends the daemon with
//! SIGSYS, so the tests of the whole program find every call that is missing here. The daemon
//! cannot start, trace or signal a process, mount a file system, or change the owner or mode of a
//! file; sockets have only the families that a team needs, and bpf(2) only the data path's commands.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::sys::bpf;

/// Calls that are allowed whatever their arguments.
const ALLOWED: &[c_long] = &[
    // The loop.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    // Sockets, the TAP device, files.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_close,
    libc::SYS_connect,
    libc::SYS_fcntl,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_ioctl,
    libc::SYS_listen,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_write,
    libc::SYS_writev,
    // Settings under /proc/sys, the persisted state, the time zone; the files of the resolver and
    // of nsswitch's libraries.
    libc::SYS_faccessat,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_getdents64,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Clocks and random numbers.
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    // The process itself: threads that close sockets or resolve names, signals, the end.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_uname,
];

/// Older forms of these calls, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Socket families: clients and syslog, ethtool, netlink, ports, TIPC's links.
const FAMILIES: &[libc::c_int] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
    libc::AF_PACKET,
    libc::AF_TIPC,
];

/// Whether the kernel filters system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// The filter works.
    Yes,
    /// The kernel has no filters, or the architecture is not supported.
    Unavailable,
}

/// Installs the filter.
pub(super) fn filter() -> Result<Filtered, Error> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(Filtered::Unavailable);
    };
    let (listed, no_clone3) = (allow_listed(architecture)?, without_clone3(architecture)?);
    // The second filter forbids seccomp(2), so the order matters.
    let applied =
        seccompiler::apply_filter(&no_clone3).and_then(|()| seccompiler::apply_filter(&listed));
    match applied {
        Ok(()) => Ok(Filtered::Yes),
        Err(Error::Seccomp(error) | Error::Prctl(error))
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) =>
        {
            Ok(Filtered::Unavailable)
        }
        Err(error) => Err(error),
    }
}

fn action_for_others() -> SeccompAction {
    match cfg!(debug_assertions) {
        true => SeccompAction::KillProcess,
        false => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
    }
}

fn allow_listed(architecture: TargetArch) -> Result<BpfProgram, Error> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    for call in ALLOWED.iter().chain(OLDER) {
        rules.insert(*call, Vec::new());
    }
    let families = FAMILIES
        .iter()
        .map(|family| argument(0, SeccompCmpOp::Eq, family.unsigned_abs()));
    rules.insert(libc::SYS_socket, families.collect::<Result<_, _>>()?);
    let commands = bpf::COMMANDS
        .iter()
        .map(|command| argument(0, SeccompCmpOp::Eq, *command));
    rules.insert(libc::SYS_bpf, commands.collect::<Result<_, _>>()?);
    let thread = libc::CLONE_THREAD.unsigned_abs();
    let is_thread = argument(0, SeccompCmpOp::MaskedEq(thread.into()), thread)?;
    rules.insert(libc::SYS_clone, vec![is_thread]);
    // A thread's name, and a query of libraries that nsswitch loads.
    let prctls = [libc::PR_SET_NAME, libc::PR_CAPBSET_READ].map(libc::c_int::unsigned_abs);
    let prctls = prctls.map(|request| argument(0, SeccompCmpOp::Eq, request));
    rules.insert(
        libc::SYS_prctl,
        prctls.into_iter().collect::<Result<_, _>>()?,
    );
    // For abort(3), which signals its own process.
    let own = argument(0, SeccompCmpOp::Eq, std::process::id())?;
    rules.insert(libc::SYS_tgkill, vec![own]);
    let filter = SeccompFilter::new(
        rules,
        action_for_others(),
        SeccompAction::Allow,
        architecture,
    )?;
    Ok(filter.try_into()?)
}

/// Returns a filter that lets clone3 fail with ENOSYS: a filter cannot see the flags of clone3. The C
/// library then calls clone, whose flags the other filter checks. The stricter of two filters
/// decides.
fn without_clone3(architecture: TargetArch) -> Result<BpfProgram, Error> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, architecture)?;
    Ok(filter.try_into()?)
}

fn argument(place: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompRule, Error> {
    let condition = SeccompCondition::new(place, SeccompCmpArgLen::Dword, operator, value.into())?;
    Ok(SeccompRule::new(vec![condition])?)
}
