//! The sandbox of a running daemon: a few capabilities and the system calls of its loop.
//!
//! The daemon enters the sandbox when the teams are up, before it reports readiness. Work that needs
//! more rights comes before: reading the configuration, creating run directory, pid file, control
//! socket and TAP device. At the end the daemon unlinks its files from a directory that belongs to
//! its user, which needs no capability.

mod capabilities;
mod system_calls;

pub use system_calls::Filtered;

use std::fmt;

/// Why the daemon keeps more rights than it needs.
#[derive(Debug)]
pub enum SandboxError {
    /// Capabilities could not be dropped.
    Capabilities(caps::errors::CapsError),
    /// The filter could not be built, or the kernel refused it.
    Filter(seccompiler::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxError::Capabilities(_) => f.write_str("give up capabilities"),
            SandboxError::Filter(_) => f.write_str("filter system calls"),
        }
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SandboxError::Capabilities(error) => Some(error),
            SandboxError::Filter(error) => Some(error),
        }
    }
}

/// Drops all rights that the loop does not need; `loads_programs` keeps those for loading programs
/// into the kernel. Call this while the process has one thread.
///
/// # Errors
/// The rights that could not be dropped; those dropped before stay dropped.
pub fn enter(loads_programs: bool) -> Result<Filtered, SandboxError> {
    capabilities::reduce(loads_programs).map_err(SandboxError::Capabilities)?;
    system_calls::filter().map_err(SandboxError::Filter)
}
