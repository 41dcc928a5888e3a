//! Attaching programs: by TCX, which needs no qdisc, where the kernel has it and programs may be
//! looked up; else by a filter on `clsact`.
//!
//! Either way the interface holds the program, and the program its maps: both outlive the daemon,
//! need no file system, and go with the interface.

use std::io;

use crate::netlink::{RouteSocket, tc};
use crate::sys::bpf::{self, Hook, Program, ProgramInfo};

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachPoint {
    /// Interface index.
    pub ifindex: u32,
    /// Ingress or egress.
    pub hook: Hook,
}

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// Without a qdisc.
    Tcx,
    /// By a filter on `clsact`.
    Clsact,
}

impl AttachMode {
    /// Returns what works here, tried with `program`.
    pub fn find(program: &Program, at: AttachPoint) -> AttachMode {
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
        program: Program,
        name: &str,
        previous: Option<u32>,
    ) -> io::Result<AttachedProgram> {
        let replaced = match self {
            AttachMode::Tcx => on_tcx(at, name)?.into_iter().next(),
            AttachMode::Clsact => None,
        };
        let attached = AttachedProgram {
            mode: self,
            at,
            program,
        };
        attached.put(route, name, replaced.as_ref())?;
        let cleared = match (self, previous) {
            (AttachMode::Tcx, _) => tc::remove_program(route, at.ifindex, at.hook),
            // The previous daemon may have had more rights, and attached by TCX.
            (AttachMode::Clsact, Some(id)) => bpf::take_off(at.ifindex, at.hook, id),
            (AttachMode::Clsact, None) => Ok(()),
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
    program: Program,
}

impl AttachedProgram {
    /// Attaches the program in place of `replaced`.
    fn put(
        &self,
        route: &mut RouteSocket,
        name: &str,
        replaced: Option<&Program>,
    ) -> io::Result<()> {
        let AttachPoint { ifindex, hook } = self.at;
        match self.mode {
            AttachMode::Tcx => self.program.attach(ifindex, hook, replaced),
            AttachMode::Clsact => tc::set_program(route, ifindex, hook, &self.program, name),
        }
    }

    /// Attaches `program` in place of this one; no frame passes in between.
    ///
    /// # Errors
    /// Those of the kernel; this program is then still attached.
    pub fn replace(
        &mut self,
        route: &mut RouteSocket,
        program: Program,
        name: &str,
    ) -> io::Result<()> {
        let next = AttachedProgram { program, ..*self };
        next.put(route, name, Some(&self.program))?;
        *self = next;
        Ok(())
    }

    /// The id of the program, by which a later daemon knows it.
    pub fn id(&self) -> Option<u32> {
        self.program.info().ok().map(|info| info.id)
    }

    /// Detaches the program; success if the interface is gone.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn detach(&self, route: &mut RouteSocket) -> io::Result<()> {
        let AttachPoint { ifindex, hook } = self.at;
        match self.mode {
            AttachMode::Tcx => match self.program.detach(ifindex, hook) {
                Err(error) if is_gone(&error) => Ok(()),
                detached => detached,
            },
            AttachMode::Clsact => tc::remove_program(route, ifindex, hook),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT))
}

/// Detaches the program of a previous daemon, with this name or with the id `previous`. Success
/// if there is none, or no interface.
///
/// # Errors
/// Those of the kernel.
pub fn clear(
    route: &mut RouteSocket,
    at: AttachPoint,
    name: &str,
    previous: Option<u32>,
) -> io::Result<()> {
    for program in on_tcx(at, name).unwrap_or_default() {
        program.detach(at.ifindex, at.hook)?;
    }
    if let Some(id) = previous {
        bpf::take_off(at.ifindex, at.hook, id)?;
    }
    tc::remove_program(route, at.ifindex, at.hook)
}

/// Returns what the kernel knows of the program with this name at an attach point.
pub fn find(route: &mut RouteSocket, at: AttachPoint, name: &str) -> Option<ProgramInfo> {
    let on_tcx = on_tcx(at, name).unwrap_or_default().into_iter().next();
    let program = on_tcx.or_else(|| {
        let id = tc::program_on(route, at.ifindex, at.hook).ok()??;
        Program::by_id(id).ok()
    });
    program?.info().ok()
}

fn on_tcx(at: AttachPoint, name: &str) -> io::Result<Vec<Program>> {
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
