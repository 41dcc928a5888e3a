//! Attaching programs: in the transmit function of a netkit; elsewhere by TCX, which needs no qdisc,
//! where the kernel has it and programs may be looked up; else by a filter on `clsact`. A process with
//! many teams attaches all programs by filters: at each attachment and detachment by TCX or to a netkit
//! the kernel waits until no frame is under way (5 to 20 ms), and delays all other requests for network
//! configuration meanwhile.
//!
//! Either way the interface holds the program, and the program its maps: both outlive the daemon,
//! need no file system, and go with the interface.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use crate::netlink::RouteSocket;
use crate::netlink::tc::{self, Role};
use crate::sys::bpf::{self, Hook, Program, ProgramInfo};

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachPoint {
    /// Interface index.
    pub ifindex: u32,
    /// Ingress or egress.
    pub hook: Hook,
    /// Role of the program; a hook has one program of each role at most.
    pub role: Role,
}

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// Without a qdisc.
    Tcx,
    /// By a filter on `clsact`.
    Clsact,
    /// To a netkit, without a qdisc.
    Netkit,
}

impl AttachMode {
    /// Returns `preferred` if it works at `at`, tried with `program`; else filters.
    pub fn find(preferred: AttachMode, program: &Program, at: AttachPoint) -> AttachMode {
        if preferred == AttachMode::Clsact {
            return AttachMode::Clsact;
        }
        // A program that cannot be looked up could not be replaced after a restart.
        let tcx = bpf::programs_on(at.ifindex, at.hook)
            .and_then(|_| program.info())
            .and_then(|info| Program::by_id(info.id));
        match tcx {
            Ok(_) => AttachMode::Tcx,
            Err(_) => AttachMode::Clsact,
        }
    }

    /// Attaches `program` in place of a previous daemon's program with this name or with the id
    /// `previous`; no frame passes in between.
    ///
    /// # Errors
    /// `ENODEV` without such an interface. The program is then not attached.
    pub fn attach(
        self,
        route: &mut RouteSocket,
        at: AttachPoint,
        program: Rc<Program>,
        name: &str,
        previous: Option<u32>,
    ) -> io::Result<AttachedProgram> {
        let replaced = match self {
            AttachMode::Tcx | AttachMode::Netkit => on_hook(at, name)?.into_iter().next(),
            AttachMode::Clsact => None,
        };
        let id = program.info()?.id;
        let attached = AttachedProgram { mode: self, at, program, id };
        attached.put(route, name, replaced.as_ref())?;
        let cleared = match (self, previous) {
            (AttachMode::Tcx, _) => tc::remove_program(route, at.ifindex, at.hook, at.role),
            (AttachMode::Netkit, _) if replaced.is_some() => Ok(()),
            // The new program runs first and decides on every frame until then.
            (AttachMode::Netkit, previous) => {
                previous.map_or(Ok(()), |id| bpf::detach_by_id(at.ifindex, at.hook, id))
            }
            // The previous daemon may have attached by TCX. A daemon that may not look programs up knows
            // the program by its id alone.
            (AttachMode::Clsact, previous) => previous
                .map_or(Ok(()), |id| bpf::detach_by_id(at.ifindex, at.hook, id))
                .and_then(|()| clear_hook(at, name)),
        };
        if let Err(error) = cleared {
            attached.detach(route)?;
            return Err(error);
        }
        Ok(attached)
    }
}

/// A program at its attach point; dropping this does not detach it.
#[derive(Debug)]
pub struct AttachedProgram {
    mode: AttachMode,
    at: AttachPoint,
    program: Rc<Program>,
    id: u32,
}

impl AttachedProgram {
    /// Attaches the program in place of `replaced`.
    fn put(
        &self,
        route: &mut RouteSocket,
        name: &str,
        replaced: Option<&Program>,
    ) -> io::Result<()> {
        let AttachPoint { ifindex, hook, role } = self.at;
        match self.mode {
            AttachMode::Tcx | AttachMode::Netkit => self.program.attach(ifindex, hook, replaced),
            AttachMode::Clsact => tc::set_program(route, ifindex, hook, role, &self.program, name),
        }
    }

    /// Attaches `program` in place of this one; no frame passes in between. After a failure this
    /// program is still attached.
    pub fn replace(
        &mut self,
        route: &mut RouteSocket,
        program: Rc<Program>,
        name: &str,
    ) -> io::Result<()> {
        let id = program.info()?.id;
        let next = AttachedProgram { program, id, ..*self };
        next.put(route, name, Some(&self.program))?;
        *self = next;
        Ok(())
    }

