//! One daemon for a device: a device_lock that is staked before anything of the device is touched.
//!
//! The device_lock is a socket with an abstract name, `teamr/DEVICE`. Such a name belongs to a network
//! namespace, as the device does, so two daemons meet there whatever their run directories, pid
//! files and data paths are; and the kernel drops it with its process, so none is ever left over.

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

/// The device_lock on a device; given up when this is dropped.
#[derive(Debug)]
pub struct DeviceLock {
    /// None if somebody who runs no daemon keeps the name from us.
    _listener: Option<UnixListener>,
}

/// Why a device cannot be claimed.
#[derive(Debug)]
pub enum DeviceLockError {
    /// Another daemon has it; its pid, as far as it can be told.
    Taken(Option<i32>),
    /// The socket could not be made.
    Socket(io::Error),
}

impl DeviceLockError {
    /// The error number for the last line.
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
    /// Claims `device` in the network namespace of this process.
    ///
    /// # Errors
    /// [`DeviceLockError::Taken`] if another daemon has it.
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
                    // Anybody can have the name. It shall cost nobody his network.
                    if user > LAST_SYSTEM_USER && user != Uid::effective().as_raw() {
                        log::warn!("User {user} holds the name @{name}; going on without it.");
                        return Ok(DeviceLock { _listener: None });
                    }
                }
                let pid = holder.map(|holder| holder.pid());
                // A process of another pid namespace has no number here.
                Err(DeviceLockError::Taken(pid.filter(|pid| *pid > 0)))
            }
            Err(error) => Err(DeviceLockError::Socket(error)),
        }
    }
}

/// Who listens under an abstract name, unless it does not let us ask.
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
    fn a_device_is_claimed_once_and_again_when_it_was_given_up() {
        let device = format!("claimed{}", std::process::id());
        let device_lock = DeviceLock::acquire(&device).expect("a device that nobody has");
        let own = i32::try_from(std::process::id()).expect("a pid");
        let again = DeviceLock::acquire(&device);
        assert!(
            matches!(&again, Err(DeviceLockError::Taken(Some(pid))) if *pid == own),
            "{again:?}"
        );
        DeviceLock::acquire(&format!("{device}x")).expect("another device");
        drop(device_lock);
        DeviceLock::acquire(&device).expect("nobody has it any more");
    }

    #[test]
    fn who_lets_nobody_ask_has_it_all_the_same() {
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
