//! The sandbox of a running daemon: a few capabilities, the system calls of its loop, its own files.
//!
//! The daemon enters the sandbox when the teams are up, before it reports readiness. Work that needs
//! more rights comes before: reading the configuration, creating run directory, pid file, control
//! socket and TAP device, loading the libraries of the resolver. At the end the daemon unlinks its
//! files from a directory that belongs to its user, which needs no capability.

mod capabilities;
mod file_access;
mod name_service;
mod system_calls;

pub use capabilities::{ProgramRights, has_bpf, has_perfmon};
pub use file_access::OwnFiles;

use std::fmt;

use file_access::Pinned;
use system_calls::Filtered;

use crate::sys::local_time;

/// Why the daemon keeps more rights than it needs.
#[derive(Debug)]
pub enum SandboxError {
    /// Capabilities could not be dropped.
    Capabilities(caps::errors::CapsError),
    /// The rules for files could not be built, or the kernel refused them.
    Files(landlock::RulesetError),
    /// The filter could not be built, or the kernel refused it.
    Filter(seccompiler::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxError::Capabilities(error) => write!(f, "give up capabilities ({error})"),
            SandboxError::Files(error) => write!(f, "give up access to files ({error})"),
            SandboxError::Filter(error) => write!(f, "filter system calls ({error})"),
        }
    }
}

impl std::error::Error for SandboxError {}

/// The sandbox that the process is in. The rules for files hold in full until this value is dropped.
#[derive(Debug)]
pub struct Sandbox {
    calls: Filtered,
    files: Option<Pinned>,
}

impl Sandbox {
    /// Returns what this kernel cannot restrict, in words.
    pub fn unrestricted(&self) -> impl Iterator<Item = &'static str> {
        let calls = (self.calls == Filtered::Unavailable).then_some("system calls");
        let files = self.files.is_none().then_some("access to files");
        calls.into_iter().chain(files)
    }
}

/// Drops all rights that the loop does not need. `programs` are the rights for programs in the kernel
/// that the daemon keeps, `own` the files that it still reaches.
///
/// The filter of system calls applies to all threads. Capabilities and rules for files apply to the
/// calling thread: each thread that was started before has called [`confine_thread`].
///
/// # Errors
/// The first right that could not be dropped; the others are dropped.
pub fn enter(programs: ProgramRights, own: &OwnFiles) -> Result<Sandbox, SandboxError> {
    name_service::load();
    // The C library reads the time zone once, at its first use.
    let _ = local_time::now();
    // A restriction that fails does not stop the others.
    let capabilities = capabilities::reduce(programs).map_err(SandboxError::Capabilities);
    let files = file_access::restrict(own).map_err(SandboxError::Files);
    let calls = system_calls::filter(own.starts_teams).map_err(SandboxError::Filter);
    capabilities?;
    Ok(Sandbox { calls: calls?, files: files? })
}

/// Drops all capabilities of the calling thread and the right to write files: the thread only
/// resolves a name.
///
/// # Errors
/// The rights that could not be dropped; those dropped before stay dropped.
pub fn confine_thread() -> Result<(), SandboxError> {
    capabilities::drop_all().map_err(SandboxError::Capabilities)?;
    file_access::deny_writing().map_err(SandboxError::Files)
}