    /// Attaches the program again if another program of the host has detached it. Returns whether the
    /// program was detached.
    pub fn restore(&self, route: &mut RouteSocket, name: &str) -> io::Result<bool> {
        let AttachPoint { ifindex, hook, role } = self.at;
        let is_attached = match self.mode {
            AttachMode::Tcx | AttachMode::Netkit => self.is_on_hook()?,
            AttachMode::Clsact => tc::program_on(route, ifindex, hook, role)? == Some(self.id),
        };
        if !is_attached {
            self.put(route, name, None)?;
        }
        Ok(!is_attached)
    }

    /// Returns whether the kernel does not report that another program of the host has detached the
    /// program: TCX and netkit have no event for this change.
    pub fn detaches_silently(&self) -> bool {
        self.mode != AttachMode::Clsact
    }

    /// Returns whether another program of the host has [silently](Self::detaches_silently) detached
    /// the program.
    ///
    /// # Errors
    /// The error of the query; `ENODEV` without the interface.
    pub fn is_detached_silently(&self) -> io::Result<bool> {
        Ok(self.detaches_silently() && !self.is_on_hook()?)
    }

    /// Index of the interface of the attach point.
    pub fn ifindex(&self) -> u32 {
        self.at.ifindex
    }

    fn is_on_hook(&self) -> io::Result<bool> {
        Ok(bpf::programs_on(self.at.ifindex, self.at.hook)?.contains(&self.id))
    }

    /// The program.
    pub fn program(&self) -> &Rc<Program> {
        &self.program
    }

    /// The id of the program, by which a later daemon finds the program.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Detaches the program; success if the interface is gone.
    pub fn detach(&self, route: &mut RouteSocket) -> io::Result<()> {
        let AttachPoint { ifindex, hook, role } = self.at;
        match self.mode {
            AttachMode::Tcx | AttachMode::Netkit => match self.program.detach(ifindex, hook) {
                Err(error) if is_gone(&error) => Ok(()),
                detached => detached,
            },
            AttachMode::Clsact => tc::remove_program(route, ifindex, hook, role),
        }
    }
}

/// Returns the interfaces whose programs another program of the host has detached
/// [silently](AttachedProgram::detaches_silently). A hook that cannot be read is left out: the next
/// call reads the hook again.
pub fn detached_silently<'a>(
    attached: impl IntoIterator<Item = &'a AttachedProgram>,
) -> BTreeSet<u32> {
    let attached = attached.into_iter();
    let detached = attached.filter(|program| program.is_detached_silently().unwrap_or(false));
    detached.map(AttachedProgram::ifindex).collect()
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT))
}

/// Detaches the program of a previous daemon, with this name or with the id `previous`. Success
/// if there is none, or no interface.
pub fn clear(
    route: &mut RouteSocket,
    at: AttachPoint,
    name: &str,
    previous: Option<u32>,
) -> io::Result<()> {
    clear_hook(at, name)?;
    if let Some(id) = previous {
        bpf::detach_by_id(at.ifindex, at.hook, id)?;
    }
    tc::remove_program(route, at.ifindex, at.hook, at.role)
}

/// Detaches the programs with this name from a hook without a qdisc; none if programs may not be looked
/// up.
fn clear_hook(at: AttachPoint, name: &str) -> io::Result<()> {
    let mut programs = on_hook(at, name).unwrap_or_default().into_iter();
    programs.try_for_each(|program| program.detach(at.ifindex, at.hook))
}

/// Returns what the kernel knows of the program with this name at an attach point.
pub fn find(route: &mut RouteSocket, at: AttachPoint, name: &str) -> Option<ProgramInfo> {
    let on_hook = on_hook(at, name).unwrap_or_default().into_iter().next();
    let program = on_hook.or_else(|| {
        let id = tc::program_on(route, at.ifindex, at.hook, at.role).ok()??;
        Program::by_id(id).ok()
    });
    program?.info().ok()
}

/// Returns the programs with this name on a hook without a qdisc.
fn on_hook(at: AttachPoint, name: &str) -> io::Result<Vec<Program>> {
    let ids = bpf::programs_on(at.ifindex, at.hook)?;
    let mut found = Vec::new();
    for id in ids {
        // A program may have gone since the query.
        let Ok(program) = Program::by_id(id) else {
            continue;
        };
        if program.info().is_ok_and(|info| info.name == name) {
            found.push(program);
        }
    }
    Ok(found)
}
