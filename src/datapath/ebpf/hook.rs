//! How programs come to see frames: TCX, which needs no qdisc, where the kernel has it and we
//! may look programs up, else a filter on `clsact`.
//!
//! Either way the interface itself holds the program, and the program its maps: they outlive
//! the daemon, need no file system, and go with the interface.

use std::io;

use crate::netlink::{RouteSocket, tc};
use crate::sys::bpf::{self, Hook, Program, ProgramInfo};

/// Where a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Interface.
    pub ifindex: u32,
    /// Which of its two sides.
    pub hook: Hook,
}

/// The way to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Without a qdisc.
    Tcx,
    /// By a filter.
    Clsact,
}

impl Way {
    /// What works here, tried with a program at hand.
    pub fn find(program: &Program, place: Place) -> Way {
        // A program that cannot be looked up could not be replaced after a restart.
        let tcx = bpf::programs_on(place.ifindex, place.hook)
            .and_then(|_| program.info())
            .and_then(|info| Program::by_id(info.id));
        match tcx {
            Ok(_) => Way::Tcx,
            Err(_) => Way::Clsact,
        }
    }

    /// Has frames at `place` meet `program` from now on, in the place of `earlier` or else of
    /// what a daemon which is gone has left there, under this name or with the number `left`;
    /// none passes in between.
    ///
    /// # Errors
    /// `ENODEV` without such an interface.
    pub fn attach(
        self,
        route: &mut RouteSocket,
        place: Place,
        program: Program,
        name: &str,
        earlier: Option<Attached>,
        left: Option<u32>,
    ) -> io::Result<Attached> {
        match self {
            Way::Tcx => {
                let known = earlier.map(|earlier| earlier.program);
                let earlier = match known {
                    Some(program) => Some(program),
                    None => on_tcx(place, name)?.into_iter().next(),
                };
                program.attach(place.ifindex, place.hook, earlier.as_ref())?;
                tc::remove_program(route, place.ifindex, place.hook)?;
            }
            Way::Clsact => {
                tc::set_program(route, place.ifindex, place.hook, &program, name)?;
                // That one may have had more rights, and another way.
                if let Some(left) = left {
                    bpf::take_off(place.ifindex, place.hook, left)?;
                }
            }
        }
        Ok(Attached {
            way: self,
            place,
            program,
        })
    }
}

/// A program at its place. It stays there when this is dropped.
#[derive(Debug)]
pub struct Attached {
    way: Way,
    place: Place,
    program: Program,
}

impl Attached {
    /// The number of the program, by which a later daemon knows it.
    pub fn id(&self) -> Option<u32> {
        self.program.info().ok().map(|info| info.id)
    }

    /// Takes it away; no error if the interface is gone.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn detach(self, route: &mut RouteSocket) -> io::Result<()> {
        let Place { ifindex, hook } = self.place;
        match self.way {
            Way::Tcx => match self.program.detach(ifindex, hook) {
                Err(error) if is_gone(&error) => Ok(()),
                detached => detached,
            },
            Way::Clsact => tc::remove_program(route, ifindex, hook),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT))
}

/// Takes away what a daemon that is gone has left at a place, under this name or with the number
/// `left`. Nothing to take away is no error, nor is an interface that is gone.
///
/// # Errors
/// Those of the kernel.
pub fn clear(
    route: &mut RouteSocket,
    place: Place,
    name: &str,
    left: Option<u32>,
) -> io::Result<()> {
    for program in on_tcx(place, name).unwrap_or_default() {
        program.detach(place.ifindex, place.hook)?;
    }
    if let Some(left) = left {
        bpf::take_off(place.ifindex, place.hook, left)?;
    }
    tc::remove_program(route, place.ifindex, place.hook)
}

/// What is known of the program called `name` at a place.
pub fn attached(route: &mut RouteSocket, place: Place, name: &str) -> Option<ProgramInfo> {
    let on_tcx = on_tcx(place, name).unwrap_or_default().into_iter().next();
    let program = on_tcx.or_else(|| {
        let id = tc::program_on(route, place.ifindex, place.hook).ok()??;
        Program::by_id(id).ok()
    });
    program?.info().ok()
}

fn on_tcx(place: Place, name: &str) -> io::Result<Vec<Program>> {
    let ids = bpf::programs_on(place.ifindex, place.hook)?;
    let mut ours = Vec::new();
    for id in ids {
        // Others come and go.
        let Ok(program) = Program::by_id(id) else {
            continue;
        };
        if program.info().is_ok_and(|info| info.name == name) {
            ours.push(program);
        }
    }
    Ok(ours)
}
