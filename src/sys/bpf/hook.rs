//! The hooks of an interface: which programs are there, and how one gets on and off.

use std::io;

use super::call::{Attach, PROG_ATTACH, PROG_DETACH, PROG_QUERY, Query, address_mut, bpf, raw};
use super::program::Program;

/// Before the others, after another, in the place of another; the other is named by its number
/// (`BPF_F_BEFORE`, `BPF_F_AFTER`, `BPF_F_REPLACE`, `BPF_F_ID`).
const BEFORE: u32 = 1 << 3;
const AFTER: u32 = 1 << 4;
const REPLACE: u32 = 1 << 2;
const BY_NUMBER: u32 = 1 << 5;
/// More programs than that on one hook are not looked at.
const MOST_ON_HOOK: usize = 64;

/// A place where programs see frames without a qdisc (TCX, kernel 6.6 and later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Frames that arrive on the interface.
    Ingress = 46,
    /// Frames that leave it.
    Egress = 47,
}

impl Program {
    /// Puts it on a hook, in the place of `replaces` or else before all others there.
    ///
    /// # Errors
    /// `EINVAL` where the kernel has no such hooks, `ENOENT` if `replaces` is not there,
    /// `ENODEV` without such an interface.
    pub fn attach(&self, ifindex: u32, hook: Hook, replaces: Option<&Program>) -> io::Result<()> {
        let mut attributes = Attach {
            ifindex,
            program: raw(&self.0),
            hook: hook as u32,
            flags: if replaces.is_some() { REPLACE } else { BEFORE },
            replaces: replaces.map_or(0, |program| raw(&program.0)),
            ..Attach::default()
        };
        // SAFETY: PROG_ATTACH reads these attributes, which point nowhere.
        unsafe { bpf(PROG_ATTACH, &mut attributes)? };
        Ok(())
    }

    /// Takes it off a hook.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, `ENODEV` without such an interface.
    pub fn detach(&self, ifindex: u32, hook: Hook) -> io::Result<()> {
        let mut attributes = Attach {
            ifindex,
            program: raw(&self.0),
            hook: hook as u32,
            ..Attach::default()
        };
        // SAFETY: PROG_DETACH reads these attributes, which point nowhere.
        unsafe { bpf(PROG_DETACH, &mut attributes)? };
        Ok(())
    }
}

/// The programs on a hook, in the order in which they run.
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
        // No program was ever there.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Takes the program with this number off a hook. Its number suffices, where a descriptor of it
/// would take CAP_SYS_ADMIN. No error if it is not there, or the interface or the hook is not.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN.
pub fn take_off(ifindex: u32, hook: Hook, id: u32) -> io::Result<()> {
    let ids = programs_on(ifindex, hook).unwrap_or_default();
    let Some(place) = ids.iter().position(|on_hook| *on_hook == id) else {
        return Ok(());
    };
    // A place is named by who is next to it.
    let (flags, relative) = match place.checked_sub(1) {
        None => (BEFORE, 0),
        Some(earlier) => (AFTER | BY_NUMBER, ids[earlier]),
    };
    let mut attributes = Attach {
        ifindex,
        hook: hook as u32,
        flags,
        relative,
        ..Attach::default()
    };
    // SAFETY: PROG_DETACH reads these attributes, which point nowhere.
    unsafe { bpf(PROG_DETACH, &mut attributes)? };
    Ok(())
}
