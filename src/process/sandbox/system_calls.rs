//! The system calls that a running daemon keeps (seccomp(2)).
//!
//! Any other call fails with EPERM, as for a missing right: a host must not lose its network because
//! a new C library makes an unexpected call. In a debug build such a call ends the daemon with
//! SIGSYS, so the tests of the whole program find every call that is missing here. The daemon
//! cannot start, trace or signal a process, map code, mount a file system, or change the owner or
//! mode of a file; sockets have only the families that a team needs, and bpf(2) only the data path's
//! commands.

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
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
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
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Clocks and random numbers.
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_timerfd_settime,
    // A thread gives up its capabilities and its access to files.
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_restrict_self,
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

/// Commands of fcntl(2), without F_SETOWN and F_SETSIG: with these a descriptor can signal any
/// process.
const FCNTLS: &[libc::c_int] = &[
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
];

/// Requests of ioctl(2) that are the same as F_SETOWN: `FIOSETOWN` and `SIOCSPGRP`.
const OWNER_IOCTLS: [u32; 2] = [0x8901, 0x8902];

/// Whether the kernel filters system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filtered {
    /// The filter works.
    Yes,
    /// The kernel has no filters, or the architecture is not supported.
    Unavailable,
}

/// Calls for a team that starts later: linkat(2) names its control socket, ftruncate(2) shortens
/// its pid file. inotify_add_watch(2) and inotify_rm_watch(2) follow a directory of configurations
/// that another one replaces.
const OF_NEW_TEAMS: &[c_long] = &[
    libc::SYS_ftruncate,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_linkat,
];

/// Modes of the control socket and the pid file.
const MODES: [u32; 2] = [0o644, 0o700];

/// Installs the filter for all threads; `starts_teams` permits the start of further teams.
pub(super) fn filter(starts_teams: bool) -> Result<Filtered, Error> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(Filtered::Unavailable);
    };
    let (listed, no_clone3) =
        (allow_listed(architecture, starts_teams)?, without_clone3(architecture)?);
    // The second filter forbids seccomp(2), so the order matters.
    let applied = seccompiler::apply_filter_all_threads(&no_clone3)
        .and_then(|()| seccompiler::apply_filter_all_threads(&listed));
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

fn allow_listed(architecture: TargetArch, starts_teams: bool) -> Result<BpfProgram, Error> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    for call in ALLOWED.iter().chain(OLDER) {
        rules.insert(*call, Vec::new());
    }
    if starts_teams {
        rules.extend(OF_NEW_TEAMS.iter().map(|call| (*call, Vec::new())));
        let modes = MODES.map(|mode| argument(1, SeccompCmpOp::Eq, mode));
        rules.insert(libc::SYS_fchmod, modes.into_iter().collect::<Result<_, _>>()?);
    }
    let families =
        FAMILIES.iter().map(|family| argument(0, SeccompCmpOp::Eq, family.unsigned_abs()));
    rules.insert(libc::SYS_socket, families.collect::<Result<_, _>>()?);
    let commands = bpf::COMMANDS.iter().map(|command| argument(0, SeccompCmpOp::Eq, *command));
    rules.insert(libc::SYS_bpf, commands.collect::<Result<_, _>>()?);
    let fcntls = FCNTLS.iter().map(|command| argument(1, SeccompCmpOp::Eq, command.unsigned_abs()));
    rules.insert(libc::SYS_fcntl, fcntls.collect::<Result<_, _>>()?);
    let others = OWNER_IOCTLS.map(|request| condition(1, SeccompCmpOp::Ne, request));
    let others = others.into_iter().collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(others)?]);
    // No memory becomes executable: libraries are loaded before.
    let executable = libc::PROT_EXEC.unsigned_abs();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let no_code = argument(2, SeccompCmpOp::MaskedEq(executable.into()), 0)?;
        rules.insert(call, vec![no_code]);
    }
    let thread = libc::CLONE_THREAD.unsigned_abs();
    let is_thread = argument(0, SeccompCmpOp::MaskedEq(thread.into()), thread)?;
    rules.insert(libc::SYS_clone, vec![is_thread]);
    // PR_SET_NAME names threads, libraries of nsswitch call PR_CAPBSET_READ, and Landlock needs
    // PR_SET_NO_NEW_PRIVS.
    let prctls = [libc::PR_SET_NAME, libc::PR_CAPBSET_READ, libc::PR_SET_NO_NEW_PRIVS];
    let prctls = prctls.map(libc::c_int::unsigned_abs);
    let prctls = prctls.map(|request| argument(0, SeccompCmpOp::Eq, request));
    rules.insert(libc::SYS_prctl, prctls.into_iter().collect::<Result<_, _>>()?);
    // For abort(3), which signals its own process.
    let own = argument(0, SeccompCmpOp::Eq, std::process::id())?;
    rules.insert(libc::SYS_tgkill, vec![own]);
    let filter =
        SeccompFilter::new(rules, action_for_others(), SeccompAction::Allow, architecture)?;
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
    Ok(SeccompRule::new(vec![condition(place, operator, value)?])?)
}

