//! The hooks of an interface for programs: query, attach, detach.

use std::io;

use super::call::{Attach, PROG_ATTACH, PROG_DETACH, PROG_QUERY, Query, address_mut, bpf, raw};
use super::program::Program;

/// Flags: before the others, after another program, in place of another; the other program is named
/// by its id (`BPF_F_BEFORE`, `BPF_F_AFTER`, `BPF_F_REPLACE`, `BPF_F_ID`).
const BEFORE: u32 = 1 << 3;
const AFTER: u32 = 1 << 4;
const REPLACE: u32 = 1 << 2;
const BY_ID: u32 = 1 << 5;
/// Most programs on one hook that are read.
const MOST_ON_HOOK: usize = 64;

/// A hook of an interface that needs no qdisc (TCX, kernel 6.6 and later; netkit, 6.7 and later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Frames that the interface receives.
    Ingress = 46,
    /// Frames that the interface sends.
    Egress = 47,
    /// The transmit function of a netkit's primary end.
    NetkitPrimary = 54,
}

impl Program {
    /// Attaches the program to a hook, in place of `replaces` or else before all others.
    ///
    /// # Errors
    /// `EINVAL` where the kernel has no such hooks, `ENOENT` if `replaces` is not attached,
    /// `ENODEV` without such an interface.
    pub fn attach(&self, ifindex: u32, hook: Hook, replaces: Option<&Program>) -> io::Result<()> {
        let attributes = Attach {
            ifindex,
            program: raw(&self.0),
            hook: hook as u32,
            flags: if replaces.is_some() { REPLACE } else { BEFORE },
            replaces: replaces.map_or(0, |program| raw(&program.0)),
            ..Attach::default()
        };
        change(PROG_ATTACH, attributes)
    }

    /// Detaches the program from a hook.
    ///
    /// # Errors
    /// `ENOENT` if the program is not attached, `ENODEV` without such an interface.
    pub fn detach(&self, ifindex: u32, hook: Hook) -> io::Result<()> {
        let program = raw(&self.0);
        change(PROG_DETACH, Attach { ifindex, program, hook: hook as u32, ..Attach::default() })
    }
}

fn change(command: u32, mut attributes: Attach) -> io::Result<()> {
    // SAFETY: attaching and detaching read these attributes, which point nowhere.
    unsafe { bpf(command, &mut attributes) }.map(drop)
}

/// Returns the ids of the programs on a hook, in the order in which they run.
///
/// # Errors
/// `EINVAL` where the kernel has no such hooks, `ENODEV` without such an interface.
pub fn programs_on(ifindex: u32, hook: Hook) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; MOST_ON_HOOK];
    let mut attributes = Query {
        ifindex,
        hook: hook as u32,
        programs: address_mut(&mut ids),
        count: ids.len() as u32,
        ..Query::default()
    };
    // SAFETY: the kernel writes at most `count` numbers to `ids`.
    match unsafe { bpf(PROG_QUERY, &mut attributes) } {
        Ok(_) => Ok(ids[..ids.len().min(attributes.count as usize)].to_vec()),
        // No program was ever attached.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Detaches the program with this id from a hook; opening a descriptor of the program would need
/// CAP_SYS_ADMIN. Success if there is no such program, interface or hook.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN.
pub fn detach_by_id(ifindex: u32, hook: Hook, id: u32) -> io::Result<()> {
    let ids = programs_on(ifindex, hook).unwrap_or_default();
    let Some(place) = ids.iter().position(|on_hook| *on_hook == id) else {
        return Ok(());
    };
    // A program is named by the one before it.
    let (flags, relative) = match place.checked_sub(1) {
        None => (BEFORE, 0),
        Some(earlier) => (AFTER | BY_ID, ids[earlier]),
    };
    change(PROG_DETACH, Attach { ifindex, hook: hook as u32, flags, relative, ..Attach::default() })
}
