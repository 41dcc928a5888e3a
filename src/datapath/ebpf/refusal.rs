//! The error of an old kernel that refuses the programs: names the kernel that is needed, and the
//! limit of locked memory.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::utsname::uname;

/// Returns the error with the needed kernel version added; unchanged on a kernel that is new enough.
pub fn explain(error: io::Error) -> io::Error {
    let Ok(system) = uname() else {
        return error;
    };
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(RLIM_INFINITY, |(soft, _)| soft);
    explain_for(error, &system.release().to_string_lossy(), limit)
}

/// As [`explain`] for the kernel `release` and a limit of locked memory in bytes.
fn explain_for(error: io::Error, release: &str, limit: u64) -> io::Error {
    /// Atomic operations that return a value.
    const NEEDED: (u32, u32) = (5, 12);
    /// The first kernel whose maps count as the control group's memory, not as locked memory.
    const UNLOCKED: (u32, u32) = (5, 11);
    let Some(version) = version(release).filter(|version| *version < NEEDED) else {
        return error;
    };
    let code = error.raw_os_error();
    let why = code.map_or(error.to_string(), |code| Errno::from_raw(code).desc().to_owned());
    let limited = code == Some(libc::EPERM) && version < UNLOCKED && limit != RLIM_INFINITY;
    let limited = match limited {
        true => format!("; its maps may lock {limit} bytes (RLIMIT_MEMLOCK)"),
        false => String::new(),
    };
    io::Error::other(format!("{why}: programs need Linux 5.12, and this is {release}{limited}"))
}

/// Returns the first two numbers of a release such as `5.10.0-28-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_the_needed_kernel_and_the_limit() {
        let memory = "Operation not permitted: programs need Linux 5.12, and this is \
                      5.10.0-28-amd64; its maps may lock 65536 bytes (RLIMIT_MEMLOCK)";
        let refused = "refused: programs need Linux 5.12, and this is 5.11.4";
        let permitted = "Operation not permitted: programs need Linux 5.12, and this is 4.19";
        let cases = [
            ("5.10.0-28-amd64", Some(libc::EPERM), 65536, memory),
            ("5.11.4", None, 65536, refused),
            ("4.19", Some(libc::EPERM), RLIM_INFINITY, permitted),
            ("5.12.0", None, 65536, "refused"),
            ("6.18.44-fc", None, 65536, "refused"),
            ("none", None, 65536, "refused"),
        ];
        for (release, code, limit, expected) in cases {
            let error = match code {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::other("refused"),
            };
            assert_eq!(explain_for(error, release, limit).to_string(), expected, "{release}");
        }
    }
}