fn condition(place: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(place, SeccompCmpArgLen::Dword, operator, value.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands of fcntl that the libc crate does not name.
    const F_SETSIG: libc::c_int = 10;
    const F_SETOWN_EX: libc::c_int = 15;

    /// Returns whether the filter allows a call, as the kernel runs it (seccomp(2), BPF).
    fn allows(program: &BpfProgram, call: c_long, args: [u64; 6]) -> bool {
        let mut data = u32::try_from(call).unwrap().to_ne_bytes().to_vec();
        // The architecture is checked by seccompiler's first instructions.
        let architecture = if cfg!(target_arch = "x86_64") { 0xc000_003e_u32 } else { 0xc000_00b7 };
        data.extend(architecture.to_ne_bytes());
        data.extend([0; 8]);
        data.extend(args.iter().flat_map(|arg| arg.to_ne_bytes()));
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            match step.code {
                0x20 => {
                    let place = step.k as usize;
                    value = u32::from_ne_bytes(data[place..place + 4].try_into().unwrap());
                }
                0x54 => value &= step.k,
                0x05 => at += step.k as usize,
                0x15 => at += jump(value == step.k),
                0x25 => at += jump(value > step.k),
                0x35 => at += jump(value >= step.k),
                0x06 => return step.k == libc::SECCOMP_RET_ALLOW,
                code => unreachable!("no such instruction: {code:#x}"),
            }
        }
    }

    #[test]
    fn only_the_calls_of_the_loop_are_allowed() {
        let architecture = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let program = allow_listed(architecture, false).unwrap();
        let with = |place: usize, value: u64| {
            let mut args = [0; 6];
            args[place] = value;
            args
        };
        let command = |command: libc::c_int| with(1, command.unsigned_abs().into());
        let protection = |protection: libc::c_int| with(2, protection.unsigned_abs().into());
        for (call, args) in [
            (libc::SYS_read, [0; 6]),
            (libc::SYS_fcntl, command(libc::F_SETFL)),
            (libc::SYS_fcntl, command(libc::F_DUPFD_CLOEXEC)),
            (libc::SYS_ioctl, with(1, libc::TUNSETIFF)),
            (libc::SYS_ioctl, with(1, libc::SIOCETHTOOL)),
            (libc::SYS_socket, with(0, 16)),
            (libc::SYS_tgkill, with(0, std::process::id().into())),
            (libc::SYS_mmap, protection(libc::PROT_READ | libc::PROT_WRITE)),
            (libc::SYS_mprotect, protection(libc::PROT_NONE)),
        ] {
            assert!(allows(&program, call, args), "{call} {args:?}");
        }
        for (call, args) in [
            (libc::SYS_fcntl, command(libc::F_SETOWN)),
            (libc::SYS_fcntl, command(F_SETSIG)),
            (libc::SYS_fcntl, command(F_SETOWN_EX)),
            (libc::SYS_ioctl, with(1, OWNER_IOCTLS[0].into())),
            (libc::SYS_ioctl, with(1, OWNER_IOCTLS[1].into())),
            (libc::SYS_mmap, protection(libc::PROT_EXEC)),
            (libc::SYS_mmap, protection(libc::PROT_READ | libc::PROT_EXEC)),
            (libc::SYS_mprotect, protection(libc::PROT_READ | libc::PROT_EXEC)),
            (libc::SYS_kill, with(0, std::process::id().into())),
            (libc::SYS_tgkill, with(0, 1)),
            (libc::SYS_execve, [0; 6]),
            (libc::SYS_ptrace, [0; 6]),
            (libc::SYS_mount, [0; 6]),
            (libc::SYS_fchownat, [0; 6]),
            (libc::SYS_fchmodat, [0; 6]),
            (libc::SYS_mknodat, [0; 6]),
            (libc::SYS_clone, [0; 6]),
            (libc::SYS_socket, with(0, 40)),
        ] {
            assert!(!allows(&program, call, args), "{call} {args:?}");
        }
    }
}
