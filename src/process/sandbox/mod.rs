//! What a running daemon may still do: a few capabilities and the system calls of its loop.
//!
//! Entered when the team is up and before anybody is told so. Owns what is kept; the parts that
//! need it say why. What needs more than that happens before: the configuration is read, run
//! directory, pid file, control socket and TAP device are made. At the end the daemon unlinks its
//! own files from a directory that belongs to its user, which needs no capability.

mod capabilities;
mod system_calls;

pub use system_calls::Filtered;

use std::fmt;

/// Why the daemon would run with more rights than it should.
#[derive(Debug)]
pub enum SandboxError {
    /// Capabilities could not be given up.
    Capabilities(caps::errors::CapsError),
    /// The filter could not be made or was refused.
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

/// Gives up, for good, all that the loop does not need; `loads_programs` is whether it may yet
/// load programs into the kernel. To be called while the process has one thread.
///
/// # Errors
/// What could not be given up; what was given up until then stays so.
pub fn enter(loads_programs: bool) -> Result<Filtered, SandboxError> {
    capabilities::reduce(loads_programs).map_err(SandboxError::Capabilities)?;
    system_calls::filter().map_err(SandboxError::Filter)
}
