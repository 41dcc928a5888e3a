//! One daemon for a device: a lock that is acquired before anything of the device changes.
//!
//! The lock is a socket with the abstract name `teamr/DEVICE`. An abstract name belongs to a network
//! namespace, as the device does, so the lock excludes daemons with other run directories, pid
//! files and data paths, too. The kernel releases the name when the process ends.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt};
use nix::unistd::Uid;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::errno::strerror;

/// The last user id of the system's own accounts, which run daemons (`SYS_UID_MAX`).
const LAST_SYSTEM_USER: u32 = 999;

/// The lock of a device, released on drop.
#[derive(Debug)]
pub struct DeviceLock {
    /// `None` if a user who cannot run a daemon has the name.
    _listener: Option<UnixListener>,
}

/// Why the lock of a device was not acquired.
#[derive(Debug)]
pub enum DeviceLockError {
    /// Another daemon has the lock; its pid, if known.
    Taken(Option<i32>),
    /// The socket could not be opened.
    Socket(io::Error),
}

impl DeviceLockError {
    /// Returns the error number for teamd's last line.
    pub fn cause(self) -> io::Error {
        match self {
            DeviceLockError::Taken(_) => io::Error::from_raw_os_error(libc::EBUSY),
            DeviceLockError::Socket(error) => error,
        }
    }
}

impl fmt::Display for DeviceLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceLockError::Taken(Some(pid)) => {
                write!(f, "it is in the hands of the daemon {pid}")
            }
            DeviceLockError::Taken(None) => write!(f, "it is in the hands of another daemon"),
            DeviceLockError::Socket(error) => write!(f, "make a socket: {}", strerror(error)),
        }
    }
}

impl DeviceLock {
    /// Acquires the lock of `device` in the network namespace of this process.
    ///
    /// # Errors
    /// [`DeviceLockError::Taken`] if another daemon has the lock.
    pub fn acquire(device: &str) -> Result<DeviceLock, DeviceLockError> {
        let name = format!("teamr/{device}");
        let address = SocketAddr::from_abstract_name(&name).map_err(DeviceLockError::Socket)?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(DeviceLock {
                _listener: Some(listener),
            }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let holder = holder(&name);
                if let Some(user) = holder.as_ref().map(UnixCredentials::uid) {
                    // Abstract socket names are not protected: any local user can bind ours. Warn
                    // and continue instead of refusing to start.
                    if user > LAST_SYSTEM_USER && user != Uid::effective().as_raw() {
                        log::warn!(
                            "User {user} has the name @{name}; continuing without the lock."
                        );
                        return Ok(DeviceLock { _listener: None });
                    }
                }
                let pid = holder.map(|holder| holder.pid());
                // A process of another pid namespace has pid 0 here.
                Err(DeviceLockError::Taken(pid.filter(|pid| *pid > 0)))
            }
            Err(error) => Err(DeviceLockError::Socket(error)),
        }
    }
}

/// Returns the process that listens under an abstract name; `None` if it accepts no connection.
fn holder(name: &str) -> Option<UnixCredentials> {
    let asking = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None).ok()?;
    asking
        .connect(&SockAddr::unix(format!("\0{name}")).ok()?)
        .ok()?;
    getsockopt(&asking, sockopt::PeerCredentials).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_locked_once_and_again_after_the_release() {
        let device = format!("locked{}", std::process::id());
        let device_lock = DeviceLock::acquire(&device).expect("a device without a lock");
        let own = i32::try_from(std::process::id()).expect("a pid");
        let again = DeviceLock::acquire(&device);
        assert!(
            matches!(&again, Err(DeviceLockError::Taken(Some(pid))) if *pid == own),
            "{again:?}"
        );
        DeviceLock::acquire(&format!("{device}x")).expect("another device");
        drop(device_lock);
        DeviceLock::acquire(&device).expect("released");
    }

    #[test]
    fn a_socket_that_accepts_no_connection_has_the_lock_too() {
        let device = format!("silent{}", std::process::id());
        let silent = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).expect("a socket");
        let name = SockAddr::unix(format!("\0teamr/{device}")).expect("a name");
        silent.bind(&name).expect("a free name");
        assert!(matches!(
            DeviceLock::acquire(&device),
            Err(DeviceLockError::Taken(None))
        ));
    }
}
